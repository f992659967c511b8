//! What a gateway that answers `previous_response_id` and `item_reference` keeps and puts back (protocols.md 6.4), as pure
//! functions over raw JSON. Where it is kept, for whom and how long is not decided here.

use crate::error::{Blame, Error, Kind};
use crate::protocol::refusal::wrong;
use crate::protocol::render::{Members, one_line};
use crate::protocol::text::Text;
use crate::wire::json::{Edit, JsonKind, Object, Raw, Walk, member, splice};
use std::borrow::Cow;
use std::ops::Range;

/// Items that are longer refer to nothing and ask for nothing: they are not looked through.
const SAYING_BYTES_MAX: usize = 512;

/// What a request says about kept state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked<'a> {
    /// The answer it goes on from.
    pub previous: Option<Cow<'a, str>>,
    /// Whether its own answer may be kept: `store` is not false.
    pub store: bool,
    /// Its new input items; a string becomes the user message it means.
    pub items: Vec<Item<'a>>,
}

/// An input item as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item<'a> {
    /// All of it.
    pub text: Cow<'a, str>,
    /// Its id, under which it can be referred to if it is kept.
    pub id: Option<Cow<'a, str>>,
    /// What it says beside what the model reads.
    pub says: Says<'a>,
}

/// What an input item says to the server that keeps state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Says<'a> {
    /// Nothing.
    Nothing,
    /// `item_reference`: the item of that id stands here.
    Reference(Cow<'a, str>),
    /// `compaction_trigger`: the conversation is to be summarised.
    Trigger,
}

impl<'a> Asked<'a> {
    /// Whether nothing has to be put back before the conversion.
    pub fn is_whole(&self) -> bool {
        self.previous.is_none() && !self.refers()
    }

    /// Whether an item is a reference.
    pub fn refers(&self) -> bool {
        let is = |item: &Item<'_>| matches!(item.says, Says::Reference(_));
        self.items.iter().any(is)
    }

    /// Whether it asks for a summary of the conversation: its last item is a trigger.
    pub fn wants_summary(&self) -> bool {
        let last = self.items.last();
        last.is_some_and(|item| item.says == Says::Trigger)
    }
}

impl<'a> Item<'a> {
    /// Of an item that will not be kept only as much is read as it may say.
    fn of(raw: Raw<'a>, is_kept: bool) -> Item<'a> {
        let mut item = Item {
            text: Cow::Borrowed(raw.text()),
            id: None,
            says: Says::Nothing,
        };
        let may_say = raw.text().len() <= SAYING_BYTES_MAX;
        if is_kept || may_say {
            item.read(raw, may_say);
        }
        item
    }

    fn read(&mut self, raw: Raw<'a>, may_say: bool) {
        let Ok(mut members) = raw.walk() else {
            return;
        };
        let (mut kind, mut id, mut has_role) = (None, None, false);
        while let Ok(Some((key, value))) = members.next() {
            match key.as_ref() {
                "type" if kind.is_none() => kind = Some(value),
                "id" if id.is_none() => id = Some(value),
                "role" => has_role = true,
                // Given twice: whoever reads it as an item refuses it.
                "type" | "id" => return,
                _ => {}
            }
        }
        self.id = id.and_then(Raw::as_str);
        let kind = kind.filter(|kind| !kind.is_null());
        let refers = match kind.map(Text::of) {
            Some(Some(kind)) if may_say && kind.is("compaction_trigger") => {
                self.says = Says::Trigger;
                return;
            }
            Some(kind) => kind.is_some_and(|kind| kind.is("item_reference")),
            None => !has_role,
        };
        if let Some(id) = self.id.take_if(|_| refers && may_say) {
            self.says = Says::Reference(id);
        }
    }
}

/// The answer that a request goes on from.
///
/// # Errors
/// `previous_response_id` is no string.
pub fn previous<'a>(body: &Object<'a>) -> Result<Option<Cow<'a, str>>, Error> {
    let raw = body.get("previous_response_id");
    raw.filter(|raw| !raw.is_null())
        .map(|raw| {
            raw.as_str()
                .ok_or_else(|| wrong("previous_response_id", "must be a string"))
        })
        .transpose()
}

