//! The Responses twin: what OpenAI's Responses protocol says, to and from the neutral form (protocols.md 2).
//! `request` and `response` are whole bodies, `stream` is the event life cycle, `output` renders output items for both,
//! `state` and `compact` are what a gateway needs to serve clients that lean on a server's memory.

pub mod compact;
mod output;
pub mod request;
pub mod response;
pub mod state;
pub mod stream;

#[cfg(test)]
mod laws;
#[cfg(test)]
pub(in crate::protocol) mod testing;
