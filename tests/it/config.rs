//! The configuration file: checked, watched, never half read (rules 48 and 49).

use crate::support::gateway::{ADMIN_KEY, UPSTREAM_KEY, config_at, config_for};
use crate::support::{Gateway, PATIENCE, Upstream, plain_answer, poll};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const CHAT: &str = "/v1/chat/completions";
const BODY: &str = r#"{"model":"m"}"#;
/// Edits take effect within two seconds; the rest is for a busy machine.
const RELOAD: Duration = Duration::from_millis(2_500);

/// Ends the busy threads, also when the test fails before its end.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Asks until the upstream is sent that model.
#[track_caller]
fn wait_for_model(gateway: &Gateway, upstream: &Upstream, model: &str, within: Duration) {
    let wanted = format!("{{\"model\":\"{model}\"}}");
    poll(model, within, || {
        gateway.post(CHAT, BODY).expect(200);
        let last = upstream.request(upstream.requests() - 1).text();
        (last == wanted).then_some(())
    });
}

#[test]
fn check_says_yes_to_a_good_configuration_and_starts_nothing() {
    let upstream = Upstream::always(plain_answer());
    let (code, out, err) = Gateway::build()
        .config(config_for(&upstream))
        .arg("--check")
        .run();
    assert_eq!(code, 0, "{out}{err}");
    assert!(!err.contains("listening"), "{err}");
}

#[test]
fn check_reports_every_problem_with_its_path() {
    let config = "
upstreams:
  - {name: a, base_url: 'http://127.0.0.1:1'}
  - {name: a, base_url: 'http://127.0.0.1:2'}
  - {name: b, base_url: 'not a url'}
  - {name: '', base_url: 'http://127.0.0.1:3'}
  - {name: c, base_url: 'http://127.0.0.1:4', auth: {type: api_key, key: \"sk-secret\\nX: y\"}}
  - {name: d, base_url: 'http://127.0.0.1:4', auth: {type: api_key, key: '${NO_SUCH_NAME}'}}
  - {name: e, base_url: 'http://127.0.0.1:4', flags: {no_such_flag: true}}
aliases:
  - {alias: x, target_model: t, upstream: a}
  - {alias: x, target_model: t, upstream: a}
  - {alias: y, target_model: t, upstream: nowhere}
  - alias: z
    target_model: t
    upstream: a
    param_overrides: [{key: temperature, value: .nan, mode: default}, {key: model, value: q, mode: override}]
unknown_key: 1
";
    let (code, out, err) = Gateway::build().config(config).arg("--check").run();
    let text = format!("{out}{err}");
    assert_eq!(code, 1, "{text}");
    for path in [
        "upstreams[1]",
        "upstreams[2].base_url",
        "upstreams[3].name",
        "upstreams[4].auth.key",
        "upstreams[5].auth.key",
        "upstreams[6].flags",
        "aliases[1]",
        "aliases[2].upstream",
        "aliases[3].param_overrides[0]",
        "aliases[3].param_overrides[1]",
        "NO_SUCH_NAME",
        "nowhere",
    ] {
        assert!(text.contains(path), "no {path} in:\n{text}");
    }
    assert!(text.contains("unknown_key"), "{text}");
    assert!(!text.contains("sk-secret"), "{text}");
}

#[test]
fn an_unknown_key_is_a_warning_and_never_an_error() {
    let upstream = Upstream::always(plain_answer());
    let config = config_for(&upstream);
    let config =
        format!("{config}surprise: 1\n").replace("    auth:", "    surprice: 2\n    auth:");
    let gateway = Gateway::start(config.clone());
    gateway.post(CHAT, BODY).expect(200);
    gateway.wait_for_line("surprise");
    gateway.wait_for_line("surprice");
    let (code, _, _) = Gateway::build().config(config).arg("--check").run();
    assert_eq!(code, 0);
}

#[test]
fn a_missing_file_starts_empty_and_says_so() {
    let gateway = Gateway::build().start();
    gateway.wait_for_line("no configuration file");
    assert_eq!(
        gateway.get("/v1/models").expect(200).json()["data"],
        serde_json::json!([])
    );
    gateway.post(CHAT, BODY).expect(404);
    // And is read when it comes.
    let upstream = Upstream::always(plain_answer());
    gateway.edit_config(&config_for(&upstream));
    poll("the new file", RELOAD, || {
        (gateway.post(CHAT, BODY).status == 200).then_some(())
    });
}

#[test]
fn rule_49_an_edit_a_rename_and_sighup_take_effect_without_losing_a_request() {
    let upstream = Upstream::always(plain_answer());
    let gateway = Gateway::to(&upstream);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let end = StopOnDrop(&stop);
        let busy: Vec<_> = (0..3)
            .map(|_| {
                let (gateway, stop) = (&gateway, &stop);
                scope.spawn(move || {
                    let mut client = gateway.client();
                    let mut done = 0;
                    while !stop.load(Ordering::SeqCst) {
                        client.post(CHAT, BODY).expect(200);
                        done += 1;
                    }
                    done
                })
            })
            .collect();
        let edited = |model: &str| config_for(&upstream).replace("target-model", model);
        let seen = |model: &str, within: Duration| {
            let wanted = format!("{{\"model\":\"{model}\"}}");
            upstream.request(0); // the first has come
            poll(model, within, || {
                let last = upstream.request(upstream.requests() - 1).text();
                (last == wanted).then_some(())
            });
        };
        gateway.edit_config(&edited("by-edit"));
        seen("by-edit", RELOAD);
        let aside = gateway.dir.write("config.new", edited("by-rename"));
        std::fs::rename(aside, gateway.dir.0.join("config.yaml")).expect("a rename");
        seen("by-rename", RELOAD);
        // The same length, within the same second.
        gateway.edit_config(&edited("by-editt"));
        gateway.edit_config(&edited("by-edit2"));
        seen("by-edit2", RELOAD);
        for round in 0..3 {
            gateway.edit_config(&edited(&format!("by-hup-{round}")));
            gateway.signal("HUP");
            seen(&format!("by-hup-{round}"), Duration::from_millis(800));
        }
        drop(end);
        for thread in busy {
            assert!(thread.join().expect("no request failed") > 0);
        }
    });
}

