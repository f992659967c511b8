//! Black-box tests: the real binary between raw sockets. Tests that prove a numbered rule of HTTP handling are called `rule_NN_…`.

mod accounts;
mod admin;
mod client;
mod config;
mod debug;
mod docs;
mod forward;
mod http;
mod json;
mod layers;
mod life;
mod log;
mod meta;
mod metrics;
mod models;
mod owner;
mod pairs;
mod pauses;
mod sidecar;
mod stream;
mod support;
mod tls;
mod users;
mod web;
