//! llm-wrapper.
pub mod cli;
pub mod clock;
pub mod error;
pub mod gateway;
pub mod log;
pub mod protocol;
pub mod sys;
pub mod wire;
