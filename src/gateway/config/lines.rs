//! Where in a file something stands, for whoever has to mend it: the line of a path, the line of a byte, and what YAML's own
//! messages mean. Asked only when something is wrong, so it may read the file again.

use super::Findings;
use super::node::push_key;
use serde::de::{self, DeserializeSeed, Deserializer, EnumAccess, IgnoredAny, MapAccess};
use serde::de::{SeqAccess, VariantAccess};
use std::collections::HashSet;
use std::fmt::{self, Write};

/// What is read again to find lines is no more than this; what is found after it has a path, but no line.
const READ_AGAIN_BYTES_MAX: usize = 4 << 20;

/// Adds its line to each finding that has a path. One whose path is not in the file (a key that is missing) gets the line of
/// what it is missing from.
pub fn locate(text: &str, findings: &mut Findings) {
    let all = || findings.problems.iter().chain(&findings.warnings);
    let paths: HashSet<String> = all().map(|found| found.path.clone()).collect();
    if all().all(|found| found.path.is_empty()) {
        return;
    }
    let mut there = Walk {
        found: HashSet::new(),
        wanted: paths.iter().flat_map(|path| ancestors(path)).collect(),
        fails_at: None,
        path: String::new(),
    };
    if Seed(&mut there).deserialize(yaml(text)).is_err() {
        return;
    }
    let found = there.found;
    let mut room = READ_AGAIN_BYTES_MAX;
    let of_file = findings.problems.iter_mut().chain(&mut findings.warnings);
    for one in of_file.filter(|one| !one.path.is_empty()) {
        let nearest = ancestors(&one.path).find(|path| found.contains(*path));
        let Some(place) = nearest.filter(|_| room >= text.len()) else {
            continue;
        };
        room -= text.len();
        let mut walk = Walk {
            found: HashSet::new(),
            wanted: HashSet::new(),
            fails_at: Some(place),
            path: String::new(),
        };
        let stop = Seed(&mut walk).deserialize(yaml(text)).err();
        if let Some(location) = stop.and_then(|stop| stop.location()) {
            one.line = Some(location.line());
        }
    }
}

fn yaml(text: &str) -> serde_yaml::Deserializer<'_> {
    serde_yaml::Deserializer::from_str(text)
}

/// The path itself, then what holds it, and so on. Some of them are no paths, where a key has a dot or bracket in it: those
/// are never met.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| {
        let end = path.rfind(['.', '['])?;
        (end > 0).then(|| &path[..end])
    })
}

/// The line of a byte of the text, from 1.
pub fn line_of(text: &[u8], at: usize) -> usize {
    1 + text[..at.min(text.len())]
        .iter()
        .filter(|&&byte| byte == b'\n')
        .count()
}

/// What YAML's reader says is wrong with the text, with what to do about it. It quotes nothing of the text, which may be a key.
pub fn sentence(error: &serde_yaml::Error, text: &str) -> String {
    let said = error.to_string();
    let at = error.location().map(|location| location.index());
    let character = at.and_then(|at| text.get(at..)?.chars().next());
    let has = |part: &str| said.contains(part);
    let hint = match () {
        () if has("more than one document") => {
            return "the file holds more than one YAML document, or text after the end of the first: leave one".into();
        }
        () if has("repetition limit") => {
            return "the YAML aliases (*name) of this file add up to too much".into();
        }
        () if has("recursion limit") => "it is nested too deeply, or an alias holds itself",
        () if has("unknown anchor") => "a value that begins with * needs quotes",
        () if has("cannot start any token") && character == Some('\t') => {
            "YAML is indented with blanks, not with tabs"
        }
        () if has("cannot start any token") => "a value that begins with %, @ or ` needs quotes",
        () if has("mapping values are not allowed") => {
            "a value with a colon and a blank in it needs quotes, or the line before lacks its colon or is indented differently"
        }
        () if has("end of stream") || has("document indicator") => {
            "a quote is opened and not closed"
        }
        () if has("did not find expected") => {
            "look at indentation, brackets, commas and quotes there and in the line before"
        }
        () => "",
    };
    // A value that does not fit its YAML tag is quoted by the reader.
    let said = match said.contains(['"', '`']) {
        true => match error.location() {
            Some(location) => format!("a value does not fit its tag at line {}", location.line()),
            None => "a value does not fit its tag".into(),
        },
        false => said,
    };
    match hint {
        "" => format!("not valid YAML: {said}"),
        hint => format!("not valid YAML: {said}: {hint}"),
    }
}

/// A walk over the file that keeps no value: it notes which paths are there, or stops with an error at one of them, and an
/// error of `serde_yaml` knows its line.
struct Walk<'p> {
    found: HashSet<&'p str>,
    wanted: HashSet<&'p str>,
    fails_at: Option<&'p str>,
    path: String,
}

impl Walk<'_> {
    /// The walk has come to `path`.
    fn meets<E: de::Error>(&mut self) -> Result<(), E> {
        let path = super::shown_path(&self.path);
        if self.fails_at == Some(&*path) {
            return Err(E::custom("here"));
        }
        if let Some(path) = self.wanted.get(&*path) {
            self.found.insert(path);
        }
        Ok(())
    }
}

