//! The append-only record of who set, cleared or read a key-backup preference.

pub mod export;
pub mod record;
pub mod store;
pub mod writer;

pub use self::writer::Config;
