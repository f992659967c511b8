//! A JSON Schema as Claude's structured output takes it (protocols.md 5.9): what it does not know moves into descriptions, every
//! object is closed, and what cannot be said at all is an error. Deterministic; key order and numbers stay as they were.

use super::render::{Elements, Members};
use super::text::Text;
use crate::wire::json::{JsonKind, Object, Raw};
use std::borrow::Cow;
use std::collections::HashMap;

/// Deeper schemas are not looked into.
const DEPTH_MAX: usize = 64;
/// Properties that may be left out, in all; beyond about this many the compiler of grammars gives up (observed).
const OPTIONAL_MAX: usize = 24;
/// Formats that are known.
const FORMATS: [&str; 9] = [
    "date-time",
    "time",
    "date",
    "duration",
    "email",
    "hostname",
    "uri",
    "ipv4",
    "ipv6",
];

type Reason = Cow<'static, str>;

/// The schema, sanitised.
///
/// # Errors
/// Why it cannot be represented: recursion, open objects, too many optional properties, or no schema at all.
pub fn sanitise(schema: &str) -> Result<String, Reason> {
    let raw = Raw::parse(schema).map_err(|_| Reason::from("the schema is no JSON"))?;
    refuse_recursion(raw)?;
    let mut pass = Pass { optional: 0 };
    let mut out = Vec::with_capacity(schema.len() + 128);
    pass.node(raw, 0, &mut out)?;
    if pass.optional > OPTIONAL_MAX {
        return Err(format!("the schema has more than {OPTIONAL_MAX} optional properties").into());
    }
    Ok(String::from_utf8(out).unwrap_or_default()) // made of str
}

struct Pass {
    optional: usize,
}

impl Pass {
    fn node(&mut self, raw: Raw<'_>, depth: usize, out: &mut Vec<u8>) -> Result<(), Reason> {
        if depth > DEPTH_MAX {
            return Err("the schema is nested too deeply".into());
        }
        let Ok(object) = raw.as_object() else {
            return Err("a part of the schema is no object".into());
        };
        let is_object = object.get("properties").is_some() || says_object(&object);
        if is_object {
            self.check_object(&object)?;
        }
        let mut notes = String::new();
        let mut failed = None;
        Members::object(out, |m| {
            for (key, value) in object.iter() {
                let done = match key {
                    "properties" | "$defs" | "definitions" => self.map(key, value, depth, m),
                    "items" | "additionalItems" => self.node(value, depth + 1, m.key(key)),
                    "anyOf" | "oneOf" | "allOf" | "prefixItems" => {
                        let name = if key == "oneOf" { "anyOf" } else { key };
                        self.list(name, value, depth, m)
                    }
                    "type" | "enum" | "const" | "title" | "required" | "$ref" => {
                        m.raw(key, value.text());
                        Ok(())
                    }
                    "format"
                        if value
                            .as_str()
                            .is_some_and(|word| FORMATS.contains(&&*word) || word == "uuid") =>
                    {
                        m.raw(key, value.text());
                        Ok(())
                    }
                    "minItems" if matches!(value.as_u64(), Some(0 | 1)) => {
                        m.raw(key, value.text());
                        Ok(())
                    }
                    "description"
                    | "additionalProperties"
                    | "$schema"
                    | "$id"
                    | "$comment"
                    | "nullable" => Ok(()),
                    _ => {
                        if !notes.is_empty() {
                            notes.push_str(", ");
                        }
                        notes.push_str(&format!("{key}: {}", value.text()));
                        Ok(())
                    }
                };
                if let Err(reason) = done {
                    failed.get_or_insert(reason);
                }
            }
            if is_object {
                m.bool("additionalProperties", false);
            }
            describe(&object, &notes, m);
        });
        failed.map_or(Ok(()), Err)
    }

    fn map(
        &mut self,
        key: &str,
        value: Raw<'_>,
        depth: usize,
        m: &mut Members<'_>,
    ) -> Result<(), Reason> {
        let map = value
            .as_object()
            .map_err(|_| Reason::from("properties are no object"))?;
        let mut failed = None;
        m.nested(key, |m| {
            for (name, schema) in map.iter() {
                let name = Text::plain(name);
                if let Err(reason) = self.node(schema, depth + 1, m.key(name.as_escaped())) {
                    failed.get_or_insert(reason);
                }
            }
        });
        failed.map_or(Ok(()), Err)
    }

    fn list(
        &mut self,
        key: &str,
        value: Raw<'_>,
        depth: usize,
        m: &mut Members<'_>,
    ) -> Result<(), Reason> {
        let list = value
            .elements()
            .map_err(|_| Reason::from("alternatives are no array"))?;
        let mut failed = None;
        m.array(key, |elements: &mut Elements<'_>| {
            for schema in list {
                if let Err(reason) = self.node(schema, depth + 1, elements.item()) {
                    failed.get_or_insert(reason);
                }
            }
        });
        failed.map_or(Ok(()), Err)
    }

    fn check_object(&mut self, object: &Object<'_>) -> Result<(), Reason> {
        let closed = match object.get("additionalProperties") {
            None => false,
            Some(more) if more.as_bool() == Some(false) => true,
            Some(_) => return Err("the schema has an object with free keys".into()),
        };
        if object.get("patternProperties").is_some() {
            return Err("the schema has an object with free keys".into());
        }
        let Some(properties) = object
            .get("properties")
            .and_then(|map| map.as_object().ok())
        else {
            return if closed {
                Ok(())
            } else {
                Err("the schema has an object without properties".into())
            };
        };
        let required = object
            .get("required")
            .and_then(|list| list.elements().ok())
            .map_or(0, Iterator::count);
        self.optional += properties.len().saturating_sub(required);
        Ok(())
    }
}

