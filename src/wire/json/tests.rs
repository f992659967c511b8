use super::object::COMPARED_EACH_MAX;
use super::*;
use crate::wire::dice::Dice;

fn keys(text: &str) -> Vec<String> {
    let object = Object::parse(text.as_bytes()).unwrap();
    object.iter().map(|(key, _)| key.to_owned()).collect()
}

fn refused(text: impl AsRef<[u8]>) -> String {
    let text = text.as_ref();
    match Object::parse(text) {
        Ok(_) => panic!("taken: {}", text.escape_ascii()),
        Err(fault) => fault.message.into_owned(),
    }
}

#[test]
fn members_are_found_in_order_and_left_as_they_were() {
    let text = " {\"a\" : 1.0 ,\r\n\t\"b\":[ {\"a\":2} ],\"\":\"x\\\"y\", \"d\":{},\"e\":true,\"f\":-0.5e+7} \n";
    let object = Object::parse(text.as_bytes()).unwrap();
    let found: Vec<_> = object.iter().map(|(key, raw)| (key, raw.text())).collect();
    assert_eq!(
        found,
        [
            ("a", "1.0"),
            ("b", "[ {\"a\":2} ]"),
            ("", "\"x\\\"y\""),
            ("d", "{}"),
            ("e", "true"),
            ("f", "-0.5e+7")
        ]
    );
    assert_eq!(object.source(), text.as_bytes());
    assert_eq!(object.len(), 6);
    assert!(Object::parse(b"{}").unwrap().is_empty());
    assert!(keys(" { } ").is_empty());
}

