//! OAuth upstreams and their accounts through the whole gateway, with the stand-in for CLIProxyAPI as its sidecar and,
//! where CLIPROXYAPI_BIN names one and no provider is needed, with the real program.

use crate::sidecar::{Stranger, fake, free_port, is_alive, landing, programs};
use crate::support::client::{post, request};
use crate::support::gateway::{ADMIN_KEY, Start};
use crate::support::{Gateway, PATIENCE, Reply, Upstream, json_answer, poll};
use llm_wrapper::sidecar::accounts::Provider;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const UPSTREAMS: &str = "upstreams:
  - {name: claude, auth: {type: anthropic_oauth}}
  - {name: codex, auth: {type: codex_oauth}}
";
const ALIASES: &str = "aliases:
  - {alias: sonnet, target_model: claude-sonnet-5, upstream: claude}
  - {alias: gpt, target_model: gpt-5.6, upstream: codex}
";
const CHAT: &str = "/v1/chat/completions";
const RESPONSES: &str = "/v1/responses";
const MESSAGES: &str = "/v1/messages";
/// The stand-in's answer to everything.
const TEXT: &str = "Grüße vom Fake";

/// A gateway with a sidecar to be, and what the sidecar recorded.
struct Bed {
    gateway: Gateway,
    record: PathBuf,
}

/// What is started: `program` as the sidecar, run with those variables, which the gateway would not pass on.
fn build(program: &Path, knobs: &[(&str, &str)], config: &str) -> Start {
    let start = Gateway::build();
    let mut script = "#!/bin/sh\n".to_owned();
    let record = start.folder().join("record");
    script.push_str(&format!("export FAKE_RECORD='{}'\n", record.display()));
    for (name, value) in knobs {
        script.push_str(&format!("export {name}='{value}'\n"));
    }
    script.push_str(&format!("exec '{}' \"$@\"\n", program.display()));
    let start = start.file("sidecar.sh", script);
    let path = start.folder().join("sidecar.sh");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a program");
    let port = free_port();
    start.config(format!(
        "cli_proxy_api_endpoint: http://127.0.0.1:{port}\ncli_proxy_api: {{binary: ./sidecar.sh}}\nadmin_key: {ADMIN_KEY}\n{config}"
    ))
}

/// An account, as it would be left from an earlier run.
fn add_account(folder: &Path, kind: &str, email: &str) -> String {
    let accounts = folder.join(".llm-wrapper/cli-proxy-api");
    fs::create_dir_all(&accounts).expect("the folder of the accounts");
    let name = format!("{kind}-{email}.json");
    let account = json!({
        "type": kind, "email": email, "access_token": format!("token-of-{email}"), "refresh_token": "r", "account_id": "acc",
        "account_uuid": "u", "organization_uuid": "o", "expired": "2099-01-01T00:00:00Z", "last_refresh": "2026-01-01T00:00:00Z",
        "disabled": false,
    });
    fs::write(accounts.join(&name), account.to_string()).expect("an account's file");
    name
}

impl Bed {
    fn of(start: Start) -> Bed {
        let record = start.folder().join("record");
        Bed {
            gateway: start.start(),
            record,
        }
    }

    fn start(program: &Path, knobs: &[(&str, &str)], config: &str) -> Bed {
        Bed::of(build(program, knobs, config))
    }

    /// Both upstreams, an account of each provider, and an alias on each.
    fn with_accounts(knobs: &[(&str, &str)]) -> Bed {
        let start = build(&fake(), knobs, &format!("{UPSTREAMS}{ALIASES}"));
        add_account(start.folder(), "claude", "a@b.c");
        add_account(start.folder(), "codex", "d@e.f");
        Bed::of(start)
    }

    /// The lines the stand-in recorded.
    fn record(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.record).unwrap_or_default();
        text.lines()
            .map(|line| serde_json::from_str(line).expect("a line of JSON"))
            .collect()
    }

    /// The requests that are no management.
    fn asked(&self) -> Vec<Value> {
        let is_data = |line: &Value| {
            let path = line["path"].as_str().unwrap_or_default();
            path.starts_with("/v1/") && path != "/v1/models"
        };
        self.record().into_iter().filter(is_data).collect()
    }

    /// The process of the latest start.
    fn pid(&self) -> Option<u32> {
        let starts = self.record();
        let last = starts.iter().rfind(|line| line.get("argv").is_some())?;
        Some(last["pid"].as_u64()? as u32)
    }

    fn get(&self, path: &str) -> Value {
        self.gateway.admin("GET", path, "").expect(200).json()
    }

    fn state(&self) -> String {
        let status = self.get("/api/cli-proxy-api/status");
        status["sidecar"]["state"]
            .as_str()
            .expect("a state")
            .to_owned()
    }

    fn wait_for_state(&self, state: &str) {
        poll(state, PATIENCE * 2, || {
            (self.state() == state).then_some(())
        });
    }

    /// The state of a login that was started, to be finished by pasting.
    fn login(&self, upstream: &str) -> String {
        let path = format!("/api/cli-proxy-api/login/{upstream}");
        let started = self.gateway.admin("POST", &path, r#"{"manual":true}"#);
        let started = started.expect(200).json();
        assert_eq!(started["manual"], json!(true));
        started["state"].as_str().expect("a state").to_owned()
    }

    fn complete(&self, upstream: &str, address: &str) -> Reply {
        let path = format!("/api/cli-proxy-api/complete-login/{upstream}");
        let body = json!({"callback_url": address}).to_string();
        self.gateway.admin("POST", &path, &body)
    }

    /// The events of a login's stream, to its end.
    fn events(&self, upstream: &str, query: &str) -> Vec<Value> {
        let path = format!("/api/cli-proxy-api/login-stream/{upstream}{query}");
        let reply = self.gateway.admin("GET", &path, "").expect(200);
        let content_type = reply.header("content-type").unwrap_or_default();
        assert!(
            content_type.starts_with("text/event-stream"),
            "{content_type}"
        );
        let text = reply.text();
        let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
        data.map(|data| serde_json::from_str(data).expect("JSON"))
            .collect()
    }

    /// Logs an account in, from the start to its end.
    fn log_in(&self, upstream: &str, provider: Provider, who: &str) -> Value {
        let state = self.login(upstream);
        self.complete(upstream, &landing(provider, who, &state))
            .expect(200);
        let events = self.events(upstream, &format!("?state={state}"));
        events.last().expect("an event").clone()
    }
}

