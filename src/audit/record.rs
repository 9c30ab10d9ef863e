//! What one line of the trail says.
//!
//! A guarded write is two records, the *intent* and the *outcome*, with one exchange id; a read or a
//! refusal is one, of phase outcome. What we do not know is `None`: the trail never guesses.
//!
//! [`Facts`] is what an exchange can say of itself. A [`Stamp`] makes a [`Record`] of it: who wrote
//! it and when, text made safe to store, and salted commitments to the personal fields, so that
//! those can be erased one day and every proof still holds.

mod commitment;
pub(in crate::audit) mod text;

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, Utc};
use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::{ContextV7, Timestamp, Uuid};

pub use self::commitment::Commitment;
use crate::clock::Clock;
use crate::matrix::{Action, EventType, Preference};
use crate::policy::Verdict;

/// What sort of thing a record tells of. Stored: add new ones, never rename one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A guarded request.
    Exchange,
    /// Nothing happened.
    Heartbeat,
    /// A count of what was not recorded one by one.
    Collapsed,
    /// A user's personal data was erased.
    Tombstone,
    /// Something was done to the gateway.
    Operation,
}

/// Which half of a guarded write a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// The write is about to go to the origin.
    Intent,
    /// What became of the exchange.
    Outcome,
}

/// What became of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// We answered, and the origin was not asked.
    Refused,
    /// The origin answered.
    Answered,
    /// The origin may have acted; we do not know.
    Unanswered,
    /// Certainly never sent.
    Failed,
}

/// The word for a [`Verdict`], without its reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Judged {
    /// [`Verdict::Accept`].
    Accept,
    /// [`Verdict::Clear`].
    Clear,
    /// [`Verdict::Refuse`].
    Refuse,
}

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

/// Makes records: one for each run of a gateway.
pub struct Stamp {
    clock: Arc<dyn Clock>,
    instance: String,
    run_id: Uuid,
    order: Mutex<ContextV7>,
}

macro_rules! words {
    ($type:ty { $($variant:ident => $word:literal),+ $(,)? }) => {
        impl $type {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The word that records hold.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// The reverse of [`as_str`](Self::as_str).
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($word => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

words!(Kind {
    Exchange => "exchange",
    Heartbeat => "heartbeat",
    Collapsed => "collapsed",
    Tombstone => "tombstone",
    Operation => "operation",
});
words!(Phase { Intent => "intent", Outcome => "outcome" });
words!(Outcome {
    Refused => "refused",
    Answered => "answered",
    Unanswered => "unanswered",
    Failed => "failed",
});
words!(Judged { Accept => "accept", Clear => "clear", Refuse => "refuse" });

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
        ] {
            *text = text.take().map(|text| text::made_safe(&text, text::LIMIT));
        }
        self.user_agent = self
            .user_agent
            .take()
            .map(|text| text::made_safe(&text, text::USER_AGENT_LIMIT));
        self.client_chain.truncate(text::CHAIN_LIMIT);
        for text in self.client_chain.iter_mut().chain(&mut self.violations) {
            *text = text::made_safe(text, text::LIMIT);
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
    #[must_use]
    pub fn record(&self, kind: Kind, facts: Facts) -> Record {
        self.record_with_id(self.new_id(), kind, facts)
    }

    /// The record that closes an open intent: `outcome`, with an id derived from the intent's, so
    /// that two closers write one record.
    ///
    /// `detail` says why it was closed.
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

#[cfg(test)]
mod tests;
