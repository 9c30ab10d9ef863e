//! The tree over the records: questions to it.

use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::sqlite::SqliteConnection;
use uuid::Uuid;

use super::SqliteStore;
use super::read::{list, records};
use crate::audit::record::Stored;
use crate::audit::seal::Hash;
use crate::audit::store::{
    Error, Places, StoredCheckpoint, StoredHead, StoredLeaf, StoredTile, Strays, Unsealed, Waiting,
};

const WAITING: &str = "
    SELECT EXISTS (SELECT 1 FROM audit_pending), head.size, coalesce(newest.size, 0),
        coalesce(unixepoch('now', 'subsec') - newest.made_at / 1e6, 0.0)
    FROM audit_tree_head AS head LEFT JOIN (
        SELECT size, made_at FROM audit_checkpoint ORDER BY size DESC LIMIT 1
    ) AS newest
";

/// Microseconds since 1970, by SQLite's clock, as the schema's defaults have them.
pub(super) const MICROS_NOW: &str =
    "SELECT CAST(round(unixepoch('now', 'subsec') * 1000) AS INTEGER) * 1000";

const HEAD: &str = "SELECT size, root, note FROM audit_tree_head";

const LEAVES: &str = "
    SELECT leaf_index, CASE length(record_id) WHEN 16 THEN record_id ELSE zeroblob(16) END, leaf_hash
    FROM audit_leaf WHERE leaf_index >= ?1 ORDER BY leaf_index LIMIT ?2
";

/// The ids are one JSON text.
const LEAVES_OF: &str = "
    SELECT record_id, leaf_index, leaf_hash FROM audit_leaf
    WHERE record_id IN (SELECT unhex(value) FROM json_each(?1))
";

const UNSEALED: &str =
    "SELECT seq, record_id FROM audit_pending WHERE seq > ?1 ORDER BY seq LIMIT ?2";

const STRAYS: &str = "
    SELECT id, id NOT IN (SELECT record_id FROM audit_pending)
        AND NOT EXISTS (SELECT 1 FROM audit_leaf WHERE record_id = looked.id)
    FROM (SELECT id FROM audit_record WHERE id > ?1 ORDER BY id LIMIT ?2) AS looked
    ORDER BY id
";

/// The tiles are one JSON text.
const TILES: &str = "
    SELECT level, tile_index, hashes FROM json_each(?1)
    JOIN audit_tile ON level = value ->> 0 AND tile_index = value ->> 1
";

const TILES_FROM: &str = "
    SELECT level, tile_index, hashes FROM audit_tile
    WHERE level = ?1 AND tile_index >= ?2 ORDER BY tile_index LIMIT ?3
";

const CHECKPOINTS: &str =
    "SELECT size, note, made_at FROM audit_checkpoint WHERE size > ?1 ORDER BY size LIMIT ?2";

const NEWEST: &str = "SELECT size, note, made_at FROM audit_checkpoint ORDER BY size DESC LIMIT ?1";

const LOSE: &str = "
    INSERT INTO audit_lost_checkpoint (size, root, record_id) VALUES (?1, ?2, ?3)
    ON CONFLICT DO NOTHING
";

const NEWEST_RESUME: &str = "
    SELECT stored_at FROM audit_lost_checkpoint JOIN audit_record ON id = record_id
    WHERE kind = 'operation' ORDER BY record_id DESC LIMIT 1
";

const LOST: &str = "SELECT record_id FROM audit_lost_checkpoint WHERE size = ?1 AND root = ?2";

/// See [`Tree::waiting`](crate::audit::store::Tree::waiting).
pub(super) async fn waiting(store: &SqliteStore) -> Result<Waiting, Error> {
    let (is_pending, size, newest, checkpoint_age): (bool, i64, i64, f64) =
        sqlx::query_as(WAITING).fetch_one(&store.pool).await?;
    Ok(Waiting {
        is_pending,
        size: size.unsigned_abs(),
        checkpoint_size: newest.unsigned_abs(),
        checkpoint_age,
    })
}

