//! The data plane: keys, model lists in three shapes, and answers in the client's protocol that echo the model.
//! Model names script what happens: `err-<status>` answers with it, `drip-<id>` streams slowly and splits characters,
//! `break-<id>` stops in the middle, `cut-<id>` closes the connection there.

use crate::http::{Request, Response};
use crate::{World, accounts, management};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

fn refuse(status: u16, text: &str) -> Response {
    Response::json(status, &json!({"error": text}))
}

pub fn answer(world: &World, request: &Request) -> Response {
    let keys = world.config.lock().expect("the config").api_keys.clone();
    if keys.iter().any(|key| key.starts_with("your-api-key-")) {
        let body = json!({"error": "unsafe_example_api_key", "message": "change the example keys"});
        return Response::json(403, &body).with("X-CPA-SAFE-MODE", "example-api-key");
    }
    if !keys.is_empty() {
        let bearer = request
            .header("authorization")
            .map(|value| value.strip_prefix("Bearer ").unwrap_or(value));
        let given = [
            bearer,
            request.header("x-api-key"),
            request.header("x-goog-api-key"),
            request.query("key"),
            request.query("auth_token"),
        ];
        if given.iter().all(Option::is_none) {
            return refuse(401, "Missing API key");
        }
        if !given
            .iter()
            .flatten()
            .any(|given| keys.iter().any(|key| key == given))
        {
            return refuse(401, "Invalid API key");
        }
    }
    match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/v1/models") => list(world, request),
        (
            "POST",
            "/v1/chat/completions" | "/v1/responses" | "/v1/messages" | "/v1/messages/count_tokens",
        ) => generate(world, request),
        _ => Response::empty(404),
    }
}

/// Every id on offer, with the provider it comes from.
fn offered(world: &World) -> BTreeMap<String, String> {
    if !world.loaded.load(Ordering::SeqCst) {
        return BTreeMap::new();
    }
    let mut all = BTreeMap::new();
    for account in accounts::read_all(world)
        .iter()
        .filter(|account| !account.is_disabled())
    {
        let prefix = account.text("prefix");
        for id in management::models_of(account) {
            all.insert(id.to_owned(), account.text("type"));
            if !prefix.is_empty() {
                all.insert(format!("{prefix}/{id}"), account.text("type"));
            }
        }
    }
    all
}

fn list(world: &World, request: &Request) -> Response {
    let all = offered(world);
    if request.query("client_version").is_some() {
        let models: Vec<Value> = all
            .keys()
            .map(|id| json!({"slug": id, "base_instructions": "x".repeat(100_000)}))
            .collect();
        return Response::json(200, &json!({"models": models}));
    }
    let agent = request.header("user-agent").unwrap_or_default();
    if request.header("anthropic-version").is_some() || agent.starts_with("claude-cli") {
        let plain =
            world.config.lock().expect("the config").plain_model_list && world.at_least(7, 2, 103);
        let cloaks = world.at_least(7, 2, 55) && !plain;
        let shown = |id: &String| match id.starts_with("claude-") || !cloaks {
            true => id.clone(),
            false => format!("claude-fable-5-dd-{}", id.chars().rev().collect::<String>()),
        };
        let data: Vec<Value> = all.keys().map(|id| json!({"id": shown(id), "object": "model", "type": "model", "owned_by": "fake", "display_name": id})).collect();
        return Response::json(
            200,
            &json!({"data": data, "has_more": false, "first_id": null, "last_id": null}),
        );
    }
    let data: Vec<Value> = all
        .iter()
        .map(|(id, kind)| {
            let owner = match kind.as_str() {
                "claude" => "anthropic",
                "codex" => "openai",
                other => other,
            };
            json!({"id": id, "object": "model", "created": 1, "owned_by": owner})
        })
        .collect();
    Response::json(200, &json!({"object": "list", "data": data}))
}

fn shaped(path: &str, status: u16, kind: &str, message: &str) -> Response {
    let messages = path.starts_with("/v1/messages");
    let body = match messages {
        true => json!({"type": "error", "error": {"type": kind, "message": message}}),
        false => json!({"error": {"message": message, "type": kind}}),
    };
    Response::json(status, &body)
}

