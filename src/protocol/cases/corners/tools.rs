//! Tools that are offered, forced and dropped (protocols.md 5.7, 5.8).

use super::{F, messages, param, responses};
use crate::error::Kind;
use crate::protocol::{Caps, Protocol};
use Protocol::{Chat, Messages, Responses};

fn searching() -> Caps {
    Caps {
        web_search: true,
        ..Caps::default()
    }
}

#[test]
fn a_search_that_may_not_be_called_is_left_out_and_one_that_may_is_refused() {
    let caps = Caps::default();
    let only = |choice: &str| {
        responses(
            Chat,
            &caps,
            &format!(r#""tools":[{{"type":"web_search"}}]{choice}"#),
        )
    };
    // The only tool left: the answer would be silently wrong (5.7).
    for choice in [
        "",
        r#","tool_choice":"auto""#,
        r#","tool_choice":"required""#,
    ] {
        assert_eq!(param(only(choice)), "tools.web_search", "{choice}");
    }
    let (body, warnings) = only(r#","tool_choice":"none""#).unwrap();
    assert!(!body.contains("tool"), "{body}");
    assert_eq!(warnings, "tools.web_search:unsupported");
    // Beside other tools an offer is dropped, a forced one is not.
    let both = |choice: &str| {
        let tools = format!(r#""tools":[{F},{{"type":"web_search"}}],"tool_choice":{choice}"#);
        responses(Chat, &caps, &tools)
    };
    assert_eq!(both(r#""auto""#).unwrap().1, "tools.web_search:unsupported");
    assert_eq!(param(both(r#"{"type":"web_search"}"#)), "tool_choice");
}

#[test]
fn a_search_for_tools_is_left_out_in_silence_because_all_are_there() {
    let caps = Caps::default();
    let tools = format!(r#""tools":[{F},{{"type":"tool_search","execution":"server"}}]"#);
    let (body, warnings) = responses(Chat, &caps, &tools).unwrap();
    assert!(
        body.contains(r#""name":"f""#) && !body.contains("tool_search"),
        "{body}"
    );
    assert_eq!(warnings, "");
    let claude = r#""tools":[{"type":"tool_search_tool_bm25_20251119","name":"tool_search_tool_bm25"},{"name":"f","defer_loading":true,"input_schema":{"type":"object","properties":{}}}]"#;
    let (body, warnings) = messages(Responses, &Caps::of("openai", "gpt-5.2"), claude).unwrap();
    assert!(
        body.contains(r#""name":"f""#) && !body.contains("tool_search"),
        "{body}"
    );
    assert_eq!(warnings, "");
}

#[test]
fn what_narrows_a_search_is_kept_or_named() {
    let claude = r#""tools":[{"type":"web_search_20250305","name":"web_search","max_uses":3,"allowed_domains":["a.org"]}]"#;
    let (body, warnings) = messages(Responses, &Caps::of("openai", "gpt-5.2"), claude).unwrap();
    assert!(body.contains(r#""max_tool_calls":3"#), "{body}");
    assert!(
        body.contains(r#""filters":{"allowed_domains":["a.org"]}"#),
        "{body}"
    );
    assert_eq!(warnings, "");
    let (_, warnings) = messages(Chat, &searching(), claude).unwrap();
    assert_eq!(
        warnings,
        "tools.web_search_20250305.allowed_domains:unsupported,tools.web_search_20250305.max_uses:unsupported"
    );
    let openai = r#""tools":[{"type":"web_search","external_web_access":false,"filters":{"allowed_domains":["a.org"]}}],"max_tool_calls":2"#;
    let (body, warnings) = responses(Messages, &searching(), openai).unwrap();
    assert!(
        body.contains(r#""max_uses":2,"allowed_domains":["a.org"]"#),
        "{body}"
    );
    assert_eq!(warnings, "tools.web_search.external_web_access:unsupported");
    let (_, warnings) = responses(Chat, &searching(), openai).unwrap();
    assert_eq!(
        warnings,
        "tools.web_search.allowed_domains:unsupported,tools.web_search.external_web_access:unsupported,max_tool_calls:unsupported"
    );
}

#[test]
fn a_forced_choice_is_held_or_refused_never_lost() {
    let caps = Caps::default();
    let among = |mode: &str| {
        let choice = format!(
            r#""tools":[{F},{{"type":"web_search"}}],"tool_choice":{{"type":"allowed_tools","mode":"{mode}","tools":[{{"type":"web_search"}}]}}"#
        );
        responses(Chat, &caps, &choice)
    };
    assert_eq!(param(among("required")), "tool_choice");
    let (body, warnings) = among("auto").unwrap();
    assert!(!body.contains("tool"), "{body}");
    assert_eq!(
        warnings,
        "tools.web_search:unsupported,tool_choice:narrowed"
    );
    // A tool that nobody offered.
    let unknown = format!(r#""tools":[{F}],"tool_choice":{{"type":"function","name":"g"}}"#);
    let error = responses(Messages, &caps, &unknown).unwrap_err();
    assert_eq!(error.kind, Kind::BadRequest);
    assert!(
        error.message.contains("\"g\" is none of the tools"),
        "{error}"
    );
    // `web_search_options` cannot be forced beside other tools.
    let claude = r#""tools":[{"type":"web_search_20250305","name":"web_search"},{"name":"f","input_schema":{"type":"object","properties":{}}}],"tool_choice":{"type":"tool","name":"web_search"}"#;
    assert_eq!(param(messages(Chat, &searching(), claude)), "tool_choice");
}

#[test]
fn a_clients_own_search_for_tools_keeps_its_schema() {
    let own = r#"{"type":"object","properties":{"pattern":{"type":"string"}}}"#;
    let tools = format!(
        r#""tools":[{{"type":"tool_search","execution":"client","description":"D","parameters":{own}}}]"#
    );
    for to in [Chat, Messages] {
        let (sent, _) = responses(to, &Caps::default(), &tools).unwrap();
        assert!(sent.contains(own) && !sent.contains("limit"), "{sent}");
    }
    let plain = r#""tools":[{"type":"tool_search","execution":"client"}]"#;
    let (sent, _) = responses(Chat, &Caps::default(), plain).unwrap();
    assert!(sent.contains(r#""query":{"type":"string"}"#), "{sent}");
}

#[test]
fn what_is_said_of_a_namespace_reaches_the_model_once() {
    let tools = r#""tools":[{"type":"namespace","name":"crm","description":"Customers.","tools":[{"type":"function","name":"find","description":"Finds one."},{"type":"custom","name":"run"}]}]"#;
    for to in [Chat, Messages] {
        let (sent, _) = responses(to, &Caps::default(), tools).unwrap();
        assert!(
            sent.contains(r#""description":"About all tools of crm: Customers.\n\nFinds one.""#),
            "{sent}"
        );
        assert_eq!(sent.matches("Customers").count(), 1, "{sent}");
    }
}

#[test]
fn a_tool_without_arguments_has_properties_where_openai_looks_for_them() {
    let claude = r#""tools":[{"name":"f","input_schema":{"type":"object"}},{"name":"g","input_schema":{"type":"object","properties":{"a":{}}}}]"#;
    for to in [Chat, Responses] {
        let (sent, _) = messages(to, &Caps::default(), claude).unwrap();
        assert!(
            sent.contains(r#""parameters":{"properties":{},"type":"object"}"#)
                && sent.contains(r#""parameters":{"type":"object","properties":{"a":{}}}"#),
            "{sent}"
        );
    }
    let odd = r#""tools":[{"type":"function","name":"f","parameters":{}}]"#;
    let (sent, _) = responses(Messages, &Caps::default(), odd).unwrap();
    assert!(
        sent.contains(r#""input_schema":{"type":"object","properties":{}}"#),
        "{sent}"
    );
}
