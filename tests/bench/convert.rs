//! What conversion costs without sockets, in all six directions: microseconds and allocations for a request of 1 KB and its
//! answer, nanoseconds and allocations for each text event of a stream, and the time to convert requests of 2 MB: one long
//! prompt, and the history of a coding agent with its tools.
//! Inputs and outputs are checked before anything is printed.
//! `cargo bench --bench convert`.

#[path = "counting.rs"]
mod counting;

use counting::{COUNT, IS_WORKER};
use llm_wrapper::protocol::{
    Caps, Context, Made, Protocol, Translator, Warnings, Written, convert_request, convert_response,
};
use llm_wrapper::wire::json::{self, Object};
use std::fmt::Write as _;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Text events of a stream: enough that its beginning and end do not count.
const EVENTS: usize = 20_000;
/// Runs of each measurement; the best is printed, the machine may be shared.
const RUNS: usize = 7;
/// Bytes of the request's prompt.
const PROMPT_BYTES: usize = 2_000_000;

/// A stream of that protocol with `EVENTS` pieces of text, as frames.
fn stream(protocol: Protocol) -> Vec<String> {
    let named = |name: &str, data: String| format!("event: {name}\ndata: {data}\n\n");
    let mut frames = Vec::new();
    match protocol {
        Protocol::Chat => {
            let chunk = |delta: &str, finish: &str| {
                format!(
                    "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish}}}]}}\n\n"
                )
            };
            frames.push(chunk(r#"{"role":"assistant","content":""}"#, "null"));
            frames.extend(
                (0..EVENTS).map(|at| chunk(&format!(r#"{{"content":"word {at} "}}"#), "null")),
            );
            frames.push(chunk("{}", "\"stop\""));
            frames.push("data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":9,\"total_tokens\":18}}\n\n".into());
            frames.push("data: [DONE]\n\n".into());
        }
        Protocol::Messages => {
            frames.push(named("message_start", r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":9,"output_tokens":1}}}"#.into()));
            frames.push(named("content_block_start", r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#.into()));
            frames.extend((0..EVENTS).map(|at| named("content_block_delta", format!(r#"{{"type":"content_block_delta","index":0,"delta":{{"type":"text_delta","text":"word {at} "}}}}"#))));
            frames.push(named(
                "content_block_stop",
                r#"{"type":"content_block_stop","index":0}"#.into(),
            ));
            frames.push(named("message_delta", r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":9}}"#.into()));
            frames.push(named("message_stop", r#"{"type":"message_stop"}"#.into()));
        }
        Protocol::Responses => {
            frames.push(named("response.created", r#"{"type":"response.created","sequence_number":0,"response":{"id":"resp_1","object":"response","created_at":1,"status":"in_progress","model":"m","output":[]}}"#.into()));
            frames.push(named("response.output_item.added", r#"{"type":"response.output_item.added","sequence_number":1,"output_index":0,"item":{"id":"msg_1","type":"message","status":"in_progress","role":"assistant","content":[]}}"#.into()));
            frames.push(named("response.content_part.added", r#"{"type":"response.content_part.added","sequence_number":2,"item_id":"msg_1","output_index":0,"content_index":0,"part":{"type":"output_text","text":"","annotations":[]}}"#.into()));
            let mut text = String::new();
            for at in 0..EVENTS {
                let _ = write!(text, "word {at} ");
                frames.push(named("response.output_text.delta", format!(r#"{{"type":"response.output_text.delta","sequence_number":{},"item_id":"msg_1","output_index":0,"content_index":0,"delta":"word {at} "}}"#, at + 3)));
            }
            let part = format!(r#"{{"type":"output_text","text":"{text}","annotations":[]}}"#);
            let item = format!(
                r#"{{"id":"msg_1","type":"message","status":"completed","role":"assistant","content":[{part}]}}"#
            );
            frames.push(named("response.output_text.done", format!(r#"{{"type":"response.output_text.done","sequence_number":0,"item_id":"msg_1","output_index":0,"content_index":0,"text":"{text}"}}"#)));
            frames.push(named("response.output_item.done", format!(r#"{{"type":"response.output_item.done","sequence_number":0,"output_index":0,"item":{item}}}"#)));
            frames.push(named("response.completed", format!(r#"{{"type":"response.completed","sequence_number":0,"response":{{"id":"resp_1","object":"response","created_at":1,"status":"completed","model":"m","output":[{item}],"usage":{{"input_tokens":9,"output_tokens":9,"total_tokens":18}}}}}}"#)));
        }
    }
    frames
}

/// Nanoseconds and allocations for each event in the middle of the stream, fed one by one as they come from a network.
fn measure(upstream: Protocol, client: Protocol, frames: &[String]) -> (f64, f64) {
    let last_word = format!("word {} ", EVENTS - 1);
    let mut best = f64::MAX;
    let mut allocations = 0.0;
    for _ in 0..RUNS {
        let caps = Caps::of("generic", "m");
        let made = Made {
            now_unix_s: 1,
            random: [7; 16],
        };
        let mut translator = Translator::new(
            upstream,
            client,
            Context::bare(client, upstream, "m", caps),
            made,
        );
        let mut out = Vec::with_capacity(1 << 16);
        let (first, rest) = frames.split_at(100);
        let (middle, last) = rest.split_at(EVENTS - 200);
        for frame in first {
            translator
                .feed(frame.as_bytes(), &mut out)
                .expect("a good stream");
        }
        let before = COUNT.load(Ordering::SeqCst);
        let begun = Instant::now();
        for frame in middle {
            out.clear();
            translator
                .feed(frame.as_bytes(), &mut out)
                .expect("a good stream");
            assert!(!out.is_empty(), "each event leaves at once");
        }
        let took = begun.elapsed().as_nanos() as f64 / middle.len() as f64;
        allocations = (COUNT.load(Ordering::SeqCst) - before) as f64 / middle.len() as f64;
        best = best.min(took);
        out.clear();
        for frame in last {
            translator
                .feed(frame.as_bytes(), &mut out)
                .expect("a good stream");
        }
        translator.finish(&mut out).expect("a whole stream");
        assert!(translator.is_finished() && String::from_utf8_lossy(&out).contains(&last_word));
    }
    (best, allocations)
}

/// A conversation of that protocol with a prompt of source code.
fn request(client: Protocol) -> String {
    let line = r#"fn main() {\n\tlet x = \"a\\b\";\n}\n"#;
    let code = line.repeat(PROMPT_BYTES / line.len() / 2);
    let turn = |role: &str| match (client, role) {
        (Protocol::Responses, "assistant") => format!(
            r#"{{"type":"message","role":"assistant","content":[{{"type":"output_text","text":"{code}"}}]}}"#
        ),
        _ => format!(r#"{{"role":"{role}","content":"{code}"}}"#),
    };
    let (list, limit) = match client {
        Protocol::Chat => ("messages", "max_tokens"),
        Protocol::Messages => ("messages", "max_tokens"),
        Protocol::Responses => ("input", "max_output_tokens"),
    };
    format!(
        r#"{{"model":"m","{limit}":1000,"stream":true,"{list}":[{},{},{{"role":"user","content":"go on"}}]}}"#,
        turn("user"),
        turn("assistant")
    )
}

/// The history of a coding agent in that protocol: many rounds of a word, a file written, and what that gave; thirty tools.
fn history(client: Protocol) -> String {
    let line = r#"fn main() {\n\tlet x = \"a\\b\";\n}\n"#;
    let file = line.repeat(60);
    let arguments = format!(r#"{{"path":"src/main.rs","text":"{file}"}}"#);
    let mut quoted = Vec::new();
    json::write_string(&mut quoted, &arguments);
    let quoted = String::from_utf8(quoted).expect("text");
    let schema = format!(
        r#"{{"type":"object","properties":{{"path":{{"type":"string","description":"{}"}},"text":{{"type":"string"}}}},"required":["path","text"]}}"#,
        "Where it is. ".repeat(60)
    );
    let about = "What this tool does, in many words. ".repeat(40);
    let mut turns = Vec::new();
    let mut bytes = 0;
    while bytes < PROMPT_BYTES {
        let id = format!("call_{:06}", turns.len());
        let round = match client {
            Protocol::Chat => format!(
                r#"{{"role":"assistant","content":"I write it.","tool_calls":[{{"id":"{id}","type":"function","function":{{"name":"tool_3","arguments":{quoted}}}}}]}},{{"role":"tool","tool_call_id":"{id}","content":"{file}"}}"#
            ),
            Protocol::Messages => format!(
                r#"{{"role":"assistant","content":[{{"type":"text","text":"I write it."}},{{"type":"tool_use","id":"{id}","name":"tool_3","input":{arguments}}}]}},{{"role":"user","content":[{{"type":"tool_result","tool_use_id":"{id}","content":[{{"type":"text","text":"{file}"}}]}}]}}"#
            ),
            Protocol::Responses => format!(
                r#"{{"type":"message","role":"assistant","content":[{{"type":"output_text","text":"I write it."}}]}},{{"type":"function_call","call_id":"{id}","name":"tool_3","arguments":{quoted}}},{{"type":"function_call_output","call_id":"{id}","output":"{file}"}}"#
            ),
        };
        bytes += round.len();
        turns.push(round);
    }
    let tools: Vec<String> = (0..30)
        .map(|at| match client {
            Protocol::Chat => format!(
                r#"{{"type":"function","function":{{"name":"tool_{at}","description":"{about}","parameters":{schema}}}}}"#
            ),
            Protocol::Messages => {
                format!(r#"{{"name":"tool_{at}","description":"{about}","input_schema":{schema}}}"#)
            }
            Protocol::Responses => format!(
                r#"{{"type":"function","name":"tool_{at}","description":"{about}","parameters":{schema}}}"#
            ),
        })
        .collect();
    let (list, limit) = match client {
        Protocol::Chat => ("messages", "max_tokens"),
        Protocol::Messages => ("messages", "max_tokens"),
        Protocol::Responses => ("input", "max_output_tokens"),
    };
    format!(
        r#"{{"model":"m","{limit}":1000,"stream":true,"tools":[{}],"{list}":[{{"role":"user","content":"go on"}},{}]}}"#,
        tools.join(","),
        turns.join(",")
    )
}

/// A small request of that protocol, and an upstream's answer to one.
fn small(protocol: Protocol) -> (String, String) {
    let said = "Say it again. ".repeat(60);
    let told = "All work and no play. ".repeat(30);
    match protocol {
        Protocol::Chat => (
            format!(
                r#"{{"model":"m","max_tokens":1000,"messages":[{{"role":"user","content":"{said}"}}]}}"#
            ),
            format!(
                r#"{{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"m","choices":[{{"index":0,"message":{{"role":"assistant","content":"{told}"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":9,"completion_tokens":9,"total_tokens":18}}}}"#
            ),
        ),
        Protocol::Messages => (
            format!(
                r#"{{"model":"m","max_tokens":1000,"messages":[{{"role":"user","content":"{said}"}}]}}"#
            ),
            format!(
                r#"{{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{{"type":"text","text":"{told}"}}],"stop_reason":"end_turn","stop_sequence":null,"usage":{{"input_tokens":9,"output_tokens":9}}}}"#
            ),
        ),
        Protocol::Responses => (
            format!(
                r#"{{"model":"m","max_output_tokens":1000,"input":[{{"role":"user","content":"{said}"}}]}}"#
            ),
            format!(
                r#"{{"id":"resp_1","object":"response","created_at":1,"status":"completed","model":"m","output":[{{"id":"msg_1","type":"message","status":"completed","role":"assistant","content":[{{"type":"output_text","annotations":[],"text":"{told}"}}]}}],"usage":{{"input_tokens":9,"output_tokens":9,"total_tokens":18}}}}"#
            ),
        ),
    }
}

/// Microseconds and allocations for a small request and its answer.
fn round_trip(client: Protocol, upstream: Protocol) -> (f64, u64, u64) {
    const ROUNDS: u32 = 2_000;
    let (request, answer) = (small(client).0, small(upstream).1);
    let caps = Caps::of("generic", "m");
    let made = Made {
        now_unix_s: 1,
        random: [7; 16],
    };
    let (mut best, mut asking, mut answering) = (f64::MAX, 0, 0);
    let (mut asked, mut told) = (Vec::with_capacity(4096), Vec::with_capacity(4096));
    for _ in 0..RUNS {
        let begun = Instant::now();
        for _ in 0..ROUNDS {
            let before = COUNT.load(Ordering::SeqCst);
            asked.clear();
            let object = Object::parse(request.as_bytes()).expect("an object");
            let converted = convert_request(client, upstream, &caps, "m", object, asked)
                .expect("a good request");
            asked = converted.body;
            let between = COUNT.load(Ordering::SeqCst);
            told.clear();
            let mut warnings = Warnings::default();
            told = convert_response(
                upstream,
                client,
                &converted.context,
                &made,
                answer.as_bytes(),
                &mut warnings,
                Written::into_spare(told),
            )
            .expect("a good answer")
            .body;
            asking = between - before;
            answering = COUNT.load(Ordering::SeqCst) - between;
        }
        best = best.min(begun.elapsed().as_secs_f64() * 1e6 / f64::from(ROUNDS));
    }
    let has = |bytes: &[u8], text: &str| String::from_utf8_lossy(bytes).contains(text);
    assert!(has(&asked, "Say it again.") && has(&told, "All work and no play."));
    (best, asking, answering)
}

fn main() {
    IS_WORKER.set(true);
    for client in Protocol::ALL {
        for upstream in Protocol::ALL
            .into_iter()
            .filter(|upstream| *upstream != client)
        {
            let (micros, asking, answering) = round_trip(client, upstream);
            println!(
                "{} client, {} upstream: {micros:.1} µs, {asking} allocations for a request of 1 KB and {answering} for its answer",
                client.name(),
                upstream.name()
            );
        }
    }
    for upstream in Protocol::ALL {
        let frames = stream(upstream);
        for client in Protocol::ALL
            .into_iter()
            .filter(|client| *client != upstream)
        {
            let (nanoseconds, allocations) = measure(upstream, client, &frames);
            println!(
                "{} upstream, {} client: {nanoseconds:.0} ns, {allocations:.3} allocations a text event",
                upstream.name(),
                client.name()
            );
        }
    }
    let bodies = Protocol::ALL.into_iter().flat_map(|client| {
        [
            (client, "one prompt", request(client)),
            (client, "a history", history(client)),
        ]
    });
    for (client, what, body) in bodies {
        for upstream in Protocol::ALL
            .into_iter()
            .filter(|upstream| *upstream != client)
        {
            let caps = Caps::of("generic", "m");
            let mut best = f64::MAX;
            for _ in 0..RUNS {
                let begun = Instant::now();
                let object = Object::parse(body.as_bytes()).expect("an object");
                let converted = convert_request(client, upstream, &caps, "m", object, Vec::new())
                    .expect("a good request");
                best = best.min(begun.elapsed().as_secs_f64() * 1000.0);
                assert!(converted.body.len() > PROMPT_BYTES / 2);
            }
            println!(
                "{} client, {} upstream: {best:.2} ms for {what} of {:.1} MB",
                client.name(),
                upstream.name(),
                body.len() as f64 / 1e6
            );
        }
    }
}
