//! All nine pairs of client and upstream protocol, streamed and not, in every kind of trouble. What a client may never get is an
//! answer that looks complete and is not; what it always gets, and soon, is an error of its own protocol or a broken connection.

mod bounds;
mod silence;
pub mod vendors;

use crate::support::client::post;
use crate::support::gateway::ADMIN_KEY;
use crate::support::{Gateway, Peer, Reply, STREAM_HEAD, Upstream, chunk, json_answer, poll};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use vendors::Speech;

/// Silence of an upstream that these gateways bear.
const IDLE: Duration = Duration::from_secs(1);
/// From the cause of an end to that end, with two busy cores.
const SOON: Duration = Duration::from_secs(6);
const KEY: &str = "sk-upstream-secret-0123456789";

/// One cell of the table.
#[derive(Clone, Copy, Debug)]
struct Pair {
    client: Speech,
    upstream: Speech,
    stream: bool,
}

impl Pair {
    fn all() -> Vec<Pair> {
        let mut all = Vec::new();
        for client in Speech::ALL {
            for upstream in Speech::ALL {
                for stream in [true, false] {
                    all.push(Pair {
                        client,
                        upstream,
                        stream,
                    });
                }
            }
        }
        all
    }

    fn is_verbatim(self) -> bool {
        self.client == self.upstream
    }

    /// The alias whose upstream speaks only that protocol.
    fn alias(self) -> &'static str {
        match self.upstream {
            Speech::Chat => "chat",
            Speech::Responses => "responses",
            Speech::Messages => "messages",
        }
    }

    fn body(self, act: &str) -> String {
        self.client.request(self.alias(), act, self.stream)
    }
}

/// Three upstreams in one, and a gateway in front of them; the text of a request says what the upstream is to do.
struct House {
    gateway: Gateway,
    upstream: Upstream,
    /// What the acts `wait` and `begin` saw end, by the words of their requests.
    left: Arc<Mutex<Vec<String>>>,
    /// Bytes the act `flood` got rid of, and whether it may end.
    flooded: Arc<AtomicU64>,
    enough: Arc<AtomicU64>,
}

impl House {
    fn new() -> House {
        House::with("timeouts: {first_byte: 1, idle: 1}")
    }

    /// With those lines in the configuration.
    fn with(lines: &str) -> House {
        let left = Arc::new(Mutex::new(Vec::new()));
        let (flooded, enough) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let state = (left.clone(), flooded.clone(), enough.clone());
        let upstream = Upstream::script(move |mut peer| {
            loop {
                act(&mut peer, &state.0, &state.1, &state.2)?;
            }
        });
        let entry = |name: &str, chat: bool, responses: bool, messages: bool| {
            format!(
                "  - {{name: {name}-up, base_url: '{}', auth: {{type: api_key, key: {KEY}}}, support_chat_completions: {chat}, support_responses: {responses}, support_anthropic_messages: {messages}}}\n",
                upstream.base_url()
            )
        };
        let config = format!(
            "upstreams:\n{}{}{}aliases:\n  - {{alias: chat, target_model: x, upstream: chat-up}}\n  - {{alias: responses, target_model: x, upstream: responses-up}}\n  - {{alias: messages, target_model: x, upstream: messages-up}}\n{lines}\n",
            entry("chat", true, false, false),
            entry("responses", false, true, false),
            entry("messages", false, false, true),
        );
        House {
            gateway: Gateway::build()
                .config(config)
                .env("ADMIN_KEY", ADMIN_KEY)
                .start(),
            upstream,
            left,
            flooded,
            enough,
        }
    }

    /// One request, and all that comes for it.
    fn ask(&self, pair: Pair, text: &str) -> Reply {
        self.gateway.post(pair.client.path(), pair.body(text))
    }
}

