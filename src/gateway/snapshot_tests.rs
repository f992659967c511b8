use super::*;
use std::borrow::Cow;
use std::time::Duration;

const MIB: u64 = 1 << 20;

/// A self-signed certificate; its key was thrown away.
const CERTIFICATE: &str = "\
-----BEGIN CERTIFICATE-----\n\
MIIBnzCCAUSgAwIBAgIUS74K0q522K/yTPTqyQ2MDFkYLOkwCgYIKoZIzj0EAwIw\n\
FzEVMBMGA1UEAwwMdGVzdC5leGFtcGxlMCAXDTI2MTEyNTE3NTgxOFoYDzIxMjYx\n\
MTAxMTc1ODE4WjAXMRUwEwYDVQQDDAx0ZXN0LmV4YW1wbGUwWTATBgcqhkjOPQIB\n\
BggqhkjOPQMBBwNCAAQOeHHvbsGgnLhciQcB293UOhWrw6ewGmddcXvrvYbKTsgo\n\
PzvAELtiWj/WZ4axkOaY2gelPTMgjPejVfCe9YXHo2wwajAdBgNVHQ4EFgQUuPxQ\n\
iButzi2zj4qxeLhEsq3Aw5EwHwYDVR0jBBgwFoAUuPxQiButzi2zj4qxeLhEsq3A\n\
w5EwDwYDVR0TAQH/BAUwAwEB/zAXBgNVHREEEDAOggx0ZXN0LmV4YW1wbGUwCgYI\n\
KoZIzj0EAwIDSQAwRgIhAJ+ScnrzKebTCJ1uO5hKluLN8lYAX/YdxldUtdBm2xZD\n\
AiEA7XXYTNryTA9DBwabSeiLSxoO007/K/9adaVSDfh2DGQ=\n\
-----END CERTIFICATE-----\n\n";

/// The snapshot of a file's text that must be without problems.
pub fn snapshot(text: &str) -> Snapshot {
    let (snapshot, found) = load(text);
    assert!(found.problems.is_empty(), "{}", found.report());
    snapshot.unwrap()
}

pub(super) fn load(text: &str) -> (Option<Snapshot>, Findings) {
    load_with(
        text,
        &|name| (name == "KEY").then(|| "sk-from-env".into()),
        &|_| Err(io::ErrorKind::NotFound.into()),
    )
}

pub(super) fn load_with(
    text: &str,
    env: &dyn Fn(&str) -> Option<String>,
    read: &dyn Fn(&Path) -> io::Result<Vec<u8>>,
) -> (Option<Snapshot>, Findings) {
    let around = Surroundings {
        folder: Path::new("/etc/gateway"),
        env,
        read,
    };
    Snapshot::load(text.as_bytes(), &around)
}

/// Checks the problems' lines, each from its start.
#[track_caller]
pub(super) fn check_problems(text: &str, expected: &[&str]) {
    let (snapshot, found) = load(text);
    let lines: Vec<_> = found.problems.iter().map(ToString::to_string).collect();
    let same = lines.len() == expected.len()
        && lines
            .iter()
            .zip(expected)
            .all(|(line, start)| line.starts_with(start));
    assert!(same, "{lines:#?}\nexpected {expected:#?}");
    assert_eq!(snapshot.is_none(), !expected.is_empty());
}

#[test]
fn an_empty_file_has_the_defaults() {
    let snapshot = snapshot("");
    assert!(snapshot.allow_protocol_conversion && snapshot.debug_header);
    assert!(snapshot.admin_key.is_none() && snapshot.client_keys.is_empty());
    assert_eq!(snapshot.limits.body_bytes_max, 64 * MIB);
    assert_eq!(snapshot.limits.buffered_bytes_max, 256 * MIB);
    assert_eq!(snapshot.limits.connections_max, 16_384);
    assert_eq!(snapshot.responses_store.bytes_max, 16 * MIB);
    assert_eq!(snapshot.responses_store.keep, Duration::from_secs(3600));
    let seconds = Duration::from_secs;
    let timeouts = &snapshot.timeouts;
    assert_eq!(
        [
            timeouts.client_head,
            timeouts.client_stall,
            timeouts.keep_alive,
            timeouts.drain
        ],
        [15, 30, 75, 30].map(seconds)
    );
    let upstream = &timeouts.upstream;
    assert_eq!(
        [upstream.connect, upstream.first_byte, upstream.idle],
        [10, 600, 300].map(seconds)
    );
    assert_eq!(
        snapshot.sidecar.endpoint.url.to_string(),
        "http://127.0.0.1:8317"
    );
    assert_eq!(
        snapshot.sidecar.data_dir,
        Path::new("/etc/gateway/.llm-wrapper")
    );
    assert_eq!(snapshot.sidecar.manage, Manage::Auto);
}

