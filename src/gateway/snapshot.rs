//! The configuration as requests see it: checked as a whole, indexed, immutable. Parse, don't validate: what a snapshot holds is usable.
//! One snapshot is published at a time; a request takes it once and never looks again.

use super::allowance::quarter_of_memory;
use super::config::yaml::{FILE_BYTES_MAX, too_large};
use super::config::{
    AliasConfig, Auth, ClientKey, Config, Expand, Findings, Manage, Node, Problem, ResponsesStore,
    Retry, Secret, Timeouts, UpstreamConfig, line_of, locate,
};
use super::params::Params;
use super::route::Route;
pub use super::upstream::Upstream;
use super::upstream::{Place, kind_of};
use crate::net::client::Timeouts as CallTimeouts;
use crate::net::origin::{EnvProxy, Origin, ProxySettings};
use crate::net::tls::TlsSettings;
use crate::protocol::caps::Sampling;
use crate::protocol::{Caps, Protocol};
use crate::sidecar::accounts::Provider;
use crate::wire::json::{Raw, member};
use crate::wire::text::{glob, nearest};
use crate::wire::url::{Base, Url};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What a snapshot depends on beside the configuration file.
pub struct Surroundings<'a> {
    /// The file's folder, which relative paths start from.
    pub folder: &'a Path,
    /// Looks up an environment variable.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// Reads a file: certificates, and the machine's memory.
    pub read: &'a dyn Fn(&Path) -> io::Result<Vec<u8>>,
}

/// One state of the configuration. No Debug: URLs in it may hold passwords.
pub struct Snapshot {
    /// The tree it was made from: what a save edits, and what is shown (read it with [`Expand::Raw`]).
    pub tree: Node,
    /// What has no effect in it.
    pub warnings: Vec<Problem>,
    /// Whether a request may be converted to a protocol that its upstream speaks.
    pub allow_protocol_conversion: bool,
    /// `ADMIN_KEY`, else the file's. `None`: the gateway makes its own.
    pub admin_key: Option<Secret>,
    /// Who may call `/v1`; everyone if empty.
    pub client_keys: Vec<ClientKey>,
    /// Memory for `previous_response_id`.
    pub responses_store: ResponsesStore,
    /// Whether `X-Debug-Mode` is listened to.
    pub debug_header: bool,
    /// Bounds on size and number.
    pub limits: Limits,
    /// Bounds on time.
    pub timeouts: Timeouts,
    /// Where the sidecar is and how it is run.
    pub sidecar: Sidecar,
    /// In the file's order, disabled ones too.
    pub upstreams: Vec<Arc<Upstream>>,
    /// The aliases in the file's order, those on disabled upstreams too.
    pub aliases: Vec<Arc<Route>>,
    /// Aliases, and upstreams' names that are no alias.
    pub(super) routes: HashMap<String, Arc<Route>>,
}

/// Bounds on size and number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest request body taken; never more than all bodies may take together.
    pub body_bytes_max: u64,
    /// Client connections at once.
    pub connections_max: u32,
    /// All bodies, held deltas and collected answers together.
    pub buffered_bytes_max: u64,
}

/// Where the sidecar is and how it is run.
pub struct Sidecar {
    /// Its address.
    pub endpoint: Base,
    /// The program's name or path.
    pub binary: String,
    /// Whether it may be started by us.
    pub manage: Manage,
    /// Where state is kept: `DATA_DIR`, else the file's.
    pub data_dir: PathBuf,
    /// The key of an endpoint that someone else runs.
    pub api_key: Option<Secret>,
    /// The management key of an endpoint that someone else runs.
    pub management_key: Option<Secret>,
    /// The sidecar's own egress proxy.
    pub proxy_url: Option<Secret>,
}

