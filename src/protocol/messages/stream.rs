//! A stream, read from an upstream and written for a client (protocols.md 3.6, 8).

mod reader;
mod writer;

pub use reader::Reader;
pub use writer::Writer;

#[cfg(test)]
mod tests;
