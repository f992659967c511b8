//! Upstreams over TLS with certificates of our own making: what is accepted, what is refused, and with which words (rule 37).

use crate::support::gateway::config_at;
use crate::support::{Gateway, PATIENCE, find, plain_answer};
use rcgen::{BasicConstraints, Certificate, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

const CHAT: &str = "/v1/chat/completions";
const BODY: &str = r#"{"model":"m"}"#;

/// An upstream over TLS that answers every request; counts handshakes that came to their end, and requests.
struct TlsUpstream {
    addr: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
}

fn serve(certificate: &Certificate, key: &KeyPair) -> TlsUpstream {
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(
        rustls::crypto::ring::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .expect("protocol versions")
    .with_no_client_auth()
    .with_single_cert(
        vec![certificate.der().clone()],
        PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der())),
    )
    .expect("a certificate and its key");
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let upstream = TlsUpstream {
        addr: listener.local_addr().expect("its address"),
        connections: Arc::default(),
        requests: Arc::default(),
    };
    let (connections, requests) = (upstream.connections.clone(), upstream.requests.clone());
    // Runs until the process of the tests ends.
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = stream.set_read_timeout(Some(PATIENCE));
            let (config, connections, requests) =
                (config.clone(), connections.clone(), requests.clone());
            std::thread::spawn(move || {
                let Ok(session) = rustls::ServerConnection::new(config) else {
                    return;
                };
                let mut tls = rustls::StreamOwned::new(session, stream);
                let mut unread = Vec::new();
                let mut counted = false;
                let mut room = [0; 4096];
                loop {
                    let Ok(read) = tls.read(&mut room) else {
                        return;
                    };
                    if read == 0 {
                        return;
                    }
                    if !counted {
                        counted = true;
                        connections.fetch_add(1, Ordering::SeqCst);
                    }
                    unread.extend_from_slice(&room[..read]);
                    if find(&unread, b"target-model\"}").is_some() {
                        unread.clear();
                        requests.fetch_add(1, Ordering::SeqCst);
                        if tls.write_all(&plain_answer()).is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
    upstream
}

/// A certificate for those names, signed by itself, with that start of its validity.
fn self_signed(names: &[&str], from_year: i32, to_year: i32) -> (Certificate, KeyPair) {
    let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
    let mut params = CertificateParams::new(names).expect("names");
    params.not_before = rcgen::date_time_ymd(from_year, 1, 1);
    params.not_after = rcgen::date_time_ymd(to_year, 1, 1);
    let key = KeyPair::generate().expect("a key");
    let certificate = params.self_signed(&key).expect("a certificate");
    (certificate, key)
}

/// A private CA, and a certificate it signed for those names.
fn by_private_ca(names: &[&str]) -> (Certificate, Certificate, KeyPair) {
    let mut ca = CertificateParams::new(Vec::<String>::new()).expect("no names");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_key = KeyPair::generate().expect("a key");
    let ca_certificate = ca.self_signed(&ca_key).expect("a certificate");
    let issuer = Issuer::new(ca, ca_key);
    let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
    let key = KeyPair::generate().expect("a key");
    let certificate = CertificateParams::new(names)
        .expect("names")
        .signed_by(&key, &issuer)
        .expect("a certificate");
    (ca_certificate, certificate, key)
}

/// A gateway before `https://HOST:port` that trusts the certificate, if one is given.
fn gateway(upstream: &TlsUpstream, host: &str, trusted: Option<&Certificate>) -> Gateway {
    let mut config = config_at(&format!("https://{host}:{}", upstream.addr.port()));
    let mut build = Gateway::build();
    if let Some(certificate) = trusted {
        config = config.replace("    auth:", "    ca_file: ca.pem\n    auth:");
        build = build.file("ca.pem", certificate.pem());
    }
    build.config(config).start()
}

#[track_caller]
fn refused(gateway: &Gateway, upstream: &TlsUpstream) -> String {
    let message = gateway.post(CHAT, BODY).expect(502).error_message();
    assert_eq!(upstream.requests.load(Ordering::SeqCst), 0, "{message}");
    message.to_lowercase()
}

#[test]
fn rule_37_a_private_ca_is_trusted_where_it_is_named() {
    let (ca, certificate, key) = by_private_ca(&["localhost", "127.0.0.1"]);
    let upstream = serve(&certificate, &key);
    for host in ["localhost", "127.0.0.1"] {
        let gateway = gateway(&upstream, host, Some(&ca));
        gateway.post(CHAT, BODY).expect(200);
    }
}

#[test]
fn rule_37_an_unknown_issuer_is_refused_and_the_remedy_named() {
    let (_, certificate, key) = by_private_ca(&["localhost"]);
    let upstream = serve(&certificate, &key);
    let message = refused(&gateway(&upstream, "localhost", None), &upstream);
    assert!(message.contains("ca_file"), "{message}");
    let (other_ca, _, _) = by_private_ca(&["localhost"]);
    refused(&gateway(&upstream, "localhost", Some(&other_ca)), &upstream);
    let (own, key) = self_signed(&["localhost"], 2020, 2090);
    let upstream = serve(&own, &key);
    let message = refused(&gateway(&upstream, "localhost", None), &upstream);
    assert!(message.contains("ca_file"), "{message}");
}

#[test]
fn rule_37_a_servers_own_self_signed_certificate_is_accepted_byte_for_byte() {
    let (certificate, key) = self_signed(&["localhost"], 2020, 2090);
    let upstream = serve(&certificate, &key);
    let trusting = gateway(&upstream, "localhost", Some(&certificate));
    trusting.post(CHAT, BODY).expect(200);
    // Another one for the same name is not the same one.
    let (other, _) = self_signed(&["localhost"], 2020, 2090);
    let upstream = serve(&certificate, &key);
    refused(&gateway(&upstream, "localhost", Some(&other)), &upstream);
}

#[test]
fn rule_37_a_wrong_name_is_refused_and_the_right_ones_are_told() {
    let (ca, certificate, key) = by_private_ca(&["right.example", "other.example"]);
    let upstream = serve(&certificate, &key);
    let message = refused(&gateway(&upstream, "localhost", Some(&ca)), &upstream);
    assert!(message.contains("right.example"), "{message}");
    let (own, key) = self_signed(&["right.example"], 2020, 2090);
    let upstream = serve(&own, &key);
    let message = refused(&gateway(&upstream, "127.0.0.1", Some(&own)), &upstream);
    assert!(message.contains("right.example"), "{message}");
}

#[test]
fn rule_37_dates_are_checked_and_the_clock_suspected() {
    let (future, key) = self_signed(&["localhost"], 2080, 2090);
    let upstream = serve(&future, &key);
    let message = refused(&gateway(&upstream, "localhost", Some(&future)), &upstream);
    assert!(message.contains("clock"), "{message}");
    let (past, key) = self_signed(&["localhost"], 2010, 2011);
    let upstream = serve(&past, &key);
    let message = refused(&gateway(&upstream, "localhost", Some(&past)), &upstream);
    assert!(message.contains("expired"), "{message}");
}

/// An egress proxy that opens every tunnel to that address; gives its address and the request lines it saw.
fn tunnelling_proxy(to: SocketAddr) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let addr = listener.local_addr().expect("its address");
    let lines: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = lines.clone();
    // Runs until the process of the tests ends.
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && client.read(&mut byte).is_ok_and(|n| n == 1) {
                head.push(byte[0]);
            }
            let text = String::from_utf8_lossy(&head).into_owned();
            seen.lock()
                .expect("no panic holds it")
                .push(text.lines().next().unwrap_or_default().to_string());
            let _ = client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n");
            let Ok(mut server) = TcpStream::connect(to) else {
                continue;
            };
            let (Ok(mut from), Ok(mut into)) = (client.try_clone(), server.try_clone()) else {
                continue;
            };
            std::thread::spawn(move || std::io::copy(&mut from, &mut into));
            std::thread::spawn(move || std::io::copy(&mut server, &mut client));
        }
    });
    (addr, lines)
}

