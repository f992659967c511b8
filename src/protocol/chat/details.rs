//! OpenRouter's `reasoning_details`: what a model thought, with the proof that its vendor wants back. The entries of an answer
//! are put together (a stream sends them in pieces) and travel as one proof, as they came; the next request holds them
//! again (protocols.md 5.6, 10.1).

use crate::protocol::render::{Elements, Members};
use crate::protocol::text::Text;
use crate::wire::json::{self, Object, Raw};

/// Bytes of the entries of one thought; of a larger one only the text is kept.
const BYTES_MAX: usize = 4 * 1024 * 1024;
/// Members that grow from piece to piece; the others come once.
const GROWING: [&str; 2] = ["text", "summary"];
/// Members without which an entry is only text.
const PROVING: [&str; 2] = ["signature", "data"];

/// The entries of one thought so far.
#[derive(Default)]
pub(super) struct Details {
    entries: Vec<Entry>,
    bytes: usize,
    /// One of them is more than text.
    proves: bool,
}

struct Entry {
    index: Option<u64>,
    /// Names, and values as JSON.
    members: Vec<(String, Value)>,
}

enum Value {
    Text(Text<'static>),
    Json(String),
}

impl Details {
    /// Adds the entries of an answer, or of one chunk.
    pub(super) fn add(&mut self, raw: Raw<'_>) {
        for raw in raw.elements().into_iter().flatten() {
            let Ok(piece) = raw.as_object() else {
                continue;
            };
            let index = piece.get("index").and_then(Raw::as_u64);
            let kind = piece.get("type").map(Raw::text);
            let same = |entry: &&mut Entry| entry.index == index && entry.kind() == kind;
            let known = self.entries.last_mut().filter(same);
            self.bytes += match &known {
                // What labels an entry is repeated in each piece, and kept once.
                Some(_) => GROWING
                    .iter()
                    .chain(&PROVING)
                    .map(|key| piece.get(key).map_or(0, |raw| raw.text().len()))
                    .sum(),
                None => raw.text().len(),
            };
            // It is pasted into a request, so here it is judged to its last leaf.
            if self.bytes > BYTES_MAX || json::validate(raw.text().as_bytes()).is_err() {
                continue;
            }
            let proves = |key: &&str| piece.get(key).is_some_and(|raw| !raw.is_null());
            self.proves |= PROVING.iter().any(proves);
            match known {
                Some(entry) => entry.merge(&piece),
                None => {
                    let mut entry = Entry {
                        index,
                        members: Vec::new(),
                    };
                    entry.merge(&piece);
                    self.entries.push(entry);
                }
            }
        }
    }

    /// Whether the model's vendor will want the thought back: there is more than text in it.
    pub(super) fn prove(&self) -> bool {
        self.proves && self.bytes <= BYTES_MAX
    }

    /// The entries as a JSON array, and none are left. Where one of them holds all of the text it is left out: it travels
    /// beside them already. None: there is nothing to prove.
    pub(super) fn take(&mut self) -> Option<Text<'static>> {
        let proves = self.prove();
        let Details { entries, .. } = std::mem::take(self);
        if !proves {
            return None;
        }
        let said = |entry: &&Entry| GROWING.iter().any(|key| entry.get(key).is_some());
        let alone = entries.iter().filter(said).count() == 1;
        let mut out = Vec::new();
        Elements::array(&mut out, |list| {
            for entry in &entries {
                list.object(|m| entry.write(!alone, m));
            }
        });
        Some(Text::owned(String::from_utf8(out).unwrap_or_default())) // pieces of str
    }
}

impl Entry {
    fn get(&self, key: &str) -> Option<&Value> {
        let found = self.members.iter().find(|(name, _)| name == key);
        found.map(|(_, value)| value)
    }

    fn kind(&self) -> Option<&str> {
        match self.get("type")? {
            Value::Json(json) => Some(json),
            Value::Text(_) => None,
        }
    }

    fn merge(&mut self, piece: &Object<'_>) {
        for (key, raw) in piece.iter().filter(|(_, raw)| !raw.is_null()) {
            let known = self.members.iter_mut().find(|(name, _)| name == key);
            let grows = GROWING.contains(&key);
            match (known, Text::of(raw).filter(|_| grows)) {
                (Some((_, Value::Text(said))), Some(more)) => said.push(&more),
                (Some((_, value)), None) => *value = Value::Json(raw.text().to_owned()),
                (Some(_), Some(_)) => {}
                (None, Some(text)) => {
                    let value = Value::Text(text.into_owned());
                    self.members.push((key.to_owned(), value));
                }
                (None, None) => {
                    let value = Value::Json(raw.text().to_owned());
                    self.members.push((key.to_owned(), value));
                }
            }
        }
    }

