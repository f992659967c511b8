//! The management API and its door, as product.md 6 words them: who may come in, what a change does, what nobody gets to see.

use crate::support::client::{post, request};
use crate::support::gateway::{ADMIN_KEY, Start, UPSTREAM_KEY, config_at, config_for};
use crate::support::{Client, Gateway, PATIENCE, Reply, Upstream, json_answer, plain_answer, poll};
use serde_json::{Value, json};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}

fn demo_config() -> String {
    config_at("http://127.0.0.1:9")
}

/// With an admin key of the environment.
fn guarded(config: String) -> Gateway {
    Gateway::build()
        .config(config)
        .env("ADMIN_KEY", ADMIN_KEY)
        .start()
}

/// With a generated key, which is given, too.
fn generated() -> (Gateway, String) {
    let gateway = Gateway::start(demo_config());
    let line = gateway.wait_for_line("WebUI: http://");
    let key = line
        .split("#key=")
        .nth(1)
        .expect("the key behind the address")
        .to_owned();
    (gateway, key)
}

/// A request with that Host and those fields, each with its CRLF.
fn ask(gateway: &Gateway, line: &str, host: &str, fields: &str, body: &str) -> Reply {
    let length = if body.is_empty() {
        String::new()
    } else {
        format!("Content-Length: {}\r\n", body.len())
    };
    let bytes = format!("{line} HTTP/1.1\r\nHost: {host}\r\n{fields}{length}\r\n{body}");
    gateway.client().send(bytes).read_reply()
}

fn local(gateway: &Gateway, fields: &str) -> u16 {
    ask(gateway, "GET /api/config", "localhost:3000", fields, "").status
}

// ------------------------------------------------------------------------------------------------------------ the door

#[test]
fn the_generated_key_is_printed_kept_privately_and_the_same_after_a_restart() {
    let mut gateway = Gateway::start(demo_config());
    let line = gateway.wait_for_line("WebUI: http://");
    let port = gateway.addr.port();
    let key = line
        .strip_prefix(&format!("WebUI: http://127.0.0.1:{port}/#key="))
        .expect("the address of the WebUI");
    let file = gateway.dir.0.join(".llm-wrapper/admin_key");
    assert_eq!(
        std::fs::read_to_string(&file)
            .expect("the key's file")
            .trim(),
        key
    );
    assert_eq!(
        std::fs::metadata(&file)
            .expect("it is there")
            .permissions()
            .mode()
            & 0o777,
        0o600
    );
    let bearer = format!("Authorization: Bearer {key}\r\n");
    assert_eq!(
        ask(&gateway, "GET /api/config", "elsewhere", &bearer, "").status,
        200
    );
    gateway.signal("TERM");
    assert_eq!(gateway.wait_for_exit(), 0);
    let text = std::fs::read_to_string(file).expect("it is still there");
    let again = Gateway::build()
        .config(demo_config())
        .file("admin_key", &text)
        .env("DATA_DIR", ".")
        .start();
    assert!(again.wait_for_line("WebUI: ").ends_with(text.trim()));
    assert!(
        again
            .log()
            .iter()
            .filter(|line| line.contains(text.trim()))
            .count()
            == 1,
        "said once"
    );
}

#[test]
fn the_demo_writes_no_key_and_changes_only_memory() {
    let gateway = Gateway::build().arg("--demo").start();
    gateway.wait_for_line("WebUI: ");
    let put = ask(
        &gateway,
        "PUT /api/config",
        "localhost",
        "Content-Type: application/json\r\n",
        r#"{"debug_header":false}"#,
    );
    assert_eq!(put.expect(200).json()["saved"], false);
    let names: Vec<_> = std::fs::read_dir(&gateway.dir.0)
        .expect("its folder")
        .collect();
    assert!(names.is_empty(), "{names:?}");
}

#[test]
fn the_briefs_own_curls_work_without_a_key_from_this_machine_and_this_user() {
    let (gateway, _) = generated();
    for host in [
        "localhost",
        "127.0.0.1",
        "[::1]",
        "localhost:3000",
        "127.0.0.1:80",
    ] {
        assert_eq!(
            ask(&gateway, "GET /api/config", host, "", "").status,
            200,
            "{host}"
        );
    }
    for host in [
        "gateway",
        "evil.example:3000",
        "localhost.evil.example",
        "127.0.0.1.nip.io",
        "127.0.0.2",
        "192.168.1.5",
    ] {
        let refused = ask(&gateway, "GET /api/config", host, "", "").expect(401);
        assert!(
            refused.error_message().contains("admin_key"),
            "{}",
            refused.text()
        );
    }
    // The authority of an absolute form counts, too, whatever Host says.
    assert_eq!(
        ask(
            &gateway,
            "GET http://localhost/api/config",
            "localhost",
            "",
            ""
        )
        .status,
        200
    );
    assert_ne!(
        ask(
            &gateway,
            "GET http://evil.example/api/config",
            "localhost",
            "",
            ""
        )
        .status,
        200
    );
    for field in [
        "Forwarded: for=10.0.0.1",
        "X-Forwarded-For: 127.0.0.1",
        "x-forwarded-host: a",
        "X-Forwarded-Proto: http",
        "X-Real-IP: 127.0.0.1",
        "Via: 1.1 proxy",
        "CF-Connecting-IP: 1.2.3.4",
        "cf-ray: 1",
        "True-Client-IP: 1.2.3.4",
        "Authorization: Bearer wrong",
        "Authorization: Basic YTpi",
        "Origin: http://evil.example",
        "Origin: null",
        "Origin: https://localhost:3000",
        "Sec-Fetch-Site: cross-site",
    ] {
        assert_eq!(local(&gateway, &format!("{field}\r\n")), 401, "{field}");
    }
    assert_eq!(
        local(
            &gateway,
            "Origin: http://localhost:3000\r\nSec-Fetch-Site: same-origin\r\n"
        ),
        200
    );
    // A cookie of an earlier start is no wrong key.
    assert_eq!(local(&gateway, "Cookie: llm_wrapper_session=0123\r\n"), 200);
}