#[test]
fn a_tunnel_through_an_egress_proxy_is_verified_and_reused() {
    let (ca, certificate, key) = by_private_ca(&["models.example.test"]);
    let upstream = serve(&certificate, &key);
    let (proxy, lines) = tunnelling_proxy(upstream.addr);
    let start = |host: &str| {
        let config = config_at(&format!("https://{host}")).replace(
            "    auth:",
            &format!("    ca_file: ca.pem\n    proxy: http://{proxy}\n    auth:"),
        );
        Gateway::build()
            .config(config)
            .file("ca.pem", ca.pem())
            .start()
    };
    let gateway = start("models.example.test");
    let mut client = gateway.client();
    for _ in 0..3 {
        client.post(CHAT, BODY).expect(200);
    }
    assert_eq!(
        *lines.lock().expect("no panic holds it"),
        ["CONNECT models.example.test:443 HTTP/1.1"]
    );
    let wrong = start("other.example.test");
    let message = wrong.post(CHAT, BODY).expect(502).error_message();
    assert!(message.contains("models.example.test"), "{message}");
    assert_eq!(upstream.requests.load(Ordering::SeqCst), 3);
}

#[test]
fn a_tls_connection_is_reused() {
    let (ca, certificate, key) = by_private_ca(&["localhost"]);
    let upstream = serve(&certificate, &key);
    let gateway = gateway(&upstream, "localhost", Some(&ca));
    let mut client = gateway.client();
    for _ in 0..5 {
        client.post(CHAT, BODY).expect(200);
    }
    assert_eq!(upstream.requests.load(Ordering::SeqCst), 5);
    assert_eq!(upstream.connections.load(Ordering::SeqCst), 1);
}

#[test]
fn plain_http_on_a_tls_address_is_a_clear_502() {
    let plain = crate::support::Upstream::script(|mut peer| {
        peer.take(5)?; // of a TLS hello
        peer.send("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")?;
        peer.half_close()?;
        peer.wait_closed()?;
        Ok(())
    });
    let gateway = Gateway::start(config_at(&format!(
        "https://localhost:{}",
        plain.addr.port()
    )));
    let message = gateway.post(CHAT, BODY).expect(502).error_message();
    assert!(message.to_lowercase().contains("tls"), "{message}");
}
