//! Whether the trail is kept as it should be, as its parts last saw it.
//!
//! Every part says what is wrong with it, once when that changes; nothing is said aloud twice.

use std::collections::BTreeMap;

use tokio::sync::watch;

use super::metrics::Metrics;
use super::store;

/// A part of the trail that can be in trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// What makes records durable: into the spool, or without one into the store.
    Writer,
    /// What moves the spool into the store.
    Shipper,
    /// What was left of a spool that was damaged.
    #[cfg(feature = "sqlite")]
    Damage,
    /// Records that the store will not take.
    #[cfg(feature = "sqlite")]
    SetAside,
    /// What gives records their places in the tree.
    Sealer,
    /// What brings checkpoints out of the database.
    Publisher,
    /// What makes sure that records arrive, and are sealed.
    Canary,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// A stable code for alerts.
    pub code: &'static str,
    /// What is wrong, for people.
    pub message: String,
}

/// Whether the trail is kept as it should be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// What each part last said; `None` for a part that is well, or has said nothing yet.
    parts: BTreeMap<Part, Option<Trouble>>,
    /// The parts that have said nothing yet.
    unheard: Vec<Part>,
}

/// Where the parts say how they are. Cheap to clone.
#[derive(Clone)]
pub(super) struct Board {
    health: watch::Sender<Health>,
    metrics: Metrics,
}

// === impl Trouble ===

impl Trouble {
    /// The code of a schema that this build could bring up to date.
    pub const OUTDATED: &str = "schema_outdated";
    /// The code of a schema that a newer build has made.
    pub const NEWER: &str = "schema_newer";
    /// The code of a database that cannot hold all text.
    pub const ENCODING: &str = "database_encoding";

    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { code, message }
    }

    pub(super) fn of(error: &store::Error) -> Self {
        Self::new(error.code(), chain(error))
    }

    /// Whether waiting will not help: somebody must do something about the database.
    #[must_use]
    pub fn is_lasting(&self) -> bool {
        [Self::OUTDATED, Self::NEWER, Self::ENCODING].contains(&self.code)
    }
}

// === impl Health ===

impl Health {
    /// Whether everything was tried, and works.
    #[must_use]
    pub fn is_recording(&self) -> bool {
        !self.is_starting() && self.troubles().next().is_none()
    }

    /// Whether something was not tried yet.
    #[must_use]
    pub fn is_starting(&self) -> bool {
        !self.unheard.is_empty()
    }

    /// What is wrong, the worst first.
    pub fn troubles(&self) -> impl Iterator<Item = &Trouble> {
        self.parts.values().flatten()
    }
}

// === impl Board ===

impl Board {
    /// A board on which `parts` must say something before anything is known.
    pub(super) fn new(parts: &[Part], metrics: Metrics) -> Self {
        let (health, _) = watch::channel(Health {
            parts: BTreeMap::new(),
            unheard: parts.to_vec(),
        });
        Self { health, metrics }
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Health> {
        self.health.subscribe()
    }

    /// Whether every part but `others` was heard of, and is well.
    pub(super) fn is_well_but(&self, others: &[Part]) -> bool {
        let health = self.health.borrow();
        let mut parts = health.parts.iter();
        health.unheard.is_empty()
            && parts.all(|(part, trouble)| trouble.is_none() || others.contains(part))
    }

    /// `part` is well, or in `trouble`.
    pub(super) fn say(&self, part: Part, trouble: Option<Trouble>) {
        if part == Part::Writer {
            self.metrics.recording(trouble.is_none());
        }
        self.health.send_if_modified(|health| {
            let was_unheard = health.unheard.contains(&part);
            let before = health.parts.get(&part).cloned().flatten();
            if !was_unheard && before == trouble {
                return false;
            }
            match &trouble {
                // The message may grow older every time; the code says whether it is news.
                Some(Trouble { code, message })
                    if before.as_ref().is_none_or(|before| before.code != *code) =>
                {
                    tracing::error!(code, "{}: {message}", part.in_trouble());
                }
                None if was_unheard || before.is_some() => {
                    tracing::info!("{}", part.well());
                }
                Some(_) | None => {}
            }
            health.unheard.retain(|unheard| *unheard != part);
            health.parts.insert(part, trouble);
            true
        });
    }
}

// === impl Part ===

impl Part {
    const fn in_trouble(self) -> &'static str {
        match self {
            Self::Writer => "the trail cannot be recorded",
            Self::Shipper => "the spool cannot be moved to the store",
            #[cfg(feature = "sqlite")]
            Self::Damage => "the spool was damaged",
            #[cfg(feature = "sqlite")]
            Self::SetAside => "records were set aside",
            Self::Sealer => "the trail is not sealed",
            Self::Publisher => "checkpoints stay in the database",
            Self::Canary => "the canary is lost",
        }
    }

    const fn well(self) -> &'static str {
        match self {
            Self::Writer => "the trail is being recorded",
            Self::Shipper => "the spool is being moved to the store",
            #[cfg(feature = "sqlite")]
            Self::Damage => "nothing of a damaged spool is left",
            #[cfg(feature = "sqlite")]
            Self::SetAside => "no record is set aside",
            Self::Sealer => "the trail is being sealed",
            Self::Publisher => "checkpoints are published",
            Self::Canary => "the canary came back",
        }
    }
}

/// An error with its causes, in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
