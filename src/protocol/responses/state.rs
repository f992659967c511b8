//! What a gateway that answers `previous_response_id` and `item_reference` keeps and puts back (protocols.md 6.4), as pure
//! functions over raw JSON. Where it is kept, for whom and how long is not decided here.

use crate::error::{Blame, Error, Kind};
use crate::protocol::refusal::wrong;
use crate::protocol::render::{Members, one_line};
use crate::protocol::text::Text;
use crate::wire::json::{Edit, JsonKind, Object, Raw, member, splice};
use std::borrow::Cow;

/// What a request says about kept state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked<'a> {
    /// The answer it goes on from.
    pub previous: Option<Cow<'a, str>>,
    /// Whether its own answer may be kept: `store` is not false.
    pub store: bool,
    /// Its new input items, as they were written; a string becomes the user message it means.
    pub items: Vec<Cow<'a, str>>,
}

impl Asked<'_> {
    /// Whether nothing has to be put back before the conversion.
    pub fn is_whole(&self) -> bool {
        self.previous.is_none() && !self.items.iter().any(|item| reference(item).is_some())
    }
}

/// Reads what a request says about kept state.
///
/// # Errors
/// `input` is neither a string nor an array, or `previous_response_id` is no string.
pub fn asked<'a>(body: &Object<'a>) -> Result<Asked<'a>, Error> {
    let get = |key: &str| body.get(key).filter(|raw| !raw.is_null());
    let previous = get("previous_response_id")
        .map(|raw| {
            raw.as_str()
                .ok_or_else(|| wrong("previous_response_id", "must be a string"))
        })
        .transpose()?;
    let items = match get("input") {
        None => Vec::new(),
        Some(raw) if raw.kind() == JsonKind::String => vec![Cow::Owned(user_message(raw))],
        Some(raw) if raw.kind() == JsonKind::Array => raw
            .elements()
            .map_err(|fault| fault.blame(Blame::Client))?
            .map(|item| Cow::Borrowed(item.text()))
            .collect(),
        Some(_) => return Err(wrong("input", "must be a string or an array of items")),
    };
    Ok(Asked {
        previous,
        store: get("store").and_then(Raw::as_bool) != Some(false),
        items,
    })
}

fn user_message(text: Raw<'_>) -> String {
    let mut out = Vec::with_capacity(text.text().len() + 64);
    Members::object(&mut out, |m| {
        m.str("type", "message").str("role", "user");
        m.raw("content", text.text());
    });
    String::from_utf8(out).unwrap_or_default() // pieces of a str and ASCII
}

/// The id that an `item_reference` names. None: the item is another one.
pub fn reference(item: &str) -> Option<String> {
    // Long items are no references, and are not looked through.
    const REFERENCE_BYTES_MAX: usize = 1024;
    if item.len() > REFERENCE_BYTES_MAX {
        return None;
    }
    let object = Raw::parse(item).ok()?.as_object().ok()?;
    let kind = object.get("type").filter(|raw| !raw.is_null());
    let names = match kind.and_then(Text::of) {
        Some(kind) => kind.is("item_reference"),
        None => kind.is_none() && object.get("role").is_none(),
    };
    let id = object.get("id").filter(|_| names)?;
    Some(id.as_str()?.into_owned())
}

/// The `id` of an item, under which it can be referred to.
pub fn item_id(item: &str) -> Option<String> {
    let object = Raw::parse(item).ok()?.as_object().ok()?;
    Some(object.get("id")?.as_str()?.into_owned())
}

/// What of a finished answer is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// Its id.
    pub id: String,
    /// Its output items.
    pub items: Vec<String>,
}

/// Takes apart a whole response object. None: it is not one, or did not finish.
pub fn answered(response: &[u8]) -> Option<Answered> {
    let object = Object::parse(response).ok()?;
    let status = object.get("status").and_then(Text::of)?;
    if !status.is("completed") && !status.is("incomplete") {
        return None;
    }
    let id = object.get("id")?.as_str()?.into_owned();
    let items = object.get("output")?.elements().ok()?;
    let items = items.map(|item| item.text().to_owned()).collect();
    Some(Answered { id, items })
}

/// Takes apart a stream that was written whole (a replay): its last event holds the response.
pub fn answered_stream(stream: &[u8]) -> Option<Answered> {
    let text = std::str::from_utf8(stream).ok()?;
    let data = text
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("data: "))?;
    let event = Object::parse(data.as_bytes()).ok()?;
    answered(event.get("response")?.text().as_bytes())
}

/// Takes apart what a stream's writer kept: the items joined by commas.
pub fn split(items: &[u8]) -> Vec<String> {
    let Ok(items) = std::str::from_utf8(items) else {
        return Vec::new();
    };
    let array = format!("[{items}]");
    let Ok(raw) = Raw::parse(&array) else {
        return Vec::new();
    };
    raw.elements()
        .map(|items| items.map(|item| item.text().to_owned()).collect())
        .unwrap_or_default()
}

