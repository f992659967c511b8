//! From an upstream's bytes to a client's: reader → sequencer → resolver → (stops) → grammar → writer. One function from bytes to
//! bytes, whatever the pair of protocols and however the bytes were cut.

use super::context::Context;
use super::gather::Gather;
use super::neutral::{
    Block, BlockKey, Event, Finish, Grammar, Hosted, Inside, Keyed, Open, Piece, Reason, Reply,
    Usage,
};
use super::pattern::{Pattern, Told};
use super::pause::Pause;
use super::resolve::Resolver;
use super::responses::state::Places;
use super::sequence::Sequencer;
use super::stops::Stops;
use super::text::Text;
use super::twins::{self, Reader, Writer};
use super::warnings::Warnings;
use super::{Made, Protocol};
use crate::error::{Blame, Error, Fault, Kind};
use crate::wire::json::Object;
use crate::wire::sse;

/// Blocks of one answer. Of each something is kept to its end, if only the id of a call.
const BLOCKS_MAX: usize = 16_384;
/// Bytes that one answer makes the gateway keep: what waits for its turn and what is told once more at the end.
pub const KEPT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The middle of every conversion of answers.
struct Middle {
    sequencer: Sequencer,
    resolver: Resolver,
    stops: Option<Stops>,
    grammar: Grammar,
    blocks: usize,
    /// A call was cut inside.
    cut: bool,
    usage: Option<Usage>,
    warnings: Warnings,
    cx: Context,
    made: Made,
}

impl Middle {
    fn new(cx: Context, made: Made) -> Middle {
        Middle {
            sequencer: Sequencer::default(),
            resolver: Resolver::default(),
            stops: Stops::new(&cx.stops, cx.estimate),
            grammar: Grammar::Before,
            blocks: 0,
            cut: false,
            usage: None,
            warnings: Warnings::default(),
            cx,
            made,
        }
    }

    fn is_started(&self) -> bool {
        self.grammar != Grammar::Before
    }

    fn is_finished(&self) -> bool {
        self.grammar == Grammar::After
    }

    /// Takes more text of a block. Where each stage would pass it as it is, it goes to `write` at once.
    fn more(
        &mut self,
        (block, inside): (BlockKey, Inside),
        text: Text<'_>,
        write: &mut Write<'_>,
    ) -> Result<(), Error> {
        let event = Event::Delta(Piece::of(inside, text));
        let passes = self.stops.is_none()
            && self.grammar == Grammar::Inside(inside)
            && self.sequencer.passes(block, inside)
            && self.resolver.passes(inside);
        if passes {
            return write(&event, &self.cx);
        }
        self.push(Keyed { block, event }, write)
    }

    /// Takes the reader's next event and calls `write` with what is ready, in the grammar's order. What an upstream says after
    /// the end, or after a stop, is not heard.
    fn push(&mut self, keyed: Keyed<'_>, write: &mut Write<'_>) -> Result<(), Error> {
        if self.is_finished() {
            return Ok(());
        }
        let Middle {
            sequencer,
            resolver,
            stops,
            grammar,
            blocks,
            cut,
            usage,
            warnings,
            cx,
            made,
        } = self;
        let mut last = |mut event: Event<'_>| {
            match &mut event {
                Event::Close { whole } => *cut |= !*whole,
                // Some servers call an answer complete whose last call they call incomplete. Nobody may act on that call.
                Event::Finish(finish) if *cut && finish.reason == Reason::Done => {
                    finish.reason = Reason::Length;
                }
                _ => {}
            }
            *grammar = grammar.step(&event)?;
            if matches!(event, Event::Open(_)) {
                *blocks += 1;
                if *blocks > BLOCKS_MAX {
                    return Err(too_many_blocks());
                }
            }
            match &event {
                Event::Usage(totals) => *usage = Some(*totals),
                Event::Open(Open::Hosted(hosted)) if is_lost(hosted) => {
                    warnings.add(hosted.name.decode(), "dropped");
                }
                Event::Finish(finish) => note_end(finish, cx.upstream, warnings),
                _ => {}
            }
            write(&event, cx)
        };
        let mut stopped = false;
        sequencer.push(keyed, &mut |event| {
            resolver.step(event, cx, made, &mut |event| match stops {
                _ if stopped => Ok(()),
                Some(stops) => {
                    stopped = stops.step(event, &mut last)?;
                    Ok(())
                }
                None => last(event),
            })
        })
    }
}

