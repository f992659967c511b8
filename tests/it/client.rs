//! The client side, against upstreams that misbehave (rules 31 to 41), and what a client sees of it.

use crate::support::client::post;
use crate::support::gateway::config_for;
use crate::support::{
    Ending, Gate, Gateway, Reply, STREAM_HEAD, Upstream, deaf_address, find, json_answer,
    plain_answer, show,
};
use std::time::{Duration, Instant};

const CHAT: &str = "/v1/chat/completions";
const BODY: &str = r#"{"model":"m"}"#;

/// What a client gets when the upstream answers with those bytes and closes.
#[track_caller]
fn answered(bytes: impl Into<Vec<u8>>) -> Reply {
    let upstream = Upstream::once(bytes);
    let gateway = Gateway::to(&upstream);
    let reply = gateway.post(CHAT, BODY);
    gateway.check_alive();
    reply
}

/// That the answer is a 502 in OpenAI's shape with a sentence in it.
#[track_caller]
fn bad_gateway(bytes: impl Into<Vec<u8>>) -> String {
    let bytes = bytes.into();
    let reply = answered(bytes.clone());
    assert_eq!(
        reply.status,
        502,
        "{} for {}",
        show(&reply.body),
        show(&bytes)
    );
    let json = reply.json();
    assert_eq!(json["error"]["type"], "server_error", "{json}");
    reply.error_message()
}

/// That the client's connection is broken before the body's end, and no byte of an end was sent.
#[track_caller]
fn broken(upstream: &Upstream) {
    let gateway = Gateway::to(upstream);
    let mut client = gateway.client();
    client.send(post(CHAT, "", BODY));
    let (answer, ending) = client.read_to_end();
    assert_ne!(ending, Ending::StillOpen, "{}", show(&answer));
    if answer.starts_with(b"HTTP/1.1 502") {
        return; // nothing had been sent yet: an honest error is better still
    }
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", show(&answer));
    assert!(
        find(&answer, b"\r\n0\r\n").is_none(),
        "it looks complete: {}",
        show(&answer)
    );
    let head = find(&answer, b"\r\n\r\n").expect("a head") + 4;
    let text = String::from_utf8_lossy(&answer[..head]).to_lowercase();
    match text.split("content-length: ").nth(1) {
        Some(after) => {
            let length: usize = after.lines().next().unwrap_or("").parse().expect("digits");
            assert!(answer.len() - head < length, "it looks complete");
        }
        None => assert!(
            text.contains("transfer-encoding: chunked"),
            "a cut body must not end by closing alone: {text}"
        ),
    }
}

#[test]
fn rule_31_a_malformed_answer_is_a_502() {
    let upstream = |n: usize| -> Vec<u8> {
        let cases: [&[u8]; 22] = [
            b"hello\r\n\r\n",
            b"HTTP/2 200 OK\r\n\r\n",
            b"HTTP/1.1 OK\r\n\r\n",
            b"HTTP/1.1 20 OK\r\n\r\n",
            b"HTTP/1.1 2000 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\nX: y\r\n\r\nok",
            b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok",
            b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok",
            b"HTTP/1.1 200 OK\r\nNo colon\r\nContent-Length: 2\r\n\r\nok",
            b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 2\r\n\r\nok",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok",
            b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nok",
            b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nok",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nX: ",
        ];
        cases[n].to_vec()
    };
    for number in 0..22 {
        bad_gateway(upstream(number));
    }
    bad_gateway("");
    bad_gateway(format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(1 << 20)));
    bad_gateway(format!(
        "HTTP/1.1 200 OK\r\n{}\r\n",
        "X: y\r\n".repeat(2_000)
    ));
    bad_gateway("x".repeat(1 << 20));
}

#[test]
fn rule_31_a_broken_body_never_looks_complete() {
    for body in [
        "5\r\nhel",
        "5\r\nhello",
        "5\r\nhello\r\n",
        "5\r\nhello\r\n0\r\n",
        "5\r\nhelloXX0\r\n\r\n",
        "5\r\nhello\r\n+5\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0x5\r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n5;a\nb\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\nfffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\nbad trailer\r\n\r\n",
    ] {
        broken(&Upstream::once(format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n{body}"
        )));
    }
    broken(&Upstream::once(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"half\":",
    ));
    // With neither length nor chunks the end of the connection is the end of the body, but a reset is not.
    broken(&Upstream::script(|mut peer| {
        peer.expect()?;
        peer.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: x\n\n")?;
        std::thread::sleep(Duration::from_millis(100)); // else the reset may overtake what it follows
        peer.reset()
    }));
    let reply =
        answered("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\nall of it").expect(200);
    assert_eq!(reply.text(), "all of it");
}

