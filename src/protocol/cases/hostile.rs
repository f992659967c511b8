//! Requests that are made to cost more than their size: each is answered in time, or refused (protocols.md has no bound for them,
//! so the gateway names its own). Without the bounds these tests do not end.

use crate::error::Error;
use crate::protocol::testing::convert_request;
use crate::protocol::{Caps, Converted, Protocol};
use Protocol::{Chat, Messages, Responses};

/// How often a thing is said.
const MANY: usize = 30_000;

fn convert(from: Protocol, to: Protocol, body: &str) -> Result<Converted, Error> {
    let caps = Caps {
        mcp: true,
        custom: true,
        ..Caps::default()
    };
    convert_request(from, to, &caps, "up", body.as_bytes())
}

fn refused(from: Protocol, to: Protocol, body: &str) -> (String, String) {
    let error = convert(from, to, body).unwrap_err();
    assert_eq!(error.status(), 400, "{error}");
    (error.param.unwrap_or_default(), error.message)
}

fn repeated(count: usize, one: impl Fn(usize) -> String) -> String {
    let all: Vec<String> = (0..count).map(one).collect();
    all.join(",")
}

#[test]
fn more_tools_than_anybody_takes_are_refused() {
    let tools = repeated(MANY, |at| format!(r#"{{"type":"custom","name":"t{at}"}}"#));
    let body = format!(r#"{{"model":"m","input":"Hi","tools":[{tools}]}}"#);
    assert_eq!(refused(Responses, Chat, &body).0, "tools");
    let item = format!(r#"{{"type":"additional_tools","tools":[{tools}]}}"#);
    let body = format!(r#"{{"model":"m","input":[{item},{{"role":"user","content":"Hi"}}]}}"#);
    assert_eq!(refused(Responses, Chat, &body).0, "input[0].tools");
    let items = repeated(3, |item| {
        let tools = repeated(4000, |at| {
            format!(r#"{{"type":"custom","name":"t{item}_{at}"}}"#)
        });
        format!(r#"{{"type":"additional_tools","tools":[{tools}]}}"#)
    });
    let body = format!(r#"{{"model":"m","input":[{items},{{"role":"user","content":"Hi"}}]}}"#);
    assert_eq!(refused(Responses, Chat, &body).0, "input[1].tools");
    let chat = repeated(MANY, |at| {
        format!(r#"{{"type":"function","function":{{"name":"t{at}"}}}}"#)
    });
    let body = format!(
        r#"{{"model":"m","messages":[{{"role":"user","content":"Hi"}}],"tools":[{chat}]}}"#
    );
    assert_eq!(refused(Chat, Messages, &body).0, "tools");
}

#[test]
fn a_namespace_that_is_chosen_again_and_again_does_not_grow() {
    let inner = repeated(1000, |at| format!(r#"{{"type":"custom","name":"t{at}"}}"#));
    let chosen = repeated(MANY, |_| r#"{"type":"namespace","name":"n"}"#.to_owned());
    let body = format!(
        r#"{{"model":"m","input":"Hi","tools":[{{"type":"namespace","name":"n","tools":[{inner}]}}],"tool_choice":{{"type":"allowed_tools","mode":"auto","tools":[{chosen}]}}}}"#
    );
    assert_eq!(refused(Responses, Chat, &body).0, "tool_choice.tools");
}

#[test]
fn results_that_stand_before_their_calls_are_passed_once() {
    let early = repeated(MANY, |_| {
        r#"{"role":"tool","tool_call_id":"x","content":""}"#.to_owned()
    });
    let turns = repeated(MANY, |_| {
        r#"{"role":"assistant","tool_calls":[{"id":"x","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"x","content":""}"#.to_owned()
    });
    let body =
        format!(r#"{{"model":"m","messages":[{{"role":"user","content":"a"}},{early},{turns}]}}"#);
    let (field, message) = refused(Chat, Messages, &body);
    assert_eq!(field, "messages");
    assert!(message.contains("two results"), "{message}");
}

#[test]
fn free_form_calls_find_their_results_at_once() {
    let calls = repeated(MANY, |at| {
        format!(r#"{{"id":"c{at}","type":"custom","custom":{{"name":"f","input":"x"}}}}"#)
    });
    let results = repeated(MANY, |at| {
        format!(r#"{{"role":"tool","tool_call_id":"c{at}","content":"r"}}"#)
    });
    let body = format!(
        r#"{{"model":"m","messages":[{{"role":"user","content":"a"}},{{"role":"assistant","tool_calls":[{calls}]}},{results}]}}"#
    );
    let sent = convert(Chat, Responses, &body).unwrap().body;
    let sent = String::from_utf8(sent).unwrap();
    let kind = r#""type":"custom_tool_call_output""#;
    assert_eq!(sent.matches(kind).count(), MANY);
}

#[test]
fn stops_are_bounded_where_the_gateway_looks_for_them() {
    let ask = |to: Protocol, stops: &str| {
        let body = format!(
            r#"{{"model":"m","max_tokens":9,"stop_sequences":[{stops}],"messages":[{{"role":"user","content":"Hi"}}]}}"#
        );
        convert(Messages, to, &body).map(|done| done.context.stops.len())
    };
    let many = repeated(65, |at| format!(r#""s{at}""#));
    let long = format!(r#""{}""#, "x".repeat(1025));
    for stops in [many.as_str(), long.as_str()] {
        let error = ask(Responses, stops).unwrap_err();
        assert_eq!(error.param.as_deref(), Some("stop_sequences"));
    }
    assert_eq!(ask(Chat, &long), Ok(0)); // the upstream's to judge
    assert_eq!(
        ask(Responses, &repeated(64, |at| format!(r#""s{at}""#))),
        Ok(64)
    );
}

#[test]
fn more_servers_than_are_looked_through_are_refused() {
    let servers = repeated(MANY, |at| {
        format!(r#"{{"type":"url","name":"s{at}","url":"https://m"}}"#)
    });
    let toolsets = repeated(MANY, |_| {
        r#"{"type":"mcp_toolset","mcp_server_name":"s0"}"#.to_owned()
    });
    let first = refused(
        Messages,
        Responses,
        &format!(
            r#"{{"model":"m","max_tokens":9,"messages":[{{"role":"user","content":"Hi"}}],"mcp_servers":[{servers}],"tools":[{toolsets}]}}"#
        ),
    );
    assert!(["mcp_servers", "tools.mcp_toolset"].contains(&first.0.as_str()));
    let servers = repeated(129, |at| {
        format!(r#"{{"type":"url","name":"s{at}","url":"https://m"}}"#)
    });
    let body = format!(
        r#"{{"model":"m","max_tokens":9,"messages":[{{"role":"user","content":"Hi"}}],"mcp_servers":[{servers}]}}"#
    );
    assert_eq!(refused(Messages, Responses, &body).0, "mcp_servers");
}
