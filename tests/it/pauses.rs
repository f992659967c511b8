//! An upstream that pauses its turn while a tool of its own is at work (Messages `pause_turn`): the client gets one answer, or
//! learns that it is none.

use crate::pairs::vendors::Speech;
use crate::support::client::post;
use crate::support::{Ending, Gate, Gateway, Peer, Reply, STREAM_HEAD, Upstream, json_answer};
use Speech::{Chat, Responses};
use serde_json::{Value, json};
use std::io;
use std::time::Duration;

/// From the cause of an end to that end, with two busy cores.
const SOON: Duration = Duration::from_secs(6);

struct House {
    gateway: Gateway,
    upstream: Upstream,
    /// The upstream saw the gateway hang up.
    left: Gate,
}

impl House {
    fn new() -> House {
        let left = Gate::new();
        let leaves = left.clone();
        let upstream = Upstream::script(move |mut peer| {
            loop {
                act(&mut peer, &leaves)?;
            }
        });
        let config = format!(
            "upstreams:\n  - {{name: up, base_url: '{}', auth: {{type: api_key, key: sk-up-0123456789}}, support_chat_completions: false, support_anthropic_messages: true, flags: {{web_search: true}}}}\naliases:\n  - {{alias: claude, target_model: x, upstream: up}}\n",
            upstream.base_url()
        );
        House {
            gateway: Gateway::start(config),
            upstream,
            left,
        }
    }

    fn ask(&self, client: Speech, act: &str, stream: bool) -> Reply {
        self.gateway.post(client.path(), body(client, act, stream))
    }

    /// Messages of the last request.
    fn asked(&self) -> Value {
        let last = self.upstream.request(self.upstream.requests() - 1);
        let body: Value = serde_json::from_slice(&last.body).expect("the upstream gets JSON");
        body["messages"].clone()
    }
}

fn body(client: Speech, act: &str, stream: bool) -> String {
    match client {
        Chat => format!(
            r#"{{"model":"claude","max_tokens":100,"web_search_options":{{}},"stream":{stream},"stream_options":{{"include_usage":true}},"messages":[{{"role":"user","content":"act:{act}"}}]}}"#
        ),
        _ => format!(
            r#"{{"model":"claude","max_output_tokens":100,"tools":[{{"type":"web_search"}}],"stream":{stream},"input":"act:{act}"}}"#
        ),
    }
}

