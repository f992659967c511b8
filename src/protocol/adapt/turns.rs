//! The conversation put in the order every vendor demands (protocols.md 5.1, 5.2, 5.4): results directly behind their calls, no
//! empty parts, no two turns of one role, system texts only where they may stand. Moving a result changes no meaning.

use crate::error::Error;
use crate::protocol::caps::{IdRule, Prefill};
use crate::protocol::ids;
use crate::protocol::neutral::document_text;
use crate::protocol::neutral::{Part, Request, Role, TextPart, ToolResult, Turn};
use crate::protocol::refusal::{refuse, wrong};
use crate::protocol::text::Text;
use crate::protocol::{Caps, Protocol, Warnings};
use std::collections::{HashMap, VecDeque};

/// Claude Code's first system block: a hash that differs in each request and means something to Anthropic only.
const BILLING_HEADER: &str = "x-anthropic-billing-header:";

pub(super) fn adapt(
    request: &mut Request<'_>,
    to: Protocol,
    caps: &Caps,
    warnings: &mut Warnings,
) -> Result<(), Error> {
    if request.from == Protocol::Messages
        && let Some(first) = request.system.first()
        && first.text.as_escaped().starts_with(BILLING_HEADER)
    {
        request.system.remove(0);
    }
    if to == Protocol::Chat && !caps.files {
        let parts = request.turns.iter_mut().flat_map(|turn| &mut turn.parts);
        parts.for_each(text_of_file);
    }
    let blank_goes = to == Protocol::Messages;
    request
        .system
        .retain(|system| !is_nothing(&system.text, blank_goes));
    for turn in &mut request.turns {
        turn.parts
            .retain_mut(|part| keep(part, blank_goes, warnings));
    }
    pair(request, caps, warnings)?;
    place_system(request, to, caps);
    ends(request, to, caps, warnings)?;
    rename(request, to, ids::rule(to, caps));
    Ok(())
}

/// Ids as the target takes them, of a call and, as the results stand behind their calls in their order, of its result.
fn rename(request: &mut Request<'_>, to: Protocol, rule: IdRule) {
    let mut seen = HashMap::new();
    let mut open = VecDeque::new();
    for part in request.turns.iter_mut().flat_map(|turn| &mut turn.parts) {
        match part {
            Part::Call(call) => {
                call.id = ids::fix(std::mem::take(&mut call.id), rule);
                // Chat goes by what stands next to each other, and Kimi wants its own back.
                if to != Protocol::Chat {
                    distinguish(&mut call.id, rule, &mut seen);
                }
                open.push_back(call.id.clone());
            }
            Part::Result(result) => {
                let given = open.pop_front();
                result.id = given.unwrap_or_else(|| ids::fix(std::mem::take(&mut result.id), rule));
            }
            _ => {}
        }
    }
}

/// Some servers count their calls anew in each answer; Claude refuses a history that has an id twice. The second gets its number,
/// which later turns do not change.
fn distinguish(id: &mut Text<'_>, rule: IdRule, seen: &mut HashMap<String, u32>) {
    loop {
        let plain = id.decode();
        let Some(count) = seen.get_mut(plain.as_ref()) else {
            seen.insert(plain.into_owned(), 1);
            return;
        };
        *count += 1;
        *id = ids::fix(Text::owned(format!("{plain}_{count}")), rule);
    }
}

/// A text file for a server that takes no files: its text, as a plain-text document of Messages is told.
fn text_of_file(part: &mut Part<'_>) {
    match part {
        Part::File(file) => {
            if let Some(text) = file.text() {
                let (text, cache) = (document_text(file.name.as_ref(), &text), file.cache);
                *part = Part::Text(TextPart { text, cache });
            }
        }
        Part::Result(result) => result.parts.iter_mut().for_each(text_of_file),
        _ => {}
    }
}

fn is_nothing(text: &Text<'_>, blank_goes: bool) -> bool {
    text.is_empty() || (blank_goes && text.is_blank())
}

