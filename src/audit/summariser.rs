//! The task that keeps the summary.
//!
//! Every gateway runs one; a lock lets one work at a time. It takes a small part of the time, so that it keeps nobody who
//! records from anything: in a rush it falls behind, and catches up after it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::health::chain;
use super::store::{Error, Summarised, TreeStore};

/// Between two looks at what arrived.
const TICK: Duration = Duration::from_secs(1);
/// How many records a step takes.
const BATCH: u32 = 2000;
/// A step that took so many is followed by the next at once; fewer are left to gather.
const RUSH: u64 = 500;
/// How many times as long as it took it rests after a step: it works for a twentieth of the time.
const REST: u32 = 19;
/// After so many failures it is said.
const FAILURES: u32 = 10;

/// Until it is told to stop.
pub(super) async fn run(store: Arc<dyn TreeStore>, mut stopping: watch::Receiver<bool>) {
    let told = async { stopping.wait_for(|told| *told).await.is_ok() };
    tokio::select! {
        _ = told => {}
        () = keep(&*store) => {}
    }
    store.close().await;
}

async fn keep(store: &dyn TreeStore) {
    let mut failures = 0;
    loop {
        let began = Instant::now();
        let is_behind = match step(store).await {
            Ok(is_behind) => {
                if failures >= FAILURES {
                    tracing::info!("the summary is kept again");
                }
                failures = 0;
                is_behind
            }
            Err(error) => {
                failures += 1;
                // Those who record are the first to say that the store is away.
                if failures == FAILURES {
                    tracing::warn!(
                        error = chain(&error),
                        "the summary of the trail is not kept"
                    );
                }
                false
            }
        };
        let rest = began.elapsed() * REST;
        tokio::time::sleep(if is_behind { rest } else { rest.max(TICK) }).await;
    }
}

/// Whether there is more to do at once.
async fn step(store: &dyn TreeStore) -> Result<bool, Error> {
    Ok(match store.summarise(BATCH).await? {
        Summarised::Busy => false,
        Summarised::Due => {
            tracing::info!(
                "the summary of the trail is made anew; until it is whole, `audit stats` and the page say less"
            );
            store.forget_summary().await?;
            true
        }
        Summarised::Taken(records) => records >= RUSH,
    })
}
