//! Why the gateway did not start.

use std::io;

use super::CertificateError;
use crate::audit::{self, seal};
use crate::config::Listen;
use crate::proxy::{self, InvalidOrigin};

/// Why the gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `origin.url` is not what it should be.
    #[error("origin.url")]
    Origin(#[from] InvalidOrigin),
    /// It is not known how the origin is to be verified.
    #[error("{}", .0.key())]
    Verification(#[from] proxy::TlsError),
    /// A certificate or its key cannot be used.
    #[error("server.listen, {address}")]
    Certificate {
        /// The listener's address.
        address: String,
        /// Why.
        source: CertificateError,
    },
    /// The keys that sign checkpoints cannot be used.
    #[error("checkpoint.key_file")]
    Key(#[from] seal::keys::KeyError),
    /// The trail cannot be opened.
    #[error(transparent)]
    Open(#[from] audit::OpenError),
    /// The database's schema or encoding is not what this build expects, and it may not, or cannot,
    /// change it.
    #[error("{0}")]
    Outdated(String),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// The operating system has no thread left.
    #[error("the gateway could not be started")]
    System(#[from] io::Error),
}

// === impl Error ===

impl Error {
    pub(super) fn certificate(listen: &Listen, source: CertificateError) -> Self {
        Self::Certificate {
            address: listen.to_string(),
            source,
        }
    }

    /// Whether the operator must change the configuration or the database: starting again will not
    /// help.
    #[must_use]
    pub fn is_configuration(&self) -> bool {
        match self {
            Self::Origin(_)
            | Self::Verification(_)
            | Self::Certificate { .. }
            | Self::Key(_)
            | Self::Open(_)
            | Self::Outdated(_) => true,
            Self::Listen { .. } | Self::System(_) => false,
        }
    }
}
