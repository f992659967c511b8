//! Every word the configuration file knows: its keys, section by section, and the closed sets of values.
//! The example file and the README are tested against these lists.

/// The keys of one mapping of the file.
#[derive(Debug)]
pub struct Section {
    /// Where it stands; `[]` for each element of a list.
    pub path: &'static str,
    /// What is read there.
    pub keys: &'static [&'static str],
    /// Older names that are still read.
    pub legacy: &'static [&'static str],
}

/// The file itself.
pub const TOP: Section = Section {
    path: "",
    keys: &[
        "cli_proxy_api_endpoint",
        "cli_proxy_api",
        "allow_protocol_conversion",
        "admin_key",
        "client_api_keys",
        "responses_store",
        "debug_header",
        "proxy",
        "limits",
        "timeouts",
        "upstreams",
        "aliases",
    ],
    legacy: &[
        "auth2api_endpoint",
        "auth2api_api_key",
        "cli_proxy_api_api_key",
        "client_api_key",
    ],
};

/// How the sidecar is run.
pub const SIDECAR: Section = Section {
    path: "cli_proxy_api",
    keys: &[
        "binary",
        "manage",
        "data_dir",
        "api_key",
        "management_key",
        "proxy_url",
    ],
    legacy: &[],
};

/// One client key, where it is not a plain string.
pub const CLIENT_KEY: Section = Section {
    path: "client_api_keys[]",
    keys: &["name", "key", "models"],
    legacy: &[],
};

/// Memory for `previous_response_id`.
pub const RESPONSES_STORE: Section = Section {
    path: "responses_store",
    keys: &["mb", "minutes"],
    legacy: &[],
};

/// Bounds on size and number.
pub const LIMITS: Section = Section {
    path: "limits",
    keys: &["max_body_mb", "max_connections", "max_buffered_mb"],
    legacy: &[],
};

/// Bounds on time.
pub const TIMEOUTS: Section = Section {
    path: "timeouts",
    keys: &[
        "connect",
        "first_byte",
        "idle",
        "client_head",
        "client_stall",
        "keep_alive",
        "drain",
    ],
    legacy: &[],
};

/// One upstream.
pub const UPSTREAM: Section = Section {
    path: "upstreams[]",
    keys: &[
        "name",
        "base_url",
        "anthropic_base_url",
        "auth",
        "enabled",
        "support_chat_completions",
        "support_responses",
        "support_anthropic_messages",
        "kind",
        "flags",
        "headers",
        "ca_file",
        "proxy",
        "timeouts",
        "retry",
    ],
    legacy: &["api_key", "support_openai", "support_anthropic"],
};

/// How the gateway identifies itself to an upstream.
pub const AUTH: Section = Section {
    path: "upstreams[].auth",
    keys: &["type", "key"],
    legacy: &[],
};

/// An upstream's own time-outs.
pub const UPSTREAM_TIMEOUTS: Section = Section {
    path: "upstreams[].timeouts",
    keys: &["connect", "first_byte", "idle"],
    legacy: &[],
};

/// One alias.
pub const ALIAS: Section = Section {
    path: "aliases[]",
    keys: &[
        "alias",
        "target_model",
        "upstream",
        "param_overrides",
        "source",
        "strict",
        "flags",
        "max_model_len",
    ],
    legacy: &[],
};

/// One parameter of an alias.
pub const PARAM: Section = Section {
    path: "aliases[].param_overrides[]",
    keys: &["key", "value", "mode"],
    legacy: &[],
};

/// All of them.
pub const SECTIONS: [&Section; 11] = [
    &TOP,
    &SIDECAR,
    &CLIENT_KEY,
    &RESPONSES_STORE,
    &LIMITS,
    &TIMEOUTS,
    &UPSTREAM,
    &AUTH,
    &UPSTREAM_TIMEOUTS,
    &ALIAS,
    &PARAM,
];
