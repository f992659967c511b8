//! Streams (rules 42 to 45): nothing is held back, nothing is held at all, and whoever leaves is noticed.

use crate::support::client::post;
use crate::support::{
    Client, Ending, Gate, Gateway, STREAM_HEAD, Upstream, chunk, find, plain_answer, show,
};
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const CHAT: &str = "/v1/chat/completions";
const BODY: &str = r#"{"model":"m","stream":true}"#;

#[test]
fn rule_42_however_a_stream_is_framed_and_cut_it_passes_byte_for_byte() {
    let text = "\u{feff}data: {\"a\":1}\n\ndata:no space\r\n\r\n: comment\r\rdata: two\ndata: lines\n\nevent: x\ndata: caf\u{e9} \u{1f600} \u{2028}\u{2029}\n\nid: 7\nretry: 10\n\ndata: [DONE]\n\n";
    let mut large = String::from("data: ");
    large.push_str(&"x".repeat(1 << 20));
    large.push_str("\n\n");
    let whole = format!("{text}{large}{text}");
    let bytes = whole.clone().into_bytes();
    let upstream = Upstream::script(move |mut peer| {
        peer.expect()?;
        peer.send(STREAM_HEAD)?;
        // Every byte of the small text as a chunk and a write of its own: each UTF-8 character and each CRLF is split.
        let small = text.len();
        for byte in &bytes[..small] {
            peer.send([b"1\r\n", &[*byte][..], b"\r\n"].concat())?;
        }
        let rest = &bytes[small..];
        peer.send(format!("{:x}\r\n", rest.len()))?;
        for part in rest.chunks(10_007) {
            peer.send(part)?;
        }
        peer.send("\r\n0\r\n\r\n")?;
        peer.wait_closed()?;
        Ok(())
    });
    let gateway = Gateway::to(&upstream);
    let reply = gateway.post(CHAT, BODY).expect(200);
    assert_eq!(reply.text(), whole);
    assert_eq!(
        reply.header("content-type").as_deref(),
        Some("text/event-stream")
    );
    assert_eq!(reply.header("cache-control").as_deref(), Some("no-cache"));
}

#[test]
fn rule_43_every_event_leaves_at_once() {
    let gates: Vec<Gate> = (0..20).map(|_| Gate::new()).collect();
    let opened = gates.clone();
    let upstream = Upstream::script(move |mut peer| {
        peer.expect()?;
        peer.send(STREAM_HEAD)?;
        for (number, gate) in opened.iter().enumerate() {
            gate.wait();
            // Cut where it hurts: the chunk's line end comes only with the next event.
            let whole = chunk(&format!("data: {number}\n\n"));
            peer.send(if number == 0 { "" } else { "\r\n" })?;
            peer.send(&whole[..whole.len() - 2])?;
        }
        peer.send("\r\n0\r\n\r\n")?;
        peer.wait_closed()?;
        Ok(())
    });
    let gateway = Gateway::to(&upstream);
    let mut client = gateway.client();
    client.send(post(CHAT, "", BODY));
    let head = client.read_head(); // before the first event
    assert!(head.starts_with(b"HTTP/1.1 200"));
    for (number, gate) in gates.iter().enumerate() {
        gate.open();
        client.read_until(&format!("data: {number}\n\n"));
    }
    client.read_until("\r\n0\r\n\r\n");
}

/// An upstream that sends that many bytes of zeros as fast as they are taken, and counts them.
fn flood(total: u64, sent: Arc<AtomicU64>) -> Upstream {
    Upstream::script(move |mut peer| {
        loop {
            let request = peer.expect()?;
            let wanted = if request.text().contains("warm") {
                4 << 20
            } else {
                total
            };
            peer.send(format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: {wanted}\r\n\r\n"
        ))?;
            let block = vec![b'0'; 256 << 10];
            let mut left = wanted;
            while left > 0 {
                let part = left.min(block.len() as u64) as usize;
                peer.send(&block[..part])?;
                left -= part as u64;
                sent.fetch_add(part as u64, Ordering::SeqCst);
            }
        }
    })
}

fn drain(client: &mut Client, total: u64, mut watch: impl FnMut(u64)) {
    let mut room = vec![0; 256 << 10];
    let mut got = 0;
    client
        .stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .expect("a socket option");
    while got < total {
        let read = match client.stream.read(&mut room) {
            Ok(read) => read,
            Err(error) => panic!("after {got} of {total} bytes: {error}"),
        };
        assert!(read > 0, "it ended after {got} bytes");
        got += read as u64;
        watch(got);
    }
}

