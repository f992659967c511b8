//! Members taken out of a client's body with the type they must have. `null` counts as absent: that is what every SDK means by it.

use super::Warnings;
use super::neutral::Cache;
use super::refusal::wrong;
use super::text::Text;
use crate::error::Error;
use crate::wire::json::{Elements, JsonKind, Object, Raw};
use std::fmt::Display;

/// Names, for the record, what nobody took of an item that stands at `place`. `known` says nothing to another vendor and is
/// dropped without a word, and so is `null`.
pub fn rest(object: &Object<'_>, known: &[&str], place: &str, warnings: &mut Warnings) {
    for (key, value) in object.iter() {
        if !known.contains(&key) && !value.is_null() {
            warnings.note(place, key);
        }
    }
}

/// A member of any type.
pub fn raw<'a>(object: &mut Object<'a>, key: &str) -> Option<Raw<'a>> {
    object.take(key).filter(|value| !value.is_null())
}

/// A string.
pub fn text<'a>(object: &mut Object<'a>, key: &str) -> Result<Option<Text<'a>>, Error> {
    raw(object, key)
        .map(|value| as_text(value, key))
        .transpose()
}

/// A string that must be there.
pub fn needed_text<'a>(
    object: &mut Object<'a>,
    key: &str,
    place: impl Display,
) -> Result<Text<'a>, Error> {
    let value = raw(object, key).ok_or_else(|| wrong(format!("{place}.{key}"), "is missing"))?;
    as_text(value, format_args!("{place}.{key}"))
}

/// A boolean.
pub fn flag(object: &mut Object<'_>, key: &str) -> Result<Option<bool>, Error> {
    raw(object, key)
        .map(|value| {
            value
                .as_bool()
                .ok_or_else(|| expected(key, "true or false", value))
        })
        .transpose()
}

/// A whole number from 0 on.
pub fn count(object: &mut Object<'_>, key: &str) -> Result<Option<u64>, Error> {
    raw(object, key)
        .map(|value| as_count(value, key))
        .transpose()
}

/// A number, as it was written.
pub fn number<'a>(object: &mut Object<'a>, key: &str) -> Result<Option<Raw<'a>>, Error> {
    kind(object, key, JsonKind::Number, "a number")
}

/// An array.
pub fn array<'a>(object: &mut Object<'a>, key: &str) -> Result<Option<Elements<'a>>, Error> {
    raw(object, key)
        .map(|value| as_array(value, key))
        .transpose()
}

/// An object.
pub fn object<'a>(object: &mut Object<'a>, key: &str) -> Result<Option<Object<'a>>, Error> {
    raw(object, key)
        .map(|value| as_object(value, key))
        .transpose()
}

/// An object, as it was written.
pub fn raw_object<'a>(object: &mut Object<'a>, key: &str) -> Result<Option<Raw<'a>>, Error> {
    kind(object, key, JsonKind::Object, "an object")
}

fn kind<'a>(
    object: &mut Object<'a>,
    key: &str,
    kind: JsonKind,
    name: &str,
) -> Result<Option<Raw<'a>>, Error> {
    match raw(object, key) {
        Some(value) if value.kind() != kind => Err(expected(key, name, value)),
        value => Ok(value),
    }
}

/// The string that `value` must be; `field` names it.
pub fn as_text<'a>(value: Raw<'a>, field: impl Display) -> Result<Text<'a>, Error> {
    Text::of(value).ok_or_else(|| expected(field, "a string", value))
}

/// The whole number that `value` must be. `4096.0` is one too.
pub fn as_count(value: Raw<'_>, field: impl Display) -> Result<u64, Error> {
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0; // 2^53
    let exact = value.as_u64().or_else(|| {
        let number = value.as_f64()?;
        (number.fract() == 0.0 && (0.0..EXACT_MAX).contains(&number)).then_some(number as u64)
    });
    exact.ok_or_else(|| expected(field, "a whole number from 0 on", value))
}

/// The array that `value` must be.
pub fn as_array<'a>(value: Raw<'a>, field: impl Display) -> Result<Elements<'a>, Error> {
    value
        .elements()
        .map_err(|fault| wrong(field, &fault.message))
}

/// The object that `value` must be.
pub fn as_object<'a>(value: Raw<'a>, field: impl Display) -> Result<Object<'a>, Error> {
    value
        .as_object()
        .map_err(|fault| wrong(field, &fault.message))
}

fn expected(field: impl Display, what: &str, found: Raw<'_>) -> Error {
    wrong(
        field,
        format!("expected {what}, found {}", found.kind().name()),
    )
}

/// `prompt_cache_breakpoint` of Chat and Responses parts, or Claude's own `cache_control`, which clients of Chat set for Claude's
/// sake on parts, messages and tools.
pub fn breakpoint(part: &mut Object<'_>) -> Option<Cache> {
    let openai = raw(part, "prompt_cache_breakpoint");
    let claude = raw(part, "cache_control");
    let mark = openai.or(claude)?.as_object().ok()?;
    let ttl = mark.get("ttl").and_then(|ttl| ttl.as_str());
    Some(match ttl.as_deref() {
        Some("12h" | "1h") => Cache::Long,
        _ => Cache::Short,
    })
}
