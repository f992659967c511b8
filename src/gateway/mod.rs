//! THE PRODUCT. Knows everyone below; parses no raw bytes and names no provider's fields. Two files do, each for its reason:
//! `demo` plays an upstream, and `usage` looks into answers that nobody converts.

pub mod access;
pub mod config;
pub mod demo;
pub mod models;
pub mod params;
pub mod route;
pub mod snapshot;
pub mod upstream;
pub mod usage;
pub mod watch;
