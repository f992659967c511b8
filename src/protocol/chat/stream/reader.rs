//! The reader of Chat streams: one chunk in, any number of events out (protocols.md 8.3).

use super::super::details::Details;
use super::super::{response, usage};
use super::calls::{Calls, Fragment};
use super::finish::{self, End};
use super::think::{Think, Told};
use crate::error::{Blame, Error, Fault, Kind};
use crate::protocol::caps::ReasoningField;
use crate::protocol::context::Context;
use crate::protocol::neutral::{
    BlockKey, CallKind, Event, Finish, Inside, Keyed, Open, Owner, Piece, Proof, Reason, Sink,
    Start,
};
use crate::protocol::pattern;
use crate::protocol::text::Text;
use crate::protocol::{in_stream, is_error, truncated};
use crate::wire::json::{self, JsonKind, Raw, Walk};
use crate::wire::sse;

/// Reads one answer.
pub struct Reader {
    started: bool,
    /// Said by the upstream; emitted at `[DONE]` or the end, because usage comes after it.
    finish: Option<Finish<'static>>,
    done: bool,
    /// The text, reasoning or refusal block that is open: Chat has no words for its ends.
    soft: Option<(Inside, BlockKey)>,
    next_key: BlockKey,
    /// A delta said something, so a whole `message` in the last chunk is a repetition.
    spoke: bool,
    calls: Calls,
    think: Option<Think>,
    finish_optional: bool,
    /// Which of several fields with the same thought is read.
    first_thought: ReasoningField,
    /// The proof of the open thought, for upstreams that want it back.
    details: Option<Details>,
}

/// Whether a member is absent, null, or an empty string.
fn is_nothing(raw: Option<Raw<'_>>) -> bool {
    raw.is_none_or(|raw| raw.is_null() || raw.text() == "\"\"")
}

/// The members of a chunk that matter.
#[derive(Default)]
struct Chunk<'a> {
    id: Option<Raw<'a>>,
    model: Option<Raw<'a>>,
    created: Option<Raw<'a>>,
    tier: Option<Raw<'a>>,
    choices: Option<Raw<'a>>,
    usage: Option<Raw<'a>>,
    groq: Option<Raw<'a>>,
    error: Option<Raw<'a>>,
    padding: Option<Raw<'a>>,
}

/// Those of a choice.
#[derive(Default)]
struct Choice<'a> {
    index: Option<Raw<'a>>,
    delta: Option<Raw<'a>>,
    message: Option<Raw<'a>>,
    finish_reason: Option<Raw<'a>>,
    stop: Option<Raw<'a>>,
    logprobs: Option<Raw<'a>>,
    usage: Option<Raw<'a>>,
}

/// What a delta's member says.
#[derive(Clone, Copy)]
enum Member {
    /// A piece of such a block.
    Said(Inside),
    /// Of calls.
    Calls,
    /// Something that is never a piece of text.
    Other,
}

/// Those of a delta.
#[derive(Default)]
struct Delta<'a> {
    reasoning_content: Option<Raw<'a>>,
    reasoning: Option<Raw<'a>>,
    details: Option<Raw<'a>>,
    refusal: Option<Raw<'a>>,
    content: Option<Raw<'a>>,
    tool_calls: Option<Raw<'a>>,
    function_call: Option<Raw<'a>>,
    annotations: Option<Raw<'a>>,
}

impl Reader {
    /// A reader at the start of an answer.
    pub fn new(cx: &Context) -> Reader {
        Reader {
            started: false,
            finish: None,
            done: false,
            soft: None,
            next_key: 0,
            spoke: false,
            calls: Calls::new(cx.caps.snapshot_args),
            think: cx.caps.think_tags.then(Think::new),
            finish_optional: cx.caps.finish_reason_optional,
            first_thought: cx.caps.reasoning_field_out,
            details: (cx.caps.reasoning_field_in == ReasoningField::Details).then(Details::default),
        }
    }

