//! Where an upstream lives: `scheme://user@host:port/path` taken apart (RFC 3986, as much of it as a base URL needs),
//! and the rule that joins a base URL and an endpoint. What a user info holds never reaches a message.

use crate::error::Fault;
use core::net::{Ipv4Addr, Ipv6Addr}; // addresses as values; sockets live in `net`
use std::fmt;

/// A base URL is typed by hand; this leaves room for any path.
pub const URL_BYTES_MAX: usize = 2_048;
/// A name in DNS (RFC 1035 2.3.4).
const HOST_BYTES_MAX: usize = 253;

/// What is spoken to the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Scheme {
    Http,
    Https,
}

impl Scheme {
    /// Its name in a URL.
    pub fn name(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    /// The port when none is given (RFC 9110 4.2).
    pub fn default_port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }
}

/// An http or https URL without query and fragment.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    /// http or https.
    pub scheme: Scheme,
    /// A name in lower case, an IPv4 address, or an IPv6 address without brackets.
    pub host: String,
    /// The port, the scheme's own when none was given.
    pub port: u16,
    /// The path as it was written, without the slashes at its end; empty, or it begins with one.
    pub path: String,
    /// What stood before an `@`, still percent-encoded. A secret.
    pub userinfo: Option<String>,
}

impl Url {
    /// Takes a URL apart.
    ///
    /// # Errors
    /// Another scheme; an empty or malformed host; a port that is not one; a query or a fragment;
    /// blanks, control characters and anything else that must be percent-encoded.
    pub fn parse(text: &str) -> Result<Url, Fault> {
        if text.is_empty() {
            return Err(Fault::bad("the URL is empty"));
        }
        if text.len() > URL_BYTES_MAX {
            return Err(Fault::bad(format!(
                "the URL is longer than {URL_BYTES_MAX} bytes"
            )));
        }
        if text.bytes().any(|b| b <= b' ' || b == 0x7f) {
            return Err(Fault::bad("the URL holds a blank or a control character"));
        }
        let (scheme, rest) = text
            .split_once("://")
            .ok_or_else(|| Fault::bad("the URL must begin with https:// or http://"))?;
        let scheme = if scheme.eq_ignore_ascii_case("https") {
            Scheme::Https
        } else if scheme.eq_ignore_ascii_case("http") {
            Scheme::Http
        } else {
            return Err(Fault::bad("the URL must begin with https:// or http://"));
        };
        let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if path.contains('?') {
            return Err(Fault::bad(
                "a base URL has no query: leave out the ? and what follows",
            ));
        }
        if path.contains('#') {
            return Err(Fault::bad(
                "a # may only be the last character of a base URL",
            ));
        }
        if !path.bytes().all(is_path_byte) || !percents_are_whole(path) {
            return Err(Fault::bad(
                "the path of the URL holds a character that must be percent-encoded",
            ));
        }
        let (userinfo, place) = match authority.rsplit_once('@') {
            Some((userinfo, place)) => (Some(userinfo.to_owned()), place),
            None => (None, authority),
        };
        let (host, port) = split_port(place)?;
        Ok(Url {
            scheme,
            host,
            port: port.unwrap_or(scheme.default_port()),
            path: path.trim_end_matches('/').to_owned(),
            userinfo,
        })
    }

    /// What a Host field says: the port only where it is not the scheme's own, an IPv6 address in brackets.
    pub fn authority(&self) -> String {
        let host = self.bracketed_host();
        if self.port == self.scheme.default_port() {
            host
        } else {
            format!("{host}:{}", self.port)
        }
    }

    /// `host:port`, always with the port, as CONNECT and a dialler want it.
    pub fn host_and_port(&self) -> String {
        format!("{}:{}", self.bracketed_host(), self.port)
    }

    fn bracketed_host(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        }
    }
}

impl fmt::Display for Url {
    /// Without user info: this may go to a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}://{}{}",
            self.scheme.name(),
            self.authority(),
            self.path
        )
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Url({self})")
    }
}

/// RFC 3986 3.3, and bytes above ASCII nowhere.
fn is_path_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/%".contains(&b)
}

fn percents_are_whole(path: &str) -> bool {
    path.split('%').skip(1).all(|after| {
        let digits = after.as_bytes().get(..2);
        digits.is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit))
    })
}

/// Splits `host`, `host:port`, `[v6]` or `[v6]:port`, the host checked and in lower case.
fn split_port(place: &str) -> Result<(String, Option<u16>), Fault> {
    let (host, port) = if let Some(after) = place.strip_prefix('[') {
        let (address, port) = after
            .split_once(']')
            .ok_or_else(|| Fault::bad("the URL's IPv6 address has no closing bracket"))?;
        let address: Ipv6Addr = address
            .parse()
            .map_err(|_| Fault::bad("the URL's IPv6 address is malformed"))?;
        let port = match port {
            "" => None,
            _ => Some(
                port.strip_prefix(':')
                    .ok_or_else(|| Fault::bad("only a :port may follow the URL's IPv6 address"))?,
            ),
        };
        (address.to_string(), port)
    } else {
        let (host, port) = match place.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        };
        if !is_name(host) {
            return Err(Fault::bad(if host.is_empty() {
                "the URL has no host"
            } else {
                "the URL's host is malformed"
            }));
        }
        (host.to_ascii_lowercase(), port)
    };
    let port = match port {
        None => None,
        Some(digits) => {
            let plain =
                (1..=5).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
            let number = plain.then(|| digits.parse::<u16>().ok()).flatten();
            Some(
                number
                    .filter(|&port| port > 0)
                    .ok_or_else(|| Fault::bad("the URL's port is not a number from 1 to 65535"))?,
            )
        }
    };
    Ok((host, port))
}

