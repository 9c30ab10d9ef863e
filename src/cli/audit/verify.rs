//! `audit verify`.

use std::fs;
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use key_backup_gateway::audit::seal::{Verifiers, public_keys_beside};
use key_backup_gateway::audit::store;
use key_backup_gateway::audit::verify::{self, Report};
use key_backup_gateway::config;
use serde_json::json;

use crate::cli::{Database, runtime, say, trail};

/// It is not sound.
const NOT_SOUND: u8 = 1;
/// It could not be told.
const COULD_NOT_TELL: u8 = 3;

#[derive(Debug, Args)]
pub(in crate::cli) struct Verify {
    #[command(flatten)]
    database: Database,
    /// Verify this export (JSON Lines), without the database
    #[arg(long, value_name = "FILE", conflicts_with_all = ["database", "config", "proof"])]
    export: Option<PathBuf>,
    /// Verify this proof of one exchange, without the database
    #[arg(long, value_name = "FILE", conflicts_with_all = ["database", "config"])]
    proof: Option<PathBuf>,
    /// A note verifier key, or a file of some; beside an SQLite file it is found by itself
    #[arg(long, value_name = "KEY")]
    public_key: Vec<String>,
    /// A checkpoint, or a file of some, that was kept elsewhere
    #[arg(long, value_name = "FILE")]
    checkpoint: Vec<PathBuf>,
    /// How the result is written
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Format {
    /// For people
    #[default]
    Text,
    /// One JSON object
    Json,
}

// === impl Verify ===

impl Verify {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let began = Instant::now();
        let format = self.format;
        let verified = self.verify();
        if io::stderr().is_terminal() {
            eprint!("\r{:40}\r", "");
        }
        match verified {
            Ok(report) => {
                say(&match format {
                    Format::Text => told(&report, began.elapsed()),
                    Format::Json => json(&report),
                })?;
                Ok(if report.is_sound() {
                    ExitCode::SUCCESS
                } else {
                    NOT_SOUND.into()
                })
            }
            // The same words as everywhere else, and their exit code.
            Err(error) if error.is::<config::Error>() => Err(error),
            Err(error) => {
                eprintln!("key-backup-gateway: could not tell: {error:#}");
                Ok(COULD_NOT_TELL.into())
            }
        }
    }

    fn verify(self) -> anyhow::Result<Report> {
        let outside = self.checkpoint.iter().map(|path| read(path));
        let outside = outside.collect::<anyhow::Result<Vec<_>>>()?;
        let shown = AtomicU64::new(0);
        let progress = move |count: u64| progress(count, &shown);
        if let Some(path) = &self.export {
            let verifiers = verifiers(&self.public_key, None)?;
            return Ok(verify::export(path, &verifiers, &outside, &progress)?);
        }
        if let Some(path) = &self.proof {
            let verifiers = verifiers(&self.public_key, None)?;
            let (_, text) = read(path)?;
            return Ok(verify::proof(&text, &verifiers, &outside)?);
        }
        let config = self.database.load()?;
        let verifiers = verifiers(&self.public_key, Some(&config.database))?;
        runtime()?.block_on(async {
            let store = trail::open_existing(&config.database)?;
            let done = async {
                store.check_schema().await?;
                let store = std::sync::Arc::clone(&store);
                Ok(verify::database(store, &verifiers, &outside, &progress).await?)
            };
            let done = done.await;
            store.close().await;
            done
        })
    }
}

/// The keys that are given, or lie beside an SQLite file.
fn verifiers(given: &[String], database: Option<&store::Config>) -> anyhow::Result<Verifiers> {
    let mut texts = Vec::new();
    for key in given {
        // A key may hold slashes, and be no path all the same.
        let is_file = Path::new(key).is_file();
        texts.push(if is_file {
            fs::read_to_string(key).with_context(|| format!("--public-key {key} cannot be read"))?
        } else {
            key.clone()
        });
    }
    if texts.is_empty() {
        let beside = database.and_then(public_keys_beside);
        texts.push(beside.context(
            "the public key is missing: --public-key KEY, as `audit keygen` printed it, or a file of it",
        )?);
    }
    let keys: Vec<String> = texts
        .iter()
        .flat_map(|text| text.lines())
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect();
    Verifiers::parse(&keys).context("--public-key")
}

fn read(path: &Path) -> anyhow::Result<(String, String)> {
    let name = path.display().to_string();
    let text = fs::read_to_string(path).with_context(|| format!("{name} cannot be read"))?;
    Ok((name, text))
}

/// For those who wait, a few times a second.
fn progress(count: u64, shown: &AtomicU64) {
    const STEP: u64 = 100_000;
    let before = shown.fetch_max(count, Ordering::Relaxed);
    if count / STEP > before / STEP && io::stderr().is_terminal() {
        eprint!("\r{count} records verified …");
    }
}

fn told(report: &Report, took: Duration) -> String {
    let mut text = match &report.finding {
        None if report.is_part => {
            "sound, as far as these records go: a part says nothing of what is not in it\n"
                .to_owned()
        }
        None => "sound\n".to_owned(),
        Some(finding) => {
            let leaf = finding.leaf_index.map(|index| format!("leaf {index}: "));
            let record = finding.record_id.map(|id| format!("record {id}: "));
            format!(
                "NOT SOUND: {}: {}{}{}\n",
                finding.code,
                leaf.unwrap_or_default(),
                record.unwrap_or_default(),
                finding.message
            )
        }
    };
    let seconds = took.as_secs_f64();
    let line = |count: u64, what: &str| format!("  {count:>12}  {what}\n");
    text += &line(report.sealed, "records are sealed");
    text += &line(
        report.unsealed,
        &match report.first_unsealed {
            Some(id) => format!("are not sealed, and nothing is proved of them; the first is {id}"),
            None => "are not sealed".to_owned(),
        },
    );
    text += &line(report.checkpoints, "signed tree heads were verified");
    text += &line(
        report.open_intents,
        "writes have no outcome: they may have happened",
    );
    text += &line(
        report.clock_disorder,
        "records have a clock that ran back, or ahead of the database's",
    );
    text += &line(
        report.late,
        "records were sealed more than a minute after they were stored",
    );
    #[expect(clippy::cast_precision_loss, reason = "a rate, for people")]
    let rate = report.records as f64 / seconds.max(1e-6);
    text + &format!(
        "{} records in {seconds:.2} s, {rate:.0} a second",
        report.records
    )
}

fn json(report: &Report) -> String {
    let finding = report.finding.as_ref().map(|finding| {
        json!({
            "code": finding.code,
            "leaf_index": finding.leaf_index,
            "record_id": finding.record_id,
            "message": finding.message,
        })
    });
    json!({
        "sound": report.is_sound(),
        "records": report.records,
        "sealed": report.sealed,
        "unsealed": report.unsealed,
        "first_unsealed": report.first_unsealed,
        "open_intents": report.open_intents,
        "clock_disorder": report.clock_disorder,
        "late": report.late,
        "checkpoints": report.checkpoints,
        "part": report.is_part,
        "finding": finding,
    })
    .to_string()
}
