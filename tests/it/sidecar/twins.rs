//! The stand-in and the real program answer alike. Without CLIPROXYAPI_BIN this checks the stand-in against what is written
//! down of the real one; with it, both.

use super::*;

/// Method, path, header lines, body; the status and a part of the answer, for versions from 7.2.62 on.
type Case<'c> = (&'c str, &'c str, &'c str, &'c str, u16, &'c str);

const STATE: &str = "00112233445566778899aabbccddeeff";

fn ask(port: u16, method: &str, path: &str, headers: &str, body: &str) -> (u16, String) {
    let kind = if body.is_empty() {
        ""
    } else {
        "Content-Type: application/json\r\n"
    };
    let answer = request(
        port,
        &format!("{method} {path} HTTP/1.1\r\n{headers}{kind}"),
        body,
    );
    let status = answer.split(' ').nth(1).and_then(|text| text.parse().ok());
    (status.unwrap_or(0), answer)
}

fn check(bed: &Bed, cases: &[Case<'_>]) {
    for (method, path, headers, body, status, part) in cases {
        let (got, answer) = ask(bed.port, method, path, headers, body);
        assert_eq!(
            got, *status,
            "{}: {method} {path} {body}: {answer}",
            bed.settings.binary
        );
        assert!(
            answer.contains(part),
            "{}: {method} {path} {body}: {answer}",
            bed.settings.binary
        );
    }
}

fn is_new(sidecar: &Sidecar) -> bool {
    let version = sidecar
        .state()
        .borrow()
        .version()
        .map(str::to_owned)
        .unwrap_or_default();
    let mut parts = version
        .split(['.', '-'])
        .map(|part| part.parse::<u32>().unwrap_or(u32::MAX));
    let mut next = || parts.next().unwrap_or(0);
    (next(), next(), next()) >= (7, 2, 64)
}

#[test]
fn open_routes_and_management_answer_as_written_down() {
    run_each(|bed| async move {
        bed.add_account("claude-a@example.com.json", "claude", "a@example.com");
        let sidecar = bed.ready().await;
        if !is_new(&sidecar) {
            return sidecar.shutdown().await; // the texts below are of newer versions
        }
        let key = std::fs::read_to_string(bed.data("cli-proxy-api-secret")).expect("the key");
        let key = format!("Authorization: Bearer {key}\r\n");
        let key = key.as_str();
        let unknown = format!("/v0/management/get-auth-status?state={STATE}");
        let submit = "/v0/management/oauth-callback";
        let with_state = |rest: &str| format!("{{\"state\":\"{STATE}\"{rest}}}");
        check(
            &bed,
            &[
                ("GET", "/healthz", "", "", 200, "{\"status\":\"ok\"}"),
                ("HEAD", "/healthz", "", "", 200, ""),
                ("GET", "/", "", "", 200, "POST /v1/chat/completions"),
                (
                    "GET",
                    "/nothing",
                    "",
                    "",
                    404,
                    "Access-Control-Allow-Origin: *",
                ),
                ("OPTIONS", "/v1/models", "", "", 204, ""),
                ("GET", "/keep-alive", "", "", 404, ""),
                (
                    "GET",
                    "/anthropic/callback?code=x&state=junk",
                    "",
                    "",
                    200,
                    "Authentication successful",
                ),
                ("GET", "/v0/management/nothing", key, "", 404, ""),
                (
                    "GET",
                    "/v0/management/auth-files",
                    key,
                    "",
                    200,
                    "\"claude-a@example.com.json\"",
                ),
                (
                    "GET",
                    "/v0/management/auth-files",
                    &key.replace("Bearer", "bEaReR"),
                    "",
                    200,
                    "X-Cpa-Version",
                ),
                (
                    "GET",
                    "/v0/management/auth-files",
                    &key.replace("Authorization: Bearer", "X-Management-Key:"),
                    "",
                    200,
                    "files",
                ),
                (
                    "GET",
                    "/v0/management/auth-files/models",
                    key,
                    "",
                    400,
                    "name is required",
                ),
                (
                    "GET",
                    "/v0/management/auth-files/models?name=none.json",
                    key,
                    "",
                    200,
                    "\"models\":[]",
                ),
                (
                    "GET",
                    "/v0/management/auth-files/download?name=..%2Fx.json",
                    key,
                    "",
                    400,
                    "invalid name",
                ),
                (
                    "GET",
                    "/v0/management/auth-files/download?name=x.txt",
                    key,
                    "",
                    400,
                    "name must end with .json",
                ),
                (
                    "GET",
                    "/v0/management/auth-files/download?name=x.json",
                    key,
                    "",
                    404,
                    "file not found",
                ),
                (
                    "POST",
                    "/v0/management/auth-files?name=x.json",
                    key,
                    "[1]",
                    500,
                    "invalid auth file",
                ),
                (
                    "DELETE",
                    "/v0/management/auth-files?name=none.json",
                    key,
                    "",
                    404,
                    "auth file not found",
                ),
                (
                    "PATCH",
                    "/v0/management/auth-files/status",
                    key,
                    "{}",
                    400,
                    "name is required",
                ),
                (
                    "PATCH",
                    "/v0/management/auth-files/status",
                    key,
                    "{\"name\":\"none.json\"}",
                    400,
                    "disabled is required",
                ),
                (
                    "PATCH",
                    "/v0/management/auth-files/status",
                    key,
                    "{\"name\":\"none.json\",\"disabled\":true}",
                    404,
                    "auth file not found",
                ),
                (
                    "POST",
                    "/v0/management/api-call",
                    key,
                    "{}",
                    400,
                    "missing method",
                ),
                (
                    "POST",
                    "/v0/management/api-call",
                    key,
                    "{\"method\":\"GET\"}",
                    400,
                    "missing url",
                ),
                (
                    "GET",
                    "/v0/management/proxy-url",
                    key,
                    "",
                    200,
                    "{\"proxy-url\":\"\"}",
                ),
                (
                    "PUT",
                    "/v0/management/debug",
                    key,
                    "{}",
                    400,
                    "invalid body",
                ),
                ("GET", "/v0/management/usage-queue", key, "", 200, "[]"),
                (
                    "GET",
                    "/v0/management/logs",
                    key,
                    "",
                    400,
                    "logging to file disabled",
                ),
                ("GET", "/v0/management/qwen-auth-url", key, "", 404, ""),
                (
                    "GET",
                    "/v0/management/get-auth-status",
                    key,
                    "",
                    200,
                    "{\"status\":\"ok\"}",
                ),
                (
                    "GET",
                    "/v0/management/get-auth-status?state=a%2Fb",
                    key,
                    "",
                    400,
                    "invalid state",
                ),
                ("GET", &unknown, key, "", 200, "unknown or expired state"),
                (
                    "DELETE",
                    "/v0/management/oauth-session",
                    key,
                    "",
                    400,
                    "missing state",
                ),
                (
                    "DELETE",
                    &format!("/v0/management/oauth-session?state={STATE}"),
                    key,
                    "",
                    200,
                    "\"cancelled\":false",
                ),
                ("POST", submit, "", "[1]", 400, "invalid body"),
                ("POST", submit, "", "{}", 400, "state is required"),
                (
                    "POST",
                    submit,
                    "",
                    "{\"redirect_url\":\"hello\"}",
                    400,
                    "state is required",
                ),
                (
                    "POST",
                    submit,
                    "",
                    "{\"state\":\"a/b\"}",
                    400,
                    "invalid state",
                ),
                (
                    "POST",
                    submit,
                    "",
                    &with_state(""),
                    400,
                    "code or error is required",
                ),
                (
                    "POST",
                    submit,
                    "",
                    &with_state(",\"code\":\"c\""),
                    404,
                    "unknown or expired state",
                ),
            ],
        );
        // A session of one provider is not handed to another.
        let (_, started) = ask(bed.port, "GET", "/v0/management/codex-auth-url", key, "");
        let (_, state) = started.split_once("\"state\":\"").expect("a state");
        let state = state.split('"').next().expect("its end");
        assert!(
            state.len() == 32 && started.contains("\\u0026"),
            "{started}"
        );
        let crossed = format!("{{\"provider\":\"claude\",\"state\":\"{state}\",\"code\":\"c\"}}");
        let waiting = format!("/v0/management/get-auth-status?state={state}");
        let cancel = format!("/v0/management/oauth-session?state={state}");
        check(
            &bed,
            &[
                (
                    "POST",
                    submit,
                    "",
                    &crossed,
                    400,
                    "provider does not match state",
                ),
                ("GET", &waiting, key, "", 200, "{\"status\":\"wait\"}"),
                ("DELETE", &cancel, key, "", 200, "\"cancelled\":true"),
                ("GET", &waiting, key, "", 200, "unknown or expired state"),
            ],
        );
        sidecar.shutdown().await;
    });
}

#[test]
fn the_data_plane_refuses_as_written_down() {
    run_each(|bed| async move {
        let sidecar = bed.ready().await;
        let key = ready(&sidecar, PATIENCE)
            .await
            .expect("ready")
            .api_key
            .expect("a key");
        let bearer = format!("Authorization: Bearer {}\r\n", key.expose());
        let any = format!(
            "Authorization: Bearer wrong\r\nx-api-key: {}\r\n",
            key.expose()
        );
        let query = format!("/v1/models?key={}", key.expose());
        check(
            &bed,
            &[
                (
                    "GET",
                    "/v1/models",
                    "",
                    "",
                    401,
                    "{\"error\":\"Missing API key\"}",
                ),
                (
                    "GET",
                    "/v1/models",
                    "x-api-key: wrong\r\n",
                    "",
                    401,
                    "{\"error\":\"Invalid API key\"}",
                ),
                ("GET", "/v1/models", &bearer, "", 200, "\"data\":[]"),
                ("GET", "/v1/models", &any, "", 200, "\"object\":\"list\""),
                ("GET", &query, "", "", 200, "\"data\":[]"),
                ("GET", "/v1/models/x", &bearer, "", 404, ""),
            ],
        );
        let (status, answer) = ask(
            bed.port,
            "POST",
            "/v1/messages",
            &bearer,
            "{\"model\":\"none\",\"messages\":[]}",
        );
        assert!([400, 502].contains(&status), "{answer}");
        assert!(
            answer.contains("\"error\":{") && answer.contains("none"),
            "{answer}"
        );
        sidecar.shutdown().await;
    });
}

#[test]
fn five_wrong_keys_are_a_ban_that_refuses_the_right_one() {
    run_each(|bed| async move {
        let sidecar = bed.ready().await;
        let key = std::fs::read_to_string(bed.data("cli-proxy-api-secret")).expect("the key");
        let key = format!("Authorization: Bearer {key}\r\n");
        let files = "/v0/management/auth-files";
        let mut cases: Vec<Case<'_>> = vec![("GET", files, "", "", 401, "missing management key")];
        cases.extend(
            [(
                "GET",
                files,
                "Authorization: Bearer no\r\n",
                "",
                401,
                "invalid management key",
            ); 4],
        );
        cases.push((
            "GET",
            files,
            &key,
            "",
            403,
            "IP banned due to too many failed attempts",
        ));
        cases.push(("GET", "/healthz", "", "", 200, "ok"));
        check(&bed, &cases);
        // We report it and leave it at that.
        let error = sidecar.accounts().await.unwrap_err();
        assert!(error.message.contains("IP banned"), "{error}");
        sidecar.shutdown().await;
    });
}