#[test]
fn null_is_not_absence() {
    let mut object = Object::parse(br#"{"a":null}"#).unwrap();
    assert!(object.get("a").unwrap().is_null());
    assert!(object.get("b").is_none());
    assert!(object.take("a").unwrap().is_null());
    assert!(object.get("a").is_none() && object.take("a").is_none() && object.is_empty());
}

#[test]
fn rest_is_what_nobody_took() {
    let mut object = Object::parse(br#"{"a":1,"b":2,"c\n":3}"#).unwrap();
    object.take("b");
    let rest: Vec<_> = object.rest().map(|(key, raw)| (key, raw.text())).collect();
    assert_eq!(
        rest,
        [(Cow::Borrowed("a"), "1"), (Cow::Borrowed("c\n"), "3")]
    );
}

#[test]
fn rule_28_numbers_stay_text() {
    for number in [
        "1.0",
        "12345678901234567890",
        "12345678901234567890123",
        "1e400",
        "1e2",
        "-0",
        "0.10",
    ] {
        let text = format!("{{\"n\":{number}}}");
        let object = Object::parse(text.as_bytes()).unwrap();
        assert_eq!(object.get("n").unwrap().text(), number);
    }
    let number = |text| Raw::parse(text).unwrap();
    assert_eq!(number("1e400").as_f64(), None);
    assert_eq!(number("1e2").as_f64(), Some(100.0));
    assert_eq!(number("-1.5").as_f64(), Some(-1.5));
    assert_eq!(number("18446744073709551615").as_u64(), Some(u64::MAX));
    assert_eq!(number("18446744073709551616").as_u64(), None);
    assert_eq!(number("1.0").as_u64(), None);
    assert_eq!(number("-1").as_u64(), None);
    assert_eq!(number("\"1\"").as_u64(), None);
}

#[test]
fn rule_29_a_duplicate_key_is_refused_however_it_is_spelt() {
    assert!(refused(r#"{"model":"a","model":"a"}"#).contains("model"));
    assert!(refused(r#"{"model":"a","mod\u0065l":"b"}"#).contains("twice"));
    assert!(refused(r#"{"mod\u0065l":"a","x":1,"model":"b"}"#).contains("twice"));
    assert!(refused(r#"{"a\/b":1,"a/b":2}"#).contains("twice"));
    assert!(refused(r#"{"\ud83d\ude00":1,"😀":2}"#).contains("twice"));
    assert_eq!(keys(r#"{"model":1,"Model":2,"model ":3}"#).len(), 3);
    assert_eq!(
        keys(r#"{"x":{"model":1},"y":{"model":1,"model":2}}"#),
        ["x", "y"]
    );

    let many = |count: usize, last: &str| {
        let members: Vec<String> = (0..count).map(|n| format!("\"k{n}\":{n}")).collect();
        format!("{{{},{last}:0}}", members.join(","))
    };
    for count in [
        5,
        COMPARED_EACH_MAX - 1,
        COMPARED_EACH_MAX,
        COMPARED_EACH_MAX + 1,
        200,
    ] {
        assert!(
            refused(many(count, "\"\\u006b0\"")).contains("twice"),
            "{count}"
        );
        assert!(
            refused(many(count, &format!("\"k{}\"", count - 1))).contains("twice"),
            "{count}"
        );
        assert_eq!(keys(&many(count, "\"k\"")).len(), count + 1);
    }
    assert_eq!(keys(&many(MEMBERS_MAX - 1, "\"k\"")).len(), MEMBERS_MAX);
    assert!(refused(many(MEMBERS_MAX, "\"k\"")).contains("more than"));
}

#[test]
fn rule_30_what_is_not_one_object_is_refused() {
    for text in [
        "",
        " ",
        "{",
        "}",
        "[]",
        "1",
        "null",
        "\"a\"",
        "{}x",
        "{} {}",
        "{},",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1",
        "{\"a\":1,",
        "{\"a\":1,}",
        "{,\"a\":1}",
        "{\"a\":1 \"b\":2}",
        "{\"a\":1;\"b\":2}",
        "{\"a\" 1}",
        "{a:1}",
        "{'a':1}",
        "{1:1}",
        "{\"a:1}",
        "{\"a\":\"b}",
        "{\"a\":\"b\\\"}",
        "{\"a\":NaN}",
        "{\"a\":nan}",
        "{\"a\":Infinity}",
        "{\"a\":-Infinity}",
        "{\"a\":-}",
        "{\"a\":+1}",
        "{\"a\":01}",
        "{\"a\":-01}",
        "{\"a\":1.}",
        "{\"a\":.5}",
        "{\"a\":1e}",
        "{\"a\":1e+}",
        "{\"a\":0x1}",
        "{\"a\":1_0}",
        "{\"a\":1 0}",
        "{\"a\":tru}",
        "{\"a\":truex}",
        "{\"a\":True}",
        "{\"a\":undefined}",
        "{\"a\":[}",
        "{\"a\":[}]",
        "{\"a\":[1}",
        "{\"a\":{]}",
        "{\"a\":[[]}",
        "{\"a\":[\\\"]}",
        "{\"a\":\"\n\"}",
        "{\"a\":\"0123456789012345678901234567890123456789\t\"}",
        "{\"a\nb\":1}",
        "{\"a\\q\":1}",
        "{\"a\\u00\":1}",
        "{\u{a0}\"a\":1}",
        "{\u{c}\"a\":1}",
        "{/**/\"a\":1}",
    ] {
        refused(text);
    }
    refused(b"{\"a\":\"\xff\"}");
    refused(b"{\"a\":[{\"b\":\"\xc3\"}]}");
    refused(b"{\"a\":\"\xed\xa0\x80\"}");
    refused(b"\xef\xbb\xbf{}");
    refused(b"{}\0");
}

#[test]
fn what_lies_inside_an_unread_member_is_balanced_and_not_judged() {
    for text in [
        r#"{"a":[1 2 NaN,,]}"#,
        r#"{"a":{"b":1,"b":2}}"#,
        r#"{"a":["]","}{\"",:]}"#,
        "{\"a\":[\"\t\"]}",
    ] {
        assert_eq!(keys(text), ["a"]);
        assert!(validate(text.as_bytes()).is_err() || text.contains("\"b\":1"));
    }
}

#[test]
fn rule_27_a_deep_nest_never_recurses() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"a\":", "}]")] {
        let text = format!(
            "{{\"x\":{}1{}}}",
            open.repeat(100_000),
            close.repeat(100_000)
        );
        let mut object = Object::parse(text.as_bytes()).unwrap();
        assert_eq!(object.take("x").unwrap().text().len(), text.len() - 6);
        assert!(validate(text.as_bytes()).is_ok());
        refused(&text[..text.len() - 1]);
        assert!(validate(&text.as_bytes()[..text.len() - 1]).is_err());
    }
    refused("[".repeat(100_000));
    refused(format!("{{\"a\":{}", "[".repeat(100_000)));
}

#[test]
fn kinds_and_booleans() {
    let kind = |text| Raw::parse(text).unwrap().kind();
    assert_eq!(kind(" null "), JsonKind::Null);
    assert_eq!(kind("true"), JsonKind::Bool);
    assert_eq!(kind("-1"), JsonKind::Number);
    assert_eq!(kind("\"\""), JsonKind::String);
    assert_eq!(kind("[]"), JsonKind::Array);
    assert_eq!(kind("{}"), JsonKind::Object);
    assert_eq!(Raw::parse("true").unwrap().as_bool(), Some(true));
    assert_eq!(Raw::parse("false").unwrap().as_bool(), Some(false));
    assert_eq!(Raw::parse("\"true\"").unwrap().as_bool(), None);
    assert!(Raw::parse("1 2").is_err() && Raw::parse("").is_err());
    assert!(Raw::NULL.is_null());
}

#[test]
fn elements_are_checked_before_they_are_given() {
    let list = |text| {
        let elements = Raw::parse(text).unwrap().elements();
        elements.map(|found| found.map(Raw::text).collect::<Vec<_>>())
    };
    assert!(list("[]").unwrap().is_empty());
    assert!(list("[ ]").unwrap().is_empty());
    assert_eq!(list("[ 1 ]").unwrap(), ["1"]);
    assert_eq!(
        list("[1, \"a,]\" ,[2,3] , {\"a\":[4]},null]").unwrap(),
        ["1", "\"a,]\"", "[2,3]", "{\"a\":[4]}", "null"]
    );
    for bad in [
        "[1 2]", "[,1]", "[1,]", "[NaN]", "[01]", "[\"\n\"]", "[x]", "[1:2]",
    ] {
        assert!(list(bad).is_err(), "{bad}");
    }
    let fault = Raw::parse("{}").unwrap().elements().unwrap_err();
    assert_eq!(fault.message, "expected an array, found an object");
    let fault = Raw::parse("[]").unwrap().as_object().unwrap_err();
    assert_eq!(fault.message, "expected an object, found an array");
}

#[test]
fn validate_judges_to_the_last_leaf() {
    for good in [
        "1",
        " {\"a\":[1e400,{\"b\":\"\\ud83d\"}]} ",
        "null",
        "\"\u{7f}\"",
    ] {
        assert!(validate(good.as_bytes()).is_ok(), "{good}");
    }
    for bad in [
        "",
        "[1 2]",
        "{\"a\":{\"b\":NaN}}",
        "[\"\t\"]",
        "[\"\\q\"]",
        "{} {}",
        "[01]",
        "[}",
    ] {
        assert!(validate(bad.as_bytes()).is_err(), "{bad}");
    }
    assert!(validate(b"[\"\xff\"]").is_err());
}

#[test]
fn no_debug_output_shows_a_value() {
    let object = Object::parse(br#"{"api_key":"sk-secret"}"#).unwrap();
    let shown = format!("{object:?} {:?}", object.get("api_key"));
    assert!(
        shown.contains("api_key") && !shown.contains("secret"),
        "{shown}"
    );
}

/// Whatever serde_json takes as an object without duplicate keys is taken here, member for member; whatever is taken here
/// at the top level is at least balanced; and nothing panics.
#[test]
fn mutated_objects_are_read_as_serde_json_reads_them() {
    let corpus = [
        r#"{"model":"gpt-5","messages":[{"role":"user","content":"h\u00fc \"q\" \\"}],"n":1.5e3,"stream":true,"x":null}"#,
        r#"{"a":{"b":[[],[{}],"]}"]},"c":"😀 \ud83d\ude00","d":[-0,0.1,1E9],"e":false}"#,
        "{ \"k\" :\t\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\\\\\" ,\r\n\"l\": [ ] }",
    ];
    let mut dice = Dice::new(3);
    let (mut taken, mut both) = (0, 0);
    for round in 0..60_000 {
        let seed = corpus[round % corpus.len()].as_bytes();
        let bytes = dice.mutate(seed, b"\"\\{}[]:,0e-. \n\x00u\xc3\xa9");
        let ours = Object::parse(&bytes);
        let theirs = serde_json::from_slice::<
            std::collections::BTreeMap<String, Box<serde_json::value::RawValue>>,
        >(&bytes);
        let valid = validate(&bytes).is_ok();
        match (&ours, &theirs) {
            (Ok(object), Ok(map)) if valid => {
                both += 1;
                assert_eq!(object.len(), map.len());
                for (key, raw) in object.iter() {
                    if !key.contains('\u{fffd}') {
                        assert_eq!(map[key].get(), raw.text());
                    }
                }
                walk(object);
            }
            (Ok(object), _) => {
                taken += 1;
                walk(object);
            }
            (Err(fault), Ok(_)) if valid => assert!(
                fault.message.contains("twice"),
                "{} {fault}",
                bytes.escape_ascii()
            ),
            _ => {}
        }
    }
    assert!(both > 1_000 && taken > 1_000, "{both} {taken}");
}

/// Reads everything there is to read.
fn walk(object: &Object<'_>) {
    for (_, raw) in object.iter() {
        walk_value(raw);
    }
}

fn walk_value(raw: Raw<'_>) {
    let _ = (raw.as_str(), raw.as_f64(), raw.as_u64(), raw.as_bool());
    if let Ok(object) = raw.as_object() {
        walk(&object);
    }
    if let Ok(elements) = raw.elements() {
        elements.for_each(walk_value);
    }
}

#[test]
fn the_list_of_a_dropped_object_is_used_by_the_next() {
    let text = br#"{"a":1,"b":{"c":2},"d":[],"e":"","f":0,"g":0,"h":0,"i":0,"j":0,"k":0}"#;
    let first = Object::parse(text).unwrap();
    let (list, room) = (first.fields.as_ptr().addr(), first.fields.capacity());
    drop(first);
    let second = Object::parse(br#"{"z":null}"#).unwrap();
    assert_eq!(second.fields.as_ptr().addr(), list);
    assert_eq!(second.fields.capacity(), room);
    assert_eq!(second.iter().count(), 1);
    let inner = Object::parse(text).unwrap();
    assert_ne!(inner.fields.as_ptr().addr(), list);
}

#[test]
fn so_is_the_list_of_one_of_which_nothing_is_left() {
    let mut first = Object::parse(br#"{"a":1,"b":2}"#).unwrap();
    let list = first.fields.as_ptr().addr();
    assert!(first.take("a").is_some() && first.take("b").is_some());
    assert_eq!(first.rest().count(), 0);
    let mut second = Object::parse(br#"{"a":1,"b":2}"#).unwrap();
    assert_eq!(second.fields.as_ptr().addr(), list);
    assert!(second.take("a").is_some());
    let rest: Vec<_> = second.rest().map(|(key, _)| key).collect();
    assert_eq!(rest, ["b"]);
}