/// A request in each protocol, its path first.
fn questions(model: &str, stream: bool) -> [(&'static str, String); 3] {
    [
        (
            CHAT,
            json!({"model": model, "stream": stream, "messages": [{"role": "user", "content": "hi"}]}),
        ),
        (
            RESPONSES,
            json!({"model": model, "stream": stream, "input": "hi"}),
        ),
        (
            MESSAGES,
            json!({"model": model, "stream": stream, "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}),
        ),
    ]
    .map(|(path, body)| (path, body.to_string()))
}

/// The text of a whole answer.
fn text_of(path: &str, answer: &Value) -> String {
    let text = match path {
        CHAT => &answer["choices"][0]["message"]["content"],
        RESPONSES => {
            let items = answer["output"].as_array().expect("items");
            let message = items.iter().find(|item| item["type"] == "message");
            &message.expect("a message")["content"][0]["text"]
        }
        _ => &answer["content"][0]["text"],
    };
    text.as_str().unwrap_or_default().to_owned()
}

#[test]
fn an_account_answers_clients_of_all_three_protocols_and_is_asked_in_its_own() {
    let bed = Bed::with_accounts(&[]);
    for (alias, model, own) in [
        ("sonnet", "claude-sonnet-5", MESSAGES),
        ("gpt", "gpt-5.6", RESPONSES),
    ] {
        for (path, body) in questions(alias, false) {
            let before = bed.asked().len();
            let reply = bed.gateway.post(path, &body).expect(200);
            assert_eq!(text_of(path, &reply.json()), TEXT, "{alias} {path}");
            let asked = &bed.asked()[before..];
            assert_eq!(asked.len(), 1);
            assert_eq!(asked[0]["path"], json!(own), "{alias} {path}");
            let sent: Value =
                serde_json::from_str(asked[0]["body"].as_str().expect("a body")).expect("JSON");
            assert_eq!(sent["model"], json!(model), "{alias} {path}");
            // A Codex account takes no limit, and the client is told so.
            let limited = (alias, path) == ("gpt", MESSAGES);
            let lost = limited.then(|| "max_tokens:unsupported".to_owned());
            assert_eq!(reply.header("x-llm-wrapper-warnings"), lost);
            assert!(sent["max_output_tokens"].is_null());
        }
        for (path, body) in questions(alias, true) {
            let before = bed.asked().len();
            let reply = bed.gateway.post(path, &body).expect(200);
            let text = reply.text();
            let asked = &bed.asked()[before..];
            assert_eq!(asked.len(), 1);
            assert_eq!(asked[0]["path"], json!(own), "{alias} {path}");
            let end = match path {
                CHAT => "data: [DONE]",
                RESPONSES => "response.completed",
                _ => "message_stop",
            };
            assert!(text.contains("Grüße ") && text.contains("vom "), "{text}");
            assert!(text.contains(end), "{alias} {path}: {text}");
        }
    }
}

#[test]
fn nothing_of_the_clients_own_reaches_the_sidecar_but_what_it_needs_does() {
    let start = build(
        &fake(),
        &[],
        &format!("client_api_keys: [sk-client-key-0123]\n{UPSTREAMS}{ALIASES}"),
    );
    add_account(start.folder(), "claude", "a@b.c");
    add_account(start.folder(), "codex", "d@e.f");
    let bed = Bed::of(start);
    let fields = "Authorization: Bearer sk-client-key-0123\r\nX-Api-Key: sk-client-key-0123\r\nApi-Key: sk-client-key-0123\r\n\
        Cookie: a=sk-client-key-0123\r\nX-Forwarded-For: 192.0.2.1\r\nX-Real-Ip: 192.0.2.1\r\nForwarded: for=192.0.2.1\r\n\
        Origin: http://gateway\r\nX-Goog-Api-Key: sk-client-key-0123\r\nAnthropic-Workspace-Id: w\r\nOpenai-Organization: o\r\n\
        X-Management-Key: sk-client-key-0123\r\n\
        User-Agent: claude-cli/2.1.0 (external, cli)\r\nAnthropic-Version: 2023-06-01\r\nAnthropic-Beta: claude-code-20250219\r\nX-App: cli\r\n";
    for (model, path) in [("sonnet", MESSAGES), ("gpt", RESPONSES), ("gpt", MESSAGES)] {
        let [.., (_, body)] = questions(model, false);
        let [_, (_, input), _] = questions(model, false);
        let body = if path == RESPONSES { input } else { body };
        let query = "?beta=true&key=sk-client-key-0123&auth_token=sk-client-key-0123";
        bed.gateway
            .post_with(&format!("{path}{query}"), fields, body)
            .expect(200);
        let asked = bed.asked();
        let line = asked.last().expect("a request");
        let whole = line.to_string();
        for secret in ["sk-client-key-0123", "192.0.2.1"] {
            assert!(!whole.contains(secret), "{model} {path}: {whole}");
        }
        let verbatim = [("sonnet", MESSAGES), ("gpt", RESPONSES)].contains(&(model, path));
        let query = if verbatim {
            json!([["beta", "true"]])
        } else {
            json!([])
        };
        assert_eq!(line["query"], query, "{model} {path}");
        let headers = &line["headers"];
        for name in [
            "cookie",
            "origin",
            "forwarded",
            "x-forwarded-for",
            "x-real-ip",
            "x-goog-api-key",
            "x-management-key",
            "api-key",
            "anthropic-workspace-id",
            "openai-organization",
        ] {
            assert!(headers.get(name).is_none(), "{name}: {headers}");
        }
        let key = fs::read_to_string(bed.gateway.dir.0.join(".llm-wrapper/cli-proxy-api-key"));
        let key = key.expect("the sidecar's key");
        assert_eq!(
            headers["authorization"],
            json!(format!("Bearer {}", key.trim()))
        );
        if (model, path) == ("sonnet", MESSAGES) {
            assert_eq!(headers["x-api-key"], json!(key.trim()));
            assert_eq!(
                headers["user-agent"],
                json!("claude-cli/2.1.0 (external, cli)")
            );
            assert_eq!(headers["anthropic-version"], json!("2023-06-01"));
            assert_eq!(headers["anthropic-beta"], json!("claude-code-20250219"));
            assert_eq!(headers["x-app"], json!("cli"));
        }
    }
}

#[test]
fn parameters_warnings_and_errors_are_those_of_any_upstream() {
    let aliases = "aliases:
  - {alias: set, target_model: claude-sonnet-5, upstream: claude, param_overrides: [{key: max_tokens, value: 77, mode: override}]}
  - {alias: low, target_model: gpt-5.6, upstream: codex, param_overrides: [{key: reasoning, value: {effort: low}, mode: default}]}
  - {alias: bad, target_model: err-429, upstream: claude}
  - {alias: worse, target_model: err-500, upstream: codex}
  - {alias: cut, target_model: cut-gpt-5.6, upstream: codex}
";
    let start = build(&fake(), &[], &format!("{UPSTREAMS}{aliases}"));
    add_account(start.folder(), "claude", "a@b.c");
    add_account(start.folder(), "codex", "d@e.f");
    let bed = Bed::of(start);
    let body = r#"{"model":"set","temperature":0.5,"messages":[{"role":"user","content":"hi"}]}"#;
    let reply = bed.gateway.post(CHAT, body).expect(200);
    let warnings = reply.header("x-llm-wrapper-warnings").unwrap_or_default();
    assert!(warnings.contains("temperature"), "{warnings}");
    let asked = bed.asked();
    let sent: Value =
        serde_json::from_str(asked[0]["body"].as_str().expect("a body")).expect("JSON");
    assert_eq!(sent["max_tokens"], json!(77));
    assert!(sent.get("temperature").is_none(), "{sent}");
    // A Codex account takes no temperature either, and its parameters are those of Responses, whoever asks.
    let body = r#"{"model":"low","temperature":0.5,"messages":[{"role":"user","content":"hi"}]}"#;
    let reply = bed.gateway.post(CHAT, body).expect(200);
    let warnings = reply.header("x-llm-wrapper-warnings").unwrap_or_default();
    assert!(warnings.contains("temperature"), "{warnings}");
    for (path, body) in questions("low", false) {
        bed.gateway.post(path, &body).expect(200);
        let asked = bed.asked();
        let last = asked.last().expect("a request")["body"].as_str();
        let sent: Value = serde_json::from_str(last.expect("a body")).expect("JSON");
        assert_eq!(sent["reasoning"]["effort"], json!("low"), "{path}: {sent}");
    }
    for (model, status) in [("bad", 429), ("worse", 500)] {
        for (path, body) in questions(model, false) {
            let reply = bed.gateway.post(path, body).expect(status);
            assert!(reply.error_message().contains("told to fail"), "{path}");
        }
    }
    // One failed request takes no account out: the next one is asked for, too.
    bed.gateway.post(CHAT, body).expect(200);
    // Cut is not complete, in any protocol.
    for (path, body) in questions("cut", true) {
        let fields = "Connection: close\r\n";
        let mut client = bed.gateway.client();
        let (bytes, _) = client.send(post(path, fields, body)).read_to_end();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        for end in ["[DONE]", "response.completed", "message_stop"] {
            assert!(!text.contains(end), "{path}: {text}");
        }
    }
}

#[test]
fn a_request_to_an_account_is_recorded_and_counted_like_any_other() {
    let bed = Bed::with_accounts(&[]);
    for (alias, upstream, own) in [
        ("sonnet", "claude", "messages"),
        ("gpt", "codex", "responses"),
    ] {
        for (path, body) in questions(alias, false) {
            let reply = bed.gateway.post_with(path, "X-Debug-Mode: true\r\n", &body);
            let answer = reply.expect(200).json();
            let record = &answer["debug"];
            assert_eq!(record["alias"], json!(alias), "{answer}");
            assert_eq!(record["upstream"], json!(upstream));
            assert_eq!(record["upstream_protocol"], json!(own));
            let url = record["upstream_url"].as_str().expect("a URL");
            assert!(
                url.starts_with("http://127.0.0.1:") && url.ends_with(&format!("/v1/{own}")),
                "{url}"
            );
            assert!(record["client_request"].is_object() && record["upstream_request"].is_object());
            let key = fs::read_to_string(bed.gateway.dir.0.join(".llm-wrapper/cli-proxy-api-key"));
            let key = key.expect("the sidecar's key");
            assert!(!answer.to_string().contains(key.trim()), "{answer}");
        }
    }
    let text = poll("all to be counted", PATIENCE, || {
        let text = bed.gateway.admin("GET", "/metrics", "").expect(200).text();
        let counted = text.matches("status=\"2xx\"} 1\n").count();
        (counted == 6).then_some(text)
    });
    for line in [
        r#"llm_wrapper_requests_total{alias="sonnet",upstream="claude",client_protocol="chat",upstream_protocol="messages",status="2xx"} 1"#,
        r#"llm_wrapper_tokens_total{alias="gpt",upstream="codex",client_protocol="messages",upstream_protocol="responses",kind="output"} 2"#,
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
}

#[test]
fn a_codex_account_keeps_no_responses_and_a_client_that_counts_on_it_is_told() {
    let bed = Bed::with_accounts(&[]);
    let body = r#"{"model":"gpt","input":"and now?","previous_response_id":"resp_1"}"#;
    let reply = bed.gateway.post(RESPONSES, body).expect(400);
    assert_eq!(
        reply.json()["error"]["code"],
        json!("previous_response_not_found")
    );
    assert!(
        reply
            .error_message()
            .contains("send the whole conversation")
    );
    assert!(bed.asked().is_empty(), "nothing was sent");
    let body = r#"{"model":"gpt","input":"hi","previous_response_id":null}"#;
    bed.gateway.post(RESPONSES, body).expect(200);
}

#[test]
fn the_sidecar_and_its_accounts_are_in_the_metrics() {
    let bed = Bed::with_accounts(&[]);
    add_account(&bed.gateway.dir.0, "claude", "g@h.i");
    bed.wait_for_state("ready");
    let off = "/api/cli-proxy-api/accounts/claude-g%40h.i.json";
    bed.gateway
        .admin("PATCH", off, r#"{"disabled":true}"#)
        .expect(200);
    let metrics = || bed.gateway.admin("GET", "/metrics", "").expect(200).text();
    let text = metrics();
    for line in [
        "llm_wrapper_sidecar_state{state=\"ready\"} 1\n",
        "llm_wrapper_sidecar_state{state=\"backoff\"} 0\n",
        "llm_wrapper_sidecar_restarts_total 0\n",
        "llm_wrapper_accounts{provider=\"claude\",status=\"active\"} 1\n",
        "llm_wrapper_accounts{provider=\"claude\",status=\"disabled\"} 1\n",
        "llm_wrapper_accounts{provider=\"codex\",status=\"active\"} 1\n",
    ] {
        assert!(text.contains(line), "{line} is not in {text}");
    }
    assert!(
        !text.contains("@"),
        "whose accounts they are is not told: {text}"
    );
    let first = bed.pid().expect("a process");
    signal(first, "KILL");
    poll("another process", PATIENCE, || {
        (bed.pid()? != first && bed.state() == "ready").then_some(())
    });
    let text = metrics();
    assert!(
        text.contains("llm_wrapper_sidecar_restarts_total 1\n"),
        "{text}"
    );
    let status = bed.get("/api/cli-proxy-api/status");
    assert_eq!(status["sidecar"]["restarts"], json!(1));
}

fn signal(pid: u32, name: &str) {
    let sent = std::process::Command::new("kill")
        .args([&format!("-{name}"), &pid.to_string()])
        .status();
    assert!(sent.expect("kill").success());
}

const SLOW: &str =
    "aliases:\n  - {alias: slow, target_model: drip-claude-sonnet-5, upstream: claude}\n";

#[test]
fn one_that_is_ending_is_a_503_with_the_reason_and_the_next_one_answers() {
    // Its stream takes some seven seconds.
    let knobs = [("FAKE_DRIP_MS", "25")];
    let start = build(&fake(), &knobs, &format!("{UPSTREAMS}{SLOW}"));
    add_account(start.folder(), "claude", "a@b.c");
    let bed = Bed::of(start);
    bed.wait_for_state("ready");
    let status = bed.get("/api/cli-proxy-api/status");
    let endpoint = status["sidecar"]["endpoint"].as_str().expect("an address");
    let address = endpoint.trim_start_matches("http://").to_owned();
    let [.., (path, body)] = questions("slow", true);
    let mut stream = bed.gateway.client();
    stream.send(post(path, "", body));
    stream.read_head();
    // It takes no new connection, and ends what it has begun: for seconds.
    signal(bed.pid().expect("a process"), "TERM");
    poll("its port is closed", PATIENCE, || {
        std::net::TcpStream::connect(&address)
            .is_err()
            .then_some(())
    });
    let mut waiting: Vec<_> = questions("slow", false)
        .into_iter()
        .map(|(path, body)| {
            let mut client = bed.gateway.client();
            client.send(post(path, "", body));
            (path, client)
        })
        .collect();
    let authorization = format!("Authorization: Bearer {ADMIN_KEY}\r\n");
    for path in ["/api/cli-proxy-api/quota", "/api/upstream-models/claude"] {
        let mut client = bed.gateway.client();
        client.send(request("GET", path, &authorization, ""));
        waiting.push((path, client));
    }
    for (path, mut client) in waiting {
        let reply = client.read_reply().expect(503);
        let message = reply.error_message();
        assert!(message.contains("not ready"), "{path}: {message}");
        assert!(message.contains("probably ending"), "{path}: {message}");
        let seconds = reply.header("retry-after").expect("when to come back");
        assert!(seconds.parse::<u32>().is_ok_and(|s| (1..=10).contains(&s)));
    }
    // Asked for while it ends, its accounts are those of the files.
    let status = bed.get("/api/cli-proxy-api/status");
    assert_eq!(status["providers"]["claude"]["account_count"], json!(1));
    let (rest, _) = stream.read_to_end_within(2 * PATIENCE);
    assert!(rest.ends_with(b"0\r\n\r\n"), "what had begun is whole");
    poll("the next one", PATIENCE, || {
        let [.., (path, body)] = questions("slow", false);
        let reply = bed.gateway.post(path, &body);
        assert!(matches!(reply.status, 200 | 503), "{}", reply.text());
        (reply.status == 200).then_some(())
    });
}

#[test]
fn a_crash_breaks_a_stream_off_in_every_protocol() {
    let start = build(&fake(), &[], &format!("{UPSTREAMS}{SLOW}"));
    add_account(start.folder(), "claude", "a@b.c");
    let bed = Bed::of(start);
    for (path, body) in questions("slow", true) {
        let mut client = poll("a stream", PATIENCE, || {
            let mut client = bed.gateway.client();
            client.send(post(path, "Connection: close\r\n", &body));
            let head = client.read_head();
            assert!(!head.starts_with(b"HTTP/1.1 502"));
            head.starts_with(b"HTTP/1.1 200").then_some(client)
        });
        client.read_until("Gr");
        signal(bed.pid().expect("a process"), "KILL");
        let (rest, _) = client.read_to_end_within(PATIENCE);
        let text = String::from_utf8_lossy(&rest);
        for end in ["[DONE]", "response.completed", "message_stop"] {
            assert!(!text.contains(end), "{path}: {text}");
        }
    }
    // The next request waits for the next process.
    let [(path, body), ..] = questions("slow", false);
    poll("an answer", PATIENCE, || {
        let reply = bed.gateway.post(path, &body);
        assert!(matches!(reply.status, 200 | 503), "{}", reply.text());
        (reply.status == 200).then_some(())
    });
}

#[test]
fn a_sidecar_of_someone_else_that_refuses_our_key_says_so_in_its_status() {
    let stranger = Stranger::start(free_port());
    let start = Gateway::build().config(format!(
        "cli_proxy_api_endpoint: http://127.0.0.1:{}\ncli_proxy_api: {{manage: never, api_key: their-key, management_key: wrong}}\n\
         admin_key: {ADMIN_KEY}\n{UPSTREAMS}{ALIASES}",
        stranger.port
    ));
    let gateway = start.start();
    for _ in 0..8 {
        let reply = gateway.admin("GET", "/api/cli-proxy-api/status", "");
        let status = reply.expect(200).json();
        assert_eq!(status["sidecar"]["state"], json!("external"));
        assert_eq!(status["providers"], json!({}));
        let error = status["error"].as_str().expect("what is wrong");
        assert!(error.contains("cli_proxy_api.management_key"), "{error}");
    }
    let text = gateway.admin("GET", "/metrics", "").expect(200).text();
    assert!(text.contains("llm_wrapper_sidecar_state{state=\"external\"} 1\n"));
    assert!(!text.contains("llm_wrapper_accounts"), "they are not known");
    let tries = stranger.recorded();
    let tries = tries.iter().filter(|line| {
        let path = line["path"].as_str().unwrap_or_default();
        path.starts_with("/v0/management")
    });
    assert_eq!(tries.count(), 1, "five would be a ban");
}

#[test]
fn a_sidecar_of_someone_else_that_is_not_there_is_an_upstream_that_cannot_be_reached() {
    let port = free_port();
    let gateway = Gateway::build()
        .config(format!(
            "cli_proxy_api_endpoint: http://127.0.0.1:{port}\ncli_proxy_api: {{manage: never, api_key: k, management_key: m}}\n\
             admin_key: {ADMIN_KEY}\n{UPSTREAMS}{ALIASES}"
        ))
        .start();
    for (path, body) in questions("sonnet", false) {
        let reply = gateway.post(path, &body).expect(502);
        let message = reply.error_message();
        assert!(message.contains(&format!("127.0.0.1:{port}")), "{message}");
    }
    let status = gateway.admin("GET", "/api/cli-proxy-api/status", "");
    let status = status.expect(200).json();
    assert_eq!(status["sidecar"]["state"], json!("external"));
    let error = status["error"].as_str().expect("what is wrong");
    assert!(error.contains(&format!("127.0.0.1:{port}")), "{error}");
}

#[test]
fn requests_wait_for_the_start_and_for_the_accounts() {
    let bed = Bed::with_accounts(&[
        ("FAKE_START_DELAY_MS", "500"),
        ("FAKE_LOAD_DELAY_MS", "500"),
    ]);
    for (path, body) in questions("sonnet", false) {
        bed.gateway.post(path, body).expect(200);
    }
}

#[test]
fn without_the_program_accounts_are_a_503_that_says_what_to_install_and_all_else_works() {
    let upstream = Upstream::always(json_answer(200, r#"{"choices":[]}"#));
    let plain = format!("  - {{name: plain, base_url: '{}'}}\n", upstream.base_url());
    let start = build(&fake(), &[], &format!("{UPSTREAMS}{plain}{ALIASES}"));
    fs::remove_file(start.folder().join("sidecar.sh")).expect("it was there");
    let bed = Bed::of(start);
    for (path, body) in questions("sonnet", false) {
        let reply = bed.gateway.post(path, body).expect(503);
        let message = reply.error_message();
        assert!(message.contains("install CLIProxyAPI"), "{message}");
        assert!(message.contains("cli_proxy_api.binary"), "{message}");
        assert!(reply.header("retry-after").is_some());
    }
    let body = r#"{"model":"plain","messages":[]}"#;
    bed.gateway.post(CHAT, body).expect(200);
    let status = bed.get("/api/cli-proxy-api/status");
    assert_eq!(status["sidecar"]["state"], json!("given_up"));
    let reason = status["sidecar"]["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("install"), "{status}");
    for (method, path) in [
        ("POST", "/api/cli-proxy-api/login/claude"),
        ("GET", "/api/cli-proxy-api/quota"),
        ("POST", "/api/cli-proxy-api/start"),
        ("GET", "/api/upstream-models/claude"),
    ] {
        let reply = bed.gateway.admin(method, path, "").expect(503);
        assert!(reply.error_message().contains("install"), "{path}");
    }
    let all = bed.get("/api/upstream-models");
    assert_eq!(all["errors"].as_array().map(Vec::len), Some(3), "{all}");
    bed.gateway.check_alive();
}

#[test]
fn a_login_goes_from_anywhere_to_an_account_that_answers_and_out_again() {
    let bed = Bed::start(&fake(), &[], &format!("{UPSTREAMS}{ALIASES}"));
    let [(_, question), ..] = questions("sonnet", false);
    let reply = bed.gateway.post(CHAT, &question);
    assert_ne!(reply.status, 200, "there is no account yet");

    let started = bed
        .gateway
        .admin("POST", "/api/auth/login/claude", r#"{"manual":true}"#)
        .expect(200)
        .json();
    let state = started["state"].as_str().expect("a state").to_owned();
    let url = started["auth_url"].as_str().expect("an address");
    assert!(url.starts_with("https://claude.ai/") && url.contains(&state));
    assert_eq!(started["provider"], json!("claude"));
    assert_eq!(started["device_code"], Value::Null);
    assert_eq!(
        started["callback"],
        json!("http://localhost:54545/callback")
    );

    let stream = "/api/cli-proxy-api/login-stream/claude";
    let mut watcher = bed.gateway.client();
    let authorization = format!("Authorization: Bearer {ADMIN_KEY}\r\n");
    watcher.send(request("GET", stream, &authorization, ""));
    watcher.read_until(r#""status":"waiting""#);
    watcher.read_until(": keep-alive\n\n");

    let wrong = landing(Provider::Claude, "alice", &"0".repeat(32));
    for (pasted, words) in [
        (wrong.as_str(), "no login that is waiting has this state"),
        ("hello", "not the address"),
    ] {
        let reply = bed.complete("claude", pasted).expect(400);
        assert!(reply.error_message().contains(words), "{}", reply.text());
    }
    let done = bed
        .complete("claude", &landing(Provider::Claude, "alice", &state))
        .expect(200)
        .json();
    assert_eq!(done["success"], json!(true));
    watcher.read_until(r#""status":"success","message":"logged in as alice@example.com""#);
    let (rest, _) = watcher.read_to_end_within(std::time::Duration::from_millis(500));
    assert!(rest.ends_with(b"0\r\n\r\n"), "the stream ends: {rest:?}");
    bed.complete("claude", &landing(Provider::Claude, "alice", &state))
        .expect(409);

    let answer = bed.gateway.post(CHAT, &question).expect(200).json();
    assert_eq!(text_of(CHAT, &answer), TEXT);
    let last = bed.log_in("codex", Provider::Codex, "bob");
    assert_eq!(last["upstream"], json!("codex"));
    assert_eq!(last["status"]["status"], json!("success"), "{last}");
    assert_eq!(last["status"]["email"], json!("bob@example.com"));

    let status = bed.get("/api/cli-proxy-api/status");
    let claude = &status["providers"]["claude"];
    assert_eq!(claude["account_count"], json!(1), "{status}");
    let account = &claude["accounts"][0];
    assert_eq!(account["email"], json!("alice@example.com"));
    assert_eq!(account["status"], json!("active"));
    assert!(
        account["expiresAt"]
            .as_str()
            .is_some_and(|at| at.starts_with("20")),
        "{account}"
    );
    assert!(
        account["lastRefresh"]
            .as_str()
            .is_some_and(|at| at.starts_with("20")),
        "{account}"
    );
    let sidecar = &status["sidecar"];
    assert_eq!(sidecar["state"], json!("ready"));
    assert_eq!(sidecar["managed"], json!(true));
    assert!(
        sidecar["version"]
            .as_str()
            .is_some_and(|version| version.starts_with("7.")),
        "{sidecar}"
    );
    assert_eq!(sidecar["pid"].as_u64(), bed.pid().map(u64::from));
    assert!(!status.to_string().contains("access_token"), "{status}");

    let removed = bed.gateway.admin("DELETE", "/api/auth/token/claude", "");
    assert_eq!(
        removed.expect(200).json(),
        json!({"success": true, "removed": 1})
    );
    let removed = bed.gateway.admin("DELETE", "/api/auth/token/claude", "");
    assert_eq!(
        removed.expect(200).json(),
        json!({"success": true, "removed": 0})
    );
    let status = bed.get("/api/cli-proxy-api/status");
    assert_eq!(status["providers"].get("claude"), None);
    assert_eq!(status["providers"]["codex"]["account_count"], json!(1));
    let folder = bed.gateway.dir.0.join(".llm-wrapper/cli-proxy-api");
    let left: Vec<_> = fs::read_dir(folder)
        .expect("the accounts")
        .flatten()
        .collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn two_logins_at_once_keep_apart_and_one_may_be_left() {
    let bed = Bed::start(&fake(), &[], UPSTREAMS);
    let (first, second) = (bed.login("claude"), bed.login("claude"));
    assert_ne!(first, second);
    let path = format!("/api/cli-proxy-api/login/claude?state={first}");
    let left = bed.gateway.admin("DELETE", &path, "").expect(200).json();
    assert_eq!(left, json!({"success": true, "cancelled": true}));
    let left = bed.gateway.admin("DELETE", &path, "").expect(200).json();
    assert_eq!(left["cancelled"], json!(false));
    let events = bed.events("claude", &format!("?state={first}"));
    assert_eq!(events[0]["status"]["status"], json!("cancelled"));
    let reply = bed.complete("claude", &landing(Provider::Claude, "alice", &first));
    assert!(reply.expect(400).error_message().contains("cancelled"));
    bed.complete("claude", &landing(Provider::Claude, "bob", &second))
        .expect(200);
    let events = bed.events("claude", &format!("?state={second}"));
    let last = events.last().expect("an event");
    assert_eq!(last["status"]["email"], json!("bob@example.com"));
}

#[test]
fn a_failed_exchange_is_told_in_words_to_act_on() {
    let bed = Bed::start(&fake(), &[("FAKE_OAUTH", "exchange_fail")], UPSTREAMS);
    let last = bed.log_in("codex", Provider::Codex, "bob");
    assert_eq!(last["status"]["status"], json!("error"), "{last}");
    let message = last["status"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("start the login again"), "{message}");
}

#[test]
fn a_browser_on_this_machine_finishes_the_login_by_itself() {
    let bed = Bed::start(&fake(), &[], UPSTREAMS);
    let addr = bed.gateway.addr;
    let path = "/api/cli-proxy-api/login/claude";
    let start = |host: &str, more: &str| {
        let text = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {ADMIN_KEY}\r\n{more}Content-Length: 0\r\n\r\n"
        );
        bed.gateway
            .client()
            .send(text)
            .read_reply()
            .expect(200)
            .json()
    };
    // Through a proxy, or under a name that is another machine's for all we know, it is to be pasted.
    let own = addr.to_string();
    assert_eq!(
        start(&own, "X-Forwarded-For: 192.0.2.1\r\n")["manual"],
        json!(true)
    );
    assert_eq!(start("gateway.lan", "")["manual"], json!(true));
    let started = start(&own, "");
    if started["manual"] == json!(true) {
        eprintln!("another program has port 54545: it was to be pasted");
        return;
    }
    let state = started["state"].as_str().expect("a state");
    let mut browser = crate::support::Client::connect("127.0.0.1:54545".parse().expect("it"));
    let reply = browser.get(&format!("/callback?code=alice&state={state}"));
    let onward = reply.header("location").expect("it sends the browser on");
    let onward = onward
        .strip_prefix("http://")
        .expect("plain HTTP")
        .to_owned();
    let (to, path) = onward.split_once('/').expect("a path");
    let mut browser = crate::support::Client::connect(to.parse().expect("an address"));
    browser.get(&format!("/{path}")).expect(200);
    let events = bed.events("claude", &format!("?state={state}"));
    let last = events.last().expect("an event");
    assert_eq!(last["status"]["status"], json!("success"), "{last}");
}

#[test]
fn one_account_is_switched_off_on_and_out() {
    let bed = Bed::with_accounts(&[]);
    bed.wait_for_state("ready");
    let account = "/api/cli-proxy-api/accounts/claude-a%40b.c.json";
    let models = bed.get(&format!("{account}/models"));
    assert_eq!(models["object"], json!("list"));
    let ids = models["data"].as_array().expect("ids");
    assert!(ids.contains(&json!("claude-sonnet-5")), "{models}");
    assert_eq!(models["models"].as_array().map(Vec::len), Some(ids.len()));
    let switch = |disabled: bool| {
        let body = json!({"disabled": disabled}).to_string();
        let reply = bed
            .gateway
            .admin("PATCH", account, &body)
            .expect(200)
            .json();
        assert_eq!(reply, json!({"success": true, "disabled": disabled}));
        let status = bed.get("/api/cli-proxy-api/status");
        let shown = &status["providers"]["claude"]["accounts"][0];
        assert_eq!(shown["disabled"], json!(disabled), "{status}");
        let offered = bed.get("/api/upstream-models/claude");
        let count = offered["data"].as_array().map_or(0, Vec::len);
        assert_eq!(count == 0, disabled, "{offered}");
    };
    switch(true);
    switch(false);
    for body in ["{}", "[]", r#"{"disabled":1}"#] {
        bed.gateway.admin("PATCH", account, body).expect(400);
    }
    let gone = bed.gateway.admin("DELETE", account, "").expect(200).json();
    assert_eq!(gone, json!({"success": true, "removed": 1}));
    bed.gateway.admin("DELETE", account, "").expect(404);
    bed.gateway
        .admin("PATCH", account, r#"{"disabled":true}"#)
        .expect(404);
}

#[test]
fn each_oauth_upstream_lists_its_own_providers_models_under_their_own_names() {
    // A version that shows other names to clients it takes for Claude's.
    let bed = Bed::with_accounts(&[("FAKE_VERSION", "7.2.91")]);
    let all = bed.get("/api/upstream-models");
    assert_eq!(all["errors"], json!([]), "{all}");
    for (upstream, begins) in [("claude", "claude-"), ("codex", "gpt-")] {
        let one = bed.get(&format!("/api/upstream-models/{upstream}"));
        let ids = one["data"].as_array().expect("ids");
        assert_eq!(ids.len(), 3, "{one}");
        let own = |id: &Value| {
            let id = id.as_str().unwrap_or_default();
            (id.starts_with(begins) || id == "codex-auto-review") && !id.contains("-dd-")
        };
        assert!(ids.iter().all(own), "{one}");
    }
}

#[test]
fn quotas_are_told_for_every_account_without_its_token() {
    let bed = Bed::with_accounts(&[]);
    let quota = bed.get("/api/cli-proxy-api/quota");
    for (provider, email) in [("claude", "a@b.c"), ("codex", "d@e.f")] {
        let of = &quota["providers"][provider];
        assert_eq!(of["account_count"], json!(1), "{quota}");
        let account = &of["accounts"][0];
        assert_eq!(account["provider"], json!(provider));
        assert_eq!(account["email"], json!(email));
        let known = ["ok", "low", "exhausted"];
        assert!(
            known.contains(&account["status"].as_str().unwrap_or_default()),
            "{account}"
        );
        let window = &account["windows"][0];
        assert!(window["id"].is_string() && window["label"].is_string());
        assert!(window["used_percent"].is_number() && window["exhausted"].is_boolean());
    }
    assert!(!quota.to_string().contains("token-of"), "{quota}");
    // The caller of any address stays inside.
    for path in [
        "/api/cli-proxy-api/api-call",
        "/api/cli-proxy-api/auth-files",
    ] {
        bed.gateway.admin("POST", path, "{}").expect(404);
    }
}

#[test]
fn wrong_names_methods_and_bodies_are_told_so() {
    let plain = "  - {name: plain, base_url: 'http://127.0.0.1:9'}\n";
    let off = "  - {name: off, auth: {type: codex_oauth}, enabled: false}\n";
    let config = format!("upstreams:\n{plain}{off}");
    let bed = Bed::start(&fake(), &[], &config);
    let ask = |method: &str, path: &str, body: &str| bed.gateway.admin(method, path, body);
    for path in [
        "/api/cli-proxy-api/login",
        "/api/cli-proxy-api/complete-login",
        "/api/auth/login",
    ] {
        let body = r#"{"callback_url":"x"}"#;
        ask("POST", &format!("{path}/nobody"), body).expect(404);
        let reply = ask("POST", &format!("{path}/plain"), body).expect(400);
        assert!(reply.error_message().contains("anthropic_oauth"), "{path}");
        let reply = ask("GET", &format!("{path}/off"), "").expect(405);
        assert!(
            reply
                .header("allow")
                .is_some_and(|allow| allow.contains("POST"))
        );
    }
    ask("DELETE", "/api/auth/token/nobody", "").expect(404);
    ask("DELETE", "/api/auth/token/plain", "").expect(400);
    ask("GET", "/api/cli-proxy-api/login-stream/off", "").expect(404);
    ask("POST", "/api/cli-proxy-api/complete-login/off", "{}").expect(400);
    let unknown = ask(
        "POST",
        "/api/cli-proxy-api/complete-login/off",
        r#"{"callback_url":"x"}"#,
    );
    unknown.expect(400);
    assert!(bed.record().is_empty(), "none of it started the sidecar");
    // Without the key there is nothing to see, and a foreign page changes nothing.
    for (method, path) in [
        ("GET", "/api/cli-proxy-api/status"),
        ("GET", "/api/cli-proxy-api/quota"),
        ("POST", "/api/cli-proxy-api/login/off"),
        ("DELETE", "/api/auth/token/off"),
        ("GET", "/api/cli-proxy-api/login-stream/off"),
    ] {
        let reply = bed
            .gateway
            .client()
            .send(request(method, path, "", ""))
            .read_reply();
        reply.expect(401);
        let fields = format!("Authorization: Bearer {ADMIN_KEY}\r\nOrigin: http://evil\r\n");
        if method != "GET" {
            let text = request(method, path, &fields, "");
            bed.gateway.client().send(text).read_reply().expect(403);
        }
    }
    assert!(bed.record().is_empty());
    // A login of a disabled upstream may be made beforehand.
    bed.login("off");
    assert_eq!(bed.state(), "ready");
}

#[test]
fn it_runs_when_an_upstream_needs_it_and_accounts_are_shown_when_it_does_not() {
    let start = build(&fake(), &[], "");
    let folder = start.folder().to_path_buf();
    add_account(&folder, "claude", "a@b.c");
    let bed = Bed::of(start);
    let status = bed.get("/api/cli-proxy-api/status");
    assert_eq!(status["sidecar"]["state"], json!("stopped"));
    assert_eq!(status["sidecar"]["pid"], Value::Null);
    let account = &status["providers"]["claude"]["accounts"][0];
    assert_eq!(account["email"], json!("a@b.c"));
    assert_eq!(account["expiresAt"], json!("2099-01-01T00:00:00Z"));
    assert!(bed.record().is_empty(), "nothing was started");
    let before = fs::read_to_string(folder.join("config.yaml")).expect("the configuration");
    bed.gateway.edit_config(&format!("{before}{UPSTREAMS}"));
    bed.wait_for_state("ready");
    let pid = bed.pid().expect("a process");
    assert!(is_alive(pid));
    bed.gateway.edit_config(&before);
    bed.wait_for_state("stopped");
    poll("its end", PATIENCE, || (!is_alive(pid)).then_some(()));
}

#[test]
fn the_demo_has_no_accounts_and_says_so() {
    let gateway = Gateway::build()
        .arg("--demo")
        .env("ADMIN_KEY", ADMIN_KEY)
        .start();
    let status = gateway
        .admin("GET", "/api/cli-proxy-api/status", "")
        .expect(200);
    assert_eq!(status.json(), json!({"providers": {}, "sidecar": null}));
    let reply = gateway
        .admin("GET", "/api/cli-proxy-api/quota", "")
        .expect(503);
    assert!(reply.error_message().contains("demo"));
}

#[test]
fn the_sidecar_ends_with_the_gateway_after_its_requests() {
    for program in programs() {
        let mut bed = Bed::start(&program, &[], UPSTREAMS);
        bed.wait_for_state("ready");
        let status = bed.get("/api/cli-proxy-api/status");
        let pid = status["sidecar"]["pid"].as_u64().expect("a process") as u32;
        assert!(is_alive(pid));
        bed.gateway.signal("TERM");
        assert_eq!(bed.gateway.wait_for_exit(), 0);
        assert!(!is_alive(pid), "it was ended before the gateway was");
    }
    // A stream of an account that runs when the gateway is told to stop comes to its end.
    let slow =
        "aliases:\n  - {alias: slow, target_model: drip-claude-sonnet-5, upstream: claude}\n";
    let start = build(&fake(), &[], &format!("{UPSTREAMS}{slow}"));
    add_account(start.folder(), "claude", "a@b.c");
    let mut bed = Bed::of(start);
    let [.., (path, body)] = questions("slow", true);
    let mut client = bed.gateway.client();
    client.send(post(path, "", body));
    client.read_head();
    bed.gateway.signal("TERM");
    let (rest, _) = client.read_to_end();
    assert!(rest.ends_with(b"\r\n0\r\n\r\n"), "it is whole");
    assert_eq!(bed.gateway.wait_for_exit(), 0);
    poll("the end of the sidecar", PATIENCE, || {
        (!is_alive(bed.pid()?)).then_some(())
    });
}

#[test]
fn it_dies_with_a_gateway_that_was_killed() {
    for program in programs() {
        let mut bed = Bed::start(&program, &[], UPSTREAMS);
        bed.wait_for_state("ready");
        let status = bed.get("/api/cli-proxy-api/status");
        let pid = status["sidecar"]["pid"].as_u64().expect("a process") as u32;
        bed.gateway.signal("KILL");
        bed.gateway.wait_for_exit();
        poll("its end", PATIENCE, || (!is_alive(pid)).then_some(()));
    }
}

#[test]
fn what_needs_no_provider_is_the_same_with_the_real_program() {
    for program in programs() {
        let bed = Bed::start(&program, &[], &format!("{UPSTREAMS}{ALIASES}"));
        for upstream in ["claude", "codex"] {
            let provider = match upstream {
                "claude" => Provider::Claude,
                _ => Provider::Codex,
            };
            let state = bed.login(upstream);
            let wrong = landing(provider, "x", &"0".repeat(32));
            bed.complete(upstream, &wrong).expect(400);
            let path = format!("/api/cli-proxy-api/login/{upstream}");
            let left = bed.gateway.admin("DELETE", &path, "").expect(200).json();
            assert_eq!(left["cancelled"], json!(true));
            let events = bed.events(upstream, &format!("?state={state}"));
            assert_eq!(events[0]["status"]["status"], json!("cancelled"));
        }
        let status = bed.get("/api/cli-proxy-api/status");
        assert_eq!(status["providers"], json!({}));
        assert_eq!(status["sidecar"]["state"], json!("ready"));
        let quota = bed.get("/api/cli-proxy-api/quota");
        assert_eq!(quota, json!({"providers": {}}));
        let offered = bed.get("/api/upstream-models/claude");
        assert_eq!(offered["data"], json!([]));
        for (path, body) in questions("sonnet", false) {
            let reply = bed.gateway.post(path, body);
            assert!(matches!(reply.status, 400 | 404 | 502), "{}", reply.text());
            let message = reply.error_message();
            assert!(message.contains("unknown provider"), "{path}: {message}");
        }
        // An account whose token no provider knows still shows what it offers.
        let name = add_account(&bed.gateway.dir.0, "claude", "a@b.c");
        poll("the account", PATIENCE, || {
            let status = bed.get("/api/cli-proxy-api/status");
            (status["providers"]["claude"]["account_count"] == 1).then_some(())
        });
        let ids = poll("its models", PATIENCE, || {
            let one = bed.get("/api/upstream-models/claude");
            let ids = one["data"].as_array().cloned().unwrap_or_default();
            (!ids.is_empty()).then_some(ids)
        });
        let is_plain = |id: &Value| {
            let id = id.as_str().unwrap_or_default();
            id.starts_with("claude-") && !id.contains("-dd-")
        };
        assert!(ids.iter().all(is_plain), "{ids:?}");
        assert_eq!(bed.get("/api/upstream-models/codex")["data"], json!([]));
        let path = format!("/api/cli-proxy-api/accounts/{name}");
        bed.gateway.admin("DELETE", &path, "").expect(200);
        let status = bed.get("/api/cli-proxy-api/status");
        assert_eq!(status["providers"], json!({}), "{status}");
    }
}