fn keep(part: &mut Part<'_>, blank_goes: bool, warnings: &mut Warnings) -> bool {
    match part {
        Part::Text(part) => !is_nothing(&part.text, blank_goes),
        Part::Refusal(text) => !is_nothing(text, blank_goes),
        Part::Result(result) => {
            result
                .parts
                .retain_mut(|part| keep(part, blank_goes, warnings));
            true
        }
        Part::Hosted { name, .. } => {
            warnings.add(name.clone(), "dropped");
            false
        }
        _ => true,
    }
}

/// Whether the conversation is as it has to be already, as almost every one is: each turn something, and of another role than the
/// one before; the results of its calls, in their order, at the front of the turn behind it, and nowhere else.
fn is_paired(turns: &[Turn<'_>]) -> bool {
    let mut before: Option<&Turn<'_>> = None;
    turns.iter().all(|turn| {
        let asked = before.replace(turn);
        let (expected, is_other) = match asked {
            Some(asked) => (calls(asked).count(), asked.role != turn.role),
            None => (0, true),
        };
        let (front, rest) = turn.parts.split_at(expected.min(turn.parts.len()));
        let answered = front.iter().map(Part::answered);
        let is_answered = answered.eq(asked.into_iter().flat_map(calls).map(Some));
        let is_loose = rest.iter().any(|part| part.answered().is_some());
        is_other && is_answered && !is_loose && !turn.parts.is_empty()
    }) && before.is_none_or(|last| calls(last).next().is_none())
}

fn calls<'t, 'a>(turn: &'t Turn<'a>) -> impl Iterator<Item = &'t Text<'a>> {
    turn.parts.iter().filter_map(Part::called)
}

/// Puts each result behind its call, and refuses what has no partner.
fn pair(request: &mut Request<'_>, caps: &Caps, warnings: &mut Warnings) -> Result<(), Error> {
    if is_paired(&request.turns) {
        return Ok(());
    }
    let field = request.turns_field();
    let turns = std::mem::take(&mut request.turns);
    let mut results: Vec<Option<ToolResult<'_>>> = Vec::new();
    // Ids may come again in later turns (Kimi counts per turn), so each has a queue of where its results stand.
    let mut places: HashMap<String, VecDeque<(usize, usize)>> = HashMap::new();
    let mut rest: Vec<Turn<'_>> = Vec::with_capacity(turns.len());
    for (at, turn) in turns.into_iter().enumerate() {
        if !turn
            .parts
            .iter()
            .any(|part| matches!(part, Part::Result(_)))
        {
            rest.push(turn);
            continue;
        }
        let mut kept = Vec::with_capacity(turn.parts.len());
        for part in turn.parts {
            match part {
                Part::Result(result) => {
                    let place = places.entry(result.id.decode().into_owned()).or_default();
                    place.push_back((at, results.len()));
                    results.push(Some(result));
                }
                part => kept.push(part),
            }
        }
        rest.push(Turn {
            role: turn.role,
            parts: kept,
        });
    }
    let mut called: HashMap<String, ()> = HashMap::new();
    for (at, turn) in rest.into_iter().enumerate() {
        let mut answers = Vec::new();
        for part in &turn.parts {
            let Part::Call(call) = part else {
                continue;
            };
            let id = call.id.decode().into_owned();
            let queue = places.get_mut(&id);
            let later = queue.and_then(|queue| {
                // What stands before this call stands before all later ones.
                while queue.front().is_some_and(|&(place, _)| place <= at) {
                    queue.pop_front();
                }
                queue.pop_front()
            });
            let answer = match later.and_then(|(_, index)| results[index].take()) {
                Some(result) => result,
                None if caps.repair_history => {
                    warnings.add(field, "repaired");
                    ToolResult {
                        id: call.id.clone(),
                        parts: vec![Part::text(Text::constant(
                            "No result was recorded for this call.",
                        ))],
                        is_error: true,
                        cache: None,
                    }
                }
                None => return Err(wrong(field, format!("tool call {id} has no result"))),
            };
            called.insert(id, ());
            answers.push(Part::Result(answer));
        }
        add(&mut request.turns, turn);
        let role = Role::User;
        add(
            &mut request.turns,
            Turn {
                role,
                parts: answers,
            },
        );
    }
    let Some(orphan) = results.into_iter().flatten().next() else {
        return Ok(());
    };
    let id = orphan.id.decode().into_owned();
    Err(wrong(
        field,
        match (called.contains_key(&id), request.from) {
            (true, _) => format!("tool call {id} has two results"),
            (false, Protocol::Responses) => {
                format!(
                    "the result of {id} has no call; the gateway keeps no state; send the function_call item too"
                )
            }
            (false, _) => format!("the result of {id} has no call"),
        },
    ))
}

/// Adds a turn, joining it to the last one of the same role; an empty one vanishes.
fn add<'a>(turns: &mut Vec<Turn<'a>>, turn: Turn<'a>) {
    if turn.parts.is_empty() {
        return;
    }
    match turns.last_mut() {
        Some(last) if last.role == turn.role => last.parts.extend(turn.parts),
        _ => turns.push(turn),
    }
}

