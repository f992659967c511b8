//! The access log: one line per request, built from its parts into the caller's buffer and nowhere else. Words that may come
//! from outside are cut and escaped; the query is not part of it, because some clients put their key there.

use super::usage::Usage;
use crate::log;
use crate::protocol::Protocol;
use crate::wire::head::write_number;
use std::io::Write;
use std::net::IpAddr;

/// A path is cut to this many bytes.
pub const PATH_BYTES_MAX: usize = 200;
/// A name (alias, upstream, method, id) is cut to this many bytes.
pub const NAME_BYTES_MAX: usize = 100;

/// A reason is cut to this many bytes.
pub const REASON_BYTES_MAX: usize = 400;

/// What is known of a request when it has ended. Options are left out of the line where they are `None`.
#[derive(Clone, Copy, Debug)]
pub struct Access<'a> {
    /// The client's address; an IPv4 one in IPv6 clothes is shown as IPv4.
    pub peer: IpAddr,
    /// The name of the client key it showed, where keys are asked for.
    pub client: Option<&'a str>,
    /// The method's name.
    pub method: &'a str,
    /// The path, without its query.
    pub path: &'a str,
    /// The alias or upstream name the client asked for, once it was found.
    pub alias: Option<&'a str>,
    /// The upstream's name.
    pub upstream: Option<&'a str>,
    /// The client's protocol and the upstream's: one word if they are the same, else `chat>messages`.
    pub protocols: Option<(Protocol, Protocol)>,
    /// The status the client was sent; 0 if it left before there was one.
    pub status: u16,
    /// Bytes of the request's body.
    pub bytes_in: u64,
    /// Bytes of the response's body as it was sent to the client.
    pub bytes_out: u64,
    /// Milliseconds to the first byte of the response's body, if one came.
    pub first_byte_ms: Option<u64>,
    /// Milliseconds to the end.
    pub total_ms: u64,
    /// Token counts, as far as the upstream said.
    pub usage: Usage,
    /// Why the client did not get what it asked for.
    pub reason: Option<&'a str>,
    /// The upstream's own id: within one protocol it is the one the client was told.
    pub upstream_id: Option<&'a str>,
    /// The gateway's id of the request.
    pub request_id: Option<&'a str>,
}

/// Whether any line is logged.
pub fn is_wanted() -> bool {
    log::enabled(log::Level::Info)
}

/// Logs the line at `Info`, which is one load if the log is quieter; a health check, asked every few seconds, at `Debug`.
pub fn log(access: &Access<'_>) {
    let level = match access.path {
        "/healthz" => log::Level::Debug,
        _ => log::Level::Info,
    };
    log::raw(level, |out| write(out, access));
}

/// Appends `request peer=… method=… path=… … id=…`, without stamp, level and line end, which the log adds.
pub fn write(out: &mut Vec<u8>, access: &Access<'_>) {
    out.extend_from_slice(b"request peer=");
    // Writing to a Vec cannot fail, and an address needs neither quotes nor escapes.
    let _ = write!(out, "{}", access.peer.to_canonical());
    if let Some(client) = access.client {
        word(out, " client=", client, NAME_BYTES_MAX);
    }
    word(out, " method=", access.method, NAME_BYTES_MAX);
    word(out, " path=", access.path, PATH_BYTES_MAX);
    if let Some(alias) = access.alias {
        word(out, " alias=", alias, NAME_BYTES_MAX);
    }
    if let Some(upstream) = access.upstream {
        word(out, " upstream=", upstream, NAME_BYTES_MAX);
    }
    if let Some((client, upstream)) = access.protocols {
        out.extend_from_slice(b" protocol=");
        out.extend_from_slice(client.name().as_bytes());
        if upstream != client {
            out.push(b'>');
            out.extend_from_slice(upstream.name().as_bytes());
        }
    }
    number(out, " status=", Some(u64::from(access.status)));
    number(out, " bytes_in=", Some(access.bytes_in));
    number(out, " bytes_out=", Some(access.bytes_out));
    number(out, " first_byte_ms=", access.first_byte_ms);
    number(out, " total_ms=", Some(access.total_ms));
    number(out, " tokens_in=", access.usage.input_total());
    number(out, " tokens_cached=", access.usage.cached);
    number(out, " tokens_out=", access.usage.output);
    if let Some(reason) = access.reason {
        word(out, " reason=", reason, REASON_BYTES_MAX);
    }
    if let Some(id) = access.upstream_id {
        word(out, " upstream_id=", id, NAME_BYTES_MAX);
    }
    if let Some(id) = access.request_id {
        word(out, " id=", id, NAME_BYTES_MAX);
    }
}