    /// Reads one event of the stream. Answers the text it passed on, if that is all the event said.
    ///
    /// # Errors
    /// The upstream reports an error, or sent what is no chunk.
    pub fn read<'e>(
        &mut self,
        event: sse::Event<'e>,
        out: &mut Sink<'_>,
    ) -> Result<Option<pattern::Told<'e>>, Error> {
        let data = event.data.trim_ascii();
        if data.is_empty() || self.done {
            return Ok(None);
        }
        if data == b"[DONE]" {
            self.end(out)?;
            return Ok(None);
        }
        let chunk = Chunk::of(Walk::parse(data).map_err(blame)?).map_err(blame)?;
        if let Some(error) = chunk.error.filter(|error| is_error(*error)) {
            return Err(in_stream(error));
        }
        if event.name == b"error" {
            let whole = std::str::from_utf8(data)
                .ok()
                .and_then(|text| Raw::parse(text).ok());
            return Err(whole.map_or_else(truncated, in_stream));
        }
        let mut told = None;
        if let Some(choices) = chunk
            .choices
            .filter(|choices| choices.kind() == JsonKind::Array)
        {
            for (at, raw) in choices.elements().map_err(blame)?.enumerate() {
                let choice = Choice::of(raw).map_err(blame)?;
                if choice.index.and_then(Raw::as_u64).unwrap_or(0) == 0 {
                    self.start(&chunk, out)?;
                    let text = self.choice(&choice, out)?;
                    told = text.filter(|_| at == 0);
                } else {
                    told = None;
                }
            }
        }
        let groq = || chunk.groq?.as_object().ok()?.get("usage");
        if let Some(totals) = chunk
            .usage
            .and_then(usage::read)
            .or_else(|| groq().and_then(usage::read))
        {
            self.start(&chunk, out)?;
            emit(0, Event::Usage(totals), out)?;
        }
        let told = told.filter(|_| is_nothing(chunk.usage) && is_nothing(chunk.groq));
        let padding = chunk.padding;
        Ok(told.map(|told| pattern::Told { padding, ..told }))
    }

    /// The stream has ended.
    ///
    /// # Errors
    /// No `finish_reason` proved that the answer is complete.
    pub fn end(&mut self, out: &mut Sink<'_>) -> Result<(), Error> {
        if self.done {
            return Ok(());
        }
        self.done = true;
        let finish = match self.finish.take() {
            Some(finish) => finish,
            None if self.finish_optional && self.started => Finish::of(Reason::Done),
            None => return Err(truncated()),
        };
        if let Some(told) = self.think.as_mut().and_then(Think::finish) {
            self.told(told, out)?;
        }
        self.prove(out)?;
        self.calls.finish(out)?;
        emit(0, Event::Finish(finish), out)
    }

    fn start(&mut self, chunk: &Chunk<'_>, out: &mut Sink<'_>) -> Result<(), Error> {
        if self.started {
            return Ok(());
        }
        self.started = true;
        let start = Start {
            id: chunk.id.and_then(Text::of),
            model: chunk.model.and_then(Text::of),
            created: chunk.created.and_then(Raw::as_u64).filter(|&at| at > 0),
            tier: chunk.tier.and_then(Text::of),
        };
        emit(0, Event::Start(start), out)
    }

    /// Answers the text it passed on, if it said nothing else.
    fn choice<'c>(
        &mut self,
        choice: &Choice<'c>,
        out: &mut Sink<'_>,
    ) -> Result<Option<pattern::Told<'c>>, Error> {
        let delta = choice
            .delta
            .filter(|delta| delta.kind() == JsonKind::Object);
        let message = choice
            .message
            .filter(|message| message.kind() == JsonKind::Object && !self.spoke);
        let mut told = None;
        if let Some(raw) = delta.or(message) {
            let nothing_else = [choice.message, choice.finish_reason, choice.stop]
                .into_iter()
                .chain([choice.logprobs, choice.usage])
                .all(is_nothing);
            let delta = Delta::of(raw).map_err(blame)?;
            let only = delta.only().filter(|_| nothing_else);
            let call = self.delta(delta, choice.logprobs, out)?;
            told = only.and_then(|only| self.told_by(only, call));
        }
        match finish::of(choice.finish_reason, choice.stop) {
            End::None => {}
            // The first one counts: some relays repeat it in other words.
            End::Finish(finish) => self.finish = self.finish.take().or(Some(finish)),
            End::Error(word) => {
                return Err(Error::upstream(
                    Kind::BadReply,
                    format!("the upstream ended its answer with {word:?}"),
                ));
            }
        }
        if let Some(totals) = choice.usage.and_then(usage::read) {
            emit(0, Event::Usage(totals), out)?;
        }
        Ok(told)
    }

    /// What a delta told that has but this one member. `call`: what it passed on of a call's arguments.
    fn told_by<'c>(
        &self,
        (member, raw): (Member, Raw<'c>),
        call: Option<(BlockKey, Raw<'c>)>,
    ) -> Option<pattern::Told<'c>> {
        let (block, inside, text) = match (member, call, self.soft) {
            (Member::Calls, Some((key, text)), _) => (key, Inside::Call, text),
            (Member::Said(inside), None, Some((open, key))) if open == inside => (key, inside, raw),
            _ => return None,
        };
        let plain = text.kind() == JsonKind::String && text.text() != "\"\"";
        (plain && (inside == Inside::Call || self.think.is_none())).then_some(pattern::Told {
            block,
            inside,
            text,
            number: None,
            padding: None,
        })
    }

    /// What one chunk says, in the order it was thought: reasoning, refusal, content, calls. Answers the arguments it passed on as
    /// they stand there, if they are those of one call.
    fn delta<'c>(
        &mut self,
        delta: Delta<'c>,
        logprobs: Option<Raw<'c>>,
        out: &mut Sink<'_>,
    ) -> Result<Option<(BlockKey, Raw<'c>)>, Error> {
        let says = |raw: &Raw<'_>| !matches!(raw.kind(), JsonKind::Null) && raw.text() != "\"\"";
        let fields = match self.first_thought {
            ReasoningField::Reasoning => [delta.reasoning, delta.reasoning_content, delta.details],
            ReasoningField::Details => [delta.details, delta.reasoning_content, delta.reasoning],
            _ => [delta.reasoning_content, delta.reasoning, delta.details],
        };
        if let Some(raw) = fields.into_iter().flatten().find(says) {
            let text = response::joined(raw);
            self.say(Inside::Reasoning, Piece::Reasoning(text), out)?;
        }
        if let (Some(raw), Some(details)) = (delta.details, &mut self.details) {
            details.add(raw);
            // A proof without a text is a thought too.
            if details.prove() {
                self.block(Inside::Reasoning, out)?;
            }
        }
        if let Some(raw) = delta.refusal.filter(says) {
            self.say(Inside::Refusal, Piece::Refusal(string(raw)?), out)?;
        }
        if let Some(raw) = delta.content.filter(says) {
            self.content(raw, logprobs, out)?;
        }
        if let Some(raw) = delta.annotations.filter(says) {
            self.annotations(raw, out)?;
        }
        let mut passed = None;
        if let Some(raw) = delta.tool_calls.filter(|raw| raw.kind() == JsonKind::Array) {
            for (at, raw) in raw.elements().map_err(blame)?.enumerate() {
                let fragment = fragment(raw).map_err(blame)?;
                passed = self.fragment(fragment, out)?.filter(|_| at == 0);
            }
        }
        if let Some(raw) = delta
            .function_call
            .filter(|raw| raw.kind() == JsonKind::Object)
        {
            let mut legacy = Fragment {
                index: Some(0),
                ..Fragment::default()
            };
            function(raw, &mut legacy).map_err(blame)?;
            if !legacy.name.is_empty() || !legacy.arguments.is_empty() {
                self.fragment(legacy, out)?;
            }
        }
        Ok(passed)
    }

    fn content(
        &mut self,
        raw: Raw<'_>,
        logprobs: Option<Raw<'_>>,
        out: &mut Sink<'_>,
    ) -> Result<(), Error> {
        if raw.kind() == JsonKind::Array {
            for part in raw.elements().map_err(blame)? {
                let part = part.as_object().map_err(blame)?;
                if let Some(thinking) = part.get("thinking") {
                    self.say(
                        Inside::Reasoning,
                        Piece::Reasoning(response::joined(thinking)),
                        out,
                    )?;
                } else if let Some(text) = part.get("text").and_then(Text::of) {
                    self.say(Inside::Text, Piece::text(text), out)?;
                }
            }
            return Ok(());
        }
        let text = string(raw)?;
        if let Some(think) = &mut self.think {
            for told in think.push(&text.decode()) {
                self.told(told, out)?;
            }
            return Ok(());
        }
        let logprobs = logprobs.and_then(|raw| raw.as_object().ok()?.get("content"));
        // It is pasted into the client's stream, so here it is judged to its last leaf.
        let sound = |raw: &Raw<'_>| json::validate(raw.text().as_bytes()).is_ok();
        let logprobs = logprobs.filter(|raw| raw.kind() == JsonKind::Array && sound(raw));
        self.say(Inside::Text, Piece::Text { text, logprobs }, out)
    }

    fn told(&mut self, told: Told, out: &mut Sink<'_>) -> Result<(), Error> {
        match told {
            Told::Thought(text) => {
                self.say(Inside::Reasoning, Piece::Reasoning(Text::owned(text)), out)
            }
            Told::Text(text) => self.say(Inside::Text, Piece::text(Text::owned(text)), out),
        }
    }

    /// Emits a piece into the block of its kind, opening one if another kind, or none, is open.
    fn say(&mut self, inside: Inside, piece: Piece<'_>, out: &mut Sink<'_>) -> Result<(), Error> {
        let empty = match &piece {
            Piece::Text { text, .. } | Piece::Reasoning(text) | Piece::Refusal(text) => {
                text.is_empty()
            }
            _ => false,
        };
        if empty {
            return Ok(());
        }
        self.spoke = true;
        let key = self.block(inside, out)?;
        emit(key, Event::Delta(piece), out)
    }

    /// The open block of that kind; another one that is open ends.
    fn block(&mut self, inside: Inside, out: &mut Sink<'_>) -> Result<BlockKey, Error> {
        if let Some((open, key)) = self.soft
            && open == inside
        {
            return Ok(key);
        }
        self.end_soft(out)?;
        let key = self.next_key;
        self.next_key += 1;
        self.soft = Some((inside, key));
        let open = match inside {
            Inside::Reasoning => Open::Reasoning,
            Inside::Refusal => Open::Refusal,
            Inside::Text | Inside::Call | Inside::Hosted => Open::Text,
        };
        emit(key, Event::Open(open), out)?;
        Ok(key)
    }

    /// The proof of the thought that is open, before it ends.
    fn prove(&mut self, out: &mut Sink<'_>) -> Result<(), Error> {
        if let (Some((Inside::Reasoning, key)), Some(details)) = (self.soft, &mut self.details)
            && let Some(value) = details.take()
        {
            let proof = Proof::native(Owner::Chat, value);
            return emit(key, Event::Delta(Piece::Proof(proof)), out);
        }
        Ok(())
    }

    fn end_soft(&mut self, out: &mut Sink<'_>) -> Result<(), Error> {
        self.prove(out)?;
        match self.soft.take() {
            Some((_, key)) => emit(key, Event::Close { whole: true }, out),
            None => Ok(()),
        }
    }

    fn fragment<'c>(
        &mut self,
        fragment: Fragment<'c>,
        out: &mut Sink<'_>,
    ) -> Result<Option<(BlockKey, Raw<'c>)>, Error> {
        self.spoke = true;
        self.end_soft(out)?;
        self.calls.take(fragment, out)
    }

    fn annotations(&mut self, raw: Raw<'_>, out: &mut Sink<'_>) -> Result<(), Error> {
        let annotations = response::annotations(Some(raw));
        if annotations.is_empty() {
            return Ok(());
        }
        let key = self.block(Inside::Text, out)?; // OpenRouter sends them before the text
        for annotation in annotations {
            emit(key, Event::Annotation(annotation), out)?;
        }
        Ok(())
    }
}

