//! The append-only record of who set, cleared or read a key-backup preference.

pub mod export;
pub mod record;
pub mod store;
pub mod writer;

pub use self::writer::Config;

/// A stand-in.
///
/// # Errors
///
/// Always.
pub fn open(_: &store::Config) -> Result<std::sync::Arc<dyn store::Store>, store::OpenError> {
    Err(store::OpenError)
}

/// A stand-in.
///
/// # Errors
///
/// Always.
pub fn open_existing(
    _: &store::Config,
) -> Result<std::sync::Arc<dyn store::Store>, store::OpenError> {
    Err(store::OpenError)
}
