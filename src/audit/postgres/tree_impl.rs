//! [`Tree`] over Postgres: who does what, and for how long.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{PgStore, READING, ROUTINE, SEALING, tree, tree_read};
use crate::audit::record::Stored;
use crate::audit::seal::Hash;
use crate::audit::store::{
    Adopted, BoxFuture, Error, Places, Progress, Step, StoredCheckpoint, StoredHead, StoredLeaf,
    StoredTile, Strays, Tree, Unsealed, Waiting,
};

impl Tree for PgStore {
    fn waiting(&self) -> BoxFuture<'_, Result<Waiting, Error>> {
        self.bounded(ROUTINE, tree_read::waiting(self))
    }

    fn seal<'a>(
        &'a self,
        limit: u32,
        beyond: i64,
        step: &'a mut Step<'_>,
    ) -> BoxFuture<'a, Result<Progress, Error>> {
        self.bounded(SEALING, tree::seal(self, limit, beyond, step))
    }

    fn adopt(&self, after: Uuid, limit: u32) -> BoxFuture<'_, Result<Adopted, Error>> {
        self.bounded(SEALING, tree::adopt(self, after, limit))
    }

    fn tree_head(&self) -> BoxFuture<'_, Result<StoredHead, Error>> {
        self.bounded(ROUTINE, tree_read::head(self))
    }

    fn leaves(&self, from: u64, limit: u32) -> BoxFuture<'_, Result<Vec<StoredLeaf>, Error>> {
        self.bounded(READING, tree_read::leaves(self, from, limit))
    }

    fn leaves_of<'a>(&'a self, records: &'a [Uuid]) -> BoxFuture<'a, Result<Places, Error>> {
        self.bounded(READING, tree_read::leaves_of(self, records))
    }

    fn unsealed(&self, after: i64, limit: u32) -> BoxFuture<'_, Result<Vec<Unsealed>, Error>> {
        self.bounded(READING, tree_read::unsealed(self, after, limit))
    }

    fn strays(&self, after: Uuid, limit: u32) -> BoxFuture<'_, Result<Strays, Error>> {
        self.bounded(READING, tree_read::strays(self, after, limit))
    }

    fn tiles<'a>(
        &'a self,
        wanted: &'a [(u8, u64)],
    ) -> BoxFuture<'a, Result<Vec<StoredTile>, Error>> {
        self.bounded(READING, tree_read::tiles(self, wanted))
    }

    fn tiles_from(
        &self,
        level: u8,
        from: u64,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<StoredTile>, Error>> {
        self.bounded(READING, tree_read::tiles_from(self, level, from, limit))
    }

    fn checkpoints(
        &self,
        beyond: i64,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<StoredCheckpoint>, Error>> {
        self.bounded(READING, tree_read::checkpoints(self, beyond, limit))
    }

    fn newest_checkpoints(
        &self,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<StoredCheckpoint>, Error>> {
        self.bounded(READING, tree_read::newest(self, limit))
    }

    fn lose(&self, size: u64, root: Hash, record_id: Uuid) -> BoxFuture<'_, Result<(), Error>> {
        self.bounded(ROUTINE, tree_read::lose(self, size, root, record_id))
    }

    fn newest_resume(&self) -> BoxFuture<'_, Result<Option<DateTime<Utc>>, Error>> {
        self.bounded(ROUTINE, tree_read::newest_resume(self))
    }

    fn lost(&self, size: u64, root: Hash) -> BoxFuture<'_, Result<Option<Stored>, Error>> {
        self.bounded(ROUTINE, tree_read::lost(self, size, root))
    }
}