/// A name of letters, digits, hyphens and underscores between single dots (docker's service names have underscores), or an
/// IPv4 address. A last label of digits only is refused unless the whole is an address: resolvers read `127.1` and `0x7f.1` each in
/// their own way.
fn is_name(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let labels_ok = host.len() <= HOST_BYTES_MAX
        && host.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        });
    let last = host.rsplit('.').next().unwrap_or_default();
    let numeric = last.bytes().all(|b| b.is_ascii_digit())
        || last
            .strip_prefix("0x")
            .or_else(|| last.strip_prefix("0X"))
            .is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
    labels_ok && (!numeric || host.parse::<Ipv4Addr>().is_ok())
}

/// An upstream's base URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// Where it lives.
    pub url: Url,
    /// The path has a version in it already, or the user said with a `#` that it is complete: no `/v1` is added.
    pub complete: bool,
}

impl Base {
    /// Reads a base URL as users write it; a `#` at its end says that it is complete.
    ///
    /// # Errors
    /// See [`Url::parse`].
    pub fn parse(base_url: &str) -> Result<Base, Fault> {
        let base_url = base_url.trim_ascii();
        let (text, marked) = match base_url.strip_suffix('#') {
            Some(text) => (text, true),
            None => (base_url, false),
        };
        let url = Url::parse(text)?;
        let complete = marked || url.path.split('/').any(is_version);
        Ok(Base { url, complete })
    }

    /// The path of an endpoint such as `/chat/completions`: after the base's own path, with `/v1` between them unless the base
    /// is complete.
    pub fn path(&self, endpoint: &str) -> String {
        let version = if self.complete { "" } else { "/v1" };
        format!("{}{version}{endpoint}", self.url.path)
    }
}