#[test]
fn beside_a_configured_key_nobody_comes_in_without_it() {
    let gateway = guarded(demo_config());
    assert_eq!(local(&gateway, ""), 401);
    assert_eq!(
        local(&gateway, &format!("Authorization: Bearer {ADMIN_KEY}x\r\n")),
        401
    );
    assert_eq!(
        local(&gateway, &format!("Authorization: bearer {ADMIN_KEY}\r\n")),
        200
    );
    assert_eq!(local(&gateway, &format!("x-api-key: {ADMIN_KEY}\r\n")), 401);
    for path in [
        "/api",
        "/api/",
        "/api/nothing",
        "/api/debug/stream",
        "/metrics",
        "/api/version",
        "/api/try/v1/models",
    ] {
        assert_eq!(
            ask(&gateway, &format!("GET {path}"), "localhost", "", "").status,
            401,
            "{path}"
        );
    }
    assert_eq!(gateway.get("/healthz").expect(200).text(), "ok\n");
    assert!(!gateway.log().iter().any(|line| line.contains("WebUI:")));
    assert!(
        !gateway.dir.0.join(".llm-wrapper").exists(),
        "no key is made where one is configured"
    );
}

#[test]
fn other_spellings_of_a_path_open_nothing() {
    let gateway = guarded(demo_config());
    for path in [
        "//api/config",
        "/API/config",
        "/api//config",
        "/./api/config",
        "/x/../api/config",
        "/%61pi/config",
        "/api/config/",
        "/api/config%00",
        "/v1/../api/config",
        "/anthropic/api/config",
    ] {
        let line = format!("GET {path}");
        let closed = ask(&gateway, &line, "localhost", "", "").status;
        assert!(matches!(closed, 400 | 401 | 404), "{path}: {closed}");
        let open = ask(
            &gateway,
            &line,
            "localhost",
            &format!("Authorization: Bearer {ADMIN_KEY}\r\n"),
            "",
        )
        .status;
        assert!(matches!(open, 400 | 404), "{path} with the key: {open}");
    }
}

#[test]
fn a_process_of_another_user_is_not_let_in() {
    let (gateway, key) = generated();
    let url = format!("http://127.0.0.1:{}/api/config", gateway.addr.port());
    let curl = |prefix: &[&str], more: &[&str]| {
        let mut words = prefix.to_vec();
        words.extend(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}"]);
        words.extend(more);
        words.push(&url);
        let output = Command::new(words[0])
            .args(&words[1..])
            .output()
            .expect("curl runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert_eq!(curl(&[], &[]), "200");
    if !is_root() {
        return; // nobody else can be had; as root, which all.sh in CI is, the rest is checked
    }
    let nobody = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
    ];
    assert_eq!(curl(&nobody, &[]), "401");
    let bearer = format!("Authorization: Bearer {key}");
    assert_eq!(curl(&nobody, &["-H", &bearer]), "200");
}

#[test]
fn root_may_come_to_a_gateway_of_another_user_but_others_may_not() {
    if !is_root() {
        return; // needs two users
    }
    let gateway = Gateway::build()
        .config(demo_config())
        .env("PUID", "23456")
        .env("PGID", "23456")
        .start();
    gateway.wait_for_line("WebUI: ");
    assert_eq!(local(&gateway, ""), 200);
    let port = gateway.addr.port();
    for (uid, expected) in [("23456", "200"), ("23457", "401")] {
        let output = Command::new("setpriv")
            .args([
                &format!("--reuid={uid}"),
                "--regid=23456",
                "--clear-groups",
                "curl",
                "-s",
                "-o",
                "/dev/null",
                "-w",
                "%{http_code}",
            ])
            .arg(format!("http://localhost:{port}/api/config"))
            .output()
            .expect("setpriv runs");
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            expected,
            "uid {uid}"
        );
    }
}