/// Names an end that the client is told of in another word than the upstream's.
fn note_end(finish: &Finish<'_>, upstream: Protocol, warnings: &mut Warnings) {
    let field = match upstream {
        Protocol::Chat => "finish_reason",
        Protocol::Responses => "status",
        Protocol::Messages => "stop_reason",
    };
    if finish.unknown {
        warnings.add(field, "unknown");
    }
    if finish.reason == Reason::Paused {
        warnings.add(field, "paused");
    }
}

/// Work of a vendor's tool that the client will not see. What a search found stays in the text and its citations.
fn is_lost(hosted: &Hosted<'_>) -> bool {
    hosted.query.is_none() && !hosted.name.is("web_search_call")
}

/// Where the events of an answer go, in the client's words and the grammar's order.
type Write<'w> = dyn FnMut(&Event<'_>, &Context) -> Result<(), Error> + 'w;

/// An upstream's stream, from its bytes to events.
struct Stream {
    parser: sse::Parser,
    /// Of the last event, if it was lent and told nothing but a text.
    pattern: Pattern,
    reader: Reader,
    middle: Middle,
    /// Of an upstream that may pause.
    pause: Option<Box<Pause>>,
    /// Nothing but white space has come.
    blank: bool,
    /// What came is no stream but one object, whatever its head says: relays send an error so after a head for events.
    object: Option<Vec<u8>>,
}

/// Reads one event. Answers the text it told, if the next that is like it needs no more than that.
fn read<'e>(
    event: sse::Event<'e>,
    reader: &mut Reader,
    pause: &mut Option<Box<Pause>>,
    middle: &mut Middle,
    write: &mut Write<'_>,
) -> Result<Option<Told<'e>>, Error> {
    let Some(pause) = pause else {
        return reader.read(event, &mut |keyed| middle.push(keyed, write));
    };
    pause.hear(event);
    reader.read(event, &mut |keyed| match pause.join(keyed) {
        Some(keyed) => middle.push(keyed, write),
        None => Ok(()),
    })?;
    Ok(None) // a turn that may pause is kept in the upstream's own words
}

impl Stream {
    fn new(upstream: Protocol, cx: Context, made: Made) -> Stream {
        Stream {
            parser: sse::Parser::new(),
            pattern: Pattern::new(),
            reader: Reader::new(upstream, &cx),
            pause: cx.pauses.then(Box::default),
            middle: Middle::new(cx, made),
            blank: true,
            object: None,
        }
    }

    /// Whether those bytes belong to an object that came instead of a stream.
    #[cold]
    fn holds(&mut self, bytes: &[u8]) -> Result<bool, Error> {
        let mut bytes = bytes;
        if self.blank
            && let begin = bytes.trim_ascii_start()
            && let Some(&first) = begin.first()
        {
            (self.blank, bytes) = (false, begin);
            self.object = (first == b'{').then(Vec::new);
        }
        let Some(object) = &mut self.object else {
            return Ok(false);
        };
        object.extend_from_slice(bytes);
        if object.len() > KEPT_BYTES_MAX {
            return Err(too_large());
        }
        Ok(true)
    }

    /// Reads that object as the whole answer, or the error, that it is.
    fn read_object(&mut self, body: &[u8], write: &mut Write<'_>) -> Result<(), Error> {
        let Middle { cx, warnings, .. } = &mut self.middle;
        let reply = read_whole(cx.upstream, cx, body, warnings)?;
        reply.emit(&mut |keyed| self.middle.push(keyed, write))
    }

    fn is_paused(&self) -> bool {
        self.pause.as_ref().is_some_and(|pause| pause.is_paused())
    }

    /// Whether nothing more of this stream is heard.
    fn is_over(&self) -> bool {
        self.middle.is_finished() || self.is_paused()
    }