fn says_object(object: &Object<'_>) -> bool {
    match object.get("type") {
        Some(kind) if kind.kind() == JsonKind::Array => kind.elements().is_ok_and(|mut kinds| {
            kinds.any(|kind| kind.as_str().is_some_and(|word| word == "object"))
        }),
        Some(kind) => kind.as_str().is_some_and(|word| word == "object"),
        None => false,
    }
}

/// The description, with what the schema can no longer say in brackets behind it.
fn describe(object: &Object<'_>, notes: &str, m: &mut Members<'_>) {
    let said = object.get("description").and_then(|text| text.as_str());
    match (said, notes) {
        (None, "") => {}
        (Some(said), "") => {
            m.str("description", &said);
        }
        (None, notes) => {
            m.str("description", &format!("({notes})"));
        }
        (Some(said), notes) => {
            m.str("description", &format!("{said} ({notes})"));
        }
    }
}

/// A definition that leads back to itself has no finite grammar.
fn refuse_recursion(root: Raw<'_>) -> Result<(), Reason> {
    let recursive = || Reason::from("the schema is recursive");
    let Ok(object) = root.as_object() else {
        return Ok(()); // the pass says so
    };
    let mut names: HashMap<String, usize> = HashMap::new();
    let mut targets = Vec::new();
    for key in ["$defs", "definitions"] {
        let Some(Ok(map)) = object.get(key).map(Raw::as_object) else {
            continue;
        };
        for (name, schema) in map.iter() {
            names.insert(format!("#/{key}/{name}"), targets.len());
            targets.push(references(schema, 0));
        }
    }
    if references(root, 0).iter().any(|target| target == "#") {
        return Err(recursive());
    }
    // Takes away definitions that refer to none that is left, one after the other; what stays is a cycle.
    let mut refers = vec![0; targets.len()];
    let mut referred: Vec<Vec<usize>> = vec![Vec::new(); targets.len()];
    for (at, targets) in targets.iter().enumerate() {
        for &target in targets.iter().filter_map(|target| names.get(target)) {
            refers[at] += 1;
            referred[target].push(at);
        }
    }
    let mut free: Vec<usize> = (0..targets.len()).filter(|&at| refers[at] == 0).collect();
    let mut left = targets.len();
    while let Some(done) = free.pop() {
        left -= 1;
        for &at in &referred[done] {
            refers[at] -= 1;
            if refers[at] == 0 {
                free.push(at);
            }
        }
    }
    if left > 0 { Err(recursive()) } else { Ok(()) }
}

fn references(raw: Raw<'_>, depth: usize) -> Vec<String> {
    if depth > DEPTH_MAX {
        return Vec::new();
    }
    match raw.kind() {
        JsonKind::Object => {
            let Ok(object) = raw.as_object() else {
                return Vec::new();
            };
            let mut found = Vec::new();
            for (key, value) in object.iter() {
                if key == "$ref" {
                    found.extend(value.as_str().map(Cow::into_owned));
                } else {
                    found.extend(references(value, depth + 1));
                }
            }
            found
        }
        JsonKind::Array => raw
            .elements()
            .map(|list| {
                list.flat_map(|value| references(value, depth + 1))
                    .collect()
            })
            .unwrap_or_default(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_keywords_move_into_the_description() {
        let schema = r#"{"$schema":"x","type":"object","properties":{"n":{"type":"integer","minimum":1,"description":"count"},"u":{"oneOf":[{"type":"string","maxLength":5},{"type":"null"}]}},"required":["n","u"]}"#;
        assert_eq!(
            sanitise(schema).unwrap(),
            r#"{"type":"object","properties":{"n":{"type":"integer","description":"count (minimum: 1)"},"u":{"anyOf":[{"type":"string","description":"(maxLength: 5)"},{"type":"null"}]}},"required":["n","u"],"additionalProperties":false}"#
        );
    }

    #[test]
    fn what_is_clean_stays() {
        let schema = r#"{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"],"additionalProperties":false}"#;
        assert_eq!(sanitise(schema).unwrap(), schema);
        let defs =
            r##"{"type":"array","items":{"$ref":"#/$defs/a"},"$defs":{"a":{"type":"string"}}}"##;
        assert_eq!(sanitise(defs).unwrap(), defs);
    }

    #[test]
    fn what_cannot_be_said_is_an_error() {
        for bad in [
            r##"{"type":"object","properties":{"a":{"$ref":"#"}}}"##,
            r##"{"$ref":"#/$defs/a","$defs":{"a":{"$ref":"#/$defs/b"},"b":{"items":{"$ref":"#/$defs/a"}}}}"##,
            r#"{"type":"object","additionalProperties":{"type":"string"}}"#,
            r#"{"type":"object"}"#,
            "true",
            "[",
        ] {
            assert!(sanitise(bad).is_err(), "{bad}");
        }
        let many: Vec<String> = (0..30)
            .map(|n| format!(r#""p{n}":{{"type":"string"}}"#))
            .collect();
        assert!(sanitise(&format!(r#"{{"properties":{{{}}}}}"#, many.join(","))).is_err());
        // A long row of definitions is no circle, and is looked through once.
        let row: Vec<String> = (0..16_000)
            .map(|n| format!(r##""d{n}":{{"$ref":"#/$defs/d{}"}}"##, n + 1))
            .collect();
        let of = |last: &str| format!(r#"{{"$defs":{{{},"d16000":{last}}}}}"#, row.join(","));
        assert_eq!(sanitise(&of("{}")).err(), None);
        assert!(sanitise(&of(r##"{"$ref":"#/$defs/d0"}"##)).is_err());
        let deep = r#"{"items":"#.repeat(10_000) + "{}" + &"}".repeat(10_000);
        assert!(sanitise(&deep).is_err());
    }
}
