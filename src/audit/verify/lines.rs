//! Reads an export by all cores: one reads, all others parse and hash, and the order is kept.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::num::NonZero;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use serde_json::Value;
use uuid::Uuid;

use super::leaf::Told;
use super::line::Line;
use crate::audit::record::leaf::LeafHasher;
use crate::audit::seal::{Hash, TreeHead, proof};

/// How much is read at once: some thousand lines.
const CHUNK: usize = 1 << 20;
/// How many chunks wait for a core, or for their turn.
const AHEAD: usize = 2;
/// A line is never longer: text is cut before it is recorded, and proofs grow with the logarithm.
const LONGEST_LINE: usize = 4 << 20;

/// A line of an export.
pub(super) struct Item {
    pub(super) leaf_index: Option<u64>,
    pub(super) record_id: Option<Uuid>,
    pub(super) row: Option<Hash>,
    pub(super) told: Told,
    pub(super) inclusion: Inclusion,
}

/// What its audit path proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inclusion {
    /// It has none, or there is nothing to hold it against.
    None,
    /// It leads from what the record says to the root.
    OfRecord,
    /// It leads from the leaf hash that is stated to the root, and that is not the record's.
    OfRow,
    /// It leads nowhere.
    Wrong,
}

/// The last line of `file`, and where it begins.
pub(super) fn last_line(file: &mut File) -> io::Result<(String, u64)> {
    let end = file.seek(SeekFrom::End(0))?;
    let mut reach = 64_u64 << 10;
    loop {
        let start = end.saturating_sub(reach);
        file.seek(SeekFrom::Start(start))?;
        let mut tail = Vec::new();
        file.by_ref().take(end - start).read_to_end(&mut tail)?;
        let text = tail.strip_suffix(b"\n").unwrap_or(&tail);
        let found = text.iter().rposition(|byte| *byte == b'\n');
        if found.is_some() || start == 0 || reach > LONGEST_LINE as u64 {
            let from = found.map_or(0, |at| at + 1);
            let line = String::from_utf8_lossy(&text[from..]).into_owned();
            return Ok((line, start + from as u64));
        }
        reach *= 4;
    }
}

/// Gives every line of the first `length` bytes of `file` to `take`, in order. `head` is what audit paths are held against.
pub(super) fn each(
    file: &mut File,
    length: u64,
    head: Option<TreeHead>,
    mut take: impl FnMut(Item),
) -> io::Result<()> {
    file.seek(SeekFrom::Start(0))?;
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        let mut inputs: Vec<SyncSender<Vec<u8>>> = Vec::new();
        let mut outputs: Vec<Receiver<Vec<Item>>> = Vec::new();
        for _ in 0..cores {
            let (input, chunks) = sync_channel::<Vec<u8>>(AHEAD);
            let (items, output) = sync_channel(AHEAD);
            scope.spawn(move || {
                let mut hasher = LeafHasher::new();
                for chunk in chunks {
                    // Whoever does not listen any more has failed, and says so.
                    if items
                        .send(parse(&chunk, head.as_ref(), &mut hasher))
                        .is_err()
                    {
                        return;
                    }
                }
            });
            inputs.push(input);
            outputs.push(output);
        }
        let reader = scope.spawn(move || read(file, length, &inputs));
        let mut turn = outputs.iter().cycle();
        while let Some(Ok(items)) = turn.next().map(Receiver::recv) {
            items.into_iter().for_each(&mut take);
        }
        drop(outputs);
        reader
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Whole lines, to one core after the other.
fn read(file: &mut File, length: u64, inputs: &[SyncSender<Vec<u8>>]) -> io::Result<()> {
    let mut left = file.take(length);
    let mut rest: Vec<u8> = Vec::new();
    for input in inputs.iter().cycle() {
        let mut chunk = std::mem::take(&mut rest);
        chunk.reserve(CHUNK);
        loop {
            let read = left.by_ref().take(CHUNK as u64).read_to_end(&mut chunk)?;
            if read == 0 {
                break;
            }
            if let Some(at) = chunk.iter().rposition(|byte| *byte == b'\n') {
                rest.extend_from_slice(&chunk[at + 1..]);
                chunk.truncate(at + 1);
                break;
            }
            if chunk.len() > LONGEST_LINE {
                return Err(io::Error::other("a line is longer than any record"));
            }
        }
        if chunk.is_empty() {
            return Ok(());
        }
        if input.send(chunk).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

fn parse(chunk: &[u8], head: Option<&TreeHead>, hasher: &mut LeafHasher) -> Vec<Item> {
    let mut items = Vec::with_capacity(chunk.len() / 1024);
    // Looked at once, and not string by string.
    if let Ok(text) = std::str::from_utf8(chunk) {
        let lines = text.split('\n').filter(|line| !line.is_empty());
        items.extend(lines.map(|line| read_line(line, head, hasher)));
    } else {
        let lines = chunk
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty());
        items.extend(
            lines.map(|line| item(serde_json::from_slice(line).ok().as_ref(), head, hasher)),
        );
    }
    items
}

fn read_line(text: &str, head: Option<&TreeHead>, hasher: &mut LeafHasher) -> Item {
    if let Ok(line) = serde_json::from_str(text) {
        return item(Some(&line), head, hasher);
    }
    // It may still say which record it was.
    let members: Value = serde_json::from_str(text).unwrap_or_default();
    let id = members["id"].as_str();
    Item {
        leaf_index: members["leaf_index"].as_u64(),
        record_id: id.and_then(|id| Uuid::try_parse(id).ok()),
        ..item(None, head, hasher)
    }
}

/// What one line says; `None` is one that is no record.
pub(super) fn item(
    line: Option<&Line<'_>>,
    head: Option<&TreeHead>,
    hasher: &mut LeafHasher,
) -> Item {
    let Some(line) = line else {
        return Item {
            leaf_index: None,
            record_id: None,
            row: None,
            told: Told::Unreadable("line"),
            inclusion: Inclusion::None,
        };
    };
    let told = if line.is_gone() {
        Told::Missing
    } else {
        line.summary(hasher)
            .map_or_else(Told::Unreadable, Told::Record)
    };
    let row = line.leaf_hash();
    let inclusion = match (head, line.leaf_index) {
        (Some(head), Some(index)) => included(line.inclusion().as_deref(), head, index, &told, row),
        _ => Inclusion::None,
    };
    Item {
        leaf_index: line.leaf_index,
        record_id: line.record_id(),
        row,
        told,
        inclusion,
    }
}

fn included(
    path: Option<&[Hash]>,
    head: &TreeHead,
    index: u64,
    told: &Told,
    row: Option<Hash>,
) -> Inclusion {
    let Some(path) = path else {
        return Inclusion::Wrong;
    };
    let leads = |hash: Option<Hash>| {
        hash.is_some_and(|hash| proof::includes(path, head.size, &head.root, index, &hash))
    };
    if leads(told.hash()) {
        Inclusion::OfRecord
    } else if leads(row) {
        Inclusion::OfRow
    } else {
        Inclusion::Wrong
    }
}