#[test]
fn a_dual_stack_listener_knows_its_loopback_peers() {
    let gateway = Gateway::build()
        .config(demo_config())
        .addr("[::]:0")
        .start();
    gateway.wait_for_line("WebUI: http://127.0.0.1:");
    let port = gateway.addr.port();
    for addr in [format!("127.0.0.1:{port}"), format!("[::1]:{port}")] {
        let mut client = Client::connect(addr.parse().expect("an address"));
        let reply = client
            .send("GET /api/config HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .read_reply();
        assert_eq!(reply.status, 200, "{addr}");
    }
}

/// Debian's nginx as it comes, with one server for each line of `locations`.
struct Nginx(Child);

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

#[test]
fn a_stock_nginx_in_front_is_not_taken_for_the_user() {
    if !is_root() {
        return; // its workers would be of the same user; the README says that a proxy needs an admin_key
    }
    let (gateway, key) = generated();
    let ports = [0, 0].map(|_| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.local_addr().expect("its address").port()
    });
    let to = gateway.addr.port();
    let folder = gateway.dir.0.join("nginx");
    std::fs::create_dir(&folder).expect("a folder");
    let server = |port: u16, version: &str| {
        format!(
            "server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://127.0.0.1:{to}; proxy_http_version {version}; }} }}\n"
        )
    };
    let config = format!(
        "user www-data;\nworker_processes 1;\npid {0}/pid;\nerror_log {0}/error.log;\nevents {{}}\nhttp {{ access_log off;\n{1}{2}}}\n",
        folder.display(),
        server(ports[0], "1.0"),
        server(ports[1], "1.1")
    );
    let path = gateway.dir.write("nginx/nginx.conf", config);
    let child = Command::new("/usr/sbin/nginx")
        .arg("-c")
        .arg(path)
        .args(["-g", "daemon off;"])
        .stderr(Stdio::null())
        .spawn()
        .expect("nginx is installed by tests/all.sh");
    let _nginx = Nginx(child);
    for port in ports {
        let addr = std::net::SocketAddr::from(([127, 0, 0, 1], port));
        poll("nginx to listen", PATIENCE, || {
            std::net::TcpStream::connect(addr).ok()
        });
        let ask = |fields: &str| {
            let bytes = format!(
                "GET /api/config HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n{fields}\r\n"
            );
            Client::connect(addr).send(bytes).read_reply().status
        };
        assert_eq!(ask(""), 401);
        assert_eq!(ask(&format!("Authorization: Bearer {key}\r\n")), 200);
    }
}

#[test]
fn a_foreign_page_changes_nothing_in_any_content_type() {
    let (gateway, key) = generated();
    let before = ask(&gateway, "GET /api/config", "localhost", "", "").text();
    let kinds = [
        "application/json",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
    ];
    for origin in [
        "http://evil.example",
        "null",
        "https://localhost",
        "http://localhost:1",
    ] {
        for kind in kinds {
            for line in [
                "PUT /api/config",
                "POST /api/login",
                "POST /api/logout",
                "DELETE /api/debug",
                "POST /api/upstream-models/alias",
                "POST /api/try/v1/chat/completions",
            ] {
                let fields = format!(
                    "Origin: {origin}\r\nContent-Type: {kind}\r\nAuthorization: Bearer {key}\r\n"
                );
                let reply =
                    ask(&gateway, line, "localhost", &fields, r#"{"aliases":[]}"#).expect(403);
                assert_eq!(reply.header("access-control-allow-origin"), None);
            }
        }
    }
    // Without an Origin, as old browsers send forms: the type alone stops it.
    for kind in &kinds[1..] {
        let reply = ask(
            &gateway,
            "PUT /api/config",
            "localhost",
            &format!("Content-Type: {kind}\r\n"),
            r#"{"aliases":[]}"#,
        );
        assert_eq!(reply.status, 415, "{kind}");
    }
    let preflight = ask(
        &gateway,
        "OPTIONS /api/config",
        "localhost",
        "Origin: http://evil.example\r\nAccess-Control-Request-Method: PUT\r\n",
        "",
    );
    assert_eq!(preflight.header("access-control-allow-origin"), None);
    assert_eq!(
        ask(&gateway, "GET /api/config", "localhost", "", "").text(),
        before
    );
    // The page's own may, behind a proxy with TLS, too.
    let own = "Origin: https://gw.example\r\nX-Forwarded-Proto: https\r\nContent-Type: application/json\r\n";
    let fields = format!("{own}Authorization: Bearer {key}\r\n");
    ask(
        &gateway,
        "PUT /api/config",
        "gw.example",
        &fields,
        r#"{"debug_header":true}"#,
    )
    .expect(200);
}

#[test]
fn a_session_opens_lasts_and_ends() {
    let gateway = guarded(demo_config());
    let login = |key: &str, more: &str| {
        let fields = format!("Content-Type: application/json\r\n{more}");
        ask(
            &gateway,
            "POST /api/login",
            "gw.example",
            &fields,
            &json!({"key": key}).to_string(),
        )
    };
    assert_eq!(login("wrong", "").expect(401).header("set-cookie"), None);
    let cookie = login(ADMIN_KEY, "")
        .expect(200)
        .header("set-cookie")
        .expect("a cookie");
    for part in [
        "; HttpOnly",
        "; SameSite=Strict",
        "; Path=/",
        "; Max-Age=86400",
    ] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Secure"), "{cookie}");
    let secure = login(
        ADMIN_KEY,
        "Origin: https://gw.example\r\nX-Forwarded-Proto: https\r\n",
    );
    assert!(
        secure
            .expect(200)
            .header("set-cookie")
            .expect("a cookie")
            .ends_with("; Secure")
    );
    let pair = cookie.split(';').next().expect("its first part").to_owned();
    let with = |line: &str| {
        ask(
            &gateway,
            line,
            "gw.example",
            &format!("Cookie: a=b; {pair}\r\n"),
            "",
        )
    };
    let session = with("GET /api/session").expect(200).json();
    assert_eq!(session["via"], "session");
    assert!(session["expires_in_s"].as_u64() > Some(86_000));
    with("GET /api/config").expect(200);
    let anyone = ask(&gateway, "GET /api/session", "gw.example", "", "")
        .expect(200)
        .json();
    assert_eq!(anyone, json!({"authenticated": false, "via": null}));
    let cleared = with("POST /api/logout")
        .expect(200)
        .header("set-cookie")
        .expect("a cookie");
    assert!(
        cleared.contains("llm_wrapper_session=;") && cleared.contains("Max-Age=0"),
        "{cleared}"
    );
    with("GET /api/config").expect(401);
}

#[test]
fn another_admin_key_ends_the_sessions_of_the_old_one() {
    let gateway = Gateway::start(format!(
        "{}admin_key: first-key-0123456789\n",
        demo_config()
    ));
    let bearer = "Authorization: Bearer first-key-0123456789\r\nContent-Type: application/json\r\n";
    let reply = ask(
        &gateway,
        "POST /api/login",
        "gw",
        bearer,
        r#"{"key":"first-key-0123456789"}"#,
    );
    let cookie = reply.expect(200).header("set-cookie").expect("a cookie");
    let cookie = format!(
        "Cookie: {}\r\n",
        cookie.split(';').next().expect("its first part")
    );
    ask(&gateway, "GET /api/config", "gw", &cookie, "").expect(200);
    ask(
        &gateway,
        "PUT /api/config",
        "gw",
        bearer,
        r#"{"admin_key":"second-key-0123456789"}"#,
    )
    .expect(200);
    ask(&gateway, "GET /api/config", "gw", &cookie, "").expect(401);
    ask(
        &gateway,
        "GET /api/config",
        "gw",
        "Authorization: Bearer second-key-0123456789\r\n",
        "",
    )
    .expect(200);
}

#[test]
fn wrong_keys_are_slowed_down_and_the_right_one_still_opens() {
    let gateway = guarded(demo_config());
    let wrong = |n: usize| local(&gateway, &format!("Authorization: Bearer wrong-{n}\r\n"));
    let begun = Instant::now();
    for n in 0..6 {
        assert_eq!(wrong(n), 401);
    }
    // 0, 0, 0, 100, 200 ms: the sixth waited for the fifth's.
    assert!(
        begun.elapsed() >= Duration::from_millis(290),
        "{:?}",
        begun.elapsed()
    );
    // Many at the same time are not faster: most are refused unheard.
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let tries: Vec<_> = (0..24).map(|n| scope.spawn(move || wrong(n))).collect();
        tries
            .into_iter()
            .map(|one| one.join().expect("a status"))
            .collect()
    });
    let refused = statuses.iter().filter(|status| **status == 429).count();
    assert!(refused >= 16, "{statuses:?}");
    assert!(
        statuses.iter().all(|status| matches!(status, 401 | 429)),
        "{statuses:?}"
    );
    let right = poll("the right key to be heard", PATIENCE, || {
        let reply = ask(
            &gateway,
            "GET /api/config",
            "localhost",
            &format!("Authorization: Bearer {ADMIN_KEY}\r\n"),
            "",
        );
        if reply.status == 429 {
            assert!(reply.header("retry-after").is_some());
            return None;
        }
        Some(reply.status)
    });
    assert_eq!(right, 200);
}

