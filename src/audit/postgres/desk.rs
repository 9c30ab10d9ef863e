//! What an auditor asks: the summary, and a user's changes.

use chrono::{DateTime, Utc};
use sqlx::Connection;
use uuid::Uuid;

use super::PgStore;
use super::read::{BEGIN, changes_of};
use crate::audit::record::Stored;
use crate::audit::row;
use crate::audit::store::{
    Adoption, Drift, Error, Span, Standing, StoredCheckpoint, Violations, Writes,
};
use crate::audit::summary::Profile;
use crate::audit::summary::rows::{self, DriftRow, ProfileRow, Rows};

const STANDING: &str = "
    SELECT head.size, summary.records, summary.is_due OR summary.is_behind,
        (SELECT count(*) FROM (SELECT FROM audit_pending LIMIT $1) AS few),
        (SELECT count(*) FROM audit_open),
        (SELECT coalesce(sum(cardinality(record_ids)), 0)::bigint
            FROM (SELECT record_ids FROM audit_fresh LIMIT $1 / 100) AS few),
        coalesce((SELECT sum(users)::bigint FROM audit_adoption WHERE preference = 'enabled'), 0),
        coalesce((SELECT sum(users)::bigint FROM audit_adoption WHERE preference = 'disabled'), 0),
        coalesce((SELECT sum(users)::bigint FROM audit_adoption WHERE preference = 'unknown'), 0),
        clock_timestamp()
    FROM audit_tree_head AS head, audit_summary AS summary
";

const CHECKPOINT: &str =
    "SELECT size, note, made_at FROM audit_checkpoint ORDER BY size DESC LIMIT 1";

/// What came before the span in one row for each preference.
const ADOPTION: &str = "
    SELECT greatest(day, $1 - 1), preference, sum(users)::bigint FROM audit_adoption
    WHERE day < $2 GROUP BY 1, 2
";

const WRITES: &str = "
    SELECT hour / $3 * $3, verdict, sum(records)::bigint FROM audit_hour
    WHERE hour >= $1 AND hour < $2 AND action IN ('write', 'clear') AND verdict <> ''
    GROUP BY 1, 2
";

const VIOLATIONS: &str = "
    SELECT code, client, version,
        coalesce(sum(records) FILTER (WHERE became = 'refused'), 0)::bigint,
        coalesce(sum(records) FILTER (WHERE became = 'forwarded'), 0)::bigint,
        coalesce(sum(records) FILTER (WHERE became = 'read'), 0)::bigint,
        (array_agg(newest ORDER BY newest DESC))[1]
    FROM audit_violation WHERE hour >= $1 AND hour < $2
    GROUP BY code, client, version
    ORDER BY sum(records) DESC, code, client, version LIMIT $3
";

const PROFILE: &str = "SELECT user_id, profile::text FROM audit_user WHERE user_id = $1";

const DISAGREEING: &str = "
    SELECT user_id, profile::text FROM audit_user
    WHERE disagrees AND ($1::text IS NULL OR user_id > $1) ORDER BY user_id LIMIT $2
";

const DRIFTS: &str = "
    SELECT read_id, exchange_id, noticed_at, user_id, event_type, expected, known_from, found FROM audit_drift
    WHERE $1::uuid IS NULL OR read_id < $1 ORDER BY read_id DESC LIMIT $2
";

const DRIFTS_OF: &str = "
    SELECT read_id FROM audit_drift
    WHERE user_id = $1 AND ($2::uuid IS NULL OR read_id < $2) ORDER BY read_id DESC LIMIT $3
";

type StandingRow = (i64, i64, bool, i64, i64, i64, i64, i64, i64, DateTime<Utc>);

