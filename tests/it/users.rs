//! What users of gateways complain of, put to this one: each test is a complaint that was seen elsewhere, and says how it goes
//! here. What needs no running gateway is tested beside the conversion.

use crate::pairs::vendors::Speech;
use crate::support::client::{post, request};
use crate::support::{Ending, Gate, Gateway, Reply, STREAM_HEAD, Upstream, json_answer};
use Speech::{Chat, Messages, Responses};
use serde_json::Value;
use std::time::Duration;

/// A gateway whose aliases `chat`, `responses` and `messages` sit on an upstream that speaks that protocol only. `lines` are
/// added to the configuration, `alias` to each alias.
struct House {
    gateway: Gateway,
    upstream: Upstream,
}

impl House {
    fn with(upstream: Upstream, lines: &str, alias: &str) -> House {
        let (mut upstreams, mut aliases) = (String::new(), String::new());
        for (name, chat, responses, messages) in [
            ("chat", true, false, false),
            ("responses", false, true, false),
            ("messages", false, false, true),
        ] {
            upstreams.push_str(&format!(
                "  - {{name: {name}-up, base_url: '{}', auth: {{type: api_key, key: sk-up-0123456789}}, support_chat_completions: {chat}, support_responses: {responses}, support_anthropic_messages: {messages}}}\n",
                upstream.base_url()
            ));
            aliases.push_str(&format!(
                "  - {{alias: {name}, target_model: x, upstream: {name}-up{alias}}}\n"
            ));
        }
        let config = format!("upstreams:\n{upstreams}aliases:\n{aliases}{lines}");
        House {
            gateway: Gateway::start(config),
            upstream,
        }
    }

    /// Every request is answered with the same short text, in events if it asks for a stream.
    fn talking() -> House {
        House::with(Upstream::script(talk), "", "")
    }

    /// What the upstream got last.
    fn asked(&self) -> Value {
        let last = self.upstream.request(self.upstream.requests() - 1);
        serde_json::from_slice(&last.body).expect("the upstream gets JSON")
    }

    fn post(&self, client: Speech, body: &str) -> Reply {
        self.gateway.post(client.path(), body)
    }
}

fn talk(mut peer: crate::support::Peer) -> std::io::Result<()> {
    loop {
        let asked = peer.expect()?;
        let speech = Speech::of(&asked.target());
        if !asked.text().contains(r#""stream":true"#) {
            peer.send(json_answer(200, &speech.whole("Said")))?;
            continue;
        }
        peer.send(STREAM_HEAD)?;
        peer.send_chunk(&speech.opening())?;
        peer.send_chunk(&speech.delta("Said"))?;
        peer.send_chunk(&speech.closing())?;
        peer.send("0\r\n\r\n")?;
    }
}

fn texts(messages: &Value) -> Vec<String> {
    let list = messages.as_array().expect("messages are a list");
    let text = |message: &Value| match &message["content"] {
        Value::String(text) => text.clone(),
        parts => parts[0]["text"].as_str().unwrap_or_default().to_owned(),
    };
    list.iter().map(text).collect()
}

