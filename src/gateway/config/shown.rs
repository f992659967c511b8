//! The configuration as the management API shows it and takes it back. Shown: older keys folded into their successors,
//! defaults filled in, secrets masked. Taken back: a mask stands for the stored secret of the same thing at the same address,
//! and for nothing else, so that no stored key can be sent to an address it was not stored for (http.md 47).

use super::keys;
use super::node::Node;
use super::secret::{is_masked, is_reference, mask, mask_url};
use super::{Config, Expand, Findings, Problem};

/// Members in which nothing is a secret, whatever it is called.
const OPEN: [&str; 6] = [
    "flags",
    "param_overrides",
    "timeouts",
    "models",
    "limits",
    "responses_store",
];
/// Members that hold addresses, which may hold a user and password.
const ADDRESSES: [&str; 5] = [
    "base_url",
    "anthropic_base_url",
    "proxy",
    "proxy_url",
    "cli_proxy_api_endpoint",
];
/// What a key's name ends in, also of keys that are unknown here.
const SECRET_ENDINGS: [&str; 6] = ["key", "keys", "secret", "token", "password", "credentials"];
/// Older keys, and what they are called now.
const SUCCESSORS: [(&str, &str); 4] = [
    ("auth2api_endpoint", "cli_proxy_api_endpoint"),
    ("auth2api_api_key", "cli_proxy_api"),
    ("cli_proxy_api_api_key", "cli_proxy_api"),
    ("client_api_key", "client_api_keys"),
];

/// The tree of a valid configuration as it may be shown.
pub fn show(tree: &Node) -> Node {
    let mut shown = plain(tree);
    visit(&mut shown, String::new(), false, &mut |text, secrecy, _| {
        *text = Node::Text(secrecy.shown(text_of(text)));
    });
    shown
}

/// Every text of a tree that would be shown as a mask, as it stands there.
pub fn secrets_of(tree: &Node) -> Vec<String> {
    let mut found = Vec::new();
    visit(
        &mut tree.clone(),
        String::new(),
        false,
        &mut |text, secrecy, _| {
            if secrecy == Secrecy::Key {
                found.push(text_of(text).to_owned());
            }
        },
    );
    found
}

/// The tree with `change`, an object as [`show`] made it or a part of one. What is wrong with it is added to `problems`.
pub fn merge(tree: &Node, change: Node, problems: &mut Vec<Problem>) -> Node {
    let Node::Map(members) = change else {
        let message = format!("expected an object, found {}", change.kind());
        problems.push(Problem::new("", message));
        return tree.clone();
    };
    let old = plain(tree);
    let mut new = tree.clone();
    for (key, mut value) in members {
        for (older, successor) in SUCCESSORS {
            if successor == key {
                new.remove(older);
            }
        }
        if value == Node::Null {
            new.remove(&key);
            continue;
        }
        let stored = old.get(&key);
        match key.as_str() {
            "upstreams" => restore_upstreams(&mut value, stored, problems),
            "client_api_keys" => restore_client_keys(&mut value, stored, problems),
            _ => {
                // With its name, which tells whether it is a secret.
                let mut named = Node::Map(vec![(key.clone(), value)]);
                let was = stored.map(|node| Node::Map(vec![(key.clone(), node.clone())]));
                restore(&mut named, was.as_ref(), "", NO_TWIN, problems);
                value = named.remove(&key).unwrap_or(Node::Null);
            }
        }
        new.set(&key, value);
    }
    keep_sidecar_keys_at_home(&old, &new, problems);
    new
}

const NO_TWIN: &str = "this is the mask of a key that is not stored here: enter the key itself";
const MOVED: &str = "the address is new: enter the key again, a stored key is never sent to another address than its own";
const AMBIGUOUS: &str = "more than one stored key has this mask: enter the key itself";

#[derive(Clone, Copy, PartialEq)]
enum Secrecy {
    Key,
    Address,
}

impl Secrecy {
    fn shown(self, text: &str) -> String {
        match self {
            Secrecy::Key => mask(text),
            Secrecy::Address => mask_url(text),
        }
    }
}

