//! `GET /v1/models`: one document that the clients of both vendors read.

use crate::support::gateway::config_for;
use crate::support::{Gateway, Upstream, json_answer, plain_answer};

fn gateway(upstream: &Upstream) -> Gateway {
    let config = config_for(upstream).replace(
        "aliases:",
        "  - {name: off, base_url: 'http://127.0.0.1:9', enabled: false}\naliases:",
    );
    Gateway::start(format!(
        "{config}  - {{alias: claude-main, target_model: x, upstream: up, max_model_len: 200000}}
  - {{alias: hidden, target_model: x, upstream: off}}
"
    ))
}

#[test]
fn the_list_reads_as_either_vendors() {
    let upstream = Upstream::always(plain_answer());
    let gateway = gateway(&upstream);
    let reply = gateway.get("/v1/models").expect(200);
    assert_eq!(
        reply.header("content-type").as_deref(),
        Some("application/json")
    );
    let json = reply.json();
    assert_eq!(json["object"], "list");
    assert_eq!(json["has_more"], false);
    assert_eq!(json["first_id"], "m");
    assert_eq!(json["last_id"], "claude-main");
    let data = json["data"].as_array().expect("data");
    let ids: Vec<&str> = data.iter().filter_map(|m| m["id"].as_str()).collect();
    assert_eq!(ids, ["m", "claude-main"], "only what can be asked for");
    for model in data {
        assert_eq!(model["object"], "model");
        assert_eq!(model["type"], "model");
        assert_eq!(model["owned_by"], "up");
        assert!(model["created"].as_u64().is_some_and(|t| t > 1_700_000_000));
        let created_at = model["created_at"].as_str().expect("created_at");
        assert!(
            created_at.len() == 20 && created_at.ends_with('Z'),
            "{created_at}"
        );
        assert!(model["display_name"].is_string());
    }
    let again = gateway.get("/v1/models").expect(200).json();
    assert_eq!(again, json, "the same process, the same document");
    let codex = gateway
        .get("/v1/models?client_version=0.169.0")
        .expect(200)
        .json();
    assert_eq!(codex, json);
}

#[test]
fn one_model_is_the_entry_of_the_list() {
    let upstream = Upstream::always(plain_answer());
    let gateway = gateway(&upstream);
    let list = gateway.get("/v1/models").expect(200).json();
    let one = gateway.get("/v1/models/claude-main").expect(200).json();
    assert_eq!(one, list["data"][1]);
    let slashed = Gateway::start(format!(
        "{}  - {{alias: 'a/b c', target_model: x, upstream: up}}\n",
        config_for(&upstream)
    ));
    assert_eq!(
        slashed.get("/v1/models/a/b%20c").expect(200).json()["id"],
        "a/b c"
    );
    for hidden in ["hidden", "no-such", "target-model"] {
        let reply = gateway.get(&format!("/v1/models/{hidden}")).expect(404);
        assert_eq!(reply.json()["error"]["code"], "model_not_found");
    }
    assert_eq!(upstream.connections(), 0);
}

#[test]
fn anthropic_clients_may_page() {
    let upstream = Upstream::always(plain_answer());
    let gateway = gateway(&upstream);
    let page = |query: &str| {
        gateway
            .client()
            .send(format!(
                "GET /v1/models{query} HTTP/1.1\r\nHost: g\r\nanthropic-version: 2023-06-01\r\n\r\n"
            ))
            .read_reply()
            .expect(200)
            .json()
    };
    let first = page("?limit=1");
    assert_eq!(first["data"][0]["id"], "m");
    assert_eq!(first["data"].as_array().map(Vec::len), Some(1));
    assert_eq!(first["has_more"], true);
    let second = page("?limit=1&after_id=m");
    assert_eq!(second["data"][0]["id"], "claude-main");
    assert_eq!(second["has_more"], false);
    assert_eq!(
        page("?limit=1000")["data"].as_array().map(Vec::len),
        Some(2)
    );
}

#[test]
fn case_60_clients_of_both_vendors_find_their_way() {
    let upstream = Upstream::script(|mut peer| {
        loop {
            let request = peer.expect()?;
            let body = match request.target().split('?').next().unwrap_or_default() {
                "/v1/messages/count_tokens" => r#"{"input_tokens":41}"#,
                "/v1/responses/input_tokens" => {
                    r#"{"object":"response.input_tokens","input_tokens":42}"#
                }
                "/v1/chat/completions" => {
                    r#"{"id":"c","choices":[{"index":0,"message":{"content":"ok"},"finish_reason":"stop"}]}"#
                }
                _ => {
                    r#"{"id":"m","type":"message","role":"assistant","content":[],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1}}"#
                }
            };
            peer.send(json_answer(200, body))?;
        }
    });
    let only = |chat: bool, responses: bool, messages: bool| {
        let says = |protocol: &str, on: bool| format!("support_{protocol}: {on}");
        let config = config_for(&upstream)
            .replace(
                "support_chat_completions: true",
                &says("chat_completions", chat),
            )
            .replace("support_responses: true", &says("responses", responses))
            .replace(
                "support_anthropic_messages: true",
                &says("anthropic_messages", messages),
            );
        Gateway::start(format!(
            "{config}client_api_keys: [sk-plain-key-0123456789]\n"
        ))
    };
    let asked = r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"Count these words, please."}]}"#;
    let input = r#"{"model":"m","input":"Count these words, please."}"#;
    for (gateway, native) in [
        (only(true, false, false), (None, None)),
        (only(false, true, false), (None, Some(42))),
        (only(false, false, true), (Some(41), None)),
    ] {
        for field in ["Authorization: Bearer", "x-api-key:", "api-key:"] {
            let field = format!("{field} sk-plain-key-0123456789\r\n");
            let get = format!("GET /v1/models HTTP/1.1\r\nHost: g\r\n{field}\r\n");
            let list = gateway.client().send(get).read_reply().expect(200).json();
            assert_eq!(list["data"][0]["id"], "m");
            for (path, body, native) in [
                ("/v1/messages/count_tokens?beta=true", asked, native.0),
                ("/v1/responses/input_tokens", input, native.1),
            ] {
                let reply = gateway.post_with(path, &field, body).expect(200);
                let tokens = reply.json()["input_tokens"].as_u64().expect("a number");
                let warned = reply.header("x-llm-wrapper-warnings").unwrap_or_default();
                match native {
                    Some(tokens_there) => assert_eq!(tokens, tokens_there, "{path}"),
                    None => {
                        assert!((3..40).contains(&tokens), "{path}: {tokens}");
                        assert!(
                            warned.contains("input_tokens:estimated"),
                            "{path}: {warned}"
                        );
                    }
                }
            }
        }
        let field = "x-api-key: sk-plain-key-0123456789\r\n";
        let head = gateway
            .client()
            .send("HEAD / HTTP/1.1\r\nHost: g\r\n\r\n")
            .read_reply_to("HEAD");
        assert_eq!(head.status, 200);
        let upgrade = "GET /v1/responses HTTP/1.1\r\nHost: g\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\nx-api-key: sk-plain-key-0123456789\r\n\r\n";
        assert_eq!(gateway.client().send(upgrade).read_reply().status, 426);
        if native.1.is_none() {
            let reply = gateway
                .post_with("/v1/messages?beta=true", field, asked)
                .expect(200);
            assert_eq!(reply.json()["type"], "message");
        }
    }
}
