//! The server side, byte by byte: parsing, framing, limits, connections (rules 1 to 26).

use crate::support::client::{post, request};
use crate::support::gateway::ADMIN_KEY;
use crate::support::{
    Client, Ending, Gate, Gateway, PATIENCE, STREAM_HEAD, Upstream, find, plain_answer, poll,
    raise_descriptor_limit, show,
};
use std::time::{Duration, Instant};

const CHAT: &str = "/v1/chat/completions";
const BODY: &str = r#"{"model":"m"}"#;

/// Sends bytes that must be refused; gives the status. The connection must end, with nothing after the one answer, and nothing may have
/// reached the upstream.
#[track_caller]
fn refused(gateway: &Gateway, upstream: &Upstream, bytes: &[u8]) -> u16 {
    let mut client = gateway.client();
    let _ = client.try_send(bytes);
    let (answer, ending) = client.read_to_end();
    assert_ne!(
        ending,
        Ending::StillOpen,
        "not closed after {}: {}",
        show(bytes),
        show(&answer)
    );
    assert_eq!(
        statuses(&answer).len(),
        1,
        "not one answer to {}: {}",
        show(bytes),
        show(&answer)
    );
    assert_eq!(
        upstream.requests(),
        0,
        "something got through: {}",
        show(bytes)
    );
    statuses(&answer)[0]
}

/// The statuses of all answers in there.
fn statuses(bytes: &[u8]) -> Vec<u16> {
    let text = String::from_utf8_lossy(bytes);
    text.split("HTTP/1.1 ")
        .skip(1)
        .filter_map(|after| after.get(..3)?.parse().ok())
        .collect()
}

#[track_caller]
fn check_refused(cases: &[&[u8]], allowed: &[u16]) {
    let upstream = Upstream::always(plain_answer());
    let gateway = Gateway::to(&upstream);
    for case in cases {
        let status = refused(&gateway, &upstream, case);
        assert!(
            allowed.contains(&status),
            "{status} for {}, expected {allowed:?}",
            show(case)
        );
    }
    gateway.check_alive();
}

