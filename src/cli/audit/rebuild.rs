//! `audit rebuild`.

use std::time::Duration;

use clap::Args;
use key_backup_gateway::audit::store::{Summarised, TreeStore};

use crate::cli::{Database, say, small_runtime, trail};

/// How many records are taken in at once.
const BATCH: u32 = 5000;
/// Until whoever works on it just now is done with a step.
const PAUSE: Duration = Duration::from_millis(50);
/// So many records are worth a word.
const WORD: u64 = 1_000_000;

#[derive(Debug, Args)]
pub(in crate::cli) struct Rebuild {
    #[command(flatten)]
    database: Database,
}

// === impl Rebuild ===

impl Rebuild {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let config = self.database.load()?;
        let records = small_runtime()?.block_on(async {
            // Only to see that there is one: what follows writes.
            drop(trail::open_existing(&config.database)?);
            let store = trail::open(&config.database)?;
            let done = rebuild(&*store).await;
            store.close().await;
            done
        })?;
        say(&format!("the summary is made anew, of {records} records"))
    }
}

/// Makes it anew, and waits until it is whole, whoever does it: gateways help. How many records it has then.
async fn rebuild(store: &dyn TreeStore) -> anyhow::Result<u64> {
    store.check_schema().await?;
    store.forget_summary().await?;
    let (mut taken, mut said) = (0, 0);
    loop {
        match store.summarise(BATCH).await? {
            Summarised::Taken(0) => {}
            Summarised::Taken(records) => {
                taken += records;
                if taken / WORD > said {
                    said = taken / WORD;
                    eprintln!("{said} million records");
                }
                continue;
            }
            Summarised::Busy => tokio::time::sleep(PAUSE).await,
            // Somebody migrated meanwhile, or began anew.
            Summarised::Due => store.forget_summary().await?,
        }
        let standing = store.standing().await?;
        if !standing.is_behind {
            return Ok(standing.summarised);
        }
    }
}
