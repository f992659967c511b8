//! `param_overrides` as edits of a request's top level. The texts are made when the configuration is loaded;
//! a request only chooses among them. Keys are in the upstream's terms; the three names of the token limit are one slot.

use super::config::{Mode, ParamConfig};
use crate::protocol::Protocol;
use crate::wire::json::{Edit, Object, member};

/// The token limit's names: Chat's older one and Messages', Chat's newer one, Responses'.
const LIMIT_KEYS: [&str; 3] = ["max_tokens", "max_completion_tokens", "max_output_tokens"];
const OLD: usize = 0;
const NEW: usize = 1;
const OUTPUT: usize = 2;
/// Fields that Messages refuses from this version on (Anthropic's versioning page): any value is a 400.
const SAMPLING_KEYS: [&str; 3] = ["temperature", "top_p", "top_k"];
const SAMPLING_REFUSED_FROM: &str = "2026-10-21";

/// The parameters of one alias.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Params {
    entries: Vec<Entry>,
    limit: Option<Limit>,
}

#[derive(Debug, PartialEq, Eq)]
struct Entry {
    key: String,
    member: String,
    mode: Mode,
    sampling: bool,
}

#[derive(Debug, PartialEq, Eq)]
struct Limit {
    /// One member text for each of [`LIMIT_KEYS`].
    members: [String; 3],
    mode: Mode,
    /// Chat's name for it where the client uses none.
    chat: usize,
    /// Whether that name also replaces the client's.
    chat_fixed: bool,
}

/// What a request's body gets.
#[derive(Default)]
pub struct Edits<'e> {
    /// For `splice`, in order.
    pub list: Vec<Edit<'e>>,
    /// Keys left out because the upstream's version refuses them: to be named in the warnings.
    pub left_out: Vec<&'e str>,
}

impl Params {
    /// Prepares the entries of an alias. `token_param` is the flag of that name, as JSON: the one limit that the Chat server takes.
    pub fn build(params: &[ParamConfig], token_param: Option<&str>) -> Params {
        let mut built = Params::default();
        for param in params {
            if param.key == "extra_body" {
                for (key, json) in &param.members {
                    built.put(key, json, param.mode, token_param);
                }
            } else {
                built.put(&param.key, &param.json, param.mode, token_param);
            }
        }
        built
    }

    /// Whether no body needs an edit for them.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.limit.is_none()
    }

    /// A later entry of a key takes the place of an earlier one.
    fn put(&mut self, key: &str, json: &str, mode: Mode, token_param: Option<&str>) {
        if let Some(written) = LIMIT_KEYS.iter().position(|name| *name == key) {
            let fixed = LIMIT_KEYS[..=NEW]
                .iter()
                .position(|name| token_param == Some(&format!("\"{name}\"")));
            // Responses' name is no name of Chat's: the older one is what every server knows.
            let chat = fixed.unwrap_or(if written == OUTPUT { OLD } else { written });
            self.limit = Some(Limit {
                members: LIMIT_KEYS.map(|name| member(name, json)),
                mode,
                chat,
                chat_fixed: fixed.is_some(),
            });
            return;
        }
        self.entries.retain(|entry| entry.key != key);
        self.entries.push(Entry {
            key: key.to_owned(),
            member: member(key, json),
            mode,
            sampling: SAMPLING_KEYS.contains(&key),
        });
    }

    /// The edits for one body, see [`super::route::Route::edits`]. Allocates the one list.
    pub fn edits<'e>(
        &'e self,
        protocol: Protocol,
        object: &Object<'_>,
        version: Option<&str>,
        invented: &[&str],
    ) -> Edits<'e> {
        let mut edits = Edits::default();
        if !self.is_empty() {
            // One for each entry, three for the limit, one for the model.
            edits.list.reserve(self.entries.len() + 4);
        }
        let sent = |key: &str| object.get(key).is_some() && !invented.contains(&key);
        let no_sampling = protocol == Protocol::Messages && version.is_some_and(refuses_sampling);
        for entry in &self.entries {
            if entry.mode == Mode::Default && sent(&entry.key) {
                continue;
            }
            if entry.sampling && no_sampling {
                edits.left_out.push(&entry.key);
                continue;
            }
            edits.list.push(Edit::Set {
                key: &entry.key,
                member: &entry.member,
            });
        }
        let Some(limit) = &self.limit else {
            return edits;
        };
        if limit.mode == Mode::Default && LIMIT_KEYS.into_iter().any(sent) {
            return edits;
        }
        let name = match protocol {
            Protocol::Responses => OUTPUT,
            Protocol::Messages => OLD,
            Protocol::Chat if !limit.chat_fixed && sent(LIMIT_KEYS[NEW]) => NEW,
            Protocol::Chat => limit.chat,
        };
        for (at, key) in LIMIT_KEYS.into_iter().enumerate() {
            if at == name {
                let member = &limit.members[at];
                edits.list.push(Edit::Set { key, member });
            } else if object.get(key).is_some() {
                edits.list.push(Edit::Remove { key });
            }
        }
        edits
    }
}

