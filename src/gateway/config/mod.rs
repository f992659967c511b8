//! The configuration as plain data: what the file says, defaults filled in, nothing resolved yet.
//! A file is text, then a [`Node`] tree, then a [`Config`]; `Snapshot::build` makes it what requests run on.
//! All problems are collected, each with its YAML path; the tree is kept, so that what is unknown here survives a save.

pub mod keys;
mod lines;
pub mod node;
mod read;
pub mod secret;
pub mod shown;
pub mod store;
mod walk;
pub mod yaml;

pub use lines::{line_of, locate};
pub use node::Node;
pub use secret::Secret;
pub use walk::Expand;

use super::memory::Owner;
use crate::wire::text::glob;
use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// Something wrong or odd in the configuration, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The YAML path, like `upstreams[2].base_url`; empty for the file as a whole.
    pub path: String,
    /// A sentence without a secret.
    pub message: String,
    /// Its line in the file, if it is known.
    pub line: Option<usize>,
}

impl Problem {
    /// At that path, this.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Problem {
        let path = path.into();
        Problem {
            path: match shown_path(&path) {
                Cow::Owned(masked) => masked,
                Cow::Borrowed(_) => path,
            },
            message: message.into(),
            line: None,
        }
    }

    /// The sentence, with the line at its end.
    pub fn sentence(&self) -> String {
        match self.line {
            Some(line) => format!("{} (line {line})", self.message),
            None => self.message.clone(),
        }
    }
}

/// A path as it may be told: a key of the file that looks like a credential, which someone wrote on the wrong side of a colon,
/// is masked.
fn shown_path(path: &str) -> Cow<'_, str> {
    /// Shorter words are names.
    const CREDENTIAL_CHARS_MIN: usize = 20;
    let word = |c: char| c.is_alphanumeric() || "_-+/=•".contains(c);
    let is_credential = |part: &str| {
        let long = part.chars().count() >= CREDENTIAL_CHARS_MIN;
        let mixed = part.contains(|c: char| c.is_ascii_digit())
            && part.contains(|c: char| c.is_ascii_alphabetic());
        part.starts_with("sk-") || long && mixed && !part.contains('•')
    };
    let parts = || path.split(|c| !word(c));
    if !parts().any(is_credential) {
        return Cow::Borrowed(path);
    }
    let mut shown = path.to_owned();
    for part in parts().filter(|part| is_credential(part)) {
        shown = shown.replace(part, &secret::mask(part));
    }
    Cow::Owned(shown)
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.sentence())
    }
}

/// What a walk over the tree found beside the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// With any of these the file must not be used.
    pub problems: Vec<Problem>,
    /// The file may be used, but something in it has no effect.
    pub warnings: Vec<Problem>,
}

impl Findings {
    /// A problem at a path.
    pub fn problem(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.problems.push(Problem::new(path, message));
    }

    /// A warning at a path.
    pub fn warning(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.warnings.push(Problem::new(path, message));
    }

    /// What `--check` prints: every problem and warning, one a line.
    pub fn report(&self) -> String {
        let problems = self
            .problems
            .iter()
            .map(|found| format!("error: {found}\n"));
        let warnings = self
            .warnings
            .iter()
            .map(|found| format!("warning: {found}\n"));
        problems.chain(warnings).collect()
    }
}

/// The whole configuration. No Debug: URLs in it may hold passwords.
#[derive(Clone)]
pub struct Config {
    /// Where the sidecar listens and how it is run.
    pub sidecar: Sidecar,
    /// Whether a request may be converted to a protocol that its upstream speaks.
    pub allow_protocol_conversion: bool,
    /// Protects the management API; `None` where the gateway makes its own.
    pub admin_key: Option<Secret>,
    /// Who may call `/v1`; everyone if empty.
    pub client_keys: Vec<ClientKey>,
    /// Memory for `previous_response_id`.
    pub responses_store: ResponsesStore,
    /// Whether `X-Debug-Mode` is listened to.
    pub debug_header: bool,
    /// Egress proxy for every upstream.
    pub proxy: Option<Secret>,
    /// Bounds on size and number.
    pub limits: Limits,
    /// Bounds on time.
    pub timeouts: Timeouts,
    /// In the file's order.
    pub upstreams: Vec<UpstreamConfig>,
    /// In the file's order.
    pub aliases: Vec<AliasConfig>,
}

/// The sidecar's settings: `cli_proxy_api_endpoint` and `cli_proxy_api`.
#[derive(Clone)]
pub struct Sidecar {
    /// Its address.
    pub endpoint: String,
    /// The program's name or path.
    pub binary: String,
    /// Whether it may be started by us.
    pub manage: Manage,
    /// Where state is kept, relative to the configuration file.
    pub data_dir: String,
    /// The key of an endpoint that someone else runs.
    pub api_key: Option<Secret>,
    /// The management key of an endpoint that someone else runs.
    pub management_key: Option<Secret>,
    /// The sidecar's own egress proxy.
    pub proxy_url: Option<Secret>,
}

/// Who runs the sidecar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manage {
    /// We do, for a loopback endpoint, when an OAuth upstream needs it.
    Auto,
    /// Someone else does.
    Never,
}

/// One client's key for `/v1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientKey {
    /// For logs; `client-1` and so on where the file gives none.
    pub name: String,
    /// The key.
    pub key: Secret,
    /// Globs of the models it may use; empty: all.
    pub models: Vec<String>,
    /// Whose responses those are that are kept for it.
    pub owner: Owner,
}

impl ClientKey {
    /// A key of that name.
    pub fn new(name: String, key: Secret, models: Vec<String>) -> ClientKey {
        let owner = Owner::of_key(key.expose());
        ClientKey {
            name,
            key,
            models,
            owner,
        }
    }

