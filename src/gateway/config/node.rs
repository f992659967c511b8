//! The tree of a configuration: what a file or a body holds before anyone knows what it means. `yaml` reads and writes it.

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use std::fmt::{self, Write};

/// One YAML value. Mappings keep the file's order; a number is one that JSON can hold.
#[derive(Clone, PartialEq)]
pub enum Node {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer from 0 on.
    Unsigned(u64),
    /// An integer below 0.
    Signed(i64),
    /// Any other number; finite.
    Float(f64),
    /// Text.
    Text(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping; no key twice.
    Map(Vec<(String, Node)>),
}

impl Node {
    /// The value as JSON.
    pub fn json(&self) -> String {
        let mut out = String::new();
        self.write_json(&mut out, &mut str::to_owned);
        out
    }

    /// The member of that name, if this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        let Node::Map(entries) = self else {
            return None;
        };
        entries.iter().find(|(k, _)| k == key).map(|(_, v)| v)
    }

    /// Sets a member, in its old place if it has one. Anything but a mapping becomes one first.
    pub fn set(&mut self, key: &str, value: Node) {
        if !matches!(self, Node::Map(_)) {
            *self = Node::Map(Vec::new());
        }
        let Node::Map(entries) = self else { return };
        match entries.iter_mut().find(|(k, _)| k == key) {
            Some((_, old)) => *old = value,
            None => entries.push((key.to_owned(), value)),
        }
    }

    /// Takes a member out.
    pub fn remove(&mut self, key: &str) -> Option<Node> {
        let Node::Map(entries) = self else {
            return None;
        };
        let at = entries.iter().position(|(k, _)| k == key)?;
        Some(entries.remove(at).1)
    }

    /// What it is, for "expected text, found …".
    pub fn kind(&self) -> &'static str {
        match self {
            Node::Null => "nothing",
            Node::Bool(_) => "true or false",
            Node::Unsigned(_) | Node::Signed(_) | Node::Float(_) => "a number",
            Node::Text(_) => "text",
            Node::List(_) => "a list",
            Node::Map(_) => "a mapping",
        }
    }

    /// Appends the value as JSON; `text` is told every string and may change it.
    pub fn write_json(&self, out: &mut String, text: &mut dyn FnMut(&str) -> String) {
        match self {
            Node::Null => out.push_str("null"),
            Node::Bool(value) => write_display(out, value),
            Node::Unsigned(value) => write_display(out, value),
            Node::Signed(value) => write_display(out, value),
            Node::Float(value) => write_display(out, &serde_json::Value::from(*value)),
            Node::Text(value) => write_json_text(out, &text(value)),
            Node::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    item.write_json(out, text);
                }
                out.push(']');
            }
            Node::Map(entries) => {
                out.push('{');
                for (index, (key, value)) in entries.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    write_json_text(out, key);
                    out.push(':');
                    value.write_json(out, text);
                }
                out.push('}');
            }
        }
    }
}

pub(super) fn write_display(out: &mut String, value: &dyn fmt::Display) {
    let _ = write!(out, "{value}"); // writing to a String cannot fail
}

fn write_json_text(out: &mut String, text: &str) {
    write_display(out, &serde_json::Value::from(text));
}

impl fmt::Debug for Node {
    /// Any text in it may be a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())
    }
}

impl From<&str> for Node {
    fn from(text: &str) -> Node {
        Node::Text(text.to_owned())
    }
}

impl From<bool> for Node {
    fn from(value: bool) -> Node {
        Node::Bool(value)
    }
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Node::Null => serializer.serialize_unit(),
            Node::Bool(value) => serializer.serialize_bool(*value),
            Node::Unsigned(value) => serializer.serialize_u64(*value),
            Node::Signed(value) => serializer.serialize_i64(*value),
            Node::Float(value) => serializer.serialize_f64(*value),
            Node::Text(value) => serializer.serialize_str(value),
            Node::List(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(item)?;
                }
                list.end()
            }
            Node::Map(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}

/// Appends `.key`; a key that is not a plain word is quoted.
pub fn push_key(path: &mut String, key: &str) {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    if key.is_empty() || !key.chars().all(plain) {
        write_display(path, &format_args!("[{key:?}]"));
        return;
    }
    if !path.is_empty() {
        path.push('.');
    }
    path.push_str(key);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_keep_order_and_what_is_unknown() {
        let read = |text: &str| Node::parse(text, &mut Vec::new());
        let mut tree = read("x-mine: [1]\nproxy: null\nlast: 1\n").unwrap();
        tree.set("proxy", "http://p".into());
        tree.set("debug_header", false.into());
        assert_eq!(tree.remove("last"), Some(Node::Unsigned(1)));
        assert_eq!(tree.remove("last"), None);
        assert_eq!(
            tree.render().unwrap(),
            "x-mine:\n- 1\nproxy: http://p\ndebug_header: false\n"
        );
        assert_eq!(tree.get("proxy"), Some(&Node::from("http://p")));
        assert_eq!(tree.get("none"), None);
        let mut empty = Node::Null;
        empty.set("a", Node::Null);
        assert_eq!(empty, Node::Map(vec![("a".into(), Node::Null)]));
    }
}
