//! What the log tells whoever has to find out at night what is wrong: each failed request with its reason, each trouble once.

use crate::support::client::{post, request};
use crate::support::gateway::{ADMIN_KEY, UPSTREAM_KEY, config_at, config_for};
use crate::support::{
    Gateway, PATIENCE, STREAM_HEAD, Upstream, chunk, deaf_address, json_answer, poll,
};

const CHAT: &str = "/v1/chat/completions";
const BODY: &str = r#"{"model":"m"}"#;

#[test]
fn a_failed_request_is_found_by_the_id_its_client_was_told() {
    let error = json_answer(429, r#"{"error":{"message":"slow down"}}"#);
    let error = String::from_utf8(error).expect("text");
    let error = error.replacen("\r\n", "\r\nX-Request-Id: up-1\r\n", 1);
    let upstream = Upstream::always(error);
    let gateway = Gateway::build()
        .config(config_for(&upstream) + "client_api_keys: [{name: laptop, key: sk-laptop-01}]\n")
        .env("ADMIN_KEY", ADMIN_KEY)
        .start();
    let reply = gateway.post_with(CHAT, "x-api-key: sk-laptop-01\r\n", BODY);
    assert_eq!(
        reply.expect(429).header("x-request-id").as_deref(),
        Some("up-1")
    );
    let line = gateway.wait_for_line("request peer=");
    let rest = "reason=\"the upstream answered 429\" upstream_id=up-1 id=req_";
    assert!(line.contains(rest), "{line}");
    assert!(line.contains(" client=laptop "), "{line}");
    let own = line.rsplit_once("id=").expect("an id").1;
    for id in ["up-1", own] {
        let path = format!("/api/debug/records/{id}");
        // The line is written first, then the record is kept.
        let record = poll("the record", PATIENCE, || {
            let reply = gateway.admin("GET", &path, "");
            (reply.status == 200).then(|| reply.json())
        });
        assert_eq!(record["id"], own);
    }
}

#[test]
fn a_dead_upstream_is_warned_of_once_and_every_request_has_the_reason() {
    let gateway = Gateway::start(config_at(&format!("http://{}", deaf_address())));
    for _ in 0..20 {
        gateway.post(CHAT, BODY).expect(502);
    }
    let lines = gateway.wait_for_lines("request peer=", 20);
    for line in lines {
        assert!(line.contains("reason=\"no connection to "), "{line}");
    }
    let warned = gateway.wait_for_line("an upstream cannot be reached");
    assert!(warned.contains(" WARN ") && warned.contains(" upstream=up reason="));
    let warnings = |line: &&String| line.contains(" WARN an upstream");
    assert_eq!(gateway.log().iter().filter(warnings).count(), 1);
}

#[test]
fn a_refused_key_is_said_and_so_is_its_end_without_the_key() {
    let refused = json_answer(
        401,
        &format!("{{\"error\":{{\"message\":\"wrong key {UPSTREAM_KEY}\"}}}}"),
    );
    let fine = json_answer(200, r#"{"id":"x","object":"chat.completion","choices":[]}"#);
    let count = std::sync::atomic::AtomicUsize::new(0);
    let upstream = Upstream::script(move |mut peer| {
        loop {
            peer.expect()?;
            let number = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            peer.send(if number < 3 { &refused } else { &fine })?;
        }
    });
    let gateway = Gateway::to(&upstream);
    for _ in 0..3 {
        gateway.post(CHAT, BODY).expect(401);
    }
    gateway.wait_for_lines("request peer=", 3); // a request is judged after its client has its answer
    for _ in 0..2 {
        gateway.post(CHAT, BODY).expect(200);
    }
    gateway.wait_for_line("WARN an upstream refuses the gateway's key upstream=up");
    let over = gateway.wait_for_line("INFO an upstream answers again upstream=up");
    assert!(over.contains(" failed=3 "), "{over}");
    gateway.wait_for_lines("request peer=", 5);
    assert!(!gateway.log().join("\n").contains(UPSTREAM_KEY));
}

#[test]
fn a_broken_stream_has_its_reason_in_the_requests_line() {
    let broken = format!("{STREAM_HEAD}{}", chunk("data: {\"choices\":[]}\n\n"));
    let upstream = Upstream::once(broken);
    let gateway = Gateway::to(&upstream);
    let mut client = gateway.client();
    client.send(post(CHAT, "", BODY));
    client.read_to_end();
    let line = gateway.wait_for_line("request peer=");
    assert!(
        line.contains("status=200") && line.contains("broke off its answer"),
        "{line}"
    );
    gateway.wait_for_line("WARN an upstream breaks its answers off");
}

#[test]
fn debug_says_where_a_request_goes_and_no_body_or_query() {
    let upstream = Upstream::always(json_answer(200, r#"{"secret":"answer-text"}"#));
    let gateway = Gateway::build()
        .config(config_for(&upstream))
        .env("LOG", "debug")
        .start();
    let body = r#"{"model":"m","messages":[{"role":"user","content":"question-text"}]}"#;
    gateway
        .post(&format!("{CHAT}?q=query-text"), body)
        .expect(200);
    let line = gateway.wait_for_line("request peer=");
    let id = line.rsplit_once(" id=").expect("an id").1;
    let asked = gateway.wait_for_line("DEBUG asks the upstream");
    assert!(
        asked.contains(&format!("url={}{CHAT} ", upstream.base_url())),
        "{asked}"
    );
    let answered = gateway.wait_for_line("DEBUG the upstream answers status=200");
    for line in [&asked, &answered] {
        assert!(line.ends_with(&format!(" id={id}")), "{line}");
    }
    let log = gateway.log().join("\n");
    for text in ["question-text", "answer-text", "query-text", UPSTREAM_KEY] {
        assert!(!log.contains(text), "{text} in:\n{log}");
    }
}

#[test]
fn a_refusal_of_the_management_api_has_its_sentence_in_the_line() {
    let upstream = Upstream::always(json_answer(200, "{}"));
    let gateway = Gateway::build()
        .config(config_for(&upstream))
        .env("ADMIN_KEY", ADMIN_KEY)
        .start();
    let change = r#"{"debug_header":"loud"}"#;
    gateway.admin("PUT", "/api/config", change).expect(400);
    let line = gateway.wait_for_line("path=/api/config status=400");
    let reason = "reason=\"debug_header: expected true or false, found text\"";
    assert!(line.contains(reason), "{line}");
    gateway.get("/api/config").expect(401);
    let line = gateway.wait_for_line("path=/api/config status=401");
    assert!(line.contains(" reason="), "{line}");
}

#[test]
fn that_every_connection_is_taken_is_said() {
    let upstream = Upstream::always(json_answer(200, "{}"));
    let gateway = Gateway::build()
        .config(config_for(&upstream) + "limits: {max_connections: 2}\n")
        .env("ADMIN_KEY", ADMIN_KEY)
        .start();
    let held = [gateway.client(), gateway.client()];
    gateway.wait_for_line("WARN all connections are in use, new clients wait");
    drop(held);
    gateway.wait_for_line("INFO new clients are accepted again");
    let key = format!("Authorization: Bearer {ADMIN_KEY}\r\n");
    let mut client = gateway.client();
    poll("the metrics of an asking client", PATIENCE, || {
        client.send(request("GET", "/metrics", &key, ""));
        let text = client.read_reply().expect(200).text();
        let counted = text.contains("llm_wrapper_client_connections 1\n");
        let bounded = text.contains("llm_wrapper_client_connections_max 2\n");
        (counted && bounded).then_some(())
    });
}
