//! The hand that walks the tree: typed looks at a mapping, `${NAME}` expansion, and a note of everything that is wrong on the way.
//! A look that fails says why once and answers `None`, so that the walk goes on; `null` is the same as leaving a key out.

use super::keys::Section;
use super::node::{Node, push_key};
use super::secret::is_name;
use super::{Findings, Secret};
use crate::wire::text::nearest;
use std::fmt::Write;
use std::time::Duration;

/// The longest time any setting may name: a week.
const SECONDS_MAX: f64 = 604_800.0;
/// The largest size any setting may name: a tebibyte.
const MEBIBYTES_MAX: f64 = 1_048_576.0;

/// What becomes of `${NAME}` in the file's strings.
#[derive(Clone, Copy)]
pub enum Expand<'a> {
    /// Nothing: for showing and saving.
    Raw,
    /// Replaced by what this answers for NAME: for running.
    With(&'a dyn Fn(&str) -> Option<String>),
}

/// A walk and what it found.
pub(super) struct Walk<'a> {
    pub expand: Expand<'a>,
    pub found: Findings,
}

/// One mapping of the file, with its place.
pub(super) struct Map<'n> {
    pub path: String,
    entries: &'n [(String, Node)],
}

impl<'a> Walk<'a> {
    pub fn new(expand: Expand<'a>) -> Walk<'a> {
        Walk {
            expand,
            found: Findings::default(),
        }
    }

    pub fn problem(&mut self, path: &str, message: impl Into<String>) {
        self.found.problem(path, message);
    }

    fn wrong(&mut self, path: &str, expected: &str, node: &Node) {
        self.problem(path, format!("expected {expected}, found {}", node.kind()));
    }

    /// The mapping at `path`; a key that its section does not know is a warning.
    pub fn map<'n>(&mut self, path: &str, node: &'n Node, section: &Section) -> Option<Map<'n>> {
        let map = self.free_map(path, node)?;
        for (key, _) in map.entries {
            if section.keys.contains(&key.as_str()) || section.legacy.contains(&key.as_str()) {
                continue;
            }
            if key == "<<" {
                continue; // a problem already
            }
            let message = match meant(key, section.keys) {
                Some(close) => format!("unknown key, ignored; did you mean {close}?"),
                None => format!(
                    "unknown key, ignored; known here: {}",
                    section.keys.join(", ")
                ),
            };
            self.found.warning(map.place(key), message);
        }
        Some(map)
    }

    /// A mapping whose keys are the user's own.
    pub fn free_map<'n>(&mut self, path: &str, node: &'n Node) -> Option<Map<'n>> {
        let Node::Map(entries) = node else {
            self.wrong(path, "a mapping", node);
            return None;
        };
        Some(Map {
            path: path.to_owned(),
            entries,
        })
    }

    /// The elements of a list with their places.
    pub fn list<'n>(&mut self, path: &str, node: &'n Node) -> Vec<(String, &'n Node)> {
        let Node::List(items) = node else {
            self.wrong(path, "a list (each entry begins with \"- \")", node);
            return Vec::new();
        };
        let place = |(index, item)| (format!("{path}[{index}]"), item);
        items.iter().enumerate().map(place).collect()
    }

    pub fn text(&mut self, path: &str, node: &Node) -> Option<String> {
        match node {
            Node::Text(text) => Some(self.expanded(path, text)),
            other => {
                let hint = match other {
                    Node::Bool(_) | Node::Unsigned(_) | Node::Signed(_) | Node::Float(_) => {
                        "text (put it in quotes)"
                    }
                    _ => "text",
                };
                self.wrong(path, hint, other);
                None
            }
        }
    }

    /// The text with each `${NAME}` replaced and `$${` made `${`. A missing variable is a problem that names it.
    pub fn expanded(&mut self, path: &str, text: &str) -> String {
        let Expand::With(lookup) = self.expand else {
            return text.to_owned();
        };
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            if rest[..at].ends_with('$') {
                out.push_str(&rest[..at]);
                out.push('{');
                rest = &rest[at + 2..];
                continue;
            }
            out.push_str(&rest[..at]);
            let name = rest[at + 2..].split('}').next().unwrap_or_default();
            if !is_name(name) || !rest[at + 2 + name.len()..].starts_with('}') {
                self.problem(
                    path,
                    "${ without a variable's name and }; write $${ for ${ itself",
                );
                return out;
            }
            match lookup(name) {
                Some(value) => {
                    if value.is_empty() {
                        let message = format!("the environment variable {name} is empty");
                        self.found.warning(path, message);
                    }
                    out.push_str(&value);
                }
                None => self.problem(path, format!("the environment variable {name} is not set")),
            }
            rest = &rest[at + 3 + name.len()..];
        }
        out.push_str(rest);
        out
    }

    /// A value as JSON, strings expanded.
    pub fn json(&mut self, path: &str, node: &Node) -> String {
        let mut out = String::new();
        node.write_json(&mut out, &mut |text| self.expanded(path, text));
        out
    }

    /// A name or address: text that is not empty, without control characters and without white space around it.
    pub fn name(&mut self, path: &str, node: &Node) -> Option<String> {
        let text = self.text(path, node)?;
        if text.trim().is_empty() {
            self.problem(path, "must not be empty");
            return None;
        }
        if text.trim() != text || text.chars().any(char::is_control) {
            self.problem(path, "holds a control character, or white space around it");
            return None;
        }
        Some(text)
    }

    /// A key or password: empty counts as none.
    pub fn secret(&mut self, path: &str, node: &Node) -> Option<Secret> {
        let text = self.text(path, node)?;
        let text = text.trim_matches(' ');
        if text.chars().any(char::is_control) {
            self.problem(path, "the key holds a control character (a line end?)");
            return None;
        }
        if super::secret::is_masked(text) {
            self.problem(path, "this is the mask of a key, not a key");
            return None;
        }
        if let Some(doubt) = doubt(text) {
            self.found.warning(path, doubt);
        }
        (!text.is_empty()).then(|| Secret::new(text))
    }
}

