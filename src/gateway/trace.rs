//! What becomes known of one request on its way, for the log line at its end.

use super::access::{self, Access};
use super::route::Route;
use super::snapshot::Upstream;
use super::usage::UsageFinder;
use crate::net::exchange::Exchange;
use crate::protocol::Protocol;
use crate::wire::head::{RequestHead, write_field};
use std::sync::Arc;

/// Filled in hop by hop.
#[derive(Default)]
pub struct Trace {
    route: Option<(Arc<Route>, Protocol)>,
    warnings: Vec<String>,
    /// Looks for token counts in what passes.
    pub usage: UsageFinder,
}

impl Trace {
    /// The request has a route.
    pub fn routed(&mut self, route: &Arc<Route>, protocol: Protocol) {
        self.route = Some((route.clone(), protocol));
    }

    /// Something of the request was weakened or left out.
    pub fn warn(&mut self, warnings: impl Iterator<Item = String>) {
        self.warnings.extend(warnings);
    }

    /// Appends the header that names what was weakened or left out, if anything was.
    pub fn write_warnings(&self, out: &mut Vec<u8>) {
        if !self.warnings.is_empty() {
            write_field(
                out,
                "x-llm-wrapper-warnings",
                self.warnings.join(", ").as_bytes(),
            );
        }
    }

    /// The upstream, once it is known.
    pub fn upstream(&self) -> Option<&Arc<Upstream>> {
        self.route.as_ref().map(|(route, _)| &route.upstream)
    }

    /// Writes the request's line.
    pub fn log(&self, head: &RequestHead, exchange: &Exchange, request_id: &str) {
        let (route, protocol) = self
            .route
            .as_ref()
            .map(|(route, protocol)| (&**route, *protocol))
            .unzip();
        access::log(&Access {
            peer: exchange.peer().ip(),
            method: head.method_name(),
            path: head.path(),
            alias: route.map(|route| route.name.as_str()),
            upstream: route.map(|route| route.upstream.name.as_str()),
            protocols: protocol.map(|protocol| (protocol, protocol)),
            status: exchange.status(),
            bytes_in: exchange.body_bytes_in(),
            bytes_out: exchange.body_bytes_out(),
            first_byte_ms: exchange
                .first_byte_after()
                .map(|after| after.as_millis() as u64),
            total_ms: exchange.received_at().elapsed().as_millis() as u64,
            usage: self.usage.usage(),
            request_id: Some(request_id),
        });
    }
}