struct Seed<'w, 'p>(&'w mut Walk<'p>);

impl<'de> DeserializeSeed<'de> for Seed<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> de::Visitor<'de> for Seed<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u128<E: de::Error>(self, _: u128) -> Result<(), E> {
        Ok(())
    }

    fn visit_i128<E: de::Error>(self, _: i128) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let length = self.0.path.len();
        for index in 0.. {
            // Writing to a String cannot fail.
            let _ = write!(self.0.path, "[{index}]");
            let item = list.next_element_seed(Item(self.0))?;
            self.0.path.truncate(length);
            if item.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let length = self.0.path.len();
        while map.next_key_seed(Key(self.0))?.is_some() {
            map.next_value_seed(Seed(self.0))?;
            self.0.path.truncate(length);
        }
        Ok(())
    }

    fn visit_enum<A: EnumAccess<'de>>(self, tagged: A) -> Result<(), A::Error> {
        let (_, value) = tagged.variant::<IgnoredAny>()?;
        value.newtype_variant_seed(Seed(self.0))
    }
}

/// A key: the path grows by it, and is met on its line.
struct Key<'w, 'p>(&'w mut Walk<'p>);

impl<'de> DeserializeSeed<'de> for Key<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> de::Visitor<'de> for Key<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: de::Error>(self, key: &str) -> Result<(), E> {
        push_key(&mut self.0.path, key);
        self.0.meets()
    }
}

/// An element of a list, which is met where it begins.
struct Item<'w, 'p>(&'w mut Walk<'p>);

impl<'de> DeserializeSeed<'de> for Item<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let met: Result<(), D::Error> = self.0.meets();
        match met {
            Ok(()) => Seed(self.0).deserialize(deserializer),
            // Only the deserializer knows the place.
            Err(_) => deserializer.deserialize_any(Stop),
        }
    }
}

/// Fails at whatever it is shown.
struct Stop;

impl<'de> de::Visitor<'de> for Stop {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nothing")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::config::Problem;

    fn lines(text: &str, paths: &[&str]) -> Vec<Option<usize>> {
        let mut findings = Findings::default();
        for path in paths {
            findings.problems.push(Problem::new(*path, "x"));
        }
        locate(text, &mut findings);
        findings.problems.iter().map(|found| found.line).collect()
    }

    const FILE: &str = "# first\nproxy: null\nupstreams:\n  - name: a\n    base_url: x\n    auth:\n      type: api_key\n      key: &k 5\n\n  - {name: b, flags: {x.y: 1,\n      z: *k}}\n  -\n";

    #[test]
    fn a_path_has_the_line_of_its_key_or_of_what_lacks_it() {
        let paths = [
            "proxy",
            "upstreams",
            "upstreams[0]",
            "upstreams[0].auth.key",
            "upstreams[0].auth.nothing",
            "upstreams[1].base_url",
            "upstreams[1].flags[\"x.y\"]",
            "upstreams[1].flags.z",
            "upstreams[2]",
            "upstreams[3]",
            "limits.max_body_mb",
            "",
        ];
        let expected = [2, 3, 4, 8, 6, 10, 10, 11, 12, 3, 0, 0];
        let expected = expected.map(|line| (line > 0).then_some(line));
        assert_eq!(lines(FILE, &paths), expected);
        let crlf = FILE.replace('\n', "\r\n");
        assert_eq!(lines(&crlf, &paths), expected);
    }

    #[test]
    fn a_key_like_word_is_found_under_its_mask() {
        let secret = "sk-0123456789abcdefghij";
        let text = format!("a: 1\n{secret}: 2\n");
        assert_eq!(lines(&text, &[secret]), [Some(2)]);
    }

    #[test]
    fn the_work_for_a_large_file_is_bounded() {
        let text = format!("a: 1\nb: {}\n", "x".repeat(READ_AGAIN_BYTES_MAX / 3));
        assert_eq!(
            lines(&text, &["b"; 5]),
            [Some(2), Some(2), None, None, None]
        );
    }

    #[test]
    fn yamls_own_messages_say_what_to_do_and_quote_nothing() {
        let said = |text: &str| {
            let result = Seed(&mut Walk {
                found: HashSet::new(),
                wanted: HashSet::new(),
                fails_at: None,
                path: String::new(),
            })
            .deserialize(yaml(text));
            sentence(&result.unwrap_err(), text)
        };
        let cases = [
            ("a:\n\t- b\n", "not with tabs"),
            ("a: @secret\n", "needs quotes"),
            ("a: *secret\n", "begins with *"),
            ("a: secret: x\n", "a colon and a blank"),
            ("a: \"secret\n", "not closed"),
            ("a: [secret\nb: 1\n", "brackets"),
            ("a: 1\n---\nb: secret\n", "more than one YAML document"),
            ("a: !!int secret\n", "does not fit its tag at line 1"),
        ];
        for (text, hint) in cases {
            let said = said(text);
            assert!(said.contains(hint), "{text:?}: {said}");
            assert!(!said.contains("secret"), "{text:?}: {said}");
        }
    }
}