/// Answers one request: how often the turn was paused before is to be seen in the request itself.
fn act(peer: &mut Peer, left: &Gate) -> io::Result<()> {
    let request = peer.expect()?;
    let text = request.text();
    let word = text.split("act:").nth(1).unwrap_or_default();
    let word: String = word.chars().take_while(char::is_ascii_alphabetic).collect();
    let part = text.matches(r#""type":"server_tool_use""#).count();
    let stream = text.contains(r#""stream":true"#);
    let is_last = match word.as_str() {
        "twice" => part == 2,
        "forever" => false,
        _ => {
            match (word.as_str(), part) {
                (_, 0) => {}
                ("refuse", _) => {
                    let body =
                        r#"{"type":"error","error":{"type":"overloaded_error","message":"boom"}}"#;
                    let length = body.len();
                    return peer.send(format!(
                        "HTTP/1.1 529 Overloaded\r\ncontent-type: application/json\r\nretry-after: 9\r\ncontent-length: {length}\r\n\r\n{body}"
                    ));
                }
                ("cut", _) if stream => {
                    let events = blocks(part, false);
                    peer.send(STREAM_HEAD)?;
                    peer.send_chunk(&events[..events.len() - 2].concat())?;
                    return Err(io::ErrorKind::ConnectionAborted.into());
                }
                ("cut", _) => return Err(io::ErrorKind::ConnectionAborted.into()),
                ("form", _) if stream => return peer.send(json_answer(200, &whole(part, true))),
                ("form", _) => {
                    peer.send(STREAM_HEAD)?;
                    peer.send_chunk(&blocks(part, true).concat())?;
                    return peer.send("0\r\n\r\n");
                }
                _ => {
                    peer.wait_closed()?;
                    left.open();
                    return Err(io::ErrorKind::ConnectionAborted.into());
                }
            }
            false
        }
    };
    if !stream {
        return peer.send(json_answer(200, &whole(part, is_last)));
    }
    peer.send(STREAM_HEAD)?;
    for event in blocks(part, is_last) {
        peer.send_chunk(&event)?;
    }
    peer.send("0\r\n\r\n")
}

/// What that part of the turn says.
fn content(part: usize, is_last: bool) -> Vec<Value> {
    if is_last {
        return vec![json!({"type":"text","text":"Done."})];
    }
    let id = format!("srvtoolu_{part}");
    vec![
        json!({"type":"thinking","thinking":"Hm","signature":format!("SIG{part}")}),
        json!({"type":"text","text":format!("Part{part} ")}),
        json!({"type":"server_tool_use","id":id,"name":"web_search","input":{"query":"q"}}),
        json!({"type":"web_search_tool_result","tool_use_id":id,"content":[{"type":"web_search_result","url":"https://a","title":"A","encrypted_content":"ENC"}]}),
    ]
}

fn reason(is_last: bool) -> &'static str {
    if is_last { "end_turn" } else { "pause_turn" }
}

fn whole(part: usize, is_last: bool) -> String {
    json!({"id":format!("msg_{part}"),"type":"message","role":"assistant","model":"x","content":content(part, is_last),"stop_reason":reason(is_last),"stop_sequence":null,"usage":{"input_tokens":10,"output_tokens":5}}).to_string()
}

/// The same in events.
fn blocks(part: usize, is_last: bool) -> Vec<String> {
    let mut datas = vec![
        json!({"type":"message_start","message":{"id":format!("msg_{part}"),"type":"message","role":"assistant","model":"x","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":10,"output_tokens":1}}}),
    ];
    for (index, block) in content(part, is_last).into_iter().enumerate() {
        let mut head = block.clone();
        let mut deltas = Vec::new();
        match block["type"].as_str().unwrap_or_default() {
            "text" => {
                head["text"] = json!("");
                deltas.push(json!({"type":"text_delta","text":block["text"]}));
            }
            "thinking" => {
                head["thinking"] = json!("");
                head["signature"] = json!("");
                deltas.push(json!({"type":"thinking_delta","thinking":block["thinking"]}));
                deltas.push(json!({"type":"signature_delta","signature":block["signature"]}));
            }
            "server_tool_use" => {
                head["input"] = json!({});
                deltas.push(
                    json!({"type":"input_json_delta","partial_json":block["input"].to_string()}),
                );
            }
            _ => {}
        }
        datas.push(json!({"type":"content_block_start","index":index,"content_block":head}));
        for delta in deltas {
            datas.push(json!({"type":"content_block_delta","index":index,"delta":delta}));
        }
        datas.push(json!({"type":"content_block_stop","index":index}));
    }
    datas.push(json!({"type":"message_delta","delta":{"stop_reason":reason(is_last),"stop_sequence":null},"usage":{"output_tokens":5}}));
    datas.push(json!({"type":"message_stop"}));
    let frame = |data: &Value| {
        let name = data["type"].as_str().unwrap_or_default();
        format!("event: {name}\ndata: {data}\n\n")
    };
    datas.iter().map(frame).collect()
}

/// All the visible text of an answer.
fn said(client: Speech, reply: &Reply, stream: bool) -> String {
    if stream {
        return client.text(&reply.text(), true);
    }
    let body = reply.json();
    if client == Chat {
        return client.text(&reply.text(), false);
    }
    let items = body["output"].as_array().expect("items").iter();
    let parts = items
        .filter_map(|item| item["content"].as_array())
        .flatten();
    parts.filter_map(|part| part["text"].as_str()).collect()
}

