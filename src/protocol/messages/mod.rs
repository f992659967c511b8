//! Anthropic Messages: requests, whole answers and streams, read and written (protocols.md 3). Each half knows this protocol
//! and the neutral form, nothing else.

mod counts;
mod ending;
pub mod request;
pub mod response;
pub mod stream;
pub mod turn;

use super::carrier;
use super::neutral::{Annotation, Owner, Proof};
use super::text::Text;
use crate::wire::json::{self, Object, Raw};
use std::borrow::Cow;

/// The text that member is, if it is one.
fn text_at<'a>(object: &Object<'a>, key: &str) -> Option<Text<'a>> {
    Text::of(object.get(key)?)
}

/// The `input` that an argument text is: nothing at all is `{}`. None: it is no JSON object.
fn input_of<'t>(arguments: &'t Text<'_>) -> Option<Cow<'t, str>> {
    let json = match arguments.decode() {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
        Cow::Owned(text) if text.trim().len() == text.len() => Cow::Owned(text),
        Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
    };
    if json.is_empty() {
        return Some(Cow::Borrowed("{}"));
    }
    (json.starts_with('{') && json::validate(json.as_bytes()).is_ok()).then_some(json)
}

/// Writes the `input` that an argument text is, see [`input_of`]. False: it is none, and nothing was written. A history is full
/// of these, so they are unescaped where they go to, and judged there.
fn write_input(arguments: &Text<'_>, out: &mut Vec<u8>) -> bool {
    let begun = out.len();
    if json::write_plain(out, arguments.as_escaped()).is_some() {
        let plain = &out[begun..];
        if plain.starts_with(b"{") && json::validate(plain).is_ok() {
            out.truncate(begun + plain.trim_ascii_end().len());
            return true;
        }
    }
    out.truncate(begun);
    let input = input_of(arguments);
    out.extend_from_slice(input.as_deref().unwrap_or_default().as_bytes());
    input.is_some()
}

/// A proof as a client of this protocol gets it: its own vendor's as it is, another's in a carrier.
fn signature<'p>(proof: &'p Proof<'_>) -> Text<'p> {
    if proof.owner == Owner::Messages && !proof.redacted {
        proof.value.borrow()
    } else {
        carrier::wrap(proof)
    }
}

/// A `signature` an upstream gave, or `redacted_thinking.data`. None: it is empty (some compatible servers send `""`).
fn native_proof(value: Text<'_>, redacted: bool) -> Option<Proof<'_>> {
    (!value.is_empty()).then(|| Proof {
        redacted,
        ..Proof::native(Owner::Messages, value)
    })
}

/// The citation of a page. None: of a document, for which no other protocol has a place (protocols.md 7.2).
fn citation<'a>(raw: Raw<'a>) -> Option<Annotation<'a>> {
    let object = raw.as_object().ok()?;
    if object.get("type")?.as_str()? != "web_search_result_location" {
        return None;
    }
    Some(Annotation {
        url: text_at(&object, "url")?,
        title: text_at(&object, "title"),
        span: None,
        cited: text_at(&object, "cited_text"),
    })
}

/// What a web search looked for, from the `input` of its `server_tool_use`.
fn search_query<'a>(name: &Text<'_>, input: Raw<'a>) -> Option<Text<'a>> {
    if !name.is("web_search") {
        return None;
    }
    text_at(&input.as_object().ok()?, "query")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_an_object_or_nothing() {
        let input = |text: &str| input_of(&Text::plain(text)).map(Cow::into_owned);
        assert_eq!(input("").as_deref(), Some("{}"));
        assert_eq!(input(" \n").as_deref(), Some("{}"));
        assert_eq!(input(" {\"a\": 1e2}\n").as_deref(), Some("{\"a\": 1e2}"));
        for bad in ["[1]", "\"x\"", "{\"a\":", "{\"a\":tru}", "{} {}", "null"] {
            assert_eq!(input(bad), None, "{bad}");
        }
    }

    #[test]
    fn only_pages_are_citations() {
        let page = r#"{"type":"web_search_result_location","url":"https://a","title":null,"cited_text":"x","encrypted_index":"e"}"#;
        let found = citation(Raw::parse(page).unwrap()).unwrap();
        assert!(found.url.is("https://a") && found.title.is_none());
        let place = r#"{"type":"char_location","document_index":0,"cited_text":"x"}"#;
        assert_eq!(citation(Raw::parse(place).unwrap()), None);
        assert_eq!(citation(Raw::parse("7").unwrap()), None);
    }
}
