//! Goes along the leaves of a trail, whatever they are read from.

use std::collections::HashMap;

use uuid::Uuid;

use super::leaf::{Seen, Summary, Told};
use super::marks::{Marks, Verdicts};
use super::{Finding, LEFT_OUT_MICROS, Report};
use crate::audit::record::Phase;
use crate::audit::seal::{Edge, Hash, Tile};

/// A clock that is set by NTP is corrected by less.
const DISORDER_MICROS: i64 = 1_000_000;

/// What was seen so far.
#[derive(Default)]
pub(super) struct Check {
    /// The tree of the records; `None` from where one is missing.
    records: Tree,
    /// From the first leaf where they differ on: the trees of the rows and of the tiles.
    others: Option<[Tree; 2]>,
    suspect: Option<Suspect>,
    pub(super) marks: Marks,
    pub(super) report: Report,
    newest_stored_at: i64,
    left_out: Option<Finding>,
    /// How many more intents than outcomes an exchange has so far.
    open: HashMap<Uuid, i64>,
    clocks: HashMap<Uuid, i64>,
    /// Whether the leaves come with tiles of their own.
    has_tiles: bool,
    /// Whether each record is looked at alone.
    is_part: bool,
}

/// A tree, as long as nothing is missing in it.
#[derive(Clone)]
struct Tree(Option<Edge>);

/// The first leaf that is not as it should be.
struct Suspect {
    index: u64,
    record_id: Option<Uuid>,
    flaw: Flaw,
}

/// What of record, row and tile agrees.
#[derive(Clone, Copy)]
struct Agreement {
    row_fits: bool,
    tile_fits: bool,
    row_is_tile: bool,
}

