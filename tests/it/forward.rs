//! What happens to a request between client and upstream: as little as possible, and that exactly.

use crate::support::client::{post, request};
use crate::support::gateway::{UPSTREAM_KEY, config_at, config_for};
use crate::support::{Gateway, Received, Reply, Upstream, json_answer, plain_answer};
use std::time::Duration;

const CHAT: &str = "/v1/chat/completions";
const RESPONSES: &str = "/v1/responses";
const MESSAGES: &str = "/v1/messages";
const BODY: &str = r#"{"model":"m"}"#;

/// Sends one request through a gateway with that configuration (`UPSTREAM` in it is the upstream's address) and gives what arrived.
#[track_caller]
fn forwarded(config: &str, path: &str, fields: &str, body: &str) -> Received {
    let upstream = Upstream::always(plain_answer());
    let gateway = Gateway::start(config.replace("UPSTREAM", &upstream.addr.to_string()));
    gateway.post_with(path, fields, body).expect(200);
    upstream.only_request()
}

/// The configuration with the alias `m` and those lines in its entry.
fn with_alias(lines: &str) -> String {
    let mut config = config_at("http://UPSTREAM");
    let start = config.find("aliases:").expect("the aliases");
    config.truncate(start);
    config.push_str(&format!(
        "aliases:\n  - alias: m\n    target_model: target-model\n    upstream: up\n{lines}"
    ));
    config
}