impl<'n> Map<'n> {
    /// A mapping of nothing, at the top.
    pub fn empty() -> Map<'n> {
        Map {
            path: String::new(),
            entries: &[],
        }
    }

    /// The path of a member.
    pub fn place(&self, key: &str) -> String {
        let mut path = self.path.clone();
        push_key(&mut path, key);
        path
    }

    /// The member; `null` counts as none.
    pub fn get(&self, key: &str) -> Option<&'n Node> {
        let (_, node) = self.entries.iter().find(|(k, _)| k == key)?;
        (*node != Node::Null).then_some(node)
    }

    /// All members with their places.
    pub fn members(&self) -> impl Iterator<Item = (&'n str, String, &'n Node)> + use<'_, 'n> {
        let entries = self.entries.iter();
        entries.map(|(key, node)| (key.as_str(), self.place(key), node))
    }

    pub fn text(&self, walk: &mut Walk<'_>, key: &str) -> Option<String> {
        walk.text(&self.place(key), self.get(key)?)
    }

    pub fn name(&self, walk: &mut Walk<'_>, key: &str) -> Option<String> {
        walk.name(&self.place(key), self.get(key)?)
    }

    /// A [`Walk::name`] that must be there; empty after a problem.
    pub fn required(&self, walk: &mut Walk<'_>, key: &str) -> String {
        match self.get(key) {
            Some(node) => walk.name(&self.place(key), node).unwrap_or_default(),
            None => {
                walk.problem(&self.place(key), "is missing");
                String::new()
            }
        }
    }

    pub fn secret(&self, walk: &mut Walk<'_>, key: &str) -> Option<Secret> {
        walk.secret(&self.place(key), self.get(key)?)
    }

    pub fn flag(&self, walk: &mut Walk<'_>, key: &str) -> Option<bool> {
        match self.get(key)? {
            Node::Bool(value) => Some(*value),
            other => {
                walk.wrong(&self.place(key), "true or false", other);
                None
            }
        }
    }

    /// One of a closed set of words.
    pub fn word<T: Copy>(
        &self,
        walk: &mut Walk<'_>,
        key: &str,
        words: &[(&'static str, T)],
    ) -> Option<T> {
        let path = self.place(key);
        let text = walk.text(&path, self.get(key)?)?;
        let found = words.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let mut message = String::from("must be one of ");
            for (index, (word, _)) in words.iter().enumerate() {
                let comma = if index > 0 { ", " } else { "" };
                let _ = write!(message, "{comma}{word}"); // writing to a String cannot fail
            }
            let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            if let Some(close) = similar(&text, &words) {
                let _ = write!(message, "; did you mean {close}?");
            }
            walk.problem(&path, message);
        }
        found.map(|(_, value)| *value)
    }

    fn number(
        &self,
        walk: &mut Walk<'_>,
        key: &str,
        what: &str,
        least: f64,
        most: f64,
    ) -> Option<f64> {
        let path = self.place(key);
        let value = match self.get(key)? {
            Node::Unsigned(value) => *value as f64,
            Node::Signed(value) => *value as f64,
            Node::Float(value) => *value,
            Node::Text(text) => {
                let hint = match text.contains("${") {
                    true => "${NAME} is read in texts only",
                    false => "write it without quotes and without a unit",
                };
                walk.problem(&path, format!("expected {what}, found text: {hint}"));
                return None;
            }
            other => {
                walk.wrong(&path, what, other);
                return None;
            }
        };
        if value < least || value > most {
            walk.problem(&path, format!("must be {what} from {least} to {most}"));
            return None;
        }
        Some(value)
    }

    /// A time of at least a millisecond, written in seconds.
    pub fn seconds(&self, walk: &mut Walk<'_>, key: &str) -> Option<Duration> {
        let seconds = self.number(walk, key, "a number of seconds", 0.001, SECONDS_MAX)?;
        Some(Duration::from_secs_f64(seconds))
    }

    /// A time of at least 60 milliseconds, written in minutes.
    pub fn minutes(&self, walk: &mut Walk<'_>, key: &str) -> Option<Duration> {
        let most = SECONDS_MAX / 60.0;
        let minutes = self.number(walk, key, "a number of minutes", 0.001, most)?;
        Some(Duration::from_secs_f64(minutes * 60.0))
    }

    /// A size in bytes, written in mebibytes.
    pub fn mebibytes(&self, walk: &mut Walk<'_>, key: &str, least: f64) -> Option<u64> {
        let size = self.number(walk, key, "a number of MB", least, MEBIBYTES_MAX)?;
        Some((size * 1_048_576.0) as u64)
    }

    /// An integer from 1 on.
    pub fn count(&self, walk: &mut Walk<'_>, key: &str, most: u64) -> Option<u64> {
        match self.get(key)? {
            Node::Unsigned(value) if (1..=most).contains(value) => Some(*value),
            _ => {
                walk.problem(
                    &self.place(key),
                    format!("must be an integer from 1 to {most}"),
                );
                None
            }
        }
    }
}

