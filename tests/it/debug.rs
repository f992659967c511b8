//! What went through, as `/api/debug*` and `X-Debug-Mode` show it: complete, bounded, without a secret, and never in the way.

use crate::support::client::{post, request};
use crate::support::gateway::{ADMIN_KEY, UPSTREAM_KEY, config_for};
use crate::support::{
    Client, Gate, Gateway, PATIENCE, STREAM_HEAD, Upstream, chunk, json_answer, poll,
};
use serde_json::{Value, json};
use std::io::Write;
use std::time::Duration;

const EVENTS: [&str; 3] = [
    "data: {\"choices\":[{\"delta\":{\"content\":\"h\u{e9}\"}}]}\n\n",
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":2}}\n\n",
    "data: [DONE]\n\n",
];

fn guarded(config: String) -> Gateway {
    Gateway::build()
        .config(config)
        .env("ADMIN_KEY", ADMIN_KEY)
        .start()
}

fn streaming() -> Upstream {
    let mut answer = STREAM_HEAD.to_owned();
    for event in EVENTS {
        answer.push_str(&chunk(event));
    }
    answer.push_str("0\r\n\r\n");
    Upstream::always(answer)
}

fn latest(gateway: &Gateway) -> Value {
    gateway.admin("GET", "/api/debug", "").expect(200).json()
}

/// The latest record, once it is that of that path.
fn record_of(gateway: &Gateway, path: &str) -> Value {
    poll("the record", PATIENCE, || {
        Some(latest(gateway)).filter(|record| record["endpoint"] == path)
    })
}

#[test]
fn the_latest_record_has_the_briefs_fields_and_what_is_needed_beside_them() {
    let upstream = Upstream::always(json_answer(
        200,
        r#"{"id":"x","n":12345678901234567890123,"usage":{"prompt_tokens":3,"completion_tokens":4}}"#,
    ));
    let gateway = guarded(config_for(&upstream));
    let empty = latest(&gateway);
    assert_eq!(
        empty,
        json!({"client_request": null, "upstream_request": null, "upstream_response": null})
    );
    gateway
        .post(
            "/v1/chat/completions?beta=1",
            r#"{"model":"m","messages":[]}"#,
        )
        .expect(200);
    let record = record_of(&gateway, "/v1/chat/completions");
    assert_eq!(
        record["client_request"],
        json!({"model": "m", "messages": []})
    );
    assert_eq!(record["client_ip"], "127.0.0.1");
    assert_eq!(record["client_url"], "/v1/chat/completions?beta=1");
    assert_eq!(
        record["upstream_url"],
        format!("{}/v1/chat/completions?beta=1", upstream.base_url())
    );
    assert_eq!(record["upstream_request"]["model"], "target-model");
    assert_eq!(record["upstream_response"]["id"], "x");
    assert!(
        gateway
            .admin("GET", "/api/debug", "")
            .text()
            .contains("12345678901234567890123"),
        "numbers stay what they were"
    );
    for (key, value) in [
        ("alias", "m"),
        ("upstream", "up"),
        ("client_protocol", "chat"),
        ("upstream_protocol", "chat"),
    ] {
        assert_eq!(record[key], value);
    }
    assert_eq!(record["usage"]["input"], 3);
    assert_eq!(
        (&record["status"], &record["complete"], &record["stream"]),
        (&json!(200), &json!(true), &json!(false))
    );
    let list = gateway
        .admin("GET", "/api/debug/records", "")
        .expect(200)
        .json();
    let summary = &list["records"][0];
    assert_eq!(summary["id"], record["id"]);
    assert_eq!(summary.get("client_request"), None);
    let one = gateway.admin(
        "GET",
        &format!(
            "/api/debug/records/{}",
            record["id"].as_str().expect("an id")
        ),
        "",
    );
    assert_eq!(one.expect(200).json(), record);
    gateway
        .admin("GET", "/api/debug/records/req_none", "")
        .expect(404);
    assert_eq!(
        gateway.admin("DELETE", "/api/debug", "").expect(200).json(),
        json!({"success": true})
    );
    assert_eq!(latest(&gateway), empty);
}

