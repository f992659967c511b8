//! Requests: read from Responses clients, written for Responses upstreams (protocols.md 2.1 to 2.4, 5, 6).

mod fields;
mod items;
mod read;
mod settings;
mod tools;
mod write;

pub use read::read;
pub use write::write;
