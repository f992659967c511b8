//! Who may call `/api` and `/metrics` (product.md 6): whoever shows the admin key, or a session made with it; beside a
//! *generated* key also a process of the gateway's own user, or of root, on this machine. Everyone else hears where the key is.

use super::peer;
use crate::error::{Error, Kind};
use crate::gateway::config::Secret;
use crate::gateway::config::store::whole;
use crate::gateway::debug::redact;
use crate::gateway::snapshot::Snapshot;
use crate::net::exchange::Exchange;
use crate::net::tls;
use crate::wire::head::{Method, RequestHead};
use crate::wire::text::{equal_constant_time, hex, sha256};
use crate::{log, sys};
use std::collections::HashMap;
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// The session's cookie.
const COOKIE: &str = "llm_wrapper_session";
/// How long a session lasts.
const SESSION: Duration = Duration::from_secs(24 * 3600);
/// Sessions at once; the oldest ends for a new one.
const SESSIONS_MAX: usize = 64;
/// Bytes of randomness in keys and sessions.
const RANDOM_BYTES: usize = 32;
/// Wrong keys a peer may show before it is slowed down.
const FREE_FAILURES: u32 = 3;
/// The first wait, doubled with each further failure.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest wait between two tries of one peer.
const WAIT_MAX: Duration = Duration::from_secs(2);
/// A try waits no longer than this for its turn; then it is refused unheard.
const TURN_WAIT_MAX: Duration = Duration::from_secs(4);
/// Tries of one peer that wait for their turn.
const WAITING_MAX: u32 = 4;
/// A peer that was quiet this long is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);
/// Peers remembered at once.
const PEERS_MAX: usize = 4096;
/// Fields that say that someone passed the request on. (`X-Forwarded-*` and `CF-*` are looked for by prefix.)
const PASSED_ON: [&str; 4] = ["forwarded", "x-real-ip", "via", "true-client-ip"];
const PASSED_ON_FAMILIES: [&str; 2] = ["x-forwarded-", "cf-"];

/// How a caller proved who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    /// It showed the key.
    Key,
    /// It has a session, which ends then.
    Session(Instant),
    /// It is on this machine and of this user.
    Local,
}

/// Where the generated key is kept.
#[derive(Clone, Debug)]
pub enum Keeping {
    /// In `admin_key` of the data folder.
    DataFolder,
    /// In memory, for the demo.
    Memory,
}

struct Session {
    token: String,
    ends: Instant,
    /// Of the key it was made with: another key ends it.
    key: [u8; 32],
}

#[derive(Clone, Copy)]
struct Failures {
    count: u32,
    last: Instant,
    /// No try is heard before.
    free_at: Instant,
    waiting: u32,
}

/// The door and who went through it.
pub(super) struct Door {
    keeping: Keeping,
    address: SocketAddr,
    generated: OnceLock<Secret>,
    sessions: Mutex<Vec<Session>>,
    failures: Mutex<HashMap<IpAddr, Failures>>,
}

impl Door {
    pub fn new(keeping: Keeping, address: SocketAddr) -> Door {
        Door {
            keeping,
            address,
            generated: OnceLock::new(),
            sessions: Mutex::default(),
            failures: Mutex::default(),
        }
    }

    /// The key that holds now. The first time that none is configured, one is made or found, and printed.
    pub fn key<'a>(&'a self, snapshot: &'a Snapshot) -> &'a Secret {
        match &snapshot.admin_key {
            Some(key) => key,
            None => self.generated.get_or_init(|| {
                let key = match self.keeping {
                    Keeping::Memory => fresh_key(),
                    Keeping::DataFolder => kept_key(&snapshot.sidecar.data_dir),
                };
                let line = format!(
                    "WebUI: http://{}/#key={}\n",
                    reachable(self.address),
                    key.expose()
                );
                redact::generated(key.expose());
                let _ = io::stderr().write_all(line.as_bytes()); // a closed stderr has no reader
                key
            }),
        }
    }

