//! From the tree to [`Config`]: one function per section, defaults beside their keys.
//! Whatever is wrong gets a stand-in, so that the rest is still checked; with any problem the result is not used.

use super::keys;
use super::node::Node;
use super::walk::{Map, Walk, similar};
use super::*;
use crate::protocol::Caps;
use crate::protocol::caps::KINDS;
use crate::wire::json::{Raw, member};

const MIB: u64 = 1 << 20;
/// Where the sidecar listens unless the file says otherwise.
const SIDECAR_ENDPOINT: &str = "http://127.0.0.1:8317";
/// Members that routing owns: the upstream's model, and whether the answer is a stream.
const PARAMS_FORBIDDEN: [&str; 2] = ["stream", "model"];
/// What the gateway itself says about a message's framing, coding and destination (RFC 9110 7.6.1 and RFC 9112 6):
/// a second opinion would break the connection. Credentials may be replaced, for servers with a scheme of their own.
const HEADERS_FORBIDDEN: [&str; 14] = [
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

const MODES: [(&str, Mode); 2] = [("default", Mode::Default), ("override", Mode::Override)];
const SOURCES: [(&str, Source); 2] = [("manual", Source::Manual), ("auto", Source::Auto)];
const RETRIES: [(&str, Retry); 2] = [("safe", Retry::Safe), ("never", Retry::Never)];
const MANAGES: [(&str, Manage); 2] = [("auto", Manage::Auto), ("never", Manage::Never)];

impl Config {
    /// Reads the tree; `Node::Null` is the empty configuration. What is wrong is added to `found`.
    pub fn read(tree: &Node, expand: Expand<'_>, found: &mut Findings) -> Config {
        let mut walk = Walk::new(expand);
        let empty = Node::Map(Vec::new());
        let tree = if *tree == Node::Null { &empty } else { tree };
        let top = match tree {
            Node::Map(_) => walk.map("", tree, &keys::TOP),
            other => {
                let found = other.kind();
                walk.problem(
                    "",
                    format!("expected keys such as upstreams: and aliases:, found {found}"),
                );
                None
            }
        };
        let config = read_top(&mut walk, &top.unwrap_or_else(Map::empty));
        found.problems.append(&mut walk.found.problems);
        found.warnings.append(&mut walk.found.warnings);
        config
    }
}

fn read_top(walk: &mut Walk<'_>, top: &Map<'_>) -> Config {
    Config {
        sidecar: read_sidecar(walk, top),
        allow_protocol_conversion: top.flag(walk, "allow_protocol_conversion").unwrap_or(true),
        admin_key: top.secret(walk, "admin_key"),
        client_keys: read_client_keys(walk, top),
        responses_store: read_responses_store(walk, top),
        debug_header: top.flag(walk, "debug_header").unwrap_or(true),
        proxy: top.secret(walk, "proxy"),
        limits: read_limits(walk, top),
        timeouts: read_timeouts(walk, top),
        upstreams: read_list(walk, top, "upstreams", read_upstream),
        aliases: read_list(walk, top, "aliases", read_alias),
    }
}

fn read_list<T>(
    walk: &mut Walk<'_>,
    map: &Map<'_>,
    key: &str,
    read: fn(&mut Walk<'_>, &str, &Node) -> Option<T>,
) -> Vec<T> {
    let Some(node) = map.get(key) else {
        return Vec::new();
    };
    let items = walk.list(&map.place(key), node);
    let items = items.iter();
    items
        .filter_map(|(path, node)| read(walk, path, node))
        .collect()
}

/// A mapping that may be left out.
fn section<'n>(walk: &mut Walk<'_>, map: &Map<'n>, section: &keys::Section) -> Option<Map<'n>> {
    let key = section.path.rsplit('.').next().unwrap_or_default();
    let node = map.get(key)?;
    walk.map(&map.place(key), node, section)
}

fn read_sidecar(walk: &mut Walk<'_>, top: &Map<'_>) -> Sidecar {
    let endpoint = top.name(walk, "cli_proxy_api_endpoint");
    let endpoint = endpoint.or_else(|| top.name(walk, "auth2api_endpoint"));
    let own = section(walk, top, &keys::SIDECAR);
    let text = |walk: &mut Walk<'_>, key: &str| own.as_ref().and_then(|map| map.name(walk, key));
    let binary = text(walk, "binary");
    let data_dir = text(walk, "data_dir");
    let secret =
        |walk: &mut Walk<'_>, key: &str| own.as_ref().and_then(|map| map.secret(walk, key));
    let api_key = secret(walk, "api_key")
        .or_else(|| top.secret(walk, "cli_proxy_api_api_key"))
        .or_else(|| top.secret(walk, "auth2api_api_key"));
    Sidecar {
        endpoint: endpoint.unwrap_or_else(|| SIDECAR_ENDPOINT.into()),
        binary: binary.unwrap_or_else(|| "CLIProxyAPI".into()),
        manage: own
            .as_ref()
            .and_then(|map| map.word(walk, "manage", &MANAGES))
            .unwrap_or(Manage::Auto),
        data_dir: data_dir.unwrap_or_else(|| ".llm-wrapper".into()),
        api_key,
        management_key: secret(walk, "management_key"),
        proxy_url: secret(walk, "proxy_url"),
    }
}

fn read_client_keys(walk: &mut Walk<'_>, top: &Map<'_>) -> Vec<ClientKey> {
    let mut keys: Vec<ClientKey> = Vec::new();
    let mut places = Vec::new();
    if let Some(node) = top.get("client_api_keys") {
        places = walk.list(&top.place("client_api_keys"), node);
    } else if let Some(node) = top.get("client_api_key") {
        places.push((top.place("client_api_key"), node));
    }
    for (index, (path, node)) in places.iter().enumerate() {
        let mut name = format!("client-{}", index + 1);
        let mut models = Vec::new();
        let (key_path, key) = if let Node::Map(_) = node {
            let Some(map) = walk.map(path, node, &keys::CLIENT_KEY) else {
                continue;
            };
            name = map.name(walk, "name").unwrap_or(name);
            models = read_list(walk, &map, "models", |walk, path, node| {
                walk.name(path, node)
            });
            if map.get("models") == Some(&Node::List(Vec::new())) {
                walk.problem(
                    &map.place("models"),
                    "an empty list allows nothing: leave it out to allow all",
                );
            }
            if map.get("key").is_none() {
                walk.problem(&map.place("key"), "is missing");
                continue;
            }
            (map.place("key"), map.get("key"))
        } else {
            (path.clone(), Some(*node))
        };
        let before = walk.found.problems.len();
        let key = key.and_then(|node| walk.secret(&key_path, node));
        let Some(key) = key else {
            if walk.found.problems.len() == before {
                walk.problem(&key_path, "an empty client key would let everyone in");
            }
            continue;
        };
        if let Some(same) = keys.iter().find(|other| other.key == key) {
            walk.problem(&key_path, format!("the same key as {}", same.name));
        }
        if keys.iter().any(|other| other.name == name) {
            let message = format!("another client key is named {name}, too");
            walk.found.warning(path.clone(), message);
        }
        keys.push(ClientKey::new(name, key, models));
    }
    keys
}

fn read_responses_store(walk: &mut Walk<'_>, top: &Map<'_>) -> ResponsesStore {
    let map = section(walk, top, &keys::RESPONSES_STORE);
    let map = map.as_ref();
    ResponsesStore {
        bytes_max: map
            .and_then(|map| map.mebibytes(walk, "mb", 0.0))
            .unwrap_or(16 * MIB),
        keep: map
            .and_then(|map| map.minutes(walk, "minutes"))
            .unwrap_or(Duration::from_secs(3600)),
    }
}

fn read_limits(walk: &mut Walk<'_>, top: &Map<'_>) -> Limits {
    /// No body, however small a test wants it, is below a kilobyte.
    const LEAST_MB: f64 = 0.001;
    let map = section(walk, top, &keys::LIMITS);
    let map = map.as_ref();
    let limits = Limits {
        body_bytes_max: map
            .and_then(|map| map.mebibytes(walk, "max_body_mb", LEAST_MB))
            .unwrap_or(64 * MIB),
        connections_max: map
            .and_then(|map| map.count(walk, "max_connections", 1_000_000))
            .map_or(16_384, |count| count as u32),
        buffered_bytes_max: map.and_then(|map| map.mebibytes(walk, "max_buffered_mb", LEAST_MB)),
    };
    if let (Some(map), Some(buffered)) = (map, limits.buffered_bytes_max)
        && buffered < limits.body_bytes_max
    {
        let message = "less than max_body_mb: larger bodies are refused";
        walk.found.warning(map.place("max_buffered_mb"), message);
    }
    limits
}

fn read_timeouts(walk: &mut Walk<'_>, top: &Map<'_>) -> Timeouts {
    let map = section(walk, top, &keys::TIMEOUTS);
    let mut time = |key: &str, seconds: u64| {
        map.as_ref()
            .and_then(|map| map.seconds(walk, key))
            .unwrap_or(Duration::from_secs(seconds))
    };
    Timeouts {
        upstream: UpstreamTimeouts {
            connect: time("connect", 10),
            first_byte: time("first_byte", 600),
            idle: time("idle", 300),
        },
        client_head: time("client_head", 15),
        client_stall: time("client_stall", 30),
        keep_alive: time("keep_alive", 75),
        drain: time("drain", 30),
    }
}

fn read_upstream(walk: &mut Walk<'_>, path: &str, node: &Node) -> Option<UpstreamConfig> {
    let map = walk.map(path, node, &keys::UPSTREAM)?;
    let auth = read_auth(walk, &map);
    let oauth = !matches!(auth, Auth::ApiKey(_));
    let timeouts = section(walk, &map, &keys::UPSTREAM_TIMEOUTS);
    let time =
        |walk: &mut Walk<'_>, key: &str| timeouts.as_ref().and_then(|map| map.seconds(walk, key));
    let kinds = KINDS.map(|(kind, _)| (kind, kind));
    Some(UpstreamConfig {
        path: path.to_owned(),
        name: map.required(walk, "name"),
        base_url: if oauth {
            // Reached through the sidecar: an address given here is kept in the file and not used.
            map.text(walk, "base_url").unwrap_or_default()
        } else {
            map.required(walk, "base_url")
        },
        anthropic_base_url: map
            .text(walk, "anthropic_base_url")
            .filter(|url| !url.trim().is_empty()),
        enabled: map.flag(walk, "enabled").unwrap_or(true),
        supports: if oauth {
            [true; 3]
        } else {
            read_supports(walk, &map)
        },
        kind: map.word(walk, "kind", &kinds),
        flags: read_flags(walk, &map),
        headers: read_headers(walk, &map),
        ca_file: map.name(walk, "ca_file"),
        proxy: map.secret(walk, "proxy"),
        timeouts: TimeoutOverrides {
            connect: time(walk, "connect"),
            first_byte: time(walk, "first_byte"),
            idle: time(walk, "idle"),
        },
        retry: map.word(walk, "retry", &RETRIES).unwrap_or(Retry::Safe),
        auth,
    })
}

fn read_auth(walk: &mut Walk<'_>, map: &Map<'_>) -> Auth {
    #[derive(Clone, Copy, PartialEq)]
    enum Type {
        ApiKey,
        Anthropic,
        Codex,
    }
    const TYPES: [(&str, Type); 3] = [
        ("api_key", Type::ApiKey),
        ("anthropic_oauth", Type::Anthropic),
        ("codex_oauth", Type::Codex),
    ];
    // The literal key `none` has always meant no key.
    let key_of = |walk: &mut Walk<'_>, map: &Map<'_>, key: &str| {
        map.secret(walk, key).filter(|key| key.expose() != "none")
    };
    let Some(auth) = section(walk, map, &keys::AUTH) else {
        return Auth::ApiKey(key_of(walk, map, "api_key"));
    };
    if map.get("api_key").is_some() {
        walk.found
            .warning(map.place("api_key"), "not used beside auth");
    }
    let kind = auth.word(walk, "type", &TYPES).unwrap_or(Type::ApiKey);
    let key = key_of(walk, &auth, "key");
    if kind != Type::ApiKey && key.is_some() {
        walk.found.warning(
            auth.place("key"),
            "not used: an OAuth upstream takes no key",
        );
    }
    match kind {
        Type::ApiKey => Auth::ApiKey(key),
        Type::Anthropic => Auth::AnthropicOauth,
        Type::Codex => Auth::CodexOauth,
    }
}

/// With any of the three flags present: Chat unless it says no, the others only if they say yes.
/// With none: the older pair, whose `support_openai` (default true) stands for Chat and Responses.
fn read_supports(walk: &mut Walk<'_>, map: &Map<'_>) -> [bool; 3] {
    const FLAGS: [&str; 3] = [
        "support_chat_completions",
        "support_responses",
        "support_anthropic_messages",
    ];
    if FLAGS.iter().any(|key| map.get(key).is_some()) {
        let [chat, responses, messages] = FLAGS.map(|key| map.flag(walk, key));
        return [
            chat.unwrap_or(true),
            responses.unwrap_or(false),
            messages.unwrap_or(false),
        ];
    }
    let openai = map.flag(walk, "support_openai").unwrap_or(true);
    let anthropic = map.flag(walk, "support_anthropic").unwrap_or(false);
    [openai, openai, anthropic]
}

fn read_flags(walk: &mut Walk<'_>, map: &Map<'_>) -> Flags {
    let Some(node) = map.get("flags") else {
        return Flags::new();
    };
    let Some(map) = walk.free_map(&map.place("flags"), node) else {
        return Flags::new();
    };
    let mut flags = Flags::new();
    for (name, path, node) in map.members() {
        if !Caps::FLAG_NAMES.contains(&name) {
            let message = match similar(name, &Caps::FLAG_NAMES) {
                Some(close) => format!("unknown flag; did you mean {close}?"),
                None => format!("unknown flag; known: {}", Caps::FLAG_NAMES.join(", ")),
            };
            walk.problem(&path, message);
            continue;
        }
        let json = walk.json(&path, node);
        let value = Raw::parse(&json);
        // Whether a value fits does not depend on the kind it overrides.
        if let Err(fault) = value.and_then(|value| Caps::of("generic", "").set(name, value)) {
            walk.problem(&path, fault.to_string());
            continue;
        }
        flags.push((name.to_owned(), json));
    }
    flags
}

fn read_headers(walk: &mut Walk<'_>, map: &Map<'_>) -> Vec<(String, Secret)> {
    let Some(node) = map.get("headers") else {
        return Vec::new();
    };
    let Some(map) = walk.free_map(&map.place("headers"), node) else {
        return Vec::new();
    };
    let mut headers: Vec<(String, Secret)> = Vec::new();
    for (name, path, node) in map.members() {
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let lower = name.to_ascii_lowercase();
        if name.is_empty() || !name.bytes().all(token) {
            walk.problem(&path, "not the name of an HTTP header");
        } else if HEADERS_FORBIDDEN.contains(&lower.as_str()) {
            walk.problem(&path, "the gateway itself sets this header");
        } else if headers.iter().any(|(other, _)| *other == lower) {
            walk.problem(&path, "this header is there twice");
        }
        let Some(value) = walk.text(&path, node) else {
            continue;
        };
        if value.chars().any(|c| c.is_control() && c != '\t') {
            walk.problem(&path, "the value holds a control character (a line end?)");
        }
        headers.push((lower, Secret::new(value.trim_matches([' ', '\t']))));
    }
    headers
}

fn read_alias(walk: &mut Walk<'_>, path: &str, node: &Node) -> Option<AliasConfig> {
    let map = walk.map(path, node, &keys::ALIAS)?;
    let params = read_list(walk, &map, "param_overrides", read_param);
    for (index, param) in params.iter().enumerate() {
        if params[..index].iter().any(|other| other.key == param.key) {
            let path = format!("{}[{index}].key", map.place("param_overrides"));
            let message = "this key is there twice: the last one counts";
            walk.found.warning(path, message);
        }
    }
    Some(AliasConfig {
        path: path.to_owned(),
        alias: map.required(walk, "alias"),
        target_model: map.required(walk, "target_model"),
        upstream: map.required(walk, "upstream"),
        params,
        source: map.word(walk, "source", &SOURCES).unwrap_or(Source::Manual),
        strict: map.flag(walk, "strict").unwrap_or(false),
        flags: read_flags(walk, &map),
        max_model_len: map.count(walk, "max_model_len", u64::MAX),
    })
}

fn read_param(walk: &mut Walk<'_>, path: &str, node: &Node) -> Option<ParamConfig> {
    let map = walk.map(path, node, &keys::PARAM)?;
    let mode = map.word(walk, "mode", &MODES).unwrap_or(Mode::Default);
    let key = map.required(walk, "key");
    // An explicit null is a value here.
    let value = map.members().find(|(name, _, _)| *name == "value");
    let Some((_, value_path, value)) = value else {
        walk.problem(&map.place("value"), "is missing; write null to send null");
        return None;
    };
    let mut members = Vec::new();
    if key == "extra_body" {
        let map = walk.free_map(&value_path, value)?;
        for (name, path, node) in map.members() {
            if PARAMS_FORBIDDEN.contains(&name) {
                walk.problem(&path, format!("{name} cannot be overridden"));
            }
            members.push((name.to_owned(), walk.json(&path, node)));
        }
    } else if PARAMS_FORBIDDEN.contains(&key.as_str()) {
        walk.problem(&map.place("key"), format!("{key} cannot be overridden"));
    }
    let json = if key == "extra_body" {
        let texts: Vec<_> = members
            .iter()
            .map(|(name, value)| member(name, value))
            .collect();
        format!("{{{}}}", texts.join(","))
    } else {
        walk.json(&value_path, value)
    };
    Some(ParamConfig {
        key,
        json,
        members,
        mode,
    })
}