#[test]
fn a_conversation_goes_on_by_its_id_or_is_refused_before_it_costs_anything() {
    let house = House::talking();
    let ask = |body: String| house.post(Responses, &body);
    for upstream in ["chat", "messages"] {
        let first = ask(format!(r#"{{"model":"{upstream}","input":"One"}}"#)).expect(200);
        let id = first.json()["id"].as_str().expect("an id").to_owned();
        let item = first.json()["output"][0]["id"]
            .as_str()
            .expect("an id")
            .to_owned();
        // As OpenAI's own SDK goes on, and as Vercel's does, which sends references to items.
        for next in [
            format!(r#"{{"model":"{upstream}","previous_response_id":"{id}","input":"Two"}}"#),
            format!(
                r#"{{"model":"{upstream}","input":[{{"role":"user","content":"One"}},{{"type":"item_reference","id":"{item}"}},{{"role":"user","content":"Two"}}]}}"#
            ),
        ] {
            ask(next).expect(200);
            assert_eq!(texts(&house.asked()["messages"]), ["One", "Said", "Two"]);
        }
    }
    let private = ask(r#"{"model":"chat","input":"One","store":false}"#.to_owned()).expect(200);
    let private = private.json()["id"].as_str().expect("an id").to_owned();
    let before = house.upstream.requests();
    for id in ["resp_nobody", private.as_str()] {
        let body = format!(r#"{{"model":"chat","previous_response_id":"{id}","input":"Two"}}"#);
        let refused = ask(body).expect(400).json();
        assert_eq!(refused["error"]["code"], "previous_response_not_found");
        assert_eq!(refused["error"]["param"], "previous_response_id");
    }
    assert_eq!(house.upstream.requests(), before);
}

#[test]
fn what_one_client_said_is_nothing_to_another() {
    let keys = "client_api_keys:\n  - {name: a, key: sk-client-aaaaaaaaaa}\n  - {name: b, key: sk-client-bbbbbbbbbb}\n";
    let house = House::with(Upstream::script(talk), keys, "");
    let ask = |key: &str, body: &str| {
        let field = format!("Authorization: Bearer sk-client-{key}\r\n");
        house.gateway.post_with("/v1/responses", &field, body)
    };
    let first = ask("aaaaaaaaaa", r#"{"model":"chat","input":"One"}"#).expect(200);
    let id = first.json()["id"].as_str().expect("an id").to_owned();
    let next = format!(r#"{{"model":"chat","previous_response_id":"{id}","input":"Two"}}"#);
    ask("bbbbbbbbbb", &next).expect(400);
    ask("aaaaaaaaaa", &next).expect(200);
    let field = "Authorization: Bearer sk-client-bbbbbbbbbb\r\n";
    let path = format!("/v1/responses/{id}");
    let mut client = house.gateway.client();
    client
        .send(request("GET", &path, field, ""))
        .read_reply()
        .expect(404);
}

#[test]
fn codex_compacts_a_conversation_of_an_upstream_that_cannot() {
    let house = House::talking();
    // Codex with gpt-6 names its tools in an item; while it compacts none of them may be called.
    let body = r#"{"model":"chat","stream":true,"store":false,"input":[{"type":"additional_tools","role":"developer","tools":[{"type":"function","name":"f","parameters":{"type":"object","properties":{}}}]},{"role":"user","content":"Fix it"},{"role":"assistant","content":"Done"},{"type":"compaction_trigger"}]}"#;
    let told = house.post(Responses, body).expect(200).text();
    let asked = house.asked();
    assert_eq!(asked["tool_choice"], "none", "{asked}");
    assert!(
        texts(&asked["messages"])
            .last()
            .is_some_and(|ask| ask.starts_with("Summarize"))
    );
    let last = told
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("data: "));
    let last: Value = serde_json::from_str(last.expect("events")).expect("JSON");
    let output = last["response"]["output"].as_array().expect("items");
    assert_eq!(
        (output.len(), &output[0]["type"]),
        (1, &Value::from("compaction"))
    );
    assert_eq!(last["response"]["usage"]["total_tokens"], 4);
    let next = format!(
        r#"{{"model":"chat","input":[{},{{"role":"user","content":"Go on"}}]}}"#,
        output[0]
    );
    house.post(Responses, &next).expect(200);
    assert_eq!(
        texts(&house.asked()["messages"]),
        ["Summary of the conversation so far:\nSaid", "Go on"]
    );
}

#[test]
fn claude_codes_requests_are_no_400_and_its_betas_stay_here() {
    let house = House::talking();
    let betas = "anthropic-version: 2023-06-01\r\nanthropic-beta: claude-code-20250219,context-1m-2025-08-07,fine-grained-tool-streaming-2025-05-14\r\n";
    let title = r#""max_tokens":32000,"tools":[],"output_config":{"effort":"low","format":{"type":"json_schema","schema":{"type":"object","properties":{"title":{"type":"string"}},"required":["title"],"additionalProperties":false}}},"messages":[{"role":"user","content":"Hi"}]"#;
    let turn = r#""max_tokens":32000,"thinking":{"type":"adaptive","display":"omitted"},"output_config":{"effort":"high"},"safeguards":{"paths":["/w"]},"context_management":{"edits":[{"type":"clear_thinking_20251015","keep":"all"}]},"metadata":{"user_id":"{\"device\":\"d\"}"},"system":[{"type":"text","text":"x-anthropic-billing-header: cc_version=2; cch=ab12c;"},{"type":"text","text":"Be brief.","cache_control":{"type":"ephemeral"}}],"messages":[{"role":"user","content":"a"},{"role":"system","content":"env"},{"role":"assistant","content":[{"type":"thinking","thinking":"","signature":"gw1.c.e30"},{"type":"tool_use","id":"t1","name":"ToolSearch","input":{"query":"q"}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":[{"type":"tool_reference","tool_name":"Edit"}],"cache_control":{"type":"ephemeral"}}]}],"tools":[{"name":"ToolSearch","description":"d","input_schema":{"type":"object","properties":{}}},{"name":"Edit","defer_loading":true,"eager_input_streaming":true,"input_schema":{"type":"object","properties":{}}},{"name":"DeferredToolPlaceholder","input_schema":{"type":"object","properties":{}}}]"#;
    for upstream in ["chat", "responses"] {
        for members in [title, turn] {
            let body = format!(r#"{{"model":"{upstream}","stream":true,{members}}}"#);
            let path = "/v1/messages?beta=true";
            let reply = house.gateway.post_with(path, betas, &body).expect(200);
            assert_eq!(reply.header("x-llm-wrapper-warnings"), None, "{body}");
            assert!(reply.text().contains("event: message_stop"));
            let got = house.upstream.request(house.upstream.requests() - 1);
            assert_eq!(got.header("anthropic-beta"), None);
            assert!(!got.text().contains("billing-header"), "{}", got.text());
        }
    }
    let asked = house.asked();
    let names: Vec<&Value> = asked["tools"]
        .as_array()
        .expect("tools")
        .iter()
        .map(|tool| &tool["name"])
        .collect();
    assert_eq!(names, ["ToolSearch", "Edit", "DeferredToolPlaceholder"]);
    assert!(asked.to_string().contains("[tool loaded: Edit]"), "{asked}");
}

#[test]
fn claude_codes_title_request_is_answered_by_an_upstream_that_has_only_json_mode() {
    let upstream = Upstream::script(talk);
    let config = format!(
        "upstreams:\n  - {{name: ds, kind: deepseek, base_url: '{}', auth: {{type: api_key, key: sk-up-0123456789}}}}\naliases:\n  - {{alias: chat, target_model: deepseek-chat, upstream: ds}}\n  - {{alias: strict, target_model: deepseek-chat, upstream: ds, strict: true}}\n",
        upstream.base_url()
    );
    let house = House {
        gateway: Gateway::start(config),
        upstream,
    };
    let title = |model: &str| {
        format!(
            r#"{{"model":"{model}","stream":true,"max_tokens":32000,"tools":[],"output_config":{{"effort":"low","format":{{"type":"json_schema","schema":{{"type":"object","properties":{{"title":{{"type":"string"}}}},"required":["title"],"additionalProperties":false}}}}}},"messages":[{{"role":"user","content":"Hi"}}]}}"#
        )
    };
    let reply = house.post(Messages, &title("chat")).expect(200);
    assert!(reply.text().contains("event: message_stop"));
    let warnings = reply.header("x-llm-wrapper-warnings").expect("a warning");
    assert!(
        warnings.contains("output_config.format:by_instruction"),
        "{warnings}"
    );
    assert_eq!(house.asked()["response_format"]["type"], "json_object");
    assert!(house.asked().to_string().contains("matching this schema"));
    // Who wants nothing weakened gets nothing weakened.
    let refused = house.post(Messages, &title("strict")).expect(400);
    assert!(refused.error_message().contains("strict"));
}

#[test]
fn members_that_nobody_knows_are_named_in_the_record_and_in_no_header() {
    let house = House::with(Upstream::script(talk), "", ", strict: true");
    let body = r#"{"model":"chat","max_tokens":9,"messages":[{"role":"user","content":[{"type":"text","text":"Hi","mood":1},{"type":"text","text":"you","mood":2}]}]}"#;
    let asked = "X-Debug-Mode: true\r\n";
    let path = "/v1/messages";
    let reply = house.gateway.post_with(path, asked, body).expect(200);
    assert_eq!(reply.header("x-llm-wrapper-warnings"), None);
    let named = &reply.json()["debug"]["warnings"];
    assert_eq!(
        *named,
        serde_json::json!(["messages[].content[].mood:unknown"])
    );
}

#[test]
fn tokens_are_counted_with_what_tools_answered() {
    let house = House::talking();
    let count = |upstream: &str, result: &str| {
        let body = format!(
            r#"{{"model":"{upstream}","messages":[{{"role":"user","content":"a"}},{{"role":"assistant","content":[{{"type":"tool_use","id":"t1","name":"f","input":{{}}}}]}},{{"role":"user","content":[{{"type":"tool_result","tool_use_id":"t1","content":"{result}"}}]}}]}}"#
        );
        let reply = house
            .gateway
            .post("/v1/messages/count_tokens?beta=true", body)
            .expect(200);
        assert_eq!(
            reply.header("x-llm-wrapper-warnings").as_deref(),
            Some("input_tokens:estimated")
        );
        reply.json()["input_tokens"].as_u64().expect("a number")
    };
    for upstream in ["chat", "responses"] {
        let (small, large) = (count(upstream, "r"), count(upstream, &"word ".repeat(4000)));
        assert!(small > 0 && large > small + 4000, "{small} {large}");
    }
    assert_eq!(house.upstream.requests(), 0);
}

#[test]
fn what_is_lost_is_named_and_a_strict_alias_refuses_it_before_it_costs_anything() {
    let body = r#"{"model":"chat","max_tokens":9,"top_k":5,"speed":"fast","surprise":1,"messages":[{"role":"user","content":"Hi"}]}"#;
    let lax = House::talking();
    let reply = lax.post(Messages, body).expect(200);
    assert_eq!(
        reply.header("x-llm-wrapper-warnings").as_deref(),
        Some("speed:unsupported,surprise:unknown,top_k:unsupported")
    );
    let strict = House::with(Upstream::script(talk), "", ", strict: true");
    let refused = strict.post(Messages, body).expect(400);
    assert!(
        refused.error_message().starts_with("speed:"),
        "{}",
        refused.error_message()
    );
    assert_eq!(strict.upstream.requests(), 0);
    let refused = strict
        .post(Chat, r#"{"model":"messages","messages":null}"#)
        .expect(400);
    assert_eq!(refused.json()["error"]["param"], "messages");
}

#[test]
fn an_error_inside_a_stream_names_the_request_as_the_head_does() {
    let upstream = Upstream::script(|mut peer| {
        peer.expect()?;
        peer.send(STREAM_HEAD)?;
        for event in [Chat.opening(), Chat.delta("Half"), Chat.failing()] {
            peer.send_chunk(&event)?;
        }
        peer.send("0\r\n\r\n")?;
        peer.wait_closed().map(drop)
    });
    let house = House::with(upstream, "", "");
    let reply = house
        .post(Messages, &Messages.request("chat", "Hi", true))
        .expect(200);
    let text = reply.text();
    let error = text
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("data: "));
    let error: Value = serde_json::from_str(error.expect("an event")).expect("JSON");
    assert_eq!(error["error"]["type"], "overloaded_error");
    assert_eq!(
        error["request_id"].as_str(),
        reply.header("request-id").as_deref()
    );
}

#[test]
fn a_client_hears_something_before_an_upstream_that_thinks_long_says_its_first_word() {
    // Load balancers cut at 30 or 60 s of silence; the first sign of life goes out after 15.
    const LONGEST: Duration = Duration::from_secs(25);
    let heard = Gate::new();
    let waits = heard.clone();
    let upstream = Upstream::script(move |mut peer| {
        peer.expect()?;
        waits.wait_for(LONGEST);
        peer.send(STREAM_HEAD)?;
        for event in [Chat.opening(), Chat.delta("At last"), Chat.closing()] {
            peer.send_chunk(&event)?;
        }
        peer.send("0\r\n\r\n")
    });
    let house = House::with(upstream, "", "");
    let mut clients: Vec<_> = [Responses, Messages]
        .map(|speech| {
            let mut client = house.gateway.client();
            let body = speech.request("chat", "Hi", true);
            client.send(post(speech.path(), "Connection: close\r\n", body));
            (speech, client)
        })
        .into();
    for (_, client) in &mut clients {
        let mut seen = Vec::new();
        while !seen.windows(11).any(|part| part == b": keepalive") {
            let (more, ending) = client.read_to_end_within(Duration::from_secs(1));
            assert_eq!(
                ending,
                Ending::StillOpen,
                "{}",
                String::from_utf8_lossy(&seen)
            );
            seen.extend(more);
        }
        assert!(seen.starts_with(b"HTTP/1.1 200"));
    }
    heard.open();
    for (speech, client) in &mut clients {
        let (rest, _) = client.read_to_end();
        let rest = String::from_utf8_lossy(&rest);
        assert!(
            rest.contains("At last") && rest.contains(speech.end_mark()),
            "{rest}"
        );
    }
}