#[test]
fn rule_49_a_swapped_symlink_is_followed() {
    let upstream = Upstream::always(plain_answer());
    let build = Gateway::build();
    let dir = build.folder().to_path_buf();
    // As Kubernetes mounts a ConfigMap: config.yaml -> ..data/config.yaml, ..data -> a folder with a date.
    for (folder, model) in [("..one", "one"), ("..two", "two")] {
        std::fs::create_dir(dir.join(folder)).expect("a folder");
        let text = config_for(&upstream).replace("target-model", model);
        std::fs::write(dir.join(folder).join("config.yaml"), text).expect("a file");
    }
    symlink("..one", dir.join("..data")).expect("a link");
    symlink("..data/config.yaml", dir.join("config.yaml")).expect("a link");
    let gateway = build.start();
    wait_for_model(&gateway, &upstream, "one", RELOAD);
    symlink("..two", dir.join("..tmp")).expect("a link");
    std::fs::rename(dir.join("..tmp"), dir.join("..data")).expect("a rename");
    wait_for_model(&gateway, &upstream, "two", RELOAD);
}

#[test]
fn rule_49_an_empty_or_invalid_edit_is_ignored_with_a_reason() {
    let upstream = Upstream::always(plain_answer());
    let gateway = Gateway::to(&upstream);
    let good = config_for(&upstream);
    let laughs = {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
        for level in 1..12 {
            let row = vec![format!("*a{}", level - 1); 9].join(", ");
            text.push_str(&format!("a{level}: &a{level} [{row}]\n"));
        }
        text
    };
    let bad = [
        String::new(),
        "   \n".to_string(),
        "upstreams: [".to_string(),
        "upstreams: 7\n".to_string(),
        "- a list\n".to_string(),
        good.replace("upstream: up", "upstream: nowhere"),
        good[..good.len() / 2].to_string() + "\n  ]",
        format!("{good}deep: {}1{}\n", "[".repeat(5_000), "]".repeat(5_000)),
        format!("{good}{laughs}"),
        format!("{good}\u{0}"),
    ];
    for (number, text) in bad.iter().enumerate() {
        let before = gateway.log().len();
        gateway.edit_config(text);
        poll("a line about the bad edit", PATIENCE, || {
            gateway.log()[before..]
                .iter()
                .any(|line| line.contains("WARN") || line.contains("ERROR"))
                .then_some(())
        });
        let reply = gateway.post(CHAT, BODY);
        assert_eq!(reply.status, 200, "after bad edit {number}");
    }
    assert!(gateway.resident_bytes() < 64 << 20);
    gateway.edit_config(&good.replace("target-model", "mended"));
    wait_for_model(&gateway, &upstream, "mended", RELOAD);
    assert!(!gateway.log().join("\n").contains(UPSTREAM_KEY));
}

