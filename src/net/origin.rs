//! Where connections go: a host and port, who is trusted there, and the egress proxy in between.
//! Two origins with the same key may share connections; anything that changes a connection's meaning is in the key.

use super::tls::TlsSettings;
use crate::error::Fault;
use crate::wire::head::{write_field, write_request_line};
use crate::wire::text;
use crate::wire::url::{Scheme, Url};
use std::sync::Arc;

/// An egress proxy spoken to in plain HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxySettings {
    /// Its host, lower case, an IPv6 address without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The value of Proxy-Authorization, if it wants one.
    credentials: Option<String>,
}

impl ProxySettings {
    /// From `http://user:pass@host:port`. The default port is 80; nothing but http is spoken to a proxy.
    pub fn parse(text: &str) -> Result<ProxySettings, Fault> {
        let lower = text.trim().to_ascii_lowercase();
        if lower.starts_with("socks") {
            return Err(Fault::bad(
                "a SOCKS proxy is not supported: use an HTTP proxy (http://host:port)",
            ));
        }
        if lower.starts_with("https://") {
            return Err(Fault::bad(
                "a proxy behind TLS is not supported: use http://host:port",
            ));
        }
        let with_scheme = if lower.contains("://") {
            text.trim().to_string()
        } else {
            format!("http://{}", text.trim())
        };
        let url = Url::parse(&with_scheme)?;
        if !url.path.is_empty() {
            return Err(Fault::bad("a proxy URL has no path"));
        }
        let credentials = url.userinfo.as_deref().map(|userinfo| {
            let decoded = percent_decoded(userinfo);
            format!("Basic {}", text::base64(&decoded))
        });
        Ok(ProxySettings {
            host: url.host,
            port: url.port,
            credentials,
        })
    }

    /// The value of Proxy-Authorization, if it wants one.
    pub fn credentials(&self) -> Option<&str> {
        self.credentials.as_deref()
    }
}

fn percent_decoded(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let pair = bytes
            .get(at + 1..at + 3)
            .and_then(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
        match pair {
            Some(byte) if bytes[at] == b'%' => {
                out.push(byte);
                at += 3;
            }
            _ => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    out
}

/// The proxies of the environment, by the usual names: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY, upper or lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnvProxy {
    http: Option<ProxySettings>,
    https: Option<ProxySettings>,
    exempt: Vec<String>,
}

impl EnvProxy {
    /// Reads them through `lookup`. The fault names the variable.
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<EnvProxy, Fault> {
        let find = |name: &str| {
            let found = lookup(name).or_else(|| lookup(&name.to_ascii_lowercase()));
            found.filter(|value| !value.trim().is_empty())
        };
        let proxy = |name: &str| match find(name) {
            None => Ok(None),
            Some(value) => ProxySettings::parse(&value)
                .map(Some)
                .map_err(|fault| Fault::bad(format!("{name}: {fault}"))),
        };
        let all = proxy("ALL_PROXY")?;
        let exempt = find("NO_PROXY").unwrap_or_default();
        let exempt = exempt
            .split([',', ' '])
            .map(|item| item.trim().to_ascii_lowercase())
            .filter(|item| !item.is_empty())
            .collect();
        Ok(EnvProxy {
            http: proxy("HTTP_PROXY")?.or_else(|| all.clone()),
            https: proxy("HTTPS_PROXY")?.or(all),
            exempt,
        })
    }

    /// The proxy for that URL, if it goes through one. Loopback never does.
    pub fn for_url(&self, url: &Url) -> Option<ProxySettings> {
        if is_loopback(&url.host) || self.exempt.iter().any(|item| exempts(item, url)) {
            return None;
        }
        match url.scheme {
            Scheme::Http => self.http.clone(),
            Scheme::Https => self.https.clone(),
        }
    }
}

/// One item of NO_PROXY: `*`, a domain with its subdomains (a leading dot or `*.` means the same), or host:port.
fn exempts(item: &str, url: &Url) -> bool {
    let (name, port) = match item.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') => (name, port.parse::<u16>().ok()),
        _ => (item, None),
    };
    if port.is_some_and(|port| port != url.port) {
        return false;
    }
    let name = name
        .trim_start_matches("*.")
        .trim_start_matches('.')
        .trim_matches(['[', ']']);
    item == "*"
        || url.host == name
        || url
            .host
            .strip_suffix(name)
            .is_some_and(|rest| rest.ends_with('.') && !name.is_empty())
}

