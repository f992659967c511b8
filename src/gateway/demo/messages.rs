//! The demo upstream as a Messages server (protocols.md 3).

use super::*;

pub(super) fn answer(request: &Map<String, Value>, stamp: &Stamp) -> Result<Answer, Error> {
    let model = model_of(request)?;
    let mut prompt = read(request)?;
    prompt.output_max = count_of(request, &["max_tokens"])?;
    if prompt.output_max.is_none() {
        return Err(bad("max_tokens", "max_tokens: field required"));
    }
    let reply = prompt.reply();
    match streams(request)? {
        false => Ok(json_answer(&message(&reply, model, stamp))),
        true => Ok(stream_answer(events(&reply, model, stamp))),
    }
}

/// The answer of `/v1/messages/count_tokens`.
pub(super) fn count_tokens(request: &Map<String, Value>) -> Result<Answer, Error> {
    model_of(request)?;
    let reply = read(request)?.reply();
    Ok(json_answer(&json!({"input_tokens": reply.input_tokens})))
}

fn read(request: &Map<String, Value>) -> Result<Prompt, Error> {
    let mut prompt = Prompt::default();
    prompt.count(text_of(request.get("system").unwrap_or(&Value::Null)));
    for message in list_of(request, "messages")? {
        let content = &message["content"];
        prompt.tool_result = None;
        match message["role"].as_str() {
            Some("user") => {
                let blocks = content.as_array().map(Vec::as_slice).unwrap_or_default();
                let (results, others): (Vec<&Value>, Vec<&Value>) = blocks
                    .iter()
                    .partition(|block| block["type"] == "tool_result");
                if !results.is_empty() {
                    let texts: Vec<String> = results
                        .iter()
                        .map(|result| text_of(&result["content"]))
                        .collect();
                    prompt.tool_result = Some(prompt.count(texts.join(" ")));
                }
                let text = if content.is_array() {
                    text_of(&others.into_iter().cloned().collect())
                } else {
                    text_of(content)
                };
                let text = prompt.count(text);
                if !text.is_empty() || prompt.tool_result.is_none() {
                    prompt.user = text;
                }
            }
            Some("assistant" | "system") => {
                prompt.count(text_of(content));
            }
            _ => return Err(bad("messages", "role must be user or assistant")),
        }
    }
    let tools = request
        .get("tools")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    prompt.tools = tools
        .filter(|tool| matches!(tool["type"].as_str(), None | Some("custom")))
        .filter_map(|tool| {
            let name = tool["name"].as_str()?.to_owned();
            Some(Tool {
                name,
                schema: tool["input_schema"].clone(),
            })
        })
        .collect();
    let choice = request.get("tool_choice").unwrap_or(&Value::Null);
    prompt.choice = match (choice["type"].as_str(), choice["name"].as_str()) {
        (Some("none"), _) => Choice::Never,
        (Some("any"), _) => Choice::Any,
        (Some("tool"), Some(name)) => Choice::Named(name.to_owned()),
        _ => Choice::Auto,
    };
    Ok(prompt)
}

fn stop_reason(reply: &Reply) -> &'static str {
    match (&reply.call, reply.cut) {
        (Some(_), _) => "tool_use",
        (None, true) => "max_tokens",
        (None, false) => "end_turn",
    }
}

fn usage(reply: &Reply, output_tokens: u64) -> Value {
    json!({
        "input_tokens": reply.input_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": output_tokens,
        "service_tier": "standard",
    })
}

/// The block of the answer, complete or as the shell a stream opens with.
fn block(reply: &Reply, shell: bool, stamp: &Stamp) -> Value {
    match &reply.call {
        None if shell => json!({"type": "text", "text": "", "citations": null}),
        None => json!({"type": "text", "text": reply.text(), "citations": null}),
        Some(call) => {
            let input = if shell {
                Map::new()
            } else {
                call.arguments.clone()
            };
            json!({"type": "tool_use", "id": format!("toolu_demo{}", stamp.id), "name": call.name, "input": input})
        }
    }
}

fn message(reply: &Reply, model: &str, stamp: &Stamp) -> Value {
    json!({
        "id": format!("msg_demo{}", stamp.id),
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [block(reply, false, stamp)],
        "stop_reason": stop_reason(reply),
        "stop_sequence": null,
        "usage": usage(reply, reply.output_tokens),
    })
}

fn events(reply: &Reply, model: &str, stamp: &Stamp) -> Vec<Vec<u8>> {
    let mut start = message(reply, model, stamp);
    start["content"] = json!([]);
    start["stop_reason"] = Value::Null;
    start["usage"] = usage(reply, 1);
    let delta = |delta: Value| {
        named_event(&json!({"type": "content_block_delta", "index": 0, "delta": delta}))
    };
    let mut out = vec![
        named_event(&json!({"type": "message_start", "message": start})),
        named_event(
            &json!({"type": "content_block_start", "index": 0, "content_block": block(reply, true, stamp)}),
        ),
        named_event(&json!({"type": "ping"})),
    ];
    match &reply.call {
        Some(call) => {
            let arguments = call.arguments_json();
            let pieces = std::iter::once("").chain(fragments(&arguments));
            out.extend(
                pieces
                    .map(|piece| delta(json!({"type": "input_json_delta", "partial_json": piece}))),
            );
        }
        None => {
            let pieces = reply.pieces.iter();
            out.extend(pieces.map(|piece| delta(json!({"type": "text_delta", "text": piece}))));
        }
    }
    out.push(named_event(
        &json!({"type": "content_block_stop", "index": 0}),
    ));
    out.push(named_event(&json!({
        "type": "message_delta",
        "delta": {"stop_reason": stop_reason(reply), "stop_sequence": null},
        "usage": {"output_tokens": reply.output_tokens},
    })));
    out.push(named_event(&json!({"type": "message_stop"})));
    out
}
