//! The gateway as it runs.

pub mod listen;

use crate::config;

/// Why the gateway could not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A stand-in.
    #[error("this build cannot serve yet")]
    Missing,
}

/// Serves until `shutdown`.
///
/// # Errors
///
/// Always: a stand-in.
#[expect(clippy::unused_async, reason = "a stand-in")]
pub async fn run(
    _config: config::Config,
    _shutdown: impl Future<Output = ()> + Send,
) -> Result<(), Error> {
    Err(Error::Missing)
}

// === impl Error ===

impl Error {
    /// Whether the configuration is to blame.
    #[must_use]
    pub fn is_configuration(&self) -> bool {
        false
    }
}