// ------------------------------------------------------------------------------------------------------- configuration

fn put(gateway: &Gateway, body: &Value) -> Reply {
    gateway.admin("PUT", "/api/config", &body.to_string())
}

fn config(gateway: &Gateway) -> Value {
    gateway.admin("GET", "/api/config", "").expect(200).json()
}

fn file(gateway: &Gateway) -> String {
    std::fs::read_to_string(gateway.dir.0.join("config.yaml")).expect("the configuration")
}

#[test]
fn no_key_is_ever_shown_and_what_is_shown_can_be_put_back() {
    let gateway = guarded(format!(
        "{}admin_key: file-admin-key-0123\nclient_api_keys: [sk-client-0123456789]\nmy_note: 7\nproxy: http://u:proxy-word-0123@p:1\n",
        demo_config()
    ));
    let shown = gateway.admin("GET", "/api/config", "").expect(200);
    let etag = shown.header("etag").expect("an entity tag");
    for secret in [
        UPSTREAM_KEY,
        "sk-client-0123456789",
        "file-admin-key",
        ADMIN_KEY,
        "proxy-word-0123",
        "my_note",
    ] {
        assert!(
            !shown.text().contains(secret),
            "{secret} in {}",
            shown.text()
        );
    }
    assert_eq!(
        shown.json()["upstreams"][0]["auth"]["key"],
        "sk-u••••••6789"
    );
    assert_eq!(
        put(&gateway, &shown.json()).expect(200).json()["success"],
        true
    );
    for kept in [
        UPSTREAM_KEY,
        "sk-client-0123456789",
        "file-admin-key-0123",
        "u:proxy-word-0123@",
        "my_note: 7",
    ] {
        assert!(
            file(&gateway).contains(kept),
            "{kept} not in {}",
            file(&gateway)
        );
    }
    assert_eq!(config(&gateway), shown.json());
    assert!(
        gateway.admin("GET", "/api/config", "").header("etag") != Some(etag),
        "the file's form has changed"
    );
}

#[test]
fn a_stored_key_is_never_sent_to_a_new_address() {
    let gateway = guarded(demo_config());
    let before = file(&gateway);
    let mut changed = config(&gateway);
    changed["upstreams"][0]["base_url"] = json!("http://evil.example");
    let refused = put(&gateway, &changed).expect(400).json();
    assert_eq!(refused["success"], false);
    assert_eq!(refused["problems"][0]["path"], "upstreams[0].auth.key");
    assert_eq!(file(&gateway), before);
    changed["upstreams"][0]["auth"]["key"] = json!("sk-typed-again");
    put(&gateway, &changed).expect(200);
    assert!(file(&gateway).contains("sk-typed-again") && !file(&gateway).contains(UPSTREAM_KEY));
}

