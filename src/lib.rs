//! # llm-wrapper: the map
//!
//! An LLM gateway in one static binary. Any client of OpenAI Chat Completions, OpenAI Responses or Anthropic Messages
//! reaches an upstream under the names, defaults and keys of its owner. HTTP/1.1, server-sent events, routing and
//! supervision are written here; nine packages do the rest (Cargo.toml says what each is for).
//!
//! ## Five floors
//!
//! A room is defined by what it may touch; a test reads the imports and fails with the sentence of this table.
//!
//! | floor | what it is | may import | never |
//! |---|---|---|---|
//! | [`wire`] | bytes | error | tokio, async, sockets, clocks, the log |
//! | [`protocol`] | what the three protocols mean | wire, error | tokio, async, net, the configuration |
//! | [`net`] | sockets | wire, error, log, clock, sys | protocol, gateway, serde_json |
//! | [`sidecar`] | a child process that holds accounts | net, wire, error, log, clock, sys | protocol, gateway |
//! | [`gateway`] | the product | everything | parsing raw bytes, naming a provider's fields |
//!
//! Beside them: [`error`] (for all), [`log`], [`clock`] and [`sys`] (for net and above), [`cli`] (for main).
//!
//! ## Invariants
//!
//! - *Verbatim is not a conversion.* Where client and upstream speak one protocol, `protocol` is not entered: the request
//!   is the client's bytes with a few members spliced, the answer the upstream's bytes.
//! - *Truncation never looks like completion.* An answer that was begun and not finished is broken off.
//! - *One request, one truth.* A request clones the snapshot's `Arc` once and never looks again.
//! - *Memory is held only for bytes that wait.* A connection owns a buffer while it holds unread or unwritten bytes; reads
//!   go through one scratch per thread; bodies share one budget.
//! - *Nothing grows without a name for its bound.*
//! - *Only `sys` is unsafe; only `gateway::config` knows YAML; only `clock` asks for the time of day.*
//!
//! ## Threads
//!
//! Each worker thread is a share-nothing gateway: a current-thread runtime that accepts from the one listening socket,
//! with its own pool of upstream connections and free buffers, so that nothing on a request's way needs a lock that another
//! thread holds. What threads share: the snapshot channel, the budget, the log's queue, counters, the debug ring.
//!
//! ## The life of a request
//!
//! 1. [`net::server`] accepts, waits for bytes, parses the head ([`wire::head`]), settles the body's framing
//!    ([`wire::body`]) and hands both to its handler.
//! 2. [`gateway`] gives it an id, finds its endpoint ([`gateway::paths`]), checks the page it comes from
//!    ([`gateway::cors`]) and the client's key.
//! 3. `gateway::forward` reads the body within its limit and the budget ([`net::exchange`]).
//! 4. [`wire::json`] finds the top-level members; [`gateway::route`] finds the alias, its upstream and the way there.
//! 5. [`gateway::params`] chooses the edits; [`wire::json::splice`] makes parts of body and edits, nothing is copied.
//!    For an account's upstream the place to go and the key are the sidecar's, once it is ready ([`sidecar::Sidecar::ready`],
//!    [`gateway::neighbour`]); everything else is the same.
//! 6. [`net::client`] takes a silent connection from [`net::pool`] or dials ([`net::dial`]), writes head and parts in one
//!    vectored write, reads the answer's head; one retry if a reused connection was closed under it.
//! 7. [`net::exchange`] relays: each read is decoded, framed for the client and written in place, within one call; the
//!    leaving client, the silent upstream and the slow client each end the wait.
//! 8. The connection to the upstream goes back to the pool if its answer ended exactly; [`gateway::trace`] writes the
//!    line of the request, `gateway::trouble` says what is new about the upstream; the client's connection waits for the next one.
//!
//! ## The life of a converted request
//!
//! Where the upstream lacks the client's protocol, hop 5 becomes a conversion and hop 7 another way back.
//!
//! 1. `gateway::recall` puts back what a Responses client refers to (`previous_response_id`, `item_reference`) from
//!    [`gateway::memory`]; every other conversion keeps no state.
//! 2. [`protocol::convert_request`] is a pure function: the client's twin reads the body into [`protocol::neutral`], taking
//!    what it understands, so that leftovers are visible; [`protocol::adapt`] bends it to what the upstream can hold
//!    ([`protocol::caps`]); the upstream's twin writes it. What was weakened is in [`protocol::Warnings`], what would change
//!    the meaning is an error before anything is sent, and what the answer needs to know is the [`protocol::Context`].
//! 3. `gateway::convert` adds the parameter edits, in the upstream's terms, and sends it under the gateway's own name.
//! 4. `gateway::answering` drives the way back: reader → [`protocol::sequence`] (one open block at a time) → resolver (the
//!    client's names and ids) → stops → grammar → writer, one function from bytes to bytes. An event like the one before but
//!    for its text goes from the bytes to the writer at once (`protocol::pattern`). The head leaves with the first event;
//!    until then a failure is an HTTP error, afterwards an error event; silence is filled every 15 s.
//! 5. A stream becomes a whole answer, or a whole answer a stream, where the two sides disagree about streaming.
//! 6. An upstream that pauses while a tool of its own is at work is asked again (`gateway::pause`), and all it says is one answer.
//!
//! A fourth protocol is a fourth folder beside [`protocol::responses`] and an arm in each `match` of `protocol::twins`.

pub mod cli;
pub mod clock;
pub mod error;
pub mod gateway;
pub mod log;
pub mod net;
pub mod protocol;
pub mod sidecar;
pub mod sys;
pub mod wire;