    /// Lets a request in, or says why not.
    pub async fn judge(
        &self,
        snapshot: &Snapshot,
        head: &RequestHead,
        exchange: &mut Exchange,
    ) -> Result<Pass, Error> {
        check_origin(head)?;
        if let Some(shown) = bearer(head) {
            return match self.try_key(snapshot, shown, exchange.peer()).await? {
                true => Ok(Pass::Key),
                false => Err(Error::client(
                    Kind::Unauthorized,
                    format!("this is not the admin key; {}", where_it_is(snapshot)),
                )),
            };
        }
        if let Some(ends) = self.session(snapshot, head) {
            return Ok(Pass::Session(ends));
        }
        if snapshot.admin_key.is_none() && is_local(head, exchange).await {
            return Ok(Pass::Local);
        }
        Err(Error::client(
            Kind::Unauthorized,
            format!("this needs the admin key; {}", where_it_is(snapshot)),
        ))
    }

    /// Whether that is the key, in a time that tells nothing, and never faster than a peer may try.
    pub async fn try_key(
        &self,
        snapshot: &Snapshot,
        shown: &[u8],
        peer: SocketAddr,
    ) -> Result<bool, Error> {
        let peer = peer_of(peer.ip());
        let patience = Instant::now() + TURN_WAIT_MAX;
        let mut turn: Option<Turn<'_>> = None;
        loop {
            let wait_until = {
                let mut failures = lock(&self.failures);
                let now = Instant::now();
                let known = failures.get(&peer).copied();
                let known = known.filter(|f| f.waiting > 0 || now < f.last + FORGOTTEN_AFTER);
                match known {
                    Some(f) if now < f.free_at => {
                        if f.free_at > patience || (turn.is_none() && f.waiting >= WAITING_MAX) {
                            let seconds = (f.free_at - now).as_secs() as u32 + 1;
                            let message = "too many wrong keys from this address: try again later";
                            return Err(
                                Error::client(Kind::TooManyRequests, message).retry_after(seconds)
                            );
                        }
                        if turn.is_none() {
                            failures.entry(peer).and_modify(|f| f.waiting += 1);
                        }
                        f.free_at
                    }
                    _ => {
                        // Compared under the lock: tries at the same time cannot overtake the count.
                        let right = self.key(snapshot).matches(shown);
                        if !right {
                            strike(&mut failures, peer, known, now);
                        }
                        return Ok(right);
                    }
                }
            };
            turn.get_or_insert(Turn { door: self, peer });
            sleep_until(wait_until).await;
        }
    }

    /// When the session of a request's cookie ends, if it has one.
    fn session(&self, snapshot: &Snapshot, head: &RequestHead) -> Option<Instant> {
        let shown: Vec<&[u8]> = cookies(head).collect();
        if shown.is_empty() {
            return None;
        }
        let key = sha256(self.key(snapshot).expose().as_bytes());
        let now = Instant::now();
        let mut found = None;
        for session in lock(&self.sessions).iter() {
            for token in &shown {
                let right = equal_constant_time(token, session.token.as_bytes());
                if right && session.ends > now && session.key == key {
                    found = Some(session.ends);
                }
            }
        }
        found
    }

    /// A new session: the value of its Set-Cookie.
    pub fn open_session(&self, snapshot: &Snapshot, head: &RequestHead) -> String {
        let token = hex(&tls::random::<RANDOM_BYTES>());
        let now = Instant::now();
        let mut sessions = lock(&self.sessions);
        sessions.retain(|session| session.ends > now);
        if sessions.len() >= SESSIONS_MAX {
            sessions.remove(0);
        }
        let cookie = set_cookie(&token, SESSION.as_secs(), head);
        sessions.push(Session {
            token,
            ends: now + SESSION,
            key: sha256(self.key(snapshot).expose().as_bytes()),
        });
        cookie
    }

    /// Ends the session of a request's cookie: the value of the Set-Cookie that clears it.
    pub fn close_session(&self, head: &RequestHead) -> String {
        for token in cookies(head) {
            lock(&self.sessions)
                .retain(|session| !equal_constant_time(token, session.token.as_bytes()));
        }
        set_cookie("", 0, head)
    }
}

/// Counts a waiting try out again, also when its client left.
struct Turn<'d> {
    door: &'d Door,
    peer: IpAddr,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some(failures) = lock(&self.door.failures).get_mut(&self.peer) {
            failures.waiting = failures.waiting.saturating_sub(1);
        }
    }
}

