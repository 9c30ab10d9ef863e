//! A Postgres of the test's own: started, stopped, frozen, killed.
//!
//! Every [`Cluster`] is a server with a data folder and a port of its own. It ends with the value;
//! and, as a watchdog holds the other end of a pipe, with the test's process, however that ends.
//! The folder that `initdb` makes is made once and copied after.
//!
//! Tests that only want a database take one of [`shared::database`]: it is quicker.

mod leash;
pub(crate) mod pgbouncer;
pub(crate) mod replica;
pub(crate) mod shared;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tempfile::TempDir;

use self::leash::Leash;

const START_LIMIT: Duration = Duration::from_secs(30);

/// A Postgres server.
pub(crate) struct Cluster {
    folder: PathBuf,
    port: u16,
    server: Child,
    leash: Leash,
    databases: AtomicU32,
}

// === impl Cluster ===

impl Cluster {
    /// A new server with an empty cluster.
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| ()).await
    }

    /// A new server, after `prepare` has changed what it likes in the data folder.
    pub(crate) async fn start_with(prepare: impl FnOnce(&Path)) -> Self {
        let (folder, leash) = new_folder();
        let data = folder.join("data");
        run(Command::new("cp").arg("-a").arg(template()).arg(&data));
        prepare(&data);
        Self::serve(folder, leash).await
    }

    /// A server over the `data` in `folder`.
    async fn serve(folder: PathBuf, leash: Leash) -> Self {
        give_to_postgres(&folder);
        let port = free_port();
        let server = spawn(&folder, port);
        let mut cluster = Self {
            folder,
            port,
            server,
            leash,
            databases: AtomicU32::new(0),
        };
        while !cluster.is_ready().await {
            cluster.port = free_port();
            cluster.server = spawn(&cluster.folder, cluster.port);
        }
        cluster
    }

    /// The URL of a new, empty database.
    pub(crate) async fn database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let mut connection = self.superuser().await;
        connection
            .execute(AssertSqlSafe(format!("CREATE DATABASE {name}")))
            .await
            .unwrap();
        connection.close().await.unwrap();
        self.url(&name)
    }

    async fn superuser(&self) -> PgConnection {
        PgConnection::connect(&self.url("postgres")).await.unwrap()
    }

    /// The URL of the database `name`, as the superuser.
    pub(crate) fn url(&self, name: &str) -> String {
        url(self.port, name)
    }

    /// The port that the server listens on.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Runs `sql` as the superuser.
    pub(crate) async fn execute(&self, sql: &str) {
        let mut connection = self.superuser().await;
        // One at a time: together they would be one transaction.
        for sql in sql.split(';') {
            connection
                .execute(AssertSqlSafe(sql.to_owned()))
                .await
                .unwrap();
        }
        connection.close().await.unwrap();
    }

    /// Waits until the superuser's `sql` says `true`.
    pub(crate) async fn wait_until(&self, sql: &str) {
        let mut connection = self.superuser().await;
        let deadline = Instant::now() + START_LIMIT;
        while !sqlx::query_scalar::<_, bool>(AssertSqlSafe(sql.to_owned()))
            .fetch_one(&mut connection)
            .await
            .unwrap()
        {
            assert!(Instant::now() < deadline, "never: {sql}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        connection.close().await.unwrap();
    }

    /// Kills the server, its backends too, without warning.
    pub(crate) fn kill9(&mut self) {
        self.signal_all("KILL");
        self.server.wait().unwrap();
        self.leash.watch(0);
    }

    /// Freezes the server: connections stay, and nothing answers.
    pub(crate) fn stop_signal(&self) {
        self.signal_all("STOP");
    }

    /// Thaws the server.
    pub(crate) fn cont_signal(&self) {
        self.signal_all("CONT");
    }

    /// Starts the server again, in the same place, after killing it if it lives.
    pub(crate) async fn restart(&mut self) {
        if self.server.try_wait().unwrap().is_none() {
            self.kill9();
        }
        let deadline = Instant::now() + START_LIMIT;
        loop {
            self.server = spawn(&self.folder, self.port);
            if self.is_ready().await {
                return;
            }
            // What a killed server leaves behind is in the way for a moment.
            assert!(
                Instant::now() < deadline,
                "Postgres did not start again: {}",
                self.log()
            );
        }
    }

    /// Waits until the server answers, and it is this one; `false` if it ended instead.
    async fn is_ready(&mut self) -> bool {
        let deadline = Instant::now() + START_LIMIT;
        self.leash.watch(self.server.id());
        while self.server.try_wait().unwrap().is_none() {
            if data_directory(self.port)
                .await
                .is_ok_and(|data| Path::new(&data).starts_with(&self.folder))
            {
                return true;
            }
            assert!(
                Instant::now() < deadline,
                "Postgres did not start: {}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        self.leash.watch(0);
        false
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// The server first: what it starts in between is none of its list.
    fn signal_all(&self, signal: &str) {
        let pid = self.server.id();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        // A backend may end by itself meanwhile; that is no failure.
        let _ = Command::new("sh")
            .args(["-c", "kill -s \"$@\" 2>/dev/null", "kill", signal])
            .arg(pid.to_string())
            .args(children.split_whitespace())
            .status()
            .unwrap();
    }
}

/// A folder for a server, which goes with the leash.
fn new_folder() -> (PathBuf, Leash) {
    let folder = tempfile::Builder::new()
        .prefix("kbg-cluster-")
        .tempdir()
        .unwrap()
        .keep();
    let leash = Leash::new(&folder);
    (folder, leash)
}

fn url(port: u16, name: &str) -> String {
    format!("postgres://postgres@127.0.0.1:{port}/{name}")
}

/// What the server on `port` says is its folder: another may have been quicker to take the port.
async fn data_directory(port: u16) -> sqlx::Result<String> {
    let mut connection = PgConnection::connect(&url(port, "postgres")).await?;
    let folder = sqlx::query_scalar("SHOW data_directory")
        .fetch_one(&mut connection)
        .await?;
    connection.close().await?;
    Ok(folder)
}

/// Postgres refuses to run as root.
fn as_postgres(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command
        .args([
            "--reuid=postgres",
            "--regid=postgres",
            "--clear-groups",
            "--",
        ])
        .arg(program);
    command
}

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

fn give_to_postgres(folder: &Path) {
    if is_root() {
        run(Command::new("chown")
            .args(["-R", "postgres:postgres"])
            .arg(folder));
    }
}

fn spawn(folder: &Path, port: u16) -> Child {
    let log = fs::File::options()
        .create(true)
        .append(true)
        .open(folder.join("log"))
        .unwrap();
    as_postgres(&binaries().join("postgres"))
        .arg("-D")
        .arg(folder.join("data"))
        .args(["-p", &port.to_string()])
        .args([
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            "unix_socket_directories=",
        ])
        .args(["-c", "shared_buffers=16MB", "-c", "max_connections=300"])
        // No test takes the machine's power away; what a killed server wrote, the kernel keeps.
        .args(["-c", "fsync=off"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .process_group(0)
        .spawn()
        .unwrap()
}

/// The folder that `initdb` made, by this or another test.
fn template() -> PathBuf {
    let binaries = binaries();
    let version = binaries
        .parent()
        .unwrap()
        .file_name()
        .unwrap()
        .to_str()
        .unwrap();
    let store = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let template = store.join(format!("postgres-{version}"));
    if !template.exists() {
        // Not in the target folder: `postgres` may have no way to there.
        let workshop = TempDir::new().unwrap();
        give_to_postgres(workshop.path());
        let data = workshop.path().join("data");
        run(as_postgres(&binaries.join("initdb"))
            .arg("-D")
            .arg(&data)
            .args(["--no-sync", "--auth=trust", "--username=postgres"])
            .args(["--encoding=UTF8", "--locale=C"])
            .current_dir(workshop.path()));
        let copy = store.join(format!("postgres-{version}.{}", std::process::id()));
        run(Command::new("cp").arg("-a").arg(&data).arg(&copy));
        if fs::rename(&copy, &template).is_err() {
            // Another test was quicker.
            fs::remove_dir_all(&copy).unwrap();
        }
    }
    template
}

/// The newest Postgres of Debian's packages, else the one on the path.
fn binaries() -> PathBuf {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let version = path.file_name()?.to_str()?.parse().ok()?;
            let binaries = path.join("bin");
            binaries
                .join("initdb")
                .exists()
                .then_some((version, binaries))
        })
        .collect();
    found.sort();
    found.pop().map_or_else(
        || {
            let output = Command::new("pg_config").arg("--bindir").output();
            let output = output.expect("Postgres is installed");
            PathBuf::from(String::from_utf8(output.stdout).unwrap().trim())
        },
        |(_, binaries)| binaries,
    )
}

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
