//! The claims that every store is held to.

pub(super) mod append;
pub(crate) mod desk;
pub(super) mod read;
pub(super) mod runs;
pub(super) mod schema;
pub(crate) mod search;
pub(super) mod tree;