#[test]
fn rule_31_upstreams_may_pad_a_chunk_size() {
    let reply = answered(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n5  \r\nhello\r\n6 ;x=y\r\n world\r\n000\r\nX-Trailer: dropped\r\n\r\n",
    )
    .expect(200);
    assert_eq!(reply.text(), "hello world");
}

#[test]
fn rule_32_interim_answers_are_skipped_but_not_endlessly() {
    let mut bytes =
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n".to_vec();
    bytes.extend(plain_answer());
    let reply = answered(bytes).expect(200);
    assert_eq!(reply.header("link"), None);
    bad_gateway("HTTP/1.1 102 Processing\r\n\r\n".repeat(10_000));
    let gate = Gate::new();
    let stop = gate.clone();
    let upstream = Upstream::script(move |mut peer| {
        peer.expect()?;
        while !stop.is_open() {
            peer.send("HTTP/1.1 102 Processing\r\n\r\n".repeat(100))?;
        }
        Ok(())
    });
    let gateway = Gateway::to(&upstream);
    assert_eq!(gateway.post(CHAT, BODY).status, 502);
    gate.open();
}

#[test]
fn rule_32_switching_protocols_and_statuses_beyond_http_are_502() {
    bad_gateway(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    );
    for status in ["000", "099", "600", "999"] {
        bad_gateway(format!(
            "HTTP/1.1 {status} X\r\nContent-Length: 2\r\n\r\nok"
        ));
    }
}

#[test]
fn rule_33_204_and_304_have_no_body_whatever_they_say() {
    for status in [204, 304] {
        let gate = Gate::new();
        let end = gate.clone();
        let upstream = Upstream::script(move |mut peer| {
            peer.expect()?;
            peer.send(format!(
                "HTTP/1.1 {status} X\r\nContent-Length: 5\r\nX-Request-Id: r\r\n\r\n"
            ))?;
            end.wait(); // whoever waits for the five bytes waits for this
            Ok(())
        });
        let gateway = Gateway::to(&upstream);
        let mut client = gateway.client();
        let start = Instant::now();
        let reply = client.post(CHAT, BODY);
        assert_eq!(reply.status, status);
        assert!(start.elapsed() < Duration::from_secs(5));
        client.get("/healthz").expect(200);
        gate.open();
    }
}

/// Two requests on one client connection to an upstream that answers the first with those bytes; gives the number of upstream connections.
#[track_caller]
fn connections_after(first: impl Into<Vec<u8>>) -> usize {
    let first = first.into();
    let upstream = Upstream::script(move |mut peer| {
        peer.expect()?;
        if peer.number == 0 {
            peer.send(&first)?;
        } else {
            peer.send(plain_answer())?;
        }
        loop {
            peer.expect()?;
            peer.send(plain_answer())?;
        }
    });
    let gateway = Gateway::to(&upstream);
    let mut client = gateway.client();
    client.post(CHAT, BODY);
    client.post(CHAT, BODY).expect(200);
    assert_eq!(upstream.requests(), 2);
    upstream.connections()
}

#[test]
fn rule_34_a_connection_is_reused_only_after_an_exact_end() {
    assert_eq!(connections_after(plain_answer()), 1);
    let chunked = format!("{STREAM_HEAD}5\r\nhello\r\n0\r\n\r\n");
    assert_eq!(connections_after(chunked.clone()), 1);
    assert_eq!(connections_after("HTTP/1.1 204 No Content\r\n\r\n"), 1);
    assert_eq!(connections_after(json_answer(500, "{\"error\":{}}")), 1);
    let mut more = plain_answer();
    more.push(b'x');
    assert_eq!(connections_after(more), 2);
    assert_eq!(
        connections_after(format!(
            "{chunked}HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad"
        )),
        2
    );
    assert_eq!(
        connections_after("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello"),
        2
    );
}

