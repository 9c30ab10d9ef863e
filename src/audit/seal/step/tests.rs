use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::{Broken, Plan, Planner};
use crate::audit::seal::{Edge, Signers, empty_root, keys, leaf_hash};
use crate::audit::store::{Before, Pending, StoredCheckpoint, StoredHead, StoredTile};

/// A store in memory, which does what a plan says.
struct Desk {
    signers: Signers,
    before: Before,
    tiles: Vec<StoredTile>,
    leaves: Vec<Uuid>,
    arrived: i64,
}

type Change = Box<dyn Fn(&mut Before)>;

fn signers() -> Signers {
    let (key, _) = keys::generate("log.example").unwrap();
    keys::parse(&key).unwrap()
}

fn now() -> DateTime<Utc> {
    DateTime::parse_from_rfc3339("2026-11-26T09:30:00Z")
        .unwrap()
        .to_utc()
}

impl Desk {
    fn new() -> Self {
        let head = StoredHead {
            size: 0,
            root: empty_root().to_vec(),
            note: None,
        };
        Self {
            signers: signers(),
            before: Before {
                head,
                edge: Vec::new(),
                pending: Vec::new(),
                newest_checkpoint: None,
                now: now(),
            },
            tiles: Vec::new(),
            leaves: Vec::new(),
            arrived: 0,
        }
    }

    fn planner(&self) -> Planner {
        Planner::new(self.signers.clone(), TimeDelta::seconds(5))
    }

    fn arrive(&mut self, count: usize) {
        for _ in 0..count {
            let record_id = Uuid::now_v7();
            self.arrived += 1;
            self.before.pending.push(Pending {
                seq: self.arrived,
                record_id,
                leaf: Some(Ok(leaf_hash(record_id.as_bytes()))),
            });
        }
    }

    fn write(&mut self, plan: &Plan) {
        let after = &plan.after;
        self.leaves.extend(after.leaves.iter().map(|(id, _)| *id));
        let is_sealed = |it: &Pending| after.leaves.iter().any(|(id, _)| *id == it.record_id);
        self.before.pending.retain(|it| !is_sealed(it));
        for tile in &after.tiles {
            self.tiles
                .retain(|it| (it.level, it.index) != (tile.level, tile.index));
            self.tiles.push(StoredTile {
                level: tile.level,
                index: tile.index,
                hashes: tile.hashes.as_flattened().to_vec(),
            });
        }
        if let Some((size, root, note)) = &after.head {
            self.before.head = StoredHead {
                size: size.cast_signed(),
                root: root.to_vec(),
                note: Some(note.clone()),
            };
        }
        if let Some((size, note)) = &after.checkpoint {
            self.before.newest_checkpoint = Some(StoredCheckpoint {
                size: size.cast_signed(),
                note: note.clone(),
                made_at: self.before.now,
            });
        }
        let wanted = Edge::wanted(self.before.head.size.unsigned_abs());
        let edge = self
            .tiles
            .iter()
            .filter(|it| wanted.contains(&(it.level, it.index)));
        self.before.edge = edge.cloned().collect();
    }

    fn seal(&mut self, planner: &mut Planner) -> Option<Plan> {
        let plan = planner.plan(&self.before, false).unwrap()?;
        self.write(&plan);
        planner.seen = Some(plan.head);
        Some(plan)
    }

    fn broken(&self, planner: &mut Planner) -> Broken {
        planner.plan(&self.before, false).err().unwrap()
    }
}

#[test]
fn what_arrives_is_sealed_in_the_order_of_its_arrival() {
    let mut desk = Desk::new();
    let mut planner = desk.planner();
    let mut arrived = Vec::new();
    for count in [1, 255, 1, 256, 300, 7] {
        desk.arrive(count);
        arrived.extend(desk.before.pending.iter().map(|it| it.record_id));
        // Another gateway each time: nothing is kept between steps but what is stored.
        let plan = desk.seal(&mut desk.planner()).unwrap();
        assert_eq!(plan.head.size, arrived.len() as u64);
        assert_eq!(desk.leaves, arrived);
    }
    assert!(desk.seal(&mut planner).is_none(), "nothing waits");
}

