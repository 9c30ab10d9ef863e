//! `audit keygen`.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use key_backup_gateway::audit::seal::keys;

use crate::cli::{Database, say};

#[derive(Debug, Args)]
pub(in crate::cli) struct Keygen {
    #[command(flatten)]
    database: Database,
    /// Where the private key goes [`checkpoint.key_file`]
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// The key's name, which is the origin of the checkpoints: `example.org/key-backup-audit` [`checkpoint.name`]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Let a new key of the same name sign beside those that are in the file
    #[arg(long, conflicts_with = "name")]
    rotate: bool,
}

// === impl Keygen ===

impl Keygen {
    pub(super) fn run(self) -> anyhow::Result<()> {
        // A configuration that names a key file which is not there yet is no mistake here.
        let checkpoint = self.database.load_without_keys()?;
        let path = self
            .key_file
            .or_else(|| checkpoint.checkpoint.key_path(&checkpoint.database))
            .context("say where the key goes: --key-file FILE, or checkpoint.key_file")?;
        let public = if self.rotate {
            keys::rotate(&path)?
        } else {
            let name = self.name.or(checkpoint.checkpoint.name);
            let name = name.context("say how the key is named: --name NAME, or checkpoint.name")?;
            keys::make(&path, &name)?
        };
        eprintln!(
            "The private key is in {}, the public one in {} and here:",
            path.display(),
            keys::public_path(&path).display()
        );
        say(&public)
    }
}
