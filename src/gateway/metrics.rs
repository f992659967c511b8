//! Counters of what went through, and their text for Prometheus. Label values come from the configuration and from closed
//! sets, never from a client's own words, and their number is bounded. A request finds its counters in a small list of its
//! thread, so that counting costs a few atomic additions and no lock.

use super::admin::resident_bytes;
use super::route::Route;
use super::trace::Trace;
use crate::net::{client, exchange::Exchange, pool};
use crate::protocol::{Protocol, Warnings};
use crate::sidecar::STATE_NAMES;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Sets of labels at the most, over all configurations of this process; what comes later counts as `other`.
const SERIES_MAX: usize = 512;
/// Fields that conversions warned about; what comes later counts as `other`.
const FIELDS_MAX: usize = 128;
/// Characters of such a field.
const FIELD_CHARS_MAX: usize = 64;
/// Routes a thread remembers the counters of.
const KNOWN_MAX: usize = 64;
/// Upper bounds of the histograms, in milliseconds.
const BUCKETS_MS: [u64; 12] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 120_000, 300_000,
];
/// Status classes; the first is that of clients that left unanswered.
const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];
const TOKENS: [&str; 4] = ["input", "output", "cached", "reasoning"];

/// Everything that is counted.
#[derive(Default)]
pub struct Metrics {
    series: Mutex<HashMap<Labels, Arc<Series>>>,
    fields: Mutex<HashMap<(String, &'static str), u64>>,
    gauges: [AtomicU64; 2],
    /// Clients' connections, and how many there may be.
    clients: [AtomicU64; 2],
}

/// What is open now.
#[derive(Clone, Copy)]
pub enum Gauge {
    /// Requests that go to an upstream.
    Requests,
    /// Answers that are streams.
    Streams,
}

/// Counts one down when dropped.
pub struct Open<'m>(&'m AtomicU64);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Labels {
    alias: String,
    upstream: String,
    client: Protocol,
    to: Option<Protocol>,
}

#[derive(Default)]
struct Series {
    requests: [AtomicU64; CLASSES.len()],
    duration: Histogram,
    first_byte: Histogram,
    tokens: [AtomicU64; TOKENS.len()],
}

#[derive(Default)]
struct Histogram {
    /// Each with those that fell into it alone; the last beyond all bounds.
    buckets: [AtomicU64; BUCKETS_MS.len() + 1],
    sum_ms: AtomicU64,
}

impl Histogram {
    fn observe(&self, value: Duration) {
        let ms = u64::try_from(value.as_millis()).unwrap_or(u64::MAX);
        let at = BUCKETS_MS.iter().position(|bound| ms <= *bound);
        self.buckets[at.unwrap_or(BUCKETS_MS.len())].fetch_add(1, Relaxed);
        self.sum_ms.fetch_add(ms, Relaxed);
    }
}

struct Known {
    of: usize,
    route: Option<Arc<Route>>,
    protocols: (Protocol, Option<Protocol>),
    series: Arc<Series>,
}

