//! The demo upstream as a Responses server (protocols.md 2). It stores nothing.

use super::*;

pub(super) fn answer(request: &Map<String, Value>, stamp: &Stamp) -> Result<Answer, Error> {
    model_of(request)?;
    if request
        .get("previous_response_id")
        .is_some_and(|id| !id.is_null())
    {
        return Err(bad(
            "previous_response_id",
            "the demo upstream stores no responses: send the whole input",
        ));
    }
    let reply = read(request)?.reply();
    let item = item(&reply, stamp);
    let done = response(request, &reply, &item, true, stamp);
    match streams(request)? {
        false => Ok(json_answer(&done)),
        true => {
            let open = response(request, &reply, &item, false, stamp);
            Ok(stream_answer(events(&reply, &item, &open, &done)))
        }
    }
}

fn read(request: &Map<String, Value>) -> Result<Prompt, Error> {
    let mut prompt = Prompt {
        output_max: count_of(request, &["max_output_tokens"])?,
        ..Prompt::default()
    };
    prompt.count(text_of(request.get("instructions").unwrap_or(&Value::Null)));
    match request.get("input") {
        Some(Value::String(text)) => prompt.user = prompt.count(text.clone()),
        _ => {
            for item in list_of(request, "input")? {
                read_item(&mut prompt, item)?;
            }
        }
    }
    let tools = request
        .get("tools")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    prompt.tools = tools
        .filter(|tool| tool["type"] == "function")
        .filter_map(|tool| {
            let name = tool["name"].as_str()?.to_owned();
            Some(Tool {
                name,
                schema: tool["parameters"].clone(),
            })
        })
        .collect();
    prompt.choice = match request.get("tool_choice") {
        Some(Value::String(word)) if word == "none" => Choice::Never,
        Some(Value::String(word)) if word == "required" => Choice::Any,
        Some(Value::Object(choice)) => match choice.get("name") {
            Some(Value::String(name)) => Choice::Named(name.clone()),
            _ => Choice::Auto,
        },
        _ => Choice::Auto,
    };
    Ok(prompt)
}

fn read_item(prompt: &mut Prompt, item: &Value) -> Result<(), Error> {
    match item["type"].as_str() {
        None | Some("message") => {
            let role = item["role"]
                .as_str()
                .ok_or_else(|| bad("input", "a message has no role"))?;
            let text = prompt.count(text_of(&item["content"]));
            prompt.tool_result = None;
            if role == "user" {
                prompt.user = text;
            }
        }
        Some("function_call_output" | "custom_tool_call_output") => {
            let text = prompt.count(text_of(&item["output"]));
            prompt.tool_result = Some(text);
        }
        // Calls and reasoning of earlier turns: nothing to answer.
        Some(_) => {}
    }
    Ok(())
}

/// The one output item, complete.
fn item(reply: &Reply, stamp: &Stamp) -> Value {
    match &reply.call {
        Some(call) => json!({
            "id": format!("fc_demo{}", stamp.id), "type": "function_call", "status": "completed",
            "call_id": format!("call_demo{}", stamp.id), "name": call.name, "arguments": call.arguments_json(),
        }),
        None => json!({
            "id": format!("msg_demo{}", stamp.id), "type": "message",
            "status": if reply.cut { "incomplete" } else { "completed" },
            "role": "assistant", "content": [part(&reply.text())],
        }),
    }
}

fn part(text: &str) -> Value {
    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": []})
}

/// The response object, at its end or at its beginning. What the client set is repeated, as the real server does.
fn response(
    request: &Map<String, Value>,
    reply: &Reply,
    item: &Value,
    ended: bool,
    stamp: &Stamp,
) -> Value {
    let status = match (ended, reply.cut) {
        (false, _) => "in_progress",
        (true, false) => "completed",
        (true, true) => "incomplete",
    };
    let mut response = json!({
        "id": format!("resp_demo{}", stamp.id),
        "object": "response",
        "created_at": stamp.now_s,
        "status": status,
        "error": null,
        "incomplete_details": null,
        "output": [],
        "usage": null,
    });
    let defaults = [
        ("instructions", Value::Null),
        ("max_output_tokens", Value::Null),
        ("metadata", json!({})),
        ("model", Value::Null),
        ("parallel_tool_calls", json!(true)),
        ("previous_response_id", Value::Null),
        ("reasoning", json!({"effort": null, "summary": null})),
        ("store", json!(false)),
        ("temperature", json!(1.0)),
        ("text", json!({"format": {"type": "text"}})),
        ("tool_choice", json!("auto")),
        ("tools", json!([])),
        ("top_p", json!(1.0)),
        ("truncation", json!("disabled")),
    ];
    for (key, default) in defaults {
        let sent = request.get(key).filter(|value| !value.is_null());
        response[key] = sent.cloned().unwrap_or(default);
    }
    response["store"] = json!(false);
    if ended {
        if reply.cut {
            response["incomplete_details"] = json!({"reason": "max_output_tokens"});
        } else {
            response["completed_at"] = json!(stamp.now_s);
        }
        response["output"] = json!([item]);
        response["usage"] = json!({
            "input_tokens": reply.input_tokens,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": reply.output_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": reply.input_tokens + reply.output_tokens,
        });
    }
    response
}

fn events(reply: &Reply, item: &Value, open: &Value, done: &Value) -> Vec<Vec<u8>> {
    let mut out: Vec<Vec<u8>> = Vec::new();
    let mut send = |mut data: Value| {
        data["sequence_number"] = json!(out.len());
        out.push(named_event(&data));
    };
    let id = &item["id"];
    let mut shell = item.clone();
    shell["status"] = json!("in_progress");
    send(json!({"type": "response.created", "response": open}));
    send(json!({"type": "response.in_progress", "response": open}));
    match &reply.call {
        Some(call) => {
            shell["arguments"] = json!("");
            send(json!({"type": "response.output_item.added", "output_index": 0, "item": shell}));
            let arguments = call.arguments_json();
            for fragment in fragments(&arguments) {
                send(json!({
                    "type": "response.function_call_arguments.delta", "item_id": id, "output_index": 0, "delta": fragment,
                }));
            }
            send(json!({
                "type": "response.function_call_arguments.done", "item_id": id, "output_index": 0,
                "name": call.name, "arguments": arguments,
            }));
        }
        None => {
            shell["content"] = json!([]);
            send(json!({"type": "response.output_item.added", "output_index": 0, "item": shell}));
            let place = |kind: &str| json!({"type": kind, "item_id": id, "output_index": 0, "content_index": 0});
            let with = |kind: &str, key: &str, value: Value| {
                let mut event = place(kind);
                event[key] = value;
                event
            };
            send(with("response.content_part.added", "part", part("")));
            for piece in &reply.pieces {
                let mut delta = with("response.output_text.delta", "delta", json!(piece));
                delta["logprobs"] = json!([]);
                send(delta);
            }
            let text = reply.text();
            let mut text_done = with("response.output_text.done", "text", json!(text));
            text_done["logprobs"] = json!([]);
            send(text_done);
            send(with("response.content_part.done", "part", part(&text)));
        }
    }
    send(json!({"type": "response.output_item.done", "output_index": 0, "item": item}));
    let end = if reply.cut {
        "response.incomplete"
    } else {
        "response.completed"
    };
    send(json!({"type": end, "response": done}));
    out
}
