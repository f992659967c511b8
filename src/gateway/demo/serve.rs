//! The demo upstream on a socket: the same server as the gateway's own, with [`super::answer`] behind it.

use super::answer;
use crate::clock;
use crate::error::Error;
use crate::net::Running;
use crate::net::buffer::Budget;
use crate::net::exchange::Exchange;
use crate::net::server::{self, Handler, Patience, Shared};
use crate::protocol::{Protocol, error_body};
use crate::wire::head::{RequestHead, write_field};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;

const BODY_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Serves [`answer`].
pub struct DemoUpstream {
    budget: Arc<Budget>,
    count: AtomicU64,
}

impl DemoUpstream {
    /// An upstream that has answered nothing yet.
    pub fn new() -> DemoUpstream {
        DemoUpstream {
            budget: Arc::new(Budget::new(BODY_BYTES_MAX)),
            count: AtomicU64::new(1),
        }
    }

    /// Serves on that socket until told to stop.
    pub fn serve(self, listener: TcpListener, shared: Shared) -> Running<'static, ()> {
        server::serve(listener, Arc::new(self), Arc::new(shared))
    }
}

impl Default for DemoUpstream {
    fn default() -> DemoUpstream {
        DemoUpstream::new()
    }
}

impl Handler for DemoUpstream {
    fn patience(&self) -> Patience {
        Patience {
            head: Duration::from_secs(15),
            stall: Duration::from_secs(30),
            keep_alive: Duration::from_secs(75),
        }
    }

    fn refusal(&self, error: &Error, _: Option<&RequestHead>) -> Vec<u8> {
        error_body(Protocol::Chat, error, "")
    }

    async fn handle(&self, head: &RequestHead, exchange: &mut Exchange) {
        let Ok(body) = exchange.read_body(BODY_BYTES_MAX, &self.budget).await else {
            return exchange.abort();
        };
        let id = self.count.fetch_add(1, Ordering::Relaxed);
        let answer = answer(
            head.method_name(),
            head.path(),
            body.data(),
            id,
            clock::unix_s(),
        );
        drop(body);
        let length = match answer.chunks.as_slice() {
            [whole] => Some(whole.len() as u64),
            _ => None,
        };
        exchange.begin(answer.status, length, |out| {
            write_field(out, "content-type", answer.content_type.as_bytes());
            write_field(out, "x-request-id", format!("req_demo{id}").as_bytes());
        });
        for (at, chunk) in answer.chunks.iter().enumerate() {
            if at > 0 {
                tokio::time::sleep(Duration::from_millis(answer.pause_ms)).await;
            }
            if exchange.write(chunk).await.is_err() {
                return;
            }
        }
        let _ = exchange.finish().await; // a client that left is no concern of the demo's
    }
}

/// The gateway's configuration for `--demo`, with this upstream on that port: three names for it, each in one protocol
/// only, so that every alias answers clients of all three.
pub fn config(port: u16) -> String {
    let mut text = String::from("upstreams:\n");
    for protocol in Protocol::ALL {
        let name = protocol.name();
        let speaks = |one| protocol == one;
        text.push_str(&format!(
            "  - name: {name}-only\n    base_url: http://127.0.0.1:{port}\n    support_chat_completions: {}\n    support_responses: {}\n    support_anthropic_messages: {}\n",
            speaks(Protocol::Chat),
            speaks(Protocol::Responses),
            speaks(Protocol::Messages),
        ));
    }
    text.push_str("aliases:\n");
    for protocol in Protocol::ALL {
        let name = protocol.name();
        let model = super::MODEL;
        text.push_str(&format!(
            "  - {{alias: demo-{name}, target_model: {model}, upstream: {name}-only}}\n"
        ));
    }
    text
}
