//! The summary: writes what was derived.

use sqlx::postgres::PgConnection;

use crate::audit::store::Error;
use crate::audit::summary::{Content, Derived, Profile};
use crate::matrix::EventType;

const USERS: &str = "
    INSERT INTO audit_user (user_id, profile, disagrees)
    SELECT * FROM unnest($1::text[], $2::jsonb[], $3::boolean[])
    ON CONFLICT (user_id) DO UPDATE SET profile = excluded.profile, disagrees = excluded.disagrees
";

const ADOPTION: &str = "
    INSERT INTO audit_adoption AS kept (day, preference, users)
    SELECT * FROM unnest($1::integer[], $2::text[], $3::bigint[])
    ON CONFLICT (day, preference) DO UPDATE SET users = kept.users + excluded.users
";

const HOURS: &str = "
    INSERT INTO audit_hour AS kept (hour, action, verdict, outcome, records)
    SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::bigint[])
    ON CONFLICT (hour, action, verdict, outcome) DO UPDATE SET records = kept.records + excluded.records
";

const VIOLATIONS: &str = "
    INSERT INTO audit_violation AS kept (hour, code, client, version, became, records, newest)
    SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::uuid[])
    ON CONFLICT (hour, code, client, version, became) DO UPDATE
    SET records = kept.records + excluded.records, newest = greatest(kept.newest, excluded.newest)
";

const VOID: &str = "DELETE FROM audit_drift WHERE user_id = ANY($1)";

const DRIFTS: &str = "
    INSERT INTO audit_drift
        (read_id, exchange_id, noticed_at, user_id, event_type, expected, known_from, found)
    SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::text[], $5::text[], $6::text[],
        $7::uuid[], $8::text[])
    ON CONFLICT (read_id) DO NOTHING
";

/// An outcome that is there already will close nothing.
const OPENED: &str = "
    INSERT INTO audit_open (exchange_id, intent_id)
    SELECT * FROM unnest($1::uuid[], $2::uuid[]) AS opened (exchange_id, intent_id)
    WHERE NOT EXISTS (
        SELECT FROM audit_record AS outcome
        WHERE outcome.exchange_id = opened.exchange_id AND outcome.phase = 'outcome'
    )
    ON CONFLICT (exchange_id) DO NOTHING
";

const CLOSED: &str = "DELETE FROM audit_open WHERE exchange_id = ANY($1)";

const TRAITS: &str = "
    INSERT INTO audit_trait (kind, value, user_id)
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[])
    ON CONFLICT DO NOTHING
";

/// Once a day for each: then nothing is written.
const TRAIT_DAYS: &str = "
    INSERT INTO audit_trait_days AS kept (kind, value, first_day, last_day)
    SELECT * FROM unnest($1::text[], $2::text[], $3::integer[], $4::integer[])
    ON CONFLICT (kind, value) DO UPDATE
    SET first_day = least(kept.first_day, excluded.first_day), last_day = greatest(kept.last_day, excluded.last_day)
    WHERE kept.first_day > excluded.first_day OR kept.last_day < excluded.last_day
";

const STRAYS: &str = "
    INSERT INTO audit_stray (record_id, recorded_at)
    SELECT * FROM unnest($1::uuid[], $2::timestamptz[])
    ON CONFLICT DO NOTHING
";

/// Executes a statement whose parameters are lists, unless the first is empty.
macro_rules! add {
    ($connection:expr, $statement:expr, $first:expr $(, $list:expr)*) => {{
        let first: Vec<_> = $first.collect();
        if !first.is_empty() {
            sqlx::query($statement)
                .bind(first)
                $(.bind($list.collect::<Vec<_>>()))*
                .persistent(false)
                .execute(&mut *$connection)
                .await?;
        }
    }};
}

/// Writes `derived`, in the transaction that took its records.
pub(super) async fn write(connection: &mut PgConnection, derived: &Derived) -> Result<(), Error> {
    let users = || derived.profiles.iter();
    add!(
        connection,
        USERS,
        users().map(|profile| profile.user.as_str()),
        users().map(sqlx::types::Json),
        users().map(Profile::disagrees)
    );
    let adoption = || derived.adoption.iter();
    add!(
        connection,
        ADOPTION,
        adoption().map(|((day, _), _)| *day),
        adoption().map(|((_, preference), _)| *preference),
        adoption().map(|(_, users)| *users)
    );
    let hours = || derived.hours.iter();
    add!(
        connection,
        HOURS,
        hours().map(|(key, _)| key.at),
        hours().map(|(key, _)| key.action),
        hours().map(|(key, _)| key.verdict),
        hours().map(|(key, _)| key.outcome),
        hours().map(|(_, records)| *records)
    );
    let violations = || derived.violations.iter();
    add!(
        connection,
        VIOLATIONS,
        violations().map(|(key, _)| key.hour),
        violations().map(|(key, _)| key.code.as_str()),
        violations().map(|(key, _)| key.client.as_str()),
        violations().map(|(key, _)| key.version.as_str()),
        violations().map(|(key, _)| key.became),
        violations().map(|(_, (records, _))| *records),
        violations().map(|(_, (_, newest))| *newest)
    );
    add!(
        connection,
        VOID,
        derived.replayed.iter().map(String::as_str)
    );
    let drifts = || derived.drifts.iter();
    add!(
        connection,
        DRIFTS,
        drifts().map(|drift| drift.read_id),
        drifts().map(|drift| drift.exchange_id),
        drifts().map(|drift| drift.at),
        drifts().map(|drift| drift.user.as_str()),
        drifts().map(|drift| EventType::as_str(drift.event_type)),
        drifts().map(|drift| Content::as_str(drift.expected)),
        drifts().map(|drift| drift.known_from),
        drifts().map(|drift| Content::as_str(drift.found))
    );
    let opened = || derived.opened.iter();
    add!(
        connection,
        OPENED,
        opened().map(|(exchange, _)| *exchange),
        opened().map(|(_, intent)| *intent)
    );
    add!(connection, CLOSED, derived.closed.iter().copied());
    let traits = || derived.traits.iter();
    add!(
        connection,
        TRAITS,
        traits().map(|(kind, _, _)| *kind),
        traits().map(|(_, value, _)| value.as_str()),
        traits().map(|(_, _, user)| user.as_str())
    );
    let days = || derived.trait_days.iter();
    add!(
        connection,
        TRAIT_DAYS,
        days().map(|((kind, _), _)| *kind),
        days().map(|((_, value), _)| value.as_str()),
        days().map(|(_, (first, _))| *first),
        days().map(|(_, (_, last))| *last)
    );
    let strays = || derived.strays.iter();
    add!(
        connection,
        STRAYS,
        strays().map(|(record, _)| *record),
        strays().map(|(_, at)| *at)
    );
    Ok(())
}