impl Snapshot {
    /// From a file's bytes; an empty text is the empty configuration. Everything wrong is in the findings; with a problem there is no snapshot.
    pub fn load(file: &[u8], around: &Surroundings<'_>) -> (Option<Snapshot>, Findings) {
        let mut found = Findings::default();
        if file.len() > FILE_BYTES_MAX {
            found.problem("", too_large());
            return (None, found);
        }
        let tree = match std::str::from_utf8(file) {
            Ok(text) => Node::parse(text, &mut found.problems),
            Err(error) => {
                let message = match file {
                    [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
                        "the file is UTF-16: save it as UTF-8".into()
                    }
                    _ => format!(
                        "the file is not UTF-8 at line {}: save it as UTF-8",
                        line_of(file, error.valid_up_to())
                    ),
                };
                found.problem("", message);
                None
            }
        };
        let mut snapshot = tree.and_then(|tree| Snapshot::of(tree, around, &mut found));
        if let Ok(text) = std::str::from_utf8(file) {
            locate(text, &mut found);
        }
        if let Some(snapshot) = &mut snapshot {
            snapshot.warnings.clone_from(&found.warnings);
        }
        (snapshot, found)
    }

    /// From a tree: what a change through the management API takes.
    pub fn of(tree: Node, around: &Surroundings<'_>, found: &mut Findings) -> Option<Snapshot> {
        let config = Config::read(&tree, Expand::With(around.env), found);
        Snapshot::build(config, tree, around, found)
    }

    /// Checks the configuration as a whole and indexes it.
    pub fn build(
        config: Config,
        tree: Node,
        around: &Surroundings<'_>,
        found: &mut Findings,
    ) -> Option<Snapshot> {
        let mut build = Build { around, found };
        let sidecar = build.sidecar(&config.sidecar);
        let proxies = Proxies {
            configured: build.proxy("proxy", config.proxy.as_ref()),
            environment: build.environment_proxy(),
        };
        let mut upstreams = Vec::new();
        for upstream in config.upstreams {
            upstreams.extend(build.upstream(
                upstream,
                sidecar.as_ref(),
                &config.timeouts,
                &proxies,
            ));
        }
        let by_name = build.unique(&upstreams, "upstream", "name", |(path, upstream)| {
            (path, &upstream.name)
        });
        let mut aliases = Vec::new();
        for alias in config.aliases {
            let route = build.alias(&alias, &upstreams, &by_name);
            aliases.push((alias.path, alias.alias, route));
        }
        let mut routes = HashMap::new();
        build.unique(&aliases, "alias", "alias", |(path, alias, _)| (path, alias));
        for (index, key) in config.client_keys.iter().enumerate() {
            for (at, pattern) in key.models.iter().enumerate() {
                let names = aliases.iter().map(|(_, alias, _)| alias.as_str());
                let mut names = names.chain(by_name.keys().map(String::as_str));
                if !names.any(|name| glob(pattern, name)) {
                    let path = format!("client_api_keys[{index}].models[{at}]");
                    let message = "matches no alias and no upstream's name";
                    build.found.warning(path, message);
                }
            }
        }
        let admin_key = build.admin_key(config.admin_key);
        let limits = build.limits(&config.limits);

        let aliases: Vec<Arc<Route>> = aliases
            .into_iter()
            .filter_map(|(_, _, route)| route)
            .collect();
        let upstreams: Vec<Arc<Upstream>> = upstreams
            .into_iter()
            .map(|(_, upstream)| upstream)
            .collect();
        for route in aliases
            .iter()
            .cloned()
            .chain(upstreams.iter().map(own_route))
        {
            if let Entry::Vacant(place) = routes.entry(route.name.clone()) {
                place.insert(route);
            }
        }
        if !found.problems.is_empty() {
            return None;
        }
        Some(Snapshot {
            tree,
            warnings: found.warnings.clone(),
            allow_protocol_conversion: config.allow_protocol_conversion,
            admin_key,
            client_keys: config.client_keys,
            responses_store: config.responses_store,
            debug_header: config.debug_header,
            limits,
            timeouts: config.timeouts,
            sidecar: sidecar?,
            upstreams,
            aliases,
            routes,
        })
    }
}

