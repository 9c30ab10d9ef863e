//! What the gateway says of itself while it runs: the log.
//!
//! Lines go to standard error, for people (`text`) or for machines (`json`, an object a line).
//! Nothing else of ours writes there once `serve` has begun.

use std::io::{self, IsTerminal as _};

use serde::Deserialize;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, fmt};

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// `[log]`: what is logged, and how it looks.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// How a line looks.
    pub format: Format,
    /// A level, or directives of [`EnvFilter`]: `info`, or `info,sqlx=warn`.
    pub level: String,
}

/// Why a level is none.
#[derive(Debug, thiserror::Error)]
#[error(
    "not a level; write `error`, `warn`, `info`, `debug` or `trace`, or as in `info,sqlx=warn`"
)]
pub struct InvalidLevel;

/// Why the log could not be begun.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `log.level` is not understood.
    #[error("log.level")]
    Level(#[from] InvalidLevel),
    /// Somebody else in this process logs already.
    #[error("the log has begun already")]
    Begun(#[from] tracing_subscriber::util::TryInitError),
}

/// Begins the log, for the rest of the process.
///
/// # Errors
///
/// If the level is not understood, or the log has begun.
pub fn init(config: &Config) -> Result<(), Error> {
    let lines = fmt::layer().with_writer(io::stderr);
    let lines = match config.format {
        // Colours are for terminals: in a file they are noise.
        Format::Text => lines.with_ansi(io::stderr().is_terminal()).boxed(),
        Format::Json => lines.json().flatten_event(true).with_span_list(false).boxed(),
    };
    tracing_subscriber::registry().with(config.filter()?).with(lines).try_init()?;
    Ok(())
}

// === impl Config ===

impl Config {
    /// What is logged.
    ///
    /// # Errors
    ///
    /// If [`level`](Self::level) is neither a level nor a list of directives.
    pub fn filter(&self) -> Result<EnvFilter, InvalidLevel> {
        for directive in self.level.split(',') {
            // To `EnvFilter`, a bare word that is no level names a module: `inof` would log
            // nothing at all.
            let is_bare = !directive.contains(['=', '[']);
            let is_level =
                !directive.trim().is_empty() && directive.trim().parse::<LevelFilter>().is_ok();
            if is_bare && !is_level {
                return Err(InvalidLevel);
            }
        }
        EnvFilter::builder().parse(&self.level).map_err(|_| InvalidLevel)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self { format: Format::default(), level: "info".to_owned() }
    }
}
