//! BYTES. No tokio, no async, no clock, no config, no log; no allocation per header field or per stream event on the fast path.
//! Everything here is a pure function or a small machine that is fed bytes, tested whole, at every split, and byte by byte.

pub mod body;
pub mod find;
pub mod head;
pub mod json;
pub mod multipart;
pub mod sse;
pub mod text;
pub mod url;

#[cfg(test)]
pub(crate) mod dice;
#[cfg(test)]
pub(crate) use dice::Dice;