/// The route of an upstream's own name: the model is sent as it came.
pub(super) fn own_route(upstream: &Arc<Upstream>) -> Arc<Route> {
    Arc::new(Route {
        name: upstream.name.clone(),
        upstream: upstream.clone(),
        model: upstream.name.clone(),
        model_member: None,
        params: Params::default(),
        strict: false,
        caps: caps(upstream, &upstream.name, &[&upstream.flags]),
        source: None,
        max_model_len: None,
    })
}

/// What a model of that upstream can do, with quirks over it, later ones over earlier ones.
fn caps(upstream: &Upstream, model: &str, quirks: &[&super::config::Flags]) -> Caps {
    let mut caps = Caps::of(upstream.kind, model);
    caps.upstream = Some(upstream.name.as_str().into());
    if upstream.provider().is_some() {
        // The sidecar drops them for every account, in silence.
        caps.sampling = Sampling::None;
        // A limit for Codex accounts only.
        caps.output_limit = upstream.provider() != Some(Provider::Codex);
    }
    for (name, json) in quirks.iter().copied().flatten() {
        // Both were checked when the configuration was read.
        let _ = Raw::parse(json).and_then(|value| caps.set(name, value));
    }
    caps
}

/// The egress proxies that an upstream may inherit.
struct Proxies {
    configured: Option<ProxySettings>,
    environment: EnvProxy,
}

impl Proxies {
    fn for_url(&self, url: &Url) -> Option<ProxySettings> {
        self.configured
            .clone()
            .or_else(|| self.environment.for_url(url))
    }
}

struct Build<'a> {
    around: &'a Surroundings<'a>,
    found: &'a mut Findings,
}