#[test]
fn all_problems_are_said_at_once_and_nothing_changes() {
    let gateway = guarded(demo_config());
    let (before, shown) = (file(&gateway), config(&gateway));
    let bad = json!({
        "upstreams": [{"name": "a", "base_url": "ftp://a"}, {"name": "a", "base_url": "http://b", "auth": {"type": "api_key", "key": "••••••"}}],
        "aliases": [{"alias": "", "target_model": "t", "upstream": "a"}, {"alias": "x", "target_model": "t", "upstream": "gone"}],
        "limits": {"max_body_mb": "many"},
    });
    let refused = put(&gateway, &bad).expect(400).json();
    let mut paths: Vec<_> = refused["problems"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|p| p["path"].as_str().expect("a path").to_owned())
        .collect();
    paths.sort();
    assert_eq!(
        paths,
        [
            "aliases[0].alias",
            "aliases[1].upstream",
            "limits.max_body_mb",
            "upstreams[0].base_url",
            "upstreams[1].auth.key",
            "upstreams[1].name"
        ]
    );
    assert!(
        refused["error"]
            .as_str()
            .expect("a sentence")
            .contains("(and 5 more)")
    );
    for body in [
        "",
        "[]",
        "{",
        "{\"a\":1}x",
        "null",
        r#"{"aliases":1e999}"#,
        r#"{"a":12345678901234567890123}"#,
        r#"{"aliases":[],"aliases":[]}"#,
    ] {
        gateway.admin("PUT", "/api/config", body).expect(400);
    }
    assert_eq!((file(&gateway), config(&gateway)), (before, shown));
}

#[test]
fn left_out_stays_null_clears_and_a_stale_tag_is_refused() {
    let gateway = guarded(format!(
        "{}client_api_keys: [sk-client-0123456789]\n",
        demo_config()
    ));
    let etag = gateway
        .admin("GET", "/api/config", "")
        .header("etag")
        .expect("an entity tag");
    let with = |tag: &str, body: Value| {
        let fields = format!("Authorization: Bearer {ADMIN_KEY}\r\nIf-Match: {tag}\r\n");
        gateway
            .client()
            .send(request("PUT", "/api/config", &fields, body.to_string()))
            .read_reply()
    };
    let next = with(&etag, json!({"aliases": []}))
        .expect(200)
        .header("etag")
        .expect("the new tag");
    let stale = with(&etag, json!({"debug_header": false})).expect(412);
    assert_eq!(stale.header("etag").as_deref(), Some(next.as_str()));
    let shown = config(&gateway);
    assert_eq!(shown["aliases"], json!([]));
    assert_eq!(shown["client_api_keys"][0]["name"], "client-1");
    with(
        &format!("\"other\", {next}"),
        json!({"client_api_keys": null, "debug_header": false}),
    )
    .expect(200);
    with("*", json!({"allow_protocol_conversion": false})).expect(200);
    let shown = config(&gateway);
    assert_eq!(shown["client_api_keys"], json!([]));
    assert_eq!(shown["debug_header"], false);
    assert_eq!(shown["allow_protocol_conversion"], false);
    assert_eq!(gateway.get("/v1/models").status, 200, "the keys are gone");
}

#[test]
fn a_change_takes_effect_at_once_and_a_hand_edit_is_not_undone() {
    let upstream = Upstream::always(plain_answer());
    let gateway = guarded(demo_config());
    let mut wanted = config(&gateway);
    wanted["upstreams"][0]["base_url"] = json!(upstream.base_url());
    wanted["upstreams"][0]["auth"]["key"] = json!("sk-new-0123456789");
    put(&gateway, &wanted).expect(200);
    gateway
        .post("/v1/chat/completions", r#"{"model":"m","messages":[]}"#)
        .expect(200);
    assert_eq!(
        upstream.only_request().header("authorization").as_deref(),
        Some("Bearer sk-new-0123456789")
    );
    // By hand, and at once a change of something else, before anyone looked at the file.
    let by_hand = file(&gateway).replace("alias: m", "alias: by-hand");
    gateway.edit_config(&by_hand);
    put(&gateway, &json!({"debug_header": false})).expect(200);
    assert_eq!(config(&gateway)["aliases"][0]["alias"], "by-hand");
    assert!(file(&gateway).contains("by-hand") && file(&gateway).contains("debug_header: false"));
    // An edit that is not valid is not destroyed either.
    gateway.edit_config("upstreams: [{name: broken}]\n");
    let refused = put(&gateway, &json!({"debug_header": true})).expect(409);
    assert!(
        refused.error_message().contains("upstreams[0].base_url"),
        "{}",
        refused.text()
    );
    let status = gateway.admin("GET", "/api/status", "").expect(200).json();
    assert_eq!(status["config"]["state"], "invalid");
    assert_eq!(
        status["config"]["problems"][0]["path"],
        "upstreams[0].base_url"
    );
    assert_eq!(file(&gateway), "upstreams: [{name: broken}]\n");
}

#[test]
fn comments_are_kept_once_and_it_is_said() {
    let text = format!("# mine\n{}", demo_config());
    let gateway = guarded(text.clone());
    let kept = put(&gateway, &json!({"debug_header": false}))
        .expect(200)
        .json()["kept"]
        .clone();
    let kept = kept.as_str().expect("a path");
    assert_eq!(std::fs::read_to_string(kept).expect("the copy"), text);
    assert_eq!(
        put(&gateway, &json!({"debug_header": true}))
            .expect(200)
            .json()["kept"],
        Value::Null
    );
}

#[test]
fn what_cannot_be_saved_is_not_changed() {
    // A folder that takes no file, also not from root.
    let gateway = guarded(demo_config());
    let path = gateway.dir.0.join("config.yaml");
    let moved = gateway.dir.0.join("away");
    std::fs::rename(&path, &moved).expect("a rename");
    std::os::unix::fs::symlink("/proc/config.yaml", &path)
        .expect("a link to where nothing can be made");
    let refused = put(&gateway, &json!({"aliases": []})).expect(409);
    assert!(
        refused.error_message().contains("cannot be written by uid"),
        "{}",
        refused.text()
    );
    assert_eq!(
        config(&gateway)["aliases"].as_array().map(Vec::len),
        Some(1)
    );
    let alias = gateway.admin(
        "POST",
        "/api/upstream-models/alias",
        r#"{"upstream":"up","model":"x"}"#,
    );
    assert_eq!(alias.expect(409).json()["success"], false);
}

#[test]
fn changes_at_the_same_time_are_one_after_another() {
    let gateway = guarded(demo_config());
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let gateway = &gateway;
            scope.spawn(move || {
                for n in 0..8 {
                    let body = format!(r#"{{"upstream":"up","model":"model-{thread}-{n}"}}"#);
                    gateway
                        .admin("POST", "/api/upstream-models/alias", &body)
                        .expect(200);
                }
            });
        }
        for n in 0..8 {
            let body = json!({"limits": {"max_body_mb": n + 1}});
            put(&gateway, &body).expect(200);
        }
    });
    let shown = config(&gateway);
    assert_eq!(shown["aliases"].as_array().map(Vec::len), Some(33));
    assert_eq!(shown["limits"]["max_body_mb"], 8);
    let lines = gateway.log();
    assert!(
        !lines.iter().any(|line| line.contains("was reloaded")),
        "our own saves are no edits"
    );
}

