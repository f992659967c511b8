use super::*;
use crate::gateway::config::tests::Folder;
use crate::wire::head::{Searched, parse_request};

fn head(text: &str) -> RequestHead {
    let text = format!("{}\r\n\r\n", text.replace('\n', "\r\n"));
    let mut head = RequestHead::default();
    parse_request(text.as_bytes(), &mut Searched::default(), &mut head)
        .unwrap()
        .unwrap();
    head
}

fn from(origin: &str, more: &str) -> bool {
    is_own_page(&head(&format!(
        "POST /api/login HTTP/1.1\nHost: gw.example:3000\nOrigin: {origin}{more}"
    )))
}

#[test]
fn the_own_page_is_scheme_host_and_port() {
    assert!(is_own_page(&head("POST / HTTP/1.1\nHost: a")));
    assert!(from("http://gw.example:3000", ""));
    assert!(from("HTTP://GW.example:3000", ""));
    for foreign in [
        "null",
        "",
        "https://gw.example:3000",
        "http://gw.example",
        "http://gw.example:3001",
        "http://evil.example:3000",
        "http://gw.example:3000.evil.example",
        "http://user@gw.example:3000",
        "gw.example:3000",
        "http://gw.example:3000\nOrigin: http://gw.example:3000",
    ] {
        assert!(!from(foreign, ""), "{foreign}");
    }
    assert!(from(
        "https://gw.example:3000",
        "\nX-Forwarded-Proto: https"
    ));
    assert!(from(
        "https://gw.example:3000",
        "\nForwarded: for=1.2.3.4;proto=https;host=x"
    ));
    assert!(!from(
        "http://gw.example:3000",
        "\nX-Forwarded-Proto: https"
    ));
    assert!(from(
        "http://outside.example",
        "\nX-Forwarded-Host: outside.example"
    ));
    let default_port = head("POST / HTTP/1.1\nHost: gw:80\nOrigin: http://gw");
    assert!(is_own_page(&default_port));
}

#[test]
fn only_three_names_are_this_machine() {
    for name in [
        "localhost",
        "LocalHost:3000",
        "127.0.0.1",
        "127.0.0.1:80",
        "[::1]",
        "[::1]:3000",
    ] {
        assert!(is_this_machine(name), "{name}");
    }
    for name in [
        "",
        "localhost.",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "127.0.0.2",
        "0.0.0.0:3000",
        "::1",
        "[::1]x",
        "localhost:",
        "localhost:x",
        "evil.example",
        "[::ffff:127.0.0.1]",
    ] {
        assert!(!is_this_machine(name), "{name}");
    }
}

#[test]
fn a_body_must_say_that_it_is_json() {
    let check = |fields: &str| {
        check_content_type(&head(&format!("POST /api/login HTTP/1.1\nHost: a{fields}"))).is_ok()
    };
    assert!(check(""));
    assert!(check("\nContent-Length: 0"));
    assert!(check("\nContent-Length: 2\nContent-Type: application/json"));
    assert!(check(
        "\nContent-Length: 2\nContent-Type: Application/JSON; charset=utf-8"
    ));
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonp",
    ] {
        assert!(
            !check(&format!("\nContent-Length: 2\nContent-Type: {kind}")),
            "{kind}"
        );
    }
    assert!(!check("\nContent-Length: 2"));
    assert!(!check(
        "\nTransfer-Encoding: chunked\nContent-Type: text/plain"
    ));
}

#[test]
fn a_cookie_is_found_among_others_and_secure_behind_https() {
    let head = head(
        "GET / HTTP/1.1\nHost: a\nCookie: x=1; llm_wrapper_session=abc\nCookie: llm_wrapper_session=d;llm_wrapper_sessions=e\nX-Forwarded-Proto: https, http",
    );
    assert_eq!(
        cookies(&head).collect::<Vec<_>>(),
        [b"abc".as_slice(), b"d"]
    );
    assert_eq!(
        set_cookie("t", 5, &head),
        "llm_wrapper_session=t; Path=/; Max-Age=5; HttpOnly; SameSite=Strict; Secure"
    );
}

#[test]
fn the_generated_key_is_kept_privately_and_found_again() {
    let folder = Folder::new();
    let data = folder.path("data");
    let first = kept_key(&data);
    assert_eq!(first.expose().len(), 2 * RANDOM_BYTES);
    assert_eq!(kept_key(&data), first);
    let mode = fs::metadata(data.join("admin_key"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    fs::write(data.join("admin_key"), "\n").unwrap();
    assert_ne!(kept_key(&data), first);
}

#[test]
fn failures_slow_down_one_peer_and_are_bounded() {
    let mut failures = HashMap::new();
    let now = Instant::now();
    let peer = IpAddr::from([10, 0, 0, 1]);
    let mut waits = Vec::new();
    for _ in 0..10 {
        let known = failures.get(&peer).copied();
        strike(&mut failures, peer, known, now);
        waits.push((failures[&peer].free_at - now).as_millis());
    }
    assert_eq!(waits, [0, 0, 0, 100, 200, 400, 800, 1600, 2000, 2000]);
    for n in 0..2 * PEERS_MAX as u32 {
        strike(&mut failures, IpAddr::V4(n.into()), None, now);
    }
    assert!(failures.len() <= PEERS_MAX);
    assert_eq!(
        peer_of("2001:db8::1:2:3:4".parse().unwrap()),
        peer_of("2001:db8::9".parse().unwrap())
    );
    assert_eq!(peer_of("::ffff:10.0.0.1".parse().unwrap()), peer);
}
