//! Who writes a record, and when: makes records of facts.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::{ContextV7, Timestamp, Uuid};

use super::{Commitment, Facts, Kind, Outcome, Phase, Record, text};
use crate::clock::Clock;

/// Makes records: one for each run of a gateway.
pub struct Stamp {
    clock: Arc<dyn Clock>,
    instance: String,
    run_id: Uuid,
    order: Mutex<ContextV7>,
}

// === impl Stamp ===

impl Stamp {
    /// A stamp for a new run of the gateway `instance`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, instance: &str) -> Self {
        let instance = text::made_safe(instance, text::LIMIT);
        let stamp = Self {
            clock,
            instance,
            run_id: Uuid::nil(),
            order: Mutex::default(),
        };
        Self {
            run_id: stamp.new_id(),
            ..stamp
        }
    }

    /// Which run this is.
    #[must_use]
    pub fn run_id(&self) -> Uuid {
        self.run_id
    }

    /// Which gateway this is.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// What the gateway's clock says.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// A UUIDv7 of now; later ones are greater, within one run.
    #[must_use]
    pub fn new_id(&self) -> Uuid {
        let now = self.clock.now();
        let seconds = u64::try_from(now.timestamp()).unwrap_or_default();
        let order = self.order.lock().unwrap_or_else(PoisonError::into_inner);
        Uuid::new_v7(Timestamp::from_unix(
            &*order,
            seconds,
            now.timestamp_subsec_nanos(),
        ))
    }

    /// A record of `kind` that says `facts`.
    ///
    /// # Panics
    ///
    /// If the operating system has no random bytes.
    #[must_use]
    pub fn record(&self, kind: Kind, facts: Facts) -> Record {
        self.record_with_id(self.new_id(), kind, facts)
    }

    /// The record that closes an open intent: `outcome`, with an id derived from the intent's, so
    /// that two closers write one record.
    ///
    /// `detail` says why it was closed.
    ///
    /// # Panics
    ///
    /// As [`record`](Self::record).
    #[must_use]
    pub fn closing(&self, intent: &Record, outcome: Outcome, detail: Value) -> Record {
        let facts = Facts {
            phase: Some(Phase::Outcome),
            outcome: Some(outcome),
            detail: Some(detail),
            duration_us: None,
            ..intent.facts.clone()
        };
        self.record_with_id(derived_id(intent.id, outcome), Kind::Exchange, facts)
    }

    fn record_with_id(&self, id: Uuid, kind: Kind, facts: Facts) -> Record {
        let facts = facts.made_safe();
        Record {
            id,
            kind,
            recorded_at: self.clock.now(),
            instance: self.instance.clone(),
            run_id: self.run_id,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            claimed: Commitment::to_claimed(&facts),
            authenticated: Commitment::to_authenticated(&facts),
            client: Commitment::to_client(&facts),
            facts,
        }
    }
}

/// A UUIDv7 of a millisecond after `intent`, so that it comes after it, with bits that follow from it
/// and from `outcome`.
fn derived_id(intent: Uuid, outcome: Outcome) -> Uuid {
    let mut hash = Sha256::new();
    hash.update(b"key-backup-gateway/closing/v1\0");
    hash.update(intent.as_bytes());
    hash.update(outcome.as_str());
    let hash = hash.finalize();
    let mut random = [0; 10];
    random.copy_from_slice(&hash[..10]);
    let millis = (intent.as_u128() >> 80) + 1;
    uuid::Builder::from_unix_timestamp_millis(u64::try_from(millis).unwrap_or_default(), &random)
        .into_uuid()
}
