use super::*;

const STORED: &str = "
admin_key: the-admin-key-itself
my_own_note: survives
cli_proxy_api_endpoint: http://127.0.0.1:8317
cli_proxy_api: {api_key: sidecar-key-0123456789}
client_api_keys: [sk-plain-0123456789, {name: phone, key: sk-phone-0123456789, models: [a*]}]
upstreams:
  - {name: a, base_url: 'http://user:word-of-pass@a/v1', api_key: sk-aaaa-0123456789, support_openai: true, x_secret: hidden-0123456789}
  - {name: b, base_url: 'http://b', auth: {key: sk-bbbb-0123456789}, headers: {x-team: team-0123456789}, support_responses: true}
  - {name: c, base_url: 'http://c', auth: {type: api_key, key: '${C_KEY}'}}
  - {name: d, base_url: 'http://d', auth: {key: short}}
  - {name: e, base_url: 'http://d', auth: {key: other}}
aliases:
  - {alias: m, target_model: t, upstream: a, my_mark: 7, param_overrides: [{key: temperature, value: 0.5}]}
";

fn tree(text: &str) -> Node {
    let mut problems = Vec::new();
    let tree = Node::parse(text, &mut problems);
    assert_eq!(problems, []);
    tree.unwrap()
}

fn json(text: &str) -> Node {
    let mut problems = Vec::new();
    let node = Node::from_json(text.as_bytes(), &mut problems);
    assert_eq!(problems, []);
    node.unwrap()
}

/// The upstreams as shown, changed by `edit`, taken back: their JSON, or the paths of the problems.
fn put(edit: impl Fn(&str) -> String) -> Result<String, Vec<String>> {
    let stored = tree(STORED);
    let shown = show(&stored);
    let change = format!(
        "{{\"upstreams\":{}}}",
        shown.get("upstreams").unwrap().json()
    );
    let mut problems = Vec::new();
    let new = merge(&stored, json(&edit(&change)), &mut problems);
    if problems.is_empty() {
        Ok(new.get("upstreams").unwrap().json())
    } else {
        Err(problems.into_iter().map(|problem| problem.path).collect())
    }
}

#[test]
fn what_is_shown_has_todays_keys_and_no_secret() {
    let shown = show(&tree(STORED)).json();
    for secret in [
        "the-admin-key",
        "0123456789",
        "word-of-pass",
        "short\"",
        "my_own_note",
        "support_openai",
        "\"api_key\":\"sk",
    ] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
    for part in [
        r#"{"name":"client-1","key":"sk-p••••••6789"}"#,
        r#""auth":{"type":"api_key","key":"sk-a••••••6789"}"#,
        r#""base_url":"http://user••••••pass@a/v1""#,
        r#""key":"${C_KEY}""#,
        r#""headers":{"x-team":"team••••••6789"}"#,
        r#""support_chat_completions":true,"support_responses":true,"support_anthropic_messages":false"#,
        r#""my_mark":7"#,
        r#"{"key":"temperature","value":0.5,"mode":"default"}"#,
        r#""source":"manual""#,
    ] {
        assert!(shown.contains(part), "{part} not in {shown}");
    }
}

#[test]
fn what_is_shown_can_be_put_back_unchanged() {
    let stored = tree(STORED);
    let mut problems = Vec::new();
    let new = merge(&stored, show(&stored), &mut problems);
    assert_eq!(problems, []);
    assert_eq!(plain(&new).json(), plain(&stored).json());
    assert_eq!(text_at(&new, "my_own_note"), "survives");
    assert_eq!(text_at(&new, "admin_key"), "the-admin-key-itself");
}

#[test]
fn a_stored_key_never_moves_to_a_new_address() {
    assert_eq!(
        put(|all| all.replace("http://b\"", "http://evil\"")),
        Err(vec![
            "upstreams[1].auth.key".into(),
            "upstreams[1].headers.x-team".into()
        ])
    );
    let mut paths = put(|all| all.replace("pass@a/v1", "pass@evil/v1")).unwrap_err();
    paths.sort();
    let all = ["auth.key", "base_url", "x_secret"];
    assert_eq!(paths, all.map(|key| format!("upstreams[0].{key}")));
    let messages = put(|all| {
        all.replace(
            "\"base_url\":\"http://b\"",
            "\"base_url\":\"http://b\",\"anthropic_base_url\":\"http://evil\"",
        )
    });
    assert!(messages.is_err());
    let proxy = put(|all| {
        all.replace(
            "\"base_url\":\"http://b\"",
            "\"base_url\":\"http://b\",\"proxy\":\"http://evil:1\"",
        )
    });
    assert!(proxy.is_err());
    // With its key typed again it may.
    let moved = put(|all| {
        all.replace("http://b\"", "http://new\"")
            .replace("sk-b••••••6789", "sk-typed")
            .replace("team••••••6789", "t")
    });
    assert!(moved.unwrap().contains("sk-typed"));
}