fn emit(block: BlockKey, event: Event<'_>, out: &mut Sink<'_>) -> Result<(), Error> {
    out(Keyed { block, event })
}

fn blame(fault: Fault) -> Error {
    fault.blame(Blame::Upstream)
}

fn string<'a>(raw: Raw<'a>) -> Result<Text<'a>, Error> {
    Text::of(raw).ok_or_else(|| Error::upstream(Kind::BadReply, "a delta is no well-formed string"))
}

impl<'a> Chunk<'a> {
    fn of(mut walk: Walk<'a>) -> Result<Chunk<'a>, Fault> {
        let mut chunk = Chunk::default();
        while let Some((key, value)) = walk.next()? {
            match key.as_ref() {
                "id" => chunk.id = Some(value),
                "model" => chunk.model = Some(value),
                "created" => chunk.created = Some(value),
                "service_tier" => chunk.tier = Some(value),
                "choices" => chunk.choices = Some(value),
                "usage" => chunk.usage = Some(value),
                "x_groq" => chunk.groq = Some(value),
                "error" => chunk.error = Some(value),
                "obfuscation" => chunk.padding = Some(value),
                _ => {}
            }
        }
        Ok(chunk)
    }
}

impl<'a> Choice<'a> {
    fn of(raw: Raw<'a>) -> Result<Choice<'a>, Fault> {
        let mut choice = Choice::default();
        let mut walk = raw.walk()?;
        while let Some((key, value)) = walk.next()? {
            match key.as_ref() {
                "index" => choice.index = Some(value),
                "delta" => choice.delta = Some(value),
                "message" => choice.message = Some(value),
                "finish_reason" => choice.finish_reason = Some(value),
                "stop_reason" | "matched_stop" => choice.stop = Some(value),
                "logprobs" => choice.logprobs = Some(value),
                "usage" => choice.usage = Some(value),
                _ => {}
            }
        }
        Ok(choice)
    }
}

impl<'a> Delta<'a> {
    /// The one member that says something, if there is no other.
    fn only(&self) -> Option<(Member, Raw<'a>)> {
        let thought = Member::Said(Inside::Reasoning);
        let mut members = [
            (Member::Said(Inside::Text), self.content),
            (thought, self.reasoning_content),
            (thought, self.reasoning),
            (Member::Said(Inside::Refusal), self.refusal),
            (Member::Calls, self.tool_calls),
            (Member::Other, self.details),
            (Member::Other, self.function_call),
            (Member::Other, self.annotations),
        ]
        .into_iter()
        .filter(|(_, raw)| !is_nothing(*raw));
        let (member, raw) = members.next()?;
        members.next().is_none().then_some((member, raw?))
    }

