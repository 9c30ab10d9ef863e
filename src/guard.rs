//! The guard.

use serde::Deserialize;

/// `[limits]`: how much of what cannot be verified is let through.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Writes a second that are forwarded although whoami cannot be had.
    pub unknown_per_second: u32,
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Self { unknown_per_second: 10 }
    }
}
