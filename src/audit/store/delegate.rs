//! [`Tree`](super::Tree) for a store whose modules `tree` and `tree_read` do the work: who does what, and for how long.

/// Implements [`Tree`](super::Tree). What is done all the time, what seals, and what people wait for have limits of their own.
macro_rules! delegate_tree {
    ($store:ty, $routine:expr, $sealing:expr, $reading:expr) => {
        impl Tree for $store {
            fn waiting(&self) -> BoxFuture<'_, Result<Waiting, Error>> {
                self.bounded($routine, tree_read::waiting(self))
            }

            fn seal<'a>(
                &'a self,
                limit: u32,
                beyond: i64,
                step: &'a mut Step<'_>,
            ) -> BoxFuture<'a, Result<Progress, Error>> {
                self.bounded($sealing, tree::seal(self, limit, beyond, step))
            }

            fn adopt(&self, after: Uuid, limit: u32) -> BoxFuture<'_, Result<Adopted, Error>> {
                self.bounded($sealing, tree::adopt(self, after, limit))
            }

            fn tree_head(&self) -> BoxFuture<'_, Result<StoredHead, Error>> {
                self.bounded($routine, tree_read::head(self))
            }

            fn leaves(
                &self,
                from: i64,
                limit: u32,
            ) -> BoxFuture<'_, Result<Vec<StoredLeaf>, Error>> {
                self.bounded($reading, tree_read::leaves(self, from, limit))
            }

            fn leaves_of<'a>(
                &'a self,
                records: &'a [Uuid],
            ) -> BoxFuture<'a, Result<Places, Error>> {
                self.bounded($reading, tree_read::leaves_of(self, records))
            }

            fn unsealed(
                &self,
                after: i64,
                limit: u32,
            ) -> BoxFuture<'_, Result<Vec<Unsealed>, Error>> {
                self.bounded($reading, tree_read::unsealed(self, after, limit))
            }

            fn strays(&self, after: Uuid, limit: u32) -> BoxFuture<'_, Result<Strays, Error>> {
                self.bounded($reading, tree_read::strays(self, after, limit))
            }

            fn tiles<'a>(
                &'a self,
                wanted: &'a [(u8, u64)],
            ) -> BoxFuture<'a, Result<Vec<StoredTile>, Error>> {
                self.bounded($reading, tree_read::tiles(self, wanted))
            }

            fn tiles_from(
                &self,
                level: u8,
                from: u64,
                limit: u32,
            ) -> BoxFuture<'_, Result<Vec<StoredTile>, Error>> {
                self.bounded($reading, tree_read::tiles_from(self, level, from, limit))
            }

            fn checkpoints(
                &self,
                beyond: i64,
                limit: u32,
            ) -> BoxFuture<'_, Result<Vec<StoredCheckpoint>, Error>> {
                self.bounded($reading, tree_read::checkpoints(self, beyond, limit))
            }

            fn newest_checkpoints(
                &self,
                limit: u32,
            ) -> BoxFuture<'_, Result<Vec<StoredCheckpoint>, Error>> {
                self.bounded($reading, tree_read::newest(self, limit))
            }

            fn lose(
                &self,
                size: u64,
                root: Hash,
                record_id: Uuid,
            ) -> BoxFuture<'_, Result<(), Error>> {
                self.bounded($routine, tree_read::lose(self, size, root, record_id))
            }

            fn newest_resume(&self) -> BoxFuture<'_, Result<Option<DateTime<Utc>>, Error>> {
                self.bounded($routine, tree_read::newest_resume(self))
            }

            fn lost(&self, size: u64, root: Hash) -> BoxFuture<'_, Result<Option<Stored>, Error>> {
                self.bounded($routine, tree_read::lost(self, size, root))
            }
        }
    };
}

pub(in crate::audit) use delegate_tree;