fn text_of(node: &Node) -> &str {
    match node {
        Node::Text(text) => text,
        _ => "",
    }
}

fn text_at<'n>(node: &'n Node, key: &str) -> &'n str {
    node.get(key).map_or("", text_of)
}

/// Calls `secret` with every text that may be one, and its path.
fn visit(
    node: &mut Node,
    path: String,
    in_headers: bool,
    secret: &mut dyn FnMut(&mut Node, Secrecy, &str),
) {
    match node {
        Node::Map(entries) => {
            for (key, value) in entries {
                if OPEN.contains(&key.as_str()) {
                    continue;
                }
                let mut place = path.clone();
                super::node::push_key(&mut place, key);
                let is_secret = in_headers
                    || SECRET_ENDINGS
                        .iter()
                        .any(|ending| key.to_ascii_lowercase().ends_with(ending));
                match value {
                    Node::Text(_) if ADDRESSES.contains(&key.as_str()) && !in_headers => {
                        secret(value, Secrecy::Address, &place);
                    }
                    Node::Text(_) if is_secret => secret(value, Secrecy::Key, &place),
                    Node::Text(_) => {}
                    other => visit(other, place, in_headers || key == "headers", secret),
                }
            }
        }
        Node::List(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                visit(item, format!("{path}[{index}]"), in_headers, secret);
            }
        }
        _ => {}
    }
}

/// Every mask in `new` becomes the text at the same place in `old`, if that is what its mask looks like.
fn restore(
    new: &mut Node,
    old: Option<&Node>,
    path: &str,
    otherwise: &str,
    problems: &mut Vec<Problem>,
) {
    let mut stored = Vec::new();
    if let Some(old) = old {
        visit(
            &mut old.clone(),
            path.to_owned(),
            false,
            &mut |text, _, place| {
                stored.push((place.to_owned(), text_of(text).to_owned()));
            },
        );
    }
    visit(new, path.to_owned(), false, &mut |text, secrecy, place| {
        let shown = text_of(text);
        if !is_masked(shown) {
            return;
        }
        let secret = stored
            .iter()
            .find(|(at, secret)| at == place && secrecy.shown(secret) == shown);
        match secret {
            Some((_, secret)) => *text = Node::Text(secret.clone()),
            None => {
                problems.push(Problem::new(place, otherwise));
                // A stand-in, so that the rest is still checked.
                *text = match secrecy {
                    Secrecy::Key => Node::Null,
                    Secrecy::Address => Node::from("http://localhost"),
                };
            }
        }
    });
}

fn restore_upstreams(list: &mut Node, stored: Option<&Node>, problems: &mut Vec<Problem>) {
    let Node::List(list) = list else { return };
    let stored: &[Node] = match stored {
        Some(Node::List(stored)) => stored,
        _ => &[],
    };
    let names: Vec<String> = list
        .iter()
        .map(|upstream| text_at(upstream, "name").to_owned())
        .collect();
    for (index, upstream) in list.iter_mut().enumerate() {
        let path = format!("upstreams[{index}]");
        match twin(upstream, stored, &names) {
            Ok(old) => restore(upstream, Some(old), &path, NO_TWIN, problems),
            Err(reason) => restore(upstream, None, &path, reason, problems),
        }
    }
}

/// The stored upstream that this one was: the same name and address, else the one that vanished and has the same address and mask.
fn twin<'o>(new: &Node, stored: &'o [Node], names: &[String]) -> Result<&'o Node, &'static str> {
    let name = text_at(new, "name");
    let namesake = stored.iter().find(|old| text_at(old, "name") == name);
    if let Some(old) = namesake
        && same_address(new, old)
    {
        return Ok(old);
    }
    let key = |node: &Node| {
        node.get("auth")
            .map_or("", |auth| text_at(auth, "key"))
            .to_owned()
    };
    let mut renamed = stored.iter().filter(|old| {
        let vanished = names.iter().all(|name| name != text_at(old, "name"));
        vanished && same_address(new, old) && (!is_masked(&key(new)) || mask(&key(old)) == key(new))
    });
    match (renamed.next(), renamed.next()) {
        (Some(old), None) => Ok(old),
        (Some(_), Some(_)) => Err(AMBIGUOUS),
        _ if namesake.is_some() => Err(MOVED),
        _ => Err(NO_TWIN),
    }
}

