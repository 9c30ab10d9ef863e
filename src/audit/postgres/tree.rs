//! The tree over the records: one step of sealing.

use sqlx::postgres::PgConnection;
use sqlx::{Connection, Row as _};
use uuid::Uuid;

use super::tree_read::{self, stored_tile};
use super::{PgStore, pending};
use crate::audit::store::{Adopted, After, Before, Error, Progress, Step, StoredHead, StoredTile};

/// As long as it may take to seal some thousand records on a slow disk.
const BEGIN: &str = "
    BEGIN ISOLATION LEVEL READ COMMITTED;
    SET LOCAL statement_timeout = '20s';
    SET LOCAL lock_timeout = '1s';
";

/// Whoever holds this row seals. A checkpoint must not be seen outside before the tree is durable, so a commit that does
/// not wait for the disk is made to.
const LOCK_HEAD: &str = "
    SELECT size, root, note, clock_timestamp(),
        CASE WHEN current_setting('synchronous_commit') IN ('off', 'local', 'remote_write')
            THEN set_config('synchronous_commit', 'on', true) END
    FROM audit_tree_head
    FOR UPDATE SKIP LOCKED
";

const ADD_LEAVES: &str = "
    INSERT INTO audit_leaf (leaf_index, record_id, leaf_hash)
    SELECT $1 + ordinality - 1, record_id, leaf_hash
    FROM ROWS FROM (unnest($2::uuid[]), unnest($3::bytea[])) WITH ORDINALITY
        AS leaf (record_id, leaf_hash, ordinality)
";

const PUT_TILES: &str = "
    INSERT INTO audit_tile (level, tile_index, hashes)
    SELECT * FROM unnest($1::smallint[], $2::bigint[], $3::bytea[])
    ON CONFLICT (level, tile_index) DO UPDATE SET hashes = excluded.hashes
";

const SET_HEAD: &str = "UPDATE audit_tree_head SET size = $1, root = $2, note = $3";

const ADD_CHECKPOINT: &str = "INSERT INTO audit_checkpoint (size, note) VALUES ($1, $2)";

/// One look at each: a join would read all leaves of a long trail.
const ADOPT: &str = "
    WITH looked AS MATERIALIZED (
        SELECT id FROM audit_record WHERE id > $1 ORDER BY id LIMIT $2
    ), pending AS MATERIALIZED (
        SELECT record_id FROM audit_pending
    ), added AS (
        INSERT INTO audit_pending (record_id)
        SELECT id FROM looked
        WHERE (SELECT true FROM audit_leaf WHERE record_id = looked.id) IS NULL
            AND id NOT IN (SELECT record_id FROM pending)
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM added), (SELECT count(*) FROM looked),
        (SELECT id FROM looked ORDER BY id DESC LIMIT 1)
";

/// See [`Tree::seal`](crate::audit::store::Tree::seal).
pub(super) async fn seal(
    store: &PgStore,
    limit: u32,
    beyond: i64,
    step: &mut Step<'_>,
) -> Result<Progress, Error> {
    let mut held = store.hold().await?;
    let mut transaction = held.begin_with(BEGIN).await?;
    let Some(before) = read(&mut transaction, limit, beyond).await? else {
        transaction.rollback().await?;
        held.release();
        return Ok(Progress::Busy);
    };
    let size = before.head.size;
    let Some(after) = step(before) else {
        transaction.rollback().await?;
        held.release();
        return Ok(Progress::Declined);
    };
    write(&mut transaction, size, &after).await?;
    transaction.commit().await?;
    held.release();
    Ok(Progress::Written)
}

/// `None`: somebody else seals.
async fn read(
    connection: &mut PgConnection,
    limit: u32,
    beyond: i64,
) -> Result<Option<Before>, Error> {
    let locked = sqlx::query(LOCK_HEAD).persistent(false);
    let Some(row) = locked.fetch_optional(&mut *connection).await? else {
        return Ok(None);
    };
    let head = StoredHead {
        size: row.try_get(0)?,
        root: row.try_get(1)?,
        note: row.try_get(2)?,
    };
    let now = row.try_get(3)?;
    let edge = edge(connection, head.size).await?;
    let pending = pending::take(connection, limit, beyond).await?;
    let newest = tree_read::newest_in(connection, 1).await?;
    Ok(Some(Before {
        head,
        edge,
        pending,
        newest_checkpoint: newest.into_iter().next(),
        now,
    }))
}

async fn edge(connection: &mut PgConnection, size: i64) -> Result<Vec<StoredTile>, Error> {
    let wanted = crate::audit::seal::Edge::wanted(u64::try_from(size).unwrap_or_default());
    tree_read::tiles_in(connection, &wanted).await
}

async fn write(connection: &mut PgConnection, size: i64, after: &After) -> Result<(), Error> {
    if !after.leaves.is_empty() {
        let ids: Vec<Uuid> = after.leaves.iter().map(|(id, _)| *id).collect();
        let hashes: Vec<&[u8]> = after.leaves.iter().map(|(_, hash)| &hash[..]).collect();
        sqlx::query(ADD_LEAVES)
            .bind(size)
            .bind(ids)
            .bind(hashes)
            .persistent(false)
            .execute(&mut *connection)
            .await?;
    }
    if !after.tiles.is_empty() {
        let tiles: Vec<_> = after.tiles.iter().map(stored_tile).collect();
        let hashes: Vec<&[u8]> = after
            .tiles
            .iter()
            .map(|it| it.hashes.as_flattened())
            .collect();
        sqlx::query(PUT_TILES)
            .bind(tiles.iter().map(|tile| tile.0).collect::<Vec<i16>>())
            .bind(tiles.iter().map(|tile| tile.1).collect::<Vec<i64>>())
            .bind(hashes)
            .persistent(false)
            .execute(&mut *connection)
            .await?;
    }
    if let Some((size, root, note)) = &after.head {
        sqlx::query(SET_HEAD)
            .bind(size.cast_signed())
            .bind(&root[..])
            .bind(note)
            .persistent(false)
            .execute(&mut *connection)
            .await?;
    }
    if let Some((size, note)) = &after.checkpoint {
        sqlx::query(ADD_CHECKPOINT)
            .bind(size.cast_signed())
            .bind(note)
            .persistent(false)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// See [`Tree::adopt`](crate::audit::store::Tree::adopt).
pub(super) async fn adopt(store: &PgStore, after: Uuid, limit: u32) -> Result<Adopted, Error> {
    let mut held = store.hold().await?;
    let mut transaction = held.begin_with(BEGIN).await?;
    // Two that adopt at once would put a record in line twice.
    let locked = sqlx::query(LOCK_HEAD).persistent(false);
    if locked.fetch_optional(&mut *transaction).await?.is_none() {
        transaction.rollback().await?;
        held.release();
        let next = Some(after);
        return Ok(Adopted { adopted: 0, next });
    }
    let (adopted, seen, last): (i64, i64, Option<Uuid>) = sqlx::query_as(ADOPT)
        .bind(after)
        .bind(i64::from(limit))
        .persistent(false)
        .fetch_one(&mut *transaction)
        .await?;
    transaction.commit().await?;
    held.release();
    Ok(Adopted {
        adopted: adopted.unsigned_abs(),
        next: last.filter(|_| seen >= i64::from(limit)),
    })
}
