//! Members of an item or a part, named in errors by their whole path. `null` counts as absent, as in [`take`].

use crate::error::Error;
use crate::protocol::neutral::Cache;
use crate::protocol::place::Place;
use crate::protocol::refusal::wrong;
use crate::protocol::take;
use crate::protocol::text::Text;
use crate::wire::json::{Object, Raw};

/// The member, if it is there and not null.
pub fn get<'a>(object: &Object<'a>, key: &str) -> Option<Raw<'a>> {
    object.get(key).filter(|raw| !raw.is_null())
}

/// A string that must be there.
pub fn required<'a>(object: &Object<'a>, key: &str, path: &Place<'_>) -> Result<Text<'a>, Error> {
    optional(object, key, path)?.ok_or_else(|| wrong(path.member(key), "is missing"))
}

/// A string that may be there.
pub fn optional<'a>(
    object: &Object<'a>,
    key: &str,
    path: &Place<'_>,
) -> Result<Option<Text<'a>>, Error> {
    get(object, key)
        .map(|raw| take::as_text(raw, path.member(key)))
        .transpose()
}

/// A flag that may be there.
pub fn flag(object: &Object<'_>, key: &str, path: &Place<'_>) -> Result<Option<bool>, Error> {
    let wrong = || wrong(path.member(key), "must be true or false");
    get(object, key)
        .map(|raw| raw.as_bool().ok_or_else(wrong))
        .transpose()
}

/// Whether the member is that word.
pub fn says(object: &Object<'_>, key: &str, word: &str) -> bool {
    get(object, key)
        .and_then(Text::of)
        .is_some_and(|text| text.is(word))
}

/// The cache mark of a part: `prompt_cache_breakpoint`.
pub fn cache(part: &Object<'_>) -> Option<Cache> {
    let mark = get(part, "prompt_cache_breakpoint")?.as_object().ok()?;
    Some(if says(&mark, "ttl", "12h") {
        Cache::Long
    } else {
        Cache::Short
    })
}
