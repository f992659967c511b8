//! Judges a text to its last leaf (RFC 8259).

use super::utf8;
use crate::error::Fault;

/// Checks one value to its last leaf (RFC 8259), and that it is all there is.
///
/// # Errors
/// The first place where it is wrong.
pub fn validate(bytes: &[u8]) -> Result<(), Fault> {
    // serde_json skips ignored values without recursion, but not their UTF-8: that is checked before.
    serde_json::from_str::<serde::de::IgnoredAny>(utf8(bytes)?)
        .map(|_| ())
        .map_err(|error| Fault::bad(format!("the JSON is wrong: {error}")))
}