/// A POST whose body is the given chunked bytes.
fn chunked(body: &[u8]) -> Vec<u8> {
    let mut bytes = format!(
        "POST {CHAT} HTTP/1.1\r\nHost: g\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// The body as one chunk of the right size, with that text after the size and before the line end.
fn one_chunk(after_size: &str, trailers: &str) -> Vec<u8> {
    chunked(
        format!(
            "{:x}{after_size}\r\n{BODY}\r\n0\r\n{trailers}\r\n",
            BODY.len()
        )
        .as_bytes(),
    )
}

fn with_fields(fields: &str) -> Vec<u8> {
    format!("POST {CHAT} HTTP/1.1\r\nHost: g\r\n{fields}\r\n{BODY}").into_bytes()
}

#[test]
fn rule_01_a_malformed_field_refuses_the_whole_message() {
    check_refused(
        &[
            b"GET /healthz HTTP/1.1\r\nHost: g\r\nBad Name: x\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nHost: g\r\nBad\x00Name: x\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nHost: g\r\nX: a\x00b\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nHost: g\r\nX: a\rb\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nHost: g\r\nNo colon here\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nHost: g\r\nNocolon\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nHost: g\r\n: no name\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nHost: g\r\nX(y): z\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nHost: g\r\nX\xc3\xa9: z\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nHost: g\r\n\rX: z\r\n\r\n",
            b"GET /health\x00z HTTP/1.1\r\nHost: g\r\n\r\n",
            b"GET /health z HTTP/1.1\r\nHost: g\r\n\r\n",
            b"GET  /healthz HTTP/1.1\r\nHost: g\r\n\r\n",
            b"GET\t/healthz\tHTTP/1.1\r\nHost: g\r\n\r\n",
            b"G@T /healthz HTTP/1.1\r\nHost: g\r\n\r\n",
            b"GET healthz HTTP/1.1\r\nHost: g\r\n\r\n",
        ],
        &[400],
    );
}

#[test]
fn rule_02_no_folding_and_no_blank_before_a_colon_or_the_first_field() {
    check_refused(
        &[
            b"GET /healthz HTTP/1.1\r\nHost : g\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nHost: g\r\nContent-Length : 5\r\n\r\nhello",
            b"GET /healthz HTTP/1.1\r\nHost: g\r\nX\t: z\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nHost: g\r\nX: a\r\n b\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nHost: g\r\nX: a\r\n\tb\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\n Host: g\r\nX: a\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\n \r\nHost: g\r\n\r\n",
        ],
        &[400],
    );
}

#[test]
fn rule_03_lines_end_in_crlf_only() {
    check_refused(
        &[
            b"GET /healthz HTTP/1.1\nHost: g\n\n",
            b"GET /healthz HTTP/1.1\r\nHost: g\nX: y\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nHost: g\r\n\n",
            b"GET /healthz HTTP/1.1\r\nHost: g\r\nX: y\n\r\n",
            b"\nGET /healthz HTTP/1.1\r\nHost: g\r\n\r\n",
            &chunked(b"d\n{\"model\":\"m\"}\r\n0\r\n\r\n"),
            &chunked(b"d\r\n{\"model\":\"m\"}\n0\r\n\r\n"),
            &chunked(b"d\r\n{\"model\":\"m\"}\r\n0\n\r\n"),
            &chunked(b"d\r\n{\"model\":\"m\"}\r\n0\r\n\n"),
            &chunked(b"d\r\n{\"model\":\"m\"}\r\n0\r\nX: y\n\r\n"),
        ],
        &[400],
    );
}

#[test]
fn rule_04_a_few_empty_lines_before_a_request_are_ignored_endless_ones_are_not() {
    let upstream = Upstream::always(plain_answer());
    let gateway = Gateway::to(&upstream);
    let mut client = gateway.client();
    client.send("\r\n\r\n").get("/healthz").expect(200);
    client.send("\r\n").get("/healthz").expect(200);
    assert_eq!(
        refused(&gateway, &upstream, "\r\n".repeat(10_000).as_bytes()),
        400
    );
}

#[test]
fn rule_05_exactly_one_valid_host() {
    check_refused(
        &[
            b"GET /healthz HTTP/1.1\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nHost: a\r\nhOST: a\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nHost: a b\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nHost: user@a\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nHost: http://a/\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nHost: a/b\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nHost: a, b\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nHost: a:port\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nHost: [::1\r\n\r\n",
            b"GET /healthz HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
        ],
        &[400],
    );
    let upstream = Upstream::always(plain_answer());
    let gateway = Gateway::to(&upstream);
    for good in ["a", "a:80", "127.0.0.1:3000", "[::1]", "[::1]:3000"] {
        gateway
            .client()
            .send(format!("GET /healthz HTTP/1.1\r\nHost: {good}\r\n\r\n"))
            .read_reply()
            .expect(200);
    }
    gateway
        .client()
        .send("GET /healthz HTTP/1.0\r\n\r\n")
        .read_reply()
        .expect(200);
}

#[test]
fn rule_06_absolute_targets_are_ours_and_it_is_no_proxy() {
    let other = Upstream::always(plain_answer());
    let upstream = Upstream::always(plain_answer());
    let gateway = Gateway::to(&upstream);
    let authority = other.addr;
    gateway
        .client()
        .send(format!(
            "GET http://{authority}/healthz HTTP/1.1\r\nHost: g\r\n\r\n"
        ))
        .read_reply()
        .expect(200);
    gateway
        .client()
        .send(post(&format!("http://{authority}{CHAT}"), "", BODY))
        .read_reply()
        .expect(200);
    assert_eq!(upstream.only_request().target(), CHAT);
    for refusal in [
        format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n"),
        "TRACE /healthz HTTP/1.1\r\nHost: g\r\n\r\n".to_string(),
        format!("GET http://user@{authority}/healthz HTTP/1.1\r\nHost: g\r\n\r\n"),
        "GET http:///healthz HTTP/1.1\r\nHost: g\r\n\r\n".to_string(),
    ] {
        let mut client = gateway.client();
        let reply = client.send(&refusal).read_reply();
        assert!(
            matches!(reply.status, 400 | 405 | 501),
            "{} for {refusal:?}",
            reply.status
        );
    }
    assert_eq!(
        other.connections(),
        0,
        "the gateway went where a client sent it"
    );
}

#[test]
fn rule_07_what_is_not_http_1_is_turned_away_at_once() {
    let upstream = Upstream::always(plain_answer());
    let gateway = Gateway::to(&upstream);
    let cases: [&[u8]; 7] = [
        b"GET /healthz HTTP/2.0\r\nHost: g\r\n\r\n",
        b"GET /healthz HTTP/1.2\r\nHost: g\r\n\r\n",
        b"GET /healthz HTTP/0.9\r\nHost: g\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x12\x04\x00\x00\x00\x00\x00",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 5 6\r\nGET /healthz HTTP/1.1\r\nHost: g\r\n\r\n",
        b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c",
    ];
    for case in cases {
        let start = Instant::now();
        let mut client = gateway.client();
        let _ = client.try_send(case);
        let (answer, ending) = client.read_to_end();
        assert_ne!(ending, Ending::StillOpen, "{}", show(case));
        assert!(
            start.elapsed() < Duration::from_secs(3),
            "not at once: {}",
            show(case)
        );
        let found = statuses(&answer);
        assert!(found.len() <= 1, "{} for {}", show(&answer), show(case));
        assert!(
            found.iter().all(|s| (400..=505).contains(s)),
            "{found:?} for {}",
            show(case)
        );
    }
    gateway.check_alive();
}

#[test]
fn rule_08_heads_have_bounds_checked_while_reading() {
    let upstream = Upstream::always(plain_answer());
    let gateway = Gateway::to(&upstream);
    let query = "q".repeat(7_970);
    gateway.get(&format!("/healthz?{query}")).expect(200);
    let hundred: String = (0..98).map(|n| format!("X-Field-{n}: value\r\n")).collect();
    gateway
        .client()
        .send(format!("GET /healthz HTTP/1.1\r\nHost: g\r\n{hundred}\r\n"))
        .read_reply()
        .expect(200);

    // None of these ends: whoever waits for the end of a line or a head would wait for ever.
    let endless_line = format!("GET /{}", "q".repeat(1 << 20));
    let endless_field = format!("GET / HTTP/1.1\r\nHost: g\r\nX: {}", "x".repeat(1 << 20));
    let endless_fields = format!(
        "GET / HTTP/1.1\r\nHost: g\r\n{}",
        "X: y\r\n".repeat(100_000)
    );
    let long_line = format!("GET /{} HTTP/1.1\r\nHost: g\r\n\r\n", "q".repeat(20_000));
    let many_fields = format!(
        "GET / HTTP/1.1\r\nHost: g\r\n{}\r\n",
        "X: y\r\n".repeat(1_000)
    );
    for (bytes, status) in [
        (endless_line, 414),
        (long_line, 414),
        (endless_field, 431),
        (endless_fields, 431),
        (many_fields, 431),
    ] {
        assert_eq!(refused(&gateway, &upstream, bytes.as_bytes()), status);
    }
    gateway.check_alive();
}

#[test]
fn rule_08_chunk_lines_and_trailers_have_bounds() {
    let extension = format!("5;{}\r\n", "x".repeat(100_000));
    let sum: String = format!("1;{}\r\n \r\n", "x".repeat(1_000)).repeat(100);
    let trailers = format!("0\r\nX: {}", "y".repeat(100_000));
    let many_trailers = format!("0\r\n{}", "X: y\r\n".repeat(20_000));
    let zeros = "0".repeat(100_000);
    check_refused(
        &[
            &chunked(extension.as_bytes()),
            &chunked(sum.as_bytes()),
            &chunked(trailers.as_bytes()),
            &chunked(many_trailers.as_bytes()),
            &chunked(zeros.as_bytes()),
        ],
        &[400, 413, 431],
    );
}

#[test]
fn rule_09_one_deadline_for_a_head_a_progress_limit_for_a_body_an_idle_limit_for_the_rest() {
    let upstream = Upstream::always(plain_answer());
    let gateway = Gateway::to_with(
        &upstream,
        "timeouts: {client_head: 1, client_stall: 1, keep_alive: 1}",
    );
    let within = Duration::from_secs(5);
    let start = Instant::now();

    // A head that goes on, byte by byte, does not outlive its deadline.
    let mut slow = gateway.client();
    slow.send("GET /healthz HTTP/1.1\r\nHost: g\r\nX: ");
    let mut bytes = 0;
    while slow.try_send("x").is_ok() {
        bytes += 1;
        let (answer, ending) = slow.read_to_end_within(Duration::from_millis(100));
        if ending != Ending::StillOpen {
            assert!(
                answer.is_empty() || statuses(&answer) == [408],
                "{}",
                show(&answer)
            );
            break;
        }
        assert!(
            start.elapsed() < within,
            "still reading after {bytes} bytes"
        );
    }

    let mut silent = gateway.client();
    silent.get("/healthz").expect(200); // a whole request first, so that the idle limit is meant
    let (rest, ending) = silent.read_to_end_within(within);
    assert!(rest.is_empty() && ending == Ending::Closed, "{ending:?}");

    let mut stalled = gateway.client();
    stalled.send(format!(
        "POST {CHAT} HTTP/1.1\r\nHost: g\r\nContent-Length: 100\r\n\r\n{{\"mod"
    ));
    let (answer, ending) = stalled.read_to_end_within(within);
    assert_ne!(ending, Ending::StillOpen);
    assert!(
        answer.is_empty() || statuses(&answer) == [408],
        "{}",
        show(&answer)
    );

    // A body that makes progress may take longer than either.
    let mut steady = gateway.client();
    steady.send(format!(
        "POST {CHAT} HTTP/1.1\r\nHost: g\r\nContent-Length: {}\r\n\r\n",
        BODY.len()
    ));
    for byte in BODY.as_bytes() {
        let (early, ending) = steady.read_to_end_within(Duration::from_millis(150));
        assert!(
            early.is_empty() && ending == Ending::StillOpen,
            "{}",
            show(&early)
        );
        steady.send([*byte]);
    }
    steady.read_reply().expect(200);
    assert_eq!(upstream.requests(), 1);
}

#[test]
fn rule_09_four_thousand_idle_and_half_sent_connections_hurt_nobody() {
    let limit = raise_descriptor_limit(8_192);
    assert!(
        limit >= 4_500,
        "this test needs 4,500 descriptors, the limit is {limit}"
    );
    let upstream = Upstream::always(plain_answer());
    let gateway = Gateway::to(&upstream);
    let crowd: Vec<Client> = (0..4_000)
        .map(|number| {
            let mut client = gateway.client();
            match number % 3 {
                0 => {}
                1 => {
                    client.send("POST /v1/chat/completions HTTP/1.1\r\nHost: g\r\nX-Half");
                }
                _ => {
                    client.send(format!(
                        "POST {CHAT} HTTP/1.1\r\nHost: g\r\nContent-Length: 100\r\n\r\n{{"
                    ));
                }
            }
            client
        })
        .collect();
    let start = Instant::now();
    for _ in 0..20 {
        gateway.post(CHAT, BODY).expect(200);
    }
    assert!(
        start.elapsed() < Duration::from_secs(4),
        "20 requests took {:?}",
        start.elapsed()
    );
    assert_eq!(crowd.len(), 4_000);
    assert_eq!(upstream.requests(), 20);
}

#[test]
fn rule_10_a_content_length_is_digits_once() {
    let values = [
        "+13",
        "-13",
        "13, 13",
        "13,13",
        "",
        "0x0d",
        "1 3",
        "13.0",
        "1e1",
        "13;",
        "\"13\"",
        "99999999999999999999999",
        "18446744073709551629",
        "13\x0b",
        "\u{0661}\u{0663}",
    ];
    let mut cases: Vec<Vec<u8>> = values
        .iter()
        .map(|value| with_fields(&format!("Content-Length: {value}\r\n")))
        .collect();
    cases.push(with_fields("Content-Length: 13\r\nContent-Length: 13\r\n"));
    cases.push(with_fields("Content-Length: 13\r\ncontent-length: 14\r\n"));
    let cases: Vec<&[u8]> = cases.iter().map(Vec::as_slice).collect();
    check_refused(&cases, &[400]);
}

#[test]
fn rule_11_transfer_encoding_is_chunked_once_in_http_1_1() {
    let with_coding = |fields: &str| {
        format!("POST {CHAT} HTTP/1.1\r\nHost: g\r\n{fields}\r\nd\r\n{BODY}\r\n0\r\n\r\n")
            .into_bytes()
    };
    let mut cases: Vec<Vec<u8>> = [
        "gzip",
        "chunked, chunked",
        "gzip, chunked",
        "chunked, gzip",
        "chunked;q=1",
        "xchunked",
        "chunked-x",
        "\x0bchunked",
        "chunked,",
        ",chunked",
        "\"chunked\"",
        "identity",
        "",
    ]
    .iter()
    .map(|value| with_coding(&format!("Transfer-Encoding: {value}\r\n")))
    .collect();
    cases.push(with_coding(
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
    ));
    cases.push(with_coding(
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
    ));
    cases.push(
        format!(
            "POST {CHAT} HTTP/1.0\r\nHost: g\r\nTransfer-Encoding: chunked\r\n\r\nd\r\n{BODY}\r\n0\r\n\r\n"
        )
        .into_bytes(),
    );
    let cases: Vec<&[u8]> = cases.iter().map(Vec::as_slice).collect();
    check_refused(&cases, &[400, 501]);

    let upstream = Upstream::always(plain_answer());
    let gateway = Gateway::to(&upstream);
    for good in ["chunked", "Chunked", "CHUNKED", " \tchunked \t"] {
        gateway
            .client()
            .send(with_coding(&format!("Transfer-Encoding: {good}\r\n")))
            .read_reply()
            .expect(200);
    }
    assert_eq!(upstream.request(3).text(), r#"{"model":"target-model"}"#);
}

#[test]
fn rule_12_length_and_chunked_together_are_refused() {
    let case = |fields: &str| {
        format!("POST {CHAT} HTTP/1.1\r\nHost: g\r\n{fields}\r\nd\r\n{BODY}\r\n0\r\n\r\n")
            .into_bytes()
    };
    check_refused(
        &[
            &case("Content-Length: 23\r\nTransfer-Encoding: chunked\r\n"),
            &case("Transfer-Encoding: chunked\r\nContent-Length: 23\r\n"),
            &case("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n"),
        ],
        &[400],
    );
}

#[test]
fn rule_13_chunk_sizes_are_hex_digits_and_the_line_end_after_the_data_is_checked() {
    let tail = "\r\n0\r\n\r\n";
    let sized = |size: &str| chunked(format!("{size}\r\n{BODY}{tail}").as_bytes());
    let mut cases: Vec<Vec<u8>> = [
        "+d",
        "-d",
        "0xd",
        "0Xd",
        "d_",
        "_d",
        " d",
        "d ",
        "d\t",
        "",
        "g",
        "\u{ff24}",
        "fffffffffffffffff",
        "10000000000000000",
        "1000000000000000d",
        "ffffffffffffffff",
    ]
    .iter()
    .map(|size| sized(size))
    .collect();
    cases.push(chunked(format!("d\r\n{BODY}XX0\r\n\r\n").as_bytes()));
    cases.push(chunked(format!("d\r\n{BODY}\r0\r\n\r\n").as_bytes()));
    cases.push(chunked(format!("d\r\n{BODY}0\r\n\r\n").as_bytes()));
    cases.push(chunked(format!("d\r\n{BODY}x\r\n0\r\n\r\n").as_bytes()));
    let cases: Vec<&[u8]> = cases.iter().map(Vec::as_slice).collect();
    check_refused(&cases, &[400, 413]);
}

#[test]
fn rule_14_extensions_hold_no_bare_line_end_and_no_nul() {
    check_refused(
        &[
            &one_chunk(";a\nb", ""),
            &one_chunk(";a\rb", ""),
            &one_chunk(";a\x00b", ""),
            &one_chunk(";a=\"\n\"", ""),
        ],
        &[400],
    );
    let upstream = Upstream::always(plain_answer());
    let gateway = Gateway::to(&upstream);
    gateway
        .client()
        .send(one_chunk(";name=value;other", ""))
        .read_reply()
        .expect(200);
}

#[test]
fn rule_15_trailers_are_read_and_dropped() {
    let upstream = Upstream::always(plain_answer());
    let gateway = Gateway::to(&upstream);
    let mut client = gateway.client();
    let trailers = "X-Late: yes\r\nConnection: close\r\nContent-Length: 5\r\nTransfer-Encoding: gzip\r\nHost: evil\r\nAnthropic-Beta: sneaked-in\r\n";
    client
        .send(one_chunk("", trailers))
        .read_reply()
        .expect(200);
    // The `Connection: close` among them meant nothing.
    client.send(one_chunk("", "")).read_reply().expect(200);
    let head = String::from_utf8_lossy(&upstream.request(0).head).to_lowercase();
    assert!(
        !head.contains("x-late") && !head.contains("sneaked-in") && !head.contains("evil"),
        "{head}"
    );
    check_refused(
        &[
            &one_chunk("", "No colon\r\n"),
            &one_chunk("", " folded: x\r\n"),
            &one_chunk("", "Bad Name: x\r\n"),
            &one_chunk("", "X: a\x00b\r\n"),
        ],
        &[400],
    );
}

#[test]
fn rule_16_a_cut_body_never_reaches_the_upstream_as_a_whole_one() {
    let upstream = Upstream::always(plain_answer());
    let gateway = Gateway::to(&upstream);
    let cut_length =
        format!("POST {CHAT} HTTP/1.1\r\nHost: g\r\nContent-Length: 100\r\n\r\n{BODY}");
    let cut_chunk = chunked(format!("d\r\n{BODY}\r\n").as_bytes());
    let cut_data = chunked(b"ff\r\n{\"model\":\"m\"}");
    let cut_end = chunked(format!("d\r\n{BODY}\r\n0\r\n").as_bytes());
    for bytes in [cut_length.as_bytes(), &cut_chunk, &cut_data, &cut_end] {
        let mut finished = gateway.client();
        finished.send(bytes).half_close();
        let (answer, ending) = finished.read_to_end();
        assert_ne!(ending, Ending::StillOpen);
        assert!(
            statuses(&answer).iter().all(|s| *s >= 400),
            "{}",
            show(&answer)
        );
        let mut broken = gateway.client();
        broken.send(bytes);
        broken.reset();
    }
    gateway.post(CHAT, BODY).expect(200);
    assert_eq!(
        upstream.only_request().text(),
        r#"{"model":"target-model"}"#
    );
}

#[test]
fn rule_17_the_body_limit_holds_for_both_framings_before_anything_is_read() {
    let upstream = Upstream::always(plain_answer());
    let gateway = Gateway::to_with(&upstream, "limits: {max_body_mb: 1}");
    let announced = [
        format!("POST {CHAT} HTTP/1.1\r\nHost: g\r\nContent-Length: 1048577\r\n\r\n"),
        format!("POST {CHAT} HTTP/1.1\r\nHost: g\r\nContent-Length: 1000000000000\r\n\r\n"),
        String::from_utf8_lossy(&chunked(b"100001\r\n")).into_owned(),
        String::from_utf8_lossy(&chunked(b"7fffffffff\r\n")).into_owned(),
    ];
    for head in &announced {
        // Not a byte of the body is sent: the answer must not wait for it.
        let reply = gateway.client().send(head).read_reply();
        assert_eq!(reply.status, 413, "{head:?}");
    }
    let mut many = b"".to_vec();
    for _ in 0..20 {
        many.extend_from_slice(format!("10000\r\n{}\r\n", " ".repeat(65_536)).as_bytes());
    }
    let mut client = gateway.client();
    let _ = client.try_send(chunked(&many));
    assert_eq!(client.read_reply().status, 413);
    assert_eq!(upstream.requests(), 0);

    let padding = " ".repeat((1 << 20) - BODY.len());
    gateway.post(CHAT, format!("{BODY}{padding}")).expect(200);
}

#[test]
fn rule_17_bodies_have_a_limit_in_sum() {
    let upstream = Upstream::always(plain_answer());
    let limits = "limits: {max_body_mb: 4, max_buffered_mb: 4}";
    let gateway = Gateway::to_with(&upstream, &format!("{limits}\nadmin_key: {ADMIN_KEY}"));
    let three = 3 << 20;
    let mut holder = gateway.client();
    holder.send(format!(
        "POST {CHAT} HTTP/1.1\r\nHost: g\r\nContent-Length: {three}\r\n\r\n"
    ));
    holder.send(vec![b' '; three - 100]);
    let mut body = BODY.to_string();
    body.push_str(&" ".repeat(three - body.len()));
    poll("room to be held by the first body", PATIENCE, || {
        let status = gateway.admin("GET", "/api/status", "").expect(200);
        let held = status.json()["buffered_bytes"].as_u64();
        (held > Some(2 << 20)).then_some(())
    });
    // What fits beside it is served meanwhile.
    gateway.post(CHAT, BODY).expect(200);
    let start = Instant::now();
    let reply = gateway.post(CHAT, &body).expect(503);
    assert!(
        start.elapsed() > Duration::from_secs(4),
        "it must wait a while for room"
    );
    assert!(reply.header("retry-after").is_some());
    drop(holder);
    gateway.post(CHAT, &body).expect(200);
}

#[test]
fn rule_18_an_early_answer_leaves_nothing_to_be_taken_for_a_request() {
    let upstream = Upstream::always(plain_answer());
    let config = format!(
        "{}client_api_keys: [sk-right-key-0123456789]\nlimits: {{max_body_mb: 1}}\n",
        crate::support::gateway::config_for(&upstream)
    );
    let gateway = Gateway::start(config);
    let hidden = format!(
        "POST {CHAT} HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer sk-right-key-0123456789\r\nContent-Length: {}\r\n\r\n{BODY}",
        BODY.len()
    );
    let chunked_hidden = format!("{:x}\r\n{hidden}\r\n0\r\n\r\n", hidden.len());
    let length = hidden.len();
    let sized = |line: &str, fields: &str| {
        format!("{line} HTTP/1.1\r\nHost: g\r\n{fields}Content-Length: {length}\r\n\r\n{hidden}")
    };
    for (bytes, status) in [
        (sized(&format!("POST {CHAT}"), ""), 401),
        (sized("POST /no/such/path", ""), 404),
        (sized("PUT /healthz", ""), 405),
        (
            sized(
                &format!("POST {CHAT}"),
                "Authorization: Bearer sk-right-key-0123456789\r\nContent-Encoding: gzip\r\n",
            ),
            415,
        ),
        (sized("GET /healthz", ""), 200),
        (sized("GET /no/such/path", ""), 404),
        (
            format!(
                "POST {CHAT} HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\n\r\n{chunked_hidden}"
            ),
            401,
        ),
        (
            format!(
                "DELETE /no/such HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\n\r\n{chunked_hidden}"
            ),
            404,
        ),
    ] {
        let mut client = gateway.client();
        client.send(&bytes);
        client.half_close();
        let (answer, _) = client.read_to_end();
        assert_eq!(
            statuses(&answer),
            [status],
            "{bytes:?} was answered {}",
            show(&answer)
        );
    }
    assert_eq!(upstream.requests(), 0, "a hidden request got through");
}

#[test]
fn rule_19_a_refusal_of_a_large_body_arrives_whole_while_the_client_is_still_sending() {
    let upstream = Upstream::always(plain_answer());
    let gateway = Gateway::to_with(&upstream, "limits: {max_body_mb: 1}");
    for _ in 0..5 {
        let mut client = gateway.client();
        client.send(format!(
            "POST {CHAT} HTTP/1.1\r\nHost: g\r\nContent-Length: 100000000\r\n\r\n"
        ));
        client.send([b' '; 65_536]);
        let reply = client.read_reply().expect(413);
        assert!(!reply.error_message().is_empty());
        // What was on its way is still taken: a gateway that had simply closed would answer it with a reset, which on many
        // systems throws away the 413 that the client has not read yet.
        for _ in 0..40 {
            client.send([b' '; 65_536]);
        }
        client.expect_closed();
    }
    assert_eq!(upstream.requests(), 0);
}

#[test]
fn rule_20_continue_is_sent_only_when_the_body_will_be_read() {
    let upstream = Upstream::always(plain_answer());
    let gateway = Gateway::to_with(&upstream, "limits: {max_body_mb: 1}");
    let head = |line: &str, fields: &str, length: usize| {
        format!("{line}\r\nHost: g\r\n{fields}Content-Length: {length}\r\n\r\n")
    };
    let line = format!("POST {CHAT} HTTP/1.1");
    let mut client = gateway.client();
    client.send(head(&line, "Expect: 100-Continue\r\n", BODY.len()));
    let interim = String::from_utf8_lossy(&client.read_head()).into_owned();
    assert_eq!(interim, "HTTP/1.1 100 Continue\r\n\r\n");
    client.send(BODY).read_reply().expect(200);

    for (bytes, status) in [
        (head(&line, "Expect: 100-continue\r\n", 2 << 20), 413),
        (
            head("POST /no/such HTTP/1.1", "Expect: 100-continue\r\n", 10),
            404,
        ),
        (head(&line, "Expect: 200-maybe\r\n", BODY.len()), 417),
        (
            head(&line, "Expect: 100-continue, more\r\n", BODY.len()),
            417,
        ),
    ] {
        let reply = gateway.client().send(&bytes).read_reply();
        assert_eq!(reply.status, status, "{bytes:?}");
    }

    // HTTP/1.0 knows no interim answers.
    let mut old = gateway.client();
    old.send(head(
        &format!("POST {CHAT} HTTP/1.0"),
        "Expect: 100-continue\r\n",
        BODY.len(),
    ))
    .send(BODY)
    .read_reply()
    .expect(200);
}

#[test]
fn rule_20_continue_never_lands_inside_an_earlier_answer() {
    let gate = Gate::new();
    let open = gate.clone();
    let upstream = Upstream::script(move |mut peer| {
        loop {
            let request = peer.expect()?;
            if request.text().contains("slow") {
                peer.send(STREAM_HEAD)?;
                peer.send_chunk("data: one\n\n")?;
                open.wait();
                peer.send_chunk("data: two\n\n")?;
                peer.send("0\r\n\r\n")?;
            } else {
                peer.send(plain_answer())?;
            }
        }
    });
    let gateway = Gateway::to(&upstream);
    let mut client = gateway.client();
    client.send(post(CHAT, "", r#"{"model":"m","x":"slow"}"#));
    client.send(format!(
        "POST {CHAT} HTTP/1.1\r\nHost: g\r\nExpect: 100-continue\r\nContent-Length: {}\r\n\r\n",
        BODY.len()
    ));
    let before = client.read_until("data: one\n\n");
    assert!(find(&before, b"100 Continue").is_none());
    gate.open();
    let rest = client.read_until("\r\n0\r\n\r\n");
    assert!(find(&rest, b"100 Continue").is_none(), "{}", show(&rest));
    let interim = client.read_head();
    assert!(interim.starts_with(b"HTTP/1.1 100 "), "{}", show(&interim));
    client.send(BODY).read_reply().expect(200);
}

#[test]
fn rule_21_pipelined_requests_are_answered_in_order() {
    let upstream = Upstream::script(|mut peer| {
        loop {
            let request = peer.expect()?;
            peer.send(crate::support::json_answer(200, &request.text()))?;
        }
    });
    let gateway = Gateway::to(&upstream);
    let mut client = gateway.client();
    let mut bytes = Vec::new();
    for number in 0..50 {
        bytes.extend(post(
            CHAT,
            "",
            format!("{{\"model\":\"m\",\"n\":{number}}}"),
        ));
        if number % 7 == 0 {
            bytes.extend(b"GET /healthz HTTP/1.1\r\nHost: g\r\n\r\n");
        }
    }
    client.send(&bytes);
    for number in 0..50 {
        let reply = client.read_reply().expect(200);
        assert_eq!(reply.json()["n"], number);
        if number % 7 == 0 {
            client.read_reply().expect(200);
        }
    }
}

#[test]
fn rule_21_what_a_client_that_does_not_read_can_queue_is_bounded() {
    let upstream = Upstream::always(plain_answer());
    let gateway = Gateway::to(&upstream);
    gateway.check_alive();
    let before = gateway.resident_bytes();
    let mut client = gateway.client();
    client
        .stream
        .set_write_timeout(Some(Duration::from_secs(1)))
        .expect("a socket option");
    let block = b"GET /healthz HTTP/1.1\r\nHost: gateway\r\n\r\n".repeat(1_000);
    let mut sent = 0;
    while client.try_send(&block).is_ok() {
        sent += block.len();
        assert!(sent < 64 << 20, "it reads on although nobody reads it");
    }
    let grown = gateway.resident_bytes().saturating_sub(before);
    assert!(grown < 4 << 20, "{grown} bytes are held for one client");
    gateway.check_alive();
}

#[test]
fn rule_22_connection_is_a_list_and_nothing_is_read_after_close() {
    let upstream = Upstream::always(plain_answer());
    let gateway = Gateway::to(&upstream);
    for fields in [
        "Connection: close\r\n",
        "Connection: CLOSE\r\n",
        "connection: foo, Close , bar\r\n",
        "Connection: foo\r\nConnection: close\r\n",
    ] {
        let mut client = gateway.client();
        client.send(format!("GET /healthz HTTP/1.1\r\nHost: g\r\n{fields}\r\n"));
        client.send(post(CHAT, "", BODY));
        let (answer, ending) = client.read_to_end();
        assert_eq!(statuses(&answer), [200], "{fields:?}: {}", show(&answer));
        assert_ne!(ending, Ending::StillOpen, "{fields:?}");
        let head = String::from_utf8_lossy(&answer).to_lowercase();
        assert!(head.contains("connection: close"), "{head}");
    }
    assert_eq!(upstream.requests(), 0);
    let mut client = gateway.client();
    for _ in 0..3 {
        client
            .send("GET /healthz HTTP/1.1\r\nHost: g\r\nConnection: closed, keep-alive\r\n\r\n")
            .read_reply()
            .expect(200);
    }
}

#[test]
fn rule_23_http_1_0_closes_by_default_and_is_never_chunked() {
    let upstream = Upstream::script(|mut peer| {
        loop {
            peer.expect()?;
            peer.send(STREAM_HEAD)?;
            peer.send_chunk("data: one\n\n")?;
            peer.send_chunk("data: two\n\n")?;
            peer.send("0\r\n\r\n")?;
        }
    });
    let gateway = Gateway::to(&upstream);
    let mut client = gateway.client();
    client.send("GET /healthz HTTP/1.0\r\n\r\n");
    let (answer, ending) = client.read_to_end();
    assert_eq!((statuses(&answer), ending), (vec![200], Ending::Closed));

    let mut kept = gateway.client();
    for _ in 0..3 {
        let reply = kept
            .send("GET /healthz HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n")
            .read_reply()
            .expect(200);
        let connection = reply.header("connection").unwrap_or_default();
        assert!(
            connection.eq_ignore_ascii_case("keep-alive"),
            "{connection}"
        );
    }

    for fields in ["", "Connection: keep-alive\r\n"] {
        let mut streamed = gateway.client();
        streamed.send(format!(
            "POST {CHAT} HTTP/1.0\r\n{fields}Content-Length: {}\r\n\r\n{BODY}",
            BODY.len()
        ));
        let (answer, ending) = streamed.read_to_end();
        assert_eq!(ending, Ending::Closed);
        let text = String::from_utf8_lossy(&answer).to_lowercase();
        assert!(!text.contains("transfer-encoding"), "{text}");
        assert!(
            text.ends_with("\r\n\r\ndata: one\n\ndata: two\n\n"),
            "{text}"
        );
    }
}

#[test]
fn rule_24_head_works_wherever_get_does_and_has_no_body() {
    let upstream = Upstream::always(plain_answer());
    let gateway = Gateway::to(&upstream);
    for path in ["/healthz", "/v1/models", "/v1/models/m", "/no/such"] {
        let got = gateway.get(path);
        let mut client = gateway.client();
        let head = client
            .send(format!("HEAD {path} HTTP/1.1\r\nHost: gateway\r\n\r\n"))
            .read_reply_to("HEAD");
        assert_eq!(head.status, got.status, "{path}");
        assert_eq!(
            head.header("content-length"),
            got.header("content-length"),
            "{path}"
        );
        // Had a body followed, this would not be the next answer.
        client.get("/healthz").expect(200);
    }
}

#[test]
fn rule_24_an_answer_without_a_body_has_no_length() {
    let upstream = Upstream::once("HTTP/1.1 204 No Content\r\n\r\n");
    let gateway = Gateway::to(&upstream);
    let mut client = gateway.client();
    let reply = client.post(CHAT, BODY).expect(204);
    assert_eq!(reply.header("content-length"), None);
    assert_eq!(reply.header("transfer-encoding"), None);
    client.get("/healthz").expect(200);
    let preflight = gateway
        .client()
        .send("OPTIONS /v1/chat/completions HTTP/1.1\r\nHost: g\r\nOrigin: http://localhost:5173\r\nAccess-Control-Request-Method: POST\r\n\r\n")
        .read_reply();
    assert!(matches!(preflight.status, 200 | 204));
    assert_eq!(
        preflight.status == 204,
        preflight.header("content-length").is_none()
    );
}

#[test]
fn rule_25_answers_carry_what_they_must() {
    let upstream = Upstream::always(plain_answer());
    let gateway = Gateway::to(&upstream);
    let healthy = gateway.get("/healthz").expect(200);
    assert!(healthy.header("content-type").is_some());
    for (method, path, allowed) in [
        ("DELETE", CHAT, "POST"),
        ("GET", CHAT, "POST"),
        ("POST", "/v1/models", "GET"),
        ("PATCH", "/healthz", "GET"),
        ("BREW", "/healthz", "GET"),
    ] {
        let reply = gateway
            .client()
            .send(request(method, path, "", ""))
            .read_reply_to(method)
            .expect(405);
        let allow = reply.header("allow").expect("Allow");
        assert!(allow.contains(allowed), "{method} {path}: {allow}");
        assert!(!reply.error_message().is_empty());
        assert_eq!(
            reply.header("content-type").as_deref(),
            Some("application/json")
        );
    }
    let reply = gateway
        .client()
        .send("OPTIONS * HTTP/1.1\r\nHost: g\r\n\r\n")
        .read_reply_to("OPTIONS");
    assert!(reply.status < 500, "{}", reply.status);
    let date = gateway
        .get("/no/such")
        .expect(404)
        .header("date")
        .expect("Date");
    assert_eq!(date.len(), "Wed, 25 Nov 2026 17:36:44 GMT".len(), "{date}");
    assert!(date.ends_with(" GMT"), "{date}");

    let long = format!("/no/<script>\"\\{}", "x".repeat(6_000));
    let reply = gateway.get(&long).expect(404);
    assert!(reply.body.len() < 2_000, "{} bytes", reply.body.len());
    reply.json();
    let long_model = format!("{{\"model\":\"\\u0001\\\"<{}\"}}", "y".repeat(100_000));
    let reply = gateway.post(CHAT, long_model).expect(404);
    assert!(reply.body.len() < 3_000, "{} bytes", reply.body.len());
    reply.json();
}

#[test]
fn rule_26_an_answer_leaves_in_one_write() {
    let upstream = Upstream::always(plain_answer());
    let gateway = Gateway::to(&upstream);
    let mut client = gateway.client();
    for _ in 0..30 {
        client.send("GET /healthz HTTP/1.1\r\nHost: g\r\n\r\n");
        let first = client.read_once();
        let end = find(&first, b"\r\n\r\n").expect("the whole head at once");
        assert!(first.len() > end + 4, "the body came later");
        client.send(post(CHAT, "", BODY));
        let first = client.read_once();
        assert!(
            first.ends_with(b"\"choices\":[]}"),
            "in pieces: {}",
            show(&first)
        );
    }
}

#[test]
fn rule_26_small_writes_are_not_held_back() {
    let upstream = Upstream::script(|mut peer| {
        loop {
            peer.expect()?;
            peer.send(STREAM_HEAD)?;
            peer.send_chunk("data: one\n\n")?;
            std::thread::sleep(Duration::from_millis(3));
            peer.send_chunk("data: two\n\n")?;
            peer.send("0\r\n\r\n")?;
        }
    });
    let gateway = Gateway::to(&upstream);
    let mut client = gateway.client();
    let mut gaps: Vec<Duration> = (0..15)
        .map(|_| {
            // After a few requests and answers the client's system delays its acknowledgements, by 40 ms. Nagle's algorithm
            // would keep the second event until the first is acknowledged.
            for _ in 0..5 {
                client.get("/healthz").expect(200);
            }
            client.send(post(CHAT, "", BODY));
            client.read_until("data: one\n\n");
            let start = Instant::now();
            client.read_until("data: two\n\n");
            let gap = start.elapsed();
            client.read_until("0\r\n\r\n");
            gap
        })
        .collect();
    gaps.sort();
    assert!(
        gaps[7] < Duration::from_millis(25),
        "the median gap is {:?}",
        gaps[7]
    );
}

#[test]
fn a_connection_serves_many_requests_of_all_kinds() {
    let upstream = Upstream::always(plain_answer());
    let gateway = Gateway::to(&upstream);
    let mut client = gateway.client();
    let start = Instant::now();
    for _ in 0..100 {
        client.post(CHAT, BODY).expect(200);
        client.get("/v1/models").expect(200);
        client.post("/no/such", BODY).expect(404);
        client.post(CHAT, r#"{"model":"other"}"#).expect(404);
    }
    assert!(start.elapsed() < PATIENCE);
}
