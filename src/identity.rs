//! Who asks.

use std::time::Duration;

use serde::Deserialize;

/// `[identity]`: how the homeserver is asked who is asking.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How long an answer that named a user is believed.
    #[serde(with = "crate::duration")]
    pub cache: Duration,
    /// How long an answer is waited for.
    #[serde(with = "crate::duration")]
    pub deadline: Duration,
    /// Whether whoami is asked beside reads, too.
    pub reads: bool,
}

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Self { cache: Duration::from_secs(30), deadline: Duration::from_secs(2), reads: false }
    }
}
