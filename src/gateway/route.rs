//! From the name a client asks for to the upstream that answers, and in which protocol.
//! An alias wins over an upstream's own name; a target model never routes. What is not found is answered with the nearest names.

use super::config::{ClientKey, Source};
use super::params::{Edits, Params};
use super::snapshot::{Snapshot, Upstream};
use crate::error::{Error, Kind};
use crate::protocol::{Caps, Protocol};
use crate::wire::json::{Edit, Object};
use crate::wire::text::nearest;
use std::sync::Arc;

/// Names that an unknown model's error lists.
const NEAREST_MAX: usize = 5;
/// Characters of a name that are quoted: the client's text is not repeated at any length.
const NAME_CHARS_MAX: usize = 64;

/// Where requests for one name go. Made once per snapshot.
pub struct Route {
    /// What clients say: an alias, or an upstream's own name.
    pub name: String,
    /// Who answers. May be disabled; [`Snapshot::resolve`] never yields such a route.
    pub upstream: Arc<Upstream>,
    /// What the upstream is told.
    pub model: String,
    /// `"model":…`; `None` for an upstream's own name, where the model is sent as it came.
    pub(super) model_member: Option<String>,
    /// `param_overrides`.
    pub(super) params: Params,
    /// Whether a conversion that would have to warn is refused.
    pub strict: bool,
    /// What the upstream can do with this model: its kind, with the quirks of upstream and alias over it.
    pub caps: Caps,
    /// Who made the alias; `None` for an upstream's own name.
    pub source: Option<Source>,
    /// Shown in `/v1/models`.
    pub max_model_len: Option<u64>,
}

impl Route {
    /// The edit that tells the upstream its model. For endpoints that take no parameters, like token counting, this is all.
    pub fn model_edit(&self) -> Option<Edit<'_>> {
        let member = self.model_member.as_deref()?;
        Some(Edit::Set {
            key: "model",
            member,
        })
    }

    /// All edits of a body sent in `protocol`, the upstream's. `version` is the `anthropic-version` that is sent;
    /// `invented` are keys of a converted body that come from no field of the client, and so count as absent for defaults.
    pub fn edits<'e>(
        &'e self,
        protocol: Protocol,
        object: &Object<'_>,
        version: Option<&str>,
        invented: &[&str],
    ) -> Edits<'e> {
        let mut edits = self.params.edits(protocol, object, version, invented);
        edits.list.extend(self.model_edit());
        edits
    }

    /// How a request in `asked` gets there: in its own protocol if that is spoken, else, if conversion is allowed, in the nearest one that is.
    pub fn way(&self, asked: Protocol, conversion: bool) -> Way {
        if self.upstream.supports(asked) {
            return Way::Verbatim;
        }
        let others = match asked {
            Protocol::Chat => [Protocol::Responses, Protocol::Messages],
            Protocol::Responses => [Protocol::Chat, Protocol::Messages],
            Protocol::Messages => [Protocol::Chat, Protocol::Responses],
        };
        let mut spoken = others
            .into_iter()
            .filter(|other| self.upstream.supports(*other));
        match spoken.next() {
            Some(other) if conversion => Way::Convert(other),
            _ => Way::None,
        }
    }

    /// The 400 for a request to `endpoint` (the path after `/v1`) that the upstream does not serve, naming the protocols that it speaks.
    pub fn lacks(&self, endpoint: &str) -> Error {
        let spoken = Protocol::ALL
            .into_iter()
            .filter(|protocol| self.upstream.supports(*protocol));
        let paths: Vec<_> = spoken
            .map(|protocol| format!("/v1{}", protocol.path()))
            .collect();
        let name = quoted(&self.upstream.name);
        let message = if paths.is_empty() {
            format!(
                "the upstream {name} does not support /v1{endpoint}, nor any of the three protocols"
            )
        } else {
            format!(
                "the upstream {name} does not support /v1{endpoint}, only {}",
                paths.join(" and ")
            )
        };
        Error::client(Kind::Unsupported, message)
    }
}

