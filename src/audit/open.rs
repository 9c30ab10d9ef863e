//! Which store a URL names.

use std::sync::Arc;

use secrecy::ExposeSecret;

use super::store::{self, OpenError, Store};

/// Whether a store may be made where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// [`Store::migrate`] will make it.
    Write,
    /// It must be there, and is only read.
    Read,
}

/// The store that `config.url` names. Connects to nothing yet: a database that is away is no error
/// here.
///
/// # Errors
///
/// If the URL names no store that this build has, or is malformed, or the password file cannot be
/// read.
pub fn open(config: &store::Config) -> Result<Arc<dyn Store>, OpenError> {
    open_for(Purpose::Write, config)
}

/// As [`open`], for those who only read: makes no file, and changes nothing.
///
/// # Errors
///
/// Those of [`open`]; and if the URL names an SQLite file that is not there.
pub fn open_existing(config: &store::Config) -> Result<Arc<dyn Store>, OpenError> {
    open_for(Purpose::Read, config)
}

fn open_for(purpose: Purpose, config: &store::Config) -> Result<Arc<dyn Store>, OpenError> {
    let url = config.url.expose_secret();
    let Some((scheme, _)) = url.split_once(':') else {
        return Err(OpenError::url(
            "is no URL: write `sqlite:PATH` or `postgres://USER@HOST/DATABASE`",
        ));
    };
    match scheme {
        "sqlite" => open_sqlite(purpose, config),
        "postgres" | "postgresql" => open_postgres(config),
        // Not quoted: what stands before the first colon may be part of a password.
        _ => Err(OpenError::url("has an unknown scheme: it must be `sqlite` or `postgres`")),
    }
}

#[cfg(feature = "sqlite")]
fn open_sqlite(purpose: Purpose, config: &store::Config) -> Result<Arc<dyn Store>, OpenError> {
    Ok(Arc::new(match purpose {
        Purpose::Write => super::sqlite::SqliteStore::open(config)?,
        Purpose::Read => super::sqlite::SqliteStore::open_existing(config)?,
    }))
}

#[cfg(not(feature = "sqlite"))]
fn open_sqlite(_: Purpose, _: &store::Config) -> Result<Arc<dyn Store>, OpenError> {
    Err(OpenError::url("names an SQLite file, but this build lacks the feature `sqlite`"))
}

#[cfg(feature = "postgres")]
fn open_postgres(config: &store::Config) -> Result<Arc<dyn Store>, OpenError> {
    Ok(Arc::new(super::postgres::PgStore::open(config)?))
}

#[cfg(not(feature = "postgres"))]
fn open_postgres(_: &store::Config) -> Result<Arc<dyn Store>, OpenError> {
    Err(OpenError::url("names a Postgres database, but this build lacks the feature `postgres`"))
}