#[test]
fn streams_failures_and_clients_that_left_are_recorded() {
    let upstream = streaming();
    let gateway = guarded(config_for(&upstream));
    gateway
        .post("/v1/chat/completions", r#"{"model":"m","stream":true}"#)
        .expect(200);
    let record = record_of(&gateway, "/v1/chat/completions");
    assert_eq!(record["upstream_response"], EVENTS.concat());
    assert_eq!(record["stream"], true);
    assert_eq!(record["usage"]["output"], 2);
    gateway.post("/v1/responses", "not json").expect(400);
    let record = record_of(&gateway, "/v1/responses");
    assert_eq!(record["client_request"], "not json");
    assert_eq!(record["upstream"], Value::Null);
    assert!(
        record["error"].is_string() && record["client_response"]["error"]["message"].is_string()
    );
    drop(upstream);
    gateway.post("/v1/messages", r#"{"model":"m"}"#).expect(502);
    let record = record_of(&gateway, "/v1/messages");
    assert_eq!(
        (&record["status"], &record["upstream_response"]),
        (&json!(502), &Value::Null)
    );
    assert_eq!(record["upstream_request"]["model"], "target-model");
}

#[test]
fn no_secret_of_its_time_is_shown_also_after_its_upstream_was_deleted() {
    // The upstream quotes the key, in its error and in an answer, escaped and split over two chunks.
    let answer = format!(
        "{STREAM_HEAD}{}{}0\r\n\r\n",
        chunk(&format!("data: {}", &UPSTREAM_KEY[..9])),
        chunk(&format!("{}\n\n", &UPSTREAM_KEY[9..]))
    );
    let upstream = Upstream::always(answer);
    let gateway = guarded(format!(
        "{}client_api_keys: [{{name: laptop, key: sk-client-0123456789}}]\n",
        config_for(&upstream)
    ));
    let body = format!(
        r#"{{"model":"m","a":"{UPSTREAM_KEY}","b":"sk-client-0123456789","c":"{ADMIN_KEY}"}}"#
    );
    let fields = "Authorization: Bearer sk-client-0123456789\r\nCookie: secret-cookie\r\nopenai-organization: org-mine\r\n";
    gateway
        .post_with(
            &format!("/v1/chat/completions?api_key={UPSTREAM_KEY}&x=sk-client-0123456789"),
            fields,
            &body,
        )
        .expect(200);
    record_of(&gateway, "/v1/chat/completions");
    gateway
        .admin(
            "PUT",
            "/api/config",
            r#"{"upstreams":[],"aliases":[],"client_api_keys":[]}"#,
        )
        .expect(200);
    let id = latest(&gateway)["id"].as_str().expect("an id").to_owned();
    for path in [
        "/api/debug".to_owned(),
        "/api/debug/records".into(),
        format!("/api/debug/records/{id}"),
    ] {
        let shown = gateway.admin("GET", &path, "").expect(200).text();
        for secret in [
            UPSTREAM_KEY,
            "sk-client-0123456789",
            ADMIN_KEY,
            "secret-cookie",
            "org-mine",
        ] {
            assert!(!shown.contains(secret), "{secret} in {path}: {shown}");
        }
    }
    let record = latest(&gateway);
    assert_eq!(record["client_key"], "laptop");
    assert_eq!(record["client_request"]["a"], "sk-u••••••6789");
    assert_eq!(record["upstream_response"], "data: sk-u••••••6789\n\n");
}

#[test]
fn sides_and_records_are_bounded() {
    let upstream = Upstream::always(json_answer(
        200,
        &format!("{{\"x\":\"{}\"}}", "y".repeat(300_000)),
    ));
    let gateway = guarded(config_for(&upstream));
    let body = format!(r#"{{"model":"m","x":"{}"}}"#, "z".repeat(200_000));
    let before = gateway.resident_bytes();
    for _ in 0..80 {
        gateway.post("/v1/chat/completions", &body).expect(200);
    }
    let records = poll("all records", PATIENCE, || {
        let list = gateway.admin("GET", "/api/debug/records", "").json();
        list["records"]
            .as_array()
            .filter(|list| list.len() > 20)
            .cloned()
    });
    assert!(records.len() <= 64, "{}", records.len());
    let record = latest(&gateway);
    assert_eq!(
        record["client_request"].as_str().map(str::len),
        Some(32 * 1024)
    );
    assert_eq!(record["cut"]["client_request"], body.len());
    assert!(gateway.resident_bytes() < before + (40 << 20));
}

#[test]
fn debug_mode_adds_a_member_to_json_and_nothing_else_changes() {
    let upstream = Upstream::always(json_answer(200, " {\"id\" : \"x\"}\n"));
    let gateway = guarded(config_for(&upstream));
    let ask = |value: &str| {
        gateway
            .post_with(
                "/v1/chat/completions",
                &format!("X-Debug-Mode: {value}\r\n"),
                r#"{"model":"m"}"#,
            )
            .expect(200)
    };
    let reply = ask("true");
    let id = reply
        .header("x-llm-wrapper-debug")
        .expect("the record's id");
    let text = reply.text();
    assert!(
        text.starts_with(" {\"id\" : \"x\",\"debug\":{") && text.ends_with("}}\n"),
        "{text}"
    );
    assert_eq!(reply.json()["debug"]["id"], json!(id));
    assert_eq!(
        reply.json()["debug"]["upstream_response"],
        json!({"id": "x"})
    );
    assert!(!text.contains(UPSTREAM_KEY));
    assert_eq!(ask("false").text(), " {\"id\" : \"x\"}\n");
    assert_eq!(ask("false").header("x-llm-wrapper-debug"), None);
}

#[test]
fn debug_mode_leaves_what_it_cannot_extend_as_it_is() {
    let large = format!("{{\"x\":\"{}\"}}", "y".repeat(1 << 20));
    for body in [r#"{"debug":1}"#, "[1]", "not json", large.as_str()] {
        for chunked in [false, true] {
            let answer = match chunked {
                false => String::from_utf8(json_answer(200, body)).expect("text"),
                true => {
                    let (a, b) = body.split_at(body.len() / 2);
                    format!(
                        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n{}{}0\r\n\r\n",
                        chunk(a),
                        chunk(b)
                    )
                }
            };
            let upstream = Upstream::always(answer);
            let gateway = guarded(config_for(&upstream));
            let reply = gateway
                .post_with(
                    "/v1/chat/completions",
                    "X-Debug-Mode: true\r\n",
                    r#"{"model":"m"}"#,
                )
                .expect(200);
            assert!(reply.text() == body, "{:.60}, chunked: {chunked}", body);
            assert!(reply.header("x-llm-wrapper-debug").is_some());
        }
    }
}

#[test]
fn debug_mode_keeps_the_status_of_errors_and_ends_streams_with_a_comment() {
    let upstream = streaming();
    let gateway = guarded(config_for(&upstream));
    let fields = "X-Debug-Mode: true\r\n";
    let reply = gateway
        .post_with(
            "/v1/chat/completions",
            fields,
            r#"{"model":"m","stream":true}"#,
        )
        .expect(200);
    let text = reply.text();
    let (events, comment) = text.split_once(": debug ").expect("a comment");
    assert_eq!(events, EVENTS.concat());
    let record: Value = serde_json::from_str(comment.trim_end()).expect("one line of JSON");
    assert_eq!(record["usage"]["input"], 7);
    assert!(comment.ends_with("\n\n") && comment.trim_end().lines().count() == 1);
    let unknown = gateway
        .post_with("/v1/messages", fields, r#"{"model":"nope"}"#)
        .expect(404)
        .json();
    assert_eq!(unknown["type"], "error");
    assert_eq!(unknown["debug"]["status"], 404);
    let refusing = Upstream::always(json_answer(429, r#"{"error":{"message":"slow down"}}"#));
    let gateway = guarded(config_for(&refusing));
    let refused = gateway
        .post_with("/v1/chat/completions", fields, r#"{"model":"m"}"#)
        .expect(429)
        .json();
    assert_eq!(refused["debug"]["upstream_status"], 429);
}

#[test]
fn debug_mode_works_for_converted_answers() {
    let whole = r#"{"id":"c","object":"chat.completion","model":"t","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"hi"}}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#;
    let upstream = Upstream::always(json_answer(200, whole));
    let config = config_for(&upstream)
        .replace(
            "support_anthropic_messages: true",
            "support_anthropic_messages: false",
        )
        .replace("support_responses: true", "support_responses: false");
    let gateway = guarded(config);
    let ask = |stream: bool| {
        let body = json!({"model": "m", "max_tokens": 9, "stream": stream, "messages": [{"role": "user", "content": "hi"}]});
        gateway
            .post_with("/v1/messages", "X-Debug-Mode: true\r\n", body.to_string())
            .expect(200)
    };
    let reply = ask(false).json();
    assert_eq!(reply["debug"]["upstream_protocol"], "chat");
    assert_eq!(reply["debug"]["client_protocol"], "messages");
    assert_eq!(reply["debug"]["upstream_response"]["id"], "c");
    assert_eq!(reply["debug"]["client_response"]["type"], "message");
    let text = ask(true).text();
    let (events, comment) = text.split_once(": debug ").expect("a comment");
    assert!(events.contains("message_stop"));
    let record: Value = serde_json::from_str(comment.trim_end()).expect("one line of JSON");
    assert_eq!(record["client_response"], events);
}

#[test]
fn debug_mode_can_be_switched_off() {
    let upstream = Upstream::always(json_answer(200, "{}"));
    let gateway = guarded(format!("{}debug_header: false\n", config_for(&upstream)));
    let reply = gateway
        .post_with(
            "/v1/chat/completions",
            "X-Debug-Mode: true\r\n",
            r#"{"model":"m"}"#,
        )
        .expect(200);
    assert_eq!(
        (reply.text().as_str(), reply.header("x-llm-wrapper-debug")),
        ("{}", None)
    );
}

fn watch(gateway: &Gateway) -> Client {
    let fields = format!("Authorization: Bearer {ADMIN_KEY}\r\n");
    let mut viewer = gateway.client();
    viewer.send(request("GET", "/api/debug/stream", &fields, ""));
    viewer.read_until(": watching\n\n");
    viewer
}

#[test]
fn the_live_feed_tells_a_request_while_it_runs_and_shows_no_key() {
    let gate = Gate::new();
    let opened = gate.clone();
    let upstream = Upstream::script(move |mut peer| {
        peer.expect()?;
        peer.send(STREAM_HEAD)?;
        // A key and a character, each in two pieces.
        peer.send_chunk(&format!("data: {}", &UPSTREAM_KEY[..9]))?;
        opened.wait();
        peer.send_chunk(&format!("{} and {UPSTREAM_KEY}\n\n", &UPSTREAM_KEY[9..]))?;
        peer.send("0\r\n\r\n")
    });
    let gateway = guarded(config_for(&upstream));
    let mut viewer = watch(&gateway);
    let mut client = gateway.client();
    client.send(post(
        "/v1/chat/completions",
        "",
        r#"{"model":"m","stream":true}"#,
    ));
    let mut seen = viewer.read_until("\"text\":\"data: \"");
    gate.open();
    seen.extend(viewer.read_until("event: end\n"));
    seen.extend(viewer.read_until("\n\n"));
    client.read_reply().expect(200);
    let seen = String::from_utf8(seen).expect("text");
    for part in [
        "event: begin\n",
        "event: route\n",
        "\"alias\":\"m\"",
        "event: response\n",
        "sk-u••••••6789 and sk-u••••••6789",
        "\"complete\":true",
    ] {
        assert!(seen.contains(part), "{part} not in {seen}");
    }
    assert!(!seen.contains(UPSTREAM_KEY));
    gateway.admin("DELETE", "/api/debug", "").expect(200);
    viewer.read_until("event: cleared\n");
}

#[test]
fn a_viewer_that_does_not_read_slows_nobody_and_is_told_what_it_missed() {
    let upstream = Upstream::always(json_answer(
        200,
        &format!("{{\"x\":\"{}\"}}", "y".repeat(300_000)),
    ));
    let gateway = guarded(config_for(&upstream));
    let mut viewer = watch(&gateway);
    // Whoever waited for the viewer would wait for ever: nothing is read of it before the last request is answered.
    let mut client = gateway.client();
    for _ in 0..120 {
        client
            .post("/v1/chat/completions", r#"{"model":"m"}"#)
            .expect(200);
    }
    let lagged = viewer.read_until("event: lagged\n");
    assert!(lagged.len() < 64 << 20);
    let told = String::from_utf8(viewer.read_until("\n\n")).expect("text");
    assert!(told.starts_with("data: {\"missed\":"), "{told}");
}

#[test]
fn a_stop_ends_the_live_feed_in_order() {
    let upstream = Upstream::always(json_answer(200, "{}"));
    let mut gateway = guarded(config_for(&upstream));
    let mut viewer = watch(&gateway);
    gateway.signal("TERM");
    viewer.read_until("0\r\n\r\n");
    assert_eq!(gateway.wait_for_exit(), 0);
}

#[test]
fn a_viewer_that_leaves_is_forgotten() {
    let upstream = Upstream::always(json_answer(200, "{}"));
    let gateway = guarded(config_for(&upstream));
    let descriptors = gateway.descriptors();
    let viewers: Vec<_> = (0..5).map(|_| watch(&gateway)).collect();
    let _ = viewers[0]
        .stream
        .try_clone()
        .map(|mut stream| stream.flush());
    drop(viewers);
    gateway.wait_for_descriptors(descriptors + 1);
    std::thread::sleep(Duration::from_millis(1));
    gateway.check_alive();
}
