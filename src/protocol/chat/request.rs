//! Requests in Chat Completions: read from clients, written for upstreams.

mod messages;
mod read;
mod reasoning;
mod tools;
mod turns;
mod write;

pub use read::read;
pub use write::write;

#[cfg(test)]
mod tests;
