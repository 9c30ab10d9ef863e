//! The tree over the trail: what makes a rewrite of it show.
//!
//! # Promise
//!
//! Records are leaves of an RFC 6962 Merkle tree from the moment they are sealed, and its head is signed. An edit, a
//! deletion, a reordering or a truncation is found by whoever has the public key and an export, or the database; what
//! only whoever holds the signing key could do is found by whoever kept a checkpoint.
//!
//! # Order
//!
//! Records arrive, and wait in `audit_pending`. Whoever holds the lock of the tree head gives them leaf indexes, makes
//! the tree grow, and signs its head, in one transaction; every few seconds such a head is published as a checkpoint, to
//! the database and from there to wherever the configuration says. If the database, or a checkpoint that was
//! published, disagrees with the tree, nothing more is sealed, and nothing is repaired.
//!
//! `deploy/proof.md` says what the bytes are.

mod config;
pub mod keys;
mod merkle;
pub(in crate::audit) mod metrics;
mod note;
mod outlet;
pub(in crate::audit) mod proof;
mod resume;
pub(in crate::audit) mod sealer;
mod step;

pub use self::config::{Config, Sealing, public_keys_beside};
pub use self::merkle::{Edge, Hash, TILE_WIDTH, Tile, empty_root, leaf_hash, node_hash, root_over};
pub use self::note::{Invalid, NoKey, Signers, TreeHead, Verifiers};
pub use self::outlet::Endpoint;
pub(in crate::audit) use self::outlet::notes_in;
pub use self::resume::{LostCheckpoint, resume};
