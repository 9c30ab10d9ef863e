//! The tree over the records: one step of sealing.

use serde_json::json;
use sqlx::sqlite::SqliteConnection;
use uuid::Uuid;

use super::SqliteStore;
use super::read::records;
use super::tree_read::{self, MICROS_NOW, time};
use crate::audit::record::leaf::{Leaf, LeafHasher};
use crate::audit::seal::Edge;
use crate::audit::store::{Adopted, After, Before, Error, Pending, Progress, Step, StoredHead};

const HEAD: &str = "SELECT size, root, note FROM audit_tree_head";

const PENDING: &str =
    "SELECT seq, record_id FROM audit_pending WHERE seq > ?2 ORDER BY seq LIMIT ?1";

/// The leaves are one JSON text.
const ADD_LEAVES: &str = "
    INSERT INTO audit_leaf (leaf_index, record_id, leaf_hash)
    SELECT ?1 + key, unhex(value ->> 0), unhex(value ->> 1) FROM json_each(?2)
";

const FORGET_PENDING: &str =
    "DELETE FROM audit_pending WHERE seq IN (SELECT value FROM json_each(?1))";

const PUT_TILE: &str = "
    INSERT INTO audit_tile (level, tile_index, hashes) VALUES (?1, ?2, ?3)
    ON CONFLICT (level, tile_index) DO UPDATE SET hashes = excluded.hashes
";

const SET_HEAD: &str = "UPDATE audit_tree_head SET size = ?1, root = ?2, note = ?3";

const ADD_CHECKPOINT: &str = "INSERT INTO audit_checkpoint (size, note) VALUES (?1, ?2)";

const LOOK: &str = "
    SELECT count(*), max(id) FROM (SELECT id FROM audit_record WHERE id > ?1 ORDER BY id LIMIT ?2)
";

const ADOPT: &str = "
    INSERT INTO audit_pending (record_id)
    SELECT id FROM audit_record
    WHERE id > ?1 AND id <= ?2
        AND id NOT IN (SELECT record_id FROM audit_pending)
        AND NOT EXISTS (SELECT 1 FROM audit_leaf WHERE record_id = audit_record.id)
    ORDER BY id
";

/// See [`Tree::seal`](crate::audit::store::Tree::seal).
pub(super) async fn seal(
    store: &SqliteStore,
    limit: u32,
    beyond: i64,
    step: &mut Step<'_>,
) -> Result<Progress, Error> {
    let mut held = store.hold().await?;
    // The lock for writing is that of the tree head, too.
    let mut transaction = store.begin_write(&mut held).await?;
    let before = read(&mut transaction, limit, beyond).await?;
    let size = before.head.size;
    let seqs: Vec<i64> = before.pending.iter().map(|it| it.seq).collect();
    let Some(after) = step(before) else {
        transaction.rollback().await?;
        held.release();
        return Ok(Progress::Declined);
    };
    write(&mut transaction, size, &seqs, &after).await?;
    transaction.commit().await?;
    held.release();
    Ok(Progress::Written)
}

async fn read(connection: &mut SqliteConnection, limit: u32, beyond: i64) -> Result<Before, Error> {
    let (size, root, note): (i64, Vec<u8>, Option<String>) =
        sqlx::query_as(HEAD).fetch_one(&mut *connection).await?;
    let now: i64 = sqlx::query_scalar(MICROS_NOW)
        .fetch_one(&mut *connection)
        .await?;
    let wanted = Edge::wanted(size.unsigned_abs());
    let edge = tree_read::tiles_in(connection, &wanted).await?;
    let pending: Vec<(i64, Uuid)> = sqlx::query_as(PENDING)
        .bind(i64::from(limit))
        .bind(beyond)
        .fetch_all(&mut *connection)
        .await?;
    let ids: Vec<Uuid> = pending.iter().map(|(_, id)| *id).collect();
    let records = records(&mut *connection, &ids).await?;
    let mut hasher = LeafHasher::new();
    let pending = pending.into_iter().map(|(seq, record_id)| Pending {
        seq,
        record_id,
        leaf: records.get(&record_id).map(|record| match record {
            Ok(stored) => Ok(hasher.hash(&Leaf::of(stored))),
            Err(column) => Err(*column),
        }),
    });
    let pending = pending.collect();
    let newest = tree_read::newest_in(&mut *connection, 1).await?;
    Ok(Before {
        head: StoredHead { size, root, note },
        edge,
        pending,
        newest_checkpoint: newest.into_iter().next(),
        now: time(now),
    })
}

async fn write(
    connection: &mut SqliteConnection,
    size: i64,
    seqs: &[i64],
    after: &After,
) -> Result<(), Error> {
    if !after.leaves.is_empty() {
        let leaves = after.leaves.iter();
        let leaves: Vec<_> = leaves
            .map(|(id, hash)| json!([id.simple().to_string(), hex::encode(hash)]))
            .collect();
        sqlx::query(ADD_LEAVES)
            .bind(size)
            .bind(json!(leaves).to_string())
            .execute(&mut *connection)
            .await?;
        sqlx::query(FORGET_PENDING)
            .bind(json!(seqs).to_string())
            .execute(&mut *connection)
            .await?;
    }
    for tile in &after.tiles {
        sqlx::query(PUT_TILE)
            .bind(i64::from(tile.level))
            .bind(tile.index.cast_signed())
            .bind(tile.hashes.as_flattened())
            .execute(&mut *connection)
            .await?;
    }
    if let Some((size, root, note)) = &after.head {
        sqlx::query(SET_HEAD)
            .bind(size.cast_signed())
            .bind(&root[..])
            .bind(note)
            .execute(&mut *connection)
            .await?;
    }
    if let Some((size, note)) = &after.checkpoint {
        sqlx::query(ADD_CHECKPOINT)
            .bind(size.cast_signed())
            .bind(note)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// See [`Tree::adopt`](crate::audit::store::Tree::adopt).
pub(super) async fn adopt(store: &SqliteStore, after: Uuid, limit: u32) -> Result<Adopted, Error> {
    let (looked, last): (i64, Option<Uuid>) = sqlx::query_as(LOOK)
        .bind(after)
        .bind(i64::from(limit))
        .fetch_one(&store.pool)
        .await?;
    let Some(last) = last else {
        return Ok(Adopted::default());
    };
    let mut held = store.hold().await?;
    let mut transaction = store.begin_write(&mut held).await?;
    let done = sqlx::query(ADOPT)
        .bind(after)
        .bind(last)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    held.release();
    Ok(Adopted {
        adopted: done.rows_affected(),
        next: (looked >= i64::from(limit)).then_some(last),
    })
}
