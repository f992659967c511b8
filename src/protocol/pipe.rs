//! From an upstream's bytes to a client's: reader → sequencer → resolver → (stops) → grammar → writer. One function from bytes to
//! bytes, whatever the pair of protocols and however the bytes were cut.

use super::context::Context;
use super::gather::Gather;
use super::neutral::{Event, Grammar, Hosted, Keyed, Open, Reply, Usage};
use super::resolve::Resolver;
use super::sequence::Sequencer;
use super::stops::Stops;
use super::twins::{self, Reader, Writer};
use super::warnings::Warnings;
use super::{Made, Protocol};
use crate::error::{Blame, Error, Kind};
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

    /// Takes the reader's next event and calls `write` with what is ready, in the grammar's order. What an upstream says after
    /// the end, or after a stop, is not heard.
    fn push(
        &mut self,
        keyed: Keyed<'_>,
        write: &mut dyn FnMut(&Event<'_>, &Context) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if self.is_finished() {
            return Ok(());
        }
        let Middle {
            sequencer,
            resolver,
            stops,
            grammar,
            blocks,
            usage,
            warnings,
            cx,
            made,
        } = self;
        let mut last = |event: Event<'_>| {
            *grammar = grammar.step(&event)?;
            if matches!(event, Event::Open(_)) {
                *blocks += 1;
                if *blocks > BLOCKS_MAX {
                    return Err(too_many_blocks());
                }
            }
            match &event {
                Event::Usage(totals) => *usage = Some(*totals),
                Event::Open(Open::Hosted(hosted)) if is_lost(hosted, cx.client) => {
                    warnings.add(hosted.name.decode(), "dropped");
                }
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

/// Work of a vendor's tool that the client will not see. What a search found stays in the text and its citations.
fn is_lost(hosted: &Hosted<'_>, client: Protocol) -> bool {
    const SEARCHES: [&str; 3] = [
        "web_search_call",
        "server_tool_use",
        "web_search_tool_result",
    ];
    client != Protocol::Responses && !SEARCHES.iter().any(|name| hosted.name.is(name))
}

/// Converts one stream. After an error nothing more may be fed; [`Translator::fail`] tells the client.
pub struct Translator {
    parser: sse::Parser,
    reader: Reader,
    middle: Middle,
    writer: Writer,
    failed: bool,
}

impl Translator {
    /// For an answer of that upstream to that client.
    pub fn new(upstream: Protocol, client: Protocol, cx: Context, made: Made) -> Translator {
        Translator {
            parser: sse::Parser::new(),
            reader: Reader::new(upstream, &cx),
            writer: Writer::new(client, &cx, &made),
            middle: Middle::new(cx, made),
            failed: false,
        }
    }

    /// Takes the upstream's next bytes and appends what the client gets for them.
    ///
    /// # Errors
    /// The upstream reported an error or sent nonsense. While [`Translator::started`] is false a real HTTP error can be sent.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        if self.is_finished() {
            return Ok(());
        }
        let Translator {
            parser,
            reader,
            middle,
            writer,
            ..
        } = self;
        parser
            .push(bytes)
            .map_err(|fault| fault.blame(Blame::Upstream))?;
        while let Some(event) = parser.next() {
            let read = reader.read(event, &mut |keyed| {
                middle.push(keyed, &mut |event, cx| writer.write(event, cx, out))
            });
            if middle.is_finished() {
                return Ok(());
            }
            read?;
        }
        if self.held_bytes() > KEPT_BYTES_MAX {
            return Err(too_large());
        }
        Ok(())
    }

    /// Bytes kept now: of an unfinished event, of blocks that wait, and of what a Responses client is told once more at the end.
    pub fn held_bytes(&self) -> usize {
        let waiting = self.middle.sequencer.held_bytes();
        self.parser.held_bytes() + waiting + self.writer.held_bytes()
    }

    /// The upstream's body has ended.
    ///
    /// # Errors
    /// It ended before its answer was complete.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        if self.is_finished() {
            return Ok(());
        }
        let Translator {
            parser,
            reader,
            middle,
            writer,
            ..
        } = self;
        let mut sink =
            |keyed: Keyed<'_>| middle.push(keyed, &mut |event, cx| writer.write(event, cx, out));
        // The empty line after the last event may be missing.
        let read = match parser.finish() {
            Some(event) => reader.read(event, &mut sink),
            None => Ok(()),
        };
        let read = read.and_then(|()| reader.end(&mut sink));
        if self.is_finished() {
            Ok(())
        } else {
            read.and(Err(truncated()))
        }
    }

    /// Tells the client, in its protocol, that the answer failed, and never lets what was sent look complete. Nothing is
    /// written after the answer was finished.
    pub fn fail(&mut self, error: &Error, out: &mut Vec<u8>) {
        if !self.is_finished() && !self.failed {
            self.writer.fail(error, &self.middle.cx, out);
        }
        self.failed = true;
    }

    /// What a client sees when nothing has come for a while: its protocol's own sign of life, a comment before the start.
    pub fn keep_alive(&mut self, out: &mut Vec<u8>) {
        if self.failed || self.is_finished() {
            return;
        }
        if self.middle.is_started() {
            self.writer.keep_alive(&self.middle.cx, out);
        } else {
            out.extend_from_slice(b": keepalive\n\n");
        }
    }

    /// Whether the first event was written. Until then no head needs to be sent.
    pub fn started(&self) -> bool {
        self.middle.is_started()
    }

    /// Whether the answer is complete: the upstream's body may be dropped.
    pub fn is_finished(&self) -> bool {
        self.middle.is_finished()
    }

    /// The last totals the upstream reported.
    pub fn usage(&self) -> Option<&Usage> {
        self.middle.usage.as_ref()
    }

    /// For a Responses client, once the answer is complete: its id and output items, joined by commas. A store keeps them
    /// (see [`super::responses::state`]).
    pub fn kept(&self) -> Option<(&str, &[u8])> {
        self.writer.kept()
    }

    /// What was found to be lost while answering.
    pub fn warnings(&self) -> &Warnings {
        &self.middle.warnings
    }
}

