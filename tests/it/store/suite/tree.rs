//! The promises of [`Tree`](key_backup_gateway::audit::store::Tree).

use std::sync::Arc;
use std::time::Duration;

use key_backup_gateway::audit::record::{Facts, Kind, Record};
use key_backup_gateway::audit::seal::{Hash, Tile, empty_root};
use key_backup_gateway::audit::store::{After, Before, Progress, TreeStore};
use uuid::Uuid;

use crate::store::bench::{Bench, Gateway};

/// So many records.
fn some(count: usize) -> Vec<Record> {
    let gateway = Gateway::new();
    (0..count).map(|_| gateway.next(Facts::default())).collect()
}

fn hash(number: usize) -> Hash {
    let mut hash = [7; 32];
    hash[..8].copy_from_slice(&(number as u64).to_be_bytes());
    hash
}

/// Seals what it is given, without a thought for what a tree is.
fn everything(before: &Before) -> After {
    let size = usize::try_from(before.head.size).unwrap();
    let leaves = before.pending.iter().enumerate();
    let leaves: Vec<_> = leaves
        .map(|(at, it)| (it.record_id, hash(size + at)))
        .collect();
    let new_size = (size + leaves.len()) as u64;
    After {
        tiles: vec![Tile {
            level: 0,
            index: 0,
            hashes: (0..size + leaves.len()).map(hash).collect(),
        }],
        head: Some((new_size, hash(usize::MAX), format!("note of {new_size}"))),
        checkpoint: Some((new_size, format!("checkpoint of {new_size}"))),
        leaves,
    }
}

async fn seal(store: &dyn TreeStore, limit: u32) -> Progress {
    store
        .seal(limit, i64::MIN, &mut |before| Some(everything(&before)))
        .await
        .unwrap()
}

async fn waiting(store: &dyn TreeStore) -> Vec<Uuid> {
    let waiting = store.unsealed(i64::MIN, 1000).await.unwrap();
    waiting.iter().map(|it| it.record_id).collect()
}

async fn sealed(store: &dyn TreeStore) -> Vec<Uuid> {
    let leaves = store.leaves(0, 1000).await.unwrap();
    for (index, leaf) in leaves.iter().enumerate() {
        assert_eq!(
            usize::try_from(leaf.leaf_index),
            Ok(index),
            "contiguous, from 0"
        );
    }
    leaves.iter().map(|leaf| leaf.record_id).collect()
}

fn ids(records: &[Record]) -> Vec<Uuid> {
    records.iter().map(|record| record.id).collect()
}

pub(crate) async fn a_new_tree_is_empty(bench: &Bench) {
    let store = bench.migrated().await;
    let head = store.tree_head().await.unwrap();
    assert_eq!((head.size, head.note), (0, None));
    assert_eq!(head.root, empty_root());
    let waiting = store.waiting().await.unwrap();
    assert!(!waiting.is_pending);
    assert_eq!((waiting.size, waiting.checkpoint_size), (0, 0));
    assert!(store.newest_checkpoints(1).await.unwrap().is_empty());
}

pub(crate) async fn what_is_appended_waits_once_in_the_order_of_its_arrival(bench: &Bench) {
    let store = bench.migrated().await;
    let records = some(5);
    // The later ids arrive first.
    store.append(&records[3..]).await.unwrap();
    store.append(&records[..3]).await.unwrap();
    store.append(&records).await.unwrap();
    let arrived = [&ids(&records[3..])[..], &ids(&records[..3])].concat();
    assert_eq!(waiting(&*store).await, arrived);
    assert!(store.waiting().await.unwrap().is_pending);
    let first = store.unsealed(i64::MIN, 2).await.unwrap();
    let then = store.unsealed(first[1].seq, 2).await.unwrap();
    assert_eq!(then[0].record_id, arrived[2]);
    assert_eq!(
        then[0].record.as_ref().unwrap().as_ref().unwrap().record,
        records[0]
    );
    // Sealed, and appended once more: it does not wait again.
    seal(&*store, 1000).await;
    store.append(&records).await.unwrap();
    assert!(waiting(&*store).await.is_empty());
    assert_eq!(sealed(&*store).await, arrived);
}

