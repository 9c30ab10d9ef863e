//! The tree heads that were signed, and whether the trees that are computed lead to them.

use std::collections::BTreeMap;

use super::Finding;
use crate::audit::seal::{Edge, Hash, Invalid, TreeHead, Verifiers};

/// Where a tree head was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// For people: `the tree head`, `the checkpoint of 17 leaves`.
    pub(super) name: String,
    pub(super) head: TreeHead,
}

/// Tree heads by their size, and what was wrong with those that are none.
#[derive(Debug, Default)]
pub(super) struct Marks {
    by_size: BTreeMap<u64, Vec<Mark>>,
    /// How many are good.
    pub(super) count: u64,
    /// The first that is malformed, or contradicts itself.
    pub(super) changed: Option<Finding>,
    /// The first that is not signed.
    pub(super) unsigned: Option<Finding>,
    /// The first to which the tree of the records does not lead.
    pub(super) left: Option<Finding>,
    /// The largest to which each tree was held: whether it leads there.
    pub(super) newest: Option<Verdicts>,
}

/// Whether the trees lead to a tree head: that of the records, of the rows, and of the tiles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Verdicts {
    pub(super) records: bool,
    pub(super) rows: bool,
    pub(super) tiles: bool,
}

// === impl Marks ===

impl Marks {
    /// Takes a note; `stated` is the size that stands beside it. What it says, if its signature is good.
    pub(super) fn add(
        &mut self,
        name: &str,
        note: &str,
        stated: Option<i64>,
        verifiers: &Verifiers,
    ) -> Option<TreeHead> {
        match verifiers.open(note) {
            Ok(head) if stated.is_none_or(|stated| i64::try_from(head.size) == Ok(stated)) => {
                let mark = Mark {
                    name: name.to_owned(),
                    head,
                };
                self.by_size.entry(head.size).or_default().push(mark);
                self.count += 1;
                Some(head)
            }
            Ok(head) => {
                let size = head.size;
                let message = format!(
                    "{name} is said to have {stated:?} leaves, and is of {size}",
                    stated = stated.unwrap_or_default()
                );
                self.changed
                    .get_or_insert(Finding::new("checkpoint_changed", message));
                Some(head)
            }
            Err(Invalid::Malformed) => {
                let message = format!("{name}: {}", Invalid::Malformed);
                self.changed
                    .get_or_insert(Finding::new("checkpoint_changed", message));
                None
            }
            Err(invalid) => {
                let message = format!("{name}: {invalid}");
                self.unsigned
                    .get_or_insert(Finding::new("checkpoint_signature", message));
                None
            }
        }
    }

    /// Takes down that there is none where there must be one.
    pub(super) fn missing(&mut self, message: &str) {
        self.changed
            .get_or_insert(Finding::new("checkpoint_changed", message));
    }

    /// The least size at which something must be held against the trees; `None` if there is no more.
    pub(super) fn next(&self) -> Option<u64> {
        self.by_size.keys().next().copied()
    }

    /// Holds the trees, which have `size` leaves now, against what was signed of that size.
    pub(super) fn reach(&mut self, size: u64, trees: [Option<&Edge>; 3]) {
        let Some(marks) = self.by_size.remove(&size) else {
            return;
        };
        let [records, rows, tiles] = trees.map(|tree| tree.map(Edge::root));
        for mark in marks {
            let leads = |root: Option<Hash>| root == Some(mark.head.root);
            let verdicts = Verdicts {
                records: leads(records),
                rows: leads(rows),
                tiles: leads(tiles),
            };
            if !verdicts.records {
                let message = format!(
                    "{} has signed another tree: its {size} leaves are not these",
                    mark.name
                );
                self.left
                    .get_or_insert(Finding::new("tree_changed", message));
            }
            self.newest = Some(verdicts);
        }
    }

    /// The first that has more leaves than the `size` there are.
    pub(super) fn beyond(&self, size: u64) -> Option<Finding> {
        let (signed, marks) = self.by_size.range(size.saturating_add(1)..).next_back()?;
        let name = marks
            .first()
            .map_or("a checkpoint", |mark| mark.name.as_str());
        let last = signed - 1;
        let message = if last == size {
            format!("{name} has {signed} leaves, and the trail {size}: leaf {size} is lost")
        } else {
            format!(
                "{name} has {signed} leaves, and the trail {size}: the leaves {size} to {last} are lost"
            )
        };
        Some(Finding::new("leaves_lost", message))
    }
}