/// Asks one question.
macro_rules! ask {
    ($store:expr, $fetch:ident, $statement:expr $(, $parameter:expr)*) => {{
        let mut held = $store.hold().await?;
        let mut transaction = held.begin_with(BEGIN).await?;
        let found = sqlx::query_as($statement)
            $(.bind($parameter))*
            .persistent(false)
            .$fetch(&mut *transaction)
            .await?;
        transaction.commit().await?;
        held.release();
        found
    }};
}

/// See [`Desk::standing`](crate::audit::store::Desk::standing).
pub(super) async fn standing(store: &PgStore) -> Result<Standing, Error> {
    let enough = i64::try_from(Standing::ENOUGH).unwrap_or(i64::MAX);
    let row: StandingRow = ask!(store, fetch_one, STANDING, enough);
    let (sealed, summarised, is_behind, unsealed, open, fresh, enabled, disabled, unknown, now) =
        row;
    let newest: Option<(i64, String, DateTime<Utc>)> = ask!(store, fetch_optional, CHECKPOINT);
    let counts = [
        sealed, summarised, unsealed, open, fresh, enabled, disabled, unknown,
    ];
    let checkpoint = newest.map(|(size, note, made_at)| StoredCheckpoint {
        size,
        note,
        made_at,
    });
    Ok(rows::standing(counts, is_behind, checkpoint, now))
}

/// See [`Desk::adoption`](crate::audit::store::Desk::adoption).
pub(super) async fn adoption(store: &PgStore, span: &Span) -> Result<Vec<Adoption>, Error> {
    let rows = Rows::of(span);
    let (first, end) = rows.days();
    let found: Vec<(i32, String, i64)> = ask!(store, fetch_all, ADOPTION, first, end);
    Ok(rows.adoption(found))
}

/// See [`Desk::writes`](crate::audit::store::Desk::writes).
pub(super) async fn writes(store: &PgStore, span: &Span) -> Result<Vec<Writes>, Error> {
    let rows = Rows::of(span);
    let (first, end) = rows.hours();
    let found: Vec<(i64, String, i64)> = ask!(store, fetch_all, WRITES, first, end, rows.step());
    Ok(rows.writes(found))
}

/// See [`Desk::violations`](crate::audit::store::Desk::violations).
pub(super) async fn violations(
    store: &PgStore,
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
pub(super) async fn profile(store: &PgStore, user: &str) -> Result<Option<Profile>, Error> {
    let found: Option<ProfileRow> = ask!(store, fetch_optional, PROFILE, user);
    Ok(found.and_then(|(user, profile)| Profile::read(&user, &profile)))
}

/// See [`Desk::disagreeing`](crate::audit::store::Desk::disagreeing).
pub(super) async fn disagreeing(
    store: &PgStore,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<Profile>, Error> {
    let found: Vec<ProfileRow> = ask!(store, fetch_all, DISAGREEING, after, i64::from(limit));
    Ok(rows::profiles(&found))
}

/// See [`Desk::drifts`](crate::audit::store::Desk::drifts).
pub(super) async fn drifts(
    store: &PgStore,
    before: Option<Uuid>,
    limit: u32,
) -> Result<Vec<Drift>, Error> {
    let found: Vec<DriftRow> = ask!(store, fetch_all, DRIFTS, before, i64::from(limit));
    Ok(rows::drifts(found.into_iter()))
}

/// See [`Desk::changes`](crate::audit::store::Desk::changes).
pub(super) async fn changes(
    store: &PgStore,
    user: &str,
    before: Option<Uuid>,
    limit: u32,
) -> Result<Vec<Stored>, Error> {
    let mut held = store.hold().await?;
    let mut transaction = held.begin_with(BEGIN).await?;
    let reads: Vec<Uuid> = sqlx::query_scalar(DRIFTS_OF)
        .bind(user)
        .bind(before)
        .bind(i64::from(limit))
        .persistent(false)
        .fetch_all(&mut *transaction)
        .await?;
    let rows = changes_of(&mut transaction, user, before, limit, &reads).await?;
    transaction.commit().await?;
    held.release();
    row::stored(rows)
}
