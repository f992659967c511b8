//! The documents of `GET /v1/models` and `/v1/models/{id}`: one union that OpenAI's and Anthropic's clients both read, each
//! passing over the other's keys (protocols.md 4.4). Pages exist for clients that send `anthropic-version`; all others get all.

use crate::error::Fault;
use crate::wire::text;
use std::borrow::Cow;
use std::io::Write;

/// Models on a page when the client names no limit.
pub const LIMIT_DEFAULT: usize = 20;
/// The largest limit a client may name, Anthropic's own bound.
pub const LIMIT_MAX: usize = 1000;

/// One callable model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Model<'a> {
    /// The name clients use: `id` and `display_name`.
    pub alias: &'a str,
    /// The upstream's name: `owned_by`.
    pub upstream: &'a str,
    /// Unix seconds: `created` and `created_at`.
    pub created_s: u64,
    /// Tokens of context: `max_model_len` (vLLM's key) and `max_input_tokens` (Anthropic's).
    pub max_model_len: Option<u64>,
}

/// Which part of the list an Anthropic client wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<'q> {
    /// At most so many models.
    pub limit: usize,
    /// Those behind this id.
    pub after_id: Option<Cow<'q, str>>,
    /// The last ones before this id.
    pub before_id: Option<Cow<'q, str>>,
}

impl<'q> Page<'q> {
    /// Reads `limit`, `after_id` and `before_id` from a query string; other names are passed over.
    pub fn parse(query: &'q str) -> Result<Page<'q>, Fault> {
        let mut page = Page {
            limit: LIMIT_DEFAULT,
            after_id: None,
            before_id: None,
        };
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match name {
                "limit" => {
                    let limit = value
                        .parse()
                        .ok()
                        .filter(|limit| (1..=LIMIT_MAX).contains(limit));
                    page.limit = limit.ok_or_else(|| {
                        Fault::bad(format!("limit must be a number from 1 to {LIMIT_MAX}"))
                    })?;
                }
                "after_id" => page.after_id = Some(decode(value)?),
                "before_id" => page.before_id = Some(decode(value)?),
                _ => {}
            }
        }
        if page.after_id.is_some() && page.before_id.is_some() {
            return Err(Fault::bad("after_id and before_id exclude each other"));
        }
        Ok(page)
    }

    /// The models on this page, and whether more lie beyond it in the direction it was asked for.
    fn of<'m, 'a>(&self, models: &'m [Model<'a>]) -> Result<(&'m [Model<'a>], bool), Fault> {
        let place = |name: &str, id: &str| {
            let found = models.iter().position(|model| model.alias == id);
            found.ok_or_else(|| Fault::bad(format!("{name} {id:?} is not a model of this list")))
        };
        if let Some(id) = &self.before_id {
            let before = &models[..place("before_id", id)?];
            let from = before.len().saturating_sub(self.limit);
            return Ok((&before[from..], from > 0));
        }
        let behind = match &self.after_id {
            Some(id) => &models[place("after_id", id)? + 1..],
            None => models,
        };
        let shown = behind.len().min(self.limit);
        Ok((&behind[..shown], shown < behind.len()))
    }
}

/// Percent-encoding and `+` undone (ids may hold slashes, spaces, anything).
pub fn decode(value: &str) -> Result<Cow<'_, str>, Fault> {
    if !value.contains(['%', '+']) {
        return Ok(Cow::Borrowed(value));
    }
    let broken = || {
        Fault::bad(format!(
            "{value:?} in the query is not percent-encoded UTF-8"
        ))
    };
    let mut decoded = Vec::with_capacity(value.len());
    let mut bytes = value.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                let (high, low) = (digit(), digit());
                (high.ok_or_else(broken)? * 16 + low.ok_or_else(broken)?) as u8
            }
            other => other,
        });
    }
    String::from_utf8(decoded)
        .map(Cow::Owned)
        .map_err(|_| broken())
}