fn word(out: &mut Vec<u8>, key: &str, text: &str, bytes_max: usize) {
    out.extend_from_slice(key.as_bytes());
    log::write_text(out, text, bytes_max);
}

fn number(out: &mut Vec<u8>, key: &str, value: Option<u64>) {
    if let Some(value) = value {
        out.extend_from_slice(key.as_bytes());
        write_number(out, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bare() -> Access<'static> {
        Access {
            peer: "::ffff:10.0.0.7".parse().unwrap(),
            client: None,
            method: "GET",
            path: "/healthz",
            alias: None,
            upstream: None,
            protocols: None,
            status: 200,
            bytes_in: 0,
            bytes_out: 2,
            first_byte_ms: None,
            total_ms: 0,
            usage: Usage::default(),
            reason: None,
            upstream_id: None,
            request_id: None,
        }
    }

    fn line(access: &Access<'_>) -> String {
        let mut out = Vec::new();
        write(&mut out, access);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_full_line_and_a_bare_one() {
        let full = Access {
            method: "POST",
            path: "/v1/chat/completions",
            alias: Some("qwen"),
            upstream: Some("qwen-test"),
            protocols: Some((Protocol::Chat, Protocol::Messages)),
            bytes_in: 1024,
            bytes_out: 4096,
            first_byte_ms: Some(12),
            total_ms: 340,
            usage: Usage {
                input: Some(20),
                cached: Some(100),
                output: Some(60),
                cache_apart: true,
                ..Usage::default()
            },
            request_id: Some("req_1"),
            ..bare()
        };
        assert_eq!(
            line(&full),
            "request peer=10.0.0.7 method=POST path=/v1/chat/completions alias=qwen upstream=qwen-test protocol=chat>messages \
             status=200 bytes_in=1024 bytes_out=4096 first_byte_ms=12 total_ms=340 tokens_in=120 tokens_cached=100 tokens_out=60 id=req_1"
        );
        assert_eq!(
            line(&bare()),
            "request peer=10.0.0.7 method=GET path=/healthz status=200 bytes_in=0 bytes_out=2 total_ms=0"
        );
        let failed = Access {
            client: Some("laptop"),
            status: 429,
            reason: Some("the upstream answered 429"),
            upstream_id: Some("up-1"),
            request_id: Some("req_1"),
            ..bare()
        };
        let failed = line(&failed);
        assert!(failed.starts_with("request peer=10.0.0.7 client=laptop method="));
        assert!(
            failed.ends_with(
                " total_ms=0 reason=\"the upstream answered 429\" upstream_id=up-1 id=req_1"
            ),
            "{failed}"
        );
        let same = Access {
            protocols: Some((Protocol::Chat, Protocol::Chat)),
            ..bare()
        };
        assert!(line(&same).contains(" protocol=chat status"));
    }

    #[test]
    fn no_word_from_outside_can_forge_a_line_or_a_field() {
        let long = format!("/{}", "a".repeat(300));
        let hostile = Access {
            path: "/x status=200\n",
            alias: Some("a\"b\r\n"),
            request_id: Some(&long),
            ..bare()
        };
        let line = line(&hostile);
        assert!(!line.contains('\n') && !line.contains('\r'));
        assert!(
            line.contains(r#" path="/x status=200\n" alias="a\"b\r\n" "#),
            "{line}"
        );
        assert!(
            line.ends_with(&format!(" id={}…", &long[..NAME_BYTES_MAX])),
            "{line}"
        );
    }

    #[test]
    fn a_reused_buffer_is_not_enlarged() {
        let mut out = Vec::with_capacity(512);
        let before = out.as_ptr();
        write(&mut out, &bare());
        assert_eq!(out.as_ptr(), before);
    }
}