#[test]
fn rule_34_unsolicited_bytes_kill_an_idle_connection() {
    let (answered, spoken) = (Gate::new(), Gate::new());
    let (wait, tell) = (answered.clone(), spoken.clone());
    let upstream = Upstream::script(move |mut peer| {
        peer.expect()?;
        peer.send(plain_answer())?;
        if peer.number == 0 {
            wait.wait();
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")?;
            tell.open();
        }
        loop {
            peer.expect()?;
            peer.send(plain_answer())?;
        }
    });
    let gateway = Gateway::to(&upstream);
    let mut client = gateway.client();
    client.post(CHAT, BODY).expect(200);
    answered.open();
    spoken.wait();
    let reply = client.post(CHAT, BODY).expect(200);
    assert!(!reply.text().contains("poison"));
    assert_eq!(upstream.request(1).connection, 1);
}

#[test]
fn rule_34_a_connection_that_was_closed_while_idle_is_not_used() {
    let (answered, closed) = (Gate::new(), Gate::new());
    let (wait, tell) = (answered.clone(), closed.clone());
    let upstream = Upstream::script(move |mut peer| {
        loop {
            peer.expect()?;
            peer.send(plain_answer())?;
            if peer.number == 0 {
                wait.wait();
                peer.half_close()?;
                tell.open();
            }
        }
    });
    // Without the retry, so that only the probe can help.
    let config = config_for(&upstream).replace("    auth:", "    retry: never\n    auth:");
    let gateway = Gateway::start(config);
    let mut client = gateway.client();
    client.post(CHAT, BODY).expect(200);
    answered.open();
    closed.wait();
    client.post(CHAT, BODY).expect(200);
    assert_eq!(upstream.request(1).connection, 1);
}

#[test]
fn rule_35_never_reused_after_close_http_1_0_or_an_end_by_closing() {
    let body = "{\"choices\":[]}";
    let with = |head: &str| format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    assert_eq!(connections_after(with("HTTP/1.1 200 OK")), 1);
    assert_eq!(
        connections_after(with("HTTP/1.1 200 OK\r\nConnection: close")),
        2
    );
    assert_eq!(
        connections_after(with("HTTP/1.1 200 OK\r\nConnection: foo, CLOSE")),
        2
    );
    assert_eq!(connections_after(with("HTTP/1.0 200 OK")), 2);
    // A second before the server's own limit there is nothing left of one second.
    assert_eq!(
        connections_after(with("HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1")),
        2
    );
    assert_eq!(
        connections_after(with("HTTP/1.1 200 OK\r\nKeep-Alive: timeout=60, max=100")),
        1
    );
}

#[test]
fn rule_35_an_abandoned_stream_is_closed_and_not_reused() {
    let closed = Gate::new();
    let tell = closed.clone();
    let upstream = Upstream::script(move |mut peer| {
        peer.expect()?;
        if peer.number == 0 {
            peer.send(STREAM_HEAD)?;
            peer.send_chunk("data: one\n\n")?;
            peer.wait_closed()?;
            tell.open();
            return Ok(());
        }
        peer.send(plain_answer())?;
        peer.wait_closed()?;
        Ok(())
    });
    let gateway = Gateway::to(&upstream);
    let mut leaver = gateway.client();
    leaver.send(post(CHAT, "", BODY));
    leaver.read_until("data: one\n\n");
    drop(leaver);
    closed.wait();
    gateway.post(CHAT, BODY).expect(200);
    assert_eq!(upstream.request(1).connection, 1);
}

#[test]
fn rule_35_not_reused_when_the_answer_came_before_the_request_was_sent() {
    let gate = Gate::new();
    let end = gate.clone();
    let upstream = Upstream::script(move |mut peer| {
        if peer.number == 0 {
            let head = peer.expect_head()?;
            peer.record_head(head);
            peer.send(json_answer(413, "{\"error\":{\"message\":\"too large\"}}"))?;
            end.wait(); // and reads no further
            return Ok(());
        }
        loop {
            peer.expect()?;
            peer.send(plain_answer())?;
        }
    });
    let gateway = Gateway::to(&upstream);
    let mut client = gateway.client();
    let large = format!("{{\"model\":\"m\",\"x\":\"{}\"}}", "x".repeat(30 << 20));
    assert_eq!(client.post(CHAT, &large).status, 413);
    client.post(CHAT, BODY).expect(200);
    assert_eq!(upstream.request(1).connection, 1);
    gate.open();
}