/// Whether a Messages version refuses sampling fields. Versions are dates, so they compare as texts.
fn refuses_sampling(version: &str) -> bool {
    version.len() == SAMPLING_REFUSED_FROM.len() && version >= SAMPLING_REFUSED_FROM
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::snapshot::tests::snapshot;
    use crate::wire::json::splice;

    /// The body that is sent, and what was left out, for an alias with these `param_overrides` and upstream flags.
    fn sent_with(
        flags: &str,
        params: &str,
        protocol: Protocol,
        version: Option<&str>,
        invented: &[&str],
        body: &str,
    ) -> (String, Vec<String>) {
        let file = format!(
            "{{upstreams: [{{name: u, base_url: 'http://h', flags: {flags}}}], aliases: [{{alias: a, target_model: m, upstream: u, param_overrides: {params}}}]}}"
        );
        let snapshot = snapshot(&file);
        let route = snapshot.resolve("a", None).ok().unwrap();
        let object = Object::parse(body.as_bytes()).unwrap();
        let edits = route.edits(protocol, &object, version, invented);
        let left_out = edits.left_out.iter().map(|key| key.to_string()).collect();
        let text = String::from_utf8(splice(&object, &edits.list).to_vec()).unwrap();
        (text, left_out)
    }

    fn check(params: &str, protocol: Protocol, body: &str, expected: &str) {
        let (text, left_out) = sent_with("{}", params, protocol, None, &[], body);
        assert_eq!(text, expected, "{params} on {body}");
        assert!(left_out.is_empty());
    }

    const CHAT: Protocol = Protocol::Chat;

    #[test]
    fn without_parameters_only_the_model_changes() {
        check(
            "[]",
            CHAT,
            r#"{ "model" : "a", "n": 1e2 }"#,
            r#"{ "model" : "m", "n": 1e2 }"#,
        );
    }

    #[test]
    fn a_default_yields_to_the_client_even_to_null() {
        let params = "[{key: temperature, value: 0.7}]";
        check(
            params,
            CHAT,
            r#"{"model":"a"}"#,
            r#"{"model":"m","temperature":0.7}"#,
        );
        check(
            params,
            CHAT,
            r#"{"model":"a","temperature":1}"#,
            r#"{"model":"m","temperature":1}"#,
        );
        check(
            params,
            CHAT,
            r#"{"model":"a","temperature":null}"#,
            r#"{"model":"m","temperature":null}"#,
        );
    }

    #[test]
    fn an_override_always_counts_and_may_be_null() {
        let params = "[{key: temperature, value: null, mode: override}, {key: a.b, value: {x: [1]}, mode: override}]";
        check(
            params,
            CHAT,
            r#"{"temperature":1,"model":"a"}"#,
            r#"{"temperature":null,"model":"m","a.b":{"x":[1]}}"#,
        );
    }

    #[test]
    fn the_last_entry_of_a_key_wins_whatever_its_mode() {
        let params = "[{key: t, value: 1, mode: override}, {key: t, value: 2, mode: default}]";
        check(
            params,
            CHAT,
            r#"{"model":"a","t":9}"#,
            r#"{"model":"m","t":9}"#,
        );
        let params = "[{key: t, value: 1}, {key: extra_body, value: {t: 2, u: 3}, mode: override}]";
        check(
            params,
            CHAT,
            r#"{"model":"a","t":9}"#,
            r#"{"model":"m","t":2,"u":3}"#,
        );
        let params = "[{key: extra_body, value: {t: 2}, mode: override}, {key: t, value: 1, mode: override}]";
        check(params, CHAT, r#"{"model":"a"}"#, r#"{"model":"m","t":1}"#);
    }

    #[test]
    fn extra_body_is_spread_member_by_member() {
        let params = "[{key: extra_body, value: {temperature: 9, chat_template_kwargs: {enable_thinking: false}}}]";
        check(
            params,
            CHAT,
            r#"{"model":"a","temperature":0.2}"#,
            r#"{"model":"m","temperature":0.2,"chat_template_kwargs":{"enable_thinking":false}}"#,
        );
        check(
            "[{key: extra_body, value: {}}]",
            CHAT,
            r#"{"model":"a"}"#,
            r#"{"model":"m"}"#,
        );
    }

    #[test]
    fn the_token_limit_is_one_slot_under_the_upstreams_name() {
        for key in LIMIT_KEYS {
            let params = format!("[{{key: {key}, value: 5, mode: override}}]");
            check(
                &params,
                Protocol::Responses,
                r#"{"model":"a","max_output_tokens":9}"#,
                r#"{"model":"m","max_output_tokens":5}"#,
            );
            check(
                &params,
                Protocol::Messages,
                r#"{"max_tokens":9,"model":"a"}"#,
                r#"{"max_tokens":5,"model":"m"}"#,
            );
            check(
                &params,
                CHAT,
                r#"{"max_completion_tokens":9,"model":"a"}"#,
                r#"{"max_completion_tokens":5,"model":"m"}"#,
            );
        }
        let new = "[{key: max_completion_tokens, value: 5, mode: override}]";
        check(
            new,
            CHAT,
            r#"{"max_tokens":9,"model":"a"}"#,
            r#"{"model":"m","max_completion_tokens":5}"#,
        );
        let old = "[{key: max_tokens, value: 5, mode: override}]";
        check(
            old,
            CHAT,
            r#"{"model":"a"}"#,
            r#"{"model":"m","max_tokens":5}"#,
        );
        check(
            old,
            CHAT,
            r#"{"max_tokens":1,"max_completion_tokens":9,"model":"a"}"#,
            r#"{"max_completion_tokens":5,"model":"m"}"#,
        );
        let output = "[{key: max_output_tokens, value: 5}]";
        check(
            output,
            CHAT,
            r#"{"model":"a"}"#,
            r#"{"model":"m","max_tokens":5}"#,
        );
    }

    #[test]
    fn a_default_limit_yields_to_any_of_its_names() {
        for key in LIMIT_KEYS {
            let body = format!(r#"{{"model":"m","{key}":9}}"#);
            check("[{key: max_tokens, value: 5}]", CHAT, &body, &body);
        }
    }

    #[test]
    fn a_fixed_token_param_is_the_only_name_chat_is_told() {
        let flags = "{token_param: max_completion_tokens}";
        let params = "[{key: max_tokens, value: 5, mode: override}]";
        let (text, _) = sent_with(
            flags,
            params,
            CHAT,
            None,
            &[],
            r#"{"max_tokens":9,"model":"a"}"#,
        );
        assert_eq!(text, r#"{"model":"m","max_completion_tokens":5}"#);
    }

    #[test]
    fn what_the_converter_invented_counts_as_absent() {
        let params = "[{key: max_tokens, value: 5}, {key: store, value: true}]";
        let body = r#"{"model":"a","max_tokens":128000,"store":false}"#;
        let (text, _) = sent_with(
            "{}",
            params,
            Protocol::Messages,
            None,
            &["max_tokens", "store"],
            body,
        );
        assert_eq!(text, r#"{"model":"m","max_tokens":5,"store":true}"#);
        let (text, _) = sent_with("{}", params, Protocol::Messages, None, &["store"], body);
        assert_eq!(text, r#"{"model":"m","max_tokens":128000,"store":true}"#);
    }

    #[test]
    fn newer_messages_versions_get_no_sampling_edits() {
        let params = "[{key: temperature, value: 1, mode: override}, {key: top_k, value: 1}, {key: top_p, value: 1}, {key: x, value: 1}]";
        let body = r#"{"model":"a","top_k":2}"#;
        for version in ["2026-10-21", "2027-01-01"] {
            let (text, left_out) =
                sent_with("{}", params, Protocol::Messages, Some(version), &[], body);
            assert_eq!(text, r#"{"model":"m","top_k":2,"x":1}"#);
            assert_eq!(left_out, ["temperature", "top_p"]);
        }
        for (protocol, version) in [
            (Protocol::Messages, Some("2023-06-01")),
            (Protocol::Messages, None),
            (CHAT, Some("2026-10-21")),
        ] {
            let (text, left_out) = sent_with("{}", params, protocol, version, &[], body);
            assert_eq!(
                text,
                r#"{"model":"m","top_k":2,"temperature":1,"top_p":1,"x":1}"#
            );
            assert!(left_out.is_empty());
        }
    }
}