/// `v1`, `v4`, `v1beta`, `v1alpha2`: a `v`, digits, and optionally `alpha` or `beta` with digits or without.
fn is_version(segment: &str) -> bool {
    let Some(after) = segment.strip_prefix('v') else {
        return false;
    };
    let stage = after.trim_start_matches(|c: char| c.is_ascii_digit());
    let number = stage
        .strip_prefix("alpha")
        .or_else(|| stage.strip_prefix("beta"))
        .unwrap_or(stage);
    stage.len() < after.len() && number.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        Url::parse(text).unwrap_err().message.into_owned()
    }

    #[test]
    fn the_parts_of_a_url() {
        let url = Url::parse("HTTPS://Me:Pa%20ss@API.Example.com:8443/Base/Path//").unwrap();
        assert_eq!(url.scheme, Scheme::Https);
        assert_eq!(url.host, "api.example.com");
        assert_eq!(url.port, 8443);
        assert_eq!(url.path, "/Base/Path");
        assert_eq!(url.userinfo.as_deref(), Some("Me:Pa%20ss"));
        assert_eq!(url.authority(), "api.example.com:8443");
        for (text, authority, place, path) in [
            ("http://localhost", "localhost", "localhost:80", ""),
            ("https://localhost/", "localhost", "localhost:443", ""),
            ("http://h:80/", "h", "h:80", ""),
            ("https://h:443/a%2Fb/", "h", "h:443", "/a%2Fb"),
            ("https://h:80", "h:80", "h:80", ""),
            (
                "http://10.0.0.1:11434/v1",
                "10.0.0.1:11434",
                "10.0.0.1:11434",
                "/v1",
            ),
            ("http://[::1]:8080/x", "[::1]:8080", "[::1]:8080", "/x"),
            (
                "https://[2001:DB8::1]",
                "[2001:db8::1]",
                "[2001:db8::1]:443",
                "",
            ),
            (
                "http://llm_server:8000",
                "llm_server:8000",
                "llm_server:8000",
                "",
            ),
            ("http://a.b./", "a.b.", "a.b.:80", ""),
            (
                "http://h/a:b@c;d=e,f'(g)!~",
                "h",
                "h:80",
                "/a:b@c;d=e,f'(g)!~",
            ),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!(url.authority(), authority);
            assert_eq!(url.host_and_port(), place);
            assert_eq!(url.path, path);
        }
        assert_eq!(Url::parse("http://[::1]").unwrap().host, "::1");
    }

    #[test]
    fn what_is_not_an_http_url_is_refused_with_a_reason() {
        for (text, reason) in [
            ("", "empty"),
            ("api.example.com/v1", "https://"),
            ("ftp://h/", "https://"),
            ("httpss://h", "https://"),
            ("://h", "https://"),
            ("socks5://h:1080", "https://"),
            ("http:///v1", "no host"),
            ("http://", "no host"),
            ("http://:80/", "no host"),
            ("http://u:p@/", "no host"),
            ("http://h:/", "port"),
            ("http://h:0", "port"),
            ("http://h:65536", "port"),
            ("http://h:+80", "port"),
            ("http://h:8o", "port"),
            ("http://h:80:80", "port"),
            ("http://::1/", "no host"),
            ("http://fe80::1/", "port"),
            ("http://[::1", "bracket"),
            ("http://[::g]/", "IPv6"),
            ("http://[fe80::1%25eth0]/", "IPv6"),
            ("http://[::1]x/", "port"),
            ("http://a..b/", "host"),
            ("http://.a/", "host"),
            ("http://ä.example/", "host"),
            ("http://a%41/", "host"),
            ("http://127.1/", "host"),
            ("http://2130706433/", "host"),
            ("http://256.1.1.1/", "host"),
            ("http://0x7f.0x1/", "host"),
            ("http://0X7F000001/", "host"),
            ("http://h h/", "blank"),
            ("http://h/a b", "blank"),
            (" http://h", "blank"),
            ("http://h\r\nX: y/", "blank"),
            ("http://h/\u{7f}", "blank"),
            ("http://h?key=1", "query"),
            ("http://h/v1?key=1", "query"),
            ("http://h/#a", "#"),
            ("http://h#", "#"),
            ("http://h/ä", "percent"),
            ("http://h/%zz", "percent"),
            ("http://h/%4", "percent"),
            ("http://h/a\\b", "percent"),
            ("http://h\\@evil/", "percent"),
            ("http://h/\"", "percent"),
        ] {
            let found = message(text);
            assert!(found.contains(reason), "{text:?}: {found}");
        }
        assert!(message(&format!("http://h/{}", "a".repeat(URL_BYTES_MAX))).contains("longer"));
        assert!(message(&format!("http://{}/", "a".repeat(64))).contains("host"));
        assert!(Url::parse(&format!("http://{}/", "a".repeat(63))).is_ok());
    }

    #[test]
    fn rule_46_user_info_is_never_shown() {
        let url = Url::parse("https://user:hunter2@h:1/p").unwrap();
        assert_eq!(url.to_string(), "https://h:1/p");
        assert!(!format!("{url:?}").contains("hunter2"));
        for text in [
            "https://user:hunter2@h:bad/",
            "https://user:hunter2@/",
            "https://user:hunter2@h ",
            "https://user:hunter2@h?x",
            "hunter2://h",
            "https://user:hunter2@a..b/",
        ] {
            assert!(!message(text).contains("hunter2"), "{text}");
        }
        let url = Url::parse("http://a@b@evil.example/").unwrap();
        assert_eq!(
            (url.host.as_str(), url.userinfo.as_deref()),
            ("evil.example", Some("a@b"))
        );
    }

    #[test]
    fn the_base_url_rule() {
        for (base, path) in [
            ("https://api.openai.com", "/v1/chat/completions"),
            ("https://api.openai.com/", "/v1/chat/completions"),
            ("https://api.openai.com/v1", "/v1/chat/completions"),
            ("https://api.openai.com/v1/", "/v1/chat/completions"),
            (" https://api.openai.com/v1\n", "/v1/chat/completions"),
            ("https://h/api/paas/v4", "/api/paas/v4/chat/completions"),
            (
                "https://h/v1beta/openai/",
                "/v1beta/openai/chat/completions",
            ),
            ("https://h/v1beta2/x", "/v1beta2/x/chat/completions"),
            ("https://h/v1alpha/x", "/v1alpha/x/chat/completions"),
            ("https://h/openai", "/openai/v1/chat/completions"),
            ("https://h/openai#", "/openai/chat/completions"),
            ("https://h/openai/#", "/openai/chat/completions"),
            ("https://h#", "/chat/completions"),
            ("https://h/v1#", "/v1/chat/completions"),
            ("https://h/v", "/v/v1/chat/completions"),
            ("https://h/vx", "/vx/v1/chat/completions"),
            ("https://h/v1x", "/v1x/v1/chat/completions"),
            ("https://h/v1.5", "/v1.5/v1/chat/completions"),
            ("https://h/v1gamma", "/v1gamma/v1/chat/completions"),
            ("https://h/v1betax", "/v1betax/v1/chat/completions"),
            ("https://h/vbeta", "/vbeta/v1/chat/completions"),
            ("https://h/V1", "/V1/v1/chat/completions"),
            ("https://v1.example.com", "/v1/chat/completions"),
            ("https://h/a%20b", "/a%20b/v1/chat/completions"),
        ] {
            assert_eq!(
                Base::parse(base).unwrap().path("/chat/completions"),
                path,
                "{base}"
            );
        }
        assert!(Base::parse("https://h/v1##").is_err());
        assert!(
            Base::parse("https://h/v1?a=b#")
                .unwrap_err()
                .message
                .contains("query")
        );
        assert!(Base::parse("#").is_err());
    }
}
