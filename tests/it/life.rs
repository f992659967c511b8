//! The process: how it starts, refuses to start, runs out of descriptors, and ends (rule 52).

use crate::support::client::post;
use crate::support::gateway::config_for;
use crate::support::{
    Client, Ending, Gate, Gateway, STREAM_HEAD, Upstream, find, plain_answer, poll, show,
};
use std::net::TcpStream;
use std::time::{Duration, Instant};

const CHAT: &str = "/v1/chat/completions";
const BODY: &str = r#"{"model":"m"}"#;

/// A stream that has begun and goes on once the gate opens.
fn stream_until(gate: &Gate) -> Upstream {
    let gate = gate.clone();
    Upstream::script(move |mut peer| {
        peer.expect()?;
        peer.send(STREAM_HEAD)?;
        peer.send_chunk("data: one\n\n")?;
        gate.wait_for(Duration::from_secs(20));
        peer.send_chunk("data: two\n\n")?;
        peer.send("0\r\n\r\n")?;
        peer.wait_closed()?;
        Ok(())
    })
}

fn begin_stream(gateway: &Gateway) -> Client {
    let mut client = gateway.client();
    client.send(post(CHAT, "", BODY));
    client.read_until("data: one\n\n");
    client
}

#[test]
fn rule_52_sigterm_stops_accepting_and_lets_streams_finish() {
    for signal in ["TERM", "INT"] {
        let gate = Gate::new();
        let upstream = stream_until(&gate);
        let mut gateway = Gateway::to(&upstream);
        let mut idle = gateway.client();
        idle.get("/healthz").expect(200);
        let mut stream = begin_stream(&gateway);
        gateway.signal(signal);
        // Whoever waits for a request is let go at once; nobody new comes in.
        idle.expect_closed();
        poll("the port to be closed", Duration::from_secs(5), || {
            TcpStream::connect(gateway.addr).is_err().then_some(())
        });
        assert!(gateway.is_running(), "{signal} cut a stream");
        gate.open();
        let (rest, ending) = stream.read_to_end();
        assert!(
            rest.ends_with(b"data: two\n\n\r\n0\r\n\r\n"),
            "{}",
            show(&rest)
        );
        assert_eq!(ending, Ending::Closed);
        let start = Instant::now();
        assert_eq!(gateway.wait_for_exit(), 0);
        assert!(start.elapsed() < Duration::from_secs(3));
    }
}

#[test]
fn rule_52_the_drain_has_an_end_and_what_is_cut_looks_cut() {
    let gate = Gate::new();
    let upstream = stream_until(&gate);
    let mut gateway = Gateway::to_with(&upstream, "timeouts: {drain: 1}");
    let mut stream = begin_stream(&gateway);
    let start = Instant::now();
    gateway.signal("TERM");
    gateway.wait_for_exit();
    let took = start.elapsed();
    assert!(
        took > Duration::from_millis(800) && took < Duration::from_secs(4),
        "{took:?}"
    );
    let (rest, ending) = stream.read_to_end();
    assert_ne!(ending, Ending::StillOpen);
    assert!(find(&rest, b"0\r\n\r\n").is_none(), "{}", show(&rest));
    gate.open();
}

#[test]
fn rule_52_a_second_signal_ends_it_at_once() {
    let gate = Gate::new();
    let upstream = stream_until(&gate);
    let mut gateway = Gateway::to(&upstream);
    let _stream = begin_stream(&gateway);
    gateway.signal("TERM");
    poll("the port to be closed", Duration::from_secs(5), || {
        TcpStream::connect(gateway.addr).is_err().then_some(())
    });
    assert!(gateway.is_running());
    let start = Instant::now();
    gateway.signal("TERM");
    gateway.wait_for_exit();
    assert!(start.elapsed() < Duration::from_secs(1));
    gate.open();
}

