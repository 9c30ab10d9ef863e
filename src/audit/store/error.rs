//! What can go wrong with a store, and which of two ways out there is: try again, or give up on
//! these records.

use std::io;

use sqlx::migrate::MigrateError;
use uuid::Uuid;

use super::causes::Cause;

/// What can go wrong with a store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Try again later.
    #[error("{}", Cause::of(.0).advice())]
    Unavailable(#[source] sqlx::Error),
    /// Trying again with the same records will not help.
    #[error("the audit store refused the records")]
    Refused(#[source] sqlx::Error),
    /// The schema is not what this build expects: `found` and `expected` are migration versions.
    #[error(
        "the audit store's schema is at version {found}, this build expects {expected}: run \
         `key-backup-gateway migrate`"
    )]
    Outdated {
        /// The newest migration that was applied; 0 if none.
        found: i64,
        /// The newest migration of this build.
        expected: i64,
    },
    /// The schema was made by a newer build.
    #[error(
        "the audit store's schema is at version {found}, this build knows none after {expected}: \
         run a newer build"
    )]
    Newer {
        /// The newest migration that was applied.
        found: i64,
        /// The newest migration of this build.
        expected: i64,
    },
    /// The database cannot hold all text.
    #[error(
        "the database's encoding is {found}: the trail needs UTF8, as in `CREATE DATABASE … \
         ENCODING 'UTF8' TEMPLATE template0`"
    )]
    Encoding {
        /// The database's encoding, as Postgres names it.
        found: String,
    },
    /// A migration could not be applied.
    #[error("the audit store could not be migrated")]
    Migrate(#[source] MigrateError),
    /// A row holds what no version of this program has written.
    #[error("the record {id} holds an unknown {column}")]
    Unreadable {
        /// The record.
        id: Uuid,
        /// The column.
        column: &'static str,
    },
}

/// Why a store cannot be opened: a mistake in the configuration, not a database that is away.
///
/// Never says a password: of the URL, only what is wrong with it.
#[derive(Debug, thiserror::Error)]
#[error("{key}: {reason}")]
pub struct OpenError {
    key: &'static str,
    reason: String,
    source: Option<io::Error>,
}

// === impl Error ===

impl Error {
    /// A stable code for alerts.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unavailable(error) => Cause::of(error).code(),
            Self::Refused(_) => "store_refused",
            Self::Outdated { .. } => "schema_outdated",
            Self::Newer { .. } => "schema_newer",
            Self::Encoding { .. } => "database_encoding",
            Self::Migrate(_) => "migration_failed",
            Self::Unreadable { .. } => "store_unreadable",
        }
    }

    /// Why the store is not to be had, if that is what is wrong.
    #[cfg(feature = "postgres")]
    pub(in crate::audit) fn cause(&self) -> Option<Cause> {
        match self {
            Self::Unavailable(error) => Some(Cause::of(error)),
            Self::Refused(_)
            | Self::Outdated { .. }
            | Self::Newer { .. }
            | Self::Encoding { .. }
            | Self::Migrate(_)
            | Self::Unreadable { .. } => None,
        }
    }

    /// The operation took longer than it may.
    pub(in crate::audit) fn too_slow() -> Self {
        Self::Unavailable(sqlx::Error::Io(io::ErrorKind::TimedOut.into()))
    }

    /// A record that no store can hold; Postgres says so itself.
    #[cfg(feature = "sqlite")]
    pub(in crate::audit) fn unstorable(
        reason: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Refused(sqlx::Error::Encode(reason.into()))
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        if blames_the_data(&error) {
            Self::Refused(error)
        } else {
            Self::Unavailable(error)
        }
    }
}

impl From<MigrateError> for Error {
    fn from(error: MigrateError) -> Self {
        if let MigrateError::Execute(cause) | MigrateError::ExecuteMigration(cause, _) = &error
            && blames_the_moment(cause)
        {
            return Self::Unavailable(sqlx::Error::Migrate(Box::new(error)));
        }
        Self::Migrate(error)
    }
}

/// Only then is giving a record up right: a role without a permission, or a full disk, is mended one
/// day, and the record is still wanted.
fn blames_the_data(error: &sqlx::Error) -> bool {
    if let sqlx::Error::Database(error) = error {
        return blames_the_data_by_code(error.as_ref());
    }
    matches!(
        error,
        sqlx::Error::Encode(_) | sqlx::Error::InvalidArgument(_)
    )
}

