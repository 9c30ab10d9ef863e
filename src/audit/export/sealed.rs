//! Records with their places in the tree: what can be verified without the database.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::Arc;

use serde::ser::{SerializeMap, Serializer};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{COUNT, FIELDS, escaped_json, values};
use crate::audit::record::Stored;
use crate::audit::seal::proof::{self, Tiles};
use crate::audit::seal::{Hash, TreeHead};
use crate::audit::store::{Error, TreeStore};

/// The names of the fields that a line of an export has beyond [`FIELDS`].
pub const SEALED_FIELDS: [&str; 6] = [
    "claimed_salt",
    "authenticated_salt",
    "client_salt",
    "leaf_index",
    "leaf_hash",
    "inclusion",
];

/// How many tiles are kept for the proofs of neighbours: 8 MiB.
const TILES: usize = 1024;

/// A record, or what is left of it, with its place in the tree.
#[derive(Clone, Debug)]
pub struct Line<'a> {
    /// Its id.
    pub id: Uuid,
    /// The record; `None` if it is gone.
    pub stored: Option<&'a Stored>,
    /// Its leaf index and leaf hash, if it is sealed.
    pub leaf: Option<(u64, &'a [u8])>,
    /// Its audit path.
    pub inclusion: Option<Vec<Hash>>,
}

/// Makes audit paths in the tree of one checkpoint.
pub struct Prover {
    store: Arc<dyn TreeStore>,
    head: TreeHead,
    tiles: Tiles,
}

/// Writes `line` as one line of JSON.
///
/// # Errors
///
/// If `out` fails.
pub fn write_sealed(out: &mut impl Write, line: &Line<'_>) -> io::Result<()> {
    writeln!(out, "{}", escaped_json(&sealed_json(line)?))
}

/// `line` as a JSON object.
pub(in crate::audit) fn sealed_json(line: &Line<'_>) -> io::Result<String> {
    let mut text = Vec::with_capacity(2048);
    let mut json = serde_json::Serializer::new(&mut text);
    let mut map = json.serialize_map(Some(COUNT + SEALED_FIELDS.len()))?;
    match line.stored {
        Some(stored) => {
            for (name, value) in FIELDS.iter().zip(values(stored)) {
                map.serialize_entry(name, &value)?;
            }
        }
        None => {
            for name in FIELDS {
                let value = if name == "id" {
                    json!(line.id)
                } else {
                    Value::Null
                };
                map.serialize_entry(name, &value)?;
            }
        }
    }
    for (name, value) in SEALED_FIELDS.iter().zip(sealed_values(line)) {
        map.serialize_entry(name, &value)?;
    }
    map.end()?;
    String::from_utf8(text).map_err(io::Error::other)
}

fn sealed_values(line: &Line<'_>) -> [Value; 6] {
    let record = line.stored.map(|stored| &stored.record);
    let salt = |salt: Option<[u8; 16]>| json!(salt.map(hex::encode));
    [
        salt(record.and_then(|record| record.claimed.salt)),
        salt(record.and_then(|record| record.authenticated.salt)),
        salt(record.and_then(|record| record.client.salt)),
        json!(line.leaf.map(|(index, _)| index)),
        json!(line.leaf.map(|(_, hash)| hex::encode(hash))),
        json!(
            line.inclusion
                .as_ref()
                .map(|path| path.iter().map(hex::encode).collect::<Vec<_>>())
        ),
    ]
}

// === impl Prover ===

impl Prover {
    /// Proofs for the checkpoint of `head`.
    #[must_use]
    pub fn new(store: Arc<dyn TreeStore>, head: TreeHead) -> Self {
        Self {
            store,
            head,
            tiles: Tiles::default(),
        }
    }

    /// Asks for what the proofs of the leaves `indexes` are made of.
    ///
    /// # Errors
    ///
    /// If the store cannot be read.
    pub async fn prepare(&mut self, indexes: &[u64]) -> Result<(), Error> {
        if self.tiles.len() > TILES {
            self.tiles.clear();
        }
        let wanted = indexes.iter().filter(|index| **index < self.head.size);
        let wanted = wanted.flat_map(|index| proof::wanted_for_inclusion(self.head.size, *index));
        let wanted: BTreeSet<_> = wanted.filter(|id| !self.tiles.has(*id)).collect();
        let wanted: Vec<_> = wanted.into_iter().collect();
        for wanted in wanted.chunks(TILES) {
            for tile in self.store.tiles(wanted).await? {
                if let Some(tile) = tile.parsed() {
                    self.tiles.insert(tile);
                }
            }
        }
        Ok(())
    }

    /// The audit path of the leaf `index`, which was prepared; `None` if the checkpoint has no such leaf, or
    /// a tile is missing.
    #[must_use]
    pub fn path(&self, index: u64) -> Option<Vec<Hash>> {
        proof::inclusion(self.head.size, index, &self.tiles)
    }
}
