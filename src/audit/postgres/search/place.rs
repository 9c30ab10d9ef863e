//! Where to look for what some filters let through.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use crate::audit::record::Outcome;
use crate::audit::store::{Error, Query};

/// Who may read the trail alone finds the same, only not as fast.
const MAY_READ_SUMMARY: &str = "
    SELECT bool_and(has_table_privilege(name, 'SELECT'))
    FROM unnest(ARRAY[
        'audit_summary', 'audit_fresh', 'audit_open', 'audit_stray', 'audit_trait', 'audit_trait_days'
    ]) AS summary (name)
";

/// Whether the summary is being made anew; how many statements it lacks, and their records; records of another time; and
/// intents without an outcome.
const SUMMARY: &str = "
    SELECT is_due OR is_behind,
        (SELECT count(*) FROM (SELECT FROM audit_fresh LIMIT $3 + 1) AS few),
        ARRAY(SELECT unnest(record_ids) FROM (SELECT record_ids FROM audit_fresh LIMIT $3) AS few),
        ARRAY(
            SELECT record_id FROM audit_stray
            WHERE ($1::timestamptz IS NOT NULL OR $2::timestamptz IS NOT NULL)
                AND ($1 IS NULL OR recorded_at >= $1) AND ($2 IS NULL OR recorded_at < $2)
            LIMIT $4 + 1
        ),
        ARRAY(SELECT intent_id FROM audit_open WHERE $5 LIMIT $4 + 1)
    FROM audit_summary
";

/// The least id that the summary lacks.
const OLDEST: &str = "
    SELECT id FROM (SELECT unnest(record_ids) AS id FROM audit_fresh) AS fresh ORDER BY id LIMIT 1
";

const USERS: &str = "SELECT user_id FROM audit_trait WHERE kind = $1 AND value = $2 LIMIT $3";

const DAYS: &str = "
    SELECT min(first_day), max(last_day) FROM audit_trait_days WHERE kind = $1 AND value = $2
";

/// Byte by byte, whatever the collation.
const USERS_OF_CLIENT: &str = "
    SELECT user_id FROM audit_trait
    WHERE kind = $1 AND value ~>=~ $2 AND value ~<~ ($2 || U&'\\+10FFFF') LIMIT $3
";

const DAYS_OF_CLIENT: &str = "
    SELECT min(first_day), max(last_day) FROM audit_trait_days
    WHERE kind = $1 AND value ~>=~ $2 AND value ~<~ ($2 || U&'\\+10FFFF')
";

/// The records of so many statements, and so many records of another time, are looked at one by one.
const MOST_FRESH: i64 = 256;
const MOST_STRAYS: i64 = 20_000;
/// Of so many users each is looked at by itself; what more of them have is common on the days when they had it.
const MOST_USERS: usize = 128;
/// See `STRAY` of the summary, which this must exceed.
const SLACK: TimeDelta = TimeDelta::seconds(2);

/// Where to look.
pub(super) struct Place {
    /// The least id, and the one after the greatest.
    pub(super) within: (Uuid, Uuid),
    /// Records that may be anywhere.
    pub(super) anywhere: Vec<Uuid>,
    /// From this id on everything is looked at.
    pub(super) from: Uuid,
    /// Whether all intents without an outcome are among these.
    pub(super) has_open: bool,
    /// Only among the records of these, and among those of nobody.
    pub(super) users: Option<Vec<String>>,
}

/// Who has a device, an address or a client, and when.
enum Trait {
    Few(Vec<String>),
    Many(Option<(i32, i32)>),
}

// === impl Place ===

impl Place {
    fn everywhere() -> Self {
        Self {
            within: (Uuid::nil(), Uuid::max()),
            anywhere: Vec::new(),
            from: Uuid::max(),
            has_open: false,
            users: None,
        }
    }