#[test]
fn a_request_passes_byte_for_byte_but_for_its_model() {
    let before = "{ \"temperature\" : 1.0, \"b\":12345678901234567890123 ,\"a\":1e2,\n\t\"unknown_field\": {\"z\":null,\"y\":[ ]},\"esc\":\"\\u00e9\\/\\ud83d\\u2028\u{2028}\", ";
    let after = ",\"model2\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"{\\\"model\\\":\\\"m\\\"}\"}],\"stream\" : false  }\n";
    for path in [CHAT, RESPONSES, MESSAGES] {
        let request = forwarded(
            &config_at("http://UPSTREAM"),
            path,
            "",
            &format!("{before}\"model\" :  \"m\"{after}"),
        );
        assert_eq!(
            request.text(),
            format!("{before}\"model\" :  \"target-model\"{after}")
        );
        assert_eq!(
            request.header("content-type").as_deref(),
            Some("application/json")
        );
        assert_eq!(request.line(), format!("POST {path} HTTP/1.1"));
    }
}

#[test]
fn an_answer_passes_byte_for_byte() {
    let body = "{ \"id\" : \"x\",\"n\":1.0,\"big\":12345678901234567890123,\"half\":\"\\ud83d\",\"model\":\"target-model\" }\r\n";
    let upstream = Upstream::always(json_answer(200, body));
    let gateway = Gateway::to(&upstream);
    for path in [CHAT, RESPONSES, MESSAGES] {
        assert_eq!(gateway.post(path, BODY).expect(200).text(), body);
    }
}

#[test]
fn a_target_model_is_escaped_where_it_must_be() {
    let config = config_at("http://UPSTREAM").replace(
        "target_model: target-model",
        r#"target_model: "a\"b\\c\u00e9""#,
    );
    let request = forwarded(&config, CHAT, "", BODY);
    let json: serde_json::Value = serde_json::from_str(&request.text()).expect("JSON");
    assert_eq!(json["model"], "a\"b\\c\u{e9}");
}

#[test]
fn default_parameters_yield_to_the_client_and_overrides_do_not() {
    let config = with_alias(
        "    param_overrides:
      - {key: temperature, value: 0.7, mode: default}
      - {key: top_p, value: 0.9, mode: override}
      - {key: 'odd \"key\".path', value: {deep: [1, 2.5, null, true]}, mode: default}
      - {key: seed, value: 1, mode: default}
      - {key: seed, value: 2, mode: default}
",
    );
    assert_eq!(
        forwarded(&config, CHAT, "", BODY).text(),
        r#"{"model":"target-model","temperature":0.7,"top_p":0.9,"odd \"key\".path":{"deep":[1,2.5,null,true]},"seed":2}"#
    );
    assert_eq!(
        forwarded(
            &config,
            CHAT,
            "",
            r#"{"temperature":1.0,"seed":null,"top_p":0.10,"x":{"temperature":3},"odd \"key\".path":0,"model":"m"}"#
        )
        .text(),
        r#"{"temperature":1.0,"seed":null,"top_p":0.9,"x":{"temperature":3},"odd \"key\".path":0,"model":"target-model"}"#
    );
    // A key spelt with escapes is the same key.
    let sent = forwarded(
        &config,
        CHAT,
        "",
        r#"{"model":"m","t\u0065mperature":0.2,"top\u005fp":0.3}"#,
    )
    .text();
    let json: serde_json::Value = serde_json::from_str(&sent).expect("JSON");
    assert_eq!(json["temperature"], 0.2, "{sent}");
    assert_eq!(json["top_p"], 0.9, "{sent}");
    assert!(!sent.contains("0.3"), "{sent}");
}

#[test]
fn extra_body_is_spread_at_the_top_level() {
    let config = with_alias(
        "    param_overrides:
      - {key: extra_body, value: {top_k: 20, chat_template_kwargs: {enable_thinking: false}}, mode: default}
",
    );
    assert_eq!(
        forwarded(&config, CHAT, "", r#"{"model":"m","top_k":5}"#).text(),
        r#"{"model":"target-model","top_k":5,"chat_template_kwargs":{"enable_thinking":false}}"#
    );
    let overriding = config.replace("mode: default", "mode: override");
    assert_eq!(
        forwarded(&overriding, CHAT, "", r#"{"model":"m","top_k":5}"#).text(),
        r#"{"model":"target-model","top_k":20,"chat_template_kwargs":{"enable_thinking":false}}"#
    );
}

#[test]
fn the_output_limits_are_one_slot() {
    let config =
        with_alias("    param_overrides: [{key: max_tokens, value: 100, mode: default}]\n");
    let sent = forwarded(
        &config,
        CHAT,
        "",
        r#"{"model":"m","max_completion_tokens":5}"#,
    );
    assert_eq!(
        sent.text(),
        r#"{"model":"target-model","max_completion_tokens":5}"#
    );
}

#[test]
fn an_alias_wins_over_an_upstream_of_that_name_and_an_upstream_takes_the_model_as_it_is() {
    let config = format!(
        "{}  - {{alias: UP, target_model: by-alias, upstream: up}}\n",
        config_at("http://UPSTREAM")
    );
    assert_eq!(
        forwarded(&config, CHAT, "", r#"{"model":"UP"}"#).text(),
        r#"{"model":"by-alias"}"#
    );
    assert_eq!(
        forwarded(&config, CHAT, "", r#"{"model":"up"}"#).text(),
        r#"{"model":"up"}"#
    );
}

#[test]
fn forgiving_paths_are_the_same_routes() {
    let upstream = Upstream::always(plain_answer());
    let gateway = Gateway::to(&upstream);
    let paths = [
        ("/chat/completions", CHAT),
        ("/v1/v1/chat/completions", CHAT),
        ("/responses", RESPONSES),
        ("/v1/v1/responses", RESPONSES),
        ("/messages", MESSAGES),
        ("/anthropic/v1/messages", MESSAGES),
        ("/v1/v1/messages", MESSAGES),
        ("/embeddings", "/v1/embeddings"),
    ];
    for (number, (asked, wanted)) in paths.iter().enumerate() {
        gateway.post(asked, BODY).expect(200);
        assert_eq!(upstream.request(number).target(), *wanted, "{asked}");
    }
    for path in ["/models", "/v1/v1/models", "/anthropic/v1/models"] {
        assert_eq!(gateway.get(path).expect(200).json()["object"], "list");
    }
    let reply = gateway.post("/v3/chat", BODY).expect(404);
    let message = reply.error_message();
    assert!(message.contains("/v1"), "{message}");
}

#[test]
fn auxiliary_endpoints_are_forwarded_by_their_model() {
    let upstream = Upstream::always(plain_answer());
    let gateway = Gateway::to(&upstream);
    let paths = [
        "/v1/messages/count_tokens",
        "/v1/embeddings",
        "/v1/completions",
        "/v1/rerank",
        "/v1/images/generations",
        "/v1/audio/speech",
        "/v1/moderations",
        "/v1/responses/compact",
        "/v1/responses/input_tokens",
    ];
    for (number, path) in paths.iter().enumerate() {
        gateway
            .post(path, r#"{"input":"x","model":"m"}"#)
            .expect(200);
        let request = upstream.request(number);
        assert_eq!(request.target(), *path);
        assert_eq!(request.text(), r#"{"input":"x","model":"target-model"}"#);
    }
}

#[test]
fn in_multipart_bodies_only_the_part_named_model_changes() {
    let upstream = Upstream::always(plain_answer());
    let gateway = Gateway::to(&upstream);
    let part = |name: &str, value: &str| {
        format!("--XX\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let body = |model: &str| {
        format!(
            "preamble\r\n{}{}{}--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"model\"\r\nContent-Type: audio/wav\r\n\r\nRIFF\x00\x01 name=\"model\"\r\n\r\nm\r\n--XX--\r\nepilogue",
            part("prompt", "the model is m"),
            part("model", model),
            part("language", "m"),
        )
    };
    let bytes = body("m");
    gateway
        .client()
        .send(format!(
            "POST /v1/audio/transcriptions HTTP/1.1\r\nHost: g\r\nContent-Type: multipart/form-data; boundary=XX\r\nContent-Length: {}\r\n\r\n{bytes}",
            bytes.len()
        ))
        .read_reply()
        .expect(200);
    let request = upstream.only_request();
    assert_eq!(request.text(), body("target-model"));
    assert_eq!(
        request.header("content-type").as_deref(),
        Some("multipart/form-data; boundary=XX")
    );
}

#[test]
fn the_query_is_kept() {
    let request = forwarded(
        &config_at("http://UPSTREAM"),
        "/v1/messages?beta=true&x=%20y",
        "",
        BODY,
    );
    assert_eq!(request.target(), "/v1/messages?beta=true&x=%20y");
}

#[test]
fn a_base_url_with_a_version_is_complete_and_any_other_gets_v1() {
    for (path, wanted) in [
        ("", "/v1/chat/completions"),
        ("/", "/v1/chat/completions"),
        ("/v1", "/v1/chat/completions"),
        ("/v1/", "/v1/chat/completions"),
        ("/openai", "/openai/v1/chat/completions"),
        ("/api/paas/v4", "/api/paas/v4/chat/completions"),
        ("/v1beta/openai", "/v1beta/openai/chat/completions"),
        ("/v1alpha2/x", "/v1alpha2/x/chat/completions"),
        ("/vendor", "/vendor/v1/chat/completions"),
        ("/custom#", "/custom/chat/completions"),
    ] {
        let request = forwarded(
            &config_at(&format!("\"http://UPSTREAM{path}\"")),
            CHAT,
            "",
            BODY,
        );
        assert_eq!(request.target(), wanted, "{path}");
    }
    let two = config_at("http://UPSTREAM/v1").replace(
        "    auth:",
        "    anthropic_base_url: http://UPSTREAM/anthropic\n    auth:",
    );
    assert_eq!(
        forwarded(&two, MESSAGES, "", BODY).target(),
        "/anthropic/v1/messages"
    );
    assert_eq!(forwarded(&two, CHAT, "", BODY).target(), CHAT);
}

#[test]
fn credentials_are_the_upstreams_own_in_the_form_of_its_protocol() {
    let bearer = format!("Bearer {UPSTREAM_KEY}");
    let fields =
        "Authorization: Bearer client-key\r\nx-api-key: client-key\r\napi-key: client-key\r\n";
    for path in [CHAT, RESPONSES, "/v1/embeddings"] {
        let request = forwarded(&config_at("http://UPSTREAM"), path, fields, BODY);
        assert_eq!(
            request.header("authorization").as_deref(),
            Some(bearer.as_str())
        );
        assert_eq!(request.header("x-api-key"), None);
        assert_eq!(request.header("api-key"), None);
        assert_eq!(request.header("anthropic-version"), None);
    }
    let request = forwarded(&config_at("http://UPSTREAM"), MESSAGES, fields, BODY);
    assert_eq!(request.header("x-api-key").as_deref(), Some(UPSTREAM_KEY));
    assert_eq!(
        request.header("authorization").as_deref(),
        Some(bearer.as_str())
    );

    let oauth = config_at("http://UPSTREAM").replace(UPSTREAM_KEY, "sk-ant-oat01-abcdefghij");
    let request = forwarded(
        &oauth,
        MESSAGES,
        "anthropic-beta: thinking-1,other-2\r\n",
        BODY,
    );
    assert_eq!(
        request.header("authorization").as_deref(),
        Some("Bearer sk-ant-oat01-abcdefghij")
    );
    assert_eq!(request.header("x-api-key"), None);
    let betas: Vec<String> = request
        .fields()
        .into_iter()
        .filter(|(name, _)| name == "anthropic-beta")
        .flat_map(|(_, value)| {
            value
                .split(',')
                .map(|item| item.trim().to_string())
                .collect::<Vec<_>>()
        })
        .collect();
    for wanted in ["thinking-1", "other-2", "oauth-2025-04-20"] {
        assert!(betas.iter().any(|beta| beta == wanted), "{betas:?}");
    }

    let keyless = config_at("http://UPSTREAM").replace(UPSTREAM_KEY, "null");
    for path in [CHAT, MESSAGES] {
        let request = forwarded(&keyless, path, fields, BODY);
        assert_eq!(request.header("authorization"), None);
        assert_eq!(request.header("x-api-key"), None);
    }
}

#[test]
fn the_anthropic_version_is_the_clients_or_the_common_one() {
    let config = config_at("http://UPSTREAM");
    let without = forwarded(&config, MESSAGES, "", BODY);
    assert_eq!(
        without.header("anthropic-version").as_deref(),
        Some("2023-06-01")
    );
    let with = forwarded(
        &config,
        MESSAGES,
        "anthropic-version: 2026-10-21\r\nanthropic-beta: a,b\r\nanthropic-dangerous-direct-browser-access: true\r\n",
        BODY,
    );
    assert_eq!(
        with.header("anthropic-version").as_deref(),
        Some("2026-10-21")
    );
    assert_eq!(with.header("anthropic-beta").as_deref(), Some("a,b"));
}

#[test]
fn configured_headers_are_added() {
    let config = config_at("http://UPSTREAM").replace(
        "    auth:",
        "    headers: {X-Title: my title, HTTP-Referer: 'https://example.test'}\n    auth:",
    );
    let request = forwarded(&config, CHAT, "", BODY);
    assert_eq!(request.header("x-title").as_deref(), Some("my title"));
    assert_eq!(
        request.header("http-referer").as_deref(),
        Some("https://example.test")
    );
}

#[test]
fn the_headers_clients_use_come_back_and_the_others_do_not() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: 2\r\nX-Request-Id: req_up_1\r\nX-RateLimit-Remaining-Requests: 5\r\nAnthropic-RateLimit-Tokens-Remaining: 6\r\nAnthropic-Organization-Id: org\r\nOpenAI-Processing-Ms: 7\r\nOpenAI-Version: 2020-10-01\r\nRetry-After-Ms: 9\r\nSet-Cookie: secret=1\r\nServer: cloudflare\r\nKeep-Alive: timeout=5\r\nX-Hop: gone\r\nConnection: x-hop\r\nProxy-Authenticate: Basic\r\nAlt-Svc: h3\r\n\r\n{}";
    let upstream = Upstream::always(answer);
    let gateway = Gateway::to(&upstream);
    let reply = gateway.post(CHAT, BODY).expect(200);
    for (name, value) in [
        ("content-type", "application/json; charset=utf-8"),
        ("x-request-id", "req_up_1"),
        ("x-ratelimit-remaining-requests", "5"),
        ("anthropic-ratelimit-tokens-remaining", "6"),
        ("openai-processing-ms", "7"),
        ("openai-version", "2020-10-01"),
    ] {
        assert_eq!(reply.header(name).as_deref(), Some(value), "{name}");
    }
    for name in [
        "set-cookie",
        "server",
        "keep-alive",
        "x-hop",
        "proxy-authenticate",
        "alt-svc",
    ] {
        assert_eq!(reply.header(name), None, "{name}");
    }
}

#[test]
fn every_answer_of_v1_carries_request_ids() {
    let upstream = Upstream::always(plain_answer());
    let gateway = Gateway::to(&upstream);
    let mut seen = std::collections::HashSet::new();
    for reply in [
        gateway.post(CHAT, BODY),
        gateway.post(CHAT, BODY),
        gateway.post(CHAT, "no json"),
        gateway.post(CHAT, r#"{"model":"unknown"}"#),
        gateway.post("/v1/no/such", BODY),
        gateway.get("/v1/models"),
        gateway.get(CHAT),
    ] {
        let id = reply.header("x-request-id").expect("x-request-id");
        assert_eq!(reply.header("request-id").as_ref(), Some(&id));
        assert!(id.len() >= 8 && seen.insert(id.clone()), "{id} again");
    }
    let reply = gateway.post(MESSAGES, "no json").expect(400);
    let json = reply.json();
    assert_eq!(json["type"], "error");
    assert_eq!(
        json["request_id"].as_str(),
        reply.header("request-id").as_deref()
    );
}

#[test]
fn errors_come_in_the_clients_own_shape() {
    let upstream = Upstream::always(plain_answer());
    let gateway = Gateway::to(&upstream);
    for path in [CHAT, RESPONSES] {
        let json = gateway.post(path, r#"{"model":"nope"}"#).expect(404).json();
        assert_eq!(json["error"]["code"], "model_not_found", "{json}");
        assert_eq!(json["error"]["type"], "invalid_request_error", "{json}");
        assert!(
            json["error"]
                .as_object()
                .is_some_and(|o| o.contains_key("param"))
        );
    }
    let json = gateway
        .post(MESSAGES, r#"{"model":"nope"}"#)
        .expect(404)
        .json();
    assert_eq!(json["type"], "error", "{json}");
    assert_eq!(json["error"]["type"], "not_found_error", "{json}");
    let reply = gateway
        .post_with(CHAT, "Content-Encoding: gzip\r\n", BODY)
        .expect(415);
    assert!(!reply.error_message().is_empty());
    let websocket = gateway
        .client()
        .send("GET /v1/responses HTTP/1.1\r\nHost: g\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n\r\n")
        .read_reply();
    assert_eq!(websocket.status, 426);
}

#[test]
fn an_unknown_model_is_told_the_nearest_names() {
    let upstream = Upstream::always(plain_answer());
    let config = format!(
        "{}  - {{alias: gpt-5-mini, target_model: x, upstream: up}}\n  - {{alias: qwen3-coder, target_model: x, upstream: up}}\n  - {{alias: zzz, target_model: x, upstream: up}}\n",
        config_for(&upstream)
    );
    let gateway = Gateway::start(config);
    for (asked, nearest) in [
        ("gpt5-mini", "gpt-5-mini"),
        ("GPT-5-MINI", "gpt-5-mini"),
        ("qwen-coder", "qwen3-coder"),
    ] {
        let message = gateway
            .post(CHAT, format!("{{\"model\":\"{asked}\"}}"))
            .expect(404)
            .error_message();
        assert!(
            message.contains(asked) && message.contains(nearest),
            "{message}"
        );
    }
    // A target model is not a name.
    gateway
        .post(CHAT, r#"{"model":"target-model"}"#)
        .expect(404);
    assert_eq!(upstream.requests(), 0);
}

#[test]
fn an_alias_on_a_disabled_upstream_is_a_404_that_names_it() {
    let upstream = Upstream::always(plain_answer());
    let config = config_for(&upstream).replace("    auth:", "    enabled: false\n    auth:");
    let gateway = Gateway::start(config);
    let message = gateway.post(CHAT, BODY).expect(404).error_message();
    assert!(
        message.contains("up") && message.contains("disabled"),
        "{message}"
    );
    gateway.post(CHAT, r#"{"model":"up"}"#).expect(404);
}

#[test]
fn without_conversion_an_upstream_that_lacks_the_protocol_is_a_400() {
    let upstream = Upstream::always(plain_answer());
    let config = format!(
        "{}allow_protocol_conversion: false\n",
        config_for(&upstream).replace(
            "support_anthropic_messages: true",
            "support_anthropic_messages: false"
        )
    );
    let gateway = Gateway::start(config);
    let reply = gateway.post(MESSAGES, BODY).expect(400);
    assert!(reply.error_message().contains("up"), "{}", reply.text());
    assert_eq!(reply.json()["type"], "error");
    gateway.post(CHAT, BODY).expect(200);
    assert_eq!(upstream.requests(), 1);
}

#[test]
fn client_keys_are_taken_from_three_headers_and_limited_to_their_models() {
    let upstream = Upstream::always(plain_answer());
    let gateway = Gateway::to_with(
        &upstream,
        "client_api_keys:\n  - sk-plain-key-0123456789\n  - {name: limited, key: sk-limited-0123456789, models: ['other-*', 'n']}\n",
    );
    for path in [CHAT, MESSAGES] {
        for field in [
            "Authorization: Bearer sk-plain-key-0123456789",
            "authorization: bearer sk-plain-key-0123456789",
            "x-api-key: sk-plain-key-0123456789",
            "Api-Key: sk-plain-key-0123456789",
        ] {
            gateway
                .post_with(path, &format!("{field}\r\n"), BODY)
                .expect(200);
        }
    }
    let sent = upstream.requests();
    for field in [
        "",
        "Authorization: Bearer sk-plain-key-012345678\r\n",
        "Authorization: Bearer sk-plain-key-01234567890\r\n",
        "Authorization: sk-plain-key-0123456789\r\n",
        "Authorization: Basic sk-plain-key-0123456789\r\n",
        "x-api-key: \r\n",
        "Cookie: key=sk-plain-key-0123456789\r\n",
    ] {
        let reply = gateway.post_with(CHAT, field, BODY).expect(401);
        let json = reply.json();
        assert_eq!(json["error"]["type"], "authentication_error", "{json}");
        assert_eq!(json["error"]["code"], "invalid_api_key", "{json}");
        assert!(!reply.text().contains("sk-plain"), "{}", reply.text());
        let reply = gateway.post_with(MESSAGES, field, BODY).expect(401);
        assert_eq!(reply.json()["error"]["type"], "authentication_error");
    }
    gateway.get("/v1/models").expect(401);
    gateway.get("/healthz").expect(200);
    let reply = gateway
        .post_with(CHAT, "x-api-key: sk-limited-0123456789\r\n", BODY)
        .expect(403);
    assert!(reply.error_message().contains('m'), "{}", reply.text());
    assert_eq!(upstream.requests(), sent);
}

#[test]
fn cors_lets_loopback_pages_in_and_with_keys_everybody() {
    let upstream = Upstream::always(plain_answer());
    let preflight = |gateway: &Gateway, origin: &str, path: &str| -> Reply {
        gateway
            .client()
            .send(format!(
                "OPTIONS {path} HTTP/1.1\r\nHost: g\r\nOrigin: {origin}\r\nAccess-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: x-stainless-lang, authorization\r\n\r\n"
            ))
            .read_reply_to("OPTIONS")
    };
    let allowed = |reply: &Reply| reply.header("access-control-allow-origin");
    let open = Gateway::to(&upstream);
    for origin in [
        "http://localhost:5173",
        "http://127.0.0.1",
        "http://[::1]:8080",
    ] {
        let reply = preflight(&open, origin, CHAT);
        assert!(matches!(reply.status, 200 | 204), "{}", reply.status);
        assert_eq!(allowed(&reply).as_deref(), Some(origin));
        let headers = reply
            .header("access-control-allow-headers")
            .unwrap_or_default();
        assert!(headers.contains("x-stainless-lang"), "{headers}");
        assert_eq!(reply.header("access-control-allow-credentials"), None);
        let reply = open.post_with(CHAT, &format!("Origin: {origin}\r\n"), BODY);
        assert_eq!(allowed(&reply.expect(200)).as_deref(), Some(origin));
    }
    let before = upstream.requests();
    for origin in [
        "https://evil.example",
        "null",
        "http://localhost.evil.example",
        "http://127.0.0.1.evil.example",
        "file://",
    ] {
        assert_eq!(allowed(&preflight(&open, origin, CHAT)), None, "{origin}");
        let reply = open.post_with(CHAT, &format!("Origin: {origin}\r\n"), BODY);
        assert_eq!(reply.status, 403, "{origin}");
        assert_eq!(allowed(&reply), None);
    }
    assert_eq!(upstream.requests(), before);

    let keyed = Gateway::to_with(&upstream, "client_api_keys: [sk-plain-key-0123456789]");
    let origin = "https://app.example";
    let reply = preflight(&keyed, origin, CHAT);
    assert!(matches!(
        allowed(&reply).as_deref(),
        Some("*" | "https://app.example")
    ));
    let fields = format!("Origin: {origin}\r\nx-api-key: sk-plain-key-0123456789\r\n");
    let reply = keyed.post_with(CHAT, &fields, BODY).expect(200);
    assert!(matches!(
        allowed(&reply).as_deref(),
        Some("*" | "https://app.example")
    ));
    assert_eq!(reply.header("access-control-allow-credentials"), None);
    let exposed = reply
        .header("access-control-expose-headers")
        .unwrap_or_default()
        .to_lowercase();
    for name in ["x-request-id", "retry-after", "x-llm-wrapper-warnings"] {
        assert!(exposed.contains(name), "{exposed}");
    }
    for gateway in [&open, &keyed] {
        let reply = preflight(gateway, "http://localhost:5173", "/api/config");
        assert_eq!(allowed(&reply), None);
    }
}

#[test]
fn each_request_is_one_log_line_and_no_line_holds_a_secret() {
    let upstream = Upstream::always(json_answer(
        401,
        &format!("{{\"error\":{{\"message\":\"Incorrect API key provided: {UPSTREAM_KEY}\"}}}}"),
    ));
    let config = format!(
        "{}client_api_keys: [sk-client-key-0123456789]\n",
        config_for(&upstream).replace(
            "    auth:",
            "    headers: {X-Secret: header-secret-0123456789}\n    auth:"
        )
    );
    let gateway = Gateway::build().config(config).env("LOG", "debug").start();
    let fields = "x-api-key: sk-client-key-0123456789\r\nCookie: cookie-secret-0123456789\r\n";
    let reply = gateway.post_with(&format!("{CHAT}?key=query-secret"), fields, BODY);
    assert_eq!(reply.status, 401);
    assert!(!reply.text().contains(UPSTREAM_KEY), "{}", reply.text());
    assert!(reply.text().contains("Incorrect API key provided"));
    gateway.post_with(CHAT, "x-api-key: sk-wrong-key-0123456789\r\n", BODY);
    gateway.wait_for_lines("request peer=", 2);
    let log = gateway.log().join("\n");
    for secret in [
        UPSTREAM_KEY,
        "header-secret",
        "sk-client-key-0123456789",
        "cookie-secret",
        "sk-wrong-key-0123456789",
        "query-secret",
    ] {
        assert!(!log.contains(secret), "{secret} in:\n{log}");
    }
}

#[test]
fn names_in_the_configuration_are_taken_from_the_environment() {
    let upstream = Upstream::always(plain_answer());
    let config = config_for(&upstream)
        .replace(UPSTREAM_KEY, "\"${TEST_KEY}\"")
        .replace("target-model", "\"a-${TEST_MODEL}-$${literal}\"");
    let gateway = Gateway::build()
        .config(config)
        .env("TEST_KEY", "sk-from-the-environment")
        .env("TEST_MODEL", "b")
        .start();
    gateway.post(CHAT, BODY).expect(200);
    let request = upstream.only_request();
    assert_eq!(
        request.header("authorization").as_deref(),
        Some("Bearer sk-from-the-environment")
    );
    assert_eq!(request.text(), r#"{"model":"a-b-${literal}"}"#);
}

#[test]
fn an_egress_proxy_gets_the_absolute_form() {
    let proxy = Upstream::always(plain_answer());
    let target = "http://models.example.test/v1";
    let config = config_at(target).replace(
        "    auth:",
        &format!("    proxy: http://user:p%40ss@{}\n    auth:", proxy.addr),
    );
    let gateway = Gateway::start(config);
    gateway.post(CHAT, BODY).expect(200);
    let request = proxy.only_request();
    assert_eq!(
        request.line(),
        "POST http://models.example.test/v1/chat/completions HTTP/1.1"
    );
    assert_eq!(
        request.header("host").as_deref(),
        Some("models.example.test")
    );
    // "user:p@ss"
    assert_eq!(
        request.header("proxy-authorization").as_deref(),
        Some("Basic dXNlcjpwQHNz")
    );
}

#[test]
fn an_egress_proxy_is_asked_to_connect_for_https() {
    let proxy = Upstream::script(|mut peer| {
        let head = peer.expect_head()?;
        peer.record_head(head);
        peer.send("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")?;
        peer.wait_closed()?;
        Ok(())
    });
    let config = format!(
        "{}proxy: http://{}\n",
        config_at("https://models.example.test/v1"),
        proxy.addr
    );
    let gateway = Gateway::start(config);
    let message = gateway.post(CHAT, BODY).expect(502).error_message();
    assert!(
        message.contains("proxy") && message.contains("407"),
        "{message}"
    );
    let request = proxy.only_request();
    assert_eq!(request.line(), "CONNECT models.example.test:443 HTTP/1.1");
    assert_eq!(
        request.header("host").as_deref(),
        Some("models.example.test:443")
    );
    assert_eq!(request.header("authorization"), None);
}

#[test]
fn the_environments_proxy_is_used_but_never_for_loopback() {
    let proxy = Upstream::always(plain_answer());
    let upstream = Upstream::always(plain_answer());
    let config = format!(
        "{}  - {{alias: far, target_model: x, upstream: far}}\n  - {{alias: not, target_model: x, upstream: not}}\n",
        config_for(&upstream).replace(
            "aliases:",
            "  - {name: far, base_url: 'http://far.example.test'}\n  - {name: not, base_url: 'http://deep.excepted.test'}\naliases:"
        )
    );
    let gateway = Gateway::build()
        .config(config)
        .env("HTTP_PROXY", format!("http://{}", proxy.addr))
        .env("NO_PROXY", "excepted.test")
        .start();
    gateway.post(CHAT, r#"{"model":"far"}"#).expect(200);
    assert!(proxy.only_request().line().contains("far.example.test"));
    gateway.post(CHAT, BODY).expect(200);
    assert_eq!(upstream.requests(), 1);
    gateway.post(CHAT, r#"{"model":"not"}"#).expect(502);
    assert_eq!(proxy.requests(), 1);
}

#[test]
fn a_reload_lets_no_request_ride_an_old_connection() {
    let upstream = Upstream::always(plain_answer());
    let gateway = Gateway::to(&upstream);
    let mut client = gateway.client();
    client.post(CHAT, BODY).expect(200);
    client.post(CHAT, BODY).expect(200);
    assert_eq!(upstream.connections(), 1);
    let other = Upstream::always(plain_answer());
    gateway.edit_config(&config_for(&other));
    crate::support::poll("the reload", Duration::from_secs(4), || {
        client.post(CHAT, BODY).expect(200);
        (other.requests() > 0).then_some(())
    });
}

#[test]
fn chunked_and_sized_requests_arrive_alike() {
    let upstream = Upstream::always(plain_answer());
    let gateway = Gateway::to(&upstream);
    let large = format!(
        "{{\"x\":\"{}\",\"model\":\"m\",\"y\":1}}",
        "\u{e9}\\n".repeat(300_000)
    );
    gateway.post(CHAT, &large).expect(200);
    let mut bytes =
        format!("POST {CHAT} HTTP/1.1\r\nHost: g\r\nTransfer-Encoding: chunked\r\n\r\n")
            .into_bytes();
    for part in large.as_bytes().chunks(7_919) {
        bytes.extend(format!("{:x}\r\n", part.len()).into_bytes());
        bytes.extend(part);
        bytes.extend(b"\r\n");
    }
    bytes.extend(b"0\r\n\r\n");
    gateway.client().send(&bytes).read_reply().expect(200);
    let wanted = large.replace("\"model\":\"m\"", "\"model\":\"target-model\"");
    for number in 0..2 {
        let request = upstream.request(number);
        assert!(request.text() == wanted, "request {number} was changed");
        assert_eq!(
            request.header("content-length"),
            Some(wanted.len().to_string())
        );
        assert_eq!(request.header("transfer-encoding"), None);
    }
}

#[test]
fn the_debug_header_adds_the_record_and_nothing_else() {
    let body = r#"{"id":"x","choices":[]}"#;
    let upstream = Upstream::always(json_answer(200, body));
    let gateway = Gateway::to(&upstream);
    let plain = gateway.post(CHAT, BODY).expect(200);
    assert_eq!(plain.text(), body);
    let reply = gateway
        .client()
        .send(post(CHAT, "X-Debug-Mode: true\r\n", BODY))
        .read_reply()
        .expect(200);
    assert!(
        reply
            .text()
            .starts_with(r#"{"id":"x","choices":[],"debug":{"#),
        "{}",
        reply.text()
    );
    let debug = &reply.json()["debug"];
    assert_eq!(debug["endpoint"], CHAT, "{debug}");
    assert!(!reply.text().contains(UPSTREAM_KEY));
    let off = Gateway::to_with(&upstream, "debug_header: false");
    let reply = off
        .client()
        .send(request("POST", CHAT, "X-Debug-Mode: true\r\n", BODY))
        .read_reply()
        .expect(200);
    assert_eq!(reply.text(), body);
}
