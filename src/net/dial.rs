//! From an origin to an open connection: names, several addresses, the egress proxy, the TLS handshake.
//! One lookup per host is under way at once and its answer is kept 5 s. Addresses are tried in the resolver's order with
//! the families alternating, a new one every 250 ms (RFC 8305): a silent first address costs a quarter of a second.

use super::origin::Origin;
use super::stream::Stream;
use super::tls;
use super::{First, race};
use crate::error::{Error, Kind};
use crate::wire::head::{ResponseHead, Searched, parse_response, write_field};
use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

/// How long an answer of the resolver is believed.
const NAMES_KEPT: Duration = Duration::from_secs(5);
/// When the next address is tried beside the one that has not answered yet (RFC 8305 section 5).
const NEXT_ADDRESS: Duration = Duration::from_millis(250);
/// More addresses of one name are not tried.
const ADDRESSES_MAX: usize = 8;
/// Names remembered at once; beyond it the oldest answers go.
const NAMES_MAX: usize = 256;
/// A proxy's answer to CONNECT is a head, not a page.
const PROXY_ANSWER_BYTES_MAX: usize = 16 * 1024;

type Addresses = Result<Arc<[IpAddr]>, Arc<str>>;

struct Lookup {
    started: Instant,
    answer: watch::Receiver<Option<Addresses>>,
}

static LOOKUPS: Mutex<Option<HashMap<String, Lookup>>> = Mutex::new(None);

/// The addresses of a host. Dropping the future does not stop the lookup: others may be waiting for it.
async fn resolve(host: &str) -> Addresses {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok([ip].into());
    }
    if super::origin::is_loopback(host) {
        return Ok([
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(Ipv6Addr::LOCALHOST),
        ]
        .into());
    }
    let mut answer = lookup(host);
    let found = answer.wait_for(Option::is_some).await;
    match found {
        Ok(found) => found.clone().unwrap_or_else(|| Err("no answer".into())),
        Err(_) => Err("the lookup was given up".into()),
    }
}

fn lookup(host: &str) -> watch::Receiver<Option<Addresses>> {
    let mut lookups = LOOKUPS.lock().unwrap_or_else(PoisonError::into_inner);
    let lookups = lookups.get_or_insert_default();
    let now = Instant::now();
    if let Some(lookup) = lookups.get(host) {
        let fresh = now.duration_since(lookup.started) < NAMES_KEPT;
        let under_way = lookup.answer.borrow().is_none() && lookup.answer.has_changed().is_ok();
        if fresh || under_way {
            return lookup.answer.clone();
        }
    }
    if lookups.len() >= NAMES_MAX {
        lookups.retain(|_, lookup| now.duration_since(lookup.started) < NAMES_KEPT);
    }
    let (sender, answer) = watch::channel(None);
    let name = host.to_string();
    // Runs free: it ends with the resolver's answer, and its result is wanted by whoever asks within 5 s.
    tokio::spawn(async move {
        let found = tokio::net::lookup_host((name.as_str(), 0)).await;
        let addresses = match found {
            Ok(found) => {
                let found: Vec<IpAddr> = found.map(|address| address.ip()).collect();
                if found.is_empty() {
                    Err("the name has no address".into())
                } else {
                    Ok(alternating(&found))
                }
            }
            Err(error) => Err(error.to_string().into()),
        };
        sender.send_replace(Some(addresses));
    });
    lookups.insert(
        host.to_string(),
        Lookup {
            started: now,
            answer: answer.clone(),
        },
    );
    answer
}

/// The resolver's order, with the two families taking turns.
fn alternating(found: &[IpAddr]) -> Arc<[IpAddr]> {
    let first_is_v4 = found.first().is_some_and(IpAddr::is_ipv4);
    let mut same = found.iter().filter(|ip| ip.is_ipv4() == first_is_v4);
    let mut other = found.iter().filter(|ip| ip.is_ipv4() != first_is_v4);
    let mut order: Vec<IpAddr> = Vec::new();
    loop {
        let pair = [same.next(), other.next()];
        if pair == [None, None] || order.len() >= ADDRESSES_MAX {
            return order.into();
        }
        for ip in pair.into_iter().flatten() {
            if !order.contains(ip) {
                order.push(*ip);
            }
        }
    }
}

type Attempt = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;

/// Connects to the first address that answers.
async fn connect_any(addresses: &[IpAddr], port: u16) -> io::Result<TcpStream> {
    if let [only] = addresses {
        return TcpStream::connect(SocketAddr::new(*only, port)).await;
    }
    let mut waiting = addresses.iter();
    let mut attempts: Vec<Attempt> = Vec::new();
    let mut last_error = io::Error::new(io::ErrorKind::NotFound, "no address to try");
    loop {
        match waiting.next() {
            Some(ip) => attempts.push(Box::pin(TcpStream::connect(SocketAddr::new(*ip, port)))),
            None if attempts.is_empty() => return Err(last_error),
            None => {}
        }
        let all_started = waiting.len() == 0;
        let first = poll_fn(|cx| {
            for at in 0..attempts.len() {
                if let Poll::Ready(result) = attempts[at].as_mut().poll(cx) {
                    drop(attempts.swap_remove(at));
                    return Poll::Ready(result);
                }
            }
            Poll::Pending
        });
        let result = if all_started {
            First::A(first.await)
        } else {
            race(first, sleep(NEXT_ADDRESS)).await
        };
        match result {
            First::A(Ok(stream)) => return Ok(stream),
            First::A(Err(error)) => last_error = error,
            First::B(()) => {}
        }
    }
}