/// Reads what a request says about kept state.
///
/// # Errors
/// `input` is neither a string nor an array, or `previous_response_id` is no string.
pub fn asked<'a>(body: &Object<'a>) -> Result<Asked<'a>, Error> {
    let get = |key: &str| body.get(key).filter(|raw| !raw.is_null());
    let previous = previous(body)?;
    let store = get("store").and_then(Raw::as_bool) != Some(false);
    let items = match get("input") {
        None => Vec::new(),
        Some(raw) if raw.kind() == JsonKind::String => vec![Item {
            text: Cow::Owned(user_message(raw)),
            id: None,
            says: Says::Nothing,
        }],
        Some(raw) if raw.kind() == JsonKind::Array => raw
            .elements()
            .map_err(|fault| fault.blame(Blame::Client))?
            .map(|raw| Item::of(raw, store))
            .collect(),
        Some(_) => return Err(wrong("input", "must be a string or an array of items")),
    };
    Ok(Asked {
        previous,
        store,
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

/// The `id` of an item, under which it can be referred to.
pub fn item_id(item: &str) -> Option<Cow<'_, str>> {
    let mut members = Walk::parse(item.as_bytes()).ok()?;
    while let Some((key, value)) = members.next().ok()? {
        if key == "id" {
            return value.as_str();
        }
    }
    None
}

/// What of a finished answer is kept, where it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its output items.
    pub items: Vec<Output<'a>>,
}

/// An output item as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output<'a> {
    /// All of it.
    pub text: &'a str,
    /// Its id.
    pub id: Option<Cow<'a, str>>,
}

/// Where the things to be kept stand in a written answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Places {
    /// The answer's id.
    pub id: Range<usize>,
    /// Each output item, and its id.
    pub items: Vec<[Range<usize>; 2]>,
}

impl Places {
    /// What stands there in `body`. None: nothing was noted of it.
    pub fn answered<'a>(&self, body: &'a [u8]) -> Option<Answered<'a>> {
        let at = |range: &Range<usize>| std::str::from_utf8(body.get(range.clone())?).ok();
        let id = at(&self.id).filter(|id| !id.is_empty())?;
        let item = |[text, id]: &[Range<usize>; 2]| {
            let (text, id) = (at(text)?, at(id)?);
            let id = Some(Cow::Borrowed(id));
            Some(Output { text, id })
        };
        let items = self.items.iter().map(item).collect::<Option<_>>()?;
        Some(Answered { id, items })
    }
}

/// Takes apart what a stream's writer kept: the items joined by commas.
pub fn split(items: &[u8]) -> Vec<Output<'_>> {
    let Ok(items) = std::str::from_utf8(items) else {
        return Vec::new();
    };
    let array = format!("[{items}]");
    let Ok(found) = Raw::parse(&array).and_then(Raw::elements) else {
        return Vec::new();
    };
    // The same places, without the bracket; between two items there is nothing but the comma.
    let mut rest = items;
    found
        .map(|item| {
            let (text, after) = rest.split_at(item.text().len());
            rest = after.strip_prefix(',').unwrap_or(after);
            let id = item_id(text);
            Output { text, id }
        })
        .collect()
}