/// The known key that was probably meant: a similar one, or one that `word` is the end of, as `url` is of `base_url`.
fn meant(word: &str, known: &[&'static str]) -> Option<&'static str> {
    let ends = |key: &&&'static str| {
        let rest = key.strip_suffix(word);
        rest.is_some_and(|rest| rest.ends_with('_'))
    };
    similar(word, known).or_else(|| known.iter().find(ends).copied())
}

/// What is probably wrong with a key that could be sent.
fn doubt(key: &str) -> Option<&'static str> {
    if key
        .get(..7)
        .is_some_and(|start| start.eq_ignore_ascii_case("bearer "))
    {
        return Some("begins with Bearer, which is added where it is needed: leave it out");
    }
    if key.strip_prefix('$').is_some_and(is_name) {
        return Some("looks like an environment variable: write ${NAME}");
    }
    let odd = key.contains(|c: char| c == ' ' || !c.is_ascii());
    odd.then_some(
        "holds a blank or a character beyond ASCII: is it all of the key, and only the key?",
    )
}

/// The known name that `word` was probably meant to be: the nearest one, if it begins in the same way.
pub(super) fn similar(word: &str, known: &[&'static str]) -> Option<&'static str> {
    let start = word.get(..2)?;
    let mut near = nearest(word, known.iter().copied(), 3).into_iter();
    near.find(|name| name.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> (String, Vec<String>) {
        let lookup = |name: &str| (name == "KEY").then(|| "v${KEY}".to_owned());
        let mut walk = Walk::new(Expand::With(&lookup));
        let text = walk.expanded("p", text);
        let problems = walk.found.problems.iter();
        (text, problems.map(ToString::to_string).collect())
    }

    #[test]
    fn references_are_expanded_once_and_escapes_kept() {
        assert_eq!(expanded("a ${KEY} b${KEY}").0, "a v${KEY} bv${KEY}");
        assert_eq!(expanded("$${KEY}").0, "${KEY}");
        assert_eq!(expanded("cost $5 $ {x} $").0, "cost $5 $ {x} $");
        assert_eq!(expanded("$${").0, "${");
        assert!(expanded("$${KEY} $KEY").1.is_empty());
    }

    #[test]
    fn a_missing_variable_and_a_broken_reference_are_problems() {
        assert_eq!(
            expanded("${NOPE}").1,
            ["p: the environment variable NOPE is not set"]
        );
        for text in ["${", "${}", "${KEY", "${1A}", "${a b}"] {
            assert_eq!(expanded(text).1.len(), 1, "{text}");
        }
    }

    #[test]
    fn raw_keeps_references() {
        let mut walk = Walk::new(Expand::Raw);
        assert_eq!(walk.expanded("p", "${NOPE} $${"), "${NOPE} $${");
        assert!(walk.found.problems.is_empty());
    }
}