#[test]
fn null_is_the_same_as_leaving_out() {
    let file = "{proxy: null, limits: null, upstreams: ~, aliases: null, admin_key: '', timeouts: {idle: null}}";
    let (snapshot, found) = load(file);
    assert_eq!(found, Findings::default());
    assert_eq!(
        snapshot.unwrap().timeouts.upstream.idle,
        Duration::from_secs(300)
    );
}

#[test]
fn protocol_flags_default_by_presence() {
    let supports = |keys: &str| {
        let snapshot = snapshot(&format!(
            "{{upstreams: [{{name: a, base_url: 'http://h'{keys}}}]}}"
        ));
        Protocol::ALL.map(|protocol| snapshot.upstreams[0].supports(protocol))
    };
    assert_eq!(supports(""), [true, true, false]);
    assert_eq!(supports(", support_openai: false"), [false, false, false]);
    assert_eq!(supports(", support_anthropic: true"), [true, true, true]);
    assert_eq!(supports(", support_responses: false"), [true, false, false]);
    assert_eq!(
        supports(", support_anthropic_messages: true"),
        [true, false, true]
    );
    assert_eq!(
        supports(
            ", support_chat_completions: false, support_openai: true, support_anthropic: true"
        ),
        [false, false, false]
    );
    assert_eq!(supports(", support_responses: null"), [true, true, false]);
    assert_eq!(
        supports(", auth: {type: anthropic_oauth}, support_chat_completions: true"),
        [false, false, true]
    );
    assert_eq!(
        supports(", auth: {type: codex_oauth}"),
        [false, true, false]
    );
}

#[test]
fn older_names_are_still_read() {
    let snapshot = snapshot(
        "{auth2api_endpoint: 'http://side:1', cli_proxy_api_api_key: side-key, client_api_key: client, upstreams: [{name: a, base_url: 'http://h', api_key: old}, {name: b, base_url: 'http://h', api_key: old, auth: {key: new}}]}",
    );
    assert_eq!(snapshot.sidecar.endpoint.url.host, "side");
    assert_eq!(snapshot.sidecar.api_key, Some(Secret::new("side-key")));
    assert_eq!(snapshot.client_keys[0].key, Secret::new("client"));
    assert_eq!(snapshot.upstreams[0].key, Some(Secret::new("old")));
    assert_eq!(snapshot.upstreams[1].key, Some(Secret::new("new")));
    assert_eq!(snapshot.warnings[0].path, "upstreams[1].api_key");
}

#[test]
fn an_upstream_without_a_key_has_none() {
    for key in ["null", "''", "none", "' '"] {
        let snapshot = snapshot(&format!(
            "{{upstreams: [{{name: a, base_url: 'http://h', auth: {{type: api_key, key: {key}}}}}]}}"
        ));
        assert_eq!(snapshot.upstreams[0].key, None, "{key}");
    }
}

