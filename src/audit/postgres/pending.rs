//! What is about to be sealed: read without what a leaf does not say, as that is most of what sealing costs.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::types::Json;
use uuid::Uuid;

use crate::audit::record::leaf::{Leaf, LeafHasher};
use crate::audit::seal::Hash;
use crate::audit::store::{Error, Pending};

/// Out of the line at once: a step that comes to nothing is rolled back.
const TAKE: &str = "
    DELETE FROM audit_pending
    WHERE seq = ANY (ARRAY (SELECT seq FROM audit_pending WHERE seq > $2 ORDER BY seq LIMIT $1))
    RETURNING seq, record_id
";

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "
    SELECT id, kind, exchange_id, phase, recorded_at, stored_at, instance, run_id, version, action,
        event_type, claimed_commitment, authenticated_commitment, client_commitment, preference,
        verdict, violations, outcome, origin_status, errcode, request_id, traceparent, body_sha256,
        duration_us, detail
    FROM audit_record ",
            $rest
        )
    };
}

/// What has arrived together has ids that lie together.
const RANGE: &str = select!("WHERE id BETWEEN $1 AND $2 LIMIT $3");

const BY_ID: &str = select!("WHERE id = ANY($1)");

/// Ids whose times are further apart have others between them.
const TOGETHER_MILLIS: u128 = 5_000;

/// Takes at most `limit` records that arrived after `beyond` out of the line, each with its leaf hash.
pub(super) async fn take(
    connection: &mut PgConnection,
    limit: u32,
    beyond: i64,
) -> Result<Vec<Pending>, Error> {
    let mut taken: Vec<(i64, Uuid)> = sqlx::query_as(TAKE)
        .bind(i64::from(limit))
        .bind(beyond)
        .persistent(false)
        .fetch_all(&mut *connection)
        .await?;
    taken.sort_unstable();
    let leaves = leaves(connection, &taken).await?;
    let pending = taken.into_iter().map(|(seq, record_id)| Pending {
        seq,
        record_id,
        leaf: leaves.get(&record_id).copied(),
    });
    Ok(pending.collect())
}

type Leaves = HashMap<Uuid, Result<Hash, &'static str>>;

async fn leaves(connection: &mut PgConnection, taken: &[(i64, Uuid)]) -> Result<Leaves, Error> {
    let ids = taken.iter().map(|(_, id)| *id);
    let (Some(least), Some(greatest)) = (ids.clone().min(), ids.clone().max()) else {
        return Ok(Leaves::new());
    };
    let apart = (greatest.as_u128() >> 80) - (least.as_u128() >> 80);
    if apart <= TOGETHER_MILLIS {
        // A few others may be among them.
        let most = 2 * taken.len();
        let rows = sqlx::query(RANGE)
            .bind(least)
            .bind(greatest)
            .bind(i64::try_from(most).unwrap_or(i64::MAX))
            .persistent(false)
            .fetch_all(&mut *connection)
            .await?;
        if rows.len() < most {
            return hashed(&rows);
        }
    }
    let rows = sqlx::query(BY_ID)
        .bind(ids.collect::<Vec<_>>())
        .persistent(false)
        .fetch_all(connection)
        .await?;
    hashed(&rows)
}

fn hashed(rows: &[PgRow]) -> Result<Leaves, Error> {
    let mut hasher = LeafHasher::new();
    let mut leaves = Leaves::with_capacity(rows.len());
    for row in rows {
        let (id, leaf) = hash(row, &mut hasher)?;
        leaves.insert(id, leaf);
    }
    Ok(leaves)
}

/// The columns in their order; the text stays where it is.
fn hash(
    row: &PgRow,
    hasher: &mut LeafHasher,
) -> Result<(Uuid, Result<Hash, &'static str>), sqlx::Error> {
    let id: Uuid = row.try_get(0)?;
    let recorded_at: DateTime<Utc> = row.try_get(4)?;
    let stored_at: DateTime<Utc> = row.try_get(5)?;
    let Ok(Json(violations)) = row.try_get::<Json<Vec<String>>, _>(16) else {
        return Ok((id, Err("violations")));
    };
    let detail: Option<Json<Value>> = row.try_get(24)?;
    let bytes = |column: usize| -> Result<Option<&[u8]>, sqlx::Error> { row.try_get(column) };
    let columns = [
        (11, "claimed_commitment"),
        (12, "authenticated_commitment"),
        (13, "client_commitment"),
        (22, "body_sha256"),
    ];
    let mut found = [None; 4];
    for (hash, (column, name)) in found.iter_mut().zip(columns) {
        *hash = match bytes(column)?.map(<[u8; 32]>::try_from) {
            Some(Err(_)) => return Ok((id, Err(name))),
            Some(Ok(hash)) => Some(hash),
            None => None,
        };
    }
    let [claimed, authenticated, client, body_sha256] = found;
    let leaf = Leaf {
        id,
        kind: row.try_get(1)?,
        exchange_id: row.try_get(2)?,
        phase: row.try_get(3)?,
        recorded_at: recorded_at.timestamp_micros(),
        stored_at: stored_at.timestamp_micros(),
        instance: row.try_get(6)?,
        run_id: row.try_get(7)?,
        version: row.try_get(8)?,
        action: row.try_get(9)?,
        event_type: row.try_get(10)?,
        claimed,
        authenticated,
        client,
        preference: row.try_get(14)?,
        verdict: row.try_get(15)?,
        violations: &violations,
        outcome: row.try_get(17)?,
        origin_status: row.try_get::<Option<i32>, _>(18)?.map(i64::from),
        errcode: row.try_get(19)?,
        request_id: row.try_get(20)?,
        traceparent: row.try_get(21)?,
        body_sha256,
        duration_us: row.try_get(23)?,
        detail: detail.as_ref().map(|Json(detail)| detail),
    };
    Ok((id, Ok(hasher.hash(&leaf))))
}