fn generate(world: &World, request: &Request) -> Response {
    let path = request.path.as_str();
    let body = request.json().unwrap_or(Value::Null);
    let model = body["model"].as_str().unwrap_or_default().to_owned();
    if let Some(status) = model
        .strip_prefix("err-")
        .and_then(|status| status.parse().ok())
    {
        cool_down(world, status);
        return shaped(path, status, "provider_error", "told to fail")
            .with("X-CPA-TRACE-ID", "0a1b2c3d");
    }
    let (script, id) = match model.split_once('-') {
        Some((script @ ("drip" | "break" | "cut"), id)) => (script.to_owned(), id.to_owned()),
        _ => (String::new(), model.clone()),
    };
    if !offered(world).contains_key(&id) {
        let text = format!("unknown provider for model {id}");
        return match world.at_least(7, 2, 140) {
            true => shaped(path, 400, "model_not_found", &text),
            false => shaped(path, 502, "api_error", &text),
        };
    }
    if let Some(status) = cooling(world) {
        // Without a Retry-After, whatever the provider had said.
        return match status {
            429 => shaped(path, 429, "model_cooldown", "all credentials cool down"),
            _ => shaped(
                path,
                503,
                "internal_server_error",
                "auth_unavailable: no auth available",
            ),
        };
    }
    if path.ends_with("/count_tokens") {
        return Response::json(200, &json!({"input_tokens": 7}));
    }
    let text = "Grüße vom Fake";
    if body["stream"] != true {
        let whole = match path {
            "/v1/chat/completions" => {
                json!({"id": "c1", "object": "chat.completion", "model": model, "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}})
            }
            "/v1/responses" => {
                json!({"id": "r1", "object": "response", "status": "completed", "model": model, "output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}], "usage": {"input_tokens": 1, "output_tokens": 2}})
            }
            _ => {
                json!({"id": "m1", "type": "message", "role": "assistant", "model": model, "content": [{"type": "text", "text": text}], "stop_reason": "end_turn", "usage": {"input_tokens": 1, "output_tokens": 2}})
            }
        };
        return Response::json(200, &whole).with("X-CPA-TRACE-ID", "0a1b2c3d");
    }
    let events = events(path, &model, text);
    let broken = match path {
        "/v1/chat/completions" => "data: {\"error\":{\"message\":\"told to break\"}}\n\n".to_owned(),
        "/v1/responses" => "event: error\ndata: {\"type\":\"error\",\"code\":\"internal\",\"message\":\"told to break\",\"sequence_number\":0}\n\n".to_owned(),
        _ => "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"told to break\"}}\n\n".to_owned(),
    };
    let mut response = Response::empty(200)
        .with("Content-Type", "text/event-stream")
        .with("X-CPA-TRACE-ID", "0a1b2c3d");
    response.stream = Some(Box::new(move |send| {
        let half = events.len() / 2;
        for (n, event) in events.iter().enumerate() {
            if script == "break" && n == half {
                send(broken.as_bytes());
                send(b"");
                return;
            }
            if script == "cut" && n == half {
                return;
            }
            let pause = crate::knob_ms("FAKE_DRIP_MS").unwrap_or(Duration::from_millis(20));
            let step = if script == "drip" { 5 } else { event.len() };
            for piece in event.as_bytes().chunks(step) {
                if !send(piece) {
                    return;
                }
                if script == "drip" {
                    std::thread::sleep(pause);
                }
            }
        }
        send(b"");
    }));
    response
}

/// One error of the provider takes the account out, unless that is switched off.
fn cool_down(world: &World, status: u16) {
    if !matches!(status, 403 | 408 | 429 | 500..)
        || world.config.lock().expect("the config").disable_cooling
    {
        return;
    }
    for account in accounts::read_all(world) {
        let mut memory = world.memory.lock().expect("the memory");
        memory
            .trouble
            .insert(account.name, format!("{{\"status\":{status}}}"));
    }
}

fn cooling(world: &World) -> Option<u16> {
    let memory = world.memory.lock().expect("the memory");
    let text = memory.trouble.values().next()?;
    Some(if text.contains("429") { 429 } else { 503 })
}

fn events(path: &str, model: &str, text: &str) -> Vec<String> {
    let words: Vec<&str> = text.split_inclusive(' ').collect();
    let event = |value: Value| {
        format!(
            "event: {}\ndata: {value}\n\n",
            value["type"].as_str().unwrap_or_default()
        )
    };
    match path {
        "/v1/chat/completions" => {
            let chunk = |delta: Value, finish: Value| {
                format!(
                    "data: {}\n\n",
                    json!({"id": "c1", "object": "chat.completion.chunk", "model": model, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
                )
            };
            let mut all = vec![chunk(json!({"role": "assistant"}), Value::Null)];
            all.extend(
                words
                    .iter()
                    .map(|word| chunk(json!({"content": word}), Value::Null)),
            );
            all.push(chunk(json!({}), json!("stop")));
            all.push("data: [DONE]\n\n".into());
            all
        }
        "/v1/responses" => {
            let mut number = 0;
            let mut next = |mut value: Value| {
                value["sequence_number"] = json!(number);
                number += 1;
                event(value)
            };
            let mut all = vec![next(
                json!({"type": "response.created", "response": {"id": "r1", "status": "in_progress", "model": model}}),
            )];
            all.extend(words.iter().map(|word| next(json!({"type": "response.output_text.delta", "item_id": "i1", "output_index": 0, "content_index": 0, "delta": word}))));
            all.push(next(json!({"type": "response.completed", "response": {"id": "r1", "status": "completed", "model": model, "output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}]}})));
            all
        }
        _ => {
            let mut all = vec![
                event(
                    json!({"type": "message_start", "message": {"id": "m1", "type": "message", "role": "assistant", "model": model, "content": [], "usage": {"input_tokens": 1, "output_tokens": 1}}}),
                ),
                event(
                    json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
                ),
            ];
            all.extend(words.iter().map(|word| event(json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}}))));
            all.push(event(json!({"type": "content_block_stop", "index": 0})));
            all.push(event(json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}})));
            all.push(event(json!({"type": "message_stop"})));
            all
        }
    }
}