enum Flaw {
    NoRow,
    NoRecord,
    Unreadable(&'static str),
    Unfit(&'static str),
    Erased(&'static str),
    Differs(Agreement),
}

// === impl Tree ===

impl Default for Tree {
    fn default() -> Self {
        Self(Some(Edge::default()))
    }
}

impl Tree {
    fn push(&mut self, leaf: Option<Hash>, full: impl FnMut(Tile)) {
        match (leaf, &mut self.0) {
            (Some(leaf), Some(edge)) => edge.push(leaf, full),
            (None, _) => self.0 = None,
            (Some(_), None) => {}
        }
    }
}

// === impl Check ===

impl Check {
    pub(super) fn new(has_tiles: bool) -> Self {
        Self {
            has_tiles,
            newest_stored_at: i64::MIN,
            ..Self::default()
        }
    }

    /// Of a filtered export, or of one exchange.
    pub(super) fn part() -> Self {
        Self {
            is_part: true,
            ..Self::new(false)
        }
    }

    /// The leaf `index`, which is the next one. `full` is given each tile above level 0 that the tree of the
    /// tiles, or of the records, has filled.
    pub(super) fn leaf(&mut self, index: u64, seen: &Seen, mut full: impl FnMut(Tile)) {
        let record = seen.record.hash();
        let agree = record.is_some() && record == seen.row && record == seen.tile;
        let is_good = |it: &Summary| it.unfit.is_none() && it.erased.is_none();
        let is_fine = agree && matches!(&seen.record, Told::Record(it) if is_good(it));
        if !is_fine && self.suspect.is_none() {
            self.suspect = Some(suspect(index, seen));
        }
        if !agree && self.others.is_none() {
            self.others = Some([self.records.clone(), self.records.clone()]);
        }
        let mut above = |tile: Tile| {
            if tile.level > 0 {
                full(tile);
            }
        };
        match &mut self.others {
            None => self.records.push(record, above),
            Some([rows, tiles]) => {
                self.records.push(record, |_| {});
                rows.push(seen.row, |_| {});
                tiles.push(seen.tile, &mut above);
            }
        }
        if seen.has_row {
            self.report.sealed += 1;
        }
        if let Told::Record(summary) = &seen.record {
            self.summary(summary);
            if self.newest_stored_at != i64::MIN
                && summary.stored_at < self.newest_stored_at - LEFT_OUT_MICROS
            {
                self.report.late += 1;
            }
            self.newest_stored_at = self.newest_stored_at.max(summary.stored_at);
        }
        if self.marks.next() == Some(index + 1) {
            let records = self.records.0.as_ref();
            let (rows, tiles) = match &self.others {
                Some([rows, tiles]) => (rows.0.as_ref(), tiles.0.as_ref()),
                None => (records, records),
            };
            self.marks.reach(index + 1, [records, rows, tiles]);
        }
    }

    /// A record that is not sealed.
    pub(super) fn unsealed(&mut self, record_id: Uuid, told: &Told) {
        self.report.unsealed += 1;
        self.report.first_unsealed.get_or_insert(record_id);
        if let Told::Record(summary) = told {
            self.summary(summary);
            if summary.stored_at < self.newest_stored_at.saturating_sub(LEFT_OUT_MICROS) {
                let finding = Finding {
                    record_id: Some(record_id),
                    ..Finding::new(
                        "left_out",
                        "it is not sealed, and was stored more than a minute before the newest record that is",
                    )
                };
                self.left_out.get_or_insert(finding);
            }
        }
    }

    /// A sealed record that is proved by an audit path of its own.
    pub(super) fn alone(&mut self, told: &Told) {
        self.report.sealed += 1;
        if let Told::Record(summary) = told {
            self.summary(summary);
        }
    }

    /// The end, where each record was looked at alone: what is signed of other sizes says nothing of them.
    pub(super) fn finish_part(mut self, cut: Option<Finding>) -> Report {
        let open_intents = self.open_intents();
        let finding = [cut, self.marks.changed.take(), self.marks.unsigned.take()];
        let mut report = self.report;
        report.finding = finding.into_iter().flatten().next();
        report.open_intents = open_intents;
        report.records = report.sealed + report.unsealed;
        report.checkpoints = self.marks.count;
        report.is_part = true;
        report
    }

    fn open_intents(&self) -> u64 {
        let open = self.open.values().filter(|open| **open > 0);
        open.map(|open| open.unsigned_abs()).sum()
    }

    fn summary(&mut self, summary: &Summary) {
        if let Some(exchange) = summary.exchange_id {
            // What is even is forgotten: only what is open takes room.
            match summary.phase {
                Some(Phase::Intent) => *self.open.entry(exchange).or_default() += 1,
                Some(Phase::Outcome) if summary.has_intent => {
                    *self.open.entry(exchange).or_default() -= 1;
                }
                Some(Phase::Outcome) | None => {}
            }
            if self.open.get(&exchange) == Some(&0) {
                self.open.remove(&exchange);
            }
        }
        let latest = self.clocks.entry(summary.run_id).or_insert(i64::MIN);
        // A part has its records in another order, or not all of them.
        let ran_back =
            !self.is_part && summary.recorded_at < latest.saturating_sub(DISORDER_MICROS);
        let runs_ahead = summary.recorded_at > summary.stored_at.saturating_add(LEFT_OUT_MICROS);
        if ran_back || runs_ahead {
            self.report.clock_disorder += 1;
        }
        *latest = summary.recorded_at.max(*latest);
    }

    /// The tiles at the right edge, above level 0.
    pub(super) fn edge(&self) -> Vec<Tile> {
        let tree = match &self.others {
            Some([_, tiles]) => &tiles.0,
            None => &self.records.0,
        };
        let tiles = tree.as_ref().map(Edge::tiles).unwrap_or_default();
        tiles.into_iter().filter(|tile| tile.level > 0).collect()
    }

    /// Whether a leaf is not as it should be.
    pub(super) fn has_suspect(&self) -> bool {
        self.suspect.is_some()
    }

    /// The end: `others` are what was found otherwise, the first in the order of the page. `size` is how many leaves there are.
    pub(super) fn finish(mut self, others: [Option<Finding>; 3], size: u64) -> Report {
        let open_intents = self.open_intents();
        let verdicts = self.marks.newest.unwrap_or_default();
        let suspect = self.suspect.take();
        let of_leaf = suspect.map(|suspect| suspect.finding(verdicts, self.has_tiles));
        let [tile, cut, head] = others;
        let beyond = self.marks.beyond(size);
        let finding = [
            of_leaf,
            tile,
            cut,
            head,
            self.marks.changed,
            self.marks.unsigned,
            self.marks.left,
            beyond,
            self.left_out,
        ];
        let mut report = self.report;
        report.finding = finding.into_iter().flatten().next();
        report.open_intents = open_intents;
        report.records = report.sealed + report.unsealed;
        report.checkpoints = self.marks.count;
        report
    }
}

fn suspect(index: u64, seen: &Seen) -> Suspect {
    let flaw = match &seen.record {
        _ if !seen.has_row => Flaw::NoRow,
        Told::Missing => Flaw::NoRecord,
        Told::Unreadable(column) => Flaw::Unreadable(column),
        Told::Record(summary) => {
            let row_fits = seen.row == Some(summary.hash);
            let tile_fits = seen.tile == Some(summary.hash);
            match (summary.unfit, summary.erased) {
                _ if !row_fits || !tile_fits => Flaw::Differs(Agreement {
                    row_fits,
                    tile_fits,
                    row_is_tile: seen.row == seen.tile,
                }),
                (Some(subject), _) => Flaw::Unfit(subject),
                (None, subject) => Flaw::Erased(subject.unwrap_or_default()),
            }
        }
    };
    Suspect {
        index,
        record_id: seen.has_row.then_some(seen.record_id),
        flaw,
    }
}

// === impl Suspect ===

impl Suspect {
    fn finding(self, verdicts: Verdicts, has_tiles: bool) -> Finding {
        let (code, message) = match self.flaw {
            Flaw::NoRow => (
                "leaf_missing",
                "the leaf is missing, and with it its record".to_owned(),
            ),
            Flaw::NoRecord => (
                "record_missing",
                "the record was sealed, and is gone".to_owned(),
            ),
            Flaw::Unreadable(column) => (
                "record_changed",
                format!("`{column}` holds what the gateway never writes"),
            ),
            Flaw::Unfit(subject) => (
                "record_changed",
                format!("{subject}, or the salt, is not what was recorded"),
            ),
            Flaw::Erased(subject) => (
                "erased",
                format!("the salt of {subject} is gone, and nobody was to erase it"),
            ),
            Flaw::Differs(agreement) => differs(verdicts, has_tiles, agreement),
        };
        Finding::at(code, self.index, self.record_id, message)
    }
}

fn differs(verdicts: Verdicts, has_tiles: bool, agreement: Agreement) -> (&'static str, String) {
    let Agreement {
        row_fits,
        tile_fits,
        row_is_tile,
    } = agreement;
    if !has_tiles && verdicts.records {
        return (
            "leaf_hash_changed",
            "the leaf hash is not the one that was sealed; the record is".to_owned(),
        );
    }
    if has_tiles && tile_fits && !row_fits && (verdicts.records || !verdicts.rows) {
        return (
            "leaf_hash_changed",
            "the leaf hash of its row is not the one that was sealed; the record is".to_owned(),
        );
    }
    if has_tiles && row_fits && !tile_fits {
        return if verdicts.tiles {
            (
                "record_replaced",
                "it is not the record that was sealed at this leaf".to_owned(),
            )
        } else {
            (
                "tile_changed",
                "the tile of level 0 has another hash for it than the tree that was signed"
                    .to_owned(),
            )
        };
    }
    let which = if row_is_tile {
        ""
    } else {
        ", and neither is its leaf hash"
    };
    (
        "record_changed",
        format!("the record is not what was sealed{which}"),
    )
}
