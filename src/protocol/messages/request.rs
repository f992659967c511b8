//! A request, read from a client and written for an upstream (protocols.md 3.2 to 3.4, 6.3).

mod content;
mod fields;
mod read;
mod thinking;
mod tools;
mod write;

pub use read::read;
pub use write::write;

#[cfg(test)]
mod tests;
