//! OpenAI Chat Completions, and what the many servers that speak its dialects make of it (protocols.md 1, 10.1).

mod details;
pub mod request;
pub mod response;
pub mod stream;
mod usage;