#[test]
fn a_kill_in_a_storm_of_changes_leaves_the_old_file_or_the_new_one() {
    const KILLS: usize = 200;
    let begun = Instant::now();
    let body = |mark: &str| {
        let aliases: Vec<_> = (0..120)
            .map(|n| json!({"alias": format!("{mark}-{n}"), "target_model": "t", "upstream": "up"}))
            .collect();
        json!({"aliases": aliases}).to_string()
    };
    let bodies = [body("a"), body("b")];
    let mut config = demo_config();
    // Both texts, as they are when nothing disturbs.
    let whole: Vec<String> = {
        let gateway = guarded(config.clone());
        bodies
            .iter()
            .map(|body| {
                gateway.admin("PUT", "/api/config", body).expect(200);
                file(&gateway)
            })
            .collect()
    };
    let mut seen = [0, 0];
    let mut start: Start = Gateway::build();
    for n in 0..KILLS {
        let mut gateway = start
            .config(config.clone())
            .env("ADMIN_KEY", ADMIN_KEY)
            .env("LOG", "info")
            .start();
        let addr = gateway.addr;
        let storm: Vec<_> = (0..2).map(|thread| {
            let bodies = bodies.clone();
            std::thread::spawn(move || {
                for turn in thread.. {
                    let fields = format!("Authorization: Bearer {ADMIN_KEY}\r\nContent-Type: application/json\r\n");
                    let body = &bodies[turn % 2];
                    let bytes = format!("PUT /api/config HTTP/1.1\r\nHost: a\r\n{fields}Content-Length: {}\r\n\r\n{body}", body.len());
                    use std::io::{Read, Write};
                    let Ok(mut stream) = std::net::TcpStream::connect(addr) else { return };
                    let mut room = [0; 4096];
                    if stream.write_all(bytes.as_bytes()).is_err() || !matches!(stream.read(&mut room), Ok(n) if n > 0) {
                        return;
                    }
                }
            })
        }).collect();
        std::thread::sleep(Duration::from_micros(300 * (n as u64 % 40)));
        gateway.signal("KILL");
        gateway.wait_for_exit();
        for one in storm {
            one.join().expect("it saw the end");
        }
        let text = file(&gateway);
        match whole.iter().position(|whole| *whole == text) {
            Some(which) => seen[which] += 1,
            None => assert_eq!(text, config, "after kill {n}"),
        }
        config = text;
        start = Gateway::build();
    }
    assert!(
        seen[0] + seen[1] > KILLS / 4,
        "the storm never reached the disk: {seen:?}"
    );
    eprintln!(
        "{KILLS} kills in {:?}, the new file found {seen:?} times",
        begun.elapsed()
    );
}

// ------------------------------------------------------------------------------------------------------------- models

fn models_answer(ids: &[&str]) -> Vec<u8> {
    let data: Vec<_> = ids
        .iter()
        .map(|id| json!({"id": id, "object": "model", "max_model_len": 4096}))
        .collect();
    json_answer(200, &json!({"object": "list", "data": data}).to_string())
}

