use super::tests::{check_problems, load, load_with, snapshot};
use super::*;

#[test]
fn everything_wrong_is_reported_at_once() {
    let text = "
upstreams:
  - {name: a, base_url: nonsense, retry: often, timeouts: {idle: soon, connect: 0}}
  - {name: a, base_url: 'http://h', kind: gpt, flags: {repair_histroy: true}}
  - {base_url: '', enabled: 'yes', auth: {type: oauth}}
  - {name: ' ', base_url: 'http://h', auth: {type: api_key, key: \"sk-1\\n\"}, proxy: 'socks5://p:1'}
  - just text
aliases:
  - {alias: x, target_model: m, upstream: b}
  - {alias: x, target_model: '', upstream: a, param_overrides: [{key: stream, value: 1}, {key: t, value: .nan}, {value: 1, mode: always}, {key: u}]}
  - {alias: y, target_model: m, upstream: a, param_overrides: [{key: extra_body, value: 3}, {key: extra_body, value: {model: m}}], max_model_len: -1}
limits: [1]
admin_key: {a: 1}
";
    check_problems(
        text,
        &[
            "aliases[1].param_overrides[1].value: not a finite number",
            "admin_key: expected text, found a mapping",
            "limits: expected a mapping, found a list",
            "upstreams[0].timeouts.connect: must be a number of seconds from 0.001",
            "upstreams[0].timeouts.idle: expected a number of seconds, found text",
            "upstreams[0].retry: must be one of safe, never",
            "upstreams[1].kind: must be one of openai, anthropic,",
            "upstreams[1].flags.repair_histroy: unknown flag; did you mean repair_history?",
            "upstreams[2].auth.type: must be one of api_key, anthropic_oauth, codex_oauth",
            "upstreams[2].name: is missing",
            "upstreams[2].base_url: must not be empty",
            "upstreams[2].enabled: expected true or false, found text",
            "upstreams[3].auth.key: the key holds a control character",
            "upstreams[3].name: must not be empty",
            "upstreams[4]: expected a mapping, found text",
            "aliases[1].param_overrides[0].key: stream cannot be overridden",
            "aliases[1].param_overrides[2].mode: must be one of default, override",
            "aliases[1].param_overrides[2].key: is missing",
            "aliases[1].param_overrides[3].value: is missing",
            "aliases[1].target_model: must not be empty",
            "aliases[2].param_overrides[0].value: expected a mapping, found a number",
            "aliases[2].param_overrides[1].value.model: model cannot be overridden",
            "aliases[2].max_model_len: must be an integer from 1",
            "upstreams[0].base_url: the URL must begin with",
            "upstreams[3].proxy: a SOCKS proxy is not supported",
            "upstreams[1].name: upstreams[0] is an upstream named \"a\", too",
            "aliases[0].upstream: there is no upstream named \"b\"; known: a",
            "aliases[1].alias: aliases[0] is an alias named \"x\", too",
        ],
    );
}

#[test]
fn a_file_that_is_no_mapping_is_refused() {
    check_problems(
        "just text",
        &["expected keys such as upstreams: and aliases:, found text"],
    );
    check_problems(
        "- 1",
        &["expected keys such as upstreams: and aliases:, found a list"],
    );
    check_problems(
        "{upstreams: {a: 1}}",
        &["upstreams: expected a list (each entry begins with"],
    );
}

#[test]
fn no_message_holds_a_secret() {
    let (_, found) = load(
        "
admin_key: \"hunter2\\t\"
client_api_keys: [\"hunter2\\n\", {key: [hunter2]}]
proxy: 'http://u:hunter2@h:bad'
upstreams:
  - {name: a, base_url: 'http://u:hunter2@', auth: {key: \"hunter2\\u0001\"}, headers: {a: \"hunter2\\n\", 'b c': hunter2}}
  - {name: b, base_url: 'http://h', proxy: 'socks5://u:hunter2@h', auth: {type: api_key, key: 'h••hunter2'}}
",
    );
    assert!(found.problems.len() >= 10, "{}", found.report());
    assert!(!found.report().contains("hunter2"), "{}", found.report());
}

#[test]
fn unknown_keys_are_warnings_that_name_them() {
    let (snapshot, found) = load(
        "{x-mine: 1, upstreams: [{name: a, base_ur: 1, base_url: 'http://h', api_type: x}], limits: {max_bodymb: 3}}",
    );
    let lines: Vec<_> = found.warnings.iter().map(ToString::to_string).collect();
    let expected = [
        "x-mine: unknown key, ignored; known here: cli_proxy_api_endpoint,",
        "limits.max_bodymb: unknown key, ignored; did you mean max_body_mb? (line 1)",
        "upstreams[0].base_ur: unknown key, ignored; did you mean base_url? (line 1)",
        "upstreams[0].api_type: unknown key, ignored; known here: name,",
    ];
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    for (line, start) in lines.iter().zip(expected) {
        assert!(line.starts_with(start), "{line}");
    }
    assert_eq!(snapshot.unwrap().warnings, found.warnings);
    assert!(
        found
            .report()
            .starts_with("warning: x-mine: unknown key, ignored; ")
    );
}

#[test]
fn client_keys_are_texts_or_mappings_and_never_empty_or_double() {
    let snapshot =
        snapshot("{client_api_keys: [k1, {name: laptop, key: k2, models: ['gpt-*']}, {key: k3}]}");
    let names: Vec<_> = snapshot
        .client_keys
        .iter()
        .map(|key| key.name.as_str())
        .collect();
    assert_eq!(names, ["client-1", "laptop", "client-3"]);
    assert!(snapshot.client_keys[0].allows("anything"));
    assert!(snapshot.client_keys[1].allows("gpt-5") && !snapshot.client_keys[1].allows("qwen"));
    check_problems(
        "{client_api_keys: ['', {name: a}, {name: b, key: ''}, k, k, 7, {key: x, models: []}]}",
        &[
            "client_api_keys[0]: an empty client key",
            "client_api_keys[1].key: is missing",
            "client_api_keys[2].key: an empty client key",
            "client_api_keys[4]: the same key as client-4",
            "client_api_keys[5]: expected text (put it in quotes), found a number",
            "client_api_keys[6].models: an empty list allows nothing",
        ],
    );
}

#[test]
fn headers_that_frame_the_message_are_refused() {
    check_problems(
        "{upstreams: [{name: a, base_url: 'http://h', headers: {Content-Length: '1', host: x, 'bad name': y, A: '1', a: '2', b: \"x\\r\\ny\", c: 1}}]}",
        &[
            "upstreams[0].headers.Content-Length: the gateway itself sets this header",
            "upstreams[0].headers.host: the gateway itself sets this header",
            "upstreams[0].headers[\"bad name\"]: not the name of an HTTP header",
            "upstreams[0].headers.a: this header is there twice",
            "upstreams[0].headers.b: the value holds a control character",
            "upstreams[0].headers.c: expected text (put it in quotes), found a number",
        ],
    );
}

#[test]
fn a_user_in_a_base_url_is_warned_about_without_the_password() {
    let (_, found) = load("{upstreams: [{name: a, base_url: 'http://u:hunter2@h'}]}");
    assert!(
        found
            .report()
            .starts_with("warning: upstreams[0].base_url: the user and password")
    );
    assert!(!found.report().contains("hunter2"));
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    let around = Surroundings {
        folder: Path::new("/"),
        env: &|_| None,
        read: &|_| Err(io::ErrorKind::NotFound.into()),
    };
    let (snapshot, found) = Snapshot::load(b"a: \xff", &around);
    assert!(snapshot.is_none());
    assert_eq!(
        found.report(),
        "error: the file is not UTF-8 at line 1: save it as UTF-8\n"
    );
    let (snapshot, found) = Snapshot::load(&vec![b' '; FILE_BYTES_MAX + 1], &around);
    assert!(snapshot.is_none() && found.report().contains("larger than 4 MB"));
}

/// What is said of a file, each finding from its start.
#[track_caller]
fn check_said(text: &str, expected: &[&str]) {
    let (_, found) = load_with(text, &|name| (name == "EMPTY").then(String::new), &|_| {
        Err(io::ErrorKind::NotFound.into())
    });
    let report = found.report();
    let lines: Vec<_> = report.lines().collect();
    let same = lines.len() == expected.len()
        && lines.iter().zip(expected).all(|(line, part)| {
            let (start, end) = part.split_once('…').unwrap_or((part, ""));
            line.starts_with(start) && line.ends_with(end)
        });
    assert!(same, "{text}\n{lines:#?}\nexpected {expected:#?}");
}

#[test]
fn every_finding_has_its_line_and_what_to_do() {
    let up = "upstreams:\n  - name: a\n    base_url: http://h\n";
    let with = |more: &str| format!("{up}{more}");
    let cases: [(String, &[&str]); 18] = [
        (
            "upstream:\n  - name: a\n".into(),
            &["warning: upstream: unknown key, ignored; did you mean upstreams? (line 1)"],
        ),
        (
            "# x\nupstreams:\n  - name: a\n    url: http://h\n".into(),
            &[
                "error: upstreams[0].base_url: is missing (line 3)",
                "warning: upstreams[0].url: unknown key, ignored; did you mean base_url? (line 4)",
            ],
        ),
        (
            with("    kind: vlm\n"),
            &["error: upstreams[0].kind: must be one of …; did you mean vllm? (line 4)"],
        ),
        (
            with("    wibble: 1\n"),
            &[
                "warning: upstreams[0].wibble: unknown key, ignored; known here: name, base_url, … (line 4)",
            ],
        ),
        (
            with("    support_chat_completions: false\n"),
            &["warning: upstreams[0]: speaks no protocol: … (line 2)"],
        ),
        (
            "upstreams: {a: 1}\n".into(),
            &[
                "error: upstreams: expected a list (each entry begins with \"- \"), found a mapping (line 1)",
            ],
        ),
        (
            "timeouts:\n  connect: 10s\n".into(),
            &[
                "error: timeouts.connect: expected a number of seconds, found text: write it without quotes and without a unit (line 2)",
            ],
        ),
        (
            "limits: {max_body_mb: '${MB}'}\n".into(),
            &["error: limits.max_body_mb: …: ${NAME} is read in texts only (line 1)"],
        ),
        (
            with("    auth: {key: '${EMPTY}'}\n"),
            &["warning: upstreams[0].auth.key: the environment variable EMPTY is empty (line 4)"],
        ),
        (
            with("    auth: {key: $OPENAI_KEY}\n"),
            &[
                "warning: upstreams[0].auth.key: looks like an environment variable: write ${NAME} (line 4)",
            ],
        ),
        (
            with("    auth:\n      key: Bearer x\n"),
            &["warning: upstreams[0].auth.key: begins with Bearer, … (line 5)"],
        ),
        (
            "client_api_keys:\n  - name: x\n    ky: hunter\n".into(),
            &[
                "error: client_api_keys[0].key: is missing (line 2)",
                "warning: client_api_keys[0].ky: unknown key, ignored; …",
            ],
        ),
        (
            "client_api_keys:\n  - {key: hunter2, models: gpt}\n".into(),
            &["error: client_api_keys[0].models: expected a list … (line 2)"],
        ),
        (
            with("client_api_keys:\n  - {key: hunter2, models: [gpt, a]}\n"),
            &[
                "warning: client_api_keys[0].models[0]: matches no alias and no upstream's name (line 5)",
            ],
        ),
        (
            with(
                "aliases:\n  - {alias: m, target_model: t, upstream: a, param_overrides: [{key: t, value: 1},\n     {key: t, value: 2}]}\n",
            ),
            &[
                "warning: aliases[0].param_overrides[1].key: this key is there twice: the last one counts (line 6)",
            ],
        ),
        (
            "a: 1\nadmin_key: x\u{7}\n".into(),
            &["error: a control character at line 2, …"],
        ),
        (
            with("    <<: {retry: safe}\n"),
            &[
                "error: upstreams[0][\"<<\"]: merge keys are not read: write the members out (line 4)",
            ],
        ),
        (
            "hello world".into(),
            &["error: expected keys such as upstreams: and aliases:, found text"],
        ),
    ];
    for (text, expected) in cases {
        check_said(&text, expected);
    }
}

#[test]
fn addresses_that_look_wrong_are_doubted() {
    let cases = [
        (
            "http://h/v1/chat/completions",
            "ends in /chat/completions, which the gateway adds itself",
        ),
        (
            "https://api.anthropic.com/v1/messages/",
            "ends in /messages, ",
        ),
        ("http://h/v1/v1", "has /v1 twice"),
        ("http://h:443/v1", "port 443 speaks https"),
        ("https://h:80/v1", "port 80 speaks http "),
        ("http://h/my/models#", ""),
        ("http://h/completions-server", ""),
        ("https://h:443", ""),
        ("http://[::1]:8000/", ""),
    ];
    for (url, doubt) in cases {
        let text = format!("upstreams:\n  - {{name: a, base_url: '{url}'}}\n");
        let said = format!("warning: upstreams[0].base_url: {doubt}…(line 2)");
        let expected = [said.as_str()];
        let expected = if doubt.is_empty() { &[] } else { &expected[..] };
        check_said(&text, expected);
    }
}

#[test]
fn a_byte_order_mark_is_read_over_and_utf_16_is_named() {
    check_said("\u{feff}upstreams: []\n", &[]);
    let around = Surroundings {
        folder: Path::new("/"),
        env: &|_| None,
        read: &|_| Err(io::ErrorKind::NotFound.into()),
    };
    let (_, found) = Snapshot::load(b"\xff\xfea\0:\0", &around);
    assert_eq!(
        found.report(),
        "error: the file is UTF-16: save it as UTF-8\n"
    );
}

#[test]
fn a_key_on_the_wrong_side_of_a_colon_is_not_quoted() {
    let key = "sk-0123456789abcdefghij";
    for text in [
        format!("client_api_keys:\n  - {key}: laptop\n"),
        format!("admin_key: !{key} x\n"),
        format!("{key}: 1\n{key}: 2\n"),
        format!("admin_key: *{key}\n"),
        format!("admin_key: !!int {key}\n"),
        format!("upstreams:\n  - {{name: a, base_url: 'http://h', headers: {{{key}: 1}}}}\n"),
    ] {
        let (_, found) = load(&text);
        assert!(!found.report().is_empty(), "{text}");
        assert!(!found.report().contains(key), "{text}: {}", found.report());
    }
}