thread_local! {
    static KNOWN: RefCell<Vec<Known>> = const { RefCell::new(Vec::new()) };
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Counters are sound after any panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Metrics {
    /// One more is open, until the guard is dropped.
    pub fn opened(&self, gauge: Gauge) -> Open<'_> {
        let gauge = &self.gauges[gauge as usize];
        gauge.fetch_add(1, Relaxed);
        Open(gauge)
    }

    /// How many are open.
    pub fn open(&self, gauge: Gauge) -> u64 {
        self.gauges[gauge as usize].load(Relaxed)
    }

    /// So many clients are connected, of so many that may be.
    pub fn clients(&self, open: u64, most: u64) {
        self.clients[0].store(open, Relaxed);
        self.clients[1].store(most, Relaxed);
    }

    /// All requests that went to an upstream, or should have.
    pub fn requests_total(&self) -> u64 {
        let series = lock(&self.series);
        let counts = series.values().flat_map(|series| &series.requests);
        counts.map(|count| count.load(Relaxed)).sum()
    }

    /// Counts a request that has ended, if it was one for an upstream.
    pub fn observe(&self, trace: &Trace, exchange: &Exchange, took: Duration) {
        let Some((client, to)) = trace.protocols() else {
            return;
        };
        let series = self.series(trace.route(), client, to);
        let class = usize::from(exchange.status() / 100).min(CLASSES.len() - 1);
        series.requests[class].fetch_add(1, Relaxed);
        series.duration.observe(took);
        if let Some(after) = exchange.first_byte_after() {
            series.first_byte.observe(after);
        }
        let usage = trace.usage.usage();
        let counts = [
            usage.input_total(),
            usage.output,
            usage.cached,
            usage.reasoning,
        ];
        for (counter, count) in series.tokens.iter().zip(counts) {
            if let Some(count) = count.filter(|count| *count > 0) {
                counter.fetch_add(count, Relaxed);
            }
        }
        if !trace.warnings.is_empty() {
            self.warned(&trace.warnings);
        }
    }

    fn series(
        &self,
        route: Option<&Arc<Route>>,
        client: Protocol,
        to: Option<Protocol>,
    ) -> Arc<Series> {
        let of = std::ptr::from_ref(self).addr();
        KNOWN.with_borrow_mut(|known| {
            let same = |known: &&Known| {
                let same_route = match (&known.route, route) {
                    (Some(a), Some(b)) => Arc::ptr_eq(a, b),
                    (a, b) => a.is_none() && b.is_none(),
                };
                same_route && known.protocols == (client, to) && known.of == of
            };
            if let Some(known) = known.iter().find(same) {
                return known.series.clone();
            }
            let name = |name: fn(&Route) -> &str| route.map_or("", |route| name(route)).to_owned();
            let series = self.make(Labels {
                alias: name(|route| &route.name),
                upstream: name(|route| &route.upstream.name),
                client,
                to,
            });
            if known.len() >= KNOWN_MAX {
                known.clear(); // routes of earlier configurations are in it, too
            }
            known.push(Known {
                of,
                route: route.cloned(),
                protocols: (client, to),
                series: series.clone(),
            });
            series
        })
    }

    fn make(&self, labels: Labels) -> Arc<Series> {
        let mut all = lock(&self.series);
        if let Some(series) = all.get(&labels) {
            return series.clone();
        }
        let labels = if all.len() < SERIES_MAX {
            labels
        } else {
            Labels {
                alias: "other".into(),
                upstream: "other".into(),
                ..labels
            }
        };
        all.entry(labels).or_default().clone()
    }

    fn warned(&self, warnings: &Warnings) {
        let mut fields = lock(&self.fields);
        for (field, reason) in warnings.iter() {
            let key = (bounded(field), reason);
            if fields.len() < FIELDS_MAX || fields.contains_key(&key) {
                *fields.entry(key).or_default() += 1;
            } else {
                *fields.entry(("other".into(), "other")).or_default() += 1;
            }
        }
    }

    /// The exposition: text format 0.0.4.
    pub fn text(&self, around: &Around) -> String {
        let mut out = String::new();
        let mut all: Vec<(Labels, Arc<Series>)> = {
            let series = lock(&self.series);
            series
                .iter()
                .map(|(labels, series)| (labels.clone(), series.clone()))
                .collect()
        };
        all.sort_by_cached_key(|(labels, _)| labels.text());

        head(
            &mut out,
            "requests_total",
            "counter",
            "Requests for an upstream that have ended.",
        );
        for (labels, series) in &all {
            for (class, count) in CLASSES.iter().zip(&series.requests) {
                let count = count.load(Relaxed);
                if count > 0 {
                    let labels = format!("{},status=\"{class}\"", labels.text());
                    line(&mut out, "requests_total", &labels, count);
                }
            }
        }
        type Which = fn(&Series) -> &Histogram;
        let histograms: [(&str, &str, Which); 2] = [
            (
                "request_duration_seconds",
                "From a request's head to the end of its answer.",
                |s| &s.duration,
            ),
            (
                "first_byte_seconds",
                "From a request's head to the first byte of its answer.",
                |s| &s.first_byte,
            ),
        ];
        for (name, help, which) in histograms {
            head(&mut out, name, "histogram", help);
            for (labels, series) in &all {
                which(series).write(&mut out, name, &labels.text());
            }
        }
        head(
            &mut out,
            "tokens_total",
            "counter",
            "Tokens as upstreams counted them; input includes cached, output includes reasoning.",
        );
        for (labels, series) in &all {
            for (kind, count) in TOKENS.iter().zip(&series.tokens) {
                let count = count.load(Relaxed);
                if count > 0 {
                    let labels = format!("{},kind=\"{kind}\"", labels.text());
                    line(&mut out, "tokens_total", &labels, count);
                }
            }
        }
        head(
            &mut out,
            "conversion_warnings_total",
            "counter",
            "What conversions weakened or left out.",
        );
        let mut fields: Vec<_> = lock(&self.fields)
            .iter()
            .map(|(key, count)| (key.clone(), *count))
            .collect();
        fields.sort_unstable();
        for ((field, reason), count) in fields {
            let labels = format!("field=\"{field}\",reason=\"{reason}\"");
            line(&mut out, "conversion_warnings_total", &labels, count);
        }
        let (reloads, failures) = around.reloads;
        let [open_clients, clients_max] = self.clients.each_ref().map(|count| count.load(Relaxed));
        let plain: [(&str, &str, &str, u64); 7] = [
            (
                "client_connections",
                "gauge",
                "Connections of clients.",
                open_clients,
            ),
            (
                "client_connections_max",
                "gauge",
                "How many there may be: limits.max_connections, or what the descriptors allow.",
                clients_max,
            ),
            (
                "open_requests",
                "gauge",
                "Requests for an upstream that are running.",
                self.open(Gauge::Requests),
            ),
            (
                "open_streams",
                "gauge",
                "Answers being streamed.",
                self.open(Gauge::Streams),
            ),
            (
                "buffered_bytes",
                "gauge",
                "Memory held by bodies and collected answers.",
                around.buffered_bytes,
            ),
            (
                "config_reloads_total",
                "counter",
                "Changed configuration files taken over.",
                reloads,
            ),
            (
                "config_failures_total",
                "counter",
                "Changed configuration files that were not valid.",
                failures,
            ),
        ];
        for (name, kind, help, value) in plain {
            head(&mut out, name, kind, help);
            line(&mut out, name, "", value);
        }
        head(
            &mut out,
            "upstream_connections",
            "gauge",
            "Connections to upstreams; busy ones from the dialling on.",
        );
        line(
            &mut out,
            "upstream_connections",
            "state=\"busy\"",
            client::busy_count(),
        );
        line(
            &mut out,
            "upstream_connections",
            "state=\"idle\"",
            pool::idle_count(),
        );
        if let Some(sidecar) = &around.sidecar {
            sidecar.write(&mut out);
        }
        // The names every exporter gives the process's own figures have no prefix.
        if let Some(bytes) = resident_bytes() {
            let _ = write!(
                out,
                "# HELP process_resident_memory_bytes Resident memory size in bytes.\n# TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes {bytes}\n"
            );
        }
        let _ = write!(
            out,
            "# HELP process_start_time_seconds Start time of the process since unix epoch in seconds.\n# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds {}\n",
            around.started_unix_s
        );
        out
    }
}