#[test]
fn rule_52_sigterm_with_nothing_to_do_is_quick() {
    let upstream = Upstream::always(plain_answer());
    // A head that is half sent may come to its end, within its own limit of time.
    let mut gateway = Gateway::to_with(&upstream, "timeouts: {client_head: 1}");
    gateway.post(CHAT, BODY).expect(200);
    let _half = {
        let mut client = gateway.client();
        client.send("GET /heal");
        client
    };
    let start = Instant::now();
    gateway.signal("TERM");
    assert_eq!(gateway.wait_for_exit(), 0);
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn an_answer_in_the_drain_says_that_the_connection_ends() {
    let gate = Gate::new();
    let go = gate.clone();
    let begun = Gate::new();
    let tell = begun.clone();
    let upstream = Upstream::script(move |mut peer| {
        peer.expect()?;
        tell.open();
        go.wait();
        peer.send(plain_answer())?;
        peer.wait_closed()?;
        Ok(())
    });
    let mut gateway = Gateway::to(&upstream);
    let mut client = gateway.client();
    client.send(post(CHAT, "", BODY));
    begun.wait();
    gateway.signal("TERM");
    poll("the port to be closed", Duration::from_secs(5), || {
        TcpStream::connect(gateway.addr).is_err().then_some(())
    });
    gate.open();
    let reply = client.read_reply().expect(200);
    assert_eq!(reply.header("connection").as_deref(), Some("close"));
    client.expect_closed();
    assert_eq!(gateway.wait_for_exit(), 0);
}

#[test]
fn an_address_in_use_is_one_clear_line() {
    let upstream = Upstream::always(plain_answer());
    let first = Gateway::to(&upstream);
    let taken = first.addr.to_string();
    let (code, out, err) = Gateway::build()
        .config(config_for(&upstream))
        .addr(&taken)
        .run();
    assert_eq!(code, 1, "{out}{err}");
    let lines: Vec<&str> = err.lines().filter(|line| line.contains(&taken)).collect();
    assert_eq!(lines.len(), 1, "{err}");
    assert!(!err.contains("panicked"), "{err}");
    first.check_alive();
}

#[test]
fn a_bad_configuration_at_the_start_is_said_clearly() {
    for (config, needle) in [
        ("upstreams: [", "config.yaml"),
        (
            "aliases: [{alias: a, target_model: t, upstream: x}]",
            "aliases[0].upstream",
        ),
    ] {
        let (code, out, err) = Gateway::build().config(config).run();
        assert_eq!(code, 1, "{out}{err}");
        assert!(err.contains(needle), "{err}");
        assert!(!err.contains("panicked"), "{err}");
    }
}

#[test]
fn a_folder_in_the_place_of_the_configuration_is_named() {
    let build = Gateway::build();
    std::fs::create_dir(build.folder().join("config.yaml")).expect("a folder");
    let (code, out, err) = build.run();
    assert_eq!(code, 1, "{out}{err}");
    assert!(err.contains("config.yaml is a folder, not a file"), "{err}");
}

#[test]
fn the_command_line_is_checked() {
    for (args, code) in [
        (vec!["--no-such-flag"], 2),
        (vec!["surplus"], 2),
        (vec!["--config"], 2),
        (vec!["--addr"], 2),
        (vec!["--help"], 0),
        (vec!["-h"], 0),
        (vec!["--version"], 0),
        (vec!["-v"], 0),
    ] {
        let mut build = Gateway::build();
        for arg in &args {
            build = build.arg(arg);
        }
        let (got, out, err) = build.run();
        assert_eq!(got, code, "{args:?}: {out}{err}");
        assert!(!err.contains("panicked"), "{err}");
        if code == 0 {
            assert!(err.is_empty(), "{err}");
        } else {
            assert!(!err.is_empty());
        }
        if args[0].contains('v') {
            assert_eq!(
                out.trim(),
                format!("llm-wrapper {}", env!("CARGO_PKG_VERSION"))
            );
        }
    }
    let (code, _, err) = Gateway::build().addr("not an address").run();
    assert!(matches!(code, 1 | 2), "{err}");
    assert!(err.contains("not an address"), "{err}");
}

#[test]
fn flags_win_over_the_environment() {
    let upstream = Upstream::always(plain_answer());
    let build = Gateway::build()
        .config(config_for(&upstream))
        .env("CONFIG_PATH", "/no/such/file.yaml")
        .env("BIND_ADDR", "192.0.2.1:1");
    build.start().post(CHAT, BODY).expect(200);
    let gateway = Gateway::build()
        .config(config_for(&upstream))
        .addr("")
        .env("BIND_ADDR", "127.0.0.1:0")
        .start();
    gateway.post(CHAT, BODY).expect(200);
}

#[test]
fn health_asks_a_running_gateway() {
    let upstream = Upstream::always(plain_answer());
    let gateway = Gateway::to(&upstream);
    let url = format!("http://{}/healthz", gateway.addr);
    let (code, out, err) = Gateway::build().addr("").arg("--health").arg(&url).run();
    assert_eq!(code, 0, "{out}{err}");
    let (code, _, err) = Gateway::build()
        .addr("")
        .arg("--health")
        .env("BIND_ADDR", format!("0.0.0.0:{}", gateway.addr.port()))
        .run();
    assert_eq!(code, 0, "{err}");
    drop(gateway);
    let (code, _, err) = Gateway::build().addr("").arg("--health").arg(&url).run();
    assert_eq!(code, 1, "{err}");
    assert!(!err.is_empty());
}

#[test]
fn the_demo_answers_without_a_configuration() {
    let gateway = Gateway::build().arg("--demo").start();
    let ids = gateway.get("/v1/models").expect(200).text();
    for (alias, path) in [
        ("demo-chat", "/v1/chat/completions"),
        ("demo-responses", "/v1/responses"),
        ("demo-messages", "/v1/messages"),
    ] {
        assert!(ids.contains(alias), "{ids}");
        let body = match path {
            "/v1/responses" => format!("{{\"model\":\"{alias}\",\"input\":\"hello demo\"}}"),
            _ => format!(
                "{{\"model\":\"{alias}\",\"max_tokens\":50,\"messages\":[{{\"role\":\"user\",\"content\":\"hello demo\"}}]}}"
            ),
        };
        let reply = gateway.post(path, body).expect(200);
        assert!(reply.text().contains("hello demo"), "{}", reply.text());
    }
    assert!(!gateway.dir.0.join("config.yaml").exists());
}

#[test]
fn running_out_of_descriptors_passes() {
    let upstream = Upstream::always(plain_answer());
    let gateway = Gateway::to(&upstream);
    gateway.check_alive();
    let kept = gateway.descriptors();
    gateway.limit_descriptors(kept + 12);
    let crowd: Vec<Client> = (0..40).map(|_| gateway.client()).collect();
    gateway.wait_for_line("cannot accept");
    let lines = gateway.log().len();
    assert!(lines < 200, "{lines} lines of log: it spins");
    gateway.limit_descriptors(4_096);
    let start = Instant::now();
    gateway.post(CHAT, BODY).expect(200);
    assert!(start.elapsed() < Duration::from_secs(5));
    drop(crowd);
    gateway.wait_for_descriptors(kept + 10);
    gateway.post(CHAT, BODY).expect(200);
}

#[test]
fn connections_are_cut_to_what_the_descriptors_allow() {
    let upstream = Upstream::always(plain_answer());
    let gateway = Gateway::build()
        .config(config_for(&upstream))
        .descriptors(104)
        .start();
    gateway.wait_for_line("max_connections");
    // Twenty of these are served, the others wait their turn.
    let mut crowd: Vec<Client> = (0..60).map(|_| gateway.client()).collect();
    for client in &mut crowd[..10] {
        client.post(CHAT, BODY).expect(200);
    }
    drop(crowd);
    gateway.post(CHAT, BODY).expect(200);
}
