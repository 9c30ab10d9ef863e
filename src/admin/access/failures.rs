//! What the trail says of log-ins that failed.
//!
//! # Promise
//!
//! A first failure is recorded at once; those of the same address within the next minute are one record at
//! its end, with their count. No more than [`TOLD_APART`] addresses have records of their own at a time;
//! the failures of all others are counted together, without an address: no flood fills the trail.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use super::throttle::network;
use crate::audit::AuditLog;

/// How long is counted before it is written down.
const ROUND: Duration = Duration::from_mins(1);
/// How many addresses have records of their own.
const TOLD_APART: usize = 20;

/// What was counted and is not written down yet. Cheap to clone.
#[derive(Clone)]
pub(super) struct FailedLogIns {
    audit: AuditLog,
    rounds: Arc<Mutex<HashMap<Option<IpAddr>, Round>>>,
}

/// A minute of one network.
struct Round {
    /// The last address of it.
    address: Option<IpAddr>,
    count: u64,
}

// === impl FailedLogIns ===

impl FailedLogIns {
    pub(super) fn new(audit: AuditLog) -> Self {
        let rounds = Arc::default();
        Self { audit, rounds }
    }

    /// Counts one; nobody waits for its record.
    pub(super) fn count(&self, address: Option<IpAddr>) {
        let mut rounds = self.rounds();
        let mut key = address.map(network);
        if !rounds.contains_key(&key) && rounds.len() >= TOLD_APART {
            key = None;
        }
        let round = Round {
            address: key.and(address),
            count: 1,
        };
        if let Some(running) = rounds.get_mut(&key) {
            running.count += 1;
            running.address = round.address;
            return;
        }
        rounds.insert(key, Round { count: 0, ..round });
        drop(rounds);
        tokio::spawn(self.clone().keep(key, round));
    }

    /// Writes down all that was counted, at the end.
    pub(super) async fn write_down(&self) {
        let rounds = std::mem::take(&mut *self.rounds());
        for round in rounds.into_values().filter(|round| round.count > 0) {
            self.write(round).await;
        }
    }

    /// Writes `first`, and each minute what has come since, until nothing has.
    async fn keep(self, key: Option<IpAddr>, first: Round) {
        let mut next = Some(first);
        while let Some(round) = next {
            self.write(round).await;
            sleep(ROUND).await;
            next = self.take(key);
        }
    }

    fn take(&self, key: Option<IpAddr>) -> Option<Round> {
        let mut rounds = self.rounds();
        let round = rounds.get_mut(&key)?;
        if round.count == 0 {
            rounds.remove(&key);
            return None;
        }
        let address = round.address;
        let count = std::mem::take(&mut round.count);
        Some(Round { address, count })
    }

    async fn write(&self, round: Round) {
        let Round { address, count } = round;
        let detail = json!({ "count": count });
        self.audit
            .operation_from("log_in_failed", detail, address)
            .await;
    }

    fn rounds(&self) -> MutexGuard<'_, HashMap<Option<IpAddr>, Round>> {
        self.rounds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
