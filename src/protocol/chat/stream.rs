//! Streams of Chat Completions: read as real servers send them, written as strict clients want them (protocols.md 1.4, 8.3, 8.5).

mod calls;
pub(super) mod finish;
mod reader;
mod think;
mod writer;

pub use reader::Reader;
pub use writer::Writer;

#[cfg(test)]
mod tests;