/// What the upstream does for one request.
fn act(
    peer: &mut Peer,
    left: &Mutex<Vec<String>>,
    flooded: &AtomicU64,
    enough: &AtomicU64,
) -> io::Result<()> {
    let request = peer.expect()?;
    let speech = Speech::of(&request.target());
    let text = request.text();
    let stream = text.contains(r#""stream":true"#);
    let word = text.split("act:").nth(1).unwrap_or_default();
    let word: String = word.chars().take_while(char::is_ascii_alphabetic).collect();
    let begin = |peer: &mut Peer| -> io::Result<()> {
        if stream {
            peer.send(STREAM_HEAD)?;
            peer.send_chunk(&speech.opening())?;
            peer.send_chunk(&speech.delta("Half"))
        } else {
            let whole = json_answer(200, &speech.whole("Half and half"));
            peer.send(&whole[..whole.len() - 20])
        }
    };
    match word.as_str() {
        "answer" if stream => {
            begin(peer)?;
            peer.send_chunk(&speech.delta(" done"))?;
            peer.send_chunk(&speech.closing())?;
            peer.send("0\r\n\r\n")
        }
        "answer" => peer.send(json_answer(200, &speech.whole("Half done"))),
        "long" => {
            let text = "x".repeat(LONG);
            if !stream {
                return peer.send(json_answer(200, &speech.whole(&text)));
            }
            peer.send(STREAM_HEAD)?;
            peer.send_chunk(&speech.opening())?;
            for piece in 0..LONG / 1000 {
                peer.send_chunk(&speech.delta(&text[piece * 1000..(piece + 1) * 1000]))?;
            }
            peer.send_chunk(&speech.closing())?;
            peer.send("0\r\n\r\n")
        }
        // Nothing at all; or a head and nothing more; or half an answer and nothing more.
        "wait" | "head" | "begin" => {
            match word.as_str() {
                "wait" => {}
                "head" if stream => peer.send(STREAM_HEAD)?,
                "head" => peer.send(&json_answer(200, &"x".repeat(500))[..100])?,
                _ => begin(peer)?,
            }
            let closed = peer.wait_closed();
            left.lock().expect("no panic holds it").push(text);
            closed.map(drop)
        }
        // The same, but only for a while.
        "pause" | "stutter" => {
            let later = if stream { speech.closing() } else { String::new() };
            if word == "stutter" && stream {
                begin(peer)?;
                std::thread::sleep(silence::SILENCE);
                peer.send_chunk(&speech.delta(" done"))?;
                peer.send_chunk(&later)?;
                return peer.send("0\r\n\r\n");
            }
            std::thread::sleep(silence::SILENCE);
            if !stream {
                return peer.send(json_answer(200, &speech.whole("Half done")));
            }
            begin(peer)?;
            peer.send_chunk(&speech.delta(" done"))?;
            peer.send_chunk(&later)?;
            peer.send("0\r\n\r\n")
        }
        // As many megabytes as the request says, in pieces or at once.
        "huge" => {
            let megabytes = text.split("mb:").nth(1).unwrap_or_default();
            let digits = megabytes.split(|c: char| !c.is_ascii_digit()).next();
            let megabytes: usize = digits.unwrap_or_default().parse().expect("a number");
            if !stream {
                return peer.send(json_answer(200, &speech.whole(&"z".repeat(megabytes << 20))));
            }
            peer.send(STREAM_HEAD)?;
            peer.send_chunk(&speech.opening())?;
            let piece = chunk(&speech.delta(&"z".repeat(64 << 10)));
            for _ in 0..megabytes << 4 {
                peer.send(&piece)?;
            }
            peer.send_chunk(&speech.closing())?;
            peer.send("0\r\n\r\n")
        }
        // What is no answer: at once, after half of one, or the half of an event.
        "garbage" if !stream => peer.send(json_answer(200, "{\"id\":\"x\",\"choices\":[{]}")),
        "page" => peer.send("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 17\r\n\r\n<h1>Welcome</h1>\n"),
        "garbage" | "spoilt" | "torn" => {
            match word.as_str() {
                "garbage" => peer.send(STREAM_HEAD)?,
                _ => begin(peer)?,
            }
            if stream && word == "torn" {
                let event = speech.delta(" gone");
                peer.send_chunk(&event[..event.len() - 12])?;
                return peer.send("0\r\n\r\n");
            }
            peer.send_chunk("data: {\"type\":\"nonsense\",\"choices\":[{]}\n\n")?;
            peer.send_chunk(&speech.closing())?;
            peer.send("0\r\n\r\n")
        }
        "cut" => {
            begin(peer)?;
            Err(io::ErrorKind::ConnectionAborted.into())
        }
        "vanish" => {
            if stream {
                peer.send(STREAM_HEAD)?;
            }
            Err(io::ErrorKind::ConnectionAborted.into())
        }
        "refuse" => {
            let body = speech.refusal();
            peer.send(format!(
                "HTTP/1.1 429 Slow\r\nContent-Type: application/json\r\nRetry-After: 7\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            ))
        }
        "first" | "inside" if stream => {
            peer.send(STREAM_HEAD)?;
            if word == "inside" {
                peer.send_chunk(&speech.opening())?;
                peer.send_chunk(&speech.delta("Half"))?;
            }
            peer.send_chunk(&speech.failing())?;
            peer.send("0\r\n\r\n")
        }
        "first" | "inside" => {
            let error = r#"{"error":{"message":"boom inside","type":"server_error","code":"server_is_overloaded"}}"#;
            peer.send(json_answer(200, error))
        }
        "named" => {
            let error = r#"{"error":{"message":"boom inside","type":"server_error"}}"#;
            peer.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nx-request-id: up-7\r\nContent-Length: {}\r\n\r\n{error}",
                error.len()
            ))
        }
        "flood" => {
            peer.send(STREAM_HEAD)?;
            peer.send_chunk(&speech.opening())?;
            let piece = chunk(&speech.delta(&"y".repeat(16 * 1024)));
            while enough.load(Ordering::SeqCst) == 0 {
                peer.send(&piece)?;
                flooded.fetch_add(piece.len() as u64, Ordering::SeqCst);
            }
            peer.send_chunk(&speech.closing())?;
            peer.send("0\r\n\r\n")
        }
        other => panic!("no such act: {other:?} in {text}"),
    }
}

/// Bytes of the text of the act `long`.
const LONG: usize = 300_000;

/// Runs `check` for every pair, six at a time.
fn for_all(house: &House, check: impl Fn(&House, Pair) + Sync) {
    let pairs = Pair::all();
    for some in pairs.chunks(6) {
        std::thread::scope(|scope| {
            for &pair in some {
                let check = &check;
                scope.spawn(move || check(house, pair));
            }
        });
    }
}

/// An error as an HTTP answer in the client's protocol.
#[track_caller]
fn check_refused(pair: Pair, reply: &Reply, status: u16, words: &str, sentence: &str) {
    let context = format!("{pair:?}: {} {}", reply.status, reply.text());
    assert_eq!(reply.status, status, "{context}");
    assert!(reply.whole, "{context}");
    assert!(pair.client.is_error(&reply.json(), words), "{context}");
    assert!(reply.error_message().contains(sentence), "{context}");
}

/// A stream that began and failed: what came stays, the error is told, and nothing says that it is complete.
#[track_caller]
fn check_failed_inside(pair: Pair, reply: &Reply, sentence: &str) {
    let text = reply.text();
    assert_eq!(reply.status, 200, "{pair:?}: {text}");
    assert!(reply.whole, "{pair:?}: {text}");
    assert_eq!(pair.client.text(&text, true), "Half", "{pair:?}: {text}");
    let told = pair.client.error_inside(&text).unwrap_or_default();
    assert!(told.contains(sentence), "{pair:?}: {text}");
    assert!(!text.contains(pair.client.end_mark()), "{pair:?}: {text}");
}

#[test]
fn an_answer_arrives_whole_in_all_pairs() {
    let house = House::new();
    for_all(&house, |house, pair| {
        let reply = house.ask(pair, "act:answer").expect(200);
        let text = reply.text();
        assert_eq!(
            pair.client.text(&text, pair.stream),
            "Half done",
            "{pair:?}: {text}"
        );
        assert_eq!(
            text.contains(pair.client.end_mark()),
            pair.stream,
            "{pair:?}"
        );
    });
}

#[test]
fn an_upstream_that_never_answers_is_a_504_in_all_pairs() {
    let house = House::new();
    for_all(&house, |house, pair| {
        let start = Instant::now();
        let reply = house.ask(pair, "act:wait");
        let words = match pair.client {
            Speech::Messages => "timeout_error",
            _ => "server_error",
        };
        check_refused(pair, &reply, 504, words, "");
        assert!(start.elapsed() < IDLE + SOON, "{pair:?}");
    });
}

#[test]
fn an_upstream_that_falls_silent_after_its_head_is_noticed_in_all_pairs() {
    let house = House::new();
    for_all(&house, |house, pair| {
        let start = Instant::now();
        let reply = house.ask(pair, "act:head");
        if pair.is_verbatim() {
            assert!(!reply.whole, "{pair:?}: {}", reply.text());
        } else {
            // No event was read, so no head was sent.
            let words = match pair.client {
                Speech::Messages => "timeout_error",
                _ => "server_error",
            };
            check_refused(pair, &reply, 504, words, "");
        }
        assert!(start.elapsed() < IDLE + SOON, "{pair:?}");
    });
}

#[test]
fn an_upstream_that_falls_silent_in_the_middle_is_noticed_in_all_pairs() {
    let house = House::new();
    for_all(&house, |house, pair| {
        let start = Instant::now();
        let reply = house.ask(pair, "act:begin");
        match (pair.is_verbatim(), pair.stream) {
            (true, _) => assert!(!reply.whole, "{pair:?}: {}", reply.text()),
            (false, true) => check_failed_inside(pair, &reply, "1 s"),
            (false, false) => assert_eq!(reply.status, 504, "{pair:?}: {}", reply.text()),
        }
        assert!(start.elapsed() < IDLE + SOON, "{pair:?}");
    });
}

#[test]
fn an_upstream_that_breaks_off_is_never_a_complete_answer_in_all_pairs() {
    let house = House::new();
    for_all(&house, |house, pair| {
        let reply = house.ask(pair, "act:cut");
        match (pair.is_verbatim(), pair.stream) {
            (true, _) => assert!(!reply.whole, "{pair:?}: {}", reply.text()),
            (false, true) => check_failed_inside(pair, &reply, ""),
            (false, false) => assert_eq!(reply.status, 502, "{pair:?}: {}", reply.text()),
        }
        let reply = house.ask(pair, "act:vanish");
        match pair.is_verbatim() && pair.stream {
            true => assert!(!reply.whole, "{pair:?}: {}", reply.text()),
            false => assert_eq!(reply.status, 502, "{pair:?}: {}", reply.text()),
        }
    });
}

#[test]
fn an_upstream_that_refuses_is_quoted_in_all_pairs() {
    let house = House::new();
    for_all(&house, |house, pair| {
        let reply = house.ask(pair, "act:refuse");
        assert_eq!(
            reply.header("retry-after").as_deref(),
            Some("7"),
            "{pair:?}"
        );
        if pair.is_verbatim() {
            assert_eq!(
                (reply.status, reply.text()),
                (429, pair.upstream.refusal().into())
            );
        } else {
            check_refused(pair, &reply, 429, "rate_limit_error", "slow down please");
        }
    });
}

#[test]
fn an_error_inside_an_answer_is_told_in_all_pairs() {
    let house = House::new();
    for_all(&house, |house, pair| {
        for act in ["act:first", "act:inside"] {
            let reply = house.ask(pair, act);
            let text = reply.text();
            assert!(text.contains("boom inside"), "{pair:?} {act}: {text}");
            assert!(
                !text.contains(pair.client.end_mark()),
                "{pair:?} {act}: {text}"
            );
            match (pair.is_verbatim(), pair.stream && act == "act:inside") {
                (true, _) => assert_eq!(reply.status, 200, "{pair:?}"),
                (false, true) => check_failed_inside(pair, &reply, "boom inside"),
                // Nothing was sent yet: a real status.
                (false, false) => {
                    let (status, words) = match pair.client {
                        Speech::Messages => (529, "overloaded_error"),
                        _ => (503, "server_error"),
                    };
                    check_refused(pair, &reply, status, words, "boom inside");
                }
            }
        }
    });
}

#[test]
fn what_is_no_answer_is_never_passed_on_as_one_in_all_pairs() {
    let house = House::new();
    for_all(&house, |house, pair| {
        for act in ["act:garbage", "act:page"] {
            let reply = house.ask(pair, act);
            match pair.is_verbatim() {
                true => assert_eq!(reply.status, 200, "{pair:?} {act}"),
                false => assert_eq!(reply.status, 502, "{pair:?} {act}: {}", reply.text()),
            }
        }
        for act in ["act:spoilt", "act:torn"] {
            if !pair.stream {
                continue;
            }
            let reply = house.ask(pair, act);
            match pair.is_verbatim() {
                // The client's own SDK has to see it.
                true => assert!(reply.text().contains("Half"), "{pair:?} {act}"),
                false => check_failed_inside(pair, &reply, ""),
            }
        }
    });
}

#[test]
fn an_error_under_200_keeps_the_upstreams_id_beside_ours() {
    let house = House::new();
    for pair in Pair::all().into_iter().filter(|pair| !pair.is_verbatim()) {
        let reply = house.ask(pair, "act:named");
        assert_eq!(reply.status, 500, "{pair:?}: {}", reply.text());
        let header = |name: &str| reply.header(name).unwrap_or_default();
        assert_eq!(header("x-upstream-request-id"), "up-7", "{pair:?}");
        assert!(header("request-id").starts_with("req_"), "{pair:?}");
        assert_eq!(header("request-id"), header("x-request-id"), "{pair:?}");
    }
}

#[test]
fn case_28_a_client_that_leaves_cancels_the_upstream_in_all_pairs() {
    let house = House::new();
    for_all(&house, |house, pair| {
        // A verbatim or streamed answer has begun to arrive by then; any other is still being gathered.
        let shows = pair.stream || pair.is_verbatim();
        for act in ["wait", "begin"] {
            let Pair {
                client,
                upstream,
                stream,
            } = pair;
            let mark = format!("act:{act} {client:?} {upstream:?} {stream}");
            let mut client = house.gateway.client();
            client.send(post(pair.client.path(), "", pair.body(&mark)));
            if act == "begin" && shows {
                client.read_until("Half");
            } else {
                poll("the request", SOON, || {
                    let mut all = 0..house.upstream.requests();
                    let came = all.any(|at| house.upstream.request(at).text().contains(&mark));
                    came.then_some(())
                });
            }
            let left_at = Instant::now();
            drop(client);
            let noticed = || {
                let left = house.left.lock().expect("no panic holds it");
                left.iter().any(|text| text.contains(&mark)).then_some(())
            };
            poll("the upstream to be left", SOON, noticed);
            // The upstream's own patience would end it after a second.
            let took = left_at.elapsed();
            assert!(took < Duration::from_millis(900), "{mark}: {took:?}");
        }
    });
    house.gateway.check_alive();
}

#[test]
fn a_client_that_reads_late_gets_everything_in_all_pairs() {
    let house = House::new();
    for_all(&house, |house, pair| {
        let mut client = house.gateway.client();
        let _ = socket2::SockRef::from(&client.stream).set_recv_buffer_size(16 * 1024);
        client.send(post(pair.client.path(), "", pair.body("act:long")));
        // Longer than an upstream may be silent: the waiting is the client's own.
        std::thread::sleep(IDLE + Duration::from_millis(500));
        let reply = client.read_reply().expect(200);
        let text = pair.client.text(&reply.text(), pair.stream);
        assert_eq!(text.len(), LONG, "{pair:?}");
        assert_eq!(
            reply.text().contains(pair.client.end_mark()),
            pair.stream,
            "{pair:?}"
        );
    });
}

#[test]
fn a_client_that_stops_reading_a_converted_stream_stops_the_upstream() {
    const BOUND: u64 = 64 << 20;
    let pairs = Pair::all().into_iter();
    for pair in pairs.filter(|pair| pair.stream && !pair.is_verbatim()) {
        let house = House::new();
        let mut client = house.gateway.client();
        let _ = socket2::SockRef::from(&client.stream).set_recv_buffer_size(16 * 1024);
        client.send(post(pair.client.path(), "", pair.body("act:flood")));
        let mut last = (0, Instant::now());
        poll("the upstream to be stopped", SOON * 3, || {
            let now = house.flooded.load(Ordering::SeqCst);
            assert!(now < BOUND, "{pair:?}: {now} bytes");
            if now != last.0 {
                last = (now, Instant::now());
            }
            (now > 0 && last.1.elapsed() > Duration::from_millis(400)).then_some(())
        });
        drop(client);
        house.gateway.check_alive();
        house.enough.store(1, Ordering::SeqCst);
    }
}

#[test]
fn case_42_the_billing_header_of_claude_code_reaches_anthropic_only() {
    let house = House::new();
    let system = r#""system":[{"type":"text","text":"x-anthropic-billing-header: cc_version=2; cch=1a2b3;"},{"type":"text","text":"Be brief."}],"max_tokens":100"#;
    for upstream in Speech::ALL {
        let pair = Pair {
            client: Speech::Messages,
            upstream,
            stream: false,
        };
        let body = pair
            .body("act:answer")
            .replace(r#""max_tokens":100"#, system);
        house.gateway.post(pair.client.path(), &body).expect(200);
        let sent = house.upstream.request(house.upstream.requests() - 1).text();
        assert!(sent.contains("Be brief."), "{sent}");
        assert_eq!(
            sent.contains("billing-header"),
            upstream == Speech::Messages,
            "{sent}"
        );
        if upstream == Speech::Messages {
            assert_eq!(
                sent,
                body.replacen(r#""model":"messages""#, r#""model":"x""#, 1)
            );
        }
    }
}
