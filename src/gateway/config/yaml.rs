//! From text to the tree and back: the file that knows `serde_yaml`. Reading is bounded in bytes, depth, nodes and text, so that
//! aliases cannot blow it up; it goes on after a problem, so that all of them are reported at once. What JSON could not hold
//! is a problem already here.

use super::node::{Node, push_key, write_display};
use super::{Problem, lines};
use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, VariantAccess,
};
use std::collections::HashSet;
use std::fmt;

/// A configuration file larger than this is refused. Two thousand aliases take 400 KB.
pub const FILE_BYTES_MAX: usize = 4 << 20;
/// More values than this are refused; a file of the largest size has fewer unless it repeats YAML aliases.
pub const NODES_MAX: usize = 1 << 20;
/// More text than this, YAML aliases counted each time they are used, is refused.
pub const TEXT_BYTES_MAX: usize = 2 * FILE_BYTES_MAX;
/// `serde_yaml` reads integers of up to 38 digits as integers; longer ones become floats in silence.
const INTEGER_DIGITS_MAX: usize = 38;
/// `serde_json` does so from 20 digits on.
const JSON_INTEGER_DIGITS_MAX: usize = 19;

impl Node {
    /// Reads a file's text. Every problem found is added to `problems`; `None` where the text is not YAML at all.
    pub fn parse(text: &str, problems: &mut Vec<Problem>) -> Option<Node> {
        if text.len() > FILE_BYTES_MAX {
            problems.push(Problem::new("", too_large()));
            return None;
        }
        // Notepad puts a byte order mark before UTF-8.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let control = |byte: u8| byte < b' ' && !b"\t\r\n".contains(&byte);
        if let Some(at) = text.bytes().position(control) {
            let line = lines::line_of(text.as_bytes(), at);
            let message = format!("a control character at line {line}, which YAML does not allow");
            problems.push(Problem::new("", message));
            return None;
        }
        let mut reading = Reading {
            source: text,
            integer_digits_max: INTEGER_DIGITS_MAX,
            path: String::new(),
            nodes: 0,
            text_bytes: 0,
            problems: Vec::new(),
        };
        let result = Seed(&mut reading).deserialize(serde_yaml::Deserializer::from_str(text));
        problems.append(&mut reading.problems);
        match result {
            Ok(node) => Some(node),
            // A file of comments only has no document.
            Err(_) if holds_nothing(text) => Some(Node::Null),
            Err(error) => {
                problems.push(Problem::new("", lines::sentence(&error, text)));
                None
            }
        }
    }

    /// Reads a JSON text, as the management API takes it, under the same rules. `None` where it is not JSON at all.
    pub fn from_json(text: &[u8], problems: &mut Vec<Problem>) -> Option<Node> {
        let Ok(source) = std::str::from_utf8(text) else {
            problems.push(Problem::new("", "the body is not UTF-8"));
            return None;
        };
        let mut reading = Reading {
            source,
            integer_digits_max: JSON_INTEGER_DIGITS_MAX,
            path: String::new(),
            nodes: 0,
            text_bytes: 0,
            problems: Vec::new(),
        };
        let mut json = serde_json::Deserializer::from_str(source);
        let result = Seed(&mut reading).deserialize(&mut json);
        let result = result.and_then(|node| json.end().map(|()| node));
        problems.append(&mut reading.problems);
        match result {
            Ok(node) => Some(node),
            Err(error) => {
                problems.push(Problem::new("", format!("the body is not JSON: {error}")));
                None
            }
        }
    }

    /// The YAML text of this tree. `Err`: it does not read back as itself, so it must not be saved.
    pub fn render(&self) -> Result<String, String> {
        let text = serde_yaml::to_string(self).map_err(|error| error.to_string())?;
        let mut problems = Vec::new();
        let again = Node::parse(&text, &mut problems);
        if problems.is_empty() && again.as_ref() == Some(self) {
            Ok(text)
        } else {
            Err("the configuration does not survive being written as YAML".into())
        }
    }
}

/// The sentence for a file over [`FILE_BYTES_MAX`].
pub fn too_large() -> String {
    format!(
        "the file is larger than {} MB: is it the right one?",
        FILE_BYTES_MAX >> 20
    )
}

/// Whether a text has no content: blank lines, comments, document marks. Such a file is an empty configuration, or a half-written one.
pub fn holds_nothing(text: &str) -> bool {
    text.trim_start_matches('\u{feff}')
        .lines()
        .map(str::trim)
        .all(|line| line.is_empty() || line.starts_with('#') || line == "---" || line == "...")
}

struct Reading<'s> {
    source: &'s str,
    integer_digits_max: usize,
    path: String,
    nodes: usize,
    text_bytes: usize,
    problems: Vec<Problem>,
}

