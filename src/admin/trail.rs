//! The trail as the auditor's desk reads it.
//!
//! # Promise
//!
//! - Every question ends within [`DEADLINE`], with an answer or with [`Problem::TooMuch`].
//! - Page and API ask here, and nowhere else: what one says, the other says.
//! - The desk has a store of its own, so that no record waits for a connection that somebody looks through.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::watch;
use tokio::time::timeout;
use uuid::Uuid;

use super::problem::Problem;
use super::{Reason, reasons};
use crate::audit::export;
use crate::audit::record::Stored;
use crate::audit::store::{
    self, Adoption, Drift, Places, Query, Span, Standing, StoredCheckpoint, TreeStore, Violations,
    Writes,
};
use crate::audit::summary::{Change, Profile, story};
use crate::audit::{Health, seal};
use crate::clock::Clock;

/// How long a question may take.
const DEADLINE: Duration = Duration::from_secs(10);
/// How many pairs of a violation and a client are told apart.
const MOST_VIOLATIONS: u32 = 1000;
/// How many records a user's story is made of at once.
pub(super) const STORY: u32 = 500;
/// How many lines a page of a report has.
const REPORT: u32 = 100;

/// What the auditor's desk reads. Cheap to clone.
#[derive(Clone)]
pub struct Trail {
    store: Arc<dyn TreeStore>,
    clock: Arc<dyn Clock>,
    health: watch::Receiver<Health>,
}

/// Some records, newest first.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) records: Vec<Stored>,
    /// Where the next page begins, if there is one.
    pub(super) next: Option<Uuid>,
}

/// How the trail is, and what happened in a span.
#[derive(Debug)]
pub(super) struct Overview {
    pub(super) standing: Standing,
    /// What `/health/audit` says.
    pub(super) reasons: Vec<Reason>,
    pub(super) adoption: Vec<Adoption>,
    pub(super) writes: Vec<Writes>,
    pub(super) violations: Vec<Violations>,
}

/// One exchange, or a record that belongs to none.
#[derive(Debug)]
pub(super) struct Exchange {
    /// Oldest first; not empty.
    pub(super) records: Vec<Stored>,
    /// Where they are sealed.
    pub(super) places: Places,
    /// The newest checkpoint, and how many leaves it has.
    pub(super) checkpoint: Option<(u64, StoredCheckpoint)>,
}

/// What is known of a user.
#[derive(Debug)]
pub(super) struct Story {
    pub(super) profile: Option<Profile>,
    /// Oldest first.
    pub(super) changes: Vec<Change>,
    /// Where the records before these begin, if there are any.
    pub(super) next: Option<Uuid>,
}

/// Where what is stored is not what was written, or says two things.
#[derive(Debug)]
pub(super) struct Drifts {
    /// Newest first.
    pub(super) found: Vec<Drift>,
    /// Where the next page of them begins, if there is one.
    pub(super) before: Option<Uuid>,
    /// By name.
    pub(super) disagreeing: Vec<Profile>,
    /// Where the next page of them begins, if there is one.
    pub(super) after: Option<String>,
}

// === impl Trail ===

impl Trail {
    /// Reads `store`, which is used for nothing else; `health` is what `/health/audit` says.
    #[must_use]
    pub fn new(
        store: Arc<dyn TreeStore>,
        clock: Arc<dyn Clock>,
        health: watch::Receiver<Health>,
    ) -> Self {
        Self {
            store,
            clock,
            health,
        }
    }