    /// What a paused upstream has said so far, in its own blocks.
    fn said(&self) -> &[u8] {
        self.pause.as_ref().map_or(&[], |pause| pause.said())
    }

    /// Another stream follows, which goes on with the same answer.
    fn go_on(&mut self) {
        self.parser = sse::Parser::new();
        self.reader = Reader::new(self.middle.cx.upstream, &self.middle.cx);
        if let Some(pause) = &mut self.pause {
            pause.go_on();
        }
    }

    /// Takes the upstream's next bytes. What comes after the answer is complete is ignored.
    fn feed(&mut self, bytes: &[u8], write: &mut Write<'_>) -> Result<(), Error> {
        if self.is_over() {
            return Ok(());
        }
        if (self.blank || self.object.is_some()) && self.holds(bytes)? {
            return Ok(());
        }
        let Stream {
            parser,
            pattern,
            reader,
            middle,
            pause,
            ..
        } = self;
        let mut rest = bytes;
        loop {
            loop {
                // The fast lane: an event like the one before but for its text goes straight to the writer.
                while let Some(text) = pattern.next(&mut rest) {
                    if !text.is_empty() {
                        reader.more(&text);
                        middle.more(pattern.block(), text, write)?;
                    }
                }
                let begin = rest;
                let Some(event) = parser.lent(&mut rest) else {
                    break;
                };
                let read = read(event, reader, pause, middle, write);
                if middle.is_finished() {
                    return Ok(());
                }
                match read? {
                    Some(told) => pattern.learn(&begin[..begin.len() - rest.len()], &told),
                    None => pattern.forget(),
                }
            }
            if rest.is_empty() {
                return Ok(());
            }
            // What is pushed is whole only with what follows it.
            pattern.forget();
            let (unfinished, after) = rest.split_at(sse::event_end(rest));
            parser
                .push(unfinished)
                .map_err(|fault| fault.blame(Blame::Upstream))?;
            while let Some(event) = parser.next() {
                let read = read(event, reader, pause, middle, write);
                if middle.is_finished() {
                    return Ok(());
                }
                read?;
            }
            rest = after;
        }
    }

    /// The upstream's body has ended. An error: before its answer was complete.
    fn finish(&mut self, write: &mut Write<'_>) -> Result<(), Error> {
        if self.is_over() {
            return Ok(());
        }
        if let Some(object) = self.object.take() {
            return self.read_object(&object, write);
        }
        let Stream {
            parser,
            reader,
            middle,
            pause,
            ..
        } = self;
        // The empty line after the last event may be missing.
        let read = match parser.finish() {
            Some(event) => read(event, reader, pause, middle, write).map(drop),
            None => Ok(()),
        };
        let read = read.and_then(|()| {
            reader.end(&mut |keyed| match pause {
                Some(pause) => match pause.join(keyed) {
                    Some(keyed) => middle.push(keyed, write),
                    None => Ok(()),
                },
                None => middle.push(keyed, write),
            })
        });
        if self.is_over() {
            Ok(())
        } else {
            read.and(Err(truncated()))
        }
    }

    /// Bytes kept now: of an unfinished event, of blocks that wait, and of what an upstream that may pause has said.
    fn held_bytes(&self) -> usize {
        let said = self.pause.as_ref().map_or(0, |pause| pause.held_bytes());
        let said = said + self.object.as_ref().map_or(0, Vec::len);
        self.parser.held_bytes() + self.middle.sequencer.held_bytes() + said
    }
}

/// Converts one stream. After an error nothing more may be fed; [`Translator::fail`] tells the client.
pub struct Translator {
    stream: Stream,
    writer: Writer,
    failed: bool,
}

impl Translator {
    /// For an answer of that upstream to that client.
    pub fn new(upstream: Protocol, client: Protocol, cx: Context, made: Made) -> Translator {
        Translator {
            writer: Writer::new(client, &cx, &made),
            stream: Stream::new(upstream, cx, made),
            failed: false,
        }
    }

