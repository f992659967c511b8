use super::*;
use crate::wire::dice::Dice;
use crate::wire::json::validate;

fn apply(text: &str, edits: &[Edit<'_>]) -> String {
    let object = Object::parse(text.as_bytes()).unwrap();
    let spliced = splice(&object, edits);
    assert_eq!(spliced.len(), spliced.to_vec().len());
    assert!(spliced.parts.iter().all(|part| !part.is_empty()));
    String::from_utf8(spliced.to_vec()).unwrap()
}

const SET_A: Edit<'_> = Edit::Set {
    key: "a",
    member: "\"a\":9",
};
const SET_N: Edit<'_> = Edit::Set {
    key: "n",
    member: "\"n\":[8]",
};
const DEFAULT_A: Edit<'_> = Edit::Default {
    key: "a",
    member: "\"a\":7",
};
const DEFAULT_N: Edit<'_> = Edit::Default {
    key: "n",
    member: "\"n\":6",
};
const REMOVE_A: Edit<'_> = Edit::Remove { key: "a" };
const REMOVE_B: Edit<'_> = Edit::Remove { key: "b" };
const REMOVE_C: Edit<'_> = Edit::Remove { key: "c" };

#[test]
fn splice_changes_the_named_member_and_no_other_byte() {
    let text = "\n{ \"a\" :\t1.0 , \"b\":2,\"c\" : \"3\" }\r\n";
    for (edits, expected) in [
        (&[][..], text),
        (&[SET_A], "\n{ \"a\" :\t9 , \"b\":2,\"c\" : \"3\" }\r\n"),
        (
            &[SET_N],
            "\n{ \"a\" :\t1.0 , \"b\":2,\"c\" : \"3\" ,\"n\":[8]}\r\n",
        ),
        (&[DEFAULT_A], text),
        (
            &[DEFAULT_N, SET_A],
            "\n{ \"a\" :\t9 , \"b\":2,\"c\" : \"3\" ,\"n\":6}\r\n",
        ),
        (&[REMOVE_A], "\n{ \"b\":2,\"c\" : \"3\" }\r\n"),
        (&[REMOVE_B], "\n{ \"a\" :\t1.0,\"c\" : \"3\" }\r\n"),
        (&[REMOVE_C], "\n{ \"a\" :\t1.0 , \"b\":2 }\r\n"),
        (&[REMOVE_A, REMOVE_B], "\n{ \"c\" : \"3\" }\r\n"),
        (&[REMOVE_B, REMOVE_C], "\n{ \"a\" :\t1.0 }\r\n"),
        (&[REMOVE_A, REMOVE_C], "\n{ \"b\":2 }\r\n"),
        (&[REMOVE_A, REMOVE_B, REMOVE_C], "\n{  }\r\n"),
        (
            &[REMOVE_A, REMOVE_B, REMOVE_C, SET_N],
            "\n{  \"n\":[8]}\r\n",
        ),
        (&[SET_A, REMOVE_A], "\n{ \"b\":2,\"c\" : \"3\" }\r\n"),
        (
            &[REMOVE_A, SET_A],
            "\n{ \"a\" :\t9 , \"b\":2,\"c\" : \"3\" }\r\n",
        ),
        (
            &[SET_N, DEFAULT_N],
            "\n{ \"a\" :\t1.0 , \"b\":2,\"c\" : \"3\" ,\"n\":6}\r\n",
        ),
        (
            &[DEFAULT_N, SET_N],
            "\n{ \"a\" :\t1.0 , \"b\":2,\"c\" : \"3\" ,\"n\":[8]}\r\n",
        ),
    ] {
        assert_eq!(apply(text, edits), expected);
    }
    assert_eq!(apply("{}", &[SET_A, SET_N]), "{\"a\":9,\"n\":[8]}");
    assert_eq!(apply("{ }", &[DEFAULT_A]), "{ \"a\":7}");
    assert_eq!(apply("{}", &[REMOVE_A]), "{}");
    assert_eq!(apply(r#"{"\u0061":1}"#, &[SET_A]), r#"{"\u0061":9}"#);
    assert_eq!(apply(r#"{"a":null}"#, &[DEFAULT_A]), r#"{"a":null}"#);
    assert_eq!(
        apply(
            r#"{"a":1}"#,
            &[Edit::Set {
                key: "a",
                member: "\"a\" : 2"
            }]
        ),
        r#"{"a":2}"#
    );
}

#[test]
fn splice_shares_what_it_does_not_change() {
    let text = "{\"model\":\"alias\",\"input\":\"a long text\"}";
    let object = Object::parse(text.as_bytes()).unwrap();
    let model = member("model", "\"target\"");
    let spliced = splice(
        &object,
        &[Edit::Set {
            key: "model",
            member: &model,
        }],
    );
    let found: Vec<_> = spliced
        .parts
        .iter()
        .map(|part| std::str::from_utf8(part).unwrap())
        .collect();
    assert_eq!(
        found,
        ["{\"model\":", "\"target\"", ",\"input\":\"a long text\"}"]
    );
    assert!(std::ptr::eq(splice(&object, &[]).parts[0], text.as_bytes()));
}

/// What `splice` must do, told on a list of members.
fn model_of_splice<'m>(
    members: &[(&'m str, &'m str)],
    edits: &[Edit<'m>],
) -> Vec<(String, String)> {
    let last = |key: &str| edits.iter().rev().find(|edit| edit.key() == key);
    let value = |member: &str| member.split_once(':').unwrap().1.to_owned();
    let mut out = Vec::new();
    for &(key, old) in members {
        match last(key) {
            Some(Edit::Remove { .. }) => {}
            Some(Edit::Set { member, .. }) => out.push((key.to_owned(), value(member))),
            _ => out.push((key.to_owned(), old.to_owned())),
        }
    }
    for (at, edit) in edits.iter().enumerate() {
        let key = edit.key();
        let is_last = edits[at + 1..].iter().all(|later| later.key() != key);
        let absent = members.iter().all(|(old, _)| *old != key);
        if let (Edit::Set { member, .. } | Edit::Default { member, .. }, true, true) =
            (edit, is_last, absent)
        {
            out.push((key.to_owned(), value(member)));
        }
    }
    out
}

#[test]
fn splice_agrees_with_a_model_of_it() {
    let mut dice = Dice::new(7);
    let names = ["a", "b", "c", "model", "max_tokens"];
    let values = [
        "1",
        "null",
        "\"x,\\\"}\"",
        "[1, {\"a\":2}]",
        "{}",
        "-0.5e3",
        "{\"b\":[\"]\"]}",
    ];
    let spaces = ["", " ", "\n  ", "\t\r\n"];
    let members: Vec<String> = names.iter().map(|name| member(name, "\"new\"")).collect();
    for _ in 0..20_000 {
        let mut present: Vec<(&str, &str)> = Vec::new();
        for name in names {
            if dice.below(3) > 0 {
                let at = dice.below(present.len() + 1);
                present.insert(at, (name, dice.pick(&values)));
            }
        }
        let mut text = format!("{}{{", dice.pick(&spaces));
        for (at, (key, value)) in present.iter().enumerate() {
            if at > 0 {
                text.push(',');
            }
            let s: [&str; 4] = std::array::from_fn(|_| dice.pick(&spaces));
            text.push_str(&format!(
                "{}\"{key}\"{}:{}{value}{}",
                s[0], s[1], s[2], s[3]
            ));
        }
        text.push_str(dice.pick(&spaces));
        text.push('}');
        text.push_str(dice.pick(&spaces));
        let edits: Vec<Edit<'_>> = (0..dice.below(5))
            .map(|_| {
                let at = dice.below(names.len());
                let (key, member) = (names[at], members[at].as_str());
                match dice.below(3) {
                    0 => Edit::Set { key, member },
                    1 => Edit::Default { key, member },
                    _ => Edit::Remove { key },
                }
            })
            .collect();
        let edited = apply(&text, &edits);
        assert!(validate(edited.as_bytes()).is_ok(), "{text} -> {edited}");
        let object = Object::parse(edited.as_bytes()).unwrap();
        let found: Vec<_> = object
            .iter()
            .map(|(key, raw)| (key.to_owned(), raw.text().to_owned()))
            .collect();
        assert_eq!(
            found,
            model_of_splice(&present, &edits),
            "{text} -> {edited}"
        );
        if edits.is_empty() {
            assert_eq!(edited, text);
        }
    }
}