impl Build<'_> {
    fn base(&mut self, path: String, text: &str) -> Option<Base> {
        match Base::parse(text) {
            Ok(base) => {
                for message in doubts(&base, text) {
                    self.found.warning(path.clone(), message);
                }
                Some(base)
            }
            Err(fault) => {
                self.found.problem(path, fault.to_string());
                None
            }
        }
    }

    fn proxy(&mut self, path: &str, text: Option<&Secret>) -> Option<ProxySettings> {
        match ProxySettings::parse(text?.expose()) {
            Ok(proxy) => Some(proxy),
            Err(fault) => {
                self.found.problem(path, fault.to_string());
                None
            }
        }
    }

    fn environment_proxy(&mut self) -> EnvProxy {
        EnvProxy::read(self.around.env).unwrap_or_else(|fault| {
            self.found.problem("", fault.to_string()); // it names the variable
            EnvProxy::default()
        })
    }

    fn sidecar(&mut self, config: &super::config::Sidecar) -> Option<Sidecar> {
        let endpoint = self.base("cli_proxy_api_endpoint".into(), &config.endpoint)?;
        let data_dir = (self.around.env)("DATA_DIR").filter(|folder| !folder.is_empty());
        let data_dir = data_dir.unwrap_or_else(|| config.data_dir.clone());
        Some(Sidecar {
            endpoint,
            binary: config.binary.clone(),
            manage: config.manage,
            data_dir: self.around.folder.join(data_dir),
            api_key: config.api_key.clone(),
            management_key: config.management_key.clone(),
            proxy_url: config.proxy_url.clone(),
        })
    }

    fn upstream(
        &mut self,
        config: UpstreamConfig,
        sidecar: Option<&Sidecar>,
        timeouts: &Timeouts,
        proxies: &Proxies,
    ) -> Option<(String, Arc<Upstream>)> {
        let at = |key: &str| format!("{}.{key}", config.path);
        let own_proxy = self.proxy(&at("proxy"), config.proxy.as_ref());
        let tls = self.tls(&at("ca_file"), config.ca_file.as_deref());
        let place = |base: Base, proxied: bool| {
            let url = &base.url;
            let proxy = own_proxy.clone().or_else(|| proxies.for_url(url));
            let origin = Origin::new(url, &tls, proxy.as_ref().filter(|_| proxied));
            Place::new(base, origin)
        };
        let (own, messages, supports) = match config.auth {
            Auth::ApiKey(_) => {
                let own = config.anthropic_base_url.as_deref();
                if own.is_some() && !config.supports[Protocol::Messages as usize] {
                    let message = "not used while support_anthropic_messages is false";
                    self.found.warning(at("anthropic_base_url"), message);
                }
                let messages = own.and_then(|text| self.base(at("anthropic_base_url"), text));
                let messages = messages.map(|base| place(base, true));
                // An empty address was a problem already.
                let base = Some(&config.base_url).filter(|text| !text.is_empty());
                let base = base.and_then(|text| self.base(at("base_url"), text));
                (
                    base.map(|base| place(base, true)),
                    messages,
                    config.supports,
                )
            }
            // The sidecar is on this machine or in its network: never through a proxy.
            Auth::AnthropicOauth | Auth::CodexOauth => {
                let own = match config.auth {
                    Auth::AnthropicOauth => Protocol::Messages,
                    _ => Protocol::Responses,
                };
                let base = sidecar.map(|sidecar| sidecar.endpoint.clone());
                let supports = Protocol::ALL.map(|other| other == own);
                (base.map(|base| place(base, false)), None, supports)
            }
        };
        // A stand-in where the address is missing, so that its aliases are not called homeless, too.
        let stand_in = || {
            Base::parse("http://localhost")
                .ok()
                .map(|base| place(base, false))
        };
        let own = own.or_else(stand_in)?;
        if !supports.contains(&true) {
            let message = "speaks no protocol: set one of its support_… to true";
            self.found.warning(config.path.clone(), message);
        }
        let timeout = config.timeouts;
        let upstream = Upstream {
            kind: config.kind.unwrap_or_else(|| match config.auth {
                Auth::ApiKey(_) => kind_of(own.url()),
                Auth::AnthropicOauth => "anthropic",
                Auth::CodexOauth => "openai",
            }),
            key: match &config.auth {
                Auth::ApiKey(key) => key.clone(),
                Auth::AnthropicOauth | Auth::CodexOauth => None,
            },
            name: config.name,
            enabled: config.enabled,
            auth: config.auth,
            headers: config.headers,
            flags: config.flags,
            timeouts: CallTimeouts {
                connect: timeout.connect.unwrap_or(timeouts.upstream.connect),
                first_byte: timeout.first_byte.unwrap_or(timeouts.upstream.first_byte),
                idle: timeout.idle.unwrap_or(timeouts.upstream.idle),
                stall: timeouts.client_stall,
            },
            retry: config.retry == Retry::Safe,
            supports,
            own,
            messages,
        };
        Some((config.path, Arc::new(upstream)))
    }

    fn tls(&mut self, path: &str, file: Option<&str>) -> TlsSettings {
        let Some(file) = file else {
            return TlsSettings::public();
        };
        let file = self.around.folder.join(file);
        let pem = (self.around.read)(&file).map_err(|error| error.to_string());
        let tls = pem.and_then(|pem| TlsSettings::with_ca(&pem).map_err(|fault| fault.to_string()));
        tls.unwrap_or_else(|reason| {
            self.found
                .problem(path, format!("{}: {reason}", file.display()));
            TlsSettings::public()
        })
    }

    fn alias(
        &mut self,
        config: &AliasConfig,
        upstreams: &[(String, Arc<Upstream>)],
        by_name: &HashMap<String, usize>,
    ) -> Option<Arc<Route>> {
        if config.upstream.is_empty() {
            return None; // a problem already
        }
        let Some(&at) = by_name.get(&config.upstream) else {
            let mut names: Vec<_> = by_name.keys().map(String::as_str).collect();
            names.sort_unstable();
            let names = nearest(&config.upstream, names, 3);
            let mut message = format!("there is no upstream named {:?}", config.upstream);
            if !names.is_empty() {
                message.push_str(&format!("; known: {}", names.join(", ")));
            }
            self.found
                .problem(format!("{}.upstream", config.path), message);
            return None;
        };
        let upstream = upstreams[at].1.clone();
        let quirks = [&upstream.flags, &config.flags];
        let token_param = quirks.iter().rev().copied().flatten();
        let token_param = token_param
            .into_iter()
            .find(|(name, _)| name == "token_param");
        let caps = caps(&upstream, &config.target_model, &quirks);
        let params = Params::build(&config.params, token_param.map(|(_, json)| json.as_str()));
        let model = serde_json::Value::from(config.target_model.as_str()).to_string();
        Some(Arc::new(Route {
            name: config.alias.clone(),
            model: config.target_model.clone(),
            model_member: Some(member("model", &model)),
            params,
            caps,
            strict: config.strict,
            source: Some(config.source),
            max_model_len: config.max_model_len,
            upstream,
        }))
    }

    /// The places of named things by name; a name that is there twice is a problem. Empty ones were a problem already.
    fn unique<T>(
        &mut self,
        things: &[T],
        what: &str,
        key: &str,
        name: fn(&T) -> (&String, &String),
    ) -> HashMap<String, usize> {
        let mut places = HashMap::new();
        for (at, thing) in things.iter().enumerate() {
            let (path, own) = name(thing);
            if own.is_empty() {
                continue;
            }
            match places.entry(own.clone()) {
                Entry::Vacant(place) => {
                    place.insert(at);
                }
                Entry::Occupied(place) => {
                    let (first, _) = name(&things[*place.get()]);
                    let message = format!("{first} is {} {what} named {own:?}, too", article(what));
                    self.found.problem(format!("{path}.{key}"), message);
                }
            }
        }
        places
    }

    fn admin_key(&mut self, own: Option<Secret>) -> Option<Secret> {
        let key = (self.around.env)("ADMIN_KEY").filter(|key| !key.is_empty());
        let Some(key) = key else {
            return own;
        };
        if key.chars().any(char::is_control) {
            self.found.problem(
                "ADMIN_KEY",
                "the key holds a control character (a line end?)",
            );
        }
        Some(Secret::new(key))
    }

    fn limits(&mut self, config: &super::config::Limits) -> Limits {
        let buffered = config.buffered_bytes_max;
        let buffered = buffered.unwrap_or_else(|| quarter_of_memory(self.around.read));
        Limits {
            body_bytes_max: config.body_bytes_max.min(buffered),
            connections_max: config.connections_max,
            buffered_bytes_max: buffered,
        }
    }
}