    fn of(raw: Raw<'a>) -> Result<Delta<'a>, Fault> {
        let mut delta = Delta::default();
        let mut walk = raw.walk()?;
        while let Some((key, value)) = walk.next()? {
            match key.as_ref() {
                "reasoning_content" => delta.reasoning_content = Some(value),
                "reasoning" => delta.reasoning = Some(value),
                "reasoning_details" => delta.details = Some(value),
                "refusal" => delta.refusal = Some(value),
                "content" => delta.content = Some(value),
                "tool_calls" => delta.tool_calls = Some(value),
                "function_call" => delta.function_call = Some(value),
                "annotations" => delta.annotations = Some(value),
                _ => {}
            }
        }
        Ok(delta)
    }
}

fn fragment<'a>(raw: Raw<'a>) -> Result<Fragment<'a>, Fault> {
    let mut fragment = Fragment::default();
    let mut walk = raw.walk()?;
    while let Some((key, value)) = walk.next()? {
        match key.as_ref() {
            "index" => fragment.index = value.as_u64(),
            "id" => fragment.id = Text::of(value).unwrap_or_default(),
            "function" if value.kind() == JsonKind::Object => function(value, &mut fragment)?,
            "custom" if value.kind() == JsonKind::Object => {
                let mut custom = Fragment::default();
                function(value, &mut custom)?;
                // Snowflake fills in the other kind too, with empty strings.
                if !custom.name.is_empty() || !custom.arguments.is_empty() {
                    fragment.kind = Some(CallKind::Custom);
                    fragment.name = custom.name;
                    fragment.arguments = custom.arguments;
                    fragment.raw = custom.raw;
                }
            }
            "extra_content" => fragment.signature = response::signature(&raw.as_object()?),
            _ => {}
        }
    }
    Ok(fragment)
}

/// The inside of a call: `name` with `arguments`, or with `input` for custom tools.
fn function<'a>(raw: Raw<'a>, fragment: &mut Fragment<'a>) -> Result<(), Fault> {
    let mut walk = raw.walk()?;
    while let Some((key, value)) = walk.next()? {
        match key.as_ref() {
            "name" => fragment.name = Text::of(value).unwrap_or_default(),
            "arguments" | "input" => {
                fragment.raw = Some(value);
                fragment.arguments = response::arguments(value)
                    .ok_or_else(|| Fault::bad("arguments are no well-formed string"))?;
            }
            _ => {}
        }
    }
    Ok(())
}