/// Makes one whole answer of a stream, for a client that did not ask for one.
pub struct Collector {
    parser: sse::Parser,
    reader: Reader,
    middle: Middle,
    gather: Gather,
    client: Protocol,
}

impl Collector {
    /// For an answer of that upstream to that client.
    pub fn new(upstream: Protocol, client: Protocol, cx: Context, made: Made) -> Collector {
        Collector {
            parser: sse::Parser::new(),
            reader: Reader::new(upstream, &cx),
            middle: Middle::new(cx, made),
            gather: Gather::default(),
            client,
        }
    }

    /// Takes the upstream's next bytes.
    ///
    /// # Errors
    /// The upstream reported an error or sent nonsense, or the answer is larger than [`super::gather::GATHERED_BYTES_MAX`].
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if self.middle.is_finished() {
            return Ok(());
        }
        let Collector {
            parser,
            reader,
            middle,
            gather,
            ..
        } = self;
        parser
            .push(bytes)
            .map_err(|fault| fault.blame(Blame::Upstream))?;
        while let Some(event) = parser.next() {
            let read = reader.read(event, &mut |keyed| {
                middle.push(keyed, &mut |event, _| gather.take(event))
            });
            if middle.is_finished() {
                return Ok(());
            }
            read?;
        }
        Ok(())
    }

    /// Whether the answer is complete: the upstream's body may be dropped.
    pub fn is_finished(&self) -> bool {
        self.middle.is_finished()
    }

    /// Bytes kept now.
    pub fn held_bytes(&self) -> usize {
        let waiting = self.middle.sequencer.held_bytes();
        self.parser.held_bytes() + waiting + self.gather.bytes()
    }

    /// The last totals the upstream reported.
    pub fn usage(&self) -> Option<&Usage> {
        self.middle.usage.as_ref()
    }

    /// The upstream's body has ended: the client's answer.
    ///
    /// # Errors
    /// It ended before its answer was complete.
    pub fn finish(mut self, warnings: &mut Warnings) -> Result<Vec<u8>, Error> {
        if !self.middle.is_finished() {
            let Collector {
                parser,
                reader,
                middle,
                gather,
                ..
            } = &mut self;
            let mut sink =
                |keyed: Keyed<'_>| middle.push(keyed, &mut |event, _| gather.take(event));
            let read = match parser.finish() {
                Some(event) => reader.read(event, &mut sink),
                None => Ok(()),
            };
            let read = read.and_then(|()| reader.end(&mut sink));
            if !middle.is_finished() {
                read?;
            }
        }
        let reply = self.gather.reply().ok_or_else(truncated)?;
        warnings.merge(std::mem::take(&mut self.middle.warnings));
        let mut out = Vec::new();
        twins::write_reply(
            self.client,
            &reply,
            &self.middle.cx,
            &self.middle.made,
            warnings,
            &mut out,
        )?;
        Ok(out)
    }
}

/// Converts a whole answer.
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
) -> Result<Vec<u8>, Error> {
    let mut gather = Gather::default();
    each_event(upstream, cx, made, body, warnings, &mut |event, _| {
        gather.take(event)
    })?;
    let reply = gather.reply().ok_or_else(truncated)?;
    let mut out = Vec::with_capacity(body.len() + 512);
    twins::write_reply(client, &reply, cx, made, warnings, &mut out)?;
    Ok(out)
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
    let mut writer = Writer::new(client, cx, made);
    let mut out = Vec::with_capacity(body.len() * 2 + 1024);
    each_event(upstream, cx, made, body, warnings, &mut |event, cx| {
        writer.write(event, cx, &mut out)
    })?;
    Ok(out)
}

/// The events of a whole answer, in the client's words.
fn each_event(
    upstream: Protocol,
    cx: &Context,
    made: &Made,
    body: &[u8],
    warnings: &mut Warnings,
    write: &mut dyn FnMut(&Event<'_>, &Context) -> Result<(), Error>,
) -> Result<(), Error> {
    let object = Object::parse(body).map_err(|fault| fault.blame(Blame::Upstream))?;
    let reply: Reply<'_> = twins::read_reply(upstream, object, cx, warnings)?;
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
    stream: &[u8],
    see: &mut dyn FnMut(&Event<'_>),
) -> Result<(), Error> {
    let mut reader = Reader::new(upstream, &cx);
    let mut middle = Middle::new(cx, made);
    let mut parser = sse::Parser::new();
    parser
        .push(stream)
        .map_err(|fault| fault.blame(Blame::Upstream))?;
    while let Some(event) = parser.next() {
        let mut sink = |keyed: Keyed<'_>| {
            middle.push(keyed, &mut |event, _| {
                see(event);
                Ok(())
            })
        };
        reader.read(event, &mut sink)?;
        if middle.is_finished() {
            return Ok(());
        }
    }
    reader.end(&mut |keyed| {
        middle.push(keyed, &mut |event, _| {
            see(event);
            Ok(())
        })
    })
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
