//! What this run has begun and not ended.
//!
//! A run that ends with nothing unfinished needs no closer: nobody has to look through its intents.

use std::collections::HashSet;

use uuid::Uuid;

use super::record::Record;

/// More than can be under way: whoever has so many has lost outcomes.
const MOST: usize = 65_536;

/// The exchanges that have a durable intent and no durable outcome.
#[derive(Debug, Default)]
pub(super) struct Unfinished {
    exchanges: HashSet<Uuid>,
    is_unknown: bool,
}

// === impl Unfinished ===

impl Unfinished {
    /// `record` is durable.
    pub(super) fn stored(&mut self, record: &Record) {
        let Some(exchange_id) = record.facts.exchange_id else {
            return;
        };
        if !record.is_intent() {
            self.exchanges.remove(&exchange_id);
        } else if self.exchanges.len() < MOST {
            self.exchanges.insert(exchange_id);
        } else {
            self.is_unknown = true;
        }
    }

    /// Something was lost, and nobody knows what belongs to it.
    pub(super) fn lost(&mut self) {
        self.is_unknown = true;
    }

    /// Whether every intent certainly has its outcome.
    pub(super) fn is_nothing(&self) -> bool {
        self.exchanges.is_empty() && !self.is_unknown
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::audit::record::{Facts, Kind, Phase, Stamp};
    use crate::clock::SystemClock;

    fn record(exchange_id: Uuid, phase: Phase) -> Record {
        let facts = Facts {
            exchange_id: Some(exchange_id),
            phase: Some(phase),
            ..Facts::default()
        };
        Stamp::new(Arc::new(SystemClock), "gateway-1").record(Kind::Exchange, facts)
    }

    #[test]
    fn what_was_begun_and_ended_is_nothing() {
        let mut unfinished = Unfinished::default();
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        unfinished.stored(&record(one, Phase::Intent));
        unfinished.stored(&record(other, Phase::Outcome));
        assert!(!unfinished.is_nothing());
        unfinished.stored(&record(one, Phase::Outcome));
        assert!(unfinished.is_nothing());
    }

    #[test]
    fn what_was_lost_is_never_known_to_be_nothing() {
        let mut unfinished = Unfinished::default();
        unfinished.lost();
        assert!(!unfinished.is_nothing());
    }
}