/// Whether everything that the old upstream's key would be sent to is where it was sent before.
fn same_address(new: &Node, old: &Node) -> bool {
    let same = |key: &str| {
        let (new, old) = (text_at(new, key), text_at(old, key));
        new == old || new == mask_url(old)
    };
    let messages = text_at(new, "anthropic_base_url");
    let base = text_at(old, "base_url");
    // A plain request shows its key to the proxy.
    let encrypted = base.trim_start().to_ascii_lowercase().starts_with("https:");
    same("base_url")
        && (messages.is_empty() || messages == base || same("anthropic_base_url"))
        && (encrypted || text_at(new, "proxy").is_empty() || same("proxy"))
}

/// By name and mask; two of one name and mask keep their order.
fn restore_client_keys(list: &mut Node, stored: Option<&Node>, problems: &mut Vec<Problem>) {
    let Node::List(list) = list else { return };
    let stored: &[Node] = match stored {
        Some(Node::List(stored)) => stored,
        _ => &[],
    };
    let label = |index: usize, entry: &Node| -> (String, String) {
        let name = match text_at(entry, "name") {
            "" => format!("client-{}", index + 1),
            name => name.to_owned(),
        };
        let key = match entry {
            Node::Text(key) => key,
            entry => text_at(entry, "key"),
        };
        (name, mask_unless_masked(key))
    };
    let before: Vec<_> = stored
        .iter()
        .enumerate()
        .map(|(i, entry)| label(i, entry))
        .collect();
    let after: Vec<_> = list
        .iter()
        .enumerate()
        .map(|(i, entry)| label(i, entry))
        .collect();
    for (index, entry) in list.iter_mut().enumerate() {
        let (key, path) = match entry {
            Node::Text(_) => (entry, format!("client_api_keys[{index}]")),
            Node::Map(members) => match members.iter_mut().find(|(key, _)| key == "key") {
                Some((_, key)) => (key, format!("client_api_keys[{index}].key")),
                None => continue,
            },
            _ => continue,
        };
        if !is_masked(text_of(key)) {
            continue;
        }
        let own = &after[index];
        let earlier = after[..index].iter().filter(|other| *other == own).count();
        let twins: Vec<usize> = (0..before.len()).filter(|&at| before[at] == *own).collect();
        let wanted = after.iter().filter(|other| *other == own).count();
        match twins.get(earlier) {
            Some(&at) if twins.len() == wanted => {
                *key = Node::from(text_at(&stored[at], "key"));
            }
            other => {
                let reason = if other.is_some() { AMBIGUOUS } else { NO_TWIN };
                problems.push(Problem::new(path, reason));
                *key = Node::from("stand-in");
            }
        }
    }
}

fn mask_unless_masked(key: &str) -> String {
    if is_masked(key) {
        key.to_owned()
    } else {
        mask(key)
    }
}

/// The sidecar's stored keys do not follow its endpoint to a new address.
fn keep_sidecar_keys_at_home(old: &Node, new: &Node, problems: &mut Vec<Problem>) {
    let (before, after) = (plain(old), plain(new));
    let endpoint = "cli_proxy_api_endpoint";
    if text_at(&before, endpoint) == text_at(&after, endpoint) {
        return;
    }
    for key in ["api_key", "management_key"] {
        let of = |tree: &Node| -> String {
            let section = tree.get("cli_proxy_api");
            section
                .map_or("", |section| text_at(section, key))
                .to_owned()
        };
        let (before, after) = (of(&before), of(&after));
        if !after.is_empty() && before == after && !is_reference(&after) {
            problems.push(Problem::new(format!("cli_proxy_api.{key}"), MOVED));
        }
    }
}

