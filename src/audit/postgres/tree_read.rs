//! The tree over the records: questions to it.

use chrono::{DateTime, Utc};
use sqlx::Connection;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::PgStore;
use super::read::{BEGIN, records};
use crate::audit::record::Stored;
use crate::audit::seal::{Hash, Tile};
use crate::audit::store::{
    Error, Places, StoredCheckpoint, StoredHead, StoredLeaf, StoredTile, Strays, Unsealed, Waiting,
};

const WAITING: &str = "
    SELECT (SELECT true FROM audit_pending ORDER BY seq LIMIT 1) IS NOT NULL, head.size, coalesce(newest.size, 0),
        coalesce(extract(epoch FROM clock_timestamp() - newest.made_at)::float8, 0)
    FROM audit_tree_head AS head LEFT JOIN LATERAL (
        SELECT size, made_at FROM audit_checkpoint ORDER BY size DESC LIMIT 1
    ) AS newest ON true
";

const HEAD: &str = "SELECT size, root, note FROM audit_tree_head";

const LEAVES: &str = "
    SELECT leaf_index, record_id, leaf_hash FROM audit_leaf
    WHERE leaf_index >= $1 ORDER BY leaf_index LIMIT $2
";

const LEAVES_OF: &str =
    "SELECT record_id, leaf_index, leaf_hash FROM audit_leaf WHERE record_id = ANY($1)";

const UNSEALED: &str =
    "SELECT seq, record_id FROM audit_pending WHERE seq > $1 ORDER BY seq LIMIT $2";

const STRAYS: &str = "
    WITH looked AS MATERIALIZED (
        SELECT id FROM audit_record WHERE id > $1 ORDER BY id LIMIT $2
    ), pending AS MATERIALIZED (
        SELECT record_id FROM audit_pending
    )
    SELECT id, (SELECT true FROM audit_leaf WHERE record_id = looked.id) IS NULL
        AND id NOT IN (SELECT record_id FROM pending)
    FROM looked ORDER BY id
";

const TILES: &str = "
    SELECT tile.level, tile.tile_index, tile.hashes
    FROM unnest($1::smallint[], $2::bigint[]) AS wanted (level, tile_index)
    JOIN audit_tile AS tile USING (level, tile_index)
";

const TILES_FROM: &str = "
    SELECT level, tile_index, hashes FROM audit_tile
    WHERE level = $1 AND tile_index >= $2 ORDER BY tile_index LIMIT $3
";

const CHECKPOINTS: &str = "
    SELECT size, note, made_at FROM audit_checkpoint WHERE size > $1 ORDER BY size LIMIT $2
";

const NEWEST: &str = "SELECT size, note, made_at FROM audit_checkpoint ORDER BY size DESC LIMIT $1";

const LOSE: &str = "
    INSERT INTO audit_lost_checkpoint (size, root, record_id) VALUES ($1, $2, $3)
    ON CONFLICT DO NOTHING
";

const LOST: &str = "SELECT record_id FROM audit_lost_checkpoint WHERE size = $1 AND root = $2";

const NEWEST_RESUME: &str = "
    SELECT stored_at FROM audit_lost_checkpoint JOIN audit_record ON id = record_id
    WHERE kind = 'operation' ORDER BY record_id DESC LIMIT 1
";

const BEGIN_WRITE: &str = "
    BEGIN ISOLATION LEVEL READ COMMITTED;
    SET LOCAL statement_timeout = '5s';
    SET LOCAL lock_timeout = '1s';
";

/// One statement that only reads, in a transaction of its own.
macro_rules! ask {
    ($store:expr, $statement:expr, $fetch:ident $(, $bound:expr)*) => {{
        let mut held = $store.hold().await?;
        let mut transaction = held.begin_with(BEGIN).await?;
        let found = sqlx::query_as($statement)
            $(.bind($bound))*
            .persistent(false)
            .$fetch(&mut *transaction)
            .await?;
        transaction.commit().await?;
        held.release();
        found
    }};
}

/// See [`Tree::waiting`](crate::audit::store::Tree::waiting).
pub(super) async fn waiting(store: &PgStore) -> Result<Waiting, Error> {
    let (is_pending, size, newest, checkpoint_age): (bool, i64, i64, f64) =
        ask!(store, WAITING, fetch_one);
    Ok(Waiting {
        is_pending,
        size: size.unsigned_abs(),
        checkpoint_size: newest.unsigned_abs(),
        checkpoint_age,
    })
}