    fn write(&self, with_text: bool, m: &mut Members<'_>) {
        for (key, value) in &self.members {
            let key = Text::plain(key);
            match value {
                Value::Json(json) => m.raw(key.as_escaped(), json),
                Value::Text(said) if with_text => m.text(key.as_escaped(), said),
                Value::Text(_) => m,
            };
        }
    }
}

/// Writes the entries of one thought of the history: those a proof holds, their text put back, else the text alone.
pub(super) fn write(proof: Option<&Text<'_>>, text: &Text<'_>, list: &mut Elements<'_>) {
    let held = proof.map(Text::decode);
    let held = held
        .as_deref()
        .filter(|held| json::validate(held.as_bytes()).is_ok());
    let entries = held.and_then(|held| {
        let raw = Raw::parse(held).ok()?;
        raw.elements().ok()
    });
    let entries = entries.into_iter().flatten();
    let entries: Vec<Object<'_>> = entries.filter_map(|raw| raw.as_object().ok()).collect();
    let says = |entry: &Object<'_>| GROWING.iter().any(|key| entry.get(key).is_some());
    let mut left_out = !text.is_empty() && !entries.iter().any(says);
    for entry in &entries {
        let key = match entry.get("type").and_then(Raw::as_str).as_deref() {
            Some("reasoning.text") => Some("text"),
            Some("reasoning.summary") => Some("summary"),
            _ => None,
        };
        list.object(|m| {
            for (key, value) in entry.iter() {
                m.raw(Text::plain(key).as_escaped(), value.text());
            }
            if let Some(key) = key.filter(|_| std::mem::take(&mut left_out)) {
                m.text(key, text);
            }
        });
    }
    if entries.is_empty() && !text.is_empty() {
        list.object(|m| {
            m.str("type", "reasoning.text").text("text", text);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn added(pieces: &[&str]) -> Details {
        let mut details = Details::default();
        for piece in pieces {
            details.add(Raw::parse(piece).unwrap());
        }
        details
    }

    fn written(proof: &Text<'_>, text: &str) -> String {
        let mut out = Vec::new();
        Elements::array(&mut out, |list| {
            write(Some(proof), &Text::plain(text), list);
        });
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn pieces_become_the_entries_they_are_of_and_come_back() {
        let mut details = added(&[
            r#"[{"type":"reasoning.text","text":"Need ","format":"anthropic-claude-v1","index":0}]"#,
            r#"[{"type":"reasoning.text","text":"both.","format":"anthropic-claude-v1","index":0}]"#,
            r#"[{"type":"reasoning.text","signature":"EqQ","format":"anthropic-claude-v1","index":0}]"#,
        ]);
        let proof = details.take().unwrap();
        assert_eq!(
            proof.decode(),
            r#"[{"type":"reasoning.text","format":"anthropic-claude-v1","index":0,"signature":"EqQ"}]"#
        );
        assert_eq!(
            written(&proof, "Need both."),
            r#"[{"type":"reasoning.text","format":"anthropic-claude-v1","index":0,"signature":"EqQ","text":"Need both."}]"#
        );
        assert!(!details.prove());
    }

    #[test]
    fn text_alone_proves_nothing_and_other_entries_stay_apart() {
        let mut text = added(&[r#"[{"type":"reasoning.text","text":"a","index":0}]"#]);
        assert_eq!(text.take(), None);
        let mut openai = added(&[
            r#"[{"type":"reasoning.summary","summary":"a","index":0}]"#,
            r#"[{"type":"reasoning.encrypted","data":"gAAA","id":"rs_1","format":"openai-responses-v1","index":0}]"#,
        ]);
        let proof = openai.take().unwrap();
        assert_eq!(
            written(&proof, "a"),
            r#"[{"type":"reasoning.summary","index":0,"summary":"a"},{"type":"reasoning.encrypted","data":"gAAA","id":"rs_1","format":"openai-responses-v1","index":0}]"#
        );
    }

    #[test]
    fn what_is_no_array_of_entries_is_the_text_alone() {
        for proof in ["7", "[7]", "[{\"a\":tru}]", "[", "{}"] {
            assert_eq!(
                written(&Text::plain(proof), "t"),
                r#"[{"type":"reasoning.text","text":"t"}]"#,
                "{proof}"
            );
        }
    }
}