    /// Whether this key may use the alias or upstream of that name.
    pub fn allows(&self, model: &str) -> bool {
        self.models.is_empty() || self.models.iter().any(|pattern| glob(pattern, model))
    }
}

/// Memory for `previous_response_id` and `item_reference`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponsesStore {
    /// 0 switches it off.
    pub bytes_max: u64,
    /// How long a response is kept after its last use.
    pub keep: Duration,
}

/// Bounds on size and number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The largest request body taken.
    pub body_bytes_max: u64,
    /// Client connections at once.
    pub connections_max: u32,
    /// All bodies, held deltas and collected answers together. `None`: a quarter of the memory, at most 256 MB.
    pub buffered_bytes_max: Option<u64>,
}

/// Bounds on time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// What an upstream may override.
    pub upstream: UpstreamTimeouts,
    /// For a request's head.
    pub client_head: Duration,
    /// With no byte of a body coming, or none accepted.
    pub client_stall: Duration,
    /// Of an idle client connection.
    pub keep_alive: Duration,
    /// For requests still running at exit.
    pub drain: Duration,
}

/// Bounds on the time an upstream takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpstreamTimeouts {
    /// DNS, TCP and TLS together.
    pub connect: Duration,
    /// Until the response head.
    pub first_byte: Duration,
    /// Between two reads of a response.
    pub idle: Duration,
}

/// One of `upstreams`. No Debug: its URLs may hold passwords.
#[derive(Clone)]
pub struct UpstreamConfig {
    /// Where it stands in the file.
    pub path: String,
    /// Unique; callable as a model name.
    pub name: String,
    /// As written; not used by OAuth upstreams, which are reached through the sidecar.
    pub base_url: String,
    /// For the Messages protocol, where it has an address of its own.
    pub anthropic_base_url: Option<String>,
    /// How the gateway identifies itself.
    pub auth: Auth,
    /// A disabled upstream keeps its aliases and answers 404.
    pub enabled: bool,
    /// Chat, Responses, Messages, as the management API shows them: all three for OAuth upstreams.
    pub supports: [bool; 3],
    /// What server it is, one of [`crate::protocol::caps::KINDS`]; `None`: guessed from the host.
    pub kind: Option<&'static str>,
    /// Single quirks.
    pub flags: Flags,
    /// Added to each request; they replace the gateway's own of the same name.
    pub headers: Vec<(String, Secret)>,
    /// Extra root certificates, a PEM file relative to the configuration file.
    pub ca_file: Option<String>,
    /// Egress proxy for this upstream.
    pub proxy: Option<Secret>,
    /// What the global time-outs are replaced by.
    pub timeouts: TimeoutOverrides,
    /// When a request may be sent twice.
    pub retry: Retry,
}

/// An upstream's own time-outs; `None`: the global one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeoutOverrides {
    /// See [`UpstreamTimeouts::connect`].
    pub connect: Option<Duration>,
    /// See [`UpstreamTimeouts::first_byte`].
    pub first_byte: Option<Duration>,
    /// See [`UpstreamTimeouts::idle`].
    pub idle: Option<Duration>,
}

/// How the gateway identifies itself to an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// With a key, or with none.
    ApiKey(Option<Secret>),
    /// A Claude account in the sidecar.
    AnthropicOauth,
    /// A Codex account in the sidecar.
    CodexOauth,
}

/// When a request may be sent a second time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Once, on a reused connection that closed before any byte came back.
    Safe,
    /// Not at all.
    Never,
}

/// Quirks by name, each value a JSON text.
pub type Flags = Vec<(String, String)>;

/// One of `aliases`.
#[derive(Clone, Debug, PartialEq)]
pub struct AliasConfig {
    /// Where it stands in the file.
    pub path: String,
    /// What clients say. Unique.
    pub alias: String,
    /// What the upstream is told.
    pub target_model: String,
    /// The upstream's name.
    pub upstream: String,
    /// In the file's order.
    pub params: Vec<ParamConfig>,
    /// Who made it.
    pub source: Source,
    /// Whether a conversion that would have to warn is refused.
    pub strict: bool,
    /// Win over the upstream's.
    pub flags: Flags,
    /// Shown in `/v1/models`.
    pub max_model_len: Option<u64>,
}

/// Who made an alias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A person.
    Manual,
    /// One click in the WebUI.
    Auto,
}

/// One of `param_overrides`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParamConfig {
    /// The literal top-level key, in the upstream's terms.
    pub key: String,
    /// The value as JSON; for `extra_body` see [`ParamConfig::members`].
    pub json: String,
    /// The members of an `extra_body`, in order; empty for any other key.
    pub members: Vec<(String, String)>,
    /// Whether it yields to the client.
    pub mode: Mode,
}

/// Whether a parameter yields to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Only where the client did not send the key.
    Default,
    /// Always.
    Override,
}

/// Helpers of the tests of this folder and of `gateway`.
#[cfg(test)]
pub(crate) mod tests {
    use std::fs;
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// A folder that is removed with its owner.
    pub struct Folder(PathBuf);

    impl Folder {
        pub fn new() -> Folder {
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            let name = format!("llm-wrapper-test-{}-{number}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir_all(&path).unwrap();
            Folder(fs::canonicalize(path).unwrap())
        }

        pub fn path(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }

        pub fn write(&self, name: &str, text: &str) -> PathBuf {
            let path = self.path(name);
            fs::write(&path, text).unwrap();
            path
        }

        pub fn text(&self, name: &str) -> String {
            fs::read_to_string(self.path(name)).unwrap()
        }

        /// Names in the folder, sorted.
        pub fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(&self.0).unwrap();
            let mut names: Vec<_> = entries
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}