    /// Closes the desk's connections.
    pub async fn close(&self) {
        self.store.close().await;
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    pub(super) fn store(&self) -> &Arc<dyn TreeStore> {
        &self.store
    }

    pub(super) async fn overview(&self, span: &Span) -> Result<Overview, Problem> {
        let store = &self.store;
        let asked = async {
            // At once: each is a question of its own to the database.
            let (standing, adoption, writes, violations) = tokio::try_join!(
                store.standing(),
                store.adoption(span),
                store.writes(span),
                store.violations(span, MOST_VIOLATIONS),
            )?;
            Ok(Overview {
                standing,
                reasons: reasons(&self.health),
                adoption,
                writes,
                violations,
            })
        };
        within(asked).await
    }

    pub(super) async fn standing(&self) -> Result<Standing, Problem> {
        within(self.store.standing()).await
    }

    pub(super) async fn adoption(&self, span: &Span) -> Result<Vec<Adoption>, Problem> {
        within(self.store.adoption(span)).await
    }

    /// The violations that were forwarded, in `observe`: what `enforce` would break.
    pub(super) async fn would_break(&self, span: &Span) -> Result<Vec<Violations>, Problem> {
        let mut found = within(self.store.violations(span, MOST_VIOLATIONS)).await?;
        found.retain(|one| one.forwarded > 0);
        found.sort_by_key(|one| std::cmp::Reverse(one.forwarded));
        Ok(found)
    }

    /// At most `limit` of the records that `query` lets through.
    pub(super) async fn page(&self, query: &Query, limit: u32) -> Result<Page, Problem> {
        let query = Query {
            // One more says whether there is a next page: nobody counts millions.
            limit: limit.saturating_add(1),
            ..query.clone()
        };
        let mut records = within(self.store.page(&query)).await?;
        let next = cut(&mut records, limit).then(|| records.last().map(|last| last.record.id));
        Ok(Page {
            next: next.flatten(),
            records,
        })
    }

    pub(super) async fn exchange(&self, id: Uuid) -> Result<Exchange, Problem> {
        let store = &self.store;
        let asked = async {
            let records = export::find(&**store, id).await?;
            let ids: Vec<_> = records.iter().map(|stored| stored.record.id).collect();
            let places = store.leaves_of(&ids).await?;
            Ok((records, places, self.newest().await?))
        };
        let (records, places, checkpoint) = within(asked).await?;
        if records.is_empty() {
            return Err(Problem::NotThere);
        }
        Ok(Exchange {
            records,
            places,
            checkpoint,
        })
    }

    /// How many leaves the newest checkpoint has; none if there is no checkpoint.
    pub(super) async fn sealed(&self) -> Result<u64, Problem> {
        let newest = within(self.newest()).await?;
        Ok(newest.map_or(0, |(size, _)| size))
    }

    /// The newest checkpoint, and how many leaves it has.
    async fn newest(&self) -> Result<Option<(u64, StoredCheckpoint)>, store::Error> {
        let newest = self.store.newest_checkpoints(1).await?.into_iter().next();
        Ok(newest.and_then(|newest| {
            let head = seal::TreeHead::stated(&newest.note)?;
            Some((head.size, newest))
        }))
    }

    /// What `audit prove` writes.
    pub(super) async fn proof(&self, id: Uuid) -> Result<String, Problem> {
        self.exchange(id).await?;
        let proof = timeout(DEADLINE, export::prove(&self.store, id)).await;
        match proof.map_err(|_| Problem::TooMuch)? {
            Ok(proof) => Ok(proof),
            Err(export::Error::Store(error)) => Err(error.into()),
            Err(export::Error::Unproved(why)) => Err(Problem::NotYet(why)),
            Err(export::Error::Output(error)) => Err(Problem::NotYet(error.to_string())),
        }
    }

    pub(super) async fn story(&self, user: &str, before: Option<Uuid>) -> Result<Story, Problem> {
        let asked = async {
            tokio::try_join!(
                self.store.profile(user),
                self.store.changes(user, before, STORY + 1)
            )
        };
        let (profile, mut records) = within(asked).await?;
        let next = cut(&mut records, STORY).then(|| records.last().map(|last| last.record.id));
        Ok(Story {
            profile,
            changes: story(&records),
            next: next.flatten(),
        })
    }

    pub(super) async fn drift(
        &self,
        before: Option<Uuid>,
        after: Option<&str>,
    ) -> Result<Drifts, Problem> {
        let asked = async {
            tokio::try_join!(
                self.store.drifts(before, REPORT + 1),
                self.store.disagreeing(after, REPORT + 1)
            )
        };
        let (mut drifts, mut disagreeing) = within(asked).await?;
        let before = cut(&mut drifts, REPORT).then(|| drifts.last().map(|last| last.read_id));
        let after = cut(&mut disagreeing, REPORT);
        let after = after.then(|| disagreeing.last().map(|last| last.user.clone()));
        Ok(Drifts {
            found: drifts,
            before: before.flatten(),
            disagreeing,
            after: after.flatten(),
        })
    }
}

/// Cuts `list` to `limit`, and says whether there was more.
fn cut<T>(list: &mut Vec<T>, limit: u32) -> bool {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let is_longer = list.len() > limit;
    list.truncate(limit);
    is_longer
}

/// What `asked` says, if it says so in time.
async fn within<T>(asked: impl Future<Output = Result<T, store::Error>>) -> Result<T, Problem> {
    let answer = timeout(DEADLINE, asked).await;
    Ok(answer.map_err(|_| Problem::TooMuch)??)
}
