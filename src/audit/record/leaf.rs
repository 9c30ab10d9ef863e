//! The canonical bytes of a record, version 1: what is sealed.
//!
//! > The hash of a list with one entry (also known as a leaf hash) is: MTH({d(0)}) = SHA-256(0x00 || d(0)).
//!
//! <https://www.rfc-editor.org/rfc/rfc6962#section-2.1>
//!
//! `d` is `key-backup-gateway/leaf/v1`, a zero byte, and every field but the personal ones as a value,
//! in the order of [`Leaf::write`]. The personal fields stand as commitments. `deploy/proof.md` says the
//! same for those who write a verifier, and `deploy/vectors.json` has examples.

use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::value::Values;
use super::{Judged, Outcome, Phase, Stored};
use crate::matrix::{Action, EventType, Preference};

/// What the leaf of a record says, wherever the record was read from.
#[derive(Clone, Debug)]
pub(in crate::audit) struct Leaf<'a, T> {
    pub(in crate::audit) id: Uuid,
    pub(in crate::audit) kind: &'a str,
    pub(in crate::audit) exchange_id: Option<Uuid>,
    pub(in crate::audit) phase: Option<&'a str>,
    /// Microseconds since 1970.
    pub(in crate::audit) recorded_at: i64,
    /// Microseconds since 1970.
    pub(in crate::audit) stored_at: i64,
    pub(in crate::audit) instance: &'a str,
    pub(in crate::audit) run_id: Uuid,
    pub(in crate::audit) version: &'a str,
    pub(in crate::audit) action: Option<&'a str>,
    pub(in crate::audit) event_type: Option<&'a str>,
    pub(in crate::audit) claimed: Option<[u8; 32]>,
    pub(in crate::audit) authenticated: Option<[u8; 32]>,
    pub(in crate::audit) client: Option<[u8; 32]>,
    pub(in crate::audit) preference: Option<&'a str>,
    pub(in crate::audit) verdict: Option<&'a str>,
    pub(in crate::audit) violations: &'a [T],
    pub(in crate::audit) outcome: Option<&'a str>,
    pub(in crate::audit) origin_status: Option<i64>,
    pub(in crate::audit) errcode: Option<&'a str>,
    pub(in crate::audit) request_id: Option<&'a str>,
    pub(in crate::audit) traceparent: Option<&'a str>,
    pub(in crate::audit) body_sha256: Option<[u8; 32]>,
    pub(in crate::audit) duration_us: Option<i64>,
    pub(in crate::audit) detail: Option<&'a Value>,
}

/// Makes leaf hashes, one after the other, in the same room.
#[derive(Debug)]
pub(in crate::audit) struct LeafHasher(Values);

const LABEL: &str = "key-backup-gateway/leaf/v1";

// === impl Leaf ===

impl<'a> Leaf<'a, String> {
    pub(in crate::audit) fn of(stored: &'a Stored) -> Self {
        let record = &stored.record;
        let facts = &record.facts;
        Self {
            id: record.id,
            kind: record.kind.as_str(),
            exchange_id: facts.exchange_id,
            phase: facts.phase.map(Phase::as_str),
            recorded_at: record.recorded_at.timestamp_micros(),
            stored_at: stored.stored_at.timestamp_micros(),
            instance: &record.instance,
            run_id: record.run_id,
            version: &record.version,
            action: facts.action.map(Action::as_str),
            event_type: facts.event_type.map(EventType::as_str),
            claimed: record.claimed.hash,
            authenticated: record.authenticated.hash,
            client: record.client.hash,
            preference: facts.preference.map(Preference::as_str),
            verdict: facts.verdict.map(Judged::as_str),
            violations: &facts.violations,
            outcome: facts.outcome.map(Outcome::as_str),
            origin_status: facts.origin_status.map(i64::from),
            errcode: facts.errcode.as_deref(),
            request_id: facts.request_id.as_deref(),
            traceparent: facts.traceparent.as_deref(),
            body_sha256: facts.body_sha256,
            duration_us: facts.duration_us,
            detail: facts.detail.as_ref(),
        }
    }
}

impl<T: AsRef<str>> Leaf<'_, T> {
    fn write(&self, values: &mut Values) {
        values
            .bytes(self.id.as_bytes())
            .text(Some(self.kind))
            .optional(self.exchange_id.as_ref().map(|id| &id.as_bytes()[..]))
            .text(self.phase)
            .integer(Some(self.recorded_at))
            .integer(Some(self.stored_at))
            .text(Some(self.instance))
            .bytes(self.run_id.as_bytes())
            .text(Some(self.version))
            .text(self.action)
            .text(self.event_type)
            .optional(self.claimed.as_ref().map(<[u8; 32]>::as_slice))
            .optional(self.authenticated.as_ref().map(<[u8; 32]>::as_slice))
            .optional(self.client.as_ref().map(<[u8; 32]>::as_slice))
            .text(self.preference)
            .text(self.verdict)
            .list(self.violations)
            .text(self.outcome)
            .integer(self.origin_status)
            .text(self.errcode)
            .text(self.request_id)
            .text(self.traceparent)
            .optional(self.body_sha256.as_ref().map(<[u8; 32]>::as_slice))
            .integer(self.duration_us)
            .json(self.detail.unwrap_or(&Value::Null));
    }
}

// === impl LeafHasher ===

impl LeafHasher {
    pub(in crate::audit) fn new() -> Self {
        Self(Values::of(LABEL))
    }

    /// The RFC 6962 leaf hash of a record.
    pub(in crate::audit) fn hash<T: AsRef<str>>(&mut self, leaf: &Leaf<'_, T>) -> [u8; 32] {
        Sha256::new_with_prefix([0])
            .chain_update(self.bytes(leaf))
            .finalize()
            .into()
    }

    /// The canonical bytes of a record.
    pub(in crate::audit) fn bytes<T: AsRef<str>>(&mut self, leaf: &Leaf<'_, T>) -> &[u8] {
        self.0.truncate(LABEL.len() + 1);
        leaf.write(&mut self.0);
        self.0.as_bytes()
    }
}