    /// Takes the upstream's next bytes and appends what the client gets for them.
    ///
    /// # Errors
    /// The upstream reported an error or sent nonsense. While [`Translator::started`] is false a real HTTP error can be sent.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let writer = &mut self.writer;
        self.stream
            .feed(bytes, &mut |event, cx| writer.write(event, cx, out))?;
        if self.held_bytes() > KEPT_BYTES_MAX {
            return Err(too_large());
        }
        Ok(())
    }

    /// Bytes kept now: of an unfinished event, of blocks that wait, and of what a Responses client is told once more at the end.
    pub fn held_bytes(&self) -> usize {
        self.stream.held_bytes() + self.writer.held_bytes()
    }

    /// The upstream's body has ended.
    ///
    /// # Errors
    /// It ended before its answer was complete.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        let writer = &mut self.writer;
        self.stream
            .finish(&mut |event, cx| writer.write(event, cx, out))
    }

    /// Tells the client, in its protocol, that the answer failed, and never lets what was sent look complete. Nothing is
    /// written after the answer was finished.
    pub fn fail(&mut self, error: &Error, out: &mut Vec<u8>) {
        if !self.is_finished() && !self.failed {
            self.writer.fail(error, &self.stream.middle.cx, out);
        }
        self.failed = true;
    }

    /// What a client sees when nothing has come for a while: its protocol's own sign of life, a comment before the start.
    pub fn keep_alive(&mut self, out: &mut Vec<u8>) {
        if self.failed || self.is_finished() {
            return;
        }
        if self.started() {
            self.writer.keep_alive(&self.stream.middle.cx, out);
        } else {
            out.extend_from_slice(b": keepalive\n\n");
        }
    }

    /// Whether the first event was written. Until then no head needs to be sent.
    pub fn started(&self) -> bool {
        self.stream.middle.is_started()
    }

    /// Whether the answer is complete: the upstream's body may be dropped.
    pub fn is_finished(&self) -> bool {
        self.stream.middle.is_finished()
    }

    /// Whether the upstream paused: nothing more is heard until it was asked to go on, see [`super::continuation`], and
    /// `go_on` was called.
    pub fn is_paused(&self) -> bool {
        self.stream.is_paused()
    }

    /// What a paused upstream has said so far, in its own blocks.
    pub fn said(&self) -> &[u8] {
        self.stream.said()
    }

    /// The next bytes are those of the stream in which the upstream goes on.
    pub fn go_on(&mut self) {
        self.stream.go_on();
    }

    /// The last totals the upstream reported.
    pub fn usage(&self) -> Option<&Usage> {
        self.stream.middle.usage.as_ref()
    }

    /// For a Responses client, once the answer is complete: its id and output items, joined by commas. A store keeps them
    /// (see [`super::responses::state`]).
    pub fn kept(&self) -> Option<(&str, &[u8])> {
        self.writer.kept()
    }

    /// What was found to be lost while answering.
    pub fn warnings(&self) -> &Warnings {
        &self.stream.middle.warnings
    }
}

/// Makes one whole answer of a stream, for a client that did not ask for one.
pub struct Collector {
    stream: Stream,
    gather: Gather,
    client: Protocol,
}

impl Collector {
    /// For an answer of that upstream to that client.
    pub fn new(upstream: Protocol, client: Protocol, cx: Context, made: Made) -> Collector {
        Collector {
            stream: Stream::new(upstream, cx, made),
            gather: Gather::default(),
            client,
        }
    }

