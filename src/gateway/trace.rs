//! What becomes known of one request on its way, for the log line at its end, its record and the metrics.

use super::access::{self, Access};
use super::debug::{End, Record, Side, mode};
use super::route::Route;
use super::snapshot::Upstream;
use super::usage::UsageFinder;
use crate::error::Error;
use crate::net::exchange::Exchange;
use crate::protocol::{Protocol, Warnings};
use crate::wire::head::{Headers, RequestHead, write_field};
use crate::{clock, log};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

/// Filled in hop by hop.
#[derive(Default)]
pub struct Trace {
    route: Option<Arc<Route>>,
    /// The client's and the upstream's.
    protocols: Option<(Protocol, Protocol)>,
    upstream_id: Option<Box<[u8]>>,
    /// Of a request that goes to an upstream.
    record: Option<Arc<Record>>,
    /// What the client was already told instead of its answer: in the error event of a stream that had begun, or by the
    /// management API.
    pub failure: Option<Box<Error>>,
    /// The client was gone before its answer ended.
    pub left: bool,
    /// The client asked for its record in the answer.
    pub debugs: bool,
    /// What was weakened or left out of the request and its answer.
    pub warnings: Warnings,
    /// Looks for token counts in what passes.
    pub usage: UsageFinder,
}

impl Trace {
    /// The request goes to an upstream and is recorded from here on.
    pub fn begins(&mut self, record: Arc<Record>, debugs: bool) {
        self.record = Some(record);
        self.debugs = debugs;
    }

    fn record(&mut self) -> Option<&mut Record> {
        Arc::get_mut(self.record.as_mut()?)
    }

    /// The client's body.
    pub fn was_asked(&mut self, body: &[u8]) {
        if let Some(record) = self.record() {
            record.push(Side::ClientRequest, body);
        }
    }

    /// The request has a route.
    pub fn routed(&mut self, route: &Arc<Route>, protocol: Protocol) {
        self.route = Some(route.clone());
        self.protocols = Some((protocol, protocol));
        if let Some(record) = self.record() {
            record.routed(route, protocol);
        }
    }

    /// The upstream is asked in another protocol.
    pub fn converts(&mut self, to: Protocol) {
        self.protocols = self.protocols.map(|(client, _)| (client, to));
        if let Some(route) = self.route.clone()
            && let Some(record) = self.record()
        {
            record.routed(&route, to);
        }
    }

    /// The upstream is sent this, on that path and query; `fields` are the client's field lines, those that travel.
    pub fn asks(&mut self, target: &str, fields: &[u8], parts: &[&[u8]]) {
        if let Some(record) = self.record() {
            record.asks(target, fields, parts);
        }
        if let (true, Some(record)) = (log::enabled(log::Level::Debug), &self.record) {
            log::debug!(
                "asks the upstream",
                upstream = self.upstream().map_or("", |upstream| &upstream.name),
                url = self.upstream_url().unwrap_or_default(),
                bytes = parts.iter().map(|part| part.len()).sum::<usize>(),
                id = record.id()
            );
        }
    }

    /// The head of the upstream's answer came; `fields` are its field lines that come back.
    pub fn answered(&mut self, status: u16, fields: &[u8]) {
        if let Some(record) = self.record() {
            record.answered(status, fields);
        }
        if let (true, Some(record)) = (log::enabled(log::Level::Debug), &self.record) {
            log::debug!(
                "the upstream answers",
                status = status,
                after_ms = record.age().as_millis(),
                id = record.id()
            );
        }
    }

    /// The status of the upstream's answer, once it came.
    pub fn upstream_status(&self) -> Option<u16> {
        self.record.as_ref()?.upstream_status()
    }

    /// The URL that the upstream was asked, without its query, in which some clients put their key.
    fn upstream_url(&self) -> Option<String> {
        let path = self.record.as_ref()?.upstream_path();
        let (_, protocol) = self.protocols?;
        Some(self.upstream()?.url(protocol, &path))
    }