#[test]
fn what_is_wrong_with_an_edit_stands_in_log_and_status_with_its_line() {
    let upstream = Upstream::always(plain_answer());
    let gateway = administered(&upstream);
    gateway.edit_config(&config_for(&upstream).replace("upstream: up", "upstream: upp"));
    let line = gateway.wait_for_line("is not valid, the running one stays");
    let message = "there is no upstream named \"upp\"; known: up (line ";
    assert!(line.contains("path=aliases[0].upstream reason="), "{line}");
    assert!(line.contains(&message.replace('"', "\\\"")), "{line}");
    let status = gateway.admin("GET", "/api/status", "").expect(200).json();
    assert_eq!(status["config"]["state"], "invalid");
    let problem = &status["config"]["problems"][0];
    assert_eq!(problem["path"], "aliases[0].upstream");
    assert!(
        problem["message"]
            .as_str()
            .is_some_and(|said| said.starts_with(message))
    );
    assert!(problem["line"].is_u64(), "{problem}");
    gateway.edit_config("");
    gateway.wait_for_line("the file is empty, as if half written");
    poll("the state of the emptied file", PATIENCE, || {
        let status = gateway.admin("GET", "/api/status", "").expect(200).json();
        let said = status["config"]["problems"][0]["message"].as_str()?;
        (status["config"]["state"] == "invalid" && said.contains("is empty")).then_some(())
    });
    gateway.post(CHAT, BODY).expect(200);
    gateway.edit_config(&config_for(&upstream));
    poll("the state of the mended file", PATIENCE, || {
        let status = gateway.admin("GET", "/api/status", "").expect(200).json();
        (status["config"]["state"] == "ok").then_some(())
    });
}

/// A gateway with an admin key, before that upstream.
fn administered(upstream: &Upstream) -> Gateway {
    Gateway::build()
        .config(config_for(upstream))
        .env("ADMIN_KEY", ADMIN_KEY)
        .start()
}

/// The running configuration as `/api/config` gives it, with another target model.
#[track_caller]
fn with_model(gateway: &Gateway, model: &str) -> String {
    let mut json = gateway.admin("GET", "/api/config", "").expect(200).json();
    json["aliases"][0]["target_model"] = model.into();
    json.to_string()
}

#[test]
fn rule_48_a_save_is_validated_private_and_atomic() {
    let upstream = Upstream::always(plain_answer());
    let gateway = administered(&upstream);
    let path = gateway.dir.0.join("config.yaml");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).expect("its mode");
    let before = std::fs::metadata(&path).expect("the file");
    let body = with_model(&gateway, "saved");
    gateway.admin("PUT", "/api/config", &body).expect(200);
    // In memory at once, on disk as well, by a rename, with mode and key kept.
    gateway.post(CHAT, BODY).expect(200);
    assert_eq!(upstream.only_request().text(), r#"{"model":"saved"}"#);
    let text = std::fs::read_to_string(&path).expect("the file");
    assert!(
        text.contains("saved") && text.contains(UPSTREAM_KEY),
        "{text}"
    );
    let after = std::fs::metadata(&path).expect("the file");
    assert_eq!(after.mode() & 0o777, 0o640);
    assert_ne!(after.ino(), before.ino(), "it was written in place");
    let left: Vec<_> = std::fs::read_dir(&gateway.dir.0)
        .expect("the folder")
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.contains("tmp") || name.contains("new"))
        .collect();
    assert!(left.is_empty(), "{left:?}");

    // Nothing of a bad one is kept.
    let bad = body.replace("\"upstream\":\"up\"", "\"upstream\":\"nowhere\"");
    assert_ne!(bad, body);
    let reply = gateway.admin("PUT", "/api/config", &bad).expect(400);
    assert!(
        reply.error_message().contains("nowhere"),
        "{}",
        reply.text()
    );
    assert_eq!(std::fs::read_to_string(&path).expect("the file"), text);
    gateway.post(CHAT, BODY).expect(200);
    assert_eq!(upstream.request(1).text(), r#"{"model":"saved"}"#);
}

#[test]
fn rule_48_a_new_file_is_for_its_owner_only() {
    let gateway = Gateway::build().env("ADMIN_KEY", ADMIN_KEY).start();
    let body = r#"{"upstreams":[{"name":"up","base_url":"http://127.0.0.1:9","auth":{"type":"api_key","key":"sk-new-0123456789"}}],"aliases":[]}"#;
    gateway.admin("PUT", "/api/config", body).expect(200);
    let file = std::fs::metadata(gateway.dir.0.join("config.yaml")).expect("it was written");
    assert_eq!(file.mode() & 0o777, 0o600);
}