/// Figures that are kept elsewhere.
pub struct Around {
    /// Memory held by bodies and collected answers.
    pub buffered_bytes: u64,
    /// Reloads of the configuration, and failed ones.
    pub reloads: (u64, u64),
    /// When the process started.
    pub started_unix_s: u64,
    /// The sidecar; None: there is none.
    pub sidecar: Option<SidecarFigures>,
}

/// The sidecar in numbers.
pub struct SidecarFigures {
    /// One of [`STATE_NAMES`].
    pub state: &'static str,
    /// Starts after a failure.
    pub restarts: u64,
    /// Accounts by provider and condition, words of closed sets; None: they cannot be told now.
    pub accounts: Option<BTreeMap<(&'static str, &'static str), u64>>,
}

impl SidecarFigures {
    fn write(&self, out: &mut String) {
        head(
            out,
            "sidecar_state",
            "gauge",
            "Whether CLIProxyAPI is in that state; external: someone else runs it.",
        );
        for state in STATE_NAMES {
            let labels = format!("state=\"{state}\"");
            line(
                out,
                "sidecar_state",
                &labels,
                u64::from(state == self.state),
            );
        }
        head(
            out,
            "sidecar_restarts_total",
            "counter",
            "Starts of CLIProxyAPI after a failure.",
        );
        line(out, "sidecar_restarts_total", "", self.restarts);
        let Some(accounts) = &self.accounts else {
            return;
        };
        head(
            out,
            "accounts",
            "gauge",
            "Accounts by provider and how they are.",
        );
        for ((provider, status), count) in accounts {
            let labels = format!("provider=\"{provider}\",status=\"{status}\"");
            line(out, "accounts", &labels, *count);
        }
    }
}

// Writing to a String cannot fail.

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = write!(
        out,
        "# HELP llm_wrapper_{name} {help}\n# TYPE llm_wrapper_{name} {kind}\n"
    );
}

fn line(out: &mut String, name: &str, labels: &str, value: u64) {
    let _ = match labels {
        "" => writeln!(out, "llm_wrapper_{name} {value}"),
        _ => writeln!(out, "llm_wrapper_{name}{{{labels}}} {value}"),
    };
}