/// See [`Tree::tree_head`](crate::audit::store::Tree::tree_head).
pub(super) async fn head(store: &SqliteStore) -> Result<StoredHead, Error> {
    let found: Option<(i64, Vec<u8>, Option<String>)> =
        sqlx::query_as(HEAD).fetch_optional(&store.pool).await?;
    let (size, root, note) = found.unwrap_or_default();
    Ok(StoredHead { size, root, note })
}

/// See [`Tree::leaves`](crate::audit::store::Tree::leaves).
pub(super) async fn leaves(
    store: &SqliteStore,
    from: i64,
    limit: u32,
) -> Result<Vec<StoredLeaf>, Error> {
    let mut connection = store.pool.acquire().await?;
    let rows: Vec<(i64, Uuid, Vec<u8>)> = sqlx::query_as(LEAVES)
        .bind(from)
        .bind(i64::from(limit))
        .fetch_all(&mut *connection)
        .await?;
    let ids: Vec<Uuid> = rows.iter().map(|row| row.1).collect();
    let records = records(&mut connection, &ids).await?;
    let leaves = rows
        .into_iter()
        .map(|(leaf_index, record_id, leaf_hash)| StoredLeaf {
            leaf_index,
            record_id,
            leaf_hash,
            record: records.get(&record_id).cloned(),
        });
    Ok(leaves.collect())
}

/// See [`Tree::leaves_of`](crate::audit::store::Tree::leaves_of).
pub(super) async fn leaves_of(store: &SqliteStore, ids: &[Uuid]) -> Result<Places, Error> {
    let rows: Vec<(Uuid, i64, Vec<u8>)> = sqlx::query_as(LEAVES_OF)
        .bind(list(ids))
        .fetch_all(&store.pool)
        .await?;
    let leaves = rows
        .into_iter()
        .map(|(id, index, hash)| (id, (index, hash)));
    Ok(leaves.collect())
}

/// See [`Tree::unsealed`](crate::audit::store::Tree::unsealed).
pub(super) async fn unsealed(
    store: &SqliteStore,
    after: i64,
    limit: u32,
) -> Result<Vec<Unsealed>, Error> {
    let mut connection = store.pool.acquire().await?;
    let rows: Vec<(i64, Uuid)> = sqlx::query_as(UNSEALED)
        .bind(after)
        .bind(i64::from(limit))
        .fetch_all(&mut *connection)
        .await?;
    let ids: Vec<Uuid> = rows.iter().map(|row| row.1).collect();
    let mut records = records(&mut connection, &ids).await?;
    let unsealed = rows.into_iter().map(|(seq, record_id)| Unsealed {
        seq,
        record_id,
        record: records.remove(&record_id),
    });
    Ok(unsealed.collect())
}

/// See [`Tree::strays`](crate::audit::store::Tree::strays).
pub(super) async fn strays(store: &SqliteStore, after: Uuid, limit: u32) -> Result<Strays, Error> {
    let mut connection = store.pool.acquire().await?;
    let looked: Vec<(Uuid, bool)> = sqlx::query_as(STRAYS)
        .bind(after)
        .bind(i64::from(limit))
        .fetch_all(&mut *connection)
        .await?;
    let is_full = looked.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
    let next = looked.last().filter(|_| is_full).map(|(id, _)| *id);
    let ids: Vec<Uuid> = looked.iter().filter(|it| it.1).map(|it| it.0).collect();
    let records = records(&mut connection, &ids).await?;
    let found = records.into_values().filter_map(Result::ok).collect();
    Ok(Strays { found, next })
}

type TileRow = (i64, i64, Vec<u8>);

/// See [`Tree::tiles`](crate::audit::store::Tree::tiles).
pub(super) async fn tiles(
    store: &SqliteStore,
    wanted: &[(u8, u64)],
) -> Result<Vec<StoredTile>, Error> {
    let mut connection = store.pool.acquire().await?;
    tiles_in(&mut connection, wanted).await
}

/// The same within a transaction.
pub(super) async fn tiles_in(
    connection: &mut SqliteConnection,
    wanted: &[(u8, u64)],
) -> Result<Vec<StoredTile>, Error> {
    let rows: Vec<TileRow> = sqlx::query_as(TILES)
        .bind(json!(wanted).to_string())
        .fetch_all(connection)
        .await?;
    Ok(rows.into_iter().map(tile).collect())
}