/// Whether that host is this machine: `localhost`, 127.0.0.0/8 or ::1.
pub fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host.ends_with(".localhost")
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
}

/// A server that connections are opened to. Cheap to clone: every answer's body holds one.
#[derive(Clone)]
pub struct Origin(Arc<Settings>);

struct Settings {
    host: String,
    port: u16,
    authority: String,
    tls: Option<TlsSettings>,
    proxy: Option<ProxySettings>,
    key: Arc<str>,
}

impl Origin {
    /// The origin of that URL. `tls` is used for https only. A loopback host never goes through a proxy.
    pub fn new(url: &Url, tls: &TlsSettings, proxy: Option<&ProxySettings>) -> Origin {
        let tls = (url.scheme == Scheme::Https).then(|| tls.clone());
        let proxy = proxy.filter(|_| !is_loopback(&url.host)).cloned();
        let tls_id = tls
            .as_ref()
            .map_or(String::new(), |tls| format!("tls:{:x}", tls.id));
        let via = proxy.as_ref().map_or(String::new(), |p| {
            format!(
                "{}:{}:{}",
                p.host,
                p.port,
                p.credentials.as_deref().unwrap_or("")
            )
        });
        let key = format!("{}:{}|{tls_id}|{via}", url.host, url.port).into();
        Origin(Arc::new(Settings {
            host: url.host.clone(),
            port: url.port,
            authority: url.authority(),
            tls,
            proxy,
            key,
        }))
    }

    /// The host's name.
    pub fn host(&self) -> &str {
        &self.0.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.0.port
    }

    /// Host and, where it is not the scheme's own, port: the value of the Host field.
    pub fn authority(&self) -> &str {
        &self.0.authority
    }

    /// Its TLS settings; None: plain.
    pub fn tls(&self) -> Option<&TlsSettings> {
        self.0.tls.as_ref()
    }

    /// The egress proxy, if one is used.
    pub fn proxy(&self) -> Option<&ProxySettings> {
        self.0.proxy.as_ref()
    }

    /// What connections are kept under.
    pub fn key(&self) -> &Arc<str> {
        &self.0.key
    }

    /// Appends the request line and Host for a path of this origin: in absolute form where a proxy forwards plain requests.
    pub fn write_request_line(&self, out: &mut Vec<u8>, method: &str, path: &str) {
        match (&self.0.proxy, &self.0.tls) {
            (Some(proxy), None) => {
                write_request_line(out, method, &format!("http://{}{path}", self.0.authority));
                write_field(out, "host", self.0.authority.as_bytes());
                if let Some(credentials) = proxy.credentials() {
                    write_field(out, "proxy-authorization", credentials.as_bytes());
                }
            }
            _ => {
                write_request_line(out, method, path);
                write_field(out, "host", self.0.authority.as_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &'static [(&str, &str)]) -> EnvProxy {
        EnvProxy::read(|name| {
            pairs
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, v)| v.to_string())
        })
        .unwrap()
    }

    #[test]
    fn the_environment_names_proxies_and_exemptions() {
        let env = environment(&[
            ("HTTPS_PROXY", "http://u:p%40@proxy:8080"),
            ("no_proxy", "internal.example, .lan,10.0.0.1:8000"),
        ]);
        let via = |url: &str| env.for_url(&Url::parse(url).unwrap()).map(|p| p.host);
        assert_eq!(via("https://api.example/v1").as_deref(), Some("proxy"));
        assert_eq!(via("http://api.example/v1"), None);
        assert_eq!(via("https://internal.example"), None);
        assert_eq!(via("https://a.internal.example"), None);
        assert_eq!(via("https://notinternal.example").as_deref(), Some("proxy"));
        assert_eq!(via("https://nas.lan"), None);
        assert_eq!(via("https://10.0.0.1:8000"), None);
        assert_eq!(via("https://10.0.0.1:8001").as_deref(), Some("proxy"));
        assert_eq!(via("https://127.0.0.1:8001"), None);
        assert_eq!(
            ProxySettings::parse("http://u:p%40@proxy:8080")
                .unwrap()
                .credentials(),
            Some("Basic dTpwQA==")
        );
    }

    #[test]
    fn socks_is_refused_with_a_sentence() {
        let fault = ProxySettings::parse("socks5://127.0.0.1:1080").unwrap_err();
        assert!(fault.message.contains("SOCKS proxy is not supported"));
    }
}
