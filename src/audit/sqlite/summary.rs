//! The summary: takes records in.
//!
//! This file has one writer at a time, and nothing is ever deleted from the trail: so rowids are given in the order of
//! commits, without a gap, and one of them says how far the summary is.

use std::collections::HashMap;

use sqlx::sqlite::SqliteConnection;

use super::SqliteStore;
use super::read::{beyond, history};
use crate::audit::record::Record;
use crate::audit::store::{Error, Summarised};
use crate::audit::summary::{Batch, Content, Derived, Profile};
use crate::matrix::EventType;

/// More at once would keep those who append waiting.
const MOST: u32 = 500;

const LAST: &str = "SELECT last, is_behind FROM audit_summary";

/// The rowid up to which a step goes.
const END: &str = "
    SELECT max(at) FROM (SELECT rowid AS at FROM audit_record WHERE rowid > ?1 ORDER BY rowid LIMIT ?2)
";

const PROFILE: &str = "SELECT profile FROM audit_user WHERE user_id = ?1";

/// Nobody has gone on from there meanwhile.
const ADVANCE: &str = "
    UPDATE audit_summary SET last = ?2, records = records + ?3, is_behind = is_behind AND ?4 WHERE last = ?1
";

const USER: &str = "
    INSERT INTO audit_user (user_id, profile, disagrees) VALUES (?1, ?2, ?3)
    ON CONFLICT (user_id) DO UPDATE SET profile = excluded.profile, disagrees = excluded.disagrees
";

const ADOPTION: &str = "
    INSERT INTO audit_adoption (day, preference, users) VALUES (?1, ?2, ?3)
    ON CONFLICT (day, preference) DO UPDATE SET users = users + excluded.users
";

const HOUR: &str = "
    INSERT INTO audit_hour (hour, action, verdict, outcome, records) VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT (hour, action, verdict, outcome) DO UPDATE SET records = records + excluded.records
";

const VIOLATION: &str = "
    INSERT INTO audit_violation (hour, code, client, version, became, records, newest)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
    ON CONFLICT (hour, code, client, version, became) DO UPDATE
    SET records = records + excluded.records, newest = max(newest, excluded.newest)
";

const VOID: &str = "DELETE FROM audit_drift WHERE user_id = ?1";

const DRIFT: &str = "
    INSERT INTO audit_drift
        (read_id, exchange_id, noticed_at, user_id, event_type, expected, known_from, found)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
    ON CONFLICT (read_id) DO NOTHING
";

/// An outcome that is there already will close nothing.
const OPENED: &str = "
    INSERT INTO audit_open (exchange_id, intent_id)
    SELECT ?1, ?2 WHERE NOT EXISTS (
        SELECT 1 FROM audit_record WHERE exchange_id = ?1 AND phase = 'outcome'
    )
    ON CONFLICT (exchange_id) DO NOTHING
";

const CLOSED: &str = "DELETE FROM audit_open WHERE exchange_id = ?1";

const FORGET: [&str; 7] = [
    "DELETE FROM audit_user",
    "DELETE FROM audit_adoption",
    "DELETE FROM audit_hour",
    "DELETE FROM audit_violation",
    "DELETE FROM audit_drift",
    "DELETE FROM audit_open",
    "UPDATE audit_summary SET records = 0, last = 0, is_behind = 1",
];

/// See [`Desk::summarise`](crate::audit::store::Desk::summarise).
pub(super) async fn summarise(store: &SqliteStore, limit: u32) -> Result<Summarised, Error> {
    let limit = limit.min(MOST);
    let mut held = store.hold().await?;
    let (last, is_behind): (i64, bool) = sqlx::query_as(LAST).fetch_one(&mut *held).await?;
    let end: Option<i64> = sqlx::query_scalar(END)
        .bind(last)
        .bind(limit)
        .fetch_one(&mut *held)
        .await?;
    if end.is_none() && !is_behind {
        held.release();
        return Ok(Summarised::Taken(0));
    }
    let end = end.unwrap_or(last);
    // Looked at before the lock is taken: nobody has to wait for it.
    let found = beyond(&mut held, last, end).await?;
    let count = end - last;
    let batch = Batch::new(found);
    let known = profiles(&mut held, &batch.users()).await?;
    let mut histories: HashMap<String, Vec<Record>> = HashMap::new();
    for user in batch.replays(&known) {
        let records = history(&mut held, &user).await?;
        histories.insert(user, records);
    }
    let derived = batch.derive(known, histories);
    let mut transaction = store.begin_write(&mut held).await?;
    let advanced = sqlx::query(ADVANCE)
        .bind(last)
        .bind(end)
        .bind(count)
        .bind(count >= i64::from(limit))
        .execute(&mut *transaction)
        .await?;
    if advanced.rows_affected() == 0 {
        transaction.rollback().await?;
        held.release();
        return Ok(Summarised::Busy);
    }
    write(&mut transaction, &derived).await?;
    transaction.commit().await?;
    held.release();
    Ok(Summarised::Taken(count.unsigned_abs()))
}

/// See [`Desk::forget_summary`](crate::audit::store::Desk::forget_summary).
pub(super) async fn forget(store: &SqliteStore) -> Result<(), Error> {
    let mut held = store.hold().await?;
    let mut transaction = store.begin_write(&mut held).await?;
    for statement in FORGET {
        sqlx::query(statement).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    held.release();
    Ok(())
}

async fn profiles(
    connection: &mut SqliteConnection,
    users: &[String],
) -> Result<HashMap<String, Profile>, Error> {
    let mut known = HashMap::new();
    for user in users {
        let profile: Option<String> = sqlx::query_scalar(PROFILE)
            .bind(user)
            .fetch_optional(&mut *connection)
            .await?;
        let profile = profile.and_then(|json| Profile::read(user, &json));
        known.extend(profile.map(|profile| (user.clone(), profile)));
    }
    Ok(known)
}

/// Writes `derived`, in the transaction that advances.
async fn write(connection: &mut SqliteConnection, derived: &Derived) -> Result<(), Error> {
    /// Executes one statement.
    macro_rules! add {
        ($statement:expr, $($value:expr),+) => {
            sqlx::query($statement)$(.bind($value))+.execute(&mut *connection).await?
        };
    }
    for profile in &derived.profiles {
        add!(
            USER,
            &profile.user,
            sqlx::types::Json(profile),
            profile.disagrees()
        );
    }
    for ((day, preference), users) in &derived.adoption {
        add!(ADOPTION, day, *preference, users);
    }
    for (key, records) in &derived.hours {
        add!(HOUR, key.at, key.action, key.verdict, key.outcome, records);
    }
    for (key, (records, newest)) in &derived.violations {
        let (code, client, version) = (&key.code, &key.client, &key.version);
        add!(
            VIOLATION, key.hour, code, client, version, key.became, records, newest
        );
    }
    for user in &derived.replayed {
        add!(VOID, user);
    }
    for drift in &derived.drifts {
        add!(
            DRIFT,
            drift.read_id,
            drift.exchange_id,
            drift.at.timestamp_micros(),
            &drift.user,
            EventType::as_str(drift.event_type),
            Content::as_str(drift.expected),
            drift.known_from,
            Content::as_str(drift.found)
        );
    }
    for (exchange, intent) in &derived.opened {
        add!(OPENED, exchange, intent);
    }
    for exchange in &derived.closed {
        add!(CLOSED, exchange);
    }
    Ok(())
}
