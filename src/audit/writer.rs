//! The single task that takes records.

use std::time::Duration;

use serde::Deserialize;

/// What is done with a write whose intent cannot be made durable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// It is answered 503.
    #[default]
    Required,
    /// It is forwarded, and the loss counted.
    BestEffort,
}

/// Which reads are recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reads {
    /// All of them.
    #[default]
    All,
    /// Those that showed a violation.
    Violations,
    /// None.
    None,
}

/// `[audit]`: what is recorded, and how surely.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether a write needs a durable intent.
    pub mode: Mode,
    /// How long a record may take to become durable.
    #[serde(with = "crate::duration")]
    pub deadline: Duration,
    /// Which reads are recorded.
    pub reads: Reads,
}

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Self { mode: Mode::default(), deadline: Duration::from_secs(2), reads: Reads::default() }
    }
}