pub(crate) async fn a_step_is_written_as_a_whole(bench: &Bench) {
    let store = bench.migrated().await;
    let records = some(3);
    store.append(&records).await.unwrap();
    assert_eq!(seal(&*store, 2).await, Progress::Written);

    // As another process sees it.
    let store = bench.store();
    assert_eq!(waiting(&*store).await, ids(&records[2..]));
    assert_eq!(sealed(&*store).await, ids(&records[..2]));
    let head = store.tree_head().await.unwrap();
    assert_eq!((head.size, head.note.as_deref()), (2, Some("note of 2")));
    assert_eq!(head.root, hash(usize::MAX));
    let tiles = store.tiles(&[(0, 0), (1, 0), (0, 7)]).await.unwrap();
    assert_eq!(tiles.len(), 1);
    assert_eq!(tiles[0].parsed().unwrap().hashes, [hash(0), hash(1)]);
    let waiting = store.waiting().await.unwrap();
    assert_eq!((waiting.size, waiting.checkpoint_size), (2, 2));
    assert!((0.0..60.0).contains(&waiting.checkpoint_age), "{waiting:?}");
    seal(&*store, 2).await;
    // The tile has grown, and is still one.
    let tiles = store.tiles_from(0, 0, 10).await.unwrap();
    assert_eq!(tiles.len(), 1);
    assert_eq!(tiles[0].hashes.len(), 3 * 32);
    assert!(store.tiles_from(0, 1, 10).await.unwrap().is_empty());
}

pub(crate) async fn a_step_that_declines_writes_nothing(bench: &Bench) {
    let store = bench.migrated().await;
    store.append(&some(2)).await.unwrap();
    let mut seen = 0;
    let mut decline = |before: Before| {
        seen = before.pending.len();
        None
    };
    let progress = store.seal(9, i64::MIN, &mut decline).await.unwrap();
    assert_eq!(progress, Progress::Declined);
    assert_eq!(seen, 2);
    assert_eq!(waiting(&*store).await.len(), 2);
    assert_eq!(store.tree_head().await.unwrap().size, 0);
}

