//! `--health`: asks a running gateway whether it is alive. Blocking and alone in its process, for images without a shell.

use crate::wire::head::{ResponseHead, Searched, parse_response};
use crate::wire::url::{Scheme, Url};
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// For each of connecting, writing and reading; a container's health check has 30 s by default.
const PATIENCE: Duration = Duration::from_secs(3);
const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// Asks with GET. The error is one line for stderr.
pub fn ask(url: &str) -> Result<(), String> {
    let parsed = Url::parse(url).map_err(|fault| format!("{url}: {fault}"))?;
    if parsed.scheme != Scheme::Http {
        return Err(format!("{url}: only http is asked"));
    }
    let failed = |what: std::io::Error| format!("{url} does not answer: {what}");
    let mut addresses = (parsed.host.as_str(), parsed.port)
        .to_socket_addrs()
        .map_err(failed)?;
    let address = addresses
        .next()
        .ok_or_else(|| format!("{url}: the name has no address"))?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(failed)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    stream.set_write_timeout(Some(PATIENCE)).map_err(failed)?;
    let path = if parsed.path.is_empty() {
        "/healthz"
    } else {
        &parsed.path
    };
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n",
        parsed.authority()
    );
    stream.write_all(request.as_bytes()).map_err(failed)?;

    let mut answer = Vec::new();
    let mut head = ResponseHead::default();
    let mut searched = Searched::default();
    let mut chunk = [0; 1024];
    loop {
        let read = stream.read(&mut chunk).map_err(failed)?;
        answer.extend_from_slice(&chunk[..read]);
        let parsed = parse_response(&answer, &mut searched, &mut head)
            .map_err(|fault| format!("{url}: {fault}"))?;
        if parsed.is_some() {
            return if head.status == 200 {
                Ok(())
            } else {
                Err(format!("{url} answered {}", head.status))
            };
        }
        if read == 0 || answer.len() > ANSWER_BYTES_MAX {
            return Err(format!("{url} closed the connection without an answer"));
        }
    }
}
