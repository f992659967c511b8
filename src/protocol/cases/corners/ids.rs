//! Ids of calls in histories that several servers made (protocols.md 3.3, 5.4).

use super::ask;
use crate::protocol::{Caps, Protocol};
use Protocol::{Chat, Messages, Responses};

/// A history of calls by those ids, each in a turn of its own, answered by its number.
fn history(ids: &[&str]) -> String {
    let turns: Vec<String> = ids
        .iter()
        .enumerate()
        .map(|(at, id)| {
            format!(
                r#"{{"role":"assistant","content":null,"tool_calls":[{{"id":"{id}","type":"function","function":{{"name":"f","arguments":"{{}}"}}}}]}},{{"role":"tool","tool_call_id":"{id}","content":"{at}"}}"#
            )
        })
        .collect();
    format!(
        r#"{{"model":"m","messages":[{{"role":"user","content":"a"}},{}]}}"#,
        turns.join(",")
    )
}

#[test]
fn an_id_given_again_in_a_later_answer_is_told_apart_for_who_takes_each_once() {
    let body = history(&["call_0", "call_0", "call_0_2", "call_0"]);
    let (sent, _) = ask(Chat, Messages, &Caps::default(), &body).unwrap();
    for (id, answer) in [
        ("call_0", 0),
        ("call_0_2", 1),
        ("call_0_2_2", 2),
        ("call_0_3", 3),
    ] {
        for part in [
            format!(r#"{{"type":"tool_use","id":"{id}","name":"f","input":{{}}}}"#),
            format!(r#"{{"type":"tool_result","tool_use_id":"{id}","content":"{answer}"}}"#),
        ] {
            assert_eq!(sent.matches(&part).count(), 1, "{part} in {sent}");
        }
    }
    let (sent, _) = ask(Chat, Responses, &Caps::default(), &body).unwrap();
    let last = r#"{"type":"function_call_output","call_id":"call_0_3","output":"3"}"#;
    assert!(sent.contains(last), "{sent}");
    // Chat goes by what stands next to each other, so there they stay.
    let body = r#"{"model":"m","input":[{"role":"user","content":"a"},{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c","output":"0"},{"type":"function_call","call_id":"c","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c","output":"1"}]}"#;
    let (sent, _) = ask(Responses, Chat, &Caps::default(), body).unwrap();
    assert_eq!(sent.matches(r#""tool_call_id":"c""#).count(), 2, "{sent}");
}

#[test]
fn two_calls_of_one_answer_under_one_id_keep_their_results() {
    let body = r#"{"model":"m","messages":[{"role":"user","content":"a"},{"role":"assistant","tool_calls":[{"id":"x","type":"function","function":{"name":"f","arguments":"{}"}},{"id":"x","type":"function","function":{"name":"g","arguments":"{}"}}]},{"role":"tool","tool_call_id":"x","content":"of f"},{"role":"tool","tool_call_id":"x","content":"of g"}]}"#;
    let (sent, _) = ask(Chat, Messages, &Caps::default(), body).unwrap();
    assert!(
        sent.contains(r#"{"type":"tool_use","id":"x_2","name":"g","input":{}}"#)
            && sent.contains(r#"{"type":"tool_result","tool_use_id":"x_2","content":"of g"}"#),
        "{sent}"
    );
}