    /// Where to look for what `query` lets through.
    pub(super) async fn of(connection: &mut PgConnection, query: &Query) -> Result<Self, Error> {
        let mut place = Self::everywhere();
        let wants_open = query.outcome == Some(Outcome::Unanswered);
        let has_time = query.since.is_some() || query.until.is_some();
        let has_trait = query.device.is_some() || query.address.is_some() || query.client.is_some();
        let needs_summary = has_time || has_trait || wants_open;
        if query.user.is_some() || !needs_summary || !may_read_summary(connection).await? {
            return Ok(place);
        }
        let (is_behind, waiting, fresh, strays, mut open): (bool, i64, _, Vec<Uuid>, Vec<Uuid>) =
            sqlx::query_as(SUMMARY)
                .bind(query.since)
                .bind(query.until)
                .bind(MOST_FRESH)
                .bind(MOST_STRAYS)
                .bind(wants_open)
                .persistent(false)
                .fetch_one(&mut *connection)
                .await?;
        if is_behind {
            return Ok(place);
        }
        if waiting <= MOST_FRESH {
            place.anywhere = fresh;
        } else {
            let oldest: Option<Uuid> = sqlx::query_scalar(OLDEST)
                .persistent(false)
                .fetch_optional(&mut *connection)
                .await?;
            place.from = oldest.unwrap_or(Uuid::max());
        }
        let is_little = |list: &[Uuid]| list.len() <= usize::try_from(MOST_STRAYS).unwrap_or(0);
        if is_little(&strays) {
            place.since(query.since.map(|time| first_id(time, -SLACK)));
            place.until(query.until.map(|time| first_id(time, SLACK)));
            place.anywhere.extend(strays);
        }
        if wants_open && is_little(&open) {
            place.has_open = true;
            // Those of another time are among the strays.
            open.retain(|id| (place.within.0..place.within.1).contains(id));
            place.anywhere.extend(open);
        }
        place.narrow(connection, query).await?;
        Ok(place)
    }

    /// To the users, or the days, of what `query` names.
    async fn narrow(&mut self, connection: &mut PgConnection, query: &Query) -> Result<(), Error> {
        for (kind, value, statements) in [
            ("device", &query.device, (USERS, DAYS)),
            ("address", &query.address, (USERS, DAYS)),
            ("client", &query.client, (USERS_OF_CLIENT, DAYS_OF_CLIENT)),
        ] {
            let Some(value) = value else {
                continue;
            };
            match Trait::of(connection, kind, value, statements).await? {
                Trait::Few(users) => {
                    self.users = Some(users);
                    return Ok(());
                }
                Trait::Many(Some((first, last))) => {
                    self.since(Some(first_id_of(first)));
                    self.until(Some(first_id_of(last.saturating_add(1))));
                }
                Trait::Many(None) => {}
            }
        }
        Ok(())
    }

    fn since(&mut self, id: Option<Uuid>) {
        self.within.0 = self.within.0.max(id.unwrap_or(Uuid::nil()));
    }

    fn until(&mut self, id: Option<Uuid>) {
        self.within.1 = self.within.1.min(id.unwrap_or(Uuid::max()));
    }
}

// === impl Trait ===

impl Trait {
    async fn of(
        connection: &mut PgConnection,
        kind: &str,
        value: &str,
        (users, days): (&'static str, &'static str),
    ) -> Result<Self, Error> {
        let most = MOST_USERS * 2;
        let mut found: Vec<String> = sqlx::query_scalar(users)
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
                return Ok(Self::Few(found));
            }
        }
        let days: (Option<i32>, Option<i32>) = sqlx::query_as(days)
            .bind(kind)
            .bind(value)
            .persistent(false)
            .fetch_one(&mut *connection)
            .await?;
        Ok(Self::Many(days.0.zip(days.1)))
    }
}

async fn may_read_summary(connection: &mut PgConnection) -> Result<bool, Error> {
    Ok(sqlx::query_scalar(MAY_READ_SUMMARY)
        .persistent(false)
        .fetch_one(connection)
        .await?)
}

/// The least UUIDv7 of a time that is so much later.
fn first_id(time: DateTime<Utc>, later: TimeDelta) -> Uuid {
    let time = time.checked_add_signed(later).unwrap_or(time);
    of_millis(time.timestamp_millis())
}

/// The least UUIDv7 of a day since 1970.
fn first_id_of(day: i32) -> Uuid {
    of_millis(i64::from(day).saturating_mul(86_400_000))
}

fn of_millis(millis: i64) -> Uuid {
    let millis = u128::try_from(millis).unwrap_or_default();
    // 48 bits.
    Uuid::from_u128(millis.min((1 << 48) - 1) << 80)
}