#[test]
fn a_rename_keeps_the_key_where_it_is_clear_whose_it_is() {
    let renamed = put(|all| all.replace("\"name\":\"b\"", "\"name\":\"bee\"")).unwrap();
    assert!(renamed.contains(r#""name":"bee""#) && renamed.contains("sk-bbbb-0123456789"));
    // Both names of one address vanish: their masks are alike.
    let both = put(|all| {
        all.replace("\"name\":\"d\"", "\"name\":\"dd\"")
            .replace("\"name\":\"e\"", "\"name\":\"ee\"")
    });
    assert_eq!(
        both,
        Err(vec![
            "upstreams[3].auth.key".into(),
            "upstreams[4].auth.key".into()
        ])
    );
    let one = put(|all| all.replace("\"name\":\"e\"", "\"name\":\"ee\"")).unwrap();
    assert!(one.contains("\"other\""));
    // A name that was taken over has not vanished, so its old bearer is nobody's twin; the new bearer is b.
    let swapped = put(|all| {
        all.replace("\"name\":\"a\"", "\"name\":\"gone\"")
            .replace("\"name\":\"b\"", "\"name\":\"a\"")
    });
    let mut paths = swapped.unwrap_err();
    paths.sort();
    let all = ["auth.key", "base_url", "x_secret"];
    assert_eq!(paths, all.map(|key| format!("upstreams[0].{key}")));
}

#[test]
fn a_mask_that_is_not_the_stored_ones_is_refused() {
    assert_eq!(
        put(|all| all.replace("sk-b••••••6789", "sk-b••••••0000")),
        Err(vec!["upstreams[1].auth.key".into()])
    );
    assert!(put(|all| all.replace("sk-b••••••6789", "sk-a••••••6789")).is_err());
}

fn put_keys(keys: &str) -> Result<String, Vec<Problem>> {
    let mut problems = Vec::new();
    let change = json(&format!("{{\"client_api_keys\":{keys}}}"));
    let new = merge(&tree(STORED), change, &mut problems);
    match problems.is_empty() {
        true => Ok(new.get("client_api_keys").unwrap().json()),
        false => Err(problems),
    }
}

#[test]
fn client_keys_come_back_by_name_and_mask() {
    let kept =
        put_keys(r#"[{"name":"phone","key":"sk-p••••••6789"},{"name":"new","key":"sk-new-1"}]"#);
    assert_eq!(
        kept.unwrap(),
        r#"[{"name":"phone","key":"sk-phone-0123456789"},{"name":"new","key":"sk-new-1"}]"#
    );
    // One mask, two names: each its own.
    let both = put_keys(
        r#"[{"name":"phone","key":"sk-p••••••6789"},{"name":"client-1","key":"sk-p••••••6789"}]"#,
    );
    assert!(both.unwrap().contains("sk-plain-0123456789"));
    for wrong in [
        r#"[{"name":"other","key":"sk-p••••••6789"}]"#,
        r#"[{"name":"phone","key":"sk-x••••••6789"}]"#,
        r#"[{"name":"phone","key":"sk-p••••••6789"},{"name":"phone","key":"sk-p••••••6789"}]"#,
    ] {
        assert!(put_keys(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn what_is_left_out_stays_and_null_clears() {
    let stored = tree(STORED);
    let mut problems = Vec::new();
    let new = merge(
        &stored,
        json(r#"{"aliases":[],"client_api_keys":null,"debug_header":false}"#),
        &mut problems,
    );
    assert_eq!(problems, []);
    assert_eq!(new.get("aliases").unwrap().json(), "[]");
    assert!(new.get("client_api_keys").is_none());
    assert_eq!(new.get("upstreams"), stored.get("upstreams"));
    assert_eq!(text_at(&new, "admin_key"), "the-admin-key-itself");
    let older = tree("client_api_key: sk-old\n");
    let new = merge(&older, json(r#"{"client_api_keys":[]}"#), &mut problems);
    assert_eq!(new.json(), r#"{"client_api_keys":[]}"#);
}

#[test]
fn the_sidecars_keys_stay_with_its_endpoint() {
    let mut problems = Vec::new();
    let change = json(r#"{"cli_proxy_api_endpoint":"http://evil:8317"}"#);
    merge(&tree(STORED), change, &mut problems);
    assert_eq!(problems[0].path, "cli_proxy_api.api_key");
    problems.clear();
    let change = json(r#"{"cli_proxy_api":{"api_key":"side••••••6789"}}"#);
    let new = merge(&tree(STORED), change, &mut problems);
    assert_eq!(problems, []);
    assert!(new.json().contains("sidecar-key-0123456789"));
}

#[test]
fn bullets_outside_of_secrets_are_just_text() {
    let mut problems = Vec::new();
    let change = json(
        r#"{"aliases":[{"alias":"•","target_model":"t","upstream":"a","param_overrides":[{"key":"stop","value":"•"}]}]}"#,
    );
    merge(&tree(STORED), change, &mut problems);
    assert_eq!(problems, []);
}