#[test]
fn models_of_all_upstreams_with_the_errors_of_some() {
    let good = Upstream::always(models_answer(&["a", "b"]));
    let bad = Upstream::always(json_answer(
        401,
        r#"{"error":{"message":"bad key sk-second-0123456789"}}"#,
    ));
    let silly = Upstream::always(json_answer(200, r#"{"hello":1}"#));
    let config = format!(
        "upstreams:\n- {{name: one, base_url: {}, auth: {{key: {UPSTREAM_KEY}}}}}\n- {{name: 'two/2', base_url: {}, auth: {{key: sk-second-0123456789}}}}\n- {{name: three, base_url: {}}}\n- {{name: off, base_url: 'http://127.0.0.1:9', enabled: false}}\n- {{name: dead, base_url: 'http://127.0.0.1:9'}}\n",
        good.base_url(),
        bad.base_url(),
        silly.base_url()
    );
    let gateway = guarded(config);
    let all = gateway.admin("GET", "/api/upstream-models", "").expect(200);
    assert!(!all.text().contains("sk-second-0123456789"));
    let all = all.json();
    assert_eq!(all["object"], "list");
    assert_eq!(all["data"], json!(["a", "b"]));
    let names: Vec<_> = all["errors"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|error| error["upstream"].as_str().expect("a name").to_owned())
        .collect();
    assert_eq!(names, ["two/2", "three", "dead"]);
    assert!(
        all["errors"][0]["error"]
            .as_str()
            .expect("a sentence")
            .contains("401: bad key sk-s••••••6789"),
        "{all}"
    );
    assert_eq!(
        all["upstreams"][0]["models"][0],
        json!({"id": "a", "max_model_len": 4096})
    );
    assert_eq!(
        good.only_request().header("authorization"),
        Some(format!("Bearer {UPSTREAM_KEY}"))
    );
    assert_eq!(good.only_request().target(), "/v1/models");
    assert_eq!(
        gateway
            .admin("GET", "/api/upstream-models/one", "")
            .expect(200)
            .json()["data"],
        json!(["a", "b"])
    );
    gateway
        .admin("GET", "/api/upstream-models/two%2F2", "")
        .expect(502);
    gateway
        .admin("GET", "/api/upstream-models/off", "")
        .expect(404);
    gateway
        .admin("GET", "/api/upstream-models/none", "")
        .expect(404);
}

#[test]
fn an_alias_in_one_click_is_saved_and_conflicts_are_said() {
    let gateway = guarded(demo_config());
    let add = |body: &str| gateway.admin("POST", "/api/upstream-models/alias", body);
    assert_eq!(
        add(r#"{"upstream":"up","model":"new/model"}"#)
            .expect(200)
            .json(),
        json!({"success": true, "alias": "new/model"})
    );
    let alias = config(&gateway)["aliases"][1].clone();
    assert_eq!(
        alias,
        json!({"alias": "new/model", "target_model": "new/model", "upstream": "up", "param_overrides": [], "source": "auto"})
    );
    let taken = add(r#"{"upstream":"up","model":"new/model"}"#)
        .expect(409)
        .json();
    assert_eq!(taken["alias"], "new/model");
    add(r#"{"upstream":"gone","model":"x"}"#).expect(400);
    for body in [
        "",
        "[]",
        r#"{"upstream":"up"}"#,
        r#"{"upstream":"up","model":7}"#,
    ] {
        add(body).expect(400);
    }
    assert!(file(&gateway).contains("new/model"));
}

/// An upstream that speaks Chat and Messages, refuses `{}` as they do, and lists a model.
fn speaking() -> Upstream {
    Upstream::script(|mut peer| {
        loop {
            let received = peer.expect()?;
            let answer = match received.target().as_str() {
                "/v1/models" => models_answer(&["a"]),
                "/v1/chat/completions" => json_answer(
                    400,
                    r#"{"error":{"message":"you must provide a model parameter"}}"#,
                ),
                "/v1/messages" => json_answer(
                    400,
                    r#"{"type":"error","error":{"type":"invalid_request_error","message":"model: Field required"}}"#,
                ),
                _ => json_answer(404, r#"{"detail":"Not Found"}"#),
            };
            peer.send(answer)?;
        }
    })
}

#[test]
fn a_test_of_an_upstream_tells_models_and_protocols_and_sends_nothing_that_costs() {
    let upstream = speaking();
    let gateway = guarded(demo_config());
    let test = |body: Value| gateway.admin("POST", "/api/upstream-models/test", &body.to_string());
    let found = test(json!({"base_url": upstream.base_url(), "api_key": "sk-typed-0123456789"}))
        .expect(200)
        .json();
    assert_eq!(found["data"], json!(["a"]));
    assert_eq!(found["models_error"], Value::Null);
    assert_eq!(found["protocols"]["chat"]["speaks"], true);
    assert_eq!(found["protocols"]["responses"]["speaks"], false);
    assert_eq!(found["protocols"]["messages"]["speaks"], true);
    for n in 0..4 {
        let asked = upstream.request(n);
        assert!(
            asked.body.is_empty() || asked.body == b"{}",
            "{}",
            asked.text()
        );
        assert_eq!(
            asked.header("authorization").as_deref(),
            Some("Bearer sk-typed-0123456789")
        );
    }
    test(json!({"base_url": "http://127.0.0.1:9"})).expect(502);
    test(json!({"base_url": ""})).expect(400);
    test(json!({})).expect(400);
    test(json!({"base_url": upstream.base_url(), "api_key": "sk-u••••••6789"})).expect(400);
    assert!(!file(&gateway).contains("sk-typed"), "nothing is saved");
}

#[test]
fn a_test_uses_a_stored_key_at_its_own_address_only() {
    let upstream = speaking();
    let thief = speaking();
    let gateway = guarded(config_for(&upstream));
    let test = |url: String| {
        let body = json!({"base_url": url, "api_key": "sk-u••••••6789", "upstream": "up"});
        gateway.admin("POST", "/api/upstream-models/test", &body.to_string())
    };
    test(upstream.base_url()).expect(200);
    assert_eq!(
        upstream.request(0).header("authorization"),
        Some(format!("Bearer {UPSTREAM_KEY}"))
    );
    let refused = test(thief.base_url()).expect(400).json();
    assert_eq!(refused["problems"][0]["path"], "api_key");
    assert_eq!(thief.connections(), 0);
}

// --------------------------------------------------------------------------------------------------------- the others

#[test]
fn the_playground_needs_no_client_key_and_passes_nothing_of_the_admins_on() {
    let upstream = Upstream::always(plain_answer());
    let gateway = guarded(format!(
        "{}client_api_keys: [sk-client-0123456789]\n",
        config_for(&upstream)
    ));
    gateway
        .post("/v1/chat/completions", r#"{"model":"m"}"#)
        .expect(401);
    let fields = format!(
        "Authorization: Bearer {ADMIN_KEY}\r\nCookie: llm_wrapper_session=x\r\nOrigin: http://gateway\r\n"
    );
    let reply = gateway
        .client()
        .send(post(
            "/api/try/v1/chat/completions",
            &fields,
            r#"{"model":"m"}"#,
        ))
        .read_reply()
        .expect(200);
    assert_eq!(reply.header("access-control-allow-origin"), None);
    let head = String::from_utf8_lossy(&upstream.only_request().head).to_lowercase();
    assert!(
        !head.contains("cookie") && !head.contains(ADMIN_KEY) && !head.contains("origin"),
        "{head}"
    );
    assert_eq!(upstream.only_request().target(), "/v1/chat/completions");
    let models = gateway
        .admin("GET", "/api/try/v1/models", "")
        .expect(200)
        .json();
    assert_eq!(models["data"][0]["id"], "m");
    let unknown = gateway
        .admin("POST", "/api/try/v1/messages", r#"{"model":"x"}"#)
        .expect(404)
        .json();
    assert_eq!(unknown["type"], "error");
    gateway
        .admin("POST", "/api/try/api/config", "{}")
        .expect(404);
}

#[test]
fn version_status_methods_and_unknown_paths() {
    let gateway = guarded(demo_config());
    assert_eq!(
        gateway.admin("GET", "/api/version", "").expect(200).json(),
        json!({"version": env!("CARGO_PKG_VERSION")})
    );
    let status = gateway.admin("GET", "/api/status", "").expect(200).json();
    assert_eq!(status["config"]["state"], "ok");
    assert_eq!(
        status["config"]["path"],
        json!(gateway.dir.0.join("config.yaml").display().to_string())
    );
    assert_eq!(status["admin_key"], "configured");
    let build = status["build"].as_str().expect("a build");
    assert!(build.starts_with(std::env::consts::ARCH), "{build}");
    assert!(status["resident_bytes"].as_u64() > Some(1_000_000));
    let wrong = gateway.admin("DELETE", "/api/config", "").expect(405);
    assert_eq!(
        wrong.header("allow").as_deref(),
        Some("GET, HEAD, PUT, OPTIONS")
    );
    assert!(wrong.json()["error"].is_string());
    gateway.admin("GET", "/api/nothing", "").expect(404);
    let any = gateway.admin("GET", "/api/status", "");
    assert_eq!(any.header("cache-control").as_deref(), Some("no-store"));
    assert_eq!(
        any.header("x-content-type-options").as_deref(),
        Some("nosniff")
    );
}

#[test]
fn every_row_of_the_readmes_api_tables_works_as_pasted() {
    let readme =
        std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md"))
            .expect("README.md");
    let section = readme
        .split("\n## Management API")
        .nth(1)
        .expect("the section");
    let section = section.split("\n## ").next().expect("its end");
    let curls: Vec<String> = section
        .lines()
        .filter(|line| line.starts_with('|'))
        .flat_map(|line| {
            line.split('`')
                .skip(1)
                .step_by(2)
                .map(|code| code.replace("\\|", "|"))
                .collect::<Vec<_>>()
        })
        .filter(|code| code.starts_with("curl "))
        .collect();
    assert!(curls.len() >= 18, "{curls:?}");
    let upstream = speaking();
    let gateway = Gateway::start(
        config_for(&upstream)
            .replace("name: up", "name: qwen-test")
            .replace("upstream: up", "upstream: qwen-test"),
    );
    let key = gateway.wait_for_line("#key=");
    let key = key.split("#key=").nth(1).expect("the key").to_owned();
    // Something to find in the debug rows.
    gateway
        .post("/v1/chat/completions", r#"{"model":"m","messages":[]}"#)
        .expect(400);
    let record = ask(&gateway, "GET /api/debug", "localhost", "", "").json();
    let id = record["id"].as_str().expect("an id").to_owned();
    for curl in curls {
        let command = curl
            .replace(
                "localhost:3000",
                &format!("localhost:{}", gateway.addr.port()),
            )
            .replace("req_ID", &id)
            .replace("curl ", "curl -sS --fail-with-body --max-time 2 ");
        let output = Command::new("/bin/sh")
            .arg("-c")
            .arg(&command)
            .env("ADMIN_KEY", &key)
            .current_dir(&gateway.dir.0)
            .output()
            .expect("a shell");
        let (out, err) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        let watches = curl.contains("/api/debug/stream"); // it has no end of its own
        assert!(
            output.status.success() || (watches && out.contains(": watching")),
            "{command}\n{out}{err}"
        );
        assert!(!out.is_empty(), "{command}");
    }
}
