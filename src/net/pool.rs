//! Idle connections to upstreams, per thread and origin. Bounded, probed before reuse, dropped before the peer drops them.

use super::origin::Origin;
use super::stream::Stream;
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// Plain connections are kept this long: under the 5 s after which many servers close theirs.
const IDLE_PLAIN: Duration = Duration::from_secs(4);
/// TLS connections cost a handshake, and their servers keep them for a minute.
const IDLE_TLS: Duration = Duration::from_secs(55);
/// Idle connections per origin and thread.
const IDLE_PER_ORIGIN_MAX: usize = 128;

struct Idle {
    stream: Stream,
    until: Instant,
}

/// The idle connections of one thread, by origin. There are a few of them, and the key of a running configuration is
/// found by its address.
type Lists = Vec<(Arc<str>, Vec<Idle>)>;

thread_local! {
    static POOL: RefCell<Lists> = const { RefCell::new(Vec::new()) };
}

fn list_of<'l>(lists: &'l mut Lists, origin: &Origin) -> Option<&'l mut Vec<Idle>> {
    let key = origin.key();
    let at = lists
        .iter()
        .position(|(kept, _)| Arc::ptr_eq(kept, key))
        .or_else(|| lists.iter().position(|(kept, _)| kept == key))?;
    Some(&mut lists[at].1)
}

/// Idle connections of all threads.
static IDLE: AtomicUsize = AtomicUsize::new(0);

/// The newest idle connection to that origin that is still open and silent.
pub fn take(origin: &Origin, now: Instant) -> Option<Stream> {
    POOL.with(|pool| {
        let mut pool = pool.borrow_mut();
        let idle = list_of(&mut pool, origin)?;
        while let Some(mut candidate) = idle.pop() {
            IDLE.fetch_sub(1, Ordering::Relaxed);
            if candidate.until > now && candidate.stream.is_silent() {
                return Some(candidate.stream);
            }
        }
        None
    })
}

/// Keeps a connection whose last answer ended exactly. `server_limit`: the server's own `Keep-Alive: timeout`.
pub fn put(origin: &Origin, stream: Stream, server_limit: Option<Duration>) {
    let ours = if matches!(stream, Stream::Tls(_)) {
        IDLE_TLS
    } else {
        IDLE_PLAIN
    };
    // One second less than it says, so that its closing does not race our next request.
    let limit = server_limit.map_or(ours, |limit| {
        limit.saturating_sub(Duration::from_secs(1)).min(ours)
    });
    if limit.is_zero() {
        return;
    }
    let idle = Idle {
        stream,
        until: Instant::now() + limit,
    };
    // try_with: the thread may be ending.
    let _ = POOL.try_with(|pool| {
        let mut pool = pool.borrow_mut();
        match list_of(&mut pool, origin) {
            Some(list) if list.len() < IDLE_PER_ORIGIN_MAX => list.push(idle),
            Some(_) => return,
            None => pool.push((origin.key().clone(), vec![idle])),
        }
        IDLE.fetch_add(1, Ordering::Relaxed);
    });
}

/// Drops what has expired, was closed, or spoke unasked. Called every second.
pub fn sweep() {
    POOL.with(|pool| {
        let now = Instant::now();
        pool.borrow_mut().retain_mut(|(_, list)| {
            let before = list.len();
            list.retain_mut(|idle| idle.until > now && idle.stream.is_silent());
            IDLE.fetch_sub(before - list.len(), Ordering::Relaxed);
            list.shrink_to(8);
            !list.is_empty()
        });
    });
}

/// Idle connections of all threads.
pub fn idle_count() -> u64 {
    IDLE.load(Ordering::Relaxed) as u64
}
