//! Held against two libraries that know nothing of each other: `ct-merkle` and `tlog_tiles`.

use std::collections::BTreeMap;

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use proptest::prelude::*;
use sha2::Sha256;
use tlog_tiles::tlog;

use super::{Edge, Hash, TILE_WIDTH, Tile, empty_root, leaf_hash, root_over};
use crate::audit::seal::proof::{self, Tiles};

/// The test vectors of RFC 6962 as Certificate Transparency's own code has them (`merkletree/merkle_tree_test.cc`).
const INPUTS: [&str; 8] = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
];
const ROOTS: [&str; 8] = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
];

/// A tree that grew leaf by leaf, with its tiles.
struct Grown {
    edge: Edge,
    tiles: BTreeMap<(u8, u64), Tile>,
}

impl Grown {
    fn of(leaves: &[Vec<u8>]) -> Self {
        let mut grown = Self {
            edge: Edge::default(),
            tiles: BTreeMap::new(),
        };
        for leaf in leaves {
            grown.push(leaf);
        }
        for tile in grown.edge.tiles() {
            grown.tiles.insert((tile.level, tile.index), tile);
        }
        grown
    }

    fn push(&mut self, leaf: &[u8]) {
        let tiles = &mut self.tiles;
        self.edge.push(leaf_hash(leaf), |tile| {
            assert_eq!(tile.hashes.len(), TILE_WIDTH);
            tiles.insert((tile.level, tile.index), tile);
        });
    }

    fn tiles(&self) -> Tiles {
        self.tiles.values().cloned().collect()
    }
}

fn leaves(count: usize) -> Vec<Vec<u8>> {
    (0..count)
        .map(|n| format!("leaf {n}").into_bytes())
        .collect()
}

fn oracle(leaves: &[Vec<u8>]) -> MemoryBackedTree<Sha256, Vec<u8>> {
    let mut tree = MemoryBackedTree::new();
    for leaf in leaves {
        tree.push(leaf.clone());
    }
    tree
}

fn root_of(tree: &MemoryBackedTree<Sha256, Vec<u8>>) -> Hash {
    (*tree.root().as_bytes()).into()
}

#[test]
fn the_vectors_of_certificate_transparency_hold() {
    assert_eq!(
        hex::encode(empty_root()),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
    let mut edge = Edge::default();
    assert_eq!(edge.root(), empty_root());
    for (input, root) in INPUTS.iter().zip(ROOTS) {
        edge.push(leaf_hash(&hex::decode(input).unwrap()), |_| unreachable!());
        assert_eq!(hex::encode(edge.root()), root);
    }
}

#[test]
fn every_size_up_to_two_tiles_has_the_root_that_others_compute() {
    let all = leaves(2 * TILE_WIDTH + 3);
    let mut grown = Grown::of(&[]);
    let mut tree = MemoryBackedTree::<Sha256, Vec<u8>>::new();
    for leaf in &all {
        grown.push(leaf);
        tree.push(leaf.clone());
        assert_eq!(grown.edge.root(), root_of(&tree), "{}", tree.len());
    }
}

#[test]
fn an_edge_is_what_its_tiles_say() {
    for size in [
        0_u64, 1, 2, 255, 256, 257, 511, 512, 65_535, 65_536, 65_537, 70_000,
    ] {
        let leaves = leaves(usize::try_from(size).unwrap());
        let grown = Grown::of(&leaves);
        let tiles: Vec<Tile> = grown.tiles.values().cloned().collect();
        let again = Edge::of(size, &tiles).unwrap();
        assert_eq!(again.root(), grown.edge.root(), "{size}");
        assert_eq!(again.tiles(), grown.edge.tiles(), "{size}");
        assert_eq!(again.size(), size);
        for missing in 0..Edge::wanted(size).len() {
            let (level, index) = Edge::wanted(size)[missing];
            let mut fewer = tiles.clone();
            fewer.retain(|tile| (tile.level, tile.index) != (level, index));
            assert_eq!(Edge::of(size, &fewer), None, "{size}");
        }
    }
}

#[test]
fn an_edge_forgets_what_is_beyond_its_size() {
    let grown = Grown::of(&leaves(300));
    let tiles: Vec<Tile> = grown.tiles.values().cloned().collect();
    let shorter = Edge::of(290, &tiles).unwrap();
    assert_eq!(shorter.root(), Grown::of(&leaves(290)).edge.root());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4))]

    /// Roots, and the inclusion of every leaf, at sizes up to 5,000; by both libraries.
    #[test]
    fn every_leaf_of_a_tree_of_any_size_is_proved(size in 1_usize..5_000) {
        let all = leaves(size);
        let tree = oracle(&all);
        let grown = Grown::of(&all);
        let (count, root) = (size as u64, grown.edge.root());
        prop_assert_eq!(root, root_of(&tree));
        let tiles = grown.tiles();
        prop_assert_eq!(proof::root_at(count, &tiles).unwrap(), root);
        for (index, leaf) in all.iter().enumerate() {
            let path = proof::inclusion(count, index as u64, &tiles).unwrap();
            // As the one library makes it …
            let theirs = tree.prove_inclusion(index);
            prop_assert_eq!(path.concat(), theirs.as_bytes());
            // … and as the other checks it, and we do.
            prop_assert!(proof::includes(&path, count, &root, index as u64, &leaf_hash(leaf)));
            let paths: Vec<_> = path.iter().map(|hash| tlog::Hash(*hash)).collect();
            let checked = tlog::check_record(
                &paths, count, tlog::Hash(root), index as u64, tlog::Hash(leaf_hash(leaf)),
            );
            prop_assert!(checked.is_ok());
            // Another leaf is not in its place.
            prop_assert!(!proof::includes(&path, count, &root, index as u64, &leaf_hash(b"another")));
        }
    }

    /// The root at every smaller size can be had from the tiles of the larger tree, and the libraries
    /// agree that the one extends the other.
    #[test]
    fn a_tree_extends_each_that_it_was(size in 2_usize..5_000, part in any::<prop::sample::Index>()) {
        let all = leaves(size);
        let earlier = 1 + part.index(size - 1);
        let tiles = Grown::of(&all).tiles();
        let root = proof::root_at(earlier as u64, &tiles).unwrap();
        prop_assert_eq!(root, root_of(&oracle(&all[..earlier])));
        let tree = oracle(&all);
        let theirs = tree.prove_consistency(size - earlier);
        let old = oracle(&all[..earlier]).root();
        prop_assert!(tree.root().verify_consistency(&old, &theirs).is_ok());
    }

    #[test]
    fn a_root_over_hashes_is_that_of_a_tree(count in 1_usize..600) {
        let all = leaves(count);
        let hashes: Vec<_> = all.iter().map(|leaf| leaf_hash(leaf)).collect();
        prop_assert_eq!(root_over(&hashes), Some(Grown::of(&all).edge.root()));
    }
}
