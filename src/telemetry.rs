//! What the gateway says of itself while it runs: the log.
//!
//! Lines go to standard error, for people (`text`) or for machines (`json`, an object a line).
//! Nothing else of ours writes there once `serve` has begun.

use std::io::{self, IsTerminal as _};

use serde::Deserialize;
use tracing::Subscriber;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};
use tracing_subscriber::{EnvFilter, Layer};

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
    Begun(#[from] TryInitError),
}

/// An error and all that caused it, in one line: what an operator wants to read. In a line of JSON an
/// error as a value has its first text alone.
#[must_use]
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |&error| error.source());
    causes.fold(error.to_string(), |mut line, cause| {
        line.push_str(": ");
        line.push_str(&cause.to_string());
        line
    })
}

/// Begins the log, for the rest of the process.
///
/// # Errors
///
/// If the level is not understood, or the log has begun.
pub fn init(config: &Config) -> Result<(), Error> {
    // Colours are for terminals: in a file they are noise.
    let lines = lines(config.format, io::stderr, io::stderr().is_terminal());
    tracing_subscriber::registry()
        .with(config.filter()?)
        .with(lines)
        .try_init()?;
    Ok(())
}

/// What makes a line of an event.
fn lines<S, W>(format: Format, writer: W, colours: bool) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let lines = fmt::layer().with_writer(writer);
    match format {
        Format::Text => lines.with_ansi(colours).boxed(),
        Format::Json => lines
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .boxed(),
    }
}

// === impl Config ===

impl Config {
    /// What is logged.
    ///
    /// # Errors
    ///
    /// If [`level`](Self::level) is neither a level nor a list of directives.
    pub fn filter(&self) -> Result<EnvFilter, InvalidLevel> {
        let directives: Vec<&str> = self.level.split(',').map(str::trim).collect();
        for directive in &directives {
            // To `EnvFilter`, a bare word that is no level names a module: `inof` would log
            // nothing at all.
            let is_bare = !directive.contains(['=', '[']);
            let is_level = !directive.is_empty() && directive.parse::<LevelFilter>().is_ok();
            if is_bare && !is_level {
                return Err(InvalidLevel);
            }
        }
        EnvFilter::builder()
            .parse(directives.join(","))
            .map_err(|_| InvalidLevel)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            format: Format::default(),
            level: "info".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// What is logged while `work` is done.
    fn logged(config: &Config, work: impl FnOnce()) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        let writer = Arc::new(file.reopen().unwrap());
        let lines = lines(config.format, writer, false);
        let log = tracing_subscriber::registry()
            .with(config.filter().unwrap())
            .with(lines);
        tracing::subscriber::with_default(log, work);
        std::fs::read_to_string(file.path()).unwrap()
    }

    fn level(level: &str) -> Config {
        Config {
            level: level.to_owned(),
            ..Config::default()
        }
    }

    #[test]
    fn a_line_of_json_is_one_object_with_the_fields_of_the_event() {
        let config = Config {
            format: Format::Json,
            ..Config::default()
        };
        let said = logged(&config, || tracing::info!(exchange.id = 7, "a\nb"));
        assert_eq!(said.lines().count(), 1, "{said}");
        let line: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_eq!(line["exchange.id"], 7);
        assert_eq!(line["message"], "a\nb");
        assert_eq!(line["level"], "INFO");
    }

    #[test]
    fn no_line_acts_on_a_terminal() {
        let said = logged(&Config::default(), || {
            tracing::info!(
                field = "\u{1b}[31m",
                "message \u{1b}[2J {}",
                "\u{1b}]0;x\u{7}"
            );
        });
        assert!(
            said.contains("message") && !said.contains('\u{1b}'),
            "{said:?}"
        );
    }

    #[test]
    fn the_level_says_what_is_left_out() {
        let work = || {
            tracing::debug!("fine");
            tracing::info!("usual");
            tracing::info!(target: "sqlx", "foreign");
        };
        let said = logged(&level("info, sqlx=warn"), work);
        assert!(said.contains("usual") && !said.contains("fine"), "{said}");
        assert!(!said.contains("foreign"), "{said}");
        assert!(logged(&level("debug"), work).contains("fine"));
        assert_eq!(logged(&level("off"), work), "");
    }

    #[test]
    fn a_word_that_is_no_level_is_refused() {
        for wrong in ["inof", "", "info,", "info,sqlx", "sqlx=loud", "info warn"] {
            assert!(level(wrong).filter().is_err(), "{wrong:?}");
        }
    }
}
