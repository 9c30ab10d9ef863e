//! Whom an `https://` origin must be: the name it must have, and the CAs that may say so.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

use super::origin::{Config, Origin, Place};

/// The one protocol that is spoken to an origin.
const HTTP_1_1: &[u8] = b"http/1.1";

/// Why the configuration does not say how an `https://` origin is verified.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// `ca_file` without `https://`: somebody believes in a protection that is not there.
    #[error("is of use for an https:// origin only: remove it, or write https:// in origin.url")]
    NotHttps,
    /// The file cannot be read.
    #[error("cannot read {}: {why}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        why: io::Error,
    },
    /// The file is no PEM.
    #[error("{} is not valid PEM: {why}", path.display())]
    NotPem {
        /// The file.
        path: PathBuf,
        /// Why.
        why: pem::Error,
    },
    /// There is no certificate in the file.
    #[error("{} holds no certificate: give one in PEM, \"-----BEGIN CERTIFICATE-----\"", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A certificate in the file is none.
    #[error("certificate {number} in {} cannot be used: {why}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Which one, from 1.
        number: usize,
        /// Why.
        why: rustls::Error,
    },
    /// There is no `ca_file`, and the system has no CAs either.
    #[error(
        "is not given, and the system has no CA certificates{why}: install them (ca-certificates), or name a file"
    )]
    NoSystemRoots {
        /// What was said on looking for them: empty, or text that begins with a blank.
        why: String,
    },
    /// A host that no certificate can name.
    #[error("has a HOST that no certificate can name: {0:?}")]
    Name(String),
}

/// Says whether `origin` could be verified: reads the CA file, and connects to nothing.
///
/// # Errors
///
/// If not, or if there is a CA file that is of no use. [`TlsError::key`] says what to change.
pub fn check(origin: &Origin, config: &Config) -> Result<(), TlsError> {
    peer(origin, config).map(drop)
}

/// How to speak TLS, and the name that the other side must have; `None` for an origin without TLS.
pub(super) fn peer(
    origin: &Origin,
    config: &Config,
) -> Result<Option<(Arc<ClientConfig>, ServerName<'static>)>, TlsError> {
    match (origin.place(), &config.ca_file) {
        (Place::Tcp | Place::Unix(_), None) => return Ok(None),
        (Place::Tcp | Place::Unix(_), Some(_)) => return Err(TlsError::NotHttps),
        (Place::Tls, _) => {}
    }
    let host = origin.authority().host();
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let name = ServerName::try_from(bare.unwrap_or(host))
        .map_err(|_| TlsError::Name(host.to_owned()))?
        .to_owned();
    let roots = match &config.ca_file {
        Some(path) => roots_of(path)?,
        None => system_roots()?,
    };
    // Never the process's default provider: it is whatever another crate has made it.
    let mut tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has cipher suites for TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = vec![HTTP_1_1.to_vec()];
    Ok(Some((Arc::new(tls), name)))
}

/// The certificates in `path`, all of them: one that is silently left out is looked for long.
fn roots_of(path: &Path) -> Result<RootCertStore, TlsError> {
    let named = || path.to_owned();
    let text = fs::read(path).map_err(|why| TlsError::Unreadable { path: named(), why })?;
    let mut roots = RootCertStore::empty();
    for (index, certificate) in CertificateDer::pem_slice_iter(&text).enumerate() {
        let certificate = certificate.map_err(|why| TlsError::NotPem { path: named(), why })?;
        roots.add(certificate).map_err(|why| TlsError::Unusable {
            path: named(),
            number: index + 1,
            why,
        })?;
    }
    if roots.is_empty() {
        return Err(TlsError::Empty { path: named() });
    }
    Ok(roots)
}

/// The system's certificates, as far as they can be used: nobody here can mend the others.
fn system_roots() -> Result<RootCertStore, TlsError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let first = found.errors.first();
        let why = first.map(|error| format!(" ({error})")).unwrap_or_default();
        return Err(TlsError::NoSystemRoots { why });
    }
    Ok(roots)
}

// === impl TlsError ===

impl TlsError {
    /// The key of the configuration that is to be changed.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        match self {
            Self::Name(_) => "origin.url",
            Self::NotHttps
            | Self::Unreadable { .. }
            | Self::NotPem { .. }
            | Self::Empty { .. }
            | Self::Unusable { .. }
            | Self::NoSystemRoots { .. } => "origin.ca_file",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::path::PathBuf;

    use tempfile::NamedTempFile;

    use super::{TlsError, check};
    use crate::proxy::{Config, Origin};

    fn checked(url: &str, ca_file: Option<PathBuf>) -> Result<(), TlsError> {
        let config = Config {
            ca_file,
            ..Config::default()
        };
        check(&Origin::parse(url).unwrap(), &config)
    }

    fn file(text: &str) -> NamedTempFile {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    fn certificate() -> String {
        let signed = rcgen::generate_simple_self_signed(["ca.example".to_owned()]).unwrap();
        signed.cert.pem()
    }

    #[test]
    fn a_file_of_certificates_is_good() {
        let two = file(&format!("a comment\n{}{}", certificate(), certificate()));
        for host in ["synapse.example", "synapse.example:8448", "[::1]:8448"] {
            let url = format!("https://{host}");
            assert!(checked(&url, Some(two.path().to_owned())).is_ok(), "{url}");
        }
    }

    #[test]
    fn a_file_of_anything_else_is_refused_by_its_name() {
        let half = certificate();
        let half = &half[..half.len() / 2];
        let junk = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for (text, why) in [
            ("", "holds no certificate"),
            ("not a certificate", "holds no certificate"),
            (half, "is not valid PEM"),
            (junk, "certificate 1 in"),
            (&format!("{}{junk}", certificate()), "certificate 2 in"),
        ] {
            let file = file(text);
            let error = checked("https://a", Some(file.path().to_owned())).unwrap_err();
            let said = error.to_string();
            assert!(said.contains(why), "{text}: {said}");
            assert!(said.contains(file.path().to_str().unwrap()), "{said}");
            assert_eq!(error.key(), "origin.ca_file");
        }
        let error = checked("https://a", Some("/does/not/exist.pem".into())).unwrap_err();
        assert!(error.to_string().contains("/does/not/exist.pem"), "{error}");
    }

    #[test]
    fn a_file_without_https_is_a_mistake() {
        let good = file(&certificate());
        for url in ["http://a", "unix:/run/a.sock"] {
            let error = checked(url, Some(good.path().to_owned())).unwrap_err();
            assert!(matches!(error, TlsError::NotHttps), "{url}: {error}");
            assert!(checked(url, None).is_ok(), "{url}");
        }
    }

    #[test]
    fn a_host_that_no_certificate_can_name_is_refused() {
        let good = file(&certificate());
        let error = checked("https://a_b..c", Some(good.path().to_owned())).unwrap_err();
        assert!(matches!(error, TlsError::Name(_)), "{error}");
        assert_eq!(error.key(), "origin.url");
    }
}
