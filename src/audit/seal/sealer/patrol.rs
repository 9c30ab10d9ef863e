//! Looks for records that nobody has put in line: those of versions that did not seal, and those that were
//! written round the gateway.

use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use crate::audit::store::{Error, TreeStore};

/// How many records are looked at in a step: some 30 ms of the database's time.
const LOOK: u32 = 10_000;
/// Between two steps that found nothing.
const PAUSE: Duration = Duration::from_secs(2);
/// Between two rounds.
const REST: Duration = Duration::from_hours(1);

/// How far the patrol has come.
#[derive(Default)]
pub(super) struct Patrol {
    after: Uuid,
    next_at: Option<Instant>,
}

// === impl Patrol ===

impl Patrol {
    pub(super) async fn step(&mut self, store: &dyn TreeStore) -> Result<(), Error> {
        if self.next_at.is_some_and(|at| Instant::now() < at) {
            return Ok(());
        }
        let found = store.adopt(self.after, LOOK).await?;
        let pause = if let Some(next) = found.next {
            self.after = next;
            if found.adopted > 0 {
                Duration::ZERO
            } else {
                PAUSE
            }
        } else {
            self.after = Uuid::nil();
            REST
        };
        self.next_at = Some(Instant::now() + pause);
        if found.adopted > 0 {
            tracing::info!(
                records = found.adopted,
                "found records that did not wait to be sealed, and put them in line: those of an earlier \
                 version, or written round the gateway"
            );
        }
        Ok(())
    }
}