fn article(noun: &str) -> &'static str {
    if noun.starts_with(['a', 'e', 'i', 'o', 'u']) {
        "an"
    } else {
        "a"
    }
}

/// What is probably wrong with a base URL that can be read.
fn doubts(base: &Base, text: &str) -> Vec<String> {
    /// What users copy from a vendor's page along with the base URL.
    const ENDPOINTS: [&str; 6] = [
        "/chat/completions",
        "/completions",
        "/responses",
        "/messages",
        "/embeddings",
        "/models",
    ];
    let mut doubts = Vec::new();
    let url = &base.url;
    if url.userinfo.is_some() {
        doubts.push(
            "the user and password of a base URL are not sent: set headers.authorization".into(),
        );
    }
    let marked = text.trim_ascii().ends_with('#');
    let path = url.path.trim_end_matches('/');
    if let Some(endpoint) = ENDPOINTS
        .iter()
        .find(|end| path.ends_with(**end) && !marked)
    {
        doubts.push(format!(
            "ends in {endpoint}, which the gateway adds itself: leave it out"
        ));
    }
    if path.contains("/v1/v1") {
        doubts.push("has /v1 twice".into());
    }
    match (url.scheme.name(), url.port) {
        ("http", 443) => doubts.push("port 443 speaks https as a rule, and this is http".into()),
        ("https", 80) => doubts.push("port 80 speaks http as a rule, and this is https".into()),
        _ => {}
    }
    doubts
}

#[cfg(test)]
#[path = "snapshot_tests.rs"]
pub(crate) mod tests;

#[cfg(test)]
#[path = "snapshot_findings_tests.rs"]
mod findings_tests;
