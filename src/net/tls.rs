//! TLS towards upstreams: who is trusted, and what to do when a certificate is not accepted.
//! The public roots are in the binary. A `ca_file` adds to them, and a certificate that stands in it byte for byte is
//! accepted as a server's own, after its name and dates were checked: rustls alone refuses the usual self-signed one.

use super::cert;
use crate::error::{Error, Fault, Kind};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use std::cell::RefCell;
use std::sync::{Arc, OnceLock};

/// Whom to trust; settings made from the same bytes are the same.
#[derive(Clone)]
pub struct TlsSettings {
    /// What rustls needs.
    pub config: Arc<ClientConfig>,
    /// Tells connections opened under other settings apart.
    pub id: u64,
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    static PROVIDER: OnceLock<Arc<rustls::crypto::CryptoProvider>> = OnceLock::new();
    PROVIDER
        .get_or_init(|| Arc::new(rustls::crypto::ring::default_provider()))
        .clone()
}

/// Random bytes from the operating system.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // ring asks the system's generator, which fails only where the system call is missing: nothing can run there.
    provider()
        .secure_random
        .fill(&mut bytes)
        .expect("the system's random generator answers");
    bytes
}

/// Bytes that a thread asks of the system at a time for [`random_of_thread`].
const STOCK_BYTES: usize = 1024;

thread_local! {
    static STOCK: RefCell<(Vec<u8>, usize)> = const { RefCell::new((Vec::new(), 0)) };
}

/// The same from a stock of the thread's, which spares a request the system call. Each byte is given once.
pub fn random_of_thread<const N: usize>() -> [u8; N] {
    STOCK.with_borrow_mut(|(stock, used)| {
        if stock.len() - *used < N {
            *stock = random::<STOCK_BYTES>().to_vec();
            *used = 0;
        }
        *used += N;
        std::array::from_fn(|at| std::mem::take(&mut stock[*used - N + at]))
    })
}

fn public_roots() -> RootCertStore {
    RootCertStore {
        roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
    }
}

impl TlsSettings {
    /// The public roots only. Made once.
    pub fn public() -> TlsSettings {
        static PUBLIC: OnceLock<Arc<ClientConfig>> = OnceLock::new();
        let config = PUBLIC.get_or_init(|| {
            let builder = ClientConfig::builder_with_provider(provider())
                .with_safe_default_protocol_versions()
                .expect("ring speaks TLS 1.2 and 1.3"); // fixed by the features in Cargo.toml
            Arc::new(
                builder
                    .with_root_certificates(public_roots())
                    .with_no_client_auth(),
            )
        });
        TlsSettings {
            config: config.clone(),
            id: 0,
        }
    }

    /// The public roots and the certificates of a PEM file.
    pub fn with_ca(pem: &[u8]) -> Result<TlsSettings, Fault> {
        let mut roots = public_roots();
        let mut own = Vec::new();
        for found in CertificateDer::pem_slice_iter(pem) {
            let der =
                found.map_err(|error| Fault::bad(format!("not a PEM certificate: {error}")))?;
            // A self-signed server certificate without the CA flag is no root, but still one of `own`.
            let _ = roots.add(der.clone());
            own.push(der.into_owned());
        }
        if own.is_empty() {
            return Err(Fault::bad("it holds no PEM certificate"));
        }
        let webpki = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
            .build()
            .map_err(|error| Fault::bad(format!("its certificates cannot be used: {error}")))?;
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| Fault::bad(error.to_string()))?;
        let config = builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(OwnOrWebPki { webpki, own }))
            .with_no_client_auth();
        let id = crate::wire::text::sha256(pem);
        let id = id
            .iter()
            .take(8)
            .fold(0_u64, |id, &byte| id << 8 | u64::from(byte))
            | 1;
        Ok(TlsSettings {
            config: Arc::new(config),
            id,
        })
    }
}

/// The usual verifier, and after its refusal the certificates that the owner named himself.
#[derive(Debug)]
struct OwnOrWebPki {
    webpki: Arc<WebPkiServerVerifier>,
    own: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for OwnOrWebPki {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let refused =
            match self
                .webpki
                .verify_server_cert(end_entity, intermediates, server_name, ocsp, now)
            {
                Ok(verified) => return Ok(verified),
                Err(refused) => refused,
            };
        if !self
            .own
            .iter()
            .any(|own| own.as_ref() == end_entity.as_ref())
        {
            return Err(refused);
        }
        let validity = cert::validity(end_entity.as_ref()).ok_or(
            rustls::Error::InvalidCertificate(CertificateError::BadEncoding),
        )?;
        if now.as_secs() < validity.not_before_unix_s {
            return Err(CertificateError::NotValidYet.into());
        }
        if now.as_secs() > validity.not_after_unix_s {
            return Err(CertificateError::Expired.into());
        }
        let parsed = ParsedCertificate::try_from(end_entity)?;
        rustls::client::verify_server_name(&parsed, server_name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.webpki.verify_tls12_signature(message, cert, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.webpki.verify_tls13_signature(message, cert, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
    }
}

/// The error of a failed handshake, with the remedy where there is one.
pub fn handshake_error(host: &str, error: &std::io::Error) -> Error {
    let inner = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let sentence = match inner {
        Some(rustls::Error::InvalidCertificate(why)) => certificate_sentence(why),
        Some(rustls::Error::InvalidMessage(_)) => {
            "it does not speak TLS there: is the base_url http:// instead of https://?".to_string()
        }
        Some(other) => other.to_string(),
        None if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            "it closed the connection during the handshake".to_string()
        }
        None => error.to_string(),
    };
    Error::upstream(
        Kind::Unreachable,
        format!("no TLS connection to {host}: {sentence}"),
    )
}

fn certificate_sentence(why: &CertificateError) -> String {
    match why {
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet: check this host's clock".to_string()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired: renew it, or check this host's clock".to_string()
        }
        CertificateError::NotValidForName => "its certificate is for another name".to_string(),
        CertificateError::NotValidForNameContext { presented, .. } => {
            let names: Vec<&str> = presented.iter().take(8).map(String::as_str).collect();
            format!("its certificate is for another name; it has: {}", if names.is_empty() { "none".to_string() } else { names.join(", ") })
        }
        CertificateError::UnknownIssuer => {
            "its certificate is signed by an authority that is not trusted here: set ca_file of the upstream to that authority's PEM file".to_string()
        }
        CertificateError::Other(other) if format!("{other:?}").contains("CaUsedAsEndEntity") => {
            "its certificate is self-signed: set ca_file of the upstream to a PEM file with that certificate".to_string()
        }
        other => format!("its certificate is not accepted ({other:?})"),
    }
}
