//! What becomes known of one request on its way, for the log line at its end.

use super::access::{self, Access};
use super::route::Route;
use super::snapshot::Upstream;
use super::usage::UsageFinder;
use crate::net::exchange::Exchange;
use crate::protocol::{Protocol, Warnings};
use crate::wire::head::{Headers, RequestHead, write_field};
use std::sync::Arc;

/// Filled in hop by hop.
#[derive(Default)]
pub struct Trace {
    route: Option<Arc<Route>>,
    /// The client's and the upstream's.
    protocols: Option<(Protocol, Protocol)>,
    upstream_id: Option<Box<[u8]>>,
    /// What was weakened or left out of the request and its answer.
    pub warnings: Warnings,
    /// Looks for token counts in what passes.
    pub usage: UsageFinder,
}

impl Trace {
    /// The request has a route.
    pub fn routed(&mut self, route: &Arc<Route>, protocol: Protocol) {
        self.route = Some(route.clone());
        self.protocols = Some((protocol, protocol));
    }

    /// The upstream is asked in another protocol.
    pub fn converts(&mut self, to: Protocol) {
        self.protocols = self.protocols.map(|(client, _)| (client, to));
    }

    /// The upstream's own id of a converted answer, under whichever name it sent it.
    pub fn upstream_id(&mut self, headers: &Headers) {
        let id = headers
            .get("x-request-id")
            .or_else(|| headers.get("request-id"));
        self.upstream_id = id.map(Box::from);
    }

    /// Appends the header with the upstream's own id.
    pub fn write_upstream_id(&self, out: &mut Vec<u8>) {
        if let Some(id) = &self.upstream_id {
            write_field(out, "x-upstream-request-id", id);
        }
    }

    /// Appends the header that names what was weakened or left out, if anything was.
    pub fn write_warnings(&self, out: &mut Vec<u8>) {
        if let Some(warnings) = self.warnings.header() {
            write_field(out, "x-llm-wrapper-warnings", warnings.as_bytes());
        }
    }

    /// The upstream, once it is known.
    pub fn upstream(&self) -> Option<&Arc<Upstream>> {
        self.route.as_ref().map(|route| &route.upstream)
    }

    /// Writes the request's line.
    pub fn log(&self, head: &RequestHead, exchange: &Exchange, request_id: &str) {
        let route = self.route.as_deref();
        access::log(&Access {
            peer: exchange.peer().ip(),
            method: head.method_name(),
            path: head.path(),
            alias: route.map(|route| route.name.as_str()),
            upstream: route.map(|route| route.upstream.name.as_str()),
            protocols: self.protocols,
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