/// The tree with older keys folded and defaults filled in; unknown members of upstreams, aliases and client keys are kept.
fn plain(tree: &Node) -> Node {
    let config = Config::read(tree, Expand::Raw, &mut Findings::default());
    let mut out = Node::Map(Vec::new());
    out.set(
        "cli_proxy_api_endpoint",
        Node::Text(config.sidecar.endpoint),
    );
    out.set(
        "allow_protocol_conversion",
        Node::Bool(config.allow_protocol_conversion),
    );
    for key in keys::TOP.keys {
        if let Some(value) = tree.get(key).filter(|value| **value != Node::Null)
            && *key != "admin_key"
        {
            out.set(key, value.clone());
        }
    }
    let older = ["cli_proxy_api_api_key", "auth2api_api_key"];
    if let Some(key) = older.into_iter().find_map(|key| tree.get(key)) {
        let mut section = out.remove("cli_proxy_api").unwrap_or(Node::Null);
        if text_at(&section, "api_key").is_empty() {
            section.set("api_key", key.clone());
        }
        out.set("cli_proxy_api", section);
    }

    let client_keys = match (tree.get("client_api_keys"), tree.get("client_api_key")) {
        (Some(Node::List(list)), _) => list.clone(),
        (None | Some(Node::Null), Some(Node::Text(key))) if !key.is_empty() => {
            vec![Node::from(key.as_str())]
        }
        _ => Vec::new(),
    };
    let client_keys = client_keys.into_iter().enumerate().map(|(index, entry)| {
        let name = format!("client-{}", index + 1);
        let name = Node::Text(name);
        match entry {
            Node::Text(_) => Node::Map(vec![("name".into(), name), ("key".into(), entry)]),
            mut entry => {
                fill(&mut entry, "name", name);
                entry
            }
        }
    });
    out.set("client_api_keys", Node::List(client_keys.collect()));

    let upstreams = list_at(tree, "upstreams").into_iter();
    let supports = config
        .upstreams
        .iter()
        .map(|upstream| upstream.supports)
        .chain(std::iter::repeat([true, false, false]));
    let upstreams = upstreams.zip(supports).map(|(mut upstream, supports)| {
        let key = upstream.remove("api_key").unwrap_or(Node::Null);
        upstream.remove("support_openai");
        upstream.remove("support_anthropic");
        let mut auth = match upstream.get("auth") {
            Some(auth @ Node::Map(_)) => auth.clone(),
            _ => Node::Map(vec![("type".into(), "api_key".into()), ("key".into(), key)]),
        };
        fill(&mut auth, "type", "api_key".into());
        if text_at(&auth, "type") == "api_key" && auth.get("key").is_none() {
            auth.set("key", Node::Null);
        }
        fill(&mut upstream, "base_url", "".into());
        upstream.set("auth", auth);
        fill(&mut upstream, "enabled", true.into());
        let flags = [
            "support_chat_completions",
            "support_responses",
            "support_anthropic_messages",
        ];
        for (flag, value) in flags.into_iter().zip(supports) {
            upstream.set(flag, value.into());
        }
        upstream
    });
    out.set("upstreams", Node::List(upstreams.collect()));

    let aliases = list_at(tree, "aliases").into_iter().map(|mut alias| {
        fill(&mut alias, "source", "manual".into());
        let mut params = list_at(&alias, "param_overrides");
        for param in &mut params {
            fill(param, "mode", "default".into());
        }
        alias.set("param_overrides", Node::List(params));
        alias
    });
    out.set("aliases", Node::List(aliases.collect()));
    out
}

fn list_at(node: &Node, key: &str) -> Vec<Node> {
    match node.get(key) {
        Some(Node::List(list)) => list.clone(),
        _ => Vec::new(),
    }
}

/// Sets a member that is missing or null.
fn fill(node: &mut Node, key: &str, value: Node) {
    if matches!(node.get(key), None | Some(Node::Null)) {
        node.set(key, value);
    }
}

#[cfg(test)]
#[path = "shown_tests.rs"]
mod tests;