/// How a request travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// In the client's protocol, bytes untouched but for the edits.
    Verbatim,
    /// Converted to this protocol of the upstream.
    Convert(Protocol),
    /// Not at all: 400, see [`Route::lacks`].
    None,
}

impl Snapshot {
    /// The route of a model name, as far as `key` may use it.
    ///
    /// Errors: 404 for an unknown name and for an upstream that is disabled, 403 for a name that the key does not allow.
    pub fn resolve(&self, model: &str, key: Option<&ClientKey>) -> Result<&Arc<Route>, Error> {
        let Some(route) = self.routes.get(model) else {
            return Err(self.unknown(model, key));
        };
        if key.is_some_and(|key| !key.allows(model)) {
            let message = format!("this key may not use the model {}", quoted(model));
            return Err(Error::client(Kind::Forbidden, message).param("model"));
        }
        if !route.upstream.enabled {
            let upstream = quoted(&route.upstream.name);
            let message = match route.source {
                Some(_) => format!(
                    "model {} is on the upstream {upstream}, which is disabled",
                    quoted(model)
                ),
                None => format!("the upstream {upstream} is disabled"),
            };
            return Err(Error::client(Kind::ModelNotFound, message).param("model"));
        }
        Ok(route)
    }

    fn unknown(&self, model: &str, key: Option<&ClientKey>) -> Error {
        let usable = |route: &&Arc<Route>| {
            route.upstream.enabled && key.is_none_or(|key| key.allows(&route.name))
        };
        let usable = self.routes.values().filter(usable);
        let mut names: Vec<_> = usable.map(|route| route.name.as_str()).collect();
        names.sort_unstable();
        let names = nearest(model, names, NEAREST_MAX);
        let model = quoted(model);
        let message = if names.is_empty() {
            format!("model {model} is not an alias; none is set up that could be used")
        } else {
            format!("model {model} is not an alias; known: {}", names.join(", "))
        };
        Error::client(Kind::ModelNotFound, message).param("model")
    }
}

