//! `audit stats` and `audit report`.

use std::io::{self, Write as _};
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use key_backup_gateway::admin::terminal::{self, Days, Error, Report};
use key_backup_gateway::clock::SystemClock;

use super::read;
use crate::cli::{Database, Misused, closed_pipe_is_fine};

#[derive(Debug, Args)]
pub(in crate::cli) struct Stats {
    #[command(flatten)]
    database: Database,
    /// The time to look at; a week if nothing is said, or what `--from` and `--to` say
    #[arg(long, value_enum)]
    range: Option<Range>,
    /// The first day, as in 2026-11-23, UTC
    #[arg(long, value_name = "DAY", conflicts_with = "range")]
    from: Option<String>,
    /// The last day
    #[arg(long, value_name = "DAY", conflicts_with = "range")]
    to: Option<String>,
    /// How it is written
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Reported {
    /// Which
    #[arg(value_enum)]
    report: Which,
    #[command(flatten)]
    stats: Stats,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Which {
    /// What `observe` let through and `enforce` would refuse, by violation and client
    WouldBreak,
    /// Reads that gave what nobody wrote through the gateway, and users whose two types disagree
    Drift,
    /// Users by their last known preference, at the end of each day
    Adoption,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Range {
    /// By the hour
    Day,
    /// By the day
    Week,
    /// By the day
    Month,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Format {
    /// For people
    #[default]
    Table,
    /// One JSON object, as the API gives it
    Json,
}

// === impl Stats ===

impl Stats {
    pub(super) fn run(self) -> anyhow::Result<()> {
        self.print(Report::Stats)
    }

    fn print(self, report: Report) -> anyhow::Result<()> {
        let chosen = (self.from.is_some() || self.to.is_some()).then_some("chosen");
        let range = self.range.map(Range::as_str).or(chosen);
        let (from, to, format) = (self.from, self.to, self.format);
        read(self.database, async |store| {
            let days = Days {
                range,
                from: from.as_deref(),
                to: to.as_deref(),
            };
            let said = terminal::report(store, Arc::new(SystemClock), report, days).await;
            let said = match said {
                Err(Error::Range(why)) => return Err(Misused(why).into()),
                said => said.context("there is no report")?,
            };
            let text = match format {
                Format::Table => terminal::table(report, &said),
                Format::Json => terminal::json(&said) + "\n",
            };
            closed_pipe_is_fine(io::stdout().write_all(text.as_bytes()))
        })
    }
}

// === impl Reported ===

impl Reported {
    pub(super) fn run(self) -> anyhow::Result<()> {
        self.stats.print(match self.report {
            Which::WouldBreak => Report::WouldBreak,
            Which::Drift => Report::Drift,
            Which::Adoption => Report::Adoption,
        })
    }
}

// === impl Range ===

impl Range {
    fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }
}
