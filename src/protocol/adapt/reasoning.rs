//! Which thoughts of earlier turns may travel (protocols.md 5.6, 10.2): a proof only to who made it, a text only to who takes raw
//! thoughts, and to Claude never a chain of thoughts with a gap in it.

use super::TURNED_OFF;
use crate::protocol::caps::{Echo, ReasoningField, ReasoningStyle};
use crate::protocol::effort::{self, Effort, Thinking};
use crate::protocol::neutral::{Part, Request, Role};
use crate::protocol::{Caps, Protocol, Target, Warnings, carrier};

pub(super) fn adapt(
    request: &mut Request<'_>,
    to: Protocol,
    target: &Target<'_>,
    _warnings: &mut Warnings,
) {
    let caps = target.caps;
    let takes_text = match to {
        Protocol::Chat => {
            caps.reasoning_field_in != ReasoningField::None
                && caps.reasoning_echo != Echo::Forbidden
        }
        Protocol::Responses => false,
        // DeepSeek and its like sign nothing, and want their thoughts back all the same.
        Protocol::Messages => caps.reasoning_echo == Echo::Required,
    };
    // Each thought of Claude's is bound to those before it: only the front may go (case 51).
    let mut lost = 0;
    let mut count = 0;
    for part in thoughts(request) {
        count += 1;
        let Part::Reasoning(reasoning) = part else {
            continue;
        };
        let fits = |proof: &_| carrier::fits(proof, to, caps, target.model);
        reasoning.proof = reasoning.proof.take().filter(fits);
        if reasoning.proof.is_none() {
            lost = count;
        }
    }
    let mut seen = 0;
    for turn in &mut request.turns {
        turn.parts.retain(|part| {
            let Part::Reasoning(reasoning) = part else {
                return true;
            };
            seen += 1;
            match to {
                Protocol::Messages if takes_text => {
                    reasoning.proof.is_some() || !reasoning.text.is_empty()
                }
                Protocol::Messages => seen > lost,
                Protocol::Responses => reasoning.proof.is_some(),
                Protocol::Chat => {
                    reasoning.proof.is_some() || (takes_text && !reasoning.text.is_empty())
                }
            }
        });
    }
}

fn thoughts<'r, 'a>(request: &'r mut Request<'a>) -> impl Iterator<Item = &'r mut Part<'a>> {
    let parts = request.turns.iter_mut().flat_map(|turn| &mut turn.parts);
    parts.filter(|part| matches!(part, Part::Reasoning(_)))
}

/// Claude with a budget wants the turn of an open tool loop to begin with its thought. A client that lost it cannot think on.
pub(super) fn require_open_thought(
    request: &mut Request<'_>,
    to: Protocol,
    caps: &Caps,
    warnings: &mut Warnings,
) {
    let thinks = effort::asked(request.effort, request.thinking)
        .is_some_and(|effort| effort != Effort::None);
    if to != Protocol::Messages || caps.reasoning != ReasoningStyle::Budget || !thinks {
        return;
    }
    let mut turns = request
        .turns
        .iter()
        .rev()
        .filter(|turn| turn.role != Role::System);
    let open = turns.next().is_some_and(|turn| {
        turn.parts
            .iter()
            .any(|part| matches!(part, Part::Result(_)))
    });
    let begins = turns
        .next()
        .is_some_and(|turn| matches!(turn.parts.first(), Some(Part::Reasoning(_))));
    if open && !begins {
        switch_off(request, warnings);
    }
}

/// Turns thinking off for this request, and says so.
pub(super) fn switch_off(request: &mut Request<'_>, warnings: &mut Warnings) {
    request.effort = Some(Effort::None);
    request.thinking = Some(Thinking::Off);
    warnings.add(request.effort_field(), TURNED_OFF);
}