/// See [`Tree::tiles_from`](crate::audit::store::Tree::tiles_from).
pub(super) async fn tiles_from(
    store: &SqliteStore,
    level: u8,
    from: u64,
    limit: u32,
) -> Result<Vec<StoredTile>, Error> {
    let (level, from, limit) = (i64::from(level), from.cast_signed(), i64::from(limit));
    let rows: Vec<TileRow> = sqlx::query_as(TILES_FROM)
        .bind(level)
        .bind(from)
        .bind(limit)
        .fetch_all(&store.pool)
        .await?;
    Ok(rows.into_iter().map(tile).collect())
}

type CheckpointRow = (i64, String, i64);

/// See [`Tree::checkpoints`](crate::audit::store::Tree::checkpoints).
pub(super) async fn checkpoints(
    store: &SqliteStore,
    beyond: i64,
    limit: u32,
) -> Result<Vec<StoredCheckpoint>, Error> {
    let limit = i64::from(limit);
    let rows: Vec<CheckpointRow> = sqlx::query_as(CHECKPOINTS)
        .bind(beyond)
        .bind(limit)
        .fetch_all(&store.pool)
        .await?;
    Ok(rows.into_iter().map(checkpoint).collect())
}

/// See [`Tree::newest_checkpoints`](crate::audit::store::Tree::newest_checkpoints).
pub(super) async fn newest(
    store: &SqliteStore,
    limit: u32,
) -> Result<Vec<StoredCheckpoint>, Error> {
    let rows: Vec<CheckpointRow> = sqlx::query_as(NEWEST)
        .bind(i64::from(limit))
        .fetch_all(&store.pool)
        .await?;
    Ok(rows.into_iter().map(checkpoint).collect())
}

/// The same within a transaction.
pub(super) async fn newest_in(
    connection: &mut SqliteConnection,
    limit: u32,
) -> Result<Vec<StoredCheckpoint>, Error> {
    let rows: Vec<CheckpointRow> = sqlx::query_as(NEWEST)
        .bind(i64::from(limit))
        .fetch_all(connection)
        .await?;
    Ok(rows.into_iter().map(checkpoint).collect())
}

/// See [`Tree::lose`](crate::audit::store::Tree::lose).
pub(super) async fn lose(
    store: &SqliteStore,
    size: u64,
    root: Hash,
    record_id: Uuid,
) -> Result<(), Error> {
    let mut held = store.hold().await?;
    let mut transaction = store.begin_write(&mut held).await?;
    sqlx::query(LOSE)
        .bind(size.cast_signed())
        .bind(&root[..])
        .bind(record_id)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    held.release();
    Ok(())
}

/// See [`Tree::lost`](crate::audit::store::Tree::lost).
pub(super) async fn lost(
    store: &SqliteStore,
    size: u64,
    root: Hash,
) -> Result<Option<Stored>, Error> {
    let mut connection = store.pool.acquire().await?;
    let found: Option<Uuid> = sqlx::query_scalar(LOST)
        .bind(size.cast_signed())
        .bind(root.to_vec())
        .fetch_optional(&mut *connection)
        .await?;
    let Some(id) = found else {
        return Ok(None);
    };
    let record = records(&mut connection, &[id]).await?.remove(&id);
    Ok(record.and_then(Result::ok))
}

/// See [`Tree::newest_resume`](crate::audit::store::Tree::newest_resume).
pub(super) async fn newest_resume(store: &SqliteStore) -> Result<Option<DateTime<Utc>>, Error> {
    let found: Option<i64> = sqlx::query_scalar(NEWEST_RESUME)
        .fetch_optional(&store.pool)
        .await?;
    Ok(found.map(time))
}

fn tile((level, index, hashes): TileRow) -> StoredTile {
    StoredTile {
        level: u8::try_from(level).unwrap_or(u8::MAX),
        index: index.unsigned_abs(),
        hashes,
    }
}

fn checkpoint((size, note, made_at): CheckpointRow) -> StoredCheckpoint {
    StoredCheckpoint {
        size,
        note,
        made_at: time(made_at),
    }
}

/// What SQLite's clock says; 1970 for what no calendar has.
pub(super) fn time(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap_or_default()
}
