//! An export, without its database.

use std::fs::File;
use std::io;
use std::path::Path;

use uuid::Uuid;

use super::check::Check;
use super::leaf::{Seen, Told};
use super::lines::{self, Inclusion, Item};
use super::manifest::{EXPORT_FORMAT, LastLine, Manifest};
use super::{Error, Finding, Progress, Report, outside};
use crate::audit::seal::{TreeHead, Verifiers};

/// After how many lines progress is said.
const SAY: u64 = 10_000;

/// Verifies the export in the file `path`, by the keys `verifiers`; `outside` are notes from elsewhere.
///
/// # Errors
///
/// If the file cannot be read, or is no export in JSON Lines, or nothing in it is signed.
pub fn export(
    path: &Path,
    verifiers: &Verifiers,
    outside: &[(String, String)],
    progress: &Progress<'_>,
) -> Result<Report, Error> {
    let failed = |source: io::Error| Error::Read {
        what: path.display().to_string(),
        source,
    };
    let mut file = File::open(path).map_err(failed)?;
    let (last, begins_at) = lines::last_line(&mut file).map_err(failed)?;
    if !last.trim_start().starts_with('{') {
        let path = path.display();
        return Err(Error::Format(format!(
            "{path} is no export in JSON Lines: only `audit export --format jsonl` can be verified"
        )));
    }
    let manifest = serde_json::from_str::<LastLine>(&last)
        .ok()
        .map(|line| line.manifest);
    let length = match &manifest {
        Some(_) => begins_at,
        None => file.metadata().map_err(failed)?.len(),
    };
    let filtered = manifest
        .as_ref()
        .is_some_and(|manifest| manifest.filter.is_some());
    let mut check = if filtered {
        Check::part()
    } else {
        Check::new(false)
    };
    for (place, text) in outside {
        outside::take(&mut check.marks, place, text, verifiers)?;
    }
    let head = manifest
        .as_ref()
        .and_then(|it| take_notes(&mut check, it, verifiers));
    let unsigned = manifest
        .as_ref()
        .filter(|manifest| manifest.checkpoint.is_none());
    if let Some(manifest) = unsigned {
        if manifest.sealed == 0 && outside.is_empty() {
            return Err(Error::NoCheckpoint);
        }
        if manifest.sealed > 0 {
            check
                .marks
                .missing("the manifest has no checkpoint, and lines that are sealed");
        }
    }
    let mut lines = Lines {
        check,
        manifest: manifest.as_ref(),
        next: 0,
        count: 0,
        sealed: 0,
        first: None,
        order: None,
        is_past_sealed: false,
        above: None,
    };
    let against = head.filter(|_| filtered);
    let done = lines::each(&mut file, length, against, |item| {
        lines.take(item, filtered);
        if lines.count.is_multiple_of(SAY) {
            progress(lines.count);
        }
    });
    done.map_err(failed)?;
    Ok(lines.finish(filtered))
}

fn take_notes(check: &mut Check, manifest: &Manifest, verifiers: &Verifiers) -> Option<TreeHead> {
    for note in manifest.checkpoints.iter().rev() {
        let _ = check
            .marks
            .add("an older checkpoint of the manifest", note, None, verifiers);
    }
    let note = manifest.checkpoint.as_ref()?;
    let stated = i64::try_from(manifest.complete_up_to).ok();
    check
        .marks
        .add("the checkpoint of the manifest", note, stated, verifiers)
}

/// The lines of an export, as far as they were read.
struct Lines<'a> {
    check: Check,
    manifest: Option<&'a Manifest>,
    /// The leaf that a whole export must have next.
    next: u64,
    count: u64,
    sealed: u64,
    /// Of a filtered export: what the least leaf shows.
    first: Option<Finding>,
    /// Of a whole export: the first leaf that is not in its place.
    order: Option<Finding>,
    is_past_sealed: bool,
    /// Of a filtered export: the record before, which must be newer.
    above: Option<Uuid>,
}

// === impl Lines ===