/// The list in the order given: all of it, or a page of it.
pub fn list(models: &[Model<'_>], page: Option<&Page<'_>>) -> Result<Vec<u8>, Fault> {
    let (shown, has_more) = match page {
        Some(page) => page.of(models)?,
        None => (models, false),
    };
    let mut out = Vec::with_capacity(128 + 256 * shown.len());
    out.extend_from_slice(br#"{"object":"list","data":["#);
    for (index, model) in shown.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_model(&mut out, model);
    }
    out.extend_from_slice(br#"],"has_more":"#);
    out.extend_from_slice(if has_more { b"true" } else { b"false" });
    out.extend_from_slice(br#","first_id":"#);
    write_id(&mut out, shown.first());
    out.extend_from_slice(br#","last_id":"#);
    write_id(&mut out, shown.last());
    out.push(b'}');
    Ok(out)
}

/// The document of one model.
pub fn one(model: &Model<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    write_model(&mut out, model);
    out
}

fn write_model(out: &mut Vec<u8>, model: &Model<'_>) {
    out.extend_from_slice(br#"{"id":"#);
    write_string(out, model.alias);
    // Writing to a Vec cannot fail.
    let _ = write!(
        out,
        r#","object":"model","created":{},"owned_by":"#,
        model.created_s
    );
    write_string(out, model.upstream);
    out.extend_from_slice(br#","type":"model","display_name":"#);
    write_string(out, model.alias);
    let _ = write!(out, r#","created_at":"{}""#, text::rfc3339(model.created_s));
    if let Some(tokens) = model.max_model_len {
        let _ = write!(
            out,
            r#","max_model_len":{tokens},"max_input_tokens":{tokens}"#
        );
    }
    out.push(b'}');
}

fn write_id(out: &mut Vec<u8>, model: Option<&Model<'_>>) {
    match model {
        Some(model) => write_string(out, model.alias),
        None => out.extend_from_slice(b"null"),
    }
}

fn write_string(out: &mut Vec<u8>, text: &str) {
    // A str always is a JSON string, and writing to a Vec cannot fail.
    let _ = serde_json::to_writer(out, text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn model(alias: &str) -> Model<'_> {
        Model {
            alias,
            upstream: "up",
            created_s: 1_790_000_000,
            max_model_len: None,
        }
    }

    fn ids(page: &str) -> (Vec<String>, bool) {
        let models = ["a", "b/c d", "c", "d", "é"].map(model);
        let page = Page::parse(page).unwrap();
        let value: Value = serde_json::from_slice(&list(&models, Some(&page)).unwrap()).unwrap();
        let data = value["data"].as_array().unwrap();
        let ids: Vec<_> = data
            .iter()
            .map(|model| model["id"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(value["first_id"].as_str(), ids.first().map(String::as_str));
        assert_eq!(value["last_id"].as_str(), ids.last().map(String::as_str));
        (ids, value["has_more"].as_bool().unwrap())
    }

    #[test]
    fn both_vendors_read_the_same_document() {
        let models = [
            Model {
                upstream: "claude-upstream",
                max_model_len: Some(200_000),
                ..model("claude-main")
            },
            model("say \"hi\"\n"),
        ];
        let value: Value = serde_json::from_slice(&list(&models, None).unwrap()).unwrap();
        let first = json!({
            "id": "claude-main", "object": "model", "created": 1_790_000_000, "owned_by": "claude-upstream",
            "type": "model", "display_name": "claude-main", "created_at": "2026-09-21T14:13:20Z",
            "max_model_len": 200_000, "max_input_tokens": 200_000
        });
        assert_eq!(value["object"], "list");
        assert_eq!(value["data"][0], first);
        assert_eq!(value["data"][1]["id"], "say \"hi\"\n");
        assert_eq!(value["data"][1].get("max_model_len"), None);
        assert_eq!(value["has_more"], false);
        assert_eq!(value["first_id"], "claude-main");
        assert_eq!(value["last_id"], "say \"hi\"\n");
        let alone: Value = serde_json::from_slice(&one(&models[0])).unwrap();
        assert_eq!(alone, first);
    }

    #[test]
    fn an_empty_list_has_no_ids() {
        let empty = String::from_utf8(list(&[], None).unwrap()).unwrap();
        assert_eq!(
            empty,
            r#"{"object":"list","data":[],"has_more":false,"first_id":null,"last_id":null}"#
        );
    }

    #[test]
    fn without_a_page_the_list_is_whole() {
        let names: Vec<String> = (0..50).map(|n| n.to_string()).collect();
        let models: Vec<_> = names.iter().map(|name| model(name)).collect();
        let value: Value = serde_json::from_slice(&list(&models, None).unwrap()).unwrap();
        assert_eq!(value["data"].as_array().unwrap().len(), 50);
        let page = Page::parse("").unwrap();
        let value: Value = serde_json::from_slice(&list(&models, Some(&page)).unwrap()).unwrap();
        assert_eq!(value["data"].as_array().unwrap().len(), LIMIT_DEFAULT);
        assert_eq!(value["has_more"], true);
    }

    #[test]
    fn pages_go_forwards_and_backwards() {
        let names = |names: &[&str]| {
            names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(ids("limit=2"), (names(&["a", "b/c d"]), true));
        assert_eq!(ids("limit=2&after_id=b%2Fc+d"), (names(&["c", "d"]), true));
        assert_eq!(ids("after_id=d&limit=2"), (names(&["é"]), false));
        assert_eq!(ids("after_id=%C3%A9"), (names(&[]), false));
        assert_eq!(ids("before_id=d&limit=2"), (names(&["b/c d", "c"]), true));
        assert_eq!(ids("before_id=c&limit=2"), (names(&["a", "b/c d"]), false));
        assert_eq!(ids("beta=true&limit=1000").0.len(), 5);
    }

    #[test]
    fn a_wrong_page_is_refused() {
        for query in [
            "limit=0",
            "limit=1001",
            "limit=x",
            "limit",
            "after_id=%",
            "after_id=%zz",
            "after_id=%ff",
            "after_id=a&before_id=b",
        ] {
            assert!(Page::parse(query).is_err(), "{query}");
        }
        let unknown = Page::parse("after_id=gone").unwrap();
        let fault = list(&[model("a")], Some(&unknown)).unwrap_err();
        assert!(fault.message.contains("gone"), "{fault}");
    }
}