fn strike(
    failures: &mut HashMap<IpAddr, Failures>,
    peer: IpAddr,
    known: Option<Failures>,
    now: Instant,
) {
    if known.is_none() && failures.len() >= PEERS_MAX {
        failures.retain(|_, f| f.waiting > 0 || now < f.last + FORGOTTEN_AFTER);
        if failures.len() >= PEERS_MAX
            && let Some(oldest) = failures
                .iter()
                .min_by_key(|(_, f)| f.last)
                .map(|(peer, _)| *peer)
        {
            failures.remove(&oldest);
        }
    }
    let count = known.map_or(0, |f| f.count) + 1;
    let wait = match count.checked_sub(FREE_FAILURES) {
        None | Some(0) => Duration::ZERO,
        Some(over) => (FIRST_WAIT * 2_u32.pow((over - 1).min(8))).min(WAIT_MAX),
    };
    failures.insert(
        peer,
        Failures {
            count,
            last: now,
            free_at: now + wait,
            waiting: known.map_or(0, |f| f.waiting),
        },
    );
}

/// One host of IPv6 has a whole /64 to itself.
fn peer_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) if !ip.is_loopback() => {
            IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64))
        }
        ip => ip,
    }
}

/// A body must say that it is JSON: a form of a foreign page can send other types without asking (http.md 50).
pub(super) fn check_content_type(head: &RequestHead) -> Result<(), Error> {
    let has_body = head.headers.get("transfer-encoding").is_some()
        || head
            .headers
            .get("content-length")
            .is_some_and(|length| length != b"0");
    let content_type = head.headers.get("content-type").unwrap_or_default();
    let media_type = content_type
        .split(|&b| b == b';')
        .next()
        .unwrap_or_default();
    if !has_body
        || media_type
            .trim_ascii()
            .eq_ignore_ascii_case(b"application/json")
    {
        return Ok(());
    }
    let message = "a body must have the content type application/json";
    Err(Error::client(Kind::UnsupportedMediaType, message))
}

/// What changes something must not come from another page than our own.
fn check_origin(head: &RequestHead) -> Result<(), Error> {
    let changes = !matches!(head.method, Method::Get | Method::Head | Method::Options);
    if !changes || is_own_page(head) {
        return Ok(());
    }
    let message = "this request comes from a web page of another origin; behind a proxy, pass on Host and X-Forwarded-Proto";
    Err(Error::client(Kind::Forbidden, message))
}

/// Whether no Origin was sent, or that of the page we serve under the scheme, host and port of this request.
fn is_own_page(head: &RequestHead) -> bool {
    let mut origins = head.headers.all("origin");
    let (Some(origin), None) = (origins.next(), origins.next()) else {
        return head.headers.get("origin").is_none();
    };
    let Ok(origin) = std::str::from_utf8(origin) else {
        return false;
    };
    let (scheme, port) = if is_https(head) {
        ("https://", ":443")
    } else {
        ("http://", ":80")
    };
    let Some((_, shown)) = origin
        .split_at_checked(scheme.len())
        .filter(|(start, _)| start.eq_ignore_ascii_case(scheme))
    else {
        return false;
    };
    let bare = |host: &str| host.strip_suffix(port).unwrap_or(host).to_ascii_lowercase();
    // A page elsewhere cannot set X-Forwarded-Host without asking first, and is not answered.
    let hosts = [head.authority(), head.headers.text("x-forwarded-host")];
    hosts
        .into_iter()
        .flatten()
        .any(|host| !host.is_empty() && bare(host) == bare(shown))
}

/// Whether a proxy in front says that the browser speaks https to it.
fn is_https(head: &RequestHead) -> bool {
    let first = |value: &str| {
        value
            .split(',')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase()
    };
    let forwarded = head.headers.text("forwarded").map(first);
    head.headers.text("x-forwarded-proto").map(first).as_deref() == Some("https")
        || forwarded.is_some_and(|value| {
            value
                .split(';')
                .any(|part| part.trim().trim_matches('"').replace('"', "") == "proto=https")
        })
}

/// The keyless way, all conditions but that the key is a generated one.
async fn is_local(head: &RequestHead, exchange: &mut Exchange) -> bool {
    if head.headers.get("authorization").is_some() || !is_beside_us(head, exchange) {
        return false;
    }
    let client = exchange.peer();
    let owner = match exchange.peer_uid {
        Some(owner) => owner,
        None => {
            let here = exchange.local();
            // The system walks all its connections for it: tens of milliseconds, not on a thread that serves, and once a connection.
            let look = move || here.and_then(|here| peer::uid_of(client, here));
            let owner = tokio::task::spawn_blocking(look).await.unwrap_or_default();
            *exchange.peer_uid.insert(owner)
        }
    };
    owner.is_some_and(|uid| uid == sys::getuid() || uid == 0)
}