impl Lines<'_> {
    fn take(&mut self, item: Item, filtered: bool) {
        self.count += 1;
        if filtered {
            self.take_below(&item);
        }
        let is_leaf = item.leaf_index.is_some() || self.stands_for_a_leaf(&item);
        if !is_leaf {
            self.is_past_sealed = true;
            let id = item.record_id.unwrap_or_default();
            self.check.unsealed(id, &item.told);
            if filtered || self.first.is_none() {
                self.look_at_unsealed(&item);
            }
            return;
        }
        self.sealed += 1;
        if filtered {
            self.take_alone(&item);
        } else {
            self.take_in_order(item);
        }
    }

    /// Filtered lines are there once, the newest first.
    fn take_below(&mut self, item: &Item) {
        let above = std::mem::replace(&mut self.above, item.record_id);
        let is_below = above.is_none_or(|above| item.record_id.is_none_or(|id| id < above));
        if !is_below && self.order.is_none() {
            self.order = Some(Finding {
                leaf_index: item.leaf_index,
                record_id: item.record_id,
                ..Finding::new(
                    "export_order",
                    "it is not older than the record in the line before",
                )
            });
        }
    }

    /// A line that cannot be read says nothing of its place.
    fn stands_for_a_leaf(&self, item: &Item) -> bool {
        let expected = self.manifest.map_or(0, |manifest| manifest.complete_up_to);
        item.record_id.is_none() && self.next < expected
    }

    fn take_in_order(&mut self, item: Item) {
        let index = item.leaf_index.unwrap_or(self.next);
        if self.order.is_some() {
            return;
        }
        let is_covered = self
            .manifest
            .is_none_or(|manifest| index < manifest.complete_up_to);
        if index != self.next || self.is_past_sealed || !is_covered {
            let text = if is_covered {
                format!("the line in its place is that of leaf {index}")
            } else {
                "the export is not complete up to there by its own manifest".to_owned()
            };
            let id = item.record_id;
            self.order = Some(Finding::at("export_order", self.next, id, text));
            return;
        }
        let seen = Seen {
            record_id: item.record_id.unwrap_or_default(),
            has_row: true,
            row: item.row,
            tile: item.row,
            record: item.told,
        };
        self.check.leaf(index, &seen, |_| {});
        self.next += 1;
    }

    fn take_alone(&mut self, item: &Item) {
        self.check.alone(&item.told);
        let index = item.leaf_index.unwrap_or_default();
        if self
            .first
            .as_ref()
            .is_some_and(|first| first.leaf_index < Some(index))
        {
            return;
        }
        self.first = judge_alone(item).or(self.first.take());
    }

    fn look_at_unsealed(&mut self, item: &Item) {
        if let Told::Unreadable(field) = item.told {
            let text = format!("`{field}` of a line that is not sealed cannot be read");
            let finding = Finding {
                record_id: item.record_id,
                ..Finding::new("record_changed", text)
            };
            self.first.get_or_insert(finding);
        }
    }

    fn finish(mut self, filtered: bool) -> Report {
        let size = self.next;
        let cut = self.cut();
        if filtered {
            return self.finish_part(cut);
        }
        let expected = self
            .manifest
            .map_or(size, |manifest| manifest.complete_up_to);
        // A line that is missing shifts all others; one that was moved leaves their number as it was.
        let order = self.order.take().map(|order| {
            if self.sealed < expected {
                let at = order.leaf_index.unwrap_or_default();
                return Finding::at("leaf_missing", at, None, "its line is missing");
            }
            order
        });
        let missing = (order.is_none() && size < expected)
            .then(|| Finding::at("leaf_missing", size, None, "its line is missing"));
        let first = self.first.take();
        self.check.report.sealed = self.sealed;
        let has_order = order.is_some() || missing.is_some();
        let at = order.or(missing).or(first);
        let mut report = self.check.finish([None, cut, None], size);
        // What comes along the leaves comes first; the last of them that was looked at is before this one.
        let is_of_leaf = report
            .finding
            .as_ref()
            .is_some_and(|it| it.leaf_index.is_some());
        if let Some(at) = at
            && !is_of_leaf
            && (has_order || report.finding.is_none())
        {
            report.finding = Some(at);
        }
        report
    }

    /// Of a filtered export: every line was looked at alone.
    fn finish_part(self, cut: Option<Finding>) -> Report {
        let Self {
            check,
            first,
            order,
            ..
        } = self;
        // The trees were not computed: what is signed is signed, and each line was held against it.
        let mut report = check.finish_part(cut);
        report.finding = first.or(order).or(report.finding);
        report
    }

    fn cut(&self) -> Option<Finding> {
        let Some(manifest) = self.manifest else {
            let text = "the manifest, which must be the last line, is missing: the export was cut";
            return Some(Finding::new("export_cut", text));
        };
        if manifest.format != EXPORT_FORMAT {
            let text = format!(
                "the manifest is of the format `{}`, which this version does not know",
                manifest.format
            );
            return Some(Finding::new("export_cut", text));
        }
        if (manifest.records, manifest.sealed) != (self.count, self.sealed) {
            let text = format!(
                "the manifest counts {} lines, {} of them sealed, and there are {} and {}",
                manifest.records, manifest.sealed, self.count, self.sealed
            );
            return Some(Finding::new("export_cut", text));
        }
        None
    }
}

/// What is wrong with a leaf that is proved by an audit path of its own.
pub(super) fn judge_alone(item: &Item) -> Option<Finding> {
    let index = item.leaf_index?;
    let at = |code, text: String| Some(Finding::at(code, index, item.record_id, text));
    match (&item.told, item.inclusion) {
        (Told::Missing, _) => at(
            "record_missing",
            "the record was sealed, and is gone".to_owned(),
        ),
        (Told::Unreadable(field), _) => at(
            "record_changed",
            format!("`{field}` holds what the gateway never writes"),
        ),
        (Told::Record(_), Inclusion::OfRow) => at(
            "record_changed",
            "the record is not what was sealed".to_owned(),
        ),
        (Told::Record(summary), Inclusion::OfRecord) if item.row != Some(summary.hash) => at(
            "leaf_hash_changed",
            "the leaf hash is not the one that was sealed; the record is".to_owned(),
        ),
        (Told::Record(summary), Inclusion::None | Inclusion::Wrong)
            if item.row != Some(summary.hash) =>
        {
            at(
                "record_changed",
                "the record does not fit its leaf hash".to_owned(),
            )
        }
        (Told::Record(_), Inclusion::Wrong) => at(
            "inclusion_wrong",
            "its audit path does not lead to the root of the checkpoint".to_owned(),
        ),
        (Told::Record(summary), Inclusion::OfRecord | Inclusion::None) => {
            if let Some(subject) = summary.unfit {
                return at(
                    "record_changed",
                    format!("{subject}, or the salt, is not what was recorded"),
                );
            }
            let subject = summary.erased?;
            at(
                "erased",
                format!("the salt of {subject} is gone, and nobody was to erase it"),
            )
        }
    }
}
