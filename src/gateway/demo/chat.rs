//! The demo upstream as a Chat Completions server (protocols.md 1).

use super::*;

pub(super) fn answer(request: &Map<String, Value>, stamp: &Stamp) -> Result<Answer, Error> {
    let model = model_of(request)?;
    let prompt = read(request)?;
    let reply = prompt.reply();
    match streams(request)? {
        false => Ok(json_answer(&completion(&reply, model, stamp))),
        true => {
            let options = request.get("stream_options").unwrap_or(&Value::Null);
            let with_usage = options["include_usage"].as_bool().unwrap_or(false);
            Ok(stream_answer(chunks(&reply, model, with_usage, stamp)))
        }
    }
}

fn read(request: &Map<String, Value>) -> Result<Prompt, Error> {
    let mut prompt = Prompt {
        output_max: count_of(request, &["max_completion_tokens", "max_tokens"])?,
        ..Prompt::default()
    };
    for message in list_of(request, "messages")? {
        let role = message["role"]
            .as_str()
            .ok_or_else(|| bad("messages", "a message has no role"))?;
        let text = prompt.count(text_of(&message["content"]));
        prompt.tool_result = None;
        match role {
            "user" => prompt.user = text,
            "tool" | "function" => prompt.tool_result = Some(text),
            "system" | "developer" | "assistant" => {}
            other => return Err(bad("messages", format!("role {other:?} is unknown"))),
        }
    }
    let tools = request
        .get("tools")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let functions = tools.filter_map(|tool| tool.get("function"));
    prompt.tools = functions
        .filter_map(|function| {
            let name = function["name"].as_str()?.to_owned();
            Some(Tool {
                name,
                schema: function["parameters"].clone(),
            })
        })
        .collect();
    prompt.choice = match request.get("tool_choice") {
        Some(Value::String(word)) if word == "none" => Choice::Never,
        Some(Value::String(word)) if word == "required" => Choice::Any,
        Some(Value::Object(choice)) => {
            match choice.get("function").map(|function| &function["name"]) {
                Some(Value::String(name)) => Choice::Named(name.clone()),
                _ => Choice::Any,
            }
        }
        _ => Choice::Auto,
    };
    Ok(prompt)
}

fn finish_reason(reply: &Reply) -> &'static str {
    match (&reply.call, reply.cut) {
        (Some(_), _) => "tool_calls",
        (None, true) => "length",
        (None, false) => "stop",
    }
}

fn usage(reply: &Reply) -> Value {
    json!({
        "prompt_tokens": reply.input_tokens,
        "completion_tokens": reply.output_tokens,
        "total_tokens": reply.input_tokens + reply.output_tokens,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    })
}

fn completion(reply: &Reply, model: &str, stamp: &Stamp) -> Value {
    let mut message = json!({"role": "assistant", "content": reply.text(), "refusal": null});
    if let Some(call) = &reply.call {
        message["content"] = Value::Null;
        message["tool_calls"] = json!([{
            "id": format!("call_demo{}", stamp.id),
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments_json()},
        }]);
    }
    json!({
        "id": format!("chatcmpl-demo{}", stamp.id),
        "object": "chat.completion",
        "created": stamp.now_s,
        "model": model,
        "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": finish_reason(reply)}],
        "usage": usage(reply),
    })
}

fn chunks(reply: &Reply, model: &str, with_usage: bool, stamp: &Stamp) -> Vec<Vec<u8>> {
    let event = |choices: Value, usage: Value| {
        let mut chunk = json!({
            "id": format!("chatcmpl-demo{}", stamp.id),
            "object": "chat.completion.chunk",
            "created": stamp.now_s,
            "model": model,
            "choices": choices,
        });
        if with_usage {
            chunk["usage"] = usage;
        }
        format!("data: {chunk}\n\n").into_bytes()
    };
    let delta = |delta: Value, finish: Value| {
        event(
            json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}]),
            Value::Null,
        )
    };
    let mut out = Vec::new();
    if let Some(call) = &reply.call {
        out.push(delta(
            json!({"role": "assistant", "content": null}),
            Value::Null,
        ));
        let first = json!({
            "index": 0, "id": format!("call_demo{}", stamp.id), "type": "function",
            "function": {"name": call.name, "arguments": ""},
        });
        out.push(delta(json!({"tool_calls": [first]}), Value::Null));
        for fragment in fragments(&call.arguments_json()) {
            let more = json!({"index": 0, "function": {"arguments": fragment}});
            out.push(delta(json!({"tool_calls": [more]}), Value::Null));
        }
    } else {
        out.push(delta(
            json!({"role": "assistant", "content": ""}),
            Value::Null,
        ));
        out.extend(
            reply
                .pieces
                .iter()
                .map(|piece| delta(json!({"content": piece}), Value::Null)),
        );
    }
    out.push(delta(json!({}), json!(finish_reason(reply))));
    if with_usage {
        out.push(event(json!([]), usage(reply)));
    }
    out.push(b"data: [DONE]\n\n".to_vec());
    out
}