    /// Takes the upstream's next bytes.
    ///
    /// # Errors
    /// The upstream reported an error or sent nonsense, or the answer is larger than [`super::gather::GATHERED_BYTES_MAX`].
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let gather = &mut self.gather;
        self.stream
            .feed(bytes, &mut |event, _| gather.take(event))?;
        if self.stream.held_bytes() > KEPT_BYTES_MAX {
            return Err(too_large());
        }
        Ok(())
    }

    /// The upstream's body has ended; unless it is paused, [`Collector::finish`] gives the answer.
    ///
    /// # Errors
    /// It ended before its answer was complete.
    pub fn end(&mut self) -> Result<(), Error> {
        let gather = &mut self.gather;
        self.stream.finish(&mut |event, _| gather.take(event))
    }

    /// Whether the answer is complete: the upstream's body may be dropped.
    pub fn is_finished(&self) -> bool {
        self.stream.middle.is_finished()
    }

    /// Bytes kept now.
    pub fn held_bytes(&self) -> usize {
        self.stream.held_bytes() + self.gather.bytes()
    }

    /// Whether the upstream paused: nothing more is heard until it was asked to go on, see [`super::continuation`], and
    /// `go_on` was called.
    pub fn is_paused(&self) -> bool {
        self.stream.is_paused()
    }

    /// What a paused upstream has said so far, in its own blocks.
    pub fn said(&self) -> &[u8] {
        self.stream.said()
    }

    /// The next bytes are those of the stream in which the upstream goes on.
    pub fn go_on(&mut self) {
        self.stream.go_on();
    }

    /// The last totals the upstream reported.
    pub fn usage(&self) -> Option<&Usage> {
        self.stream.middle.usage.as_ref()
    }

    /// The upstream's body has ended: the client's answer.
    ///
    /// # Errors
    /// It ended before its answer was complete.
    pub fn finish(mut self, warnings: &mut Warnings) -> Result<Written, Error> {
        self.end()?;
        let reply = self.gather.reply().ok_or_else(truncated)?;
        let Middle {
            cx,
            made,
            warnings: found,
            ..
        } = self.stream.middle;
        warnings.merge(found);
        let mut out = Written::default();
        twins::write_reply(self.client, &reply, &cx, &made, warnings, &mut out)?;
        Ok(out)
    }
}

/// A whole answer for a client.
#[derive(Debug, Default)]
pub struct Written {
    /// Its JSON.
    pub body: Vec<u8>,
    /// For a Responses client: what a store keeps of it.
    pub places: Places,
}

impl Written {
    /// Nothing yet; the body is written into `spare`, an empty vector.
    pub fn into_spare(spare: Vec<u8>) -> Written {
        Written {
            body: spare,
            places: Places::default(),
        }
    }
}

/// Converts a whole answer, into `out`, to which nothing was written yet.
///
/// # Errors
/// The body is no answer of that upstream, or an error under status 200; or the answer cannot be told in the client's protocol.
pub fn convert_response(
    upstream: Protocol,
    client: Protocol,
    cx: &Context,
    made: &Made,
    body: &[u8],
    warnings: &mut Warnings,
    mut out: Written,
) -> Result<Written, Error> {
    if is_stream(body) {
        let mut collector = Collector::new(upstream, client, cx.clone(), made.clone());
        collector.feed(body)?;
        return collector.finish(warnings);
    }
    let mut reply = read_whole(upstream, cx, body, warnings)?;
    if passes(&reply, cx) {
        note_end(&reply.finish, cx.upstream, warnings);
    } else {
        reply = through_events(reply, cx, made, warnings)?;
    }
    out.body.reserve(body.len() + 512);
    twins::write_reply(client, &reply, cx, made, warnings, &mut out)?;
    Ok(out)
}

/// Whether a body is a stream after all: some servers send events as `text/plain`, or say nothing of their type.
fn is_stream(body: &[u8]) -> bool {
    let begin = body.trim_ascii_start();
    [&b"data:"[..], b"event:", b"id:", b":"]
        .iter()
        .any(|front| begin.starts_with(front))
}

/// Whether an answer means to its client what it means to its upstream: texts without a proof, a call or a stop to look for.
/// Most are so, and then nothing of them has to be copied.
pub(super) fn passes(reply: &Reply<'_>, cx: &Context) -> bool {
    let is_plain = |block: &Block<'_>| match block {
        Block::Text { logprobs, .. } => logprobs.is_empty(),
        Block::Reasoning { proof, .. } => proof.is_none(),
        Block::Refusal(_) => true,
        Block::Call { .. } | Block::Hosted(_) => false,
    };
    reply.blocks.iter().all(is_plain)
        && reply.blocks.len() <= BLOCKS_MAX
        && cx.stops.is_empty()
        && cx.limit.is_none()
        && reply.finish.explanation.is_none()
}