#[test]
fn strings_take_variables_and_the_tree_keeps_them_raw() {
    let file = "{upstreams: [{name: a, base_url: 'http://h', auth: {key: '${KEY}'}, headers: {X-A: 'b ${KEY}'}}], aliases: [{alias: x, target_model: '$${m}', upstream: a, param_overrides: [{key: p, value: {a: ['${KEY}']}, mode: override}]}]}";
    let snapshot = snapshot(file);
    assert_eq!(snapshot.upstreams[0].key, Some(Secret::new("sk-from-env")));
    assert_eq!(
        snapshot.upstreams[0].headers,
        [("x-a".to_owned(), Secret::new("b sk-from-env"))]
    );
    assert_eq!(snapshot.aliases[0].model, "${m}");
    let object = crate::wire::json::Object::parse(b"{}").unwrap();
    let edits = snapshot.aliases[0].edits(Protocol::Chat, &object, None, &[]);
    let text = crate::wire::json::splice(&object, &edits.list).to_vec();
    assert_eq!(text, br#"{"p":{"a":["sk-from-env"]},"model":"${m}"}"#);
    assert!(!snapshot.tree.render().unwrap().contains("sk-from-env"));
    let shown = Config::read(&snapshot.tree, Expand::Raw, &mut Findings::default());
    assert_eq!(
        shown.upstreams[0].auth,
        Auth::ApiKey(Some(Secret::new("${KEY}")))
    );
    check_problems(
        "{upstreams: [{name: a, base_url: 'http://${NOPE}', auth: {key: '${NOPE}'}}]}",
        &[
            "upstreams[0].auth.key: the environment variable NOPE is not set",
            "upstreams[0].base_url: the environment variable NOPE is not set",
            "upstreams[0].base_url: the URL has no host",
        ],
    );
}

#[test]
fn timeouts_of_an_upstream_win_over_the_global_ones() {
    let snapshot = snapshot(
        "{timeouts: {idle: 2, connect: 0.5}, upstreams: [{name: a, base_url: 'http://h', timeouts: {idle: 7}, retry: never}]}",
    );
    let upstream = &snapshot.upstreams[0];
    assert_eq!(upstream.timeouts.idle, Duration::from_secs(7));
    assert_eq!(upstream.timeouts.connect, Duration::from_millis(500));
    assert_eq!(upstream.timeouts.first_byte, Duration::from_secs(600));
    assert!(!upstream.retry);
}

#[test]
fn addresses_and_paths() {
    let snapshot = snapshot(
        "{upstreams: [{name: a, base_url: 'http://u:p@h:8000/', anthropic_base_url: 'https://m/anthropic', support_anthropic_messages: true}, {name: b, base_url: 'https://h/v1', anthropic_base_url: ''}, {name: c, auth: {type: codex_oauth}}]}",
    );
    let [a, b, c] = [0, 1, 2].map(|at: usize| &snapshot.upstreams[at]);
    assert_eq!(a.path(Protocol::Chat, "/models"), "/v1/models");
    assert_eq!(
        a.path(Protocol::Messages, "/messages"),
        "/anthropic/v1/messages"
    );
    assert_eq!(
        a.url(Protocol::Chat, "/v1/models?x=1"),
        "http://h:8000/v1/models?x=1"
    );
    assert_eq!(a.url(Protocol::Messages, "/x"), "https://m/x");
    assert_eq!(b.path(Protocol::Messages, "/messages"), "/v1/messages");
    assert_eq!(
        c.url(Protocol::Responses, "/v1/responses"),
        "http://127.0.0.1:8317/v1/responses"
    );
}

#[test]
fn proxies_are_the_upstreams_the_files_or_the_environments_and_never_loopbacks() {
    let env = |name: &str| (name == "HTTPS_PROXY").then(|| "http://env:1".to_owned());
    let missing = |_: &Path| Err(io::ErrorKind::NotFound.into());
    let proxies = |top: &str| {
        let file = format!(
            "{{{top}cli_proxy_api_endpoint: 'https://side', upstreams: [{{name: a, base_url: 'https://h', proxy: 'http://u:p@own:1'}}, {{name: b, base_url: 'https://h'}}, {{name: c, base_url: 'https://localhost', proxy: 'http://own:1'}}, {{name: d, auth: {{type: codex_oauth}}}}]}}"
        );
        let (snapshot, _) = load_with(&file, &env, &missing);
        let snapshot = snapshot.unwrap();
        let host = |upstream: &Arc<Upstream>| {
            let proxy = upstream.origin(Protocol::Chat).proxy();
            proxy.map_or("none".to_owned(), |proxy| proxy.host.clone())
        };
        snapshot.upstreams.iter().map(host).collect::<Vec<_>>()
    };
    assert_eq!(proxies(""), ["own", "env", "none", "none"]);
    assert_eq!(
        proxies("proxy: 'http://file:1', "),
        ["own", "file", "none", "none"]
    );
    let broken = |name: &str| (name == "HTTPS_PROXY").then(|| "socks5://env:1".to_owned());
    let (_, found) = load_with("", &broken, &missing);
    assert!(
        found.report().starts_with("error: HTTPS_PROXY: "),
        "{}",
        found.report()
    );
}

#[test]
fn a_ca_file_is_read_beside_the_configuration_and_must_hold_certificates() {
    let file = "{upstreams: [{name: a, base_url: 'https://h', ca_file: ca.pem}, {name: b, base_url: 'https://h'}]}";
    let load = |pem: &'static str| {
        load_with(file, &|_| None, &move |path| {
            if path == Path::new("/etc/gateway/ca.pem") && !pem.is_empty() {
                Ok(pem.into())
            } else {
                Err(io::ErrorKind::NotFound.into())
            }
        })
    };
    let (snapshot, found) = load(CERTIFICATE);
    assert_eq!(found.report(), "");
    let snapshot = snapshot.unwrap();
    let key = |at: usize| snapshot.upstreams[at].origin(Protocol::Chat).key().clone();
    assert_ne!(key(0), key(1));
    for pem in [
        "",
        "no certificate",
        "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n",
    ] {
        let (snapshot, found) = load(pem);
        assert!(snapshot.is_none());
        assert!(
            found
                .report()
                .starts_with("error: upstreams[0].ca_file: /etc/gateway/ca.pem: "),
            "{}",
            found.report()
        );
    }
}