/// System texts inside the conversation: in place where the target takes them there, else as text of the user.
fn place_system(request: &mut Request<'_>, to: Protocol, caps: &Caps) {
    if to == Protocol::Responses || !request.turns.iter().any(|turn| turn.role == Role::System) {
        return;
    }
    let turns = std::mem::take(&mut request.turns);
    let count = turns.len();
    let roles: Vec<Role> = turns.iter().map(|turn| turn.role).collect();
    for (at, mut turn) in turns.into_iter().enumerate() {
        if turn.role == Role::System {
            // Messages: only after a user turn, and before an assistant's or at the end.
            let after_user = at > 0 && roles[at - 1] == Role::User;
            let before_answer = at + 1 == count || roles[at + 1] == Role::Assistant;
            let stays = caps.mid_system && (to == Protocol::Chat || (after_user && before_answer));
            if !stays {
                turn.role = Role::User;
                for part in &mut turn.parts {
                    if let Part::Text(TextPart { text, .. }) = part {
                        let mut wrapped = Text::plain("<system-reminder>\n").into_owned();
                        wrapped.push(text);
                        wrapped.push(&Text::plain("\n</system-reminder>"));
                        *text = wrapped;
                    }
                }
            }
        }
        add(&mut request.turns, turn);
    }
}

/// The first and the last turn.
fn ends(
    request: &mut Request<'_>,
    to: Protocol,
    caps: &Caps,
    warnings: &mut Warnings,
) -> Result<(), Error> {
    let field = request.turns_field();
    if !request.turns.iter().any(|turn| turn.role == Role::User) {
        return Err(wrong(field, "there is no user turn"));
    }
    if to == Protocol::Messages
        && request
            .turns
            .first()
            .is_some_and(|turn| turn.role == Role::Assistant)
    {
        if !caps.repair_history {
            return Err(refuse(field, "the upstream wants the user to speak first"));
        }
        warnings.add(field, "repaired");
        let turn = Turn {
            role: Role::User,
            parts: vec![Part::text(Text::constant("(continued)"))],
        };
        request.turns.insert(0, turn);
    }
    let Some(last) = request.turns.last_mut() else {
        return Ok(());
    };
    if last.role != Role::Assistant {
        return Ok(());
    }
    match (request.from, to) {
        (Protocol::Messages, _) if caps.prefill == Prefill::No || to == Protocol::Responses => {
            Err(refuse(
                field,
                "the upstream cannot go on with an answer that is begun for it",
            ))
        }
        (Protocol::Messages, _) => Ok(()),
        (_, Protocol::Messages) => {
            warnings.add(field, "taken_as_prefill");
            if let Some(Part::Text(part)) = last.parts.last_mut() {
                part.text = Text::owned(part.text.decode().trim_end().to_owned());
            }
            Ok(())
        }
        _ => Ok(()),
    }
}
