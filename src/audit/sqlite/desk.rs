//! What an auditor asks: the summary, and a user's changes.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::SqliteStore;
use super::read::changes_of;
use crate::audit::record::Stored;
use crate::audit::store::{
    Adoption, Drift, Error, Span, Standing, StoredCheckpoint, Violations, Writes,
};
use crate::audit::summary::Profile;
use crate::audit::summary::rows::{self, DriftRow, ProfileRow, Rows};

const STANDING: &str = "
    SELECT head.size, summary.records, summary.is_behind,
        (SELECT count(*) FROM (SELECT 1 FROM audit_pending LIMIT ?1)),
        (SELECT count(*) FROM audit_open),
        (SELECT count(*) FROM (SELECT 1 FROM audit_record WHERE audit_record.rowid > summary.last LIMIT ?1)),
        (SELECT coalesce(sum(users), 0) FROM audit_adoption WHERE preference = 'enabled'),
        (SELECT coalesce(sum(users), 0) FROM audit_adoption WHERE preference = 'disabled'),
        (SELECT coalesce(sum(users), 0) FROM audit_adoption WHERE preference = 'unknown'),
        CAST(round(unixepoch('now', 'subsec') * 1000) AS INTEGER) * 1000
    FROM audit_tree_head AS head, audit_summary AS summary
";

const CHECKPOINT: &str =
    "SELECT size, note, made_at FROM audit_checkpoint ORDER BY size DESC LIMIT 1";

/// What came before the span in one row for each preference.
const ADOPTION: &str = "
    SELECT max(day, ?1 - 1) AS at, preference, sum(users) FROM audit_adoption
    WHERE day < ?2 GROUP BY at, preference
";

const WRITES: &str = "
    SELECT hour / ?3 * ?3 AS at, verdict, sum(records) FROM audit_hour
    WHERE hour >= ?1 AND hour < ?2 AND action IN ('write', 'clear') AND verdict <> ''
    GROUP BY at, verdict
";

const VIOLATIONS: &str = "
    SELECT code, client, version,
        coalesce(sum(records) FILTER (WHERE became = 'refused'), 0),
        coalesce(sum(records) FILTER (WHERE became = 'forwarded'), 0),
        coalesce(sum(records) FILTER (WHERE became = 'read'), 0),
        max(newest)
    FROM audit_violation WHERE hour >= ?1 AND hour < ?2
    GROUP BY code, client, version
    ORDER BY sum(records) DESC, code, client, version LIMIT ?3
";

const PROFILE: &str = "SELECT user_id, profile FROM audit_user WHERE user_id = ?1";

const DISAGREEING: &str = "
    SELECT user_id, profile FROM audit_user
    WHERE disagrees AND (?1 IS NULL OR user_id > ?1) ORDER BY user_id LIMIT ?2
";

const DRIFTS: &str = "
    SELECT read_id, exchange_id, noticed_at, user_id, event_type, expected, known_from, found FROM audit_drift
    WHERE ?1 IS NULL OR read_id < ?1 ORDER BY read_id DESC LIMIT ?2
";

type StandingRow = (i64, i64, bool, i64, i64, i64, i64, i64, i64, i64);

/// [`DriftRow`], its time in microseconds.
type StoredDrift = (
    Uuid,
    Option<Uuid>,
    i64,
    String,
    String,
    String,
    Uuid,
    String,
);

/// Asks one question.
macro_rules! ask {
    ($store:expr, $fetch:ident, $statement:expr $(, $parameter:expr)*) => {
        sqlx::query_as($statement)$(.bind($parameter))*.$fetch(&$store.pool).await?
    };
}

/// See [`Desk::standing`](crate::audit::store::Desk::standing).
pub(super) async fn standing(store: &SqliteStore) -> Result<Standing, Error> {
    let enough = i64::try_from(Standing::ENOUGH).unwrap_or(i64::MAX);
    let row: StandingRow = ask!(store, fetch_one, STANDING, enough);
    let (sealed, summarised, is_behind, unsealed, open, fresh, enabled, disabled, unknown, now) =
        row;
    let newest: Option<(i64, String, i64)> = ask!(store, fetch_optional, CHECKPOINT);
    let counts = [
        sealed, summarised, unsealed, open, fresh, enabled, disabled, unknown,
    ];
    let checkpoint = newest.map(|(size, note, made_at)| StoredCheckpoint {
        size,
        note,
        made_at: time(made_at),
    });
    Ok(rows::standing(counts, is_behind, checkpoint, time(now)))
}

/// See [`Desk::adoption`](crate::audit::store::Desk::adoption).
pub(super) async fn adoption(store: &SqliteStore, span: &Span) -> Result<Vec<Adoption>, Error> {
    let rows = Rows::of(span);
    let (first, end) = rows.days();
    let found: Vec<(i32, String, i64)> = ask!(store, fetch_all, ADOPTION, first, end);
    Ok(rows.adoption(found))
}

/// See [`Desk::writes`](crate::audit::store::Desk::writes).
pub(super) async fn writes(store: &SqliteStore, span: &Span) -> Result<Vec<Writes>, Error> {
    let rows = Rows::of(span);
    let (first, end) = rows.hours();
    let found: Vec<(i64, String, i64)> = ask!(store, fetch_all, WRITES, first, end, rows.step());
    Ok(rows.writes(found))
}

/// See [`Desk::violations`](crate::audit::store::Desk::violations).
pub(super) async fn violations(
    store: &SqliteStore,
    span: &Span,
    limit: u32,
) -> Result<Vec<Violations>, Error> {
    let (first, end) = Rows::of(span).hours();
    let limit = i64::from(limit);
    Ok(rows::violations(ask!(
        store, fetch_all, VIOLATIONS, first, end, limit
    )))
}

/// See [`Desk::profile`](crate::audit::store::Desk::profile).
pub(super) async fn profile(store: &SqliteStore, user: &str) -> Result<Option<Profile>, Error> {
    let found: Option<ProfileRow> = ask!(store, fetch_optional, PROFILE, user);
    Ok(found.and_then(|(user, profile)| Profile::read(&user, &profile)))
}

/// See [`Desk::disagreeing`](crate::audit::store::Desk::disagreeing).
pub(super) async fn disagreeing(
    store: &SqliteStore,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<Profile>, Error> {
    let found: Vec<ProfileRow> = ask!(store, fetch_all, DISAGREEING, after, i64::from(limit));
    Ok(rows::profiles(&found))
}

/// See [`Desk::drifts`](crate::audit::store::Desk::drifts).
pub(super) async fn drifts(
    store: &SqliteStore,
    before: Option<Uuid>,
    limit: u32,
) -> Result<Vec<Drift>, Error> {
    let found: Vec<StoredDrift> = ask!(store, fetch_all, DRIFTS, before, i64::from(limit));
    let found = found.into_iter().map(
        |(read, exchange, at, user, event_type, expected, known_from, found)| -> DriftRow {
            let at = time(at);
            (
                read, exchange, at, user, event_type, expected, known_from, found,
            )
        },
    );
    Ok(rows::drifts(found))
}

/// See [`Desk::changes`](crate::audit::store::Desk::changes).
pub(super) async fn changes(
    store: &SqliteStore,
    user: &str,
    before: Option<Uuid>,
    limit: u32,
) -> Result<Vec<Stored>, Error> {
    changes_of(store, user, before, limit).await
}

fn time(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap_or_default()
}