impl Histogram {
    fn write(&self, out: &mut String, name: &str, labels: &str) {
        let mut below = 0;
        let bounds = BUCKETS_MS
            .iter()
            .map(|ms| format!("{}", *ms as f64 / 1000.0));
        for (bucket, bound) in self.buckets.iter().zip(bounds.chain(["+Inf".into()])) {
            below += bucket.load(Relaxed);
            line(
                out,
                &format!("{name}_bucket"),
                &format!("{labels},le=\"{bound}\""),
                below,
            );
        }
        let sum_ms = self.sum_ms.load(Relaxed);
        let _ = writeln!(
            out,
            "llm_wrapper_{name}_sum{{{labels}}} {}",
            sum_ms as f64 / 1000.0
        );
        line(out, &format!("{name}_count"), labels, below);
    }
}

impl Labels {
    fn text(&self) -> String {
        format!(
            "alias=\"{}\",upstream=\"{}\",client_protocol=\"{}\",upstream_protocol=\"{}\"",
            escaped(&self.alias),
            escaped(&self.upstream),
            self.client.name(),
            self.to.map_or("", Protocol::name)
        )
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

/// A field's name without indices, in few characters: `messages[17].name` and `messages[18].name` are one.
fn bounded(field: &str) -> String {
    let mut out = String::new();
    let mut in_index = false;
    for c in field.chars().take(FIELD_CHARS_MAX) {
        match c {
            '[' => in_index = true,
            ']' => in_index = false,
            c if in_index && c.is_ascii_digit() => continue,
            _ => {}
        }
        let plain = c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '[' | ']' | '-');
        out.push(if plain { c } else { '?' });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around() -> Around {
        Around {
            buffered_bytes: 5,
            reloads: (1, 2),
            started_unix_s: 7,
            sidecar: Some(SidecarFigures {
                state: "ready",
                restarts: 3,
                accounts: Some(BTreeMap::from([(("claude", "active"), 2)])),
            }),
        }
    }

    #[test]
    fn the_sidecar_is_one_state_and_some_numbers() {
        let text = Metrics::default().text(&around());
        for line in [
            "llm_wrapper_sidecar_state{state=\"ready\"} 1\n",
            "llm_wrapper_sidecar_state{state=\"given_up\"} 0\n",
            "llm_wrapper_sidecar_restarts_total 3\n",
            "llm_wrapper_accounts{provider=\"claude\",status=\"active\"} 2\n",
        ] {
            assert!(text.contains(line), "{line}{text}");
        }
        let unknown = Around {
            sidecar: None,
            ..around()
        };
        assert!(!Metrics::default().text(&unknown).contains("sidecar"));
    }

    #[test]
    fn a_histogram_counts_up_to_infinity() {
        let metrics = Metrics::default();
        let series = metrics.series(None, Protocol::Chat, None);
        for ms in [10, 50, 51, 400_000] {
            series.duration.observe(Duration::from_millis(ms));
        }
        let text = metrics.text(&around());
        let labels = "alias=\"\",upstream=\"\",client_protocol=\"chat\",upstream_protocol=\"\"";
        for (bound, count) in [("0.05", 2), ("0.1", 3), ("300", 3), ("+Inf", 4)] {
            let line = format!(
                "llm_wrapper_request_duration_seconds_bucket{{{labels},le=\"{bound}\"}} {count}\n"
            );
            assert!(text.contains(&line), "{line}{text}");
        }
        assert!(
            text.contains(&format!(
                "request_duration_seconds_sum{{{labels}}} 400.111\n"
            )),
            "{text}"
        );
        assert!(text.contains("config_failures_total 2\n"));
    }

    #[test]
    fn names_are_bounded_in_number_and_in_characters() {
        let metrics = Metrics::default();
        for n in 0..2 * SERIES_MAX {
            metrics.make(Labels {
                alias: n.to_string(),
                upstream: "u".into(),
                client: Protocol::Chat,
                to: None,
            });
        }
        assert_eq!(lock(&metrics.series).len(), SERIES_MAX + 1);
        let mut warnings = Warnings::default();
        for n in 0..200 {
            warnings.add(format!("messages[{n}].x"), "dropped");
            warnings.add(format!("field{n}\n\""), "dropped");
        }
        metrics.warned(&warnings);
        let fields = lock(&metrics.fields);
        assert!(fields.len() <= FIELDS_MAX + 1);
        assert!(fields[&("messages[].x".to_owned(), "dropped")] > 100);
        assert!(fields.keys().all(|(field, _)| !field.contains(['\n', '"'])));
        assert_eq!(escaped("a\"b\\c\nd"), r#"a\"b\\c\nd"#);
    }
}