/// Whether a request seems to come from a browser or a program of this machine, whosever it is. A tunnel's other end does, too.
pub(super) fn is_beside_us(head: &RequestHead, exchange: &Exchange) -> bool {
    if !exchange.peer().ip().to_canonical().is_loopback() {
        return false;
    }
    let hosts = [head.headers.text("host"), head.authority()];
    if hosts
        .into_iter()
        .any(|host| !host.is_some_and(is_this_machine))
    {
        return false;
    }
    let passed_on = head.headers.iter().any(|(name, _)| {
        let name = String::from_utf8_lossy(name).to_ascii_lowercase();
        PASSED_ON.contains(&name.as_str())
            || PASSED_ON_FAMILIES
                .iter()
                .any(|family| name.starts_with(family))
    });
    // A page elsewhere may load us without an Origin, as an image or a script.
    let site = head.headers.get("sec-fetch-site");
    let from_elsewhere = site.is_some_and(|site| site != b"same-origin" && site != b"none");
    !(passed_on || from_elsewhere) && is_own_page(head)
}

/// `localhost`, `127.0.0.1` or `[::1]`, with or without a port.
fn is_this_machine(authority: &str) -> bool {
    ["localhost", "127.0.0.1", "[::1]"].iter().any(|name| {
        let rest = authority
            .split_at_checked(name.len())
            .filter(|(start, _)| start.eq_ignore_ascii_case(name));
        rest.is_some_and(|(_, rest)| {
            rest.is_empty()
                || rest
                    .strip_prefix(':')
                    .is_some_and(|port| port.parse::<u16>().is_ok())
        })
    })
}

fn bearer(head: &RequestHead) -> Option<&[u8]> {
    let value = head.headers.get("authorization")?;
    let (scheme, key) = value.split_at_checked(7)?;
    scheme
        .eq_ignore_ascii_case(b"bearer ")
        .then(|| key.trim_ascii())
}

fn cookies(head: &RequestHead) -> impl Iterator<Item = &[u8]> {
    let pairs = head
        .headers
        .all("cookie")
        .flat_map(|value| value.split(|&b| b == b';'));
    pairs.filter_map(|pair| {
        let value = pair.trim_ascii().strip_prefix(COOKIE.as_bytes())?;
        value.strip_prefix(b"=")
    })
}

fn set_cookie(token: &str, seconds: u64, head: &RequestHead) -> String {
    let secure = if is_https(head) { "; Secure" } else { "" };
    format!("{COOKIE}={token}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")
}

fn where_it_is(snapshot: &Snapshot) -> String {
    if snapshot.admin_key.is_some() {
        return "it is admin_key of the configuration, or ADMIN_KEY of the environment".into();
    }
    let place = "it was printed to the log at the start, as the address of the WebUI";
    format!("{place}, and is kept in the file admin_key of the data folder")
}

fn fresh_key() -> Secret {
    Secret::new(hex(&tls::random::<RANDOM_BYTES>()))
}

/// The key of an earlier start, or a new one, kept for the next.
fn kept_key(folder: &Path) -> Secret {
    let file = folder.join("admin_key");
    if let Ok(text) = fs::read_to_string(&file) {
        let text = text.trim();
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()) {
            let _ = fs::set_permissions(&file, Permissions::from_mode(0o600)); // another's file: as it is
            return Secret::new(text);
        }
    }
    let key = fresh_key();
    if let Err(error) = keep(folder, &file, &key) {
        log::warn!(
            "the admin key cannot be kept: there will be another one at the next start",
            file = whole(&file).display(),
            error = error
        );
    }
    key
}

fn keep(folder: &Path, file: &PathBuf, key: &Secret) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    let aside = folder.join(".admin_key.new");
    let _ = fs::remove_file(&aside); // left by a start that was killed
    let mut options = OpenOptions::new();
    let mut new = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&aside)?;
    new.write_all(format!("{}\n", key.expose()).as_bytes())?;
    new.sync_all()?;
    fs::rename(&aside, file)
}

/// The address to type into a browser on this machine.
fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        SocketAddr::from(([127, 0, 0, 1], address.port()))
    } else {
        address
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is kept under these locks is sound after any panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "door_tests.rs"]
mod tests;
