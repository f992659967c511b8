//! What an answer or a client can make the gateway hold: little, and nothing after it is over.

use super::vendors::Speech;
use super::{House, KEY, Pair, SOON};
use crate::support::client::post;
use crate::support::{Client, poll};
use std::io::Read;
use std::time::Duration;

const MB: u64 = 1 << 20;

/// Reads an answer to its end, keeping only its last bytes: how many came, and those.
fn drain(client: &mut Client, mut watch: impl FnMut(u64)) -> (u64, String) {
    let mut room = vec![0; 256 << 10];
    let (mut got, mut tail) = (0, Vec::new());
    client
        .stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .expect("a socket option");
    loop {
        let read = client.stream.read(&mut room).expect("more of the answer");
        got += read as u64;
        tail.extend_from_slice(&room[..read]);
        tail.drain(..tail.len().saturating_sub(4096));
        watch(got);
        if read == 0 || tail.ends_with(b"\r\n0\r\n\r\n") {
            return (got, String::from_utf8_lossy(&tail).into_owned());
        }
    }
}

/// Asks for an answer of that many megabytes: what came of it, its end, and how much memory grew in the meantime.
fn huge(house: &House, pair: Pair, megabytes: u64) -> (u64, String, u64) {
    let before = house.gateway.resident_bytes();
    let mut client = house.gateway.client();
    let fields = "Connection: close\r\n";
    let body = pair.body(&format!("act:huge mb:{megabytes}."));
    client.send(post(pair.client.path(), fields, body));
    let mut most = 0;
    let mut sampled = 0;
    let (got, tail) = drain(&mut client, |got| {
        if got >> 20 >= sampled {
            sampled = (got >> 20) + 1;
            most = most.max(house.gateway.resident_bytes().saturating_sub(before));
        }
    });
    (got, tail, most)
}

/// One pair for each reader and each writer.
const ROUND: [(Speech, Speech); 3] = [
    (Speech::Chat, Speech::Messages),
    (Speech::Messages, Speech::Responses),
    (Speech::Responses, Speech::Chat),
];

fn pair((client, upstream): (Speech, Speech), stream: bool) -> Pair {
    Pair {
        client,
        upstream,
        stream,
    }
}

#[test]
fn fifty_megabytes_in_a_stream_are_held_only_where_they_are_told_again() {
    let house = House::with("timeouts: {first_byte: 60, idle: 60}");
    let verbatim = Speech::ALL.map(|speech| (speech, speech));
    for pair in verbatim
        .into_iter()
        .chain(ROUND)
        .map(|both| pair(both, true))
    {
        // The first megabyte pays for buffers that stay.
        huge(&house, pair, 1);
        let (got, tail, grown) = huge(&house, pair, 50);
        assert!(got > 50 * MB, "{pair:?}: {got} bytes");
        let end = match pair.client {
            // It is at the end of an event that has the whole answer in it.
            Speech::Responses if !pair.is_verbatim() => "\"total_tokens\":",
            _ => pair.client.end_mark(),
        };
        assert!(tail.contains(end), "{pair:?}: {tail}");
        let allowed = match pair.client {
            // Five times in the end: its sum, its part, its item, the answer, and what they are made of.
            Speech::Responses if !pair.is_verbatim() => 512 * MB,
            // Buffers of the threads, which stay; nothing of the answer.
            _ => 24 * MB,
        };
        assert!(grown < allowed, "{pair:?}: {} MB", grown / MB);
    }
}

#[test]
fn fifty_megabytes_at_once_are_converted_within_the_budget_or_refused() {
    let large = House::with("timeouts: {first_byte: 60, idle: 60}");
    let small = House::with(
        "timeouts: {first_byte: 60, idle: 60}\nlimits: {max_body_mb: 4, max_buffered_mb: 8}",
    );
    let (got, _, grown) = huge(&large, pair(ROUND[0], false), 50);
    assert!(got > 50 * MB, "{got} bytes");
    assert!(grown < 400 * MB, "{} MB", grown / MB);
    for pair in ROUND.map(|both| pair(both, false)) {
        let (_, tail, grown) = huge(&small, pair, 50);
        assert!(tail.contains("max_buffered_mb"), "{pair:?}: {tail}");
        assert!(grown < 40 * MB, "{pair:?}: {} MB", grown / MB);
    }
    // What a stream makes the gateway keep is under the same budget.
    let (_, tail, grown) = huge(&small, pair(ROUND[2], true), 50);
    assert!(tail.contains("response.failed"), "{tail}");
    assert!(tail.contains("max_buffered_mb"), "{tail}");
    assert!(grown < 60 * MB, "{} MB", grown / MB);
    for house in [&large, &small] {
        check_nothing_is_left(house);
    }
}

/// Waits until no request, stream, byte of a body or connection to an upstream is in use.
#[track_caller]
fn check_nothing_is_left(house: &House) {
    poll("everything to come back", SOON, || {
        let status = house.gateway.admin("GET", "/api/status", "").expect(200);
        let status = status.json();
        let none = |name: &str| status[name] == 0;
        let gauges = none("buffered_bytes") && none("open_requests") && none("open_streams");
        let metrics = house.gateway.admin("GET", "/metrics", "").expect(200);
        let busy = "llm_wrapper_upstream_connections{state=\"busy\"} 0\n";
        (gauges && metrics.text().contains(busy)).then_some(())
    });
}

/// What can be told by looking at a process from outside.
const STAGES: [&str; 5] = ["upload", "wait", "head", "begin", "flood"];

#[test]
fn nothing_is_left_of_a_client_that_leaves_at_any_stage_nor_of_any_trouble() {
    let house = House::with("timeouts: {first_byte: 20, idle: 20}");
    let base = house.gateway.descriptors();
    let plays = Pair::all()
        .into_iter()
        .flat_map(|pair| STAGES.map(|stage| (pair, stage)))
        .filter(|(pair, stage)| *stage != "flood" || pair.stream);
    for (pair, stage) in plays {
        leave(&house, pair, stage);
    }
    for pair in Pair::all() {
        for act in [
            "answer", "cut", "vanish", "refuse", "first", "inside", "garbage",
        ] {
            house.ask(pair, &format!("act:{act}"));
        }
    }
    check_nothing_is_left(&house);
    // Idle connections to the upstream may stay, and those of the questions above.
    house.gateway.wait_for_descriptors(base + 24);
    house.gateway.check_alive();
    let log = house.gateway.log().join("\n");
    assert!(!log.contains(KEY) && !log.contains("panic"), "{log}");
}

/// A client that leaves at that stage of its request.
fn leave(house: &House, pair: Pair, stage: &str) {
    let mut client = house.gateway.client();
    if stage == "upload" {
        let whole = post(pair.client.path(), "", pair.body("act:wait"));
        client.send(&whole[..whole.len() - 10]);
        return;
    }
    let seen = house.upstream.requests();
    let _ = socket2::SockRef::from(&client.stream).set_recv_buffer_size(16 * 1024);
    client.send(post(
        pair.client.path(),
        "",
        pair.body(&format!("act:{stage}")),
    ));
    house.upstream.request(seen);
    if stage == "flood" || stage == "begin" && (pair.stream || pair.is_verbatim()) {
        client.read_until("HTTP/1.1 200");
    }
}
