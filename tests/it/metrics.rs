//! `GET /metrics`: what went through, in numbers whose labels no client can choose. (tests/sdk/metrics.py reads it with the
//! official parser.)

use crate::support::gateway::{ADMIN_KEY, config_for};
use crate::support::{Gateway, PATIENCE, Upstream, json_answer, poll};

fn text(gateway: &Gateway) -> String {
    let reply = gateway.admin("GET", "/metrics", "").expect(200);
    assert_eq!(
        reply.header("content-type").as_deref(),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    reply.text()
}

#[test]
fn requests_tokens_and_times_are_counted_by_route() {
    let upstream = Upstream::always(json_answer(
        200,
        r#"{"usage":{"prompt_tokens":7,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":5}}}"#,
    ));
    let gateway = Gateway::build()
        .config(config_for(&upstream))
        .env("ADMIN_KEY", ADMIN_KEY)
        .start();
    for _ in 0..3 {
        gateway
            .post("/v1/chat/completions", r#"{"model":"m"}"#)
            .expect(200);
    }
    gateway
        .post(
            "/v1/messages",
            r#"{"model":"no such alias, chosen by a client"}"#,
        )
        .expect(404);
    let labels = r#"alias="m",upstream="up",client_protocol="chat",upstream_protocol="chat""#;
    // The answer is there before it is counted.
    let text = poll("all requests to be counted", PATIENCE, || {
        Some(text(&gateway)).filter(|text| {
            text.contains("status=\"2xx\"} 3\n") && text.contains("status=\"4xx\"} 1\n")
        })
    });
    for line in [
        format!("llm_wrapper_requests_total{{{labels},status=\"2xx\"}} 3\n"),
        format!("llm_wrapper_request_duration_seconds_count{{{labels}}} 3\n"),
        format!("llm_wrapper_first_byte_seconds_bucket{{{labels},le=\"+Inf\"}} 3\n"),
        format!("llm_wrapper_tokens_total{{{labels},kind=\"input\"}} 21\n"),
        format!("llm_wrapper_tokens_total{{{labels},kind=\"cached\"}} 15\n"),
        "llm_wrapper_requests_total{alias=\"\",upstream=\"\",client_protocol=\"messages\",upstream_protocol=\"\",status=\"4xx\"} 1\n".into(),
        "llm_wrapper_open_streams 0\n".into(),
        "llm_wrapper_upstream_connections{state=\"busy\"} 0\n".into(),
    ] {
        assert!(text.contains(&line), "{line} not in {text}");
    }
    assert!(!text.contains("chosen by a client"));
}

#[test]
fn reloads_and_failed_ones_are_counted() {
    let upstream = Upstream::always(json_answer(200, "{}"));
    let gateway = Gateway::build()
        .config(config_for(&upstream))
        .env("ADMIN_KEY", ADMIN_KEY)
        .start();
    gateway.edit_config("upstreams: 7\n");
    gateway.wait_for_line("not valid");
    gateway.edit_config(&config_for(&upstream));
    gateway.wait_for_line("was reloaded");
    let text = text(&gateway);
    assert!(
        text.contains("llm_wrapper_config_reloads_total 1\n"),
        "{text}"
    );
    assert!(
        text.contains("llm_wrapper_config_failures_total 1\n"),
        "{text}"
    );
}

#[test]
fn metrics_are_behind_the_door() {
    let upstream = Upstream::always(json_answer(200, "{}"));
    let gateway = Gateway::build()
        .config(config_for(&upstream))
        .env("ADMIN_KEY", ADMIN_KEY)
        .start();
    gateway.get("/metrics").expect(401);
}
