//! What one line of the trail says.
//!
//! A guarded write is two records, the *intent* and the *outcome*, with one exchange id; a read or a
//! refusal is one, of phase outcome. What we do not know is `None`: the trail never guesses.
//!
//! [`Facts`] is what an exchange can say of itself. A [`Stamp`] makes a [`Record`] of it: who wrote
//! it and when, text made safe to store, and salted commitments to the personal fields, so that
//! those can be erased one day and every proof still holds.

mod commitment;
pub(in crate::audit) mod leaf;
mod stamp;
pub(in crate::audit) mod text;
mod value;
mod words;

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

pub use self::commitment::Commitment;
pub use self::stamp::Stamp;
pub use self::words::{Judged, Kind, Outcome, Phase};
use crate::matrix::{Action, EventType, Preference};
use crate::policy::Verdict;

/// What an exchange says of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// One id for both halves of a write.
    pub exchange_id: Option<Uuid>,
    /// Which half.
    pub phase: Option<Phase>,
    /// What the request asked for.
    pub action: Option<Action>,
    /// Of which type.
    pub event_type: Option<EventType>,
    /// Whom the path names.
    pub claimed_user: Option<String>,
    /// Whom the homeserver's whoami named.
    pub authenticated_user: Option<String>,
    /// The device that whoami named.
    pub device_id: Option<String>,
    /// Whether whoami said that it is a guest.
    pub is_guest: Option<bool>,
    /// The client's address behind trusted proxies.
    pub client_address: Option<String>,
    /// What that was resolved from.
    pub client_chain: Vec<String>,
    /// The client's `User-Agent`.
    pub user_agent: Option<String>,
    /// What the content says.
    pub preference: Option<Preference>,
    /// What was thought of it.
    pub verdict: Option<Judged>,
    /// Why it was refused: codes of [`Violation`](crate::policy::Violation), those of later
    /// versions too.
    pub violations: Vec<String>,
    /// What became of it; `None` on intents.
    pub outcome: Option<Outcome>,
    /// The status of the origin's answer.
    pub origin_status: Option<u16>,
    /// The errcode of the origin's answer.
    pub errcode: Option<String>,
    /// The request id.
    pub request_id: Option<String>,
    /// The client's `traceparent`.
    pub traceparent: Option<String>,
    /// SHA-256 of the body that was judged.
    pub body_sha256: Option<[u8; 32]>,
    /// From the request's head to this record, in microseconds.
    pub duration_us: Option<i64>,
    /// Whatever other kinds say.
    pub detail: Option<Value>,
}

/// One line of the trail, ready to be stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// UUIDv7: the key, and the order.
    pub id: Uuid,
    /// What sort of record it is.
    pub kind: Kind,
    /// When, by the gateway's clock, to the microsecond.
    pub recorded_at: DateTime<Utc>,
    /// Which gateway.
    pub instance: String,
    /// Which run of it.
    pub run_id: Uuid,
    /// Which build of it.
    pub version: String,
    /// What it says.
    pub facts: Facts,
    /// To `claimed_user`.
    pub claimed: Commitment,
    /// To `authenticated_user`, `device_id` and `is_guest`.
    pub authenticated: Commitment,
    /// To `client_address`, `client_chain` and `user_agent`.
    pub client: Commitment,
}

/// A record as the store gives it back.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// The record.
    pub record: Record,
    /// When it was stored, by the database's clock.
    pub stored_at: DateTime<Utc>,
}

// === impl Facts ===

impl Facts {
    /// Takes over what `verdict` says.
    #[must_use]
    pub fn judged(mut self, verdict: &Verdict) -> Self {
        self.verdict = Some(match verdict {
            Verdict::Accept(_) => Judged::Accept,
            Verdict::Clear => Judged::Clear,
            Verdict::Refuse(_) => Judged::Refuse,
        });
        self.preference = verdict.preference();
        self.violations = verdict
            .violations()
            .iter()
            .map(|one| one.code().to_owned())
            .collect();
        self
    }

    /// All text made safe to store, and cut to what a column takes.
    fn made_safe(mut self) -> Self {
        for text in [
            &mut self.claimed_user,
            &mut self.authenticated_user,
            &mut self.device_id,
            &mut self.client_address,
            &mut self.errcode,
            &mut self.request_id,
            &mut self.traceparent,
        ]
        .into_iter()
        .flatten()
        {
            text::make_safe(text, text::LIMIT);
        }
        if let Some(text) = &mut self.user_agent {
            text::make_safe(text, text::USER_AGENT_LIMIT);
        }
        self.client_chain.truncate(text::CHAIN_LIMIT);
        for text in self.client_chain.iter_mut().chain(&mut self.violations) {
            text::make_safe(text, text::LIMIT);
        }
        self
    }
}

// === impl Record ===

impl Record {
    /// Whether this is the first half of a guarded write.
    #[must_use]
    pub fn is_intent(&self) -> bool {
        self.facts.phase == Some(Phase::Intent)
    }
}

#[cfg(test)]
mod tests;
