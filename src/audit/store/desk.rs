//! What a store answers an auditor beyond records. No implementation lives here.
//!
//! It comes from the summary: tables that are derived from the trail, some seconds behind it, that can be made again from it
//! at any time, and that are no part of the proof.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{BoxFuture, Error, StoredCheckpoint};
use crate::audit::record::Stored;
use crate::audit::summary::{Content, Profile};
use crate::matrix::EventType;

/// What an auditor asks. `tests/it/store.rs` holds every implementation to this:
///
/// 1. After the summary has taken everything in, it says what a look at every record would have said, whatever the order
///    in which they came.
/// 2. A record is counted once, however often the program that counts is killed.
/// 3. Of several that keep the summary, one does at a time; the others are told so at once.
///
/// # Errors
///
/// As those of [`Store`](super::Store).
pub trait Desk: Send + Sync + 'static {
    /// How the trail and its summary stand.
    fn standing(&self) -> BoxFuture<'_, Result<Standing, Error>>;

    /// How many users want key backup, at the end of each day of `span`.
    fn adoption<'a>(&'a self, span: &'a Span) -> BoxFuture<'a, Result<Vec<Adoption>, Error>>;

    /// How many writes there were in each step of `span`, those without any included.
    fn writes<'a>(&'a self, span: &'a Span) -> BoxFuture<'a, Result<Vec<Writes>, Error>>;

    /// The violations within `span`, the most frequent first, at most `limit` of them.
    fn violations<'a>(
        &'a self,
        span: &'a Span,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<Violations>, Error>>;

    /// What is known of `user`; `None` for whoever was never seen.
    fn profile<'a>(&'a self, user: &'a str) -> BoxFuture<'a, Result<Option<Profile>, Error>>;

    /// The records of writes and clears of `user`, and of the reads that [`Drift`] names, newest (greatest id) first, with
    /// ids below `before`.
    fn changes<'a>(
        &'a self,
        user: &'a str,
        before: Option<Uuid>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<Stored>, Error>>;

    /// Reads that gave what nobody had written through us, newest first, with ids below `before`.
    fn drifts(&self, before: Option<Uuid>, limit: u32) -> BoxFuture<'_, Result<Vec<Drift>, Error>>;

    /// Users whose two types disagree, in the order of their names, after `after`.
    fn disagreeing<'a>(
        &'a self,
        after: Option<&'a str>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<Profile>, Error>>;

    /// Takes at most some `limit` records into the summary that are not in it yet.
    fn summarise(&self, limit: u32) -> BoxFuture<'_, Result<Summarised, Error>>;

    /// Empties the summary, and puts every record in line for it.
    fn forget_summary(&self) -> BoxFuture<'_, Result<(), Error>>;
}

/// A stretch of time, and how it is cut up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// From here on, inclusive; the beginning of a step.
    pub since: DateTime<Utc>,
    /// Up to here, exclusive; the end of one.
    pub until: DateTime<Utc>,
    /// How it is cut up.
    pub by: By,
}

/// How a span is cut up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// By the hour.
    Hour,
    /// By the day, UTC.
    Day,
}

/// How the trail and its summary stand.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Standing {
    /// How many records are sealed.
    pub sealed: u64,
    /// How many records wait to be sealed; at most [`ENOUGH`](Self::ENOUGH), which then means that or more.
    pub unsealed: u64,
    /// The newest checkpoint.
    pub checkpoint: Option<StoredCheckpoint>,
    /// The intents without an outcome, as the summary knows them.
    pub open_intents: u64,
    /// How many users want key backup now.
    pub users: Adoption,
    /// How many records the summary has.
    pub summarised: u64,
    /// How many records the summary does not have yet; at most [`ENOUGH`](Self::ENOUGH), which then means that or more.
    pub unsummarised: u64,
    /// Whether the summary is being made anew, and what it says is not the whole.
    pub is_behind: bool,
    /// What the database's clock says.
    pub now: DateTime<Utc>,
}

/// How many users want key backup, by their last known preference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Adoption {
    /// The beginning of the day at whose end it was so.
    pub at: DateTime<Utc>,
    /// Those who want it.
    pub enabled: u64,
    /// Those who do not.
    pub disabled: u64,
    /// Those of whom it is not known: what was stored last says neither.
    pub unknown: u64,
}

/// How many writes and clears there were in a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Writes {
    /// When the step began.
    pub at: DateTime<Utc>,
    /// Accepted.
    pub accept: u64,
    /// Accepted, and clearing the preference.
    pub clear: u64,
    /// Refused; in `observe`, what would have been.
    pub refuse: u64,
}

/// How often something was wrong with what a client wrote, or with what the homeserver had stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violations {
    /// The code.
    pub code: String,
    /// The client's name, as its `User-Agent` says; empty if that says none.
    pub client: String,
    /// Its version; empty if it says none.
    pub version: String,
    /// Writes that were refused for it.
    pub refused: u64,
    /// Writes that were forwarded all the same, in `observe`: what `enforce` would break.
    pub forwarded: u64,
    /// Reads that gave a stored value with it.
    pub reads: u64,
    /// The newest of these records.
    pub newest: Uuid,
}

/// A read that gave what nobody had written through us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    /// The record of the read.
    pub read_id: Uuid,
    /// Its exchange.
    pub exchange_id: Option<Uuid>,
    /// When it was recorded.
    pub at: DateTime<Utc>,
    /// Whose account data it was.
    pub user: String,
    /// Of which type.
    pub event_type: EventType,
    /// What was known of it before.
    pub expected: Content,
    /// The record from which that was known.
    pub known_from: Uuid,
    /// What the read gave.
    pub found: Content,
}

/// What became of a step of [`Desk::summarise`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Summarised {
    /// Somebody else does it just now.
    Busy,
    /// It must be made anew first: [`Desk::forget_summary`].
    Due,
    /// So many records were taken in; none if there was nothing to do.
    Taken(u64),
}

// === impl Standing ===

impl Standing {
    /// Beyond this number nobody counts.
    pub const ENOUGH: u64 = 100_000;
}
