//! llm-wrapper.
pub mod cli;
pub mod error;
pub mod gateway;
pub mod protocol;
pub mod sys;
pub mod wire;
