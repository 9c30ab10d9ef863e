//! Holds the database against what was published: a database that was rolled back must not go on as if nothing
//! had happened.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::publisher::Publisher;
use crate::audit::record::Kind;
use crate::audit::seal::note::{TreeHead, Verifiers};
use crate::audit::seal::proof::{self, Tiles};
use crate::audit::seal::step::Broken;
use crate::audit::store::{Error, StoredTile, TreeStore};

/// Between two looks.
const PERIOD: Duration = Duration::from_hours(1);
/// While the tree does not lead to what was published, as an operator may say that it was restored; and while a place
/// could not be asked.
const SOON: Duration = Duration::from_secs(2);

/// What the last look has found.
#[derive(Default)]
pub(super) struct Fork {
    looked_at: Option<Instant>,
    /// Every place could be asked.
    is_complete: bool,
    parted: Option<Broken>,
}

/// Whether a database leads to a checkpoint.
pub(in crate::audit) enum Leads {
    /// It does.
    Yes,
    /// It has fewer leaves.
    Shorter(u64),
    /// It has others.
    Elsewhere,
    /// Its own tiles and its own head disagree: whoever seals says so.
    Nowhere,
}

// === impl Fork ===

impl Fork {
    /// The next look is due at once.
    pub(super) fn look_again(&mut self) {
        self.looked_at = None;
    }

    /// What is wrong, if anything is.
    pub(super) async fn look(
        &mut self,
        store: &dyn TreeStore,
        publisher: &mut Publisher,
        verifiers: &Verifiers,
    ) -> Result<Option<Broken>, Error> {
        let period = match (&self.parted, self.is_complete) {
            (None, true) => PERIOD,
            _ => SOON,
        };
        if self.looked_at.is_some_and(|at| at.elapsed() < period) {
            return Ok(self.parted.clone());
        }
        let mut parted = None;
        let mut is_complete = true;
        for outlet in publisher.outlets() {
            let note = match outlet.newest(verifiers).await {
                Ok(newest) => {
                    outlet.is_asked = true;
                    outlet.failure = None;
                    let Some(note) = newest else {
                        continue;
                    };
                    note
                }
                // It is asked again, and meanwhile the publisher says so.
                Err(error) => {
                    outlet.failure = Some(error);
                    is_complete = false;
                    continue;
                }
            };
            let Ok(head) = verifiers.open(&note) else {
                continue;
            };
            let name = outlet.name();
            match leads(store, &head).await? {
                Leads::Nowhere => {}
                Leads::Yes => {
                    outlet.cursor = i64::try_from(head.size).ok();
                }
                _ if let Some(restored) = restored(store, &head).await? => {
                    outlet.cursor = Some(restored);
                }
                Leads::Shorter(size) => {
                    let signed = head.size;
                    parted = Some(format!(
                        "the tree has {size} leaves, and the newest checkpoint of the {name} has \
                         {signed}: the database was rolled back, or leaves were taken out of it"
                    ));
                }
                Leads::Elsewhere => {
                    let signed = head.size;
                    parted = Some(format!(
                        "the first {signed} leaves of the tree are not those that the newest checkpoint \
                         of the {name} has signed: the database was rewritten, or restored and added to"
                    ));
                }
            }
        }
        let way_out = "If it was restored from a backup, `key-backup-gateway audit resume --after-restore` goes on \
                       from there, and says so in the trail";
        self.parted = parted.map(|text| Broken::RolledBack(format!("{text}. {way_out}")));
        self.looked_at = Some(Instant::now());
        self.is_complete = is_complete;
        Ok(self.parted.clone())
    }
}

/// Whether the tree in `store` leads to `head`.
pub(in crate::audit) async fn leads(
    store: &dyn TreeStore,
    head: &TreeHead,
) -> Result<Leads, Error> {
    let size = store.tree_head().await?.size.unsigned_abs();
    if head.size > size {
        return Ok(Leads::Shorter(size));
    }
    if head.size == 0 {
        return Ok(Leads::Yes);
    }
    let wanted: Vec<_> = proof::wanted_for_root(head.size).into_iter().collect();
    let stored = store.tiles(&wanted).await?;
    let tiles: Tiles = stored.iter().filter_map(StoredTile::parsed).collect();
    if proof::root_at(head.size, &tiles) == Some(head.root) {
        return Ok(Leads::Yes);
    }
    // Tiles that do not even lead to the database's own head say nothing of where that leads.
    let own = store.tree_head().await?;
    let size = own.size.unsigned_abs();
    let wanted: Vec<_> = proof::wanted_for_root(size).into_iter().collect();
    let stored = store.tiles(&wanted).await?;
    let tiles: Tiles = stored.iter().filter_map(StoredTile::parsed).collect();
    let root = proof::root_at(size, &tiles);
    Ok(if root.is_some_and(|root| root[..] == own.root[..]) {
        Leads::Elsewhere
    } else {
        Leads::Nowhere
    })
}

/// From which size on the tree was continued, if a record says that this checkpoint was lost in a restore.
async fn restored(store: &dyn TreeStore, head: &TreeHead) -> Result<Option<i64>, Error> {
    let Some(stored) = store.lost(head.size, head.root).await? else {
        return Ok(None);
    };
    let detail = stored.record.facts.detail.unwrap_or(Value::Null);
    let lost = &detail["lost_checkpoint"];
    let is_named = stored.record.kind == Kind::Operation
        && detail["operation"] == "resume"
        && lost["size"] == head.size
        && lost["root"] == hex::encode(head.root);
    Ok(detail["restored_size"].as_i64().filter(|_| is_named))
}
