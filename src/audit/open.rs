//! Which store a URL names.

use std::path::PathBuf;
use std::sync::Arc;

use secrecy::ExposeSecret;

use super::seal::Sealing;
use super::store::{self, OpenError, Store, TreeStore};
use super::{Config, Durability};

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

/// What an [`AuditLog`](super::AuditLog) is kept in.
pub struct Backing {
    /// Where records end up.
    pub store: Arc<dyn Store>,
    /// Where they wait for it.
    pub spool: Spooling,
    /// How they are sealed.
    pub sealing: Seal,
    /// Where their summary is kept: the same database, by connections of its own. `None`: somebody else does it.
    pub summary: Option<store::Config>,
}

/// Whether records are sealed.
#[derive(Clone, Default)]
pub enum Seal {
    /// No: there is no key.
    #[default]
    No,
    /// No, although they should be: why.
    Failed(String),
    /// Yes.
    Yes(Box<Sealing>),
}

/// Whether there is a spool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spooling {
    /// No.
    No,
    /// Only what an earlier run has left there is moved to the store.
    Leftovers(PathBuf),
    /// A receipt means that a record is in it.
    Yes(PathBuf),
}

/// Whether [`backing`] would say that something is wrong. Needs no runtime. Returns what the operator
/// should know nevertheless, a sentence each.
///
/// # Errors
///
/// Those of [`backing`].
pub fn check(database: &store::Config, config: &Config) -> Result<Vec<String>, OpenError> {
    let scheme = scheme(database)?;
    let remarks = match scheme {
        Scheme::Sqlite => check_sqlite(database).map(|()| Vec::new()),
        Scheme::Postgres => check_postgres(database),
    }?;
    spooling(scheme, config)?;
    Ok(remarks)
}

/// The store that `database.url` names, and the spool before it that `config` wants.
///
/// # Errors
///
/// Those of [`open`], and if there can be no spool where one is wanted.
///
/// # Panics
///
/// As [`open`].
pub fn backing(database: &store::Config, config: &Config) -> Result<Backing, OpenError> {
    let spool = spooling(scheme(database)?, config)?;
    let store = open(database)?;
    Ok(Backing {
        store,
        spool,
        sealing: Seal::No,
        summary: Some(database.clone()),
    })
}

/// The store that `config.url` names. Connects to nothing yet: a database that is away is no error
/// here.
///
/// # Errors
///
/// If the URL names no store that this build has, or is malformed, or a file that is named cannot be
/// read.
///
/// # Panics
///
/// Outside of a Tokio runtime. The store belongs to that runtime: use it in no other.
pub fn open(config: &store::Config) -> Result<Arc<dyn TreeStore>, OpenError> {
    open_for(Purpose::Write, config)
}

/// Which spool there is before a store.
fn spooling(scheme: Scheme, config: &Config) -> Result<Spooling, OpenError> {
    let wanted = config.durability;
    if scheme == Scheme::Sqlite || !cfg!(feature = "sqlite") {
        return match wanted {
            Some(Durability::Spool) if scheme == Scheme::Sqlite => Err(OpenError::durability(
                "must be `store` with SQLite, which is a local file itself: remove the key",
            )),
            Some(Durability::Spool) => Err(OpenError::durability(
                "must be `store`: the spool needs a build with the feature `sqlite`",
            )),
            Some(Durability::Store) | None => Ok(Spooling::No),
        };
    }
    match (wanted, &config.spool) {
        (Some(Durability::Spool), None) => Err(OpenError::durability(
            "must be `store` if `audit.spool` is `none`",
        )),
        (Some(Durability::Store), Some(path)) => Ok(Spooling::Leftovers(path.clone())),
        (Some(Durability::Store) | None, None) => Ok(Spooling::No),
        (Some(Durability::Spool) | None, Some(path)) => Ok(Spooling::Yes(path.clone())),
    }
}

/// The store alone, for those who only read: makes no file, and changes nothing.
///
/// # Errors
///
/// Those of [`open`]; and if the URL names an SQLite file that is not there.
///
/// # Panics
///
/// As [`open`].
pub fn open_existing(config: &store::Config) -> Result<Arc<dyn TreeStore>, OpenError> {
    open_for(Purpose::Read, config)
}

fn open_for(purpose: Purpose, config: &store::Config) -> Result<Arc<dyn TreeStore>, OpenError> {
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

/// The file of an SQLite store; `None` for other stores.
#[cfg(feature = "sqlite")]
pub(super) fn sqlite_path(config: &store::Config) -> Option<PathBuf> {
    super::sqlite::path(config)
}

#[cfg(not(feature = "sqlite"))]
pub(super) fn sqlite_path(_: &store::Config) -> Option<PathBuf> {
    None
}

#[cfg(feature = "sqlite")]
fn check_sqlite(config: &store::Config) -> Result<(), OpenError> {
    super::sqlite::check(config)
}

#[cfg(feature = "sqlite")]
fn open_sqlite(purpose: Purpose, config: &store::Config) -> Result<Arc<dyn TreeStore>, OpenError> {
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
fn open_sqlite(_: Purpose, _: &store::Config) -> Result<Arc<dyn TreeStore>, OpenError> {
    Err(OpenError::url("needs a build with the feature `sqlite`"))
}

#[cfg(feature = "postgres")]
fn check_postgres(config: &store::Config) -> Result<Vec<String>, OpenError> {
    super::postgres::check(config)
}

#[cfg(feature = "postgres")]
fn open_postgres(config: &store::Config) -> Result<Arc<dyn TreeStore>, OpenError> {
    Ok(Arc::new(super::postgres::PgStore::open(config)?))
}

#[cfg(not(feature = "postgres"))]
fn check_postgres(_: &store::Config) -> Result<Vec<String>, OpenError> {
    Err(OpenError::url("needs a build with the feature `postgres`"))
}

#[cfg(not(feature = "postgres"))]
fn open_postgres(_: &store::Config) -> Result<Arc<dyn TreeStore>, OpenError> {
    Err(OpenError::url("needs a build with the feature `postgres`"))
}