fn blames_the_data_by_code(error: &dyn sqlx::error::DatabaseError) -> bool {
    let code = error.code().unwrap_or_default();
    #[cfg(feature = "postgres")]
    if error
        .try_downcast_ref::<sqlx::postgres::PgDatabaseError>()
        .is_some()
    {
        // No partition takes the record: the tables are at fault.
        if code == "23514" && error.constraint().is_none() {
            return false;
        }
        // Data exceptions, integrity constraints, program limits.
        // https://www.postgresql.org/docs/current/errcodes-appendix.html
        return ["22", "23", "54"]
            .iter()
            .any(|class| code.starts_with(class));
    }
    // The low byte of SQLite's code says what it is, the rest which one.
    // SQLITE_TOOBIG, SQLITE_CONSTRAINT, SQLITE_MISMATCH, SQLITE_RANGE:
    // https://www.sqlite.org/rescode.html
    code.parse::<i32>()
        .is_ok_and(|code| [18, 19, 20, 25].contains(&(code & 0xff)))
}

/// Whether the same could work later: a migration that fails for such a reason is not at fault.
fn blames_the_moment(error: &sqlx::Error) -> bool {
    let sqlx::Error::Database(error) = error else {
        return true;
    };
    let code = error.code().unwrap_or_default();
    #[cfg(feature = "postgres")]
    if error
        .try_downcast_ref::<sqlx::postgres::PgDatabaseError>()
        .is_some()
    {
        // Connection, rollback, resources, intervention; read-only; a lock not had.
        return ["08", "40", "53", "57", "25006", "55P03"]
            .iter()
            .any(|one| code.starts_with(one));
    }
    // SQLITE_BUSY, LOCKED, READONLY, IOERR, FULL, CANTOPEN.
    code.parse::<i32>()
        .is_ok_and(|code| [5, 6, 8, 10, 13, 14].contains(&(code & 0xff)))
}

/// Whether a table or a column is not there: the schema is not what this build expects.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(super) fn blames_the_schema(error: &Error) -> bool {
    let (Error::Unavailable(sqlx::Error::Database(error))
    | Error::Refused(sqlx::Error::Database(error))) = error
    else {
        return false;
    };
    // Postgres: undefined table, column, function.
    ["42P01", "42703", "42883"].contains(&error.code().unwrap_or_default().as_ref())
        // SQLite has no code of its own for it.
        || error.message().starts_with("no such table")
        || error.message().contains("no column named")
        || error.message().starts_with("no such column")
}

// === impl OpenError ===

impl OpenError {
    pub(in crate::audit) fn url(reason: impl Into<String>) -> Self {
        Self {
            key: "database.url",
            reason: reason.into(),
            source: None,
        }
    }

    #[cfg(feature = "postgres")]
    pub(in crate::audit) fn url_file(reason: impl Into<String>, source: io::Error) -> Self {
        Self {
            key: "database.url",
            reason: reason.into(),
            source: Some(source),
        }
    }

    pub(in crate::audit) fn durability(reason: impl Into<String>) -> Self {
        Self {
            key: "audit.durability",
            reason: reason.into(),
            source: None,
        }
    }

    #[cfg(feature = "postgres")]
    pub(in crate::audit) fn password_file(reason: impl Into<String>, source: io::Error) -> Self {
        Self {
            key: "database.password_file",
            reason: reason.into(),
            source: Some(source),
        }
    }

    #[cfg(feature = "sqlite")]
    pub(in crate::audit) fn no_password_wanted() -> Self {
        let reason = "SQLite has no passwords: remove the key".to_owned();
        Self {
            key: "database.password_file",
            reason,
            source: None,
        }
    }

    /// The key of the configuration that is wrong.
    #[must_use]
    pub fn key(&self) -> &'static str {
        self.key
    }

    /// What is wrong with it, and what to do.
    #[must_use]
    pub fn reason(&self) -> String {
        match &self.source {
            Some(source) => format!("{}: {source}", self.reason),
            None => self.reason.clone(),
        }
    }
}
