//! The append-only record of who set, cleared or read a key-backup preference.

pub mod record;
pub mod store;
