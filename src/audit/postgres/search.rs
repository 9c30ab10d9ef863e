//! A page of the trail: the newest records that some filters let through.
//!
//! A page must not take longer because the trail is long. What is common is found among the newest records; what is rare
//! needs to be known where it is. For users, verdicts, outcomes and violations an index of the trail says so. For devices,
//! addresses and clients, and for times, an index would cost every record a tenth more to write: there the summary says
//! which users' records to look at, and which ids are of another time than their records. What the summary does not have
//! yet is looked at by itself, at the same moment, so that nothing is missed.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::Connection;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::read::select;
use super::{PgStore, ROUTINE};
use crate::audit::record::{Judged, Outcome, Stored};
use crate::audit::row::{self, Row};
use crate::audit::store::{Error, Query};
use crate::matrix::{Action, EventType};

/// A promise not to change anything; and the summary and the trail are of one moment.
const BEGIN: &str = "
    BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
    SET LOCAL statement_timeout = '55s';
    SET LOCAL lock_timeout = '5s';
";

/// The newest of those that `whose` and the filters of [`Query`] let through. An unnamed statement is
/// planned with its values at hand, so a filter that is null costs nothing.
macro_rules! newest {
    ($whose:expr) => {
        concat!(
            "SELECT * FROM audit_record AS record
        WHERE ",
            $whose,
            "
        AND ($2::timestamptz IS NULL OR record.recorded_at >= $2)
        AND ($3::timestamptz IS NULL OR record.recorded_at < $3)
        AND ($4::text IS NULL OR action = $4)
        AND ($5::text IS NULL OR verdict = $5)
        AND ($6::text IS NULL OR outcome = $6 OR ($7 AND phase = 'intent' AND NOT EXISTS (
            SELECT FROM audit_record AS other
            WHERE other.exchange_id = record.exchange_id AND other.phase = 'outcome'
                AND other.id > record.id
        )))
        AND ($8::uuid IS NULL OR id < $8)
        AND ($10::text IS NULL OR device_id = $10)
        AND ($11::text IS NULL OR client_address = $11)
        AND ($12::text IS NULL OR starts_with(user_agent, $12))
        AND ($13::text IS NULL OR event_type = $13)
        AND ($14::text IS NULL OR (violations <> '[]'::jsonb AND violations @> $14::jsonb))
    ORDER BY id DESC
    LIMIT $9"
        )
    };
}

/// What the ids are between. `WITHIN` takes all in, `$15` and `$16` being the least and the greatest.
macro_rules! within {
    () => {
        "(id >= $15::uuid AND id < $16::uuid)"
    };
}

const PAGE: &str = concat!(
    "WITH newest AS ((",
    newest!(concat!("$1::text IS NULL AND ", within!())),
    ") UNION ALL (",
    newest!(concat!("id = ANY($17::uuid[]) AND NOT ", within!())),
    "))",
    select!("newest", "ORDER BY id DESC LIMIT $9")
);

/// The two indexes one after the other, each no further than it must be read: whoever has a million
/// records has a newest hundred, too. No record is in both.
const PAGE_OF_USER: &str = concat!(
    "WITH newest AS ((",
    newest!("claimed_user = $1"),
    ") UNION ALL (",
    newest!("authenticated_user = $1 AND authenticated_user IS DISTINCT FROM claimed_user"),
    "))",
    select!("newest", "ORDER BY id DESC LIMIT $9")
);