/// The usage of an answer: input and output.
fn usage(client: Speech, reply: &Reply, stream: bool) -> (u64, u64) {
    let body = match stream {
        false => reply.json(),
        true => {
            let text = reply.text();
            let datas = text.lines().filter_map(|line| line.strip_prefix("data: "));
            let mut datas = datas.filter_map(|data| serde_json::from_str::<Value>(data).ok());
            let found = match client {
                Chat => datas.find(|data| data["usage"].is_object()),
                _ => datas
                    .find(|data| data["type"] == "response.completed")
                    .map(|data| data["response"].clone()),
            };
            found.expect("an event with the usage")
        }
    };
    let names = match client {
        Chat => ["prompt_tokens", "completion_tokens"],
        _ => ["input_tokens", "output_tokens"],
    };
    let [input, output] = names.map(|name| body["usage"][name].as_u64().expect("a number"));
    (input, output)
}

#[test]
fn a_turn_that_pauses_twice_is_one_answer() {
    let house = House::new();
    for client in [Chat, Responses] {
        for stream in [true, false] {
            let before = house.upstream.requests();
            let reply = house.ask(client, "twice", stream).expect(200);
            let text = reply.text();
            assert_eq!(house.upstream.requests(), before + 3, "{text}");
            assert_eq!(said(client, &reply, stream), "Part0 Part1 Done.", "{text}");
            assert_eq!(usage(client, &reply, stream), (30, 15), "{text}");
            assert_eq!(reply.header("x-llm-wrapper-warnings"), None);
            if stream {
                assert!(text.contains(client.end_mark()), "{text}");
                let start = match client {
                    Chat => r#""role":"assistant""#,
                    _ => "event: response.created",
                };
                assert_eq!(text.matches(start).count(), 1, "{text}");
            }
            // The upstream gets its own words back, to the letter, as one turn behind the client's.
            let asked = house.asked();
            let mut own = content(0, false);
            own.extend(content(1, false));
            assert_eq!(asked.as_array().map(Vec::len), Some(2), "{asked}");
            assert_eq!(asked[1], json!({"role":"assistant","content":own}));
        }
    }
}

#[test]
fn after_ten_times_it_ends_as_at_the_output_limit() {
    let house = House::new();
    for client in [Chat, Responses] {
        for stream in [true, false] {
            let before = house.upstream.requests();
            let reply = house.ask(client, "forever", stream).expect(200);
            assert_eq!(house.upstream.requests(), before + 11);
            let text = reply.text();
            let mark = match client {
                Chat => r#""finish_reason":"length""#,
                _ => r#""reason":"max_output_tokens""#,
            };
            assert!(text.contains(mark), "{text}");
            assert!(said(client, &reply, stream).ends_with("Part9 Part10 "));
            if !stream {
                let warnings = reply.header("x-llm-wrapper-warnings");
                assert_eq!(warnings.as_deref(), Some("stop_reason:paused"));
            }
        }
    }
}

#[test]
fn a_turn_that_is_not_gone_on_with_is_never_a_complete_answer() {
    let house = House::new();
    for client in [Chat, Responses] {
        for word in ["refuse", "cut", "form"] {
            let reply = house.ask(client, word, true).expect(200);
            let text = reply.text();
            assert!(said(client, &reply, true).starts_with("Part0 "), "{text}");
            assert!(!text.contains(client.end_mark()), "{word}: {text}");
            let told = client.error_inside(&text).expect("an error inside");
            assert!(word != "refuse" || told.contains("boom"), "{told}");
            let reply = house.ask(client, word, false);
            assert!(reply.status >= 500, "{word}: {}", reply.text());
            let again = (word == "refuse").then(|| "9".to_owned());
            assert_eq!(reply.header("retry-after"), again, "{word}");
            assert!(reply.json()["error"]["message"].is_string());
        }
    }
}

#[test]
fn a_client_that_leaves_between_two_parts_stops_the_upstream() {
    for stream in [true, false] {
        let house = House::new();
        let mut client = house.gateway.client();
        client.send(post(Chat.path(), "", body(Chat, "wait", stream)));
        if stream {
            client.read_until("Part0");
        }
        let asked = std::time::Instant::now();
        while house.upstream.requests() < 2 {
            assert!(asked.elapsed() < SOON, "the upstream is not asked again");
            let (_, ending) = client.read_to_end_within(Duration::from_millis(20));
            assert_eq!(ending, Ending::StillOpen);
        }
        drop(client);
        assert!(house.left.wait_for(SOON), "the upstream still works");
        house.gateway.check_alive();
    }
}
