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

/// What a store is kept in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Sqlite,
    Postgres,
}

/// Whether [`open`] would say that something is wrong with `config`. Needs no runtime.
///
/// # Errors
///
/// Those of [`open`].
pub fn check(config: &store::Config) -> Result<(), OpenError> {
    match scheme(config)? {
        Scheme::Sqlite => check_sqlite(config),
        Scheme::Postgres => check_postgres(config),
    }
}

/// The store that `config.url` names. Connects to nothing yet: a database that is away is no error
/// here.
///
/// # Errors
///
/// If the URL names no store that this build has, or is malformed, or the password file cannot be
/// read.
///
/// # Panics
///
/// Outside of a Tokio runtime. The store belongs to that runtime: use it in no other.
pub fn open(config: &store::Config) -> Result<Arc<dyn Store>, OpenError> {
    open_for(Purpose::Write, config)
}

/// As [`open`], for those who only read: makes no file, and changes nothing.
///
/// # Errors
///
/// Those of [`open`]; and if the URL names an SQLite file that is not there.
///
/// # Panics
///
/// As [`open`].
pub fn open_existing(config: &store::Config) -> Result<Arc<dyn Store>, OpenError> {
    open_for(Purpose::Read, config)
}

fn open_for(purpose: Purpose, config: &store::Config) -> Result<Arc<dyn Store>, OpenError> {
    match scheme(config)? {
        Scheme::Sqlite => open_sqlite(purpose, config),
        Scheme::Postgres => open_postgres(config),
    }
}

fn scheme(config: &store::Config) -> Result<Scheme, OpenError> {
    let url = config.url.expose_secret();
    match url.split_once(':').map(|(scheme, _)| scheme) {
        Some("sqlite") => Ok(Scheme::Sqlite),
        Some("postgres" | "postgresql") => Ok(Scheme::Postgres),
        // Not quoted: it may be anything, a password too.
        _ => Err(OpenError::url(
            "must be `sqlite:PATH` or `postgres://USER@HOST/DATABASE`",
        )),
    }
}

#[cfg(feature = "sqlite")]
fn check_sqlite(config: &store::Config) -> Result<(), OpenError> {
    super::sqlite::check(config)
}

#[cfg(feature = "sqlite")]
fn open_sqlite(purpose: Purpose, config: &store::Config) -> Result<Arc<dyn Store>, OpenError> {
    Ok(Arc::new(match purpose {
        Purpose::Write => super::sqlite::SqliteStore::open(config)?,
        Purpose::Read => super::sqlite::SqliteStore::open_existing(config)?,
    }))
}

#[cfg(not(feature = "sqlite"))]
fn check_sqlite(_: &store::Config) -> Result<(), OpenError> {
    Err(OpenError::url("needs a build with the feature `sqlite`"))
}

#[cfg(not(feature = "sqlite"))]
fn open_sqlite(_: Purpose, _: &store::Config) -> Result<Arc<dyn Store>, OpenError> {
    Err(OpenError::url("needs a build with the feature `sqlite`"))
}

#[cfg(feature = "postgres")]
fn check_postgres(config: &store::Config) -> Result<(), OpenError> {
    super::postgres::check(config)
}

#[cfg(feature = "postgres")]
fn open_postgres(config: &store::Config) -> Result<Arc<dyn Store>, OpenError> {
    Ok(Arc::new(super::postgres::PgStore::open(config)?))
}

#[cfg(not(feature = "postgres"))]
fn check_postgres(_: &store::Config) -> Result<(), OpenError> {
    Err(OpenError::url("needs a build with the feature `postgres`"))
}

#[cfg(not(feature = "postgres"))]
fn open_postgres(_: &store::Config) -> Result<Arc<dyn Store>, OpenError> {
    Err(OpenError::url("needs a build with the feature `postgres`"))
}
