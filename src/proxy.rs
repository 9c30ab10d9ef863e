//! Speaks to the origin.

use std::time::Duration;

use serde::Deserialize;

/// `[origin]`: the homeserver behind the gateway.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `http://HOST[:PORT]`.
    pub url: Option<String>,
    /// Waiting for TCP.
    #[serde(with = "crate::duration")]
    pub connect_timeout: Duration,
    /// Waiting for the answer to a guarded request.
    #[serde(with = "crate::duration")]
    pub guarded_timeout: Duration,
}

/// Where the origin is.
#[derive(Clone, Debug)]
pub struct Origin(#[expect(dead_code, reason = "a stand-in")] http::uri::Authority);

/// Why a URL names no origin.
#[derive(Debug, thiserror::Error)]
#[error("not an origin; write \"http://HOST:PORT\"")]
pub struct InvalidOrigin;

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Self {
            url: None,
            connect_timeout: Duration::from_secs(5),
            guarded_timeout: Duration::from_secs(30),
        }
    }
}

// === impl Origin ===

impl Origin {
    /// The origin that `url` names.
    ///
    /// # Errors
    ///
    /// If it is not `http://HOST[:PORT]`.
    pub fn parse(url: &str) -> Result<Self, InvalidOrigin> {
        let authority = url.strip_prefix("http://").ok_or(InvalidOrigin)?;
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        if authority.contains('@') {
            return Err(InvalidOrigin);
        }
        authority.parse().map(Self).map_err(|_| InvalidOrigin)
    }
}
