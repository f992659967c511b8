//! How a request is refused: with the field of the client's that is to blame.

use crate::error::{Error, Kind};
use std::fmt::Display;

/// A refusal of what cannot be converted: `Unsupported`, naming the client's field.
pub fn refuse(field: impl Display, reason: impl AsRef<str>) -> Error {
    let field = field.to_string();
    let message = format!("{field}: {}", reason.as_ref());
    Error::client(Kind::Unsupported, message).param(field)
}

/// A request that breaks its own protocol: `BadRequest`, naming the client's field.
pub fn wrong(field: impl Display, reason: impl AsRef<str>) -> Error {
    let field = field.to_string();
    let message = format!("{field}: {}", reason.as_ref());
    Error::client(Kind::BadRequest, message).param(field)
}
