//! The event life cycle of a Responses stream, both ways (protocols.md 2.5, 8.3, 8.6).

mod reader;
mod writer;

pub use reader::Reader;
pub(super) use reader::usage;
pub use writer::Writer;
pub(super) use writer::frame::frame;