/// The request with `prior` items before its own, references replaced by what `look_up` finds for them, and without
/// `previous_response_id`: a body that needs no memory. `asked` is of the same body. All other bytes stay.
///
/// # Errors
/// A reference that `look_up` does not know.
pub fn expand(
    body: &Object<'_>,
    asked: &Asked<'_>,
    prior: &[&str],
    look_up: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<u8>, Error> {
    let mut input = String::from("[");
    let mut add = |item: &str| {
        if input.len() > 1 {
            input.push(',');
        }
        input.push_str(item);
    };
    for item in prior {
        add(item);
    }
    for (at, item) in asked.items.iter().enumerate() {
        match reference(item) {
            None => add(item),
            Some(id) => match look_up(&id) {
                // Kept with its answer: already among the prior items when the client goes on from that answer.
                Some(found) if prior.contains(&found.as_str()) => {}
                Some(found) => add(&found),
                None => return Err(not_found(&format!("input[{at}]"), &id)),
            },
        }
    }
    input.push(']');
    let input = member("input", &input);
    let edits = [
        Edit::Set {
            key: "input",
            member: &input,
        },
        Edit::Remove {
            key: "previous_response_id",
        },
    ];
    Ok(splice(body, &edits).parts.concat())
}

/// Adds the answer that a request went on from to what its own answer echoes: [`expand`] took it out of the body.
pub fn echo_previous(echo: &mut String, id: &str) {
    let mut value = Vec::new();
    crate::wire::json::write_string(&mut value, id);
    let value = String::from_utf8(value).unwrap_or_default(); // write_string adds ASCII to a str
    if !echo.is_empty() {
        echo.push(',');
    }
    echo.push_str(&member("previous_response_id", &one_line(&value)));
}

/// The error for state that is not kept here; clients that know its code send the whole conversation again.
pub fn not_found(field: &str, id: &str) -> Error {
    let shown: String = id.chars().take(64).collect();
    Error::client(
        Kind::ResponseNotFound,
        format!(
            "{field}: nothing is kept here under {shown:?}; send the whole conversation, with \"store\": false in the client"
        ),
    )
    .param(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(json: &str) -> Object<'_> {
        Object::parse(json.as_bytes()).unwrap()
    }

    #[test]
    fn a_request_says_what_it_adds_and_where_it_goes_on() {
        let object = body(r#"{"previous_response_id":"resp_1","input":"Hi","model":"m"}"#);
        let asked = asked(&object).unwrap();
        assert_eq!(asked.previous.as_deref(), Some("resp_1"));
        assert!(asked.store && !asked.is_whole());
        assert_eq!(
            asked.items,
            [r#"{"type":"message","role":"user","content":"Hi"}"#]
        );
        let object =
            body(r#"{"input":[{"role":"user","content":"a"},{"id":"rs_1"}],"store":false}"#);
        let asked = super::asked(&object).unwrap();
        assert!(!asked.store && asked.previous.is_none() && !asked.is_whole());
        assert!(super::asked(&body(r#"{"input":7}"#)).is_err());
        assert!(
            super::asked(&body(r#"{"input":"x","previous_response_id":null}"#))
                .unwrap()
                .is_whole()
        );
    }

    #[test]
    fn kept_items_come_before_the_new_ones_and_references_are_replaced() {
        let object = body(
            r#"{"model":"m", "previous_response_id":"resp_1","input":[{"type":"item_reference","id":"msg_9"},{"role":"user","content":"b"}]}"#,
        );
        let asked = asked(&object).unwrap();
        let kept = r#"{"role":"user","content":"a"}"#;
        let found =
            |id: &str| (id == "msg_9").then(|| r#"{"id":"msg_9","type":"message"}"#.to_owned());
        let expanded = expand(&object, &asked, &[kept], &found).unwrap();
        assert_eq!(
            String::from_utf8(expanded).unwrap(),
            r#"{"model":"m","input":[{"role":"user","content":"a"},{"id":"msg_9","type":"message"},{"role":"user","content":"b"}]}"#
        );
        let error = expand(&object, &asked, &[], &|_| None).unwrap_err();
        assert_eq!(error.kind, Kind::ResponseNotFound);
        assert_eq!(error.param.as_deref(), Some("input[0]"));
    }

    #[test]
    fn a_reference_to_what_is_there_already_adds_nothing() {
        let object = body(
            r#"{"previous_response_id":"r","input":[{"type":"item_reference","id":"msg_9"}]}"#,
        );
        let asked = asked(&object).unwrap();
        let item = r#"{"id":"msg_9"}"#;
        let expanded = expand(&object, &asked, &[item], &|_| Some(item.to_owned())).unwrap();
        assert_eq!(expanded, br#"{"input":[{"id":"msg_9"}]}"#);
    }

    #[test]
    fn answers_come_apart_whole_and_from_streams() {
        let whole =
            answered(br#"{"id":"resp_2","status":"completed","output":[{"id":"a"}, {"id":"b"}]}"#);
        let whole = whole.unwrap();
        assert_eq!(whole.id, "resp_2");
        assert_eq!(whole.items, split(br#"{"id":"a"},{"id":"b"}"#));
        assert_eq!(item_id(&whole.items[1]).as_deref(), Some("b"));
        assert!(answered(br#"{"id":"resp_2","status":"failed","output":[]}"#).is_none());
        assert!(split(b"").is_empty());
        let stream = b"event: a\ndata: {}\n\nevent: b\ndata: {\"response\":{\"id\":\"r\",\"status\":\"incomplete\",\"output\":[]}}\n\n";
        assert_eq!(answered_stream(stream).unwrap().id, "r");
    }

    #[test]
    fn the_echo_names_the_answer_before() {
        let mut echo = "\"store\":true".to_owned();
        echo_previous(&mut echo, "resp_1");
        assert_eq!(echo, r#""store":true,"previous_response_id":"resp_1""#);
    }
}