#[test]
fn one_large_step_makes_the_tree_of_many_small_ones() {
    let (mut small, mut large) = (Desk::new(), Desk::new());
    small.arrive(1000);
    large.before.pending.clone_from(&small.before.pending);
    large.signers = small.signers.clone();
    let all = std::mem::take(&mut small.before.pending);
    let mut planner = small.planner();
    for part in all.chunks(37) {
        small.before.pending = part.to_vec();
        small.seal(&mut planner).unwrap();
    }
    large.seal(&mut large.planner()).unwrap();
    assert_eq!(small.before.head.root, large.before.head.root);
    let sorted = |desk: &Desk| {
        let mut tiles = desk.tiles.clone();
        tiles.sort_by_key(|tile| (tile.level, tile.index));
        tiles
    };
    assert_eq!(sorted(&small), sorted(&large));
}

#[test]
fn a_checkpoint_comes_at_once_then_after_the_interval_and_at_the_end() {
    let mut desk = Desk::new();
    let mut planner = desk.planner();
    desk.arrive(1);
    assert!(desk.seal(&mut planner).unwrap().after.checkpoint.is_some());
    desk.arrive(1);
    assert!(desk.seal(&mut planner).unwrap().after.checkpoint.is_none());
    desk.before.now += TimeDelta::seconds(5);
    // Without a new leaf, too.
    let plan = desk.seal(&mut planner).unwrap();
    assert_eq!(plan.after.checkpoint.as_ref().unwrap().0, 2);
    assert!(plan.after.head.is_none() && plan.after.leaves.is_empty());
    // And no more of the same size.
    desk.before.now += TimeDelta::hours(1);
    assert!(desk.seal(&mut planner).is_none());
    desk.arrive(1);
    desk.before.now = desk.before.newest_checkpoint.as_ref().unwrap().made_at;
    let last = planner.plan(&desk.before, true).unwrap().unwrap();
    assert_eq!(last.after.checkpoint.unwrap().0, 3);
    // A clock that was set back silences nobody.
    desk.before.now -= TimeDelta::days(1);
    assert!(desk.seal(&mut planner).unwrap().after.checkpoint.is_some());
}

#[test]
fn what_disagrees_stops_it_and_is_named() {
    let mut desk = Desk::new();
    desk.arrive(300);
    desk.seal(&mut desk.planner()).unwrap();
    desk.arrive(1);
    let good = desk.before.clone();
    let stranger = signers();
    let changes: [(&str, Change); 9] = [
        (
            "do not lead to its head",
            Box::new(|it| it.edge[0].hashes[0] ^= 1),
        ),
        (
            "missing or too short",
            Box::new(|it| it.edge[0].hashes.truncate(32)),
        ),
        ("missing or too short", Box::new(|it| drop(it.edge.pop()))),
        ("says 299 leaves", Box::new(|it| it.head.size = 299)),
        ("another root", Box::new(|it| it.head.root[0] ^= 1)),
        ("is not signed", Box::new(|it| it.head.note = None)),
        (
            "cannot be trusted",
            Box::new(move |it| {
                it.head.note = Some(stranger.sign(&super::TreeHead {
                    size: 300,
                    root: [0; 32],
                }));
            }),
        ),
        ("is gone", Box::new(|it| it.pending[0].leaf = None)),
        (
            "the newest checkpoint",
            Box::new(|it| it.newest_checkpoint.as_mut().unwrap().size = 301),
        ),
    ];
    for (named, change) in changes {
        desk.before = good.clone();
        change(&mut desk.before);
        let broken = desk.broken(&mut desk.planner());
        let Broken::Tree(text) = &broken else {
            panic!("{broken:?}");
        };
        assert!(text.contains(named), "{named}: {text}");
        assert_eq!(broken.trouble().code, "seal_broken");
    }
    desk.before = good;
    assert!(desk.seal(&mut desk.planner()).is_some());
}

#[test]
fn what_a_newer_version_wrote_waits_for_one() {
    let mut desk = Desk::new();
    desk.arrive(1);
    desk.before.pending[0].leaf = Some(Err("kind"));
    assert!(matches!(
        desk.broken(&mut desk.planner()),
        Broken::Unreadable(_)
    ));
}

#[test]
fn a_tree_that_is_shorter_than_it_was_stops_it() {
    let mut desk = Desk::new();
    let mut planner = desk.planner();
    desk.arrive(10);
    desk.seal(&mut planner);
    let restored = (desk.before.clone(), desk.tiles.clone());
    desk.arrive(10);
    desk.seal(&mut planner);
    (desk.before, desk.tiles) = restored;
    desk.arrive(1);
    assert!(matches!(desk.broken(&mut planner), Broken::RolledBack(_)));
    // Of one that has not seen it, a checkpoint from outside must remind it.
    assert!(desk.planner().plan(&desk.before, false).is_ok());
}
