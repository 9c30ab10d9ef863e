//! Which of the servers is connected to.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use deadpool::managed::{Manager, Metrics, RecycleError, RecycleResult};
use secrecy::ExposeSecret;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection, Row};

use super::options::Options;

/// For a connection, over all hosts.
const CONNECT: Duration = Duration::from_millis(4_500);
/// A connection that was in use so lately is not asked whether it lives.
const FRESH: Duration = Duration::from_secs(1);
/// A connection that is older is made anew, so that a name that has moved is followed one day.
const OLD: Duration = Duration::from_mins(30);

/// What takes writes says `off`, a standby `on`.
const READ_ONLY: &str = "SHOW transaction_read_only";

/// Makes connections: to the first of the hosts that takes writes, else to the first that answers.
pub(super) struct Hosts {
    options: Options,
    /// The host that took writes last.
    current: AtomicUsize,
}

// === impl Hosts ===

impl Hosts {
    pub(super) fn new(options: Options) -> Self {
        Self {
            options,
            current: AtomicUsize::new(0),
        }
    }

    /// A connection, made with what `change` makes of the options.
    ///
    /// # Errors
    ///
    /// What the first host says, if no host can be connected to.
    pub(super) async fn connect(
        &self,
        change: impl Fn(PgConnectOptions) -> PgConnectOptions,
    ) -> Result<PgConnection, sqlx::Error> {
        let password = match &self.options.password_file {
            Some(file) => Some(file.password().await),
            None => None,
        };
        let hosts = &self.options.hosts;
        let count = hosts.len();
        let share = CONNECT / u32::try_from(count).unwrap_or(u32::MAX);
        let first = self.current.load(Ordering::Relaxed);
        let (mut reader, mut failure) = (None, None);
        for index in (first..first + count).map(|index| index % count) {
            let mut options = change(hosts[index].clone());
            if let Some(password) = &password {
                options = options.password(password.expose_secret());
            }
            let attempt = async {
                let mut connection = options.connect().await?;
                let takes_writes = count == 1 || takes_writes(&mut connection).await?;
                Ok::<_, sqlx::Error>((connection, takes_writes))
            };
            match tokio::time::timeout(share, attempt).await {
                Ok(Ok((connection, true))) => {
                    self.current.store(index, Ordering::Relaxed);
                    return Ok(connection);
                }
                Ok(Ok((connection, false))) => reader = reader.or(Some(connection)),
                Ok(Err(error)) => failure = failure.or(Some(error)),
                Err(_) => failure = failure.or(Some(silent())),
            }
        }
        reader.ok_or_else(|| failure.unwrap_or_else(silent))
    }
}

impl Manager for Hosts {
    type Type = PgConnection;
    type Error = sqlx::Error;

    async fn create(&self) -> Result<PgConnection, sqlx::Error> {
        self.connect(|options| options).await
    }

    async fn recycle(
        &self,
        connection: &mut PgConnection,
        metrics: &Metrics,
    ) -> RecycleResult<sqlx::Error> {
        if metrics.age() > OLD {
            return Err(RecycleError::message("it is old"));
        }
        if metrics.last_used() < FRESH {
            return Ok(());
        }
        Ok(connection.ping().await?)
    }
}

impl fmt::Debug for Hosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The options hold the password.
        let host = |options: &PgConnectOptions| options.get_host().to_owned();
        let hosts: Vec<_> = self.options.hosts.iter().map(host).collect();
        f.debug_struct("Hosts")
            .field("hosts", &hosts)
            .field("current", &self.current)
            .finish_non_exhaustive()
    }
}

async fn takes_writes(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    // Once there and back: nothing is prepared.
    let row = sqlx::raw_sql(READ_ONLY).fetch_one(connection).await?;
    Ok(row.try_get::<&str, _>(0)? == "off")
}

fn silent() -> sqlx::Error {
    sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())
}
