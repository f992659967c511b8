//! What JSON may do to a request (rules 27 to 30): nothing, or a clear refusal.

use crate::support::{Gateway, Upstream, plain_answer, show};
use std::time::{Duration, Instant};

const CHAT: &str = "/v1/chat/completions";

#[test]
fn rule_27_depth_never_recurses() {
    let upstream = Upstream::always(plain_answer());
    let gateway = Gateway::to(&upstream);
    for levels in [1_000, 100_000, 1_000_000] {
        let start = Instant::now();
        for body in [
            format!(
                "{{\"x\":{}{},\"model\":\"m\"}}",
                "[".repeat(levels),
                "]".repeat(levels)
            ),
            format!(
                "{{\"model\":\"m\",\"x\":{}1{}}}",
                "{\"a\":".repeat(levels),
                "}".repeat(levels)
            ),
            format!("{}{}", "[".repeat(levels), "]".repeat(levels)),
            format!("{{\"model\":{}\"m\"", "[".repeat(levels)),
            "[".repeat(levels),
            "{\"a\":".repeat(levels),
        ] {
            let reply = gateway.post(CHAT, &body);
            assert!(
                matches!(reply.status, 200 | 400),
                "{} for {}",
                reply.status,
                show(&body.as_bytes()[..30])
            );
        }
        assert!(
            start.elapsed() < Duration::from_secs(8),
            "{levels} levels took {:?}",
            start.elapsed()
        );
    }
    gateway.check_alive();
}

#[test]
fn rule_28_numbers_stay_the_text_they_were() {
    let upstream = Upstream::always(plain_answer());
    let gateway = Gateway::to(&upstream);
    let rest = r#""a":1.0,"b":12345678901234567890123,"c":1e400,"d":-0,"e":1E+2,"f":0.10,"g":[1.0e0,100.000],"seed":18446744073709551616"#;
    gateway
        .post(CHAT, format!("{{\"model\":\"m\",{rest}}}"))
        .expect(200);
    assert_eq!(
        upstream.only_request().text(),
        format!("{{\"model\":\"target-model\",{rest}}}")
    );
}

#[test]
fn rule_29_a_duplicate_model_is_refused() {
    let upstream = Upstream::always(plain_answer());
    let gateway = Gateway::to(&upstream);
    for body in [
        r#"{"model":"m","model":"m"}"#,
        r#"{"model":"m","model":"other"}"#,
        r#"{"model":"other","x":{"model":"y"},"model":"m"}"#,
        r#"{"model":"m","\u006dodel":"expensive"}"#,
        r#"{"mod\u0065l":"m","model":"expensive"}"#,
        r#"{"\u006d\u006f\u0064\u0065\u006c":"m","mode\u006C":"expensive"}"#,
    ] {
        let message = gateway.post(CHAT, body).expect(400).error_message();
        assert!(message.contains("model"), "{message}");
    }
    assert_eq!(upstream.requests(), 0);
    // One alone may be spelt as it likes, and members inside others are not meant.
    gateway
        .post(CHAT, r#"{"\u006dodel":"\u006d","x":{"model":1,"model":2}}"#)
        .expect(200);
    let sent = upstream.only_request().text();
    let json: serde_json::Value = serde_json::from_str(&sent).expect("JSON");
    assert_eq!(json["model"], "target-model", "{sent}");
}

#[test]
fn rule_30_what_is_not_json_is_refused() {
    let upstream = Upstream::always(plain_answer());
    let gateway = Gateway::to(&upstream);
    let cases: Vec<&[u8]> = vec![
        b"",
        b" ",
        b"null",
        b"[]",
        b"[{\"model\":\"m\"}]",
        b"\"model\"",
        b"{}",
        b"{\"model\":\"m\"",
        b"{\"model\":\"m\"}}",
        b"{\"model\":\"m\"} x",
        b"{\"model\":\"m\"}{\"model\":\"m\"}",
        b"{\"model\":\"m\"}\x00",
        b"{\"model\":\"m\",}",
        b"{,\"model\":\"m\"}",
        b"{model:\"m\"}",
        b"{'model':'m'}",
        b"{\"model\":\"m\" \"x\":1}",
        b"{\"model\" \"m\"}",
        b"{\"model\":\"m\",\"x\":NaN}",
        b"{\"model\":\"m\",\"x\":Infinity}",
        b"{\"model\":\"m\",\"x\":-}",
        b"{\"model\":\"m\",\"x\":01}",
        b"{\"model\":\"m\",\"x\":1.}",
        b"{\"model\":\"m\",\"x\":+1}",
        b"{\"model\":\"m\",\"x\":tru}",
        b"{\"model\":\"m\",\"x\":\"a\nb\"}",
        b"{\"model\":\"m\",\"x\":\"\xff\"}",
        b"{\"model\":\"m\",\"x\":\"\xc3\"}",
        b"{\"model\":\"m\",\"x\":{\"deep\":\"\xed\xa0\x80\"}}",
        b"{\"model\":\"m\",\"\xff\":1}",
        b"\xef\xbb\xbf\xff{\"model\":\"m\"}",
        b"{\"model\":\"m\"/*comment*/}",
        b"{\"model\":7}",
        b"{\"model\":null}",
        b"{\"model\":[\"m\"]}",
        b"{\"model\":\"\"}",
    ];
    for case in cases {
        let reply = gateway.post(CHAT, case);
        let wanted: &[u16] = if case == b"{\"model\":\"\"}" {
            &[400, 404]
        } else {
            &[400]
        };
        assert!(
            wanted.contains(&reply.status),
            "{} for {}",
            reply.status,
            show(case)
        );
        assert!(!reply.error_message().is_empty());
    }
    assert_eq!(upstream.requests(), 0);
    // White space of JSON around it all is JSON.
    gateway
        .post(CHAT, " \t\r\n{ \"model\" : \"m\" } \r\n")
        .expect(200);
    assert_eq!(
        upstream.only_request().text().trim(),
        "{ \"model\" : \"target-model\" }"
    );
}