/// See [`Tree::tree_head`](crate::audit::store::Tree::tree_head).
pub(super) async fn head(store: &PgStore) -> Result<StoredHead, Error> {
    let found: Option<(i64, Vec<u8>, Option<String>)> = ask!(store, HEAD, fetch_optional);
    let (size, root, note) = found.unwrap_or_default();
    Ok(StoredHead { size, root, note })
}

/// See [`Tree::leaves`](crate::audit::store::Tree::leaves).
pub(super) async fn leaves(
    store: &PgStore,
    from: i64,
    limit: u32,
) -> Result<Vec<StoredLeaf>, Error> {
    let mut held = store.hold().await?;
    let mut transaction = held.begin_with(BEGIN).await?;
    let rows: Vec<(i64, Uuid, Vec<u8>)> = sqlx::query_as(LEAVES)
        .bind(from)
        .bind(i64::from(limit))
        .persistent(false)
        .fetch_all(&mut *transaction)
        .await?;
    let ids: Vec<Uuid> = rows.iter().map(|row| row.1).collect();
    let records = records(&mut transaction, &ids).await?;
    transaction.commit().await?;
    held.release();
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
pub(super) async fn leaves_of(store: &PgStore, ids: &[Uuid]) -> Result<Places, Error> {
    let rows: Vec<(Uuid, i64, Vec<u8>)> = ask!(store, LEAVES_OF, fetch_all, ids);
    let leaves = rows
        .into_iter()
        .map(|(id, index, hash)| (id, (index, hash)));
    Ok(leaves.collect())
}

/// See [`Tree::unsealed`](crate::audit::store::Tree::unsealed).
pub(super) async fn unsealed(
    store: &PgStore,
    after: i64,
    limit: u32,
) -> Result<Vec<Unsealed>, Error> {
    let mut held = store.hold().await?;
    let mut transaction = held.begin_with(BEGIN).await?;
    let rows: Vec<(i64, Uuid)> = sqlx::query_as(UNSEALED)
        .bind(after)
        .bind(i64::from(limit))
        .persistent(false)
        .fetch_all(&mut *transaction)
        .await?;
    let ids: Vec<Uuid> = rows.iter().map(|row| row.1).collect();
    let mut records = records(&mut transaction, &ids).await?;
    transaction.commit().await?;
    held.release();
    let unsealed = rows.into_iter().map(|(seq, record_id)| Unsealed {
        seq,
        record_id,
        record: records.remove(&record_id),
    });
    Ok(unsealed.collect())
}

/// See [`Tree::strays`](crate::audit::store::Tree::strays).
pub(super) async fn strays(store: &PgStore, after: Uuid, limit: u32) -> Result<Strays, Error> {
    let mut held = store.hold().await?;
    let mut transaction = held.begin_with(BEGIN).await?;
    let looked: Vec<(Uuid, bool)> = sqlx::query_as(STRAYS)
        .bind(after)
        .bind(i64::from(limit))
        .persistent(false)
        .fetch_all(&mut *transaction)
        .await?;
    let is_full = looked.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
    let next = looked.last().filter(|_| is_full).map(|(id, _)| *id);
    let ids: Vec<Uuid> = looked.iter().filter(|it| it.1).map(|it| it.0).collect();
    let records = records(&mut transaction, &ids).await?;
    transaction.commit().await?;
    held.release();
    let found = records.into_values().filter_map(Result::ok).collect();
    Ok(Strays { found, next })
}

type TileRow = (i16, i64, Vec<u8>);

/// See [`Tree::tiles`](crate::audit::store::Tree::tiles).
pub(super) async fn tiles(store: &PgStore, wanted: &[(u8, u64)]) -> Result<Vec<StoredTile>, Error> {
    let (levels, indexes) = columns(wanted);
    let rows: Vec<TileRow> = ask!(store, TILES, fetch_all, levels, indexes);
    Ok(rows.into_iter().map(tile).collect())
}

/// The same within a transaction.
pub(super) async fn tiles_in(
    connection: &mut PgConnection,
    wanted: &[(u8, u64)],
) -> Result<Vec<StoredTile>, Error> {
    let (levels, indexes) = columns(wanted);
    let rows: Vec<TileRow> = sqlx::query_as(TILES)
        .bind(levels)
        .bind(indexes)
        .persistent(false)
        .fetch_all(connection)
        .await?;
    Ok(rows.into_iter().map(tile).collect())
}

/// See [`Tree::tiles_from`](crate::audit::store::Tree::tiles_from).
pub(super) async fn tiles_from(
    store: &PgStore,
    level: u8,
    from: u64,
    limit: u32,
) -> Result<Vec<StoredTile>, Error> {
    let (level, from, limit) = (i16::from(level), from.cast_signed(), i64::from(limit));
    let rows: Vec<TileRow> = ask!(store, TILES_FROM, fetch_all, level, from, limit);
    Ok(rows.into_iter().map(tile).collect())
}

type CheckpointRow = (i64, String, DateTime<Utc>);

/// See [`Tree::checkpoints`](crate::audit::store::Tree::checkpoints).
pub(super) async fn checkpoints(
    store: &PgStore,
    beyond: i64,
    limit: u32,
) -> Result<Vec<StoredCheckpoint>, Error> {
    let limit = i64::from(limit);
    let rows: Vec<CheckpointRow> = ask!(store, CHECKPOINTS, fetch_all, beyond, limit);
    Ok(rows.into_iter().map(checkpoint).collect())
}

/// See [`Tree::newest_checkpoints`](crate::audit::store::Tree::newest_checkpoints).
pub(super) async fn newest(store: &PgStore, limit: u32) -> Result<Vec<StoredCheckpoint>, Error> {
    let rows: Vec<CheckpointRow> = ask!(store, NEWEST, fetch_all, i64::from(limit));
    Ok(rows.into_iter().map(checkpoint).collect())
}

/// The same within a transaction.
pub(super) async fn newest_in(
    connection: &mut PgConnection,
    limit: u32,
) -> Result<Vec<StoredCheckpoint>, Error> {
    let rows: Vec<CheckpointRow> = sqlx::query_as(NEWEST)
        .bind(i64::from(limit))
        .persistent(false)
        .fetch_all(connection)
        .await?;
    Ok(rows.into_iter().map(checkpoint).collect())
}

/// See [`Tree::lose`](crate::audit::store::Tree::lose).
pub(super) async fn lose(
    store: &PgStore,
    size: u64,
    root: Hash,
    record_id: Uuid,
) -> Result<(), Error> {
    let mut held = store.hold().await?;
    let mut transaction = held.begin_with(BEGIN_WRITE).await?;
    sqlx::query(LOSE)
        .bind(size.cast_signed())
        .bind(&root[..])
        .bind(record_id)
        .persistent(false)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    held.release();
    Ok(())
}

/// See [`Tree::lost`](crate::audit::store::Tree::lost).
pub(super) async fn lost(store: &PgStore, size: u64, root: Hash) -> Result<Option<Stored>, Error> {
    let found: Option<(Uuid,)> = ask!(
        store,
        LOST,
        fetch_optional,
        size.cast_signed(),
        root.to_vec()
    );
    let Some((id,)) = found else {
        return Ok(None);
    };
    let mut held = store.hold().await?;
    let mut transaction = held.begin_with(BEGIN).await?;
    let record = records(&mut transaction, &[id]).await?.remove(&id);
    transaction.commit().await?;
    held.release();
    Ok(record.and_then(Result::ok))
}

/// See [`Tree::newest_resume`](crate::audit::store::Tree::newest_resume).
pub(super) async fn newest_resume(store: &PgStore) -> Result<Option<DateTime<Utc>>, Error> {
    let found: Option<(DateTime<Utc>,)> = ask!(store, NEWEST_RESUME, fetch_optional);
    Ok(found.map(|(at,)| at))
}

/// Level and index as the columns have them.
pub(super) fn stored_tile(tile: &Tile) -> (i16, i64) {
    (i16::from(tile.level), tile.index.cast_signed())
}

fn columns(wanted: &[(u8, u64)]) -> (Vec<i16>, Vec<i64>) {
    let columns = wanted
        .iter()
        .map(|(level, index)| (i16::from(*level), index.cast_signed()));
    columns.unzip()
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
        made_at,
    }
}