/// The request with `prior` items before its own, references replaced by what `found` has for each item that is one, and
/// without `previous_response_id`: a body that needs no memory. `asked` is of the same body. All other bytes stay.
///
/// # Errors
/// A reference for which there is nothing.
pub fn expand<'f>(
    body: &Object<'_>,
    asked: &Asked<'_>,
    prior: &[&str],
    found: &dyn Fn(usize) -> Option<&'f str>,
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
        let Says::Reference(id) = &item.says else {
            add(&item.text);
            continue;
        };
        match found(at) {
            // Kept with its answer: already among the prior items when the client goes on from that answer.
            Some(found) if prior.contains(&found) => {}
            Some(found) => add(found),
            None => return Err(not_found(&format!("input[{at}]"), id)),
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

    fn texts<'a>(asked: &'a Asked<'_>) -> Vec<&'a str> {
        asked.items.iter().map(|item| &*item.text).collect()
    }

    #[test]
    fn a_request_says_what_it_adds_and_where_it_goes_on() {
        let object = body(r#"{"previous_response_id":"resp_1","input":"Hi","model":"m"}"#);
        let asked = asked(&object).unwrap();
        assert_eq!(asked.previous.as_deref(), Some("resp_1"));
        assert!(asked.store && !asked.is_whole());
        assert_eq!(
            texts(&asked),
            [r#"{"type":"message","role":"user","content":"Hi"}"#]
        );
        let object =
            body(r#"{"input":[{"role":"user","content":"a"},{"id":"rs_1"}],"store":false}"#);
        let asked = super::asked(&object).unwrap();
        assert!(!asked.store && asked.previous.is_none() && !asked.is_whole());
        assert!(super::asked(&body(r#"{"input":7}"#)).is_err());
        assert!(super::asked(&body(r#"{"input":"x","previous_response_id":7}"#)).is_err());
        assert!(
            super::asked(&body(r#"{"input":"x","previous_response_id":null}"#))
                .unwrap()
                .is_whole()
        );
    }

    #[test]
    fn what_an_item_says_is_read_from_its_members_in_any_order() {
        let says = |item: &str| {
            let input = format!(r#"{{"input":[{item}]}}"#);
            let object = body(&input);
            let asked = super::asked(&object).unwrap();
            match &asked.items[0].says {
                Says::Nothing => "nothing".to_owned(),
                Says::Trigger => "trigger".to_owned(),
                Says::Reference(id) => id.clone().into_owned(),
            }
        };
        assert_eq!(says(r#"{"id":"a","type":"item_reference"}"#), "a");
        assert_eq!(says(r#"{"type":"item_reference","\u0069d":"a\n"}"#), "a\n");
        assert_eq!(says(r#"{"id":"a","type":null}"#), "a");
        assert_eq!(says(r#"{"type":"compaction_trigger"}"#), "trigger");
        for nothing in [
            r#"{"id":"a","role":"user"}"#,
            r#"{"role":"user","id":"a","type":null}"#,
            r#"{"id":"a","type":7}"#,
            r#"{"id":"a","type":"message"}"#,
            r#"{"type":"item_reference"}"#,
            r#"{"type":"item_reference","id":7}"#,
            r#"{"id":"a","id":"b"}"#,
            r#"[]"#,
            "7",
        ] {
            assert_eq!(says(nothing), "nothing", "{nothing}");
        }
        let long = format!(r#"{{"id":"a","x":"{}"}}"#, "x".repeat(SAYING_BYTES_MAX));
        assert_eq!(says(&long), "nothing");
        let ids = |store: bool| {
            let input =
                format!(r#"{{"store":{store},"input":[{long},{{"id":"b","role":"user"}}]}}"#);
            let object = body(&input);
            let items = super::asked(&object).unwrap().items;
            items
                .into_iter()
                .map(|item| item.id.map(Cow::into_owned))
                .collect::<Vec<_>>()
        };
        let (a, b) = (Some("a".to_owned()), Some("b".to_owned()));
        assert_eq!(ids(true), [a, b.clone()]);
        assert_eq!(ids(false), [None, b]);
    }

    #[test]
    fn the_last_item_may_ask_for_a_summary() {
        let asks = |items: &str| {
            let input = format!(r#"{{"input":{items}}}"#);
            super::asked(&body(&input)).unwrap().wants_summary()
        };
        let trigger = r#"{"type":"compaction_trigger"}"#;
        assert!(asks(&format!(
            r#"[{{"role":"user","content":"a"}},{trigger}]"#
        )));
        assert!(!asks(&format!(
            r#"[{trigger},{{"role":"user","content":"a"}}]"#
        )));
        assert!(!asks(r#""compaction_trigger""#));
        assert!(!asks("[]"));
    }

    #[test]
    fn kept_items_come_before_the_new_ones_and_references_are_replaced() {
        let object = body(
            r#"{"model":"m", "previous_response_id":"resp_1","input":[{"type":"item_reference","id":"msg_9"},{"role":"user","content":"b"}]}"#,
        );
        let asked = asked(&object).unwrap();
        let kept = r#"{"role":"user","content":"a"}"#;
        let found = |at: usize| (at == 0).then_some(r#"{"id":"msg_9","type":"message"}"#);
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
        let expanded = expand(&object, &asked, &[item], &|_| Some(item)).unwrap();
        assert_eq!(expanded, br#"{"input":[{"id":"msg_9"}]}"#);
    }

    #[test]
    fn answers_come_apart_whole_and_from_streams() {
        let body = br#"{"id":"resp_2","output":[{"id":"a"},{"id":"b"}]}"#;
        let mut places = Places::default();
        assert!(places.answered(body).is_none());
        places.id = 7..13;
        places.items = vec![[25..35, 32..33], [36..46, 43..44]];
        let whole = places.answered(body).unwrap();
        assert_eq!(whole.id, "resp_2");
        assert_eq!(whole.items, split(br#"{"id":"a"},{"id":"b"}"#));
        assert_eq!(whole.items[1].text, r#"{"id":"b"}"#);
        assert_eq!(whole.items[1].id.as_deref(), Some("b"));
        assert!(item_id(r#"{"type":"message"}"#).is_none());
        assert!(split(b"").is_empty());
    }

    #[test]
    fn the_echo_names_the_answer_before() {
        let mut echo = "\"store\":true".to_owned();
        echo_previous(&mut echo, "resp_1");
        assert_eq!(echo, r#""store":true,"previous_response_id":"resp_1""#);
    }
}
