//! Carriers: an opaque proof of one vendor, wrapped so that it survives a client of another (protocols.md 5.6):
//! `gw1.<owner>.` and base64url of `{"k":kind,"i":item,"e"|"s"|"d":value,"o":upstream,"f":family}`. The gateway keeps no
//! proof; a carrier is signed by nobody and trusted no further than a client's own text.

use super::Protocol;
use super::caps::{Caps, ReasoningField};
use super::neutral::{Owner, Proof};
use super::render::Members;
use super::text::Text;
use crate::wire::json::Object;
use crate::wire::text::{base64url, base64url_decode};
use std::borrow::Cow;

/// What each carrier begins with; the next character names the owner.
pub const PREFIX: &str = "gw1.";

/// The carrier of an upstream that has no proofs: a non-empty string for clients that want one.
pub const NO_PROOF: Text<'static> = Text::constant("gw1.c.e30");

fn letter(owner: Owner) -> char {
    match owner {
        Owner::Chat => 'c',
        Owner::Responses => 'r',
        Owner::Messages => 'm',
        Owner::Gemini => 'g',
    }
}

/// The carrier string of a proof.
pub fn wrap(proof: &Proof<'_>) -> Text<'static> {
    let (kind, slot) = match (proof.owner, proof.redacted) {
        (Owner::Chat, _) if proof.value.is_empty() => return NO_PROOF,
        (Owner::Chat, _) => ("details", "d"),
        (Owner::Responses, _) => ("reasoning", "e"),
        (Owner::Messages, false) => ("thinking", "s"),
        (Owner::Messages, true) => ("redacted", "d"),
        (Owner::Gemini, _) => ("call", "s"),
    };
    let mut json = Vec::with_capacity(proof.value.as_escaped().len() + 64);
    Members::object(&mut json, |m| {
        m.str("k", kind);
        m.text_if("i", proof.item.as_ref());
        m.text(slot, &proof.value);
        if let Some(upstream) = &proof.upstream {
            m.str("o", upstream);
        }
        if let Some(family) = &proof.family {
            m.str("f", family);
        }
    });
    Text::owned(format!(
        "{PREFIX}{}.{}",
        letter(proof.owner),
        base64url(&json)
    ))
}

/// The proof that a client sent back: a carrier of ours is opened, anything else is a proof of `native`, the client's own
/// protocol. None: there is none in it (empty, [`NO_PROOF`], or a carrier that is damaged).
pub fn unwrap<'a>(value: Text<'a>, native: Owner) -> Option<Proof<'a>> {
    if value.is_empty() {
        return None;
    }
    let Some(rest) = value.as_escaped().strip_prefix(PREFIX) else {
        return (native != Owner::Chat).then(|| Proof::native(native, value));
    };
    let (owner, code) = rest.split_once('.')?;
    let owner = match owner {
        "r" => Owner::Responses,
        "m" => Owner::Messages,
        "g" => Owner::Gemini,
        "c" => Owner::Chat,
        _ => return None,
    };
    let json = base64url_decode(code)?;
    let object = Object::parse(&json).ok()?;
    let text = |key: &str| Some(Text::of(object.get(key)?)?.into_owned());
    let plain = |key: &str| Some(Cow::Owned(object.get(key)?.as_str()?.into_owned()));
    let redacted = object.get("k")?.as_str()? == "redacted";
    let value = text("e").or_else(|| text("s")).or_else(|| text("d"))?;
    if value.is_empty() {
        return None;
    }
    Some(Proof {
        owner,
        redacted,
        item: text("i"),
        value,
        upstream: plain("o"),
        family: plain("f"),
    })
}

/// Whether the upstream that is asked can read that proof: it speaks the owner's protocol, and, as far as the carrier says,
/// is the same upstream and the same family of models.
pub fn fits(proof: &Proof<'_>, target: Protocol, caps: &Caps, model: &str) -> bool {
    let speaks = match proof.owner {
        Owner::Gemini => target == Protocol::Chat,
        Owner::Chat => {
            target == Protocol::Chat && caps.reasoning_field_in == ReasoningField::Details
        }
        owner => owner == Owner::of(target),
    };
    let same_upstream = match (&proof.upstream, &caps.upstream) {
        (Some(theirs), Some(ours)) => **theirs == **ours,
        _ => true,
    };
    let same_family = proof
        .family
        .as_deref()
        .is_none_or(|theirs| theirs == family(model));
    speaks && same_upstream && same_family
}

/// The family of a model: the letters its name begins with, any path in front left out (`Qwen/Qwen3.5-122B` is `qwen`).
pub fn family(model: &str) -> String {
    let name = model.rsplit('/').next().unwrap_or(model);
    let letters = name.chars().take_while(|c| c.is_ascii_alphabetic());
    letters.map(|c| c.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_carriers_are_made_and_opened() {
        let thinking = Proof::native(Owner::Messages, Text::plain("EqQBSIG"));
        let carrier = wrap(&thinking);
        assert!(carrier.is("gw1.m.eyJrIjoidGhpbmtpbmciLCJzIjoiRXFRQlNJRyJ9"));
        assert_eq!(unwrap(carrier, Owner::Responses), Some(thinking));
        let reasoning = Proof {
            item: Some(Text::plain("rs_u1")),
            ..Proof::native(Owner::Responses, Text::plain("gAAAAenc"))
        };
        let carrier = wrap(&reasoning);
        assert!(carrier.is("gw1.r.eyJrIjoicmVhc29uaW5nIiwiaSI6InJzX3UxIiwiZSI6ImdBQUFBZW5jIn0"));
        assert_eq!(unwrap(carrier, Owner::Messages), Some(reasoning));
    }

    #[test]
    fn what_is_no_carrier_belongs_to_the_clients_vendor() {
        let native = unwrap(Text::plain("EqQB"), Owner::Messages).unwrap();
        assert_eq!(native.owner, Owner::Messages);
        assert!(unwrap(Text::EMPTY, Owner::Messages).is_none());
        assert!(unwrap(NO_PROOF, Owner::Messages).is_none());
        assert!(unwrap(Text::plain("gw1.m.%%%"), Owner::Messages).is_none());
        assert!(unwrap(Text::plain("gw1.m.e30"), Owner::Messages).is_none());
    }

    #[test]
    fn a_proof_goes_only_where_it_came_from() {
        let mut proof = Proof::native(Owner::Messages, Text::plain("s"));
        let mut caps = Caps::default();
        assert!(fits(&proof, Protocol::Messages, &caps, "claude-x"));
        assert!(!fits(&proof, Protocol::Responses, &caps, "gpt-5"));
        proof.upstream = Some("one".into());
        proof.family = Some("claude".into());
        caps.upstream = Some("two".into());
        assert!(!fits(&proof, Protocol::Messages, &caps, "claude-x"));
        caps.upstream = Some("one".into());
        assert!(fits(
            &proof,
            Protocol::Messages,
            &caps,
            "anthropic/claude-y"
        ));
        assert!(!fits(&proof, Protocol::Messages, &caps, "deepseek"));
    }
}
