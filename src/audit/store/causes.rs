//! Why a store is not to be had: what an alert names, and what the operator can do.

use std::io::ErrorKind;

use sqlx::error::DatabaseError;
use sqlx::migrate::MigrateError;

/// Why a store is not to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::audit) enum Cause {
    /// Nobody is there.
    Unreachable,
    /// Somebody is there, and does not answer in time.
    Silent,
    /// It takes no writes.
    ReadOnly,
    /// Its disk is full.
    DiskFull,
    /// It takes no more connections.
    #[cfg(feature = "postgres")]
    TooManyConnections,
    /// Somebody else holds its tables.
    Locked,
    /// It does not let us in, or not do this.
    Denied,
    /// TLS is not to be had as it is wanted.
    Tls,
    /// Whatever else.
    Other,
}

// === impl Cause ===

impl Cause {
    /// The cause behind `error`.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "whatever else sqlx comes to say has no name of its own"
    )]
    pub(in crate::audit) fn of(error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(error) => of_database(error.as_ref()),
            sqlx::Error::Io(error) => of_io(error.kind()),
            // Of a configuration nothing is looked at as late as this but the client's certificate.
            sqlx::Error::Tls(_) | sqlx::Error::Configuration(_) => Self::Tls,
            // All connections are busy, and none came back in time.
            sqlx::Error::PoolTimedOut => Self::Silent,
            sqlx::Error::Migrate(error) => match error.as_ref() {
                MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
                    Self::of(error)
                }
                _ => Self::Other,
            },
            _ => Self::Other,
        }
    }

    /// A stable code for alerts.
    pub(super) const fn code(self) -> &'static str {
        match self {
            Self::Unreachable => "store_unreachable",
            Self::Silent => "store_silent",
            Self::ReadOnly => "store_read_only",
            Self::DiskFull => "store_disk_full",
            #[cfg(feature = "postgres")]
            Self::TooManyConnections => "store_too_many_connections",
            Self::Locked => "store_locked",
            Self::Denied => "store_denied",
            Self::Tls => "store_tls",
            Self::Other => "store_unavailable",
        }
    }

    /// What is wrong, and what to do about it.
    pub(super) const fn advice(self) -> &'static str {
        match self {
            Self::Unreachable => {
                "the audit store cannot be reached: see whether it runs where `database.url` says"
            }
            Self::Silent => {
                "the audit store did not answer in time: see whether it, its disk and the network work"
            }
            Self::ReadOnly => {
                "the audit store takes no writes: it must be a primary, or a file and folder that we \
                 may write"
            }
            Self::DiskFull => "the audit store's disk is full: make room",
            #[cfg(feature = "postgres")]
            Self::TooManyConnections => {
                "the audit store takes no more connections: lower `database.max_connections`, or \
                 raise the server's limit"
            }
            Self::Locked => "the audit store's tables are locked: see who holds them for so long",
            Self::Denied => {
                "the audit store denies access: see the role of `database.url`, its password and its \
                 grants"
            }
            Self::Tls => {
                "the audit store cannot be trusted: TLS is not to be had as `sslmode` of \
                 `database.url` wants it"
            }
            Self::Other => "the audit store failed",
        }
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "all other kinds are ways to lose a connection, or to get none"
)]
fn of_io(kind: ErrorKind) -> Cause {
    match kind {
        ErrorKind::TimedOut => Cause::Silent,
        // What rustls says while it shakes hands.
        ErrorKind::InvalidData => Cause::Tls,
        ErrorKind::ReadOnlyFilesystem => Cause::ReadOnly,
        ErrorKind::StorageFull => Cause::DiskFull,
        ErrorKind::PermissionDenied => Cause::Denied,
        _ => Cause::Unreachable,
    }
}

fn of_database(error: &dyn DatabaseError) -> Cause {
    let code = error.code().unwrap_or_default();
    #[cfg(feature = "postgres")]
    if error
        .try_downcast_ref::<sqlx::postgres::PgDatabaseError>()
        .is_some()
    {
        return of_sqlstate(&code);
    }
    // The low byte of SQLite's code says what it is: https://www.sqlite.org/rescode.html
    match code.parse::<i32>().map(|code| code & 0xff) {
        // SQLITE_PERM, AUTH.
        Ok(3 | 23) => Cause::Denied,
        // SQLITE_BUSY, LOCKED.
        Ok(5 | 6) => Cause::Locked,
        // SQLITE_READONLY.
        Ok(8) => Cause::ReadOnly,
        // SQLITE_FULL.
        Ok(13) => Cause::DiskFull,
        _ => Cause::Other,
    }
}

/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>
#[cfg(feature = "postgres")]
fn of_sqlstate(code: &str) -> Cause {
    match code {
        "25006" => Cause::ReadOnly,
        "42501" => Cause::Denied,
        "53100" => Cause::DiskFull,
        "53300" => Cause::TooManyConnections,
        // A lock not had in time, a deadlock.
        "55P03" | "40P01" => Cause::Locked,
        // A statement that took longer than it may.
        "57014" => Cause::Silent,
        // It stops, or starts; it has closed the connection.
        "57P01" | "57P02" | "57P03" | "57P05" => Cause::Unreachable,
        // Connections; also whatever a pooler says of the server behind it.
        code if code.starts_with("08") => Cause::Unreachable,
        code if code.starts_with("28") => Cause::Denied,
        _ => Cause::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(feature = "postgres")]
    fn every_code_of_postgres_that_has_a_name_is_named() {
        for (sqlstate, cause) in [
            ("08006", Cause::Unreachable),
            ("08P01", Cause::Unreachable),
            ("25006", Cause::ReadOnly),
            ("28000", Cause::Denied),
            ("28P01", Cause::Denied),
            ("40P01", Cause::Locked),
            ("42501", Cause::Denied),
            ("53100", Cause::DiskFull),
            ("53200", Cause::Other),
            ("53300", Cause::TooManyConnections),
            ("55P03", Cause::Locked),
            ("57014", Cause::Silent),
            ("57P01", Cause::Unreachable),
            ("57P02", Cause::Unreachable),
            ("57P03", Cause::Unreachable),
            ("3D000", Cause::Other),
            ("XX000", Cause::Other),
        ] {
            assert_eq!(of_sqlstate(sqlstate), cause, "{sqlstate}");
        }
    }

    #[test]
    fn what_the_network_says_is_told_apart() {
        for (kind, code) in [
            (ErrorKind::ConnectionRefused, "store_unreachable"),
            (ErrorKind::ConnectionReset, "store_unreachable"),
            (ErrorKind::UnexpectedEof, "store_unreachable"),
            (ErrorKind::NotFound, "store_unreachable"),
            (ErrorKind::TimedOut, "store_silent"),
            (ErrorKind::InvalidData, "store_tls"),
        ] {
            let error = sqlx::Error::Io(kind.into());
            assert_eq!(Cause::of(&error).code(), code, "{kind}");
        }
        assert_eq!(Cause::of(&sqlx::Error::PoolTimedOut).code(), "store_silent");
        assert_eq!(
            Cause::of(&sqlx::Error::RowNotFound).code(),
            "store_unavailable"
        );
    }

    #[test]
    fn a_migration_fails_for_the_reason_of_its_statement() {
        let full = MigrateError::Execute(sqlx::Error::Io(ErrorKind::StorageFull.into()));
        let error = sqlx::Error::Migrate(Box::new(full));
        assert_eq!(Cause::of(&error), Cause::DiskFull);
    }
}