pub(crate) async fn a_step_that_cannot_be_written_leaves_nothing(bench: &Bench) {
    let store = bench.migrated().await;
    let records = some(2);
    store.append(&records).await.unwrap();
    let mut twice = |before: Before| {
        let mut after = everything(&before);
        after.leaves.push(after.leaves[0]);
        Some(after)
    };
    // A record is a leaf once.
    assert!(store.seal(9, i64::MIN, &mut twice).await.is_err());
    assert_eq!(waiting(&*store).await, ids(&records));
    assert!(sealed(&*store).await.is_empty());
    assert_eq!(store.tree_head().await.unwrap().size, 0);
    assert!(store.tiles(&[(0, 0)]).await.unwrap().is_empty());
    // A pooler may hold the lock until it has thrown the connection away.
    while seal(&*store, 9).await == Progress::Busy {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(sealed(&*store).await, ids(&records));
}

pub(crate) async fn several_that_seal_at_once_make_one_tree(bench: &Bench) {
    let store = bench.migrated().await;
    let records = some(60);
    for part in records.chunks(10) {
        store.append(part).await.unwrap();
    }
    let sealers = (0..5).map(|_| {
        let store: Arc<dyn TreeStore> = bench.store();
        tokio::spawn(async move {
            while store.waiting().await.unwrap().is_pending {
                // Some are told that another one is at it; SQLite lets them wait.
                drop(
                    store
                        .seal(7, i64::MIN, &mut |before| Some(everything(&before)))
                        .await,
                );
            }
            store.close().await;
        })
    });
    for sealer in sealers.collect::<Vec<_>>() {
        let ended = tokio::time::timeout(Duration::from_mins(1), sealer).await;
        ended.unwrap().unwrap();
    }
    assert_eq!(sealed(&*store).await, ids(&records));
    assert_eq!(store.tree_head().await.unwrap().size, 60);
    let tile = &store.tiles(&[(0, 0)]).await.unwrap()[0];
    assert_eq!(
        tile.parsed().unwrap().hashes,
        (0..60).map(hash).collect::<Vec<_>>()
    );
}

pub(crate) async fn a_step_is_given_the_edge_of_the_tree_and_the_newest_checkpoint(bench: &Bench) {
    let store = bench.migrated().await;
    store.append(&some(2)).await.unwrap();
    seal(&*store, 1).await;
    let mut seen = None;
    let mut look = |before: Before| {
        seen = Some(before);
        None
    };
    store.seal(9, i64::MIN, &mut look).await.unwrap();
    let before = seen.unwrap();
    assert_eq!(before.head.size, 1);
    assert_eq!(before.edge.len(), 1);
    assert_eq!(before.edge[0].parsed().unwrap().hashes, [hash(0)]);
    let newest = before.newest_checkpoint.unwrap();
    assert_eq!((newest.size, newest.note.as_str()), (1, "checkpoint of 1"));
    assert!(newest.made_at <= before.now);
    assert_eq!(before.pending.len(), 1);
}

pub(crate) async fn what_nobody_put_in_line_is_found_once(bench: &Bench) {
    let store = bench.migrated().await;
    let records = some(10);
    store.append(&records).await.unwrap();
    bench.execute("DELETE FROM audit_pending").await;
    let mut found = Vec::new();
    let mut after = Uuid::nil();
    loop {
        let strays = store.strays(after, 3).await.unwrap();
        found.extend(strays.found.iter().map(|stored| stored.record.id));
        match strays.next {
            Some(next) => after = next,
            None => break,
        }
    }
    found.sort_unstable();
    assert_eq!(found, ids(&records));
    let (mut after, mut adopted) = (Uuid::nil(), 0);
    loop {
        let step = store.adopt(after, 4).await.unwrap();
        adopted += step.adopted;
        match step.next {
            Some(next) => after = next,
            None => break,
        }
    }
    assert_eq!(adopted, 10);
    assert_eq!(waiting(&*store).await, ids(&records));
    assert_eq!(store.adopt(Uuid::nil(), 100).await.unwrap().adopted, 0);
}

pub(crate) async fn what_was_sealed_or_waits_is_no_stray(bench: &Bench) {
    let store = bench.migrated().await;
    store.append(&some(4)).await.unwrap();
    seal(&*store, 2).await;
    assert!(
        store
            .strays(Uuid::nil(), 100)
            .await
            .unwrap()
            .found
            .is_empty()
    );
    assert_eq!(store.adopt(Uuid::nil(), 100).await.unwrap().adopted, 0);
    let empty = bench.store();
    assert_eq!(empty.strays(Uuid::max(), 100).await.unwrap().next, None);
}

pub(crate) async fn leaves_come_in_order_with_their_records(bench: &Bench) {
    let store = bench.migrated().await;
    let records = some(5);
    store.append(&records).await.unwrap();
    seal(&*store, 5).await;
    let leaves = store.leaves(1, 3).await.unwrap();
    assert_eq!(leaves.len(), 3);
    for (leaf, record) in leaves.iter().zip(&records[1..]) {
        assert_eq!(
            leaf.record.as_ref().unwrap().as_ref().unwrap().record,
            *record
        );
        assert_eq!(
            leaf.leaf_hash,
            hash(usize::try_from(leaf.leaf_index).unwrap())
        );
    }
    let of = store
        .leaves_of(&[records[4].id, Uuid::max()])
        .await
        .unwrap();
    assert_eq!(of.len(), 1);
    assert_eq!(of[&records[4].id], (4, hash(4).to_vec()));
}

pub(crate) async fn a_leaf_whose_record_is_gone_says_so(bench: &Bench) {
    let store = bench.migrated().await;
    store.append(&some(2)).await.unwrap();
    seal(&*store, 2).await;
    bench.execute("UPDATE audit_record SET kind = 'odd'").await;
    let leaves = store.leaves(0, 9).await.unwrap();
    assert!(
        matches!(leaves[0].record, Some(Err("kind"))),
        "{:?}",
        leaves[0]
    );
    bench.execute("DELETE FROM audit_record").await;
    let leaves = store.leaves(0, 9).await.unwrap();
    assert_eq!(leaves.len(), 2);
    assert!(leaves.iter().all(|leaf| leaf.record.is_none()));
}

pub(crate) async fn checkpoints_come_in_order_and_the_newest_first(bench: &Bench) {
    let store = bench.migrated().await;
    store.append(&some(4)).await.unwrap();
    for _ in 0..4 {
        seal(&*store, 1).await;
    }
    let sizes = |checkpoints: Vec<key_backup_gateway::audit::store::StoredCheckpoint>| {
        checkpoints.iter().map(|it| it.size).collect::<Vec<_>>()
    };
    assert_eq!(sizes(store.checkpoints(0, 9).await.unwrap()), [1, 2, 3, 4]);
    assert_eq!(sizes(store.checkpoints(2, 1).await.unwrap()), [3]);
    assert_eq!(sizes(store.newest_checkpoints(2).await.unwrap()), [4, 3]);
}

pub(crate) async fn a_lost_checkpoint_is_named_by_its_record(bench: &Bench) {
    let store = bench.migrated().await;
    let record = Gateway::new()
        .stamp
        .record(Kind::Operation, Facts::default());
    assert_eq!(store.lost(9, hash(1)).await.unwrap(), None);
    store.lose(9, hash(1), record.id).await.unwrap();
    assert_eq!(
        store.lost(9, hash(1)).await.unwrap(),
        None,
        "the record decides"
    );
    store.append(std::slice::from_ref(&record)).await.unwrap();
    assert_eq!(
        store.lost(9, hash(1)).await.unwrap().unwrap().record,
        record
    );
    assert_eq!(store.lost(9, hash(2)).await.unwrap(), None);
    store.lose(9, hash(1), record.id).await.unwrap();
}
