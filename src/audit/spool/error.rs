//! What can go wrong with the spool.

use std::io;

use crate::audit::health::{Trouble, chain};
use crate::audit::store;

/// What can go wrong with the spool.
#[derive(Debug, thiserror::Error)]
pub(in crate::audit) enum Error {
    /// It holds as much as it may.
    #[error(
        "the spool holds {limit} bytes that the store has not taken, as much as it may: see `audit.spool_limit`"
    )]
    Full {
        /// `audit.spool_limit`
        limit: u64,
    },
    /// The file is not what was written.
    #[error("the spool is damaged: {0}")]
    Damaged(String),
    /// The file has another name now, or none.
    #[error("the spool's file was removed or replaced")]
    Moved,
    /// A record that no store can hold.
    #[error(transparent)]
    Refused(store::Error),
    /// SQLite says so.
    #[error("the spool cannot be written: see `audit.spool`")]
    Sql(#[source] sqlx::Error),
    /// The operating system says so.
    #[error("the spool cannot be written: see `audit.spool`")]
    Io(#[from] io::Error),
    /// The disk did not answer in time.
    #[error("the spool's disk did not answer in time")]
    Slow,
}

// === impl Error ===

impl Error {
    /// A stable code for alerts.
    pub(in crate::audit) fn code(&self) -> &'static str {
        match self {
            Self::Full { .. } => "spool_full",
            Self::Damaged(_) => "spool_damaged",
            Self::Moved => "spool_moved",
            Self::Refused(_) => "spool_refused",
            Self::Slow => "spool_silent",
            Self::Io(error) => code_of(error.kind()),
            // SQLITE_BUSY, READONLY, FULL: https://www.sqlite.org/rescode.html
            Self::Sql(error) => match primary_code(error) {
                Some(5 | 6) => "spool_locked",
                Some(8) => "spool_read_only",
                Some(13) => "spool_disk_full",
                _ => "spool_unavailable",
            },
        }
    }

    /// Whether the operating system may know more: `SQLITE_IOERR`, `SQLITE_CANTOPEN`.
    pub(super) fn is_unexplained(&self) -> bool {
        matches!(self, Self::Sql(error) if matches!(primary_code(error), Some(10 | 14)))
    }

    pub(in crate::audit) fn trouble(&self) -> Trouble {
        Trouble::new(self.code(), chain(self))
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        // SQLITE_CORRUPT, SQLITE_NOTADB.
        if let Some(11 | 26) = primary_code(&error) {
            return Self::Damaged(error.to_string());
        }
        if let sqlx::Error::Io(error) = error {
            return Self::Io(error);
        }
        Self::Sql(error)
    }
}

fn code_of(kind: io::ErrorKind) -> &'static str {
    use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    if [StorageFull, QuotaExceeded].contains(&kind) {
        "spool_disk_full"
    } else if [ReadOnlyFilesystem, PermissionDenied].contains(&kind) {
        "spool_read_only"
    } else {
        "spool_unavailable"
    }
}

/// The low byte of SQLite's code says what it is.
fn primary_code(error: &sqlx::Error) -> Option<i32> {
    let code = error.as_database_error()?.code()?;
    code.parse::<i32>().ok().map(|code| code & 0xff)
}
