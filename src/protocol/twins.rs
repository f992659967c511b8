//! The one place that knows there are three protocols: every `match` over them for reading and writing. A twin that is not
//! there yet is an `Unsupported` error, not a gap.

use super::chat;
use super::context::Context;
use super::neutral::{Event, Reply, Request, Sink};
use super::responses;
use super::warnings::Warnings;
use super::{Made, Outgoing, Protocol, Target};
use crate::error::{Error, Kind};
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
        Protocol::Responses => responses::request::read(body, warnings),
        Protocol::Messages => Err(absent(from)),
    }
}

/// What an upstream is asked.
pub fn write_request(
    to: Protocol,
    request: &Request<'_>,
    target: &Target<'_>,
    warnings: &mut Warnings,
) -> Result<Outgoing, Error> {
    match to {
        Protocol::Chat => chat::request::write(request, target, warnings),
        Protocol::Responses => responses::request::write(request, target, warnings),
        Protocol::Messages => Err(absent(to)),
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
        Protocol::Responses => responses::response::read(body, cx, warnings),
        Protocol::Messages => Err(absent(upstream)),
    }
}

/// What a client is answered.
pub fn write_reply(
    client: Protocol,
    reply: &Reply<'_>,
    cx: &Context,
    made: &Made,
    warnings: &mut Warnings,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    match client {
        Protocol::Chat => chat::response::write(reply, cx, made, warnings, out),
        Protocol::Responses => responses::response::write(reply, cx, made, warnings, out),
        Protocol::Messages => Err(absent(client)),
    }
}

/// The stream reader of one protocol.
pub enum Reader {
    /// Chat Completions.
    Chat(Box<chat::stream::Reader>),
    /// Responses.
    Responses(Box<responses::stream::Reader>),
    /// Not there yet.
    Absent(Protocol),
}

impl Reader {
    /// A reader at the start of an answer.
    pub fn new(upstream: Protocol, cx: &Context) -> Reader {
        match upstream {
            Protocol::Chat => Reader::Chat(Box::new(chat::stream::Reader::new(cx))),
            Protocol::Responses => Reader::Responses(Box::new(responses::stream::Reader::new(cx))),
            Protocol::Messages => Reader::Absent(upstream),
        }
    }

    /// Reads one event of the stream.
    pub fn read(&mut self, event: sse::Event<'_>, out: &mut Sink<'_>) -> Result<(), Error> {
        match self {
            Reader::Chat(reader) => reader.read(event, out),
            Reader::Responses(reader) => reader.read(event, out),
            Reader::Absent(protocol) => Err(absent(*protocol)),
        }
    }

    /// The stream has ended: emits what was held, or says that it was cut.
    pub fn end(&mut self, out: &mut Sink<'_>) -> Result<(), Error> {
        match self {
            Reader::Chat(reader) => reader.end(out),
            Reader::Responses(reader) => reader.end(out),
            Reader::Absent(protocol) => Err(absent(*protocol)),
        }
    }
}

/// The stream writer of one protocol.
pub enum Writer {
    /// Chat Completions.
    Chat(Box<chat::stream::Writer>),
    /// Responses.
    Responses(Box<responses::stream::Writer>),
    /// Not there yet.
    Absent(Protocol),
}

impl Writer {
    /// A writer at the start of an answer.
    pub fn new(client: Protocol, cx: &Context, made: &Made) -> Writer {
        match client {
            Protocol::Chat => Writer::Chat(Box::new(chat::stream::Writer::new(cx, made))),
            Protocol::Responses => {
                Writer::Responses(Box::new(responses::stream::Writer::new(cx, made)))
            }
            Protocol::Messages => Writer::Absent(client),
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
            Writer::Responses(writer) => writer.write(event, cx, out),
            Writer::Absent(protocol) => Err(absent(*protocol)),
        }
    }

    /// Writes the protocol's error event.
    pub fn fail(&mut self, error: &Error, cx: &Context, out: &mut Vec<u8>) {
        match self {
            Writer::Chat(writer) => writer.fail(error, cx, out),
            Writer::Responses(writer) => writer.fail(error, cx, out),
            Writer::Absent(_) => {}
        }
    }

    /// The id and the items, joined by commas, of an answer that has finished, where the protocol has such: what a store keeps.
    pub fn kept(&self) -> Option<(&str, &[u8])> {
        match self {
            Writer::Responses(writer) => writer.kept(),
            _ => None,
        }
    }

    /// Writes the protocol's sign of life.
    pub fn keep_alive(&mut self, cx: &Context, out: &mut Vec<u8>) {
        match self {
            Writer::Chat(writer) => writer.keep_alive(cx, out),
            Writer::Responses(writer) => writer.keep_alive(cx, out),
            Writer::Absent(_) => {}
        }
    }
}

#[cold]
fn absent(protocol: Protocol) -> Error {
    Error::gateway(
        Kind::Unsupported,
        format!(
            "conversion to or from the {} protocol is not supported",
            protocol.name()
        ),
    )
}
