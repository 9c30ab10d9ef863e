//! [`Tree`] over SQLite: who does what, and for how long.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{LONG, ROUTINE, SqliteStore, tree, tree_read};
use crate::audit::record::Stored;
use crate::audit::seal::Hash;
use crate::audit::store::{
    Adopted, BoxFuture, Error, Places, Progress, Step, StoredCheckpoint, StoredHead, StoredLeaf,
    StoredTile, Strays, Tree, Unsealed, Waiting, delegate_tree,
};

delegate_tree!(SqliteStore, ROUTINE, LONG, LONG);
