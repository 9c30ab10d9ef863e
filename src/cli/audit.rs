//! `audit …`: the trail, read, exported, proved and verified.
//!
//! Readers change nothing: no file is made, nothing is migrated. Only an export says in the trail that it was
//! made, and `resume` what was lost; `rebuild` writes what is derived, and no record.

mod export;
mod filters;
mod keygen;
mod prove;
mod rebuild;
mod report;
mod resume;
mod token;
mod verify;

use std::io::{self, BufWriter, StdoutLock, Write as _};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand, ValueEnum};
use key_backup_gateway::audit::export::{Csv, Table, exchange, find, write_jsonl};
use key_backup_gateway::audit::record::Stored;
use key_backup_gateway::audit::store::TreeStore;
use key_backup_gateway::clock::{Clock as _, SystemClock};
use uuid::Uuid;

use self::filters::Filters;
use super::{Database, closed_pipe_is_fine, small_runtime, trail};

/// How many records are asked for at once: a few hundred kilobytes.
const PAGE: u32 = 500;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List records, newest first
    List(List),
    /// Show one exchange, or one other record, in full
    Show(Show),
    /// Write the trail, or a part of it, to a file that can be verified without the database
    Export(export::Export),
    /// Write a proof of one exchange that shows no other
    Prove(prove::Prove),
    /// Verify a database, an export or a proof by the public key
    Verify(verify::Verify),
    /// Make a key that signs checkpoints, and print its public key
    Keygen(keygen::Keygen),
    /// Make a token for the auditor's page, and print it with its line for the configuration
    Token(token::MakeToken),
    /// Let a database that was restored go on, and say in the trail what was lost
    Resume(resume::Resume),
    /// How the trail is, and what happened: what the auditor's page says first
    Stats(report::Stats),
    /// What would break, where what is stored is not what was written, or who wants key backup
    Report(report::Reported),
    /// Make the summary anew, from which the page, `stats` and `report` speak; it is no part of the proof
    Rebuild(rebuild::Rebuild),
}

#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    database: Database,
    #[command(flatten)]
    filters: Filters,
    /// At most so many; 0 is all
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u64,
    /// How records are written
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Args)]
pub(super) struct Show {
    /// The id of the exchange, as `audit list` and the log show it; or of a record
    #[arg(value_name = "ID")]
    id: Uuid,
    #[command(flatten)]
    database: Database,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Format {
    /// For people
    #[default]
    Table,
    /// One JSON object a line, every field
    Jsonl,
    /// For spreadsheets, every field
    Csv,
}

/// Where records go.
enum Output {
    Table(Table<BufWriter<StdoutLock<'static>>>),
    Jsonl(BufWriter<StdoutLock<'static>>),
    Csv(Box<Csv<StdoutLock<'static>>>),
}

// === impl Command ===

impl Command {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::List(list) => list.run(),
            Self::Show(show) => show.run(),
            Self::Export(export) => export.run(),
            Self::Prove(prove) => prove.run(),
            Self::Verify(verify) => return verify.run(),
            Self::Keygen(keygen) => keygen.run(),
            Self::Token(token) => token.run(),
            Self::Resume(resume) => resume.run(),
            Self::Stats(stats) => stats.run(),
            Self::Report(report) => report.run(),
            Self::Rebuild(rebuild) => rebuild.run(),
        }
        .map(|()| ExitCode::SUCCESS)
    }
}

// === impl List ===

impl List {
    fn run(self) -> anyhow::Result<()> {
        let mut query = self.filters.query(SystemClock.now());
        let mut left = if self.limit == 0 {
            u64::MAX
        } else {
            self.limit
        };
        read(self.database, async |store| {
            // A closed pipe can come with the header already.
            let mut output = match Output::new(self.format) {
                Ok(output) => output,
                Err(error) => return closed_pipe_is_fine(Err(error)),
            };
            loop {
                query.limit = u32::try_from(left).unwrap_or(PAGE).min(PAGE);
                let page = store.page(&query).await?;
                let written = output.write(&page);
                if written.is_err() {
                    return closed_pipe_is_fine(written);
                }
                left = left.saturating_sub(u64::try_from(page.len()).unwrap_or(u64::MAX));
                query.before = page.last().map(|last| last.record.id);
                let is_last = page.len() < usize::try_from(query.limit).unwrap_or(usize::MAX);
                if is_last || left == 0 {
                    return closed_pipe_is_fine(output.flush());
                }
            }
        })
    }
}

// === impl Show ===

impl Show {
    fn run(self) -> anyhow::Result<()> {
        let id = self.id;
        read(self.database, async |store| {
            let records = find(&*store, id).await?;
            if records.is_empty() {
                anyhow::bail!("the trail has no exchange and no record {id}");
            }
            let mut out = BufWriter::new(io::stdout().lock());
            closed_pipe_is_fine(exchange(&mut out, &records).and_then(|()| out.flush()))
        })
    }
}

/// Opens the trail, lets `reader` read it, and closes it again.
fn read(
    database: Database,
    reader: impl AsyncFnOnce(Arc<dyn TreeStore>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let config = database.load()?;
    small_runtime()?.block_on(async {
        let store = trail::open_existing(&config.database)?;
        let done = async {
            // Says what to do, where a query would only fail.
            store.check_schema().await?;
            reader(Arc::clone(&store)).await
        };
        let done = done.await;
        store.close().await;
        done
    })
}

// === impl Output ===

impl Output {
    fn new(format: Format) -> io::Result<Self> {
        let out = io::stdout().lock();
        Ok(match format {
            Format::Table => Self::Table(Table::new(BufWriter::new(out))),
            Format::Jsonl => Self::Jsonl(BufWriter::new(out)),
            Format::Csv => Self::Csv(Box::new(Csv::new(out)?)),
        })
    }

    fn write(&mut self, page: &[Stored]) -> io::Result<()> {
        match self {
            Self::Table(table) => table.write(page),
            Self::Jsonl(out) => page.iter().try_for_each(|one| write_jsonl(out, one)),
            Self::Csv(csv) => page.iter().try_for_each(|one| csv.write(one)),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Table(table) => table.flush(),
            Self::Jsonl(out) => out.flush(),
            Self::Csv(csv) => csv.flush(),
        }
    }
}
