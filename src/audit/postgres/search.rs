//! A page of the trail: the newest records that some filters let through.
//!
//! A page must not take longer because the trail is long. What is common is found among the newest records; what is rare
//! needs to be known where it is. For users, verdicts, outcomes and violations an index of the trail says so. For devices,
//! addresses and clients, and for times, an index would cost every record a tenth more to write: there the summary says
//! which users' records to look at, and which ids are of another time than their records. What the summary does not have
//! yet is looked at by itself, at the same moment, so that nothing is missed.

mod place;

use sqlx::Connection;

use self::place::Place;
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
        newest!($whose, open: "$7")
    };
    ($whose:expr, open: $open:literal) => {
        concat!(
            "SELECT * FROM audit_record AS record
        WHERE ",
            $whose,
            "
        AND ($2::timestamptz IS NULL OR record.recorded_at >= $2)
        AND ($3::timestamptz IS NULL OR record.recorded_at < $3)
        AND ($4::text IS NULL OR action = $4)
        AND ($5::text IS NULL OR verdict = $5)
        AND ($6::text IS NULL OR outcome = $6 OR (",
            $open,
            "::boolean AND phase = 'intent' AND NOT EXISTS (
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

/// What the ids are between: the part of a page that is found by indexes.
macro_rules! within {
    () => {
        "(id >= $15::uuid AND id < $16::uuid)"
    };
}

/// What that part finds by itself, if it is let through.
macro_rules! found {
    ($area:expr) => {
        concat!(
            "(",
            $area,
            " AND ($6::text IS NULL OR coalesce(outcome = $6, false) OR $7::boolean))"
        )
    };
}

/// The rest: records that may be anywhere, and all from an id on.
macro_rules! rest {
    ($area:expr) => {
        concat!(
            "(",
            newest!(
                concat!("id = ANY($17::uuid[]) AND id < $18::uuid AND NOT ", found!($area)),
                open: "$19"
            ),
            ") UNION ALL (",
            newest!(concat!("id >= $18::uuid AND NOT ", found!($area)), open: "$19"),
            ")"
        )
    };
}

/// `$1` and `$20` are of the other statements.
const PAGE: &str = concat!(
    "WITH newest AS ((",
    newest!(concat!(
        "($1::text IS NULL OR $20::text[] IS NULL) AND ",
        within!()
    )),
    ") UNION ALL ",
    rest!(within!()),
    ")",
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
        SELECT found.* FROM unnest($20::text[]) AS one (user_id) CROSS JOIN LATERAL (",
    newest!(concat!(
        "$1::text IS NULL AND claimed_user = one.user_id AND ",
        within!()
    )),
    ") AS found) UNION ALL (",
    newest!(concat!("claimed_user IS NULL AND ", within!())),
    ") UNION ALL ",
    rest!(concat!(
        "(",
        within!(),
        " AND (claimed_user IS NULL OR claimed_user = ANY($20)))"
    )),
    ")",
    select!("newest", "ORDER BY id DESC LIMIT $9")
);

/// See [`Store::page`](crate::audit::store::Store::page).
pub(super) async fn page(store: &PgStore, query: &Query) -> Result<Vec<Stored>, Error> {
    let mut held = store.hold().await?;
    // A page may take its time, but not a server that says nothing at all.
    let begin = tokio::time::timeout(ROUTINE, held.begin_with(BEGIN)).await;
    let mut transaction = begin.map_err(|_| Error::too_slow())??;
    let place = Place::of(&mut transaction, query).await?;
    let statement = match (&query.user, &place.users) {
        (Some(_), _) => PAGE_OF_USER,
        (None, Some(_)) => PAGE_OF_SOME,
        (None, None) => PAGE,
    };
    let violation = query.violation.as_ref();
    let is_open = query.outcome == Some(Outcome::Unanswered);
    let mut rows = sqlx::query_as(statement)
        .bind(query.user.as_deref())
        .bind(query.since)
        .bind(query.until)
        .bind(query.action.map(Action::as_str))
        .bind(query.verdict.map(Judged::as_str))
        .bind(query.outcome.map(Outcome::as_str))
        .bind(is_open && !place.has_open)
        .bind(query.before)
        .bind((query.limit > 0).then_some(i64::from(query.limit)))
        .bind(query.device.as_deref())
        .bind(query.address.as_deref())
        .bind(query.client.as_deref())
        .bind(query.event_type.map(EventType::as_str))
        .bind(violation.map(|code| serde_json::json!([code]).to_string()));
    if query.user.is_none() {
        rows = rows
            .bind(place.within.0)
            .bind(place.within.1)
            .bind(place.anywhere)
            .bind(place.from)
            .bind(is_open)
            .bind(place.users);
    }
    let rows: Vec<Row> = rows.persistent(false).fetch_all(&mut *transaction).await?;
    transaction.commit().await?;
    held.release();
    row::stored(rows)
}