    /// Why the client did not get the answer it asked for.
    pub fn reason<'e>(&self, failure: Option<&'e Error>) -> Option<Cow<'e, str>> {
        if let Some(error) = failure {
            let text = error.message.as_bytes();
            // Some upstreams quote the key they were shown.
            return match self.upstream().map(|upstream| upstream.mask_secrets(text)) {
                Some(Cow::Owned(masked)) => {
                    Some(String::from_utf8_lossy(&masked).into_owned().into())
                }
                _ => Some(Cow::Borrowed(&error.message)),
            };
        }
        match self.upstream_status() {
            Some(status @ (404 | 405)) => {
                let url = self.upstream_url().unwrap_or_default();
                Some(Cow::Owned(format!(
                    "the upstream answered {status} to {url}"
                )))
            }
            Some(status @ 400..) => Some(Cow::Owned(format!("the upstream answered {status}"))),
            _ => self.left.then_some(Cow::Borrowed("the client left")),
        }
    }

    /// The answer is a stream of events.
    pub fn streams(&mut self) {
        if let Some(record) = self.record() {
            record.streams = true;
        }
    }

    /// More of the upstream's answer came.
    pub fn hears(&mut self, bytes: &[u8]) {
        self.usage.feed(bytes);
        if let Some(record) = self.record() {
            record.push(Side::UpstreamResponse, bytes);
        }
    }

    /// The client is sent something else than the upstream answered.
    pub fn tells(&mut self, bytes: &[u8]) {
        if let Some(record) = self.record() {
            record.push(Side::ClientResponse, bytes);
        }
    }

    /// Appends the header that names the record, if the client asked for it.
    pub fn write_debug_id(&self, out: &mut Vec<u8>) {
        if let Some(record) = self.record.as_ref().filter(|_| self.debugs) {
            write_field(out, mode::ANSWERED, record.id().as_bytes());
        }
    }

    /// The record as it stands, if the client asked for it.
    pub fn report(&self, exchange: &Exchange, status: u16) -> Option<Vec<u8>> {
        let record = self.record.as_ref().filter(|_| self.debugs)?;
        let took = exchange.received_at().elapsed();
        let mut end = self.end(exchange, status, self.warnings.clone(), None, took);
        end.complete = true; // it is the answer's last part
        Some(record.report(&end))
    }

    /// A whole answer, with its record if the client asked for it and the body can hold it.
    pub fn with_record<'b>(
        &self,
        exchange: &Exchange,
        status: u16,
        body: &'b [u8],
    ) -> Cow<'b, [u8]> {
        let report = self.report(exchange, status);
        match report.and_then(|report| mode::with_member(body, &report)) {
            Some(body) => Cow::Owned(body),
            None => Cow::Borrowed(body),
        }
    }

    fn end(
        &self,
        exchange: &Exchange,
        status: u16,
        warnings: Warnings,
        error: Option<&str>,
        duration: Duration,
    ) -> End {
        End {
            status,
            started_ms: clock::unix_ms().saturating_sub(duration.as_millis() as u64),
            duration,
            first_byte: exchange.first_byte_after(),
            usage: self.usage.usage(),
            warnings,
            bytes_in: exchange.body_bytes_in(),
            bytes_out: exchange.body_bytes_out(),
            complete: exchange.is_whole(),
            error: error.map(Box::from),
        }
    }

    /// What is kept of the request when it has ended; None: it never went to an upstream.
    pub fn take_record(
        &mut self,
        exchange: &Exchange,
        error: Option<&str>,
        took: Duration,
    ) -> Option<(Arc<Record>, End)> {
        let record = self.record.take()?;
        let warnings = std::mem::take(&mut self.warnings);
        let end = self.end(exchange, exchange.status(), warnings, error, took);
        Some((record, end))
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

    /// Appends the header that names what was weakened or left out, if anything was, and the one that names the record.
    pub fn write_warnings(&self, out: &mut Vec<u8>) {
        if let Some(warnings) = self.warnings.header() {
            write_field(out, "x-llm-wrapper-warnings", warnings.as_bytes());
        }
        self.write_debug_id(out);
    }

    /// The client's protocol and, once there is a route, the upstream's; None: the request is for no upstream.
    pub fn protocols(&self) -> Option<(Protocol, Option<Protocol>)> {
        let record = self.record.as_ref()?;
        match self.protocols {
            Some((client, to)) => Some((client, Some(to))),
            None => Some((record.client_protocol(), None)),
        }
    }

    /// The route, once it is known.
    pub fn route(&self) -> Option<&Arc<Route>> {
        self.route.as_ref()
    }

    /// The upstream, once it is known.
    pub fn upstream(&self) -> Option<&Arc<Upstream>> {
        self.route.as_ref().map(|route| &route.upstream)
    }

    /// Writes the request's line.
    pub fn log(
        &self,
        head: &RequestHead,
        exchange: &Exchange,
        request_id: &str,
        failure: Option<&Error>,
        took: Duration,
    ) {
        if !access::is_wanted() {
            return;
        }
        if log::enabled(log::Level::Debug)
            && let Some(warnings) = self.warnings.header()
        {
            log::debug!("the conversion warns", warnings = warnings, id = request_id);
        }
        let route = self.route.as_deref();
        let record = self.record.as_deref();
        let upstream_id = record.and_then(Record::upstream_id);
        access::log(&Access {
            peer: exchange.peer().ip(),
            client: record.and_then(Record::client_key),
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
            total_ms: took.as_millis() as u64,
            usage: self.usage.usage(),
            reason: self.reason(failure).as_deref(),
            upstream_id: upstream_id.filter(|id| *id != request_id),
            request_id: Some(request_id),
        });
    }
}
