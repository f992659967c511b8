//! The one place that knows there are three protocols: every `match` over them for reading and writing.

use super::chat;
use super::context::Context;
use super::messages;
use super::neutral::{Event, Reply, Request, Sink};
use super::pattern::Told;
use super::pipe::Written;
use super::responses;
use super::text::Text;
use super::warnings::Warnings;
use super::{Made, Outgoing, Protocol, Target};
use crate::error::Error;
use crate::wire::json::Object;
use crate::wire::sse;

/// What a client asks.
pub fn read_request<'a>(
    from: Protocol,
    body: Object<'a>,
    warnings: &mut Warnings,
) -> Result<Request<'a>, Error> {
    match from {
        Protocol::Chat => chat::request::read(body, warnings),
        Protocol::Messages => messages::request::read(body, warnings),
        Protocol::Responses => responses::request::read(body, warnings),
    }
}

/// What an upstream is asked.
pub fn write_request(
    to: Protocol,
    request: &Request<'_>,
    target: &Target<'_>,
    warnings: &mut Warnings,
    spare: Vec<u8>,
) -> Result<Outgoing, Error> {
    match to {
        Protocol::Chat => chat::request::write(request, target, warnings, spare),
        Protocol::Messages => messages::request::write(request, target, warnings, spare),
        Protocol::Responses => responses::request::write(request, target, warnings, spare),
    }
}

/// What an upstream answers.
pub fn read_reply<'a>(
    upstream: Protocol,
    body: Object<'a>,
    cx: &Context,
    warnings: &mut Warnings,
) -> Result<Reply<'a>, Error> {
    match upstream {
        Protocol::Chat => chat::response::read(body, cx, warnings),
        Protocol::Messages => messages::response::read(body, cx, warnings),
        Protocol::Responses => responses::response::read(body, cx, warnings),
    }
}

/// What a client is answered.
pub fn write_reply(
    client: Protocol,
    reply: &Reply<'_>,
    cx: &Context,
    made: &Made,
    warnings: &mut Warnings,
    out: &mut Written,
) -> Result<(), Error> {
    match client {
        Protocol::Chat => chat::response::write(reply, cx, made, warnings, &mut out.body),
        Protocol::Messages => messages::response::write(reply, cx, made, warnings, &mut out.body),
        Protocol::Responses => responses::response::write(reply, cx, made, warnings, out),
    }
}

/// The stream reader of one protocol.
pub enum Reader {
    /// Chat Completions.
    Chat(Box<chat::stream::Reader>),
    /// Messages.
    Messages(Box<messages::stream::Reader>),
    /// Responses.
    Responses(Box<responses::stream::Reader>),
}

impl Reader {
    /// A reader at the start of an answer.
    pub fn new(upstream: Protocol, cx: &Context) -> Reader {
        match upstream {
            Protocol::Chat => Reader::Chat(Box::new(chat::stream::Reader::new(cx))),
            Protocol::Messages => Reader::Messages(Box::new(messages::stream::Reader::new(cx))),
            Protocol::Responses => Reader::Responses(Box::new(responses::stream::Reader::new(cx))),
        }
    }

    /// Reads one event of the stream. Answers the piece of text that was passed on, if that is all the event said.
    pub fn read<'e>(
        &mut self,
        event: sse::Event<'e>,
        out: &mut Sink<'_>,
    ) -> Result<Option<Told<'e>>, Error> {
        match self {
            Reader::Chat(reader) => reader.read(event, out),
            Reader::Messages(reader) => reader.read(event, out),
            Reader::Responses(reader) => reader.read(event, out),
        }
    }

    /// Notes that the next event said this, not empty, and else the same as the one before.
    pub fn more(&mut self, text: &Text<'_>) {
        match self {
            Reader::Chat(_) => {} // it keeps nothing of a text
            Reader::Messages(reader) => reader.more(text),
            Reader::Responses(reader) => reader.more(text),
        }
    }

    /// The stream has ended: emits what was held, or says that it was cut.
    pub fn end(&mut self, out: &mut Sink<'_>) -> Result<(), Error> {
        match self {
            Reader::Chat(reader) => reader.end(out),
            Reader::Messages(reader) => reader.end(out),
            Reader::Responses(reader) => reader.end(out),
        }
    }
}

/// The stream writer of one protocol.
pub enum Writer {
    /// Chat Completions.
    Chat(Box<chat::stream::Writer>),
    /// Messages.
    Messages(Box<messages::stream::Writer>),
    /// Responses.
    Responses(Box<responses::stream::Writer>),
}

impl Writer {
    /// A writer at the start of an answer.
    pub fn new(client: Protocol, cx: &Context, made: &Made) -> Writer {
        match client {
            Protocol::Chat => Writer::Chat(Box::new(chat::stream::Writer::new(cx, made))),
            Protocol::Messages => {
                Writer::Messages(Box::new(messages::stream::Writer::new(cx, made)))
            }
            Protocol::Responses => {
                Writer::Responses(Box::new(responses::stream::Writer::new(cx, made)))
            }
        }
    }

    /// Writes one event.
    pub fn write(
        &mut self,
        event: &Event<'_>,
        cx: &Context,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        match self {
            Writer::Chat(writer) => writer.write(event, cx, out),
            Writer::Messages(writer) => writer.write(event, cx, out),
            Writer::Responses(writer) => writer.write(event, cx, out),
        }
    }

    /// Writes the protocol's error event.
    pub fn fail(&mut self, error: &Error, cx: &Context, out: &mut Vec<u8>) {
        match self {
            Writer::Chat(writer) => writer.fail(error, cx, out),
            Writer::Messages(writer) => writer.fail(error, cx, out),
            Writer::Responses(writer) => writer.fail(error, cx, out),
        }
    }

    /// The id and the items, joined by commas, of an answer that has finished, where the protocol has such: what a store keeps.
    pub fn kept(&self) -> Option<(&str, &[u8])> {
        match self {
            Writer::Responses(writer) => writer.kept(),
            _ => None,
        }
    }

    /// Bytes of the answer that it keeps, to tell them once more or to check them when they are whole.
    pub fn held_bytes(&self) -> usize {
        match self {
            Writer::Chat(writer) => writer.held_bytes(),
            Writer::Messages(writer) => writer.held_bytes(),
            Writer::Responses(writer) => writer.held_bytes(),
        }
    }

    /// Writes the protocol's sign of life.
    pub fn keep_alive(&mut self, cx: &Context, out: &mut Vec<u8>) {
        match self {
            Writer::Chat(writer) => writer.keep_alive(cx, out),
            Writer::Messages(writer) => writer.keep_alive(cx, out),
            Writer::Responses(writer) => writer.keep_alive(cx, out),
        }
    }
}