#[test]
fn kinds_are_guessed_from_the_host() {
    let kind = |url: &str| kind_of(&Url::parse(url).unwrap());
    for (url, expected) in [
        ("https://api.openai.com/v1", "openai"),
        ("https://mine.openai.azure.com", "openai"),
        ("https://api.anthropic.com", "anthropic"),
        ("https://api.deepseek.com", "deepseek"),
        (
            "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
            "qwen",
        ),
        ("https://api.moonshot.cn/v1", "kimi"),
        ("https://open.bigmodel.cn/api/paas/v4", "glm"),
        ("https://api.z.ai/api/paas/v4", "glm"),
        (
            "https://generativelanguage.googleapis.com/v1beta/openai",
            "gemini",
        ),
        ("https://api.mistral.ai", "mistral"),
        ("https://api.groq.com/openai/v1", "groq"),
        ("https://api.x.ai", "xai"),
        ("https://openrouter.ai/api/v1", "openrouter"),
        ("http://nas:11434", "ollama"),
        ("http://notopenai.com", "generic"),
        ("http://openai.com.evil.example", "generic"),
        ("http://127.0.0.1:8000", "generic"),
    ] {
        assert_eq!(kind(url), expected, "{url}");
    }
    let snapshot =
        snapshot("{upstreams: [{name: a, base_url: 'https://api.openai.com', kind: vllm}]}");
    assert_eq!(snapshot.upstreams[0].kind, "vllm");
}

#[test]
fn flags_of_an_alias_win_over_the_upstreams() {
    let snapshot = snapshot(
        "{upstreams: [{name: a, base_url: 'http://h', flags: {n: false, reasoning: effort}}], aliases: [{alias: x, target_model: m, upstream: a, flags: {n: true, prefill: 'flag:prefix'}}]}",
    );
    let route = snapshot.resolve("x", None).ok().unwrap();
    assert!(route.caps.n);
    assert_eq!(
        route.caps.reasoning,
        crate::protocol::caps::ReasoningStyle::Effort
    );
    assert_eq!(route.caps.prefill, crate::protocol::caps::Prefill::Prefix);
}

#[test]
fn buffered_memory_is_a_quarter_of_the_container_or_machine() {
    let quarter = |group: &str, old: &str, meminfo: &str| {
        quarter_of_memory(&|path| {
            let text = match path.to_str().unwrap() {
                "/sys/fs/cgroup/memory.max" => group,
                "/sys/fs/cgroup/memory/memory.limit_in_bytes" => old,
                "/proc/meminfo" => meminfo,
                _ => "",
            };
            if text.is_empty() {
                Err(io::ErrorKind::NotFound.into())
            } else {
                Ok(text.into())
            }
        })
    };
    let machine = "MemTotal:        8000000 kB\nMemFree: 1 kB\n";
    assert_eq!(quarter("67108864\n", "", machine), 16 * MIB);
    assert_eq!(quarter("max\n", "", machine), 256 * MIB);
    assert_eq!(quarter("", "134217728\n", machine), 32 * MIB);
    assert_eq!(
        quarter("max\n", "9223372036854771712\n", "MemTotal: 524288 kB\n"),
        128 * MIB
    );
    assert_eq!(quarter("", "", ""), 256 * MIB);
}

#[test]
fn a_control_group_below_the_root_counts_with_all_above_it() {
    let quarter = |own: &str, limits: &[(&str, &str)]| {
        quarter_of_memory(&|path| match path.to_str().unwrap() {
            "/proc/self/cgroup" => Ok(own.into()),
            path => match limits.iter().find(|(file, _)| *file == path) {
                Some((_, limit)) => Ok((*limit).into()),
                None => Err(io::ErrorKind::NotFound.into()),
            },
        })
    };
    let unit = "0::/system.slice/llm-wrapper.service\n";
    let slice = "/sys/fs/cgroup/system.slice/memory.max";
    let own = "/sys/fs/cgroup/system.slice/llm-wrapper.service/memory.max";
    assert_eq!(
        quarter(unit, &[(own, "33554432\n"), (slice, "max\n")]),
        8 * MIB
    );
    assert_eq!(
        quarter(unit, &[(own, "max\n"), (slice, "67108864\n")]),
        16 * MIB
    );
    let old = "5:devices:/x\n4:cpu,memory:/a/b\n0::/\n";
    let limit = "/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes";
    assert_eq!(quarter(old, &[(limit, "33554432\n")]), 8 * MIB);
    assert_eq!(quarter("nonsense\n::\n", &[]), 256 * MIB);
}