/// A gateway whose upstream answers the first request of its first connection, then leaves the second one to `second`.
fn second_request(
    retry: &str,
    second: impl Fn(crate::support::Peer) -> std::io::Result<()> + Send + Sync + 'static,
) -> (Upstream, Gateway, Reply) {
    let upstream = Upstream::script(move |mut peer| {
        if peer.number == 0 {
            peer.expect()?;
            peer.send(plain_answer())?;
            peer.expect()?;
            return second(peer);
        }
        loop {
            peer.expect()?;
            peer.send(plain_answer())?;
        }
    });
    let config =
        config_for(&upstream).replace("    auth:", &format!("    retry: {retry}\n    auth:"));
    let gateway = Gateway::start(config);
    let mut client = gateway.client();
    client.post(CHAT, BODY).expect(200);
    let reply = client.post(CHAT, r#"{"model":"m","second":true}"#);
    (upstream, gateway, reply)
}

#[test]
fn rule_36_a_reused_connection_that_closes_without_a_byte_is_retried_once() {
    let (upstream, _gateway, reply) = second_request("safe", |_| Ok(()));
    reply.expect(200);
    assert_eq!((upstream.requests(), upstream.connections()), (3, 2));
    assert_eq!(upstream.request(1).text(), upstream.request(2).text());
    assert_eq!(upstream.request(2).connection, 1);
    let (upstream, _gateway, reply) = second_request("safe", |peer| peer.reset());
    reply.expect(200);
    assert_eq!(upstream.requests(), 3);
}

#[test]
fn rule_36_a_fresh_connection_is_not_retried() {
    for reset in [false, true] {
        let upstream = Upstream::script(move |mut peer| {
            peer.expect()?;
            if reset { peer.reset() } else { Ok(()) }
        });
        let gateway = Gateway::to(&upstream);
        assert_eq!(gateway.post(CHAT, BODY).status, 502);
        assert_eq!((upstream.requests(), upstream.connections()), (1, 1));
    }
}

#[test]
fn rule_36_the_retry_is_not_retried() {
    let upstream = Upstream::script(|mut peer| {
        peer.expect()?;
        if peer.number == 0 {
            peer.send(plain_answer())?;
            peer.expect()?;
        }
        Ok(())
    });
    let gateway = Gateway::to(&upstream);
    let mut client = gateway.client();
    client.post(CHAT, BODY).expect(200);
    assert_eq!(client.post(CHAT, BODY).status, 502);
    assert_eq!((upstream.requests(), upstream.connections()), (3, 2));
}

#[test]
fn rule_36_no_retry_after_a_byte_of_the_answer_or_after_a_second() {
    let (upstream, _gateway, reply) = second_request("safe", |mut peer| {
        peer.send("HTTP/1.")?;
        peer.half_close()?;
        peer.wait_closed()?;
        Ok(())
    });
    assert_eq!(reply.status, 502);
    assert_eq!(upstream.requests(), 2);
    let (upstream, _gateway, reply) = second_request("safe", |_| {
        std::thread::sleep(Duration::from_millis(1_500)); // it has been working on it, surely
        Ok(())
    });
    assert_eq!(reply.status, 502);
    assert_eq!(upstream.requests(), 2);
}

#[test]
fn rule_36_retry_never_means_never() {
    let (upstream, _gateway, reply) = second_request("never", |_| Ok(()));
    assert_eq!(reply.status, 502);
    assert_eq!(upstream.requests(), 2);
}

#[test]
fn rule_37_redirects_are_never_followed() {
    let elsewhere = Upstream::always(plain_answer());
    for status in [301, 302, 303, 307, 308] {
        let url = format!("http://{}/v1/chat/completions", elsewhere.addr);
        let message = bad_gateway(format!(
            "HTTP/1.1 {status} Moved\r\nLocation: {url}\r\nContent-Length: 0\r\n\r\n"
        ));
        assert!(
            message.contains("redirect") && message.contains(&url) && message.contains("base_url"),
            "{message}"
        );
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[test]
fn rule_38_only_listed_headers_travel_upstream() {
    let upstream = Upstream::always(plain_answer());
    let gateway = Gateway::to(&upstream);
    let secret = "client-secret-9876543210";
    let forbidden = [
        "Cookie",
        "Origin",
        "Referer",
        "Forwarded",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "X-Real-IP",
        "Via",
        "Proxy-Authorization",
        "Proxy-Connection",
        "Keep-Alive",
        "TE",
        "Trailer",
        "Upgrade",
        "Api-Key",
        "X-Goog-Api-Key",
        "OpenAI-Organization",
        "OpenAI-Project",
        "Anthropic-Workspace-Id",
        "Anthropic-User-Profile-Id",
        "X-Debug-Mode",
        "X-Unknown-Thing",
        "X-Http-Method-Override",
        "Range",
        "If-None-Match",
    ];
    let mut fields: String = forbidden
        .iter()
        .filter(|name| **name != "Origin")
        .map(|name| format!("{name}: {secret}\r\n"))
        .collect();
    fields.push_str("Origin: http://localhost:5173\r\nConnection: x-app, keep-alive\r\n");
    fields.push_str(&format!("Authorization: Bearer {secret}\r\n"));
    let wanted = [
        ("user-agent", "TestClient/1"),
        ("openai-beta", "responses=v1"),
        ("x-stainless-lang", "rust"),
        ("idempotency-key", "idem-1"),
        ("traceparent", "00-1-2-01"),
        ("session-id", "s1"),
        ("session_id", "s2"),
        ("thread-id", "t1"),
        ("conversation_id", "c1"),
        ("originator", "codex"),
        ("version", "1.2"),
        ("x-client-request-id", "xr"),
        ("x-session-affinity", "a"),
        ("x-codex-turn-metadata", "{}"),
        ("x-openai-internal", "1"),
        ("x-claude-code-session-id", "cc"),
    ];
    for (name, value) in wanted {
        fields.push_str(&format!("{name}: {value}\r\n"));
    }
    fields.push_str("X-App: named-by-connection\r\nAccept-Encoding: gzip, br\r\n");
    gateway.post_with(CHAT, &fields, BODY).expect(200);
    let request = upstream.only_request();
    let head = String::from_utf8_lossy(&request.head).into_owned();
    assert!(!head.contains(secret), "{head}");
    for name in forbidden {
        assert_eq!(request.header(&name.to_lowercase()), None, "{name}");
    }
    assert_eq!(request.header("x-app"), None, "named by Connection: {head}");
    for (name, value) in wanted {
        assert_eq!(
            request.header(name).as_deref(),
            Some(value),
            "{name} in {head}"
        );
    }
    assert_eq!(
        request.header("host").as_deref(),
        Some(upstream.addr.to_string().as_str())
    );
}

#[test]
fn rule_39_identity_is_asked_for_and_a_compressed_answer_passes_untouched() {
    let bytes = b"\x1f\x8b\x08\x00not really gzip\xff\x00";
    let mut answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
        bytes.len()
    )
    .into_bytes();
    answer.extend_from_slice(bytes);
    let upstream = Upstream::always(answer);
    let gateway = Gateway::to(&upstream);
    let reply = gateway
        .post_with(CHAT, "Accept-Encoding: gzip, deflate, br, zstd\r\n", BODY)
        .expect(200);
    assert_eq!(reply.body, bytes);
    assert_eq!(reply.header("content-encoding").as_deref(), Some("gzip"));
    assert_eq!(
        upstream.only_request().header("accept-encoding").as_deref(),
        Some("identity")
    );
}

#[test]
fn rule_40_an_error_answer_passes_with_its_status_and_retry_after() {
    for (status, kind) in [
        (400, "invalid_request_error"),
        (402, "billing"),
        (404, "not_found"),
        (422, "unprocessable"),
        (429, "rate_limit_error"),
        (500, "server_error"),
        (503, "overloaded"),
        (529, "overloaded_error"),
    ] {
        let body = format!(
            "{{\"error\":{{\"message\":\"upstream says no\",\"type\":\"{kind}\"}}, \"extra\":1.0}}"
        );
        let answer = format!(
            "HTTP/1.1 {status} No\r\nContent-Type: application/json\r\nRetry-After: 7\r\nX-Should-Retry: false\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let upstream = Upstream::always(answer);
        let gateway = Gateway::to(&upstream);
        let reply = gateway.post(CHAT, r#"{"model":"m","stream":true}"#);
        assert_eq!(reply.status, status);
        assert_eq!(reply.text(), body);
        assert_eq!(reply.header("retry-after").as_deref(), Some("7"));
        assert_eq!(reply.header("x-should-retry").as_deref(), Some("false"));
        assert_eq!(
            reply.header("content-type").as_deref(),
            Some("application/json")
        );
    }
}

#[test]
fn rule_41_an_early_answer_is_heard_while_still_sending() {
    for (status, number) in [(413, 1), (401, 2)] {
        let gate = Gate::new();
        let end = gate.clone();
        let upstream = Upstream::script(move |mut peer| {
            let head = peer.expect_head()?;
            peer.record_head(head);
            peer.send(json_answer(status, "{\"error\":{\"message\":\"go away\"}}"))?;
            end.wait(); // and never reads the rest
            Ok(())
        });
        let gateway = Gateway::to(&upstream);
        let large = format!("{{\"model\":\"m\",\"x\":\"{}\"}}", "x".repeat(30 << 20));
        let start = Instant::now();
        let reply = gateway.post(CHAT, &large);
        assert_eq!(reply.status, status, "{}", show(&reply.body));
        assert!(reply.whole && start.elapsed() < Duration::from_secs(8));
        assert_eq!(upstream.requests(), 1, "case {number}");
        gate.open();
    }
}

#[test]
fn an_upstream_that_is_not_there_is_a_502_that_says_so() {
    let deaf = deaf_address();
    let gateway = Gateway::start(crate::support::gateway::config_at(&format!(
        "http://{deaf}"
    )));
    let start = Instant::now();
    let reply = gateway.post(CHAT, BODY).expect(502);
    assert!(start.elapsed() < Duration::from_secs(5));
    let message = reply.error_message();
    assert!(message.contains(&deaf), "{message}");
    let nowhere = Gateway::start(crate::support::gateway::config_at(
        "http://no-such-host.invalid",
    ));
    let message = nowhere.post(CHAT, BODY).expect(502).error_message();
    assert!(message.contains("no-such-host.invalid"), "{message}");
}

#[test]
fn localhost_is_loopback_without_a_name_server() {
    let upstream = Upstream::always(plain_answer());
    let gateway = Gateway::start(crate::support::gateway::config_at(&format!(
        "http://LocalHost:{}/v1",
        upstream.addr.port()
    )));
    gateway.post(CHAT, BODY).expect(200);
    assert_eq!(
        upstream.only_request().header("host"),
        Some(format!("localhost:{}", upstream.addr.port()))
    );
}

#[test]
fn the_limits_of_time_are_504_before_the_head_and_a_broken_connection_after() {
    let gate = Gate::new();
    let end = gate.clone();
    let silent = Upstream::script(move |mut peer| {
        peer.expect()?;
        end.wait();
        Ok(())
    });
    let gateway = Gateway::to_with(&silent, "timeouts: {first_byte: 1, idle: 1}");
    let start = Instant::now();
    let reply = gateway.post(CHAT, BODY).expect(504);
    assert_eq!(reply.json()["error"]["type"], "server_error");
    assert!(
        start.elapsed() > Duration::from_millis(900) && start.elapsed() < Duration::from_secs(4)
    );
    gate.open();

    let gate = Gate::new();
    let end = gate.clone();
    let stalling = Upstream::script(move |mut peer| {
        peer.expect()?;
        peer.send(STREAM_HEAD)?;
        peer.send_chunk("data: one\n\n")?;
        end.wait();
        Ok(())
    });
    let gateway = Gateway::to_with(&stalling, "timeouts: {first_byte: 1, idle: 1}");
    let reply = gateway.post(CHAT, BODY);
    assert_eq!(reply.status, 200);
    assert!(!reply.whole);
    gate.open();
}

#[test]
fn connecting_has_a_limit_of_time() {
    // A listener whose queue is full answers no further SYN.
    let socket =
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    let any: std::net::SocketAddr = "127.0.0.1:0".parse().expect("an address");
    socket.bind(&any.into()).expect("a free port");
    socket.listen(0).expect("it listens");
    let addr = socket
        .local_addr()
        .ok()
        .and_then(|a| a.as_socket())
        .expect("its address");
    let fillers: Vec<_> = (0..4)
        .map(|_| std::net::TcpStream::connect_timeout(&addr, Duration::from_millis(200)))
        .collect();
    assert!(
        fillers.iter().any(Result::is_err),
        "the queue did not fill up"
    );
    let gateway = Gateway::start(format!(
        "{}timeouts: {{connect: 1}}\n",
        crate::support::gateway::config_at(&format!("http://{addr}"))
    ));
    let start = Instant::now();
    gateway.post(CHAT, BODY).expect(504);
    assert!(start.elapsed() < Duration::from_secs(5));
}