/// The same for each of some users, and for records without one.
const PAGE_OF_SOME: &str = concat!(
    "WITH newest AS ((
        SELECT found.* FROM unnest($18::text[]) AS one (user_id) CROSS JOIN LATERAL (",
    newest!(concat!(
        "$1::text IS NULL AND claimed_user = one.user_id AND ",
        within!()
    )),
    ") AS found) UNION ALL (",
    newest!(concat!("claimed_user IS NULL AND ", within!())),
    ") UNION ALL (",
    newest!(concat!(
        "id = ANY($17::uuid[]) AND NOT (",
        within!(),
        " AND (claimed_user IS NULL OR claimed_user = ANY($18)))"
    )),
    "))",
    select!("newest", "ORDER BY id DESC LIMIT $9")
);

/// Who may read the trail alone finds the same, only not as fast.
const MAY_READ_SUMMARY: &str = "
    SELECT bool_and(has_table_privilege(name, 'SELECT'))
    FROM unnest(ARRAY['audit_summary', 'audit_fresh', 'audit_stray', 'audit_trait']) AS summary (name)
";

/// Whether the summary is of no use now; what it does not have yet; and what it says of times.
const SUMMARY: &str = "
    SELECT is_due OR is_behind OR (SELECT count(*) FROM (SELECT FROM audit_fresh LIMIT $3 + 1) AS few) > $3,
        ARRAY(SELECT unnest(record_ids) FROM (SELECT record_ids FROM audit_fresh LIMIT $3) AS few),
        ARRAY(
            SELECT record_id FROM audit_stray
            WHERE ($1::timestamptz IS NOT NULL OR $2::timestamptz IS NOT NULL)
                AND ($1 IS NULL OR recorded_at >= $1) AND ($2 IS NULL OR recorded_at < $2)
            LIMIT $4 + 1
        )
    FROM audit_summary
";

const USERS: &str = "SELECT user_id FROM audit_trait WHERE kind = $1 AND value = $2 LIMIT $3";

/// Byte by byte, whatever the collation.
const USERS_OF_CLIENT: &str = "
    SELECT user_id FROM audit_trait WHERE kind = $1 AND value ~>=~ $2 AND value ~<~ ($2 || U&'\\+10FFFF') LIMIT $3
";

/// So many statements that appended, so many records of another time, are looked at one by one.
const MOST_FRESH: i64 = 256;
const MOST_STRAYS: i64 = 20_000;
/// Of so many users each is looked at by itself; what more of them have is common, and found among the newest.
const MOST_USERS: usize = 128;
/// See `STRAY` of the summary, which this must exceed.
const SLACK: TimeDelta = TimeDelta::seconds(2);

/// Where to look.
struct Where {
    /// The least id, and the one after the greatest.
    within: (Uuid, Uuid),
    /// Records that may be anywhere.
    anywhere: Vec<Uuid>,
    /// Only among the records of these, and among those of nobody.
    users: Option<Vec<String>>,
}

/// See [`Store::page`](crate::audit::store::Store::page).
pub(super) async fn page(store: &PgStore, query: &Query) -> Result<Vec<Stored>, Error> {
    let mut held = store.hold().await?;
    // A page may take its time, but not a server that says nothing at all.
    let begin = tokio::time::timeout(ROUTINE, held.begin_with(BEGIN)).await;
    let mut transaction = begin.map_err(|_| Error::too_slow())??;
    let place = Where::of(&mut transaction, query).await?;
    let statement = match (&query.user, &place.users) {
        (Some(_), _) => PAGE_OF_USER,
        (None, Some(_)) => PAGE_OF_SOME,
        (None, None) => PAGE,
    };
    let violation = query.violation.as_ref();
    let rows: Vec<Row> = sqlx::query_as(statement)
        .bind(query.user.as_deref())
        .bind(query.since)
        .bind(query.until)
        .bind(query.action.map(Action::as_str))
        .bind(query.verdict.map(Judged::as_str))
        .bind(query.outcome.map(Outcome::as_str))
        .bind(query.outcome == Some(Outcome::Unanswered))
        .bind(query.before)
        .bind((query.limit > 0).then_some(i64::from(query.limit)))
        .bind(query.device.as_deref())
        .bind(query.address.as_deref())
        .bind(query.client.as_deref())
        .bind(query.event_type.map(EventType::as_str))
        .bind(violation.map(|code| serde_json::json!([code]).to_string()))
        .bind(place.within.0)
        .bind(place.within.1)
        .bind(place.anywhere)
        .bind(place.users)
        .persistent(false)
        .fetch_all(&mut *transaction)
        .await?;
    transaction.commit().await?;
    held.release();
    row::stored(rows)
}

// === impl Where ===

impl Where {
    const EVERYWHERE: Self = Self {
        within: (Uuid::nil(), Uuid::max()),
        anywhere: Vec::new(),
        users: None,
    };

    async fn of(connection: &mut PgConnection, query: &Query) -> Result<Self, Error> {
        let has_time = query.since.is_some() || query.until.is_some();
        let has_trait = query.device.is_some() || query.address.is_some() || query.client.is_some();
        if query.user.is_some() || !(has_time || has_trait) {
            return Ok(Self::EVERYWHERE);
        }
        let may_read: bool = sqlx::query_scalar(MAY_READ_SUMMARY)
            .persistent(false)
            .fetch_one(&mut *connection)
            .await?;
        if !may_read {
            return Ok(Self::EVERYWHERE);
        }
        let (is_useless, mut anywhere, strays): (bool, Vec<Uuid>, Vec<Uuid>) =
            sqlx::query_as(SUMMARY)
                .bind(query.since)
                .bind(query.until)
                .bind(MOST_FRESH)
                .bind(MOST_STRAYS)
                .persistent(false)
                .fetch_one(&mut *connection)
                .await?;
        if is_useless {
            return Ok(Self::EVERYWHERE);
        }
        let mut within = Self::EVERYWHERE.within;
        if strays.len() <= usize::try_from(MOST_STRAYS).unwrap_or(usize::MAX) {
            within.0 = query.since.map_or(within.0, |time| first_id(time, -SLACK));
            within.1 = query.until.map_or(within.1, |time| first_id(time, SLACK));
            anywhere.extend(strays);
        }
        let users = users(connection, query).await?;
        Ok(Self {
            within,
            anywhere,
            users,
        })
    }
}

/// Who alone can have what is looked for; `None` for too many.
async fn users(connection: &mut PgConnection, query: &Query) -> Result<Option<Vec<String>>, Error> {
    for (kind, value, statement) in [
        ("device", &query.device, USERS),
        ("address", &query.address, USERS),
        ("client", &query.client, USERS_OF_CLIENT),
    ] {
        let Some(value) = value else {
            continue;
        };
        let most = MOST_USERS * 2;
        let mut found: Vec<String> = sqlx::query_scalar(statement)
            .bind(kind)
            .bind(value)
            .bind(i64::try_from(most).unwrap_or(i64::MAX))
            .persistent(false)
            .fetch_all(&mut *connection)
            .await?;
        if found.len() < most {
            found.sort_unstable();
            found.dedup();
            if found.len() <= MOST_USERS {
                return Ok(Some(found));
            }
        }
    }
    Ok(None)
}

/// The least UUIDv7 of a time that is so much later.
fn first_id(time: DateTime<Utc>, later: TimeDelta) -> Uuid {
    let time = time.checked_add_signed(later).unwrap_or(time);
    let millis = u128::try_from(time.timestamp_millis()).unwrap_or_default();
    // 48 bits.
    Uuid::from_u128(millis.min((1 << 48) - 1) << 80)
}
