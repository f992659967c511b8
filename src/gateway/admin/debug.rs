//! `/api/debug*` and `/metrics`: what went through, as JSON, as a live feed, and in numbers.

use super::{Answer, Request, not_found, write_common_fields};
use crate::error::Error;
use crate::gateway::Refusal;
use crate::gateway::debug::feed::Viewer;
use crate::gateway::metrics::Around;
use crate::net::exchange::Exchange;
use crate::net::{First, race};
use crate::wire::head::write_field;
use std::time::Duration;
use tokio::time::sleep;

/// A viewer hears something at least this often: proxies cut at 30 or 60 s.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// What is answered before anything went through.
const EMPTY: &str = r#"{"client_request":null,"upstream_request":null,"upstream_response":null}"#;

impl Request<'_> {
    pub(super) fn latest(&self) -> Answer {
        Answer::raw(self.app.ring.record(None).unwrap_or_else(|| EMPTY.into()))
    }

    pub(super) fn clear(&self) -> Answer {
        self.app.ring.clear();
        Answer::raw(br#"{"success":true}"#.to_vec())
    }

    pub(super) fn records(&self) -> Answer {
        let mut body = br#"{"records":"#.to_vec();
        body.extend_from_slice(&self.app.ring.list());
        body.push(b'}');
        Answer::raw(body)
    }

    pub(super) fn record(&self, id: &str) -> Result<Answer, Error> {
        let record = self.app.ring.record(Some(id));
        let gone = || {
            not_found(
                "there is no record of that id: it is not there yet, or others have taken its place",
            )
        };
        record.map(Answer::raw).ok_or_else(gone)
    }

    pub(super) async fn metrics(&self) -> Answer {
        let text = self.app.metrics.text(&Around {
            buffered_bytes: self.app.budget.used_bytes(),
            reloads: self.admin.live.reloads(),
            started_unix_s: self.app.started_unix_s,
            sidecar: self.app.sidecar_figures().await,
        });
        Answer {
            content_type: "text/plain; version=0.0.4; charset=utf-8",
            ..Answer::raw(text.into_bytes())
        }
    }

    /// Tells a viewer what happens until it leaves or the process stops.
    pub(super) async fn watch(&self, exchange: &mut Exchange, id: &str) -> Result<(), Refusal> {
        let mut viewer = Viewer::new();
        let mut stopping = exchange.stopping();
        exchange.begin(200, None, |out| {
            write_field(out, "content-type", b"text/event-stream; charset=utf-8");
            write_field(out, "x-accel-buffering", b"no");
            write_common_fields(out, id);
        });
        let mut out = b": watching\n\n".to_vec();
        loop {
            let sent = exchange.write(&out).await;
            sent.map_err(|_| Refusal::ClientLeft)?;
            out.clear();
            let (gone, _) = exchange.waiting();
            let stopped = async {
                let _ = stopping.wait_for(|stop| *stop).await; // an error: the process ends
            };
            let ends = race(gone, stopped);
            let next = race(viewer.next(&mut out), race(sleep(HEARTBEAT), ends)).await;
            match next {
                First::A(()) => {}
                First::B(First::A(())) => out.extend_from_slice(b": still here\n\n"),
                First::B(First::B(First::A(()))) => return Err(Refusal::ClientLeft),
                First::B(First::B(First::B(()))) => break,
            }
        }
        exchange.finish().await.map_err(|_| Refusal::ClientLeft)
    }
}