impl Reading<'_> {
    fn problem(&mut self, message: impl Into<String>) {
        self.problems.push(Problem::new(self.path.clone(), message));
    }

    fn text<E: de::Error>(&mut self, text: &str) -> Result<String, E> {
        self.text_bytes += text.len();
        if self.text_bytes > TEXT_BYTES_MAX {
            return Err(E::custom(
                "the YAML aliases of this file add up to too much text",
            ));
        }
        Ok(text.to_owned())
    }

    fn huge_integer(&mut self) -> Node {
        self.problem(
            "an integer of over 64 bits, which JSON readers would round: put it in quotes",
        );
        Node::Null
    }
}

struct Seed<'r, 's>(&'r mut Reading<'s>);

impl<'de> DeserializeSeed<'de> for Seed<'_, '_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        self.0.nodes += 1;
        if self.0.nodes > NODES_MAX {
            let message = "the YAML aliases of this file add up to too many values";
            return Err(de::Error::custom(message));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> de::Visitor<'de> for Seed<'_, '_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_none<E: de::Error>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Unsigned(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Node, E> {
        Ok(u64::try_from(value).map_or(Node::Signed(value), Node::Unsigned))
    }

    fn visit_u128<E: de::Error>(self, _: u128) -> Result<Node, E> {
        Ok(self.0.huge_integer())
    }

    fn visit_i128<E: de::Error>(self, _: i128) -> Result<Node, E> {
        Ok(self.0.huge_integer())
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Node, E> {
        if !value.is_finite() {
            self.0.problem("not a finite number");
            return Ok(Node::Null);
        }
        // A longer integer arrives as a float; only the source can tell it from one.
        let digits = self.0.integer_digits_max;
        if value.abs() >= 10_f64.powi(digits as i32) && has_digit_run(self.0.source, digits + 1) {
            return Ok(self.0.huge_integer());
        }
        Ok(Node::Float(value))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Node, E> {
        // `serde_yaml` hands 1e400 over as text, and writes such a text without quotes.
        if value.starts_with(|first: char| "+-.".contains(first) || first.is_ascii_digit())
            && value.parse().is_ok_and(f64::is_infinite)
        {
            self.0.problem("not a finite number");
            return Ok(Node::Null);
        }
        self.0.text(value).map(Node::Text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        let length = self.0.path.len();
        loop {
            write_display(&mut self.0.path, &format_args!("[{}]", items.len()));
            let item = list.next_element_seed(Seed(self.0))?;
            self.0.path.truncate(length);
            match item {
                Some(item) => items.push(item),
                None => return Ok(Node::List(items)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        let mut seen = HashSet::new();
        let length = self.0.path.len();
        while let Some(key) = map.next_key_seed(Seed(self.0))? {
            let key = match key {
                Node::Text(key) => key,
                Node::Bool(value) => value.to_string(),
                Node::Unsigned(value) => value.to_string(),
                Node::Signed(value) => value.to_string(),
                other => {
                    let message = format!("a key must be text, found {}", other.kind());
                    self.0.problem(message);
                    map.next_value_seed(Seed(self.0))?;
                    continue;
                }
            };
            push_key(&mut self.0.path, &key);
            if key == "<<" {
                self.0
                    .problem("merge keys are not read: write the members out");
            }
            let value = map.next_value_seed(Seed(self.0))?;
            if seen.insert(key.clone()) {
                self.0.path.truncate(length);
                entries.push((key, value));
            } else {
                self.0.problem("this key is there twice");
                self.0.path.truncate(length);
            }
        }
        Ok(Node::Map(entries))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, tagged: A) -> Result<Node, A::Error> {
        let (tag, value) = tagged.variant_seed(Seed(self.0))?;
        let node = value.newtype_variant_seed(Seed(self.0))?;
        if let Node::Text(_) = tag {
            self.0.problem(
                "a YAML tag, a word that begins with !, is not read here: put it in quotes",
            );
        }
        Ok(node)
    }
}

fn has_digit_run(text: &str, length: usize) -> bool {
    let mut run = 0;
    text.bytes().any(|byte| {
        run = if byte.is_ascii_digit() { run + 1 } else { 0 };
        run >= length
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Option<Node>, Vec<String>) {
        let mut problems = Vec::new();
        let node = Node::parse(text, &mut problems);
        (node, problems.iter().map(Problem::to_string).collect())
    }

    fn json(text: &str) -> String {
        let (node, problems) = read(text);
        assert!(problems.is_empty(), "{problems:?}");
        let mut out = String::new();
        node.unwrap()
            .write_json(&mut out, &mut |text| text.to_owned());
        out
    }

    #[test]
    fn values_become_json() {
        assert_eq!(
            json(
                "{a: 1, b: -2, c: 0.7, d: true, e: null, f: [x, \"q\\\"\\n\"], 404: y, g: 1.0, h: 18446744073709551615}"
            ),
            r#"{"a":1,"b":-2,"c":0.7,"d":true,"e":null,"f":["x","q\"\n"],"404":"y","g":1.0,"h":18446744073709551615}"#
        );
        let large: serde_json::Value = serde_json::from_str(&json("x: 1e30")).unwrap();
        assert_eq!(large["x"], 1e30);
    }

    #[test]
    fn numbers_that_json_cannot_hold_are_problems_with_a_path() {
        let text = "a: [.nan, .inf, 1, -.inf]\nb: {c: 1e400, d: 12345678901234567890123, e: -12345678901234567890123}\nf: 1234567890123456789012345678901234567890123\n";
        let (_, problems) = read(text);
        let paths: Vec<_> = problems
            .iter()
            .map(|p| p.split(':').next().unwrap())
            .collect();
        assert_eq!(paths, ["a[0]", "a[1]", "a[3]", "b.c", "b.d", "b.e", "f"]);
    }

    #[test]
    fn duplicate_keys_are_all_named() {
        let (_, problems) = read("a: 1\nb:\n  - {c: 1, c: 2}\na: 3\n\"d e\": {f: 1, f: 1}\n");
        assert_eq!(
            problems,
            [
                "b[0].c: this key is there twice",
                "a: this key is there twice",
                "[\"d e\"].f: this key is there twice"
            ]
        );
    }

    #[test]
    fn tags_merge_keys_and_odd_keys_are_problems() {
        let (_, problems) = read("a: !secret x\nb: &b {c: 1}\nd: {<<: *b}\n[1]: 2\n");
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(problems[0].starts_with("a: a YAML tag"));
        assert!(problems[1].starts_with("d[\"<<\"]: merge keys"));
        assert!(problems[2].starts_with("a key must be text, found a list"));
    }

    #[test]
    fn broken_yaml_names_the_line() {
        let (node, problems) = read("a: 1\n b: [\n");
        assert!(node.is_none());
        assert!(problems[0].contains("line"), "{problems:?}");
    }

    #[test]
    fn two_documents_are_refused() {
        assert!(read("a: 1\n---\nb: 2\n").0.is_none());
    }

    #[test]
    fn a_file_of_comments_is_empty() {
        for text in ["", "\n", "# nothing\n", "---\n", "\u{feff}# x\n"] {
            assert_eq!(read(text), (Some(Node::Null), vec![]), "{text:?}");
        }
    }

    #[test]
    fn billion_laughs_depth_and_size_are_bounded() {
        let mut laughs = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..10 {
            let items = vec![format!("*a{}", level - 1); 10].join(", ");
            laughs.push_str(&format!("a{level}: &a{level} [{items}]\n"));
        }
        assert!(read(&laughs).0.is_none());

        let long = format!(
            "a: &a {}\nb: [{}]\n",
            "x".repeat(1 << 20),
            vec!["*a"; 40].join(", ")
        );
        let (node, problems) = read(&long);
        assert!(
            node.is_none() && problems[0].contains("too much text"),
            "{problems:?}"
        );

        assert!(read(&"[".repeat(10_000)).0.is_none());
        let deep = format!("{}{}", "[".repeat(1_000), "]".repeat(1_000));
        assert!(read(&deep).0.is_none());
        assert!(read(&" ".repeat(FILE_BYTES_MAX + 1)).0.is_none());
    }

    #[test]
    fn what_is_rendered_reads_back_as_itself() {
        let texts = [
            "yes",
            "null",
            "1",
            "1e3",
            "0x1f",
            "~",
            "",
            " a ",
            "a: b",
            "- a",
            "# a",
            "a\nb\n",
            "\t",
            "é•",
            "${X}",
            "\u{0}\u{7}",
            "!x",
            "&a",
            "*a",
            "'",
            "\"",
            "a\r\nb",
            "\u{2028}",
            "2001-01-01",
            ".nan",
            "<<",
        ];
        let mut map = vec![];
        for text in texts {
            map.push((
                text.to_owned(),
                Node::List(vec![Node::from(text), Node::Null]),
            ));
        }
        map.retain(|(key, _)| key != "<<");
        let numbers = [
            Node::Float(1.0),
            Node::Float(0.1),
            Node::Float(1e300),
            Node::Unsigned(u64::MAX),
            Node::Signed(i64::MIN),
            Node::Bool(true),
            Node::Map(vec![]),
            Node::List(vec![]),
        ];
        map.push(("numbers".into(), Node::List(numbers.to_vec())));
        let tree = Node::Map(map);
        let text = tree.render().unwrap();
        assert_eq!(read(&text), (Some(tree), vec![]));
    }

    #[test]
    fn a_tree_that_would_not_read_back_is_not_rendered() {
        assert!(Node::Float(f64::INFINITY).render().is_err());
        let twice = vec![("a".to_owned(), Node::Null), ("a".to_owned(), Node::Null)];
        assert!(Node::Map(twice).render().is_err());
    }
}
