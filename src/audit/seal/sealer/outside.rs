//! What reaches out of the database: brings checkpoints to where they go, and holds the database against what is
//! there. In a task of its own, so that an endpoint that hangs, or a disk, keeps nobody from sealing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use super::fork::Fork;
use super::publisher::Publisher;
use crate::audit::health::{Board, Part, Trouble, chain};
use crate::audit::seal::metrics::Metrics;
use crate::audit::seal::note::Verifiers;
use crate::audit::seal::step::Broken;
use crate::audit::store::{Error, TreeStore};

/// Between two looks at what is to be published.
const TICK: Duration = Duration::from_millis(300);

/// Whether the database leads to what was published.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nobody has looked yet.
    #[default]
    Unknown,
    /// It does, as far as could be seen.
    Leads,
    /// It does not.
    Parted(Broken),
}

/// The task's state.
pub(super) struct Outside {
    pub(super) store: Arc<dyn TreeStore>,
    pub(super) verifiers: Verifiers,
    pub(super) publisher: Publisher,
    pub(super) fork: Fork,
    pub(super) board: Board,
    pub(super) metrics: Metrics,
    pub(super) standing: watch::Sender<Standing>,
    /// Somebody has seen something that makes another look worth while.
    pub(super) suspicion: Arc<AtomicBool>,
}

// === impl Outside ===

impl Outside {
    /// Until it is told to stop; then what is there is published once more.
    pub(super) async fn run(mut self, mut stopping: watch::Receiver<bool>) {
        loop {
            // A store that is away is said by those who record.
            if let Err(error) = self.round(false).await {
                tracing::debug!(error = chain(&error), "checkpoints were not looked for");
            }
            let stopped = stopping.wait_for(|stop| *stop);
            if tokio::time::timeout(TICK, stopped).await.is_ok() {
                break;
            }
        }
        if let Err(error) = self.round(true).await {
            tracing::debug!(
                error = chain(&error),
                "the last checkpoints were not looked for"
            );
        }
    }

    async fn round(&mut self, is_last: bool) -> Result<(), Error> {
        let Self {
            store,
            verifiers,
            publisher,
            fork,
            ..
        } = self;
        if self.suspicion.swap(false, Ordering::Relaxed) {
            fork.look_again();
        }
        let parted = fork.look(&**store, publisher, verifiers).await?;
        let standing = parted.map_or(Standing::Leads, Standing::Parted);
        let has_parted = matches!(standing, Standing::Parted(_));
        self.standing.send_if_modified(|before| {
            let is_news = *before != standing;
            *before = standing;
            is_news
        });
        // What is not ours to go on with is not ours to publish.
        let trouble: Option<Trouble> = if has_parted {
            None
        } else {
            publisher
                .publish(&**store, verifiers, &self.metrics, is_last)
                .await?
        };
        self.board.say(Part::Publisher, trouble);
        Ok(())
    }
}
