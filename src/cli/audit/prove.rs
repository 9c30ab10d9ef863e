//! `audit prove`.

use std::io::{self, Write as _};

use clap::Args;
use key_backup_gateway::audit::export;
use uuid::Uuid;

use super::read;
use crate::cli::{Database, closed_pipe_is_fine};

#[derive(Debug, Args)]
pub(in crate::cli) struct Prove {
    /// The id of the exchange, as `audit list` and the log show it; or of a record
    #[arg(value_name = "EXCHANGE")]
    id: Uuid,
    #[command(flatten)]
    database: Database,
}

// === impl Prove ===

impl Prove {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let id = self.id;
        read(self.database, async |store| {
            let proof = export::prove(&store, id).await?;
            closed_pipe_is_fine(io::stdout().write_all(proof.as_bytes()))
        })
    }
}
