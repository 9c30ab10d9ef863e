//! `audit export`.

use std::io::{self, BufWriter, StdoutLock, Write as _};
use std::sync::Arc;

use chrono::SecondsFormat;
use clap::{Args, ValueEnum};
use key_backup_gateway::audit::export::{self, Csv, Line, Sink, write_sealed};
use key_backup_gateway::audit::filters::described;
use key_backup_gateway::audit::record::{Facts, Kind};
use key_backup_gateway::audit::store::TreeStore;
use key_backup_gateway::clock::{Clock as _, SystemClock};
use serde_json::json;

use super::filters::Filters;
use crate::cli::{Database, closed_pipe_is_fine, runtime, stamp, trail};

#[derive(Debug, Args)]
pub(in crate::cli) struct Export {
    #[command(flatten)]
    database: Database,
    #[command(flatten)]
    filters: Filters,
    /// How records are written
    #[arg(long, value_enum)]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// One JSON object a line, the last the manifest: this can be verified
    Jsonl,
    /// For spreadsheets; the manifest goes to standard error
    Csv,
}

struct Jsonl(BufWriter<StdoutLock<'static>>);

struct Rows(Csv<StdoutLock<'static>>);

// === impl Export ===

impl Export {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let config = self.database.load()?;
        let now = SystemClock.now();
        let query = self.filters.query(now);
        let filter = described(&query);
        runtime()?.block_on(async {
            // Only to see that there is one: what follows writes, too.
            drop(trail::open_existing(&config.database)?);
            let store = trail::open(&config.database)?;
            let done = async {
                store.check_schema().await?;
                let what = json!({
                    "operation": "export",
                    "format": format!("{:?}", self.format).to_lowercase(),
                    "filter": filter,
                });
                record(&*store, what).await;
                let at = now.to_rfc3339_opts(SecondsFormat::Micros, true);
                match self.format {
                    Format::Jsonl => {
                        let mut sink =
                            Jsonl(BufWriter::with_capacity(1 << 20, io::stdout().lock()));
                        write(&store, &query, filter, &at, &mut sink).await
                    }
                    Format::Csv => {
                        let mut sink = match Csv::sealed(io::stdout().lock()) {
                            Ok(csv) => Rows(csv),
                            Err(error) => return closed_pipe_is_fine(Err(error)),
                        };
                        write(&store, &query, filter, &at, &mut sink).await
                    }
                }
            };
            let done = done.await;
            store.close().await;
            done
        })
    }
}

async fn write(
    store: &Arc<dyn TreeStore>,
    query: &key_backup_gateway::audit::store::Query,
    filter: Option<serde_json::Value>,
    at: &str,
    sink: &mut impl Sink,
) -> anyhow::Result<()> {
    match export::trail(store, query, filter, at, sink).await {
        Err(export::Error::Output(error)) => closed_pipe_is_fine(Err(error)),
        done => Ok(done?),
    }
}

/// Says in the trail that it was exported. Whoever may only read exports all the same, and is told.
async fn record(store: &dyn TreeStore, what: serde_json::Value) {
    let facts = Facts {
        detail: Some(what),
        ..Facts::default()
    };
    let record = stamp().record(Kind::Operation, facts);
    if let Err(error) = store.append(&[record]).await {
        let error = anyhow::Error::from(error);
        eprintln!("key-backup-gateway: this export is not recorded in the trail: {error:#}");
    }
}

// === impl Jsonl ===

impl Sink for Jsonl {
    fn line(&mut self, line: &Line<'_>) -> io::Result<()> {
        write_sealed(&mut self.0, line)
    }

    fn end(&mut self, manifest: &str) -> io::Result<()> {
        writeln!(self.0, "{manifest}")?;
        self.0.flush()
    }
}

// === impl Rows ===

impl Sink for Rows {
    fn line(&mut self, line: &Line<'_>) -> io::Result<()> {
        self.0.write_sealed(line)
    }

    fn end(&mut self, manifest: &str) -> io::Result<()> {
        self.0.flush()?;
        writeln!(io::stderr(), "{manifest}")
    }
}