/// Opens a connection: DNS, TCP, the proxy's tunnel and TLS together within `limit`.
pub async fn dial(origin: &Origin, limit: Duration) -> Result<Stream, Error> {
    match tokio::time::timeout(limit, open(origin)).await {
        Ok(result) => result,
        Err(_) => {
            let seconds = limit.as_secs_f32();
            Err(Error::upstream(
                Kind::Timeout,
                format!("no connection to {} within {seconds} s", origin.authority()),
            ))
        }
    }
}

async fn open(origin: &Origin) -> Result<Stream, Error> {
    let (host, port) = match origin.proxy() {
        Some(proxy) => (proxy.host.as_str(), proxy.port),
        None => (origin.host(), origin.port()),
    };
    let what = if origin.proxy().is_some() {
        "the egress proxy "
    } else {
        ""
    };
    let addresses = resolve(host).await.map_err(|why| {
        Error::upstream(
            Kind::Unreachable,
            format!("the name of {what}{host} cannot be resolved ({why}): check base_url and this host's DNS"),
        )
    })?;
    let connected = connect_any(&addresses, port).await;
    let mut tcp = connected.map_err(|error| {
        Error::upstream(
            Kind::Unreachable,
            format!("no connection to {what}{host}:{port}: {error}"),
        )
    })?;
    // Small writes go out at once; without it each event of a stream could wait for an acknowledgement.
    let _ = tcp.set_nodelay(true);
    let Some(settings) = origin.tls() else {
        return Ok(Stream::Tcp(tcp));
    };
    if origin.proxy().is_some() {
        tunnel(origin, &mut tcp).await?;
    }
    let name =
        rustls::pki_types::ServerName::try_from(origin.host().to_string()).map_err(|_| {
            Error::gateway(
                Kind::Unreachable,
                format!("{} is not a host name that TLS can check", origin.host()),
            )
        })?;
    let connector = tokio_rustls::TlsConnector::from(settings.config.clone());
    let stream = connector
        .connect(name, tcp)
        .await
        .map_err(|error| tls::handshake_error(origin.authority(), &error))?;
    Ok(Stream::Tls(Box::new(stream)))
}

/// Asks the proxy for a tunnel (RFC 9110 9.3.6).
async fn tunnel(origin: &Origin, tcp: &mut TcpStream) -> Result<(), Error> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let failed = |what: String| {
        Error::upstream(
            Kind::Unreachable,
            format!(
                "the egress proxy opens no tunnel to {}: {what}",
                origin.authority()
            ),
        )
    };
    let host = if origin.host().contains(':') {
        format!("[{}]", origin.host())
    } else {
        origin.host().to_string()
    };
    let target = format!("{host}:{}", origin.port());
    let mut head = format!("CONNECT {target} HTTP/1.1\r\n").into_bytes();
    write_field(&mut head, "host", target.as_bytes());
    if let Some(credentials) = origin.proxy().and_then(|proxy| proxy.credentials()) {
        write_field(&mut head, "proxy-authorization", credentials.as_bytes());
    }
    head.extend_from_slice(b"\r\n");
    tcp.write_all(&head)
        .await
        .map_err(|error| failed(error.to_string()))?;

    // Byte by byte: what follows the head belongs to TLS. It is one head per connection.
    let mut answer = Vec::with_capacity(256);
    let mut response = ResponseHead::default();
    let mut searched = Searched::default();
    loop {
        let byte = tcp
            .read_u8()
            .await
            .map_err(|error| failed(error.to_string()))?;
        answer.push(byte);
        if answer.len() > PROXY_ANSWER_BYTES_MAX {
            return Err(failed("its answer is too long".to_string()));
        }
        if byte != b'\n' {
            continue;
        }
        match parse_response(&answer, &mut searched, &mut response) {
            Ok(None) => {}
            Ok(Some(_)) if (200..300).contains(&response.status) => return Ok(()),
            Ok(Some(_)) if response.status == 407 => {
                return Err(failed("it wants other credentials (407)".to_string()));
            }
            Ok(Some(_)) => return Err(failed(format!("it answered {}", response.status))),
            Err(fault) => return Err(failed(fault.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns_in_the_resolvers_order() {
        let found: Vec<IpAddr> = ["::1", "::2", "::3", "10.0.0.1", "10.0.0.2"]
            .iter()
            .map(|ip| ip.parse().unwrap())
            .collect();
        let order: Vec<String> = alternating(&found)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(order, ["::1", "10.0.0.1", "::2", "10.0.0.2", "::3"]);
    }
}
