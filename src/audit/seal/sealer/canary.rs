//! A heartbeat goes the way of every record, and must come back, proved, over another connection.

use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use crate::audit::seal::Hash;
use crate::audit::seal::note::Verifiers;
use crate::audit::seal::proof::{self, Tiles};
use crate::audit::store::{Error, StoredTile, TreeStore};

/// Between two heartbeats: at least once an hour something is sealed.
const PERIOD: Duration = Duration::from_hours(1);
/// What a heartbeat may take beyond the interval between checkpoints: to arrive, and to be sealed.
const GRACE: Duration = Duration::from_secs(10);

/// The heartbeat that is under way, and when the next one is due.
pub(super) struct Canary {
    limit: Duration,
    sent_at: Option<Instant>,
    flying: Option<Flight>,
}

struct Flight {
    id: Option<Uuid>,
    sent_at: Instant,
    /// From here on nothing else was wrong.
    since: Instant,
    said: Option<Back>,
}

/// What became of a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Back {
    /// It is back.
    Yes,
    /// It is late, as something else is wrong.
    Late,
    /// It is late, and nothing else is known to be wrong.
    Lost,
}

// === impl Canary ===

impl Canary {
    pub(super) fn new(interval: Duration) -> Self {
        Self {
            limit: interval + GRACE,
            sent_at: None,
            flying: None,
        }
    }

    pub(super) fn is_due(&self) -> bool {
        self.sent_at.is_none_or(|at| at.elapsed() >= PERIOD)
    }

    /// A heartbeat was sent; `None` if it could not even be handed in.
    pub(super) fn sent(&mut self, id: Option<Uuid>, now: Instant) {
        self.sent_at = Some(now);
        self.flying = Some(Flight {
            id,
            sent_at: now,
            since: now,
            said: None,
        });
    }

    /// Whether the heartbeat has come back, if that is news. While something else is wrong, it may take as long
    /// as that does.
    pub(super) async fn look(
        &mut self,
        store: &dyn TreeStore,
        verifiers: &Verifiers,
        is_well: bool,
    ) -> Result<Option<Back>, Error> {
        let Some(flight) = &mut self.flying else {
            return Ok(None);
        };
        if let Some(id) = flight.id
            && is_back(store, verifiers, id).await?
        {
            self.flying = None;
            return Ok(Some(Back::Yes));
        }
        if !is_well {
            flight.since = Instant::now();
        }
        let back = if flight.since.elapsed() >= self.limit {
            Back::Lost
        } else if flight.sent_at.elapsed() >= self.limit {
            Back::Late
        } else {
            return Ok(None);
        };
        let is_news = flight.said.replace(back) != Some(back);
        if flight.id.is_none() {
            // Another one, soon.
            self.flying = None;
            self.sent_at = None;
        }
        Ok(is_news.then_some(back))
    }
}

/// Whether the record is a leaf, and the newest checkpoint includes it.
async fn is_back(store: &dyn TreeStore, verifiers: &Verifiers, id: Uuid) -> Result<bool, Error> {
    let leaves = store.leaves_of(&[id]).await?;
    let Some((index, hash)) = leaves.get(&id) else {
        return Ok(false);
    };
    let newest = store.newest_checkpoints(1).await?;
    let Some(newest) = newest.first().filter(|newest| newest.size > *index) else {
        return Ok(false);
    };
    let Ok(head) = verifiers.open(&newest.note) else {
        return Ok(false);
    };
    let index = index.unsigned_abs();
    let wanted: Vec<_> = proof::wanted_for_inclusion(head.size, index)
        .into_iter()
        .collect();
    let tiles = store.tiles(&wanted).await?;
    let tiles: Tiles = tiles.iter().filter_map(StoredTile::parsed).collect();
    let is_included = || {
        let hash: Hash = hash.as_slice().try_into().ok()?;
        let path = proof::inclusion(head.size, index, &tiles)?;
        Some(proof::includes(&path, head.size, &head.root, index, &hash))
    };
    Ok(is_included().unwrap_or(false))
}