#[test]
fn rule_48_saves_are_one_after_the_other() {
    let upstream = Upstream::always(plain_answer());
    let gateway = administered(&upstream);
    let body = with_model(&gateway, "MODEL");
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (gateway, body) = (&gateway, &body);
            scope.spawn(move || {
                for round in 0..10 {
                    let text = body.replace("MODEL", &format!("m-{thread}-{round}"));
                    gateway.admin("PUT", "/api/config", &text).expect(200);
                }
            });
        }
    });
    let text =
        std::fs::read_to_string(gateway.dir.0.join("config.yaml")).expect("the configuration");
    let json = gateway.admin("GET", "/api/config", "").expect(200).json();
    let model = json["aliases"][0]["target_model"]
        .as_str()
        .expect("a model");
    assert!(
        text.contains(model),
        "memory has {model}, the disk:\n{text}"
    );
}

#[test]
fn rule_48_kill_9_leaves_the_old_file_or_the_new_one() {
    let upstream = Upstream::always(plain_answer());
    for round in 0..5 {
        let mut gateway = administered(&upstream);
        let body = with_model(&gateway, "MODEL");
        let path = gateway.dir.0.join("config.yaml");
        let addr = gateway.addr;
        let writer = std::thread::spawn(move || {
            for number in 0.. {
                let text = body.replace("MODEL", &format!("m-{number}"));
                let Ok(stream) = std::net::TcpStream::connect(addr) else {
                    return number;
                };
                use std::io::{Read, Write};
                let mut stream = stream;
                let head = format!(
                    "PUT /api/config HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer {ADMIN_KEY}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
                    text.len()
                );
                let mut answer = Vec::new();
                if stream.write_all(head.as_bytes()).is_err()
                    || stream.read_to_end(&mut answer).is_err()
                {
                    return number;
                }
            }
            0
        });
        poll("some saves", Duration::from_secs(5), || {
            std::fs::read_to_string(&path)
                .is_ok_and(|text| text.contains(&format!("m-{}", 3 + round)))
                .then_some(())
        });
        gateway.signal("KILL");
        assert_eq!(gateway.wait_for_exit(), -9);
        writer.join().expect("the writer");
        let text = std::fs::read_to_string(&path).expect("the file is there");
        let (code, out, err) = Gateway::build().config(text.clone()).arg("--check").run();
        assert_eq!(code, 0, "{out}{err}\n{text}");
        assert!(text.contains(UPSTREAM_KEY) && text.contains("m-"), "{text}");
    }
}

#[test]
fn a_save_through_a_symlink_keeps_the_link() {
    let upstream = Upstream::always(plain_answer());
    let build = Gateway::build().env("ADMIN_KEY", ADMIN_KEY);
    let dir = build.folder().to_path_buf();
    std::fs::create_dir(dir.join("real")).expect("a folder");
    std::fs::write(dir.join("real/there.yaml"), config_for(&upstream)).expect("a file");
    symlink("real/there.yaml", dir.join("config.yaml")).expect("a link");
    let gateway = build.start();
    let body = with_model(&gateway, "saved");
    gateway.admin("PUT", "/api/config", &body).expect(200);
    let link = std::fs::symlink_metadata(dir.join("config.yaml")).expect("the link");
    assert!(link.file_type().is_symlink());
    let text = std::fs::read_to_string(dir.join("real/there.yaml")).expect("the file");
    assert!(text.contains("saved"), "{text}");
}

#[test]
fn unknown_keys_and_names_of_the_environment_survive_a_save() {
    let config = format!(
        "surprise: {{deep: [1, two]}}\n{}",
        config_at("http://127.0.0.1:9").replace(UPSTREAM_KEY, "\"${TEST_KEY}\"")
    );
    let gateway = Gateway::build()
        .config(config)
        .env("ADMIN_KEY", ADMIN_KEY)
        .env("TEST_KEY", "sk-from-the-environment")
        .start();
    let body = with_model(&gateway, "saved");
    assert!(!body.contains("sk-from-the-environment"), "{body}");
    gateway.admin("PUT", "/api/config", &body).expect(200);
    let text = std::fs::read_to_string(gateway.dir.0.join("config.yaml")).expect("the file");
    assert!(text.contains("saved") && text.contains("surprise") && text.contains("two"));
    assert!(
        text.contains("${TEST_KEY}") && !text.contains("sk-from"),
        "{text}"
    );
}
