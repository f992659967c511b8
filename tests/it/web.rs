//! `GET /`: the WebUI's one document, for anyone, under a policy of its own. What it does is tested in tests/browser.

use crate::support::client::request;
use crate::support::{Gateway, client::Reply};

fn page(gateway: &Gateway, method: &str, fields: &str) -> Reply {
    gateway
        .client()
        .send(request(method, "/", fields, ""))
        .read_reply_to(method)
}

#[test]
fn anyone_gets_the_page_and_it_holds_no_data() {
    let gateway = Gateway::start(
        "admin_key: a-key-of-the-owner\nupstreams: [{name: secret-upstream, base_url: 'http://127.0.0.1:1'}]\n",
    );
    let reply = page(&gateway, "GET", "").expect(200);
    for (name, value) in [
        ("content-type", "text/html; charset=utf-8"),
        ("cache-control", "no-cache"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
    ] {
        assert_eq!(reply.header(name).as_deref(), Some(value), "{name}");
    }
    let policy = reply.header("content-security-policy").expect("a policy");
    for part in [
        "default-src 'none'",
        "style-src 'sha256-",
        "script-src 'sha256-",
        "connect-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'self'",
    ] {
        assert!(policy.contains(part), "{part} in {policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    let text = reply.text();
    assert!(text.starts_with("<!doctype html>"), "{text:.100}");
    assert!(!text.contains("secret-upstream"));

    let head = page(&gateway, "HEAD", "").expect(200);
    assert_eq!(head.header("etag"), reply.header("etag"));
    assert_eq!(head.text(), "");
    page(&gateway, "POST", "").expect(405);
}

#[test]
fn a_page_that_is_known_already_is_not_sent_again() {
    let gateway = Gateway::start("upstreams: []\n");
    let etag = page(&gateway, "GET", "").header("etag").expect("an etag");
    for known in [
        etag.clone(),
        format!("W/{etag}"),
        format!("\"other\", {etag}"),
        "*".to_string(),
    ] {
        let reply = page(&gateway, "GET", &format!("If-None-Match: {known}\r\n"));
        let reply = reply.expect(304);
        assert_eq!(reply.header("etag"), Some(etag.clone()));
        assert_eq!(reply.text(), "");
    }
    let reply = page(&gateway, "GET", "If-None-Match: \"other\"\r\n").expect(200);
    assert!(!reply.text().is_empty());
}