#[test]
fn rule_43_a_client_that_stops_reading_stops_the_upstream() {
    const TOTAL: u64 = 500 << 20;
    let sent = Arc::new(AtomicU64::new(0));
    let upstream = flood(TOTAL, sent.clone());
    let gateway = Gateway::to(&upstream);
    let mut warm = gateway.client();
    warm.send(post(CHAT, "", r#"{"model":"m","warm":1}"#));
    drain(&mut warm, 4 << 20, |_| {});
    drop(warm);
    let before = gateway.resident_bytes();
    sent.store(0, Ordering::SeqCst);

    let mut client = gateway.client();
    client.send(post(CHAT, "", BODY));
    client.stream.peek(&mut [0]).expect("the answer begins");
    // Nobody reads. The upstream stops once the sockets between are full.
    let start = Instant::now();
    let mut last = (0, Instant::now());
    while last.1.elapsed() < Duration::from_secs(1) {
        let now = sent.load(Ordering::SeqCst);
        if now != last.0 {
            last = (now, Instant::now());
        }
        assert!(now < TOTAL / 2, "the upstream was never stopped");
        assert!(start.elapsed() < Duration::from_secs(15));
        std::thread::sleep(Duration::from_millis(20));
    }
    let held = gateway.resident_bytes().saturating_sub(before);
    assert!(held < 1 << 20, "{held} bytes held for a client that stalls");

    let mut most = 0;
    let mut samples = 0;
    drain(&mut client, TOTAL, |got| {
        if got >> 22 > samples {
            samples = got >> 22;
            most = most.max(gateway.resident_bytes().saturating_sub(before));
        }
    });
    assert!(most < 1 << 20, "{most} bytes held while it was read");
    assert!(samples > 50);
}

#[test]
fn a_client_that_takes_nothing_at_all_is_given_up() {
    let closed = Gate::new();
    let tell = closed.clone();
    let upstream = Upstream::script(move |mut peer| {
        peer.expect()?;
        peer.send(STREAM_HEAD)?;
        let event = chunk(&format!("data: {}\n\n", "x".repeat(100_000)));
        while peer.send(&event).is_ok() {}
        tell.open();
        Ok(())
    });
    let gateway = Gateway::to_with(&upstream, "timeouts: {client_stall: 1}");
    let mut client = gateway.client();
    client.send(post(CHAT, "", BODY));
    client.read_head();
    closed.wait();
    let line = gateway.wait_for_line("path=/v1/chat/completions");
    assert!(line.contains("alias=m"), "{line}");
}

/// Waits until the gateway has closed the upstream's connection, and checks that this took at most a second from `left`.
#[track_caller]
fn check_cancelled(closed: &Gate, left: Instant) {
    closed.wait();
    let took = left.elapsed();
    assert!(took < Duration::from_secs(1), "it took {took:?}");
}

/// An upstream that sends this much and then waits to be cancelled.
fn waiting(first: &'static str, begun: Gate, closed: Gate) -> Upstream {
    Upstream::script(move |mut peer| {
        peer.expect()?;
        peer.send(first)?;
        begun.open();
        peer.wait_closed()?;
        closed.open();
        Ok(())
    })
}

#[test]
fn rule_44_a_client_that_leaves_cancels_the_upstream() {
    for first in ["", STREAM_HEAD] {
        for leave in ["close", "half close", "reset"] {
            let (begun, closed) = (Gate::new(), Gate::new());
            let upstream = waiting(first, begun.clone(), closed.clone());
            let gateway = Gateway::to(&upstream);
            let mut client = gateway.client();
            client.send(post(CHAT, "", BODY));
            begun.wait();
            if !first.is_empty() {
                client.read_head();
            }
            let left = Instant::now();
            let kept = match leave {
                "close" => {
                    drop(client);
                    None
                }
                "half close" => {
                    client.half_close();
                    Some(client)
                }
                _ => {
                    client.reset();
                    None
                }
            };
            check_cancelled(&closed, left);
            drop(kept);
            gateway.check_alive();
        }
    }
}

#[test]
fn rule_44_a_pipelined_request_does_not_hide_that_the_client_left() {
    for first in ["", STREAM_HEAD] {
        let (begun, closed) = (Gate::new(), Gate::new());
        let upstream = waiting(first, begun.clone(), closed.clone());
        let gateway = Gateway::to(&upstream);
        let mut client = gateway.client();
        client.send(post(CHAT, "", BODY));
        client.send("GET /healthz HTTP/1.1\r\nHost: g\r\n\r\n");
        begun.wait();
        let left = Instant::now();
        drop(client);
        check_cancelled(&closed, left);
    }
}

#[test]
fn rule_44_a_client_that_leaves_while_its_stream_flows_stops_it() {
    let closed = Gate::new();
    let tell = closed.clone();
    let upstream = Upstream::script(move |mut peer| {
        peer.expect()?;
        peer.send(STREAM_HEAD)?;
        let event = chunk(&format!("data: {}\n\n", "x".repeat(1_000)));
        while peer.send(&event).is_ok() {}
        tell.open();
        Ok(())
    });
    let gateway = Gateway::to(&upstream);
    let mut client = gateway.client();
    client.send(post(CHAT, "", BODY));
    client.read_until("data: x");
    let left = Instant::now();
    drop(client);
    check_cancelled(&closed, left);
}

#[test]
fn rule_44_nothing_is_left_open_after_many_clients_left() {
    let upstream = Upstream::script(move |mut peer| {
        peer.expect()?;
        peer.send(STREAM_HEAD)?;
        peer.send_chunk("data: one\n\n")?;
        peer.wait_closed()?;
        Ok(())
    });
    let gateway = Gateway::to(&upstream);
    gateway.check_alive();
    let before = gateway.descriptors();
    let clients: Vec<Client> = (0..100)
        .map(|_| {
            let mut client = gateway.client();
            client.send(post(CHAT, "", BODY));
            client.read_until("data: one\n\n");
            client
        })
        .collect();
    assert!(gateway.descriptors() + 1 >= before + 200);
    drop(clients);
    gateway.wait_for_descriptors(before + 20);
}

#[test]
fn rule_45_an_upstream_that_dies_mid_stream_is_never_a_polite_end() {
    for how in ["close", "reset"] {
        let (seen, go) = (Gate::new(), Gate::new());
        let (wait, _keep) = (seen.clone(), go.clone());
        let upstream = Upstream::script(move |mut peer| {
            peer.expect()?;
            peer.send(STREAM_HEAD)?;
            peer.send_chunk("data: one\n\n")?;
            wait.wait();
            if how == "reset" { peer.reset() } else { Ok(()) }
        });
        let gateway = Gateway::to(&upstream);
        let mut client = gateway.client();
        client.send(post(CHAT, "", BODY));
        client.read_until("data: one\n\n");
        seen.open();
        let (rest, ending) = client.read_to_end();
        assert_ne!(ending, Ending::StillOpen, "{how}");
        assert!(
            find(&rest, b"0\r\n\r\n").is_none(),
            "{how}: {}",
            show(&rest)
        );
        gateway.wait_for_line("broke off its answer");
        gateway.check_alive();
    }
}

#[test]
fn a_stream_has_no_total_limit_of_time() {
    let upstream = Upstream::script(|mut peer| {
        peer.expect()?;
        peer.send(STREAM_HEAD)?;
        for number in 0..15 {
            std::thread::sleep(Duration::from_millis(200));
            peer.send_chunk(&format!("data: {number}\n\n"))?;
        }
        peer.send("0\r\n\r\n")?;
        peer.wait_closed()?;
        Ok(())
    });
    let gateway = Gateway::to_with(
        &upstream,
        "timeouts: {first_byte: 1, idle: 1, client_head: 1, client_stall: 1, keep_alive: 1}",
    );
    let reply = gateway.post(CHAT, BODY).expect(200);
    assert!(reply.text().ends_with("data: 14\n\n"));
}

#[test]
fn streams_and_plain_answers_do_not_disturb_each_other() {
    let upstream = Upstream::script(|mut peer| {
        loop {
            let request = peer.expect()?;
            if request.text().contains("stream") {
                peer.send(STREAM_HEAD)?;
                for number in 0..50 {
                    peer.send_chunk(&format!("data: {number}\n\n"))?;
                }
                peer.send("0\r\n\r\n")?;
            } else {
                peer.send(plain_answer())?;
            }
        }
    });
    let gateway = Gateway::to(&upstream);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let gateway = &gateway;
            scope.spawn(move || {
                let mut client = gateway.client();
                for round in 0..40 {
                    if (thread + round) % 2 == 0 {
                        let reply = client.post(CHAT, BODY).expect(200);
                        assert!(reply.text().ends_with("data: 49\n\n"));
                    } else {
                        client.post(CHAT, r#"{"model":"m"}"#).expect(200);
                    }
                }
            });
        }
    });
}
