//! [`Certificates`]: the certificate and key of a listener, and what it takes to speak TLS with them.
//!
//! # Promise
//!
//! TLS 1.2 and 1.3, with the provider that is named here and no other; HTTP/2 and HTTP/1.1 are offered
//! (ALPN), in this order. No early data (0-RTT) is taken: it could be played again. A certificate that
//! does not go with its key is never put to use, and the one before stays. No message has any part of
//! the key's file in it.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject as _};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{InconsistentKeys, ServerConfig};
use tokio_rustls::server::TlsStream;

use crate::config;

/// What is spoken within TLS, the better first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The certificate and key in use. Clones share them.
#[derive(Clone)]
pub(crate) struct Certificates {
    files: config::Tls,
    current: Arc<ArcSwap<ServerConfig>>,
}

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("{} cannot be read", .file.display())]
    Read {
        /// Which.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{} {text}", .file.display())]
    Content {
        /// Which.
        file: PathBuf,
        /// What is wrong with it.
        text: &'static str,
    },
    /// Both files are well-formed, and not of one pair.
    #[error("the key in {} is not that of the first certificate in {}", .key_file.display(), .certificate_file.display())]
    NoPair {
        /// Where the certificate is.
        certificate_file: PathBuf,
        /// Where the key is.
        key_file: PathBuf,
    },
    /// Something else is wrong with the certificate.
    #[error("the certificate in {} cannot be used", .file.display())]
    Certificate {
        /// Where it is.
        file: PathBuf,
        /// Why.
        source: rustls::Error,
    },
}

// === impl Certificates ===

impl Certificates {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// If one of them cannot be used, naming it, or if they are not of one pair.
    pub(crate) fn read(files: &config::Tls) -> Result<Self, Error> {
        let current = Arc::new(ArcSwap::from_pointee(read(files)?));
        Ok(Self {
            files: files.clone(),
            current,
        })
    }

    /// Reads the files again. New connections get what they hold now; open ones go on.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read); then what was in use before stays.
    pub(crate) fn reread(&self) -> Result<(), Error> {
        self.current.store(Arc::new(read(&self.files)?));
        Ok(())
    }

    /// What the operator should know although it works: that all users of this machine may read the key.
    pub(crate) fn warning(&self) -> Option<String> {
        let file = &self.files.key_file;
        let mode = fs::metadata(file).ok()?.permissions().mode();
        (mode & 0o004 != 0).then(|| {
            format!(
                "{} can be read by every user of this machine: take the right from others",
                file.display()
            )
        })
    }

    /// Shakes hands with the client at the other end of `io`. There is no deadline: the caller has one.
    ///
    /// # Errors
    ///
    /// If the client does not speak TLS, or not as we do; it has been told why, if it could be.
    pub(crate) async fn accept<IO>(&self, io: IO) -> io::Result<TlsStream<IO>>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        TlsAcceptor::from(self.current.load_full()).accept(io).await
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not what is in use: a key is part of it.
        self.files.fmt(f)
    }
}

/// Says what is wrong with `files`, without putting them to use.
///
/// # Errors
///
/// If one of them cannot be used, naming it, or if they are not of one pair.
pub(crate) fn check(files: &config::Tls) -> Result<(), Error> {
    read(files).map(drop)
}

fn read(files: &config::Tls) -> Result<ServerConfig, Error> {
    let certificates = certificates(&files.certificate_file)?;
    let key = key(&files.key_file)?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has cipher suites for TLS 1.2 and 1.3")
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .map_err(|error| unusable(error, files))?;
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    Ok(config)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let bytes = bytes(file)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        Ok(_) => Err(content(
            file,
            "holds no certificate in PEM (BEGIN CERTIFICATE)",
        )),
        Err(_) => Err(content(file, NOT_PEM)),
    }
}

fn key(file: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    PrivateKeyDer::from_pem_slice(&bytes(file)?).map_err(|error| {
        // What it says of anything else quotes the lines.
        let text = if matches!(error, pem::Error::NoItemsFound) {
            "holds no private key in PEM (BEGIN PRIVATE KEY); one with a passphrase cannot be used"
        } else {
            NOT_PEM
        };
        content(file, text)
    })
}

const NOT_PEM: &str = "is not well-formed PEM";

fn bytes(file: &Path) -> Result<Vec<u8>, Error> {
    fs::read(file).map_err(|source| Error::Read {
        file: file.to_owned(),
        source,
    })
}

fn content(file: &Path, text: &'static str) -> Error {
    Error::Content {
        file: file.to_owned(),
        text,
    }
}

fn unusable(error: rustls::Error, files: &config::Tls) -> Error {
    let no_pair = rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch);
    if error == no_pair {
        return Error::NoPair {
            certificate_file: files.certificate_file.clone(),
            key_file: files.key_file.clone(),
        };
    }
    // So the provider says that it knows no such key.
    if matches!(error, rustls::Error::General(_)) {
        let text = "holds a private key that is damaged, or of a kind that cannot be used: take \
                    ECDSA, RSA or Ed25519";
        return content(&files.key_file, text);
    }
    Error::Certificate {
        file: files.certificate_file.clone(),
        source: error,
    }
}

#[cfg(test)]
mod tests;
