//! `audit resume`.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use key_backup_gateway::audit::seal;
use key_backup_gateway::server;

use crate::cli::{Database, runtime, say, stamp, trail};

#[derive(Debug, Args)]
pub(in crate::cli) struct Resume {
    /// Confirm that the database was restored from a backup
    #[arg(long, required = true)]
    after_restore: bool,
    #[command(flatten)]
    database: Database,
    /// A checkpoint, or a file of some, that was kept elsewhere, beside those of the configuration
    #[arg(long, value_name = "FILE")]
    checkpoint: Vec<PathBuf>,
}

// === impl Resume ===

impl Resume {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let config = self.database.load()?;
        let checkpoint = &config.checkpoint;
        let path = checkpoint.key_path(&config.database).context(
            "the key that signs checkpoints is not known: run it with the gateway's own --config",
        )?;
        let signers = seal::keys::read(&path)?;
        let mut texts = Vec::new();
        // That of the configuration may not be there yet; one that was named must be.
        let configured = checkpoint.file.iter().filter(|path| path.exists());
        for path in configured.chain(&self.checkpoint) {
            let name = path.display();
            texts.push(fs::read_to_string(path).with_context(|| format!("{name} cannot be read"))?);
        }
        runtime()?.block_on(async {
            if let Some(endpoint) = server::checkpoint_endpoint(&config)? {
                let newest = endpoint.newest().await;
                let newest = newest.map_err(|error| anyhow::anyhow!("checkpoint.endpoint: {error}"))?;
                texts.extend(newest);
            }
            drop(trail::open_existing(&config.database)?);
            let store = trail::open(&config.database)?;
            let done = async {
                store.check_schema().await?;
                Ok::<_, anyhow::Error>(seal::resume(&*store, &stamp(), &signers.verifiers(), &texts).await?)
            };
            let done = done.await;
            store.close().await;
            match done? {
                None => say("nothing is lost: the database leads to every checkpoint"),
                Some(lost) => say(&format!(
                    "noted: the checkpoint of {} leaves is lost; the tree goes on from {} leaves, and the gateways seal again \
                     within seconds",
                    lost.size, lost.restored_size
                )),
            }
        })
    }
}