#[test]
fn a_body_is_never_larger_than_all_bodies() {
    let (loaded, found) = load("{limits: {max_body_mb: 4, max_buffered_mb: 2}}");
    assert_eq!(loaded.unwrap().limits.body_bytes_max, 2 * MIB);
    assert_eq!(found.warnings[0].path, "limits.max_buffered_mb");
    assert_eq!(
        snapshot("{limits: {max_body_mb: 0.5}}")
            .limits
            .body_bytes_max,
        MIB / 2
    );
}

#[test]
fn the_environment_wins_where_it_may() {
    let env = |name: &str| match name {
        "ADMIN_KEY" => Some("from-env".to_owned()),
        "DATA_DIR" => Some("/data".to_owned()),
        _ => None,
    };
    let missing = |_: &Path| Err(io::ErrorKind::NotFound.into());
    let (snapshot, _) = load_with(
        "{admin_key: from-file, cli_proxy_api: {data_dir: x}}",
        &env,
        &missing,
    );
    let snapshot = snapshot.unwrap();
    assert_eq!(snapshot.admin_key, Some(Secret::new("from-env")));
    assert_eq!(snapshot.sidecar.data_dir, Path::new("/data"));
    let (snapshot, _) = load_with(
        "{admin_key: from-file, cli_proxy_api: {data_dir: x}}",
        &|_| Some(String::new()),
        &missing,
    );
    let snapshot = snapshot.unwrap();
    assert_eq!(snapshot.admin_key, Some(Secret::new("from-file")));
    assert_eq!(snapshot.sidecar.data_dir, Path::new("/etc/gateway/x"));
}

#[test]
fn a_key_quoted_in_an_answer_is_masked() {
    let snapshot = snapshot(
        "{upstreams: [{name: a, base_url: 'http://h', auth: {key: sk-1234567890}, headers: {x-token: token-9876}}]}",
    );
    let upstream = &snapshot.upstreams[0];
    let masked = upstream.mask_secrets(b"bad key sk-1234567890, sk-1234567890 and token-9876!");
    assert_eq!(
        String::from_utf8_lossy(&masked),
        "bad key sk-1••••••7890, sk-1••••••7890 and toke••••••9876!"
    );
    assert!(matches!(
        upstream.mask_secrets(b"nothing here"),
        Cow::Borrowed(_)
    ));
    assert!(matches!(upstream.mask_secrets(b""), Cow::Borrowed(_)));
}

/// The keys that stand in a tree, as `section path` and key, for the sections that the walk knows.
fn keys_in(node: &Node, path: &str, out: &mut Vec<(String, String)>) {
    match node {
        Node::Map(entries) => {
            for (key, value) in entries {
                out.push((path.to_owned(), key.clone()));
                let place = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                keys_in(value, &place, out);
            }
        }
        Node::List(items) => items
            .iter()
            .for_each(|item| keys_in(item, &format!("{path}[]"), out)),
        _ => {}
    }
}

#[test]
fn the_example_file_is_valid_and_shows_every_key() {
    use crate::gateway::config::keys::SECTIONS;
    let text = include_str!("../../config.example.yaml");
    let (snapshot, found) = load_with(text, &|_| None, &|_| Err(io::ErrorKind::NotFound.into()));
    assert_eq!(found.report(), "");
    let mut shown = Vec::new();
    keys_in(&snapshot.unwrap().tree, "", &mut shown);
    for section in SECTIONS {
        for key in section.keys {
            let found = shown
                .iter()
                .any(|(path, shown)| path == section.path && shown == key);
            assert!(
                found,
                "{}: {key} is not in config.example.yaml",
                section.path
            );
        }
        for key in section.legacy {
            let found = shown
                .iter()
                .any(|(path, shown)| path == section.path && shown == key);
            assert!(!found, "{}: {key} is an older name", section.path);
        }
    }
}