/// A name in quotes, cut to a length that is fit to be repeated.
fn quoted(name: &str) -> String {
    match name.char_indices().nth(NAME_CHARS_MAX) {
        Some((end, _)) => format!("{:?}…", &name[..end]),
        None => format!("{name:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::config::Secret;
    use crate::gateway::snapshot::tests::snapshot;

    const FILE: &str = "
upstreams:
  - {name: vllm, base_url: 'http://h', support_chat_completions: true}
  - {name: anthropic, base_url: 'http://h', support_chat_completions: false, support_anthropic_messages: true}
  - {name: all, base_url: 'http://h', support_responses: true, support_anthropic_messages: true}
  - {name: embed, base_url: 'http://h', support_chat_completions: false}
  - {name: two, base_url: 'http://h', support_chat_completions: false, support_responses: true, support_anthropic_messages: true}
  - {name: off, base_url: 'http://h', enabled: false}
  - {name: account, auth: {type: anthropic_oauth}}
  - {name: codex, auth: {type: codex_oauth}}
aliases:
  - {alias: gpt-5, target_model: qwen/q, upstream: vllm}
  - {alias: gpt-5-mini, target_model: q2, upstream: vllm}
  - {alias: off-alias, target_model: q3, upstream: off}
  - {alias: anthropic, target_model: q4, upstream: vllm}
";

    fn refused(model: &str, key: Option<&ClientKey>) -> (u16, String) {
        let snapshot = snapshot(FILE);
        let error = snapshot.resolve(model, key).err().unwrap();
        assert_eq!(error.param.as_deref(), Some("model"));
        (error.status(), error.message)
    }

    #[test]
    fn an_alias_then_an_upstreams_name() {
        let snapshot = snapshot(FILE);
        let route = |name: &str| snapshot.resolve(name, None).ok().unwrap();
        assert_eq!(route("gpt-5").model, "qwen/q");
        assert_eq!(
            route("gpt-5").model_member.as_deref(),
            Some(r#""model":"qwen/q""#)
        );
        assert_eq!(route("vllm").upstream.name, "vllm");
        assert!(route("vllm").model_edit().is_none());
        assert_eq!(route("anthropic").upstream.name, "vllm");
    }

    #[test]
    fn unknown_names_are_404_with_the_nearest() {
        let (status, message) = refused("gpt-5x", None);
        assert_eq!(status, 404);
        assert!(
            message.starts_with("model \"gpt-5x\" is not an alias; known: gpt-5, "),
            "{message}"
        );
        assert!(!message.contains("off"), "{message}");
        assert_eq!(refused("qwen/q", None).0, 404);
        assert_eq!(refused("GPT-5", None).0, 404);
        let (_, long) = refused(&"x\n".repeat(100_000), None);
        assert!(long.len() < 300 && !long.contains('\n'));
    }

    #[test]
    fn disabled_upstreams_are_404_and_named() {
        assert_eq!(
            refused("off-alias", None),
            (
                404,
                "model \"off-alias\" is on the upstream \"off\", which is disabled".into()
            )
        );
        assert_eq!(
            refused("off", None),
            (404, "the upstream \"off\" is disabled".into())
        );
    }

    #[test]
    fn a_key_with_models_sees_no_others() {
        let key = ClientKey::new("laptop".into(), Secret::new("k"), vec!["gpt-*".into()]);
        assert!(snapshot(FILE).resolve("gpt-5-mini", Some(&key)).is_ok());
        assert_eq!(refused("anthropic", Some(&key)).0, 403);
        let (status, message) = refused("gpt", Some(&key));
        assert_eq!(status, 404);
        assert!(message.ends_with("known: gpt-5, gpt-5-mini"), "{message}");
    }

    #[test]
    fn nothing_set_up_is_said() {
        let snapshot = snapshot("");
        let error = snapshot.resolve("x", None).err().unwrap();
        assert!(error.message.contains("none is set up"));
    }

    fn ways(upstream: &str, conversion: bool) -> [Way; 3] {
        let snapshot = snapshot(FILE);
        let found = snapshot
            .upstreams
            .iter()
            .find(|found| found.name == upstream);
        let route = crate::gateway::snapshot::own_route(found.unwrap());
        Protocol::ALL.map(|asked| route.way(asked, conversion))
    }

    #[test]
    fn the_own_protocol_is_verbatim_else_the_nearest_is_converted_to() {
        use Protocol::*;
        use Way::{Convert, Verbatim};
        assert_eq!(ways("vllm", true), [Verbatim, Convert(Chat), Convert(Chat)]);
        assert_eq!(
            ways("anthropic", true),
            [Convert(Messages), Convert(Messages), Verbatim]
        );
        assert_eq!(ways("all", true), [Verbatim; 3]);
        assert_eq!(ways("embed", true), [Way::None; 3]);
        assert_eq!(
            ways("account", true),
            [Convert(Messages), Convert(Messages), Verbatim]
        );
        assert_eq!(
            ways("codex", true),
            [Convert(Responses), Verbatim, Convert(Responses)]
        );
        assert_eq!(ways("two", true), [Convert(Responses), Verbatim, Verbatim]);
    }

    #[test]
    fn with_conversion_off_the_error_says_what_is_supported() {
        assert_eq!(ways("vllm", false), [Way::Verbatim, Way::None, Way::None]);
        let snapshot = snapshot(FILE);
        let lacks = |name: &str| {
            snapshot
                .resolve(name, None)
                .ok()
                .unwrap()
                .lacks("/messages")
        };
        assert_eq!(lacks("gpt-5").status(), 400);
        assert_eq!(
            lacks("gpt-5").message,
            "the upstream \"vllm\" does not support /v1/messages, only /v1/chat/completions"
        );
        assert!(
            lacks("embed")
                .message
                .ends_with("nor any of the three protocols")
        );
    }
}