/// A whole answer in the client's words.
pub(super) fn through_events(
    reply: Reply<'_>,
    cx: &Context,
    made: &Made,
    warnings: &mut Warnings,
) -> Result<Reply<'static>, Error> {
    let mut gather = Gather::default();
    each_event(reply, cx, made, warnings, &mut |event, _| {
        gather.take(event)
    })?;
    gather.reply().ok_or_else(truncated)
}

/// The stream a client asked for, made of the whole answer an upstream gave instead.
///
/// # Errors
/// As [`convert_response`].
pub fn replay(
    upstream: Protocol,
    client: Protocol,
    cx: &Context,
    made: &Made,
    body: &[u8],
    warnings: &mut Warnings,
) -> Result<Vec<u8>, Error> {
    if is_stream(body) {
        let mut translator = Translator::new(upstream, client, cx.clone(), made.clone());
        let mut out = Vec::with_capacity(body.len() * 2 + 1024);
        translator.feed(body, &mut out)?;
        translator.finish(&mut out)?;
        warnings.merge(translator.warnings().clone());
        return Ok(out);
    }
    let reply = read_whole(upstream, cx, body, warnings)?;
    let mut writer = Writer::new(client, cx, made);
    let mut out = Vec::with_capacity(body.len() * 2 + 1024);
    each_event(reply, cx, made, warnings, &mut |event, cx| {
        writer.write(event, cx, &mut out)
    })?;
    Ok(out)
}

/// The events of a whole answer, in the client's words.
fn each_event(
    reply: Reply<'_>,
    cx: &Context,
    made: &Made,
    warnings: &mut Warnings,
    write: &mut Write<'_>,
) -> Result<(), Error> {
    let mut middle = Middle::new(cx.clone(), made.clone());
    reply.emit(&mut |keyed| middle.push(keyed, write))?;
    warnings.merge(middle.warnings);
    Ok(())
}

/// The events of a stream as a writer sees them.
#[cfg(test)]
pub(super) fn each_stream_event(
    upstream: Protocol,
    cx: Context,
    made: Made,
    bytes: &[u8],
    see: &mut dyn FnMut(&Event<'_>),
) -> Result<(), Error> {
    let mut stream = Stream::new(upstream, cx, made);
    let mut write = |event: &Event<'_>, _: &Context| {
        see(event);
        Ok(())
    };
    stream.feed(bytes, &mut write)?;
    stream.finish(&mut write)
}

/// A whole answer as its upstream gave it.
fn read_whole<'b>(
    upstream: Protocol,
    cx: &Context,
    body: &'b [u8],
    warnings: &mut Warnings,
) -> Result<Reply<'b>, Error> {
    let object = Object::parse(body).map_err(|fault| no_object(body, fault))?;
    twins::read_reply(upstream, object, cx, warnings)
}

/// A whole answer that is no JSON object: relays send pages under 200, and so does a host that is no API.
#[cold]
fn no_object(body: &[u8], fault: Fault) -> Error {
    let message = match body.trim_ascii_start().first() {
        None => "the upstream answered 200 with an empty body",
        Some(b'<') => "the upstream answered with a web page; is its base_url right?",
        Some(_) => return fault.blame(Blame::Upstream),
    };
    Error::upstream(Kind::BadReply, message)
}

#[cold]
fn too_many_blocks() -> Error {
    let message = format!("an answer of more than {BLOCKS_MAX} blocks");
    Error::upstream(Kind::BadReply, message)
}

#[cold]
fn too_large() -> Error {
    let megabytes = KEPT_BYTES_MAX / (1024 * 1024);
    let message = format!("an answer of which more than {megabytes} MB have to be kept");
    Error::upstream(Kind::BadReply, message)
}

/// The error of every answer that ends too early; the same words wherever it is noticed.
pub fn truncated() -> Error {
    Error::upstream(Kind::BadReply, "upstream stream ended before completion")
}

#[cfg(test)]
mod tests;
