//! `PgBouncer` in transaction mode before a server, with one connection to it for each database.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::leash::Leash;
use super::{START_LIMIT, as_postgres, free_port, give_to_postgres, new_folder};

/// Not on an ordinary user's path.
const PROGRAM: &str = "/usr/sbin/pgbouncer";

/// A `PgBouncer`. Ends with the value.
pub(crate) struct PgBouncer {
    folder: PathBuf,
    port: u16,
    server_port: u16,
    process: Child,
    leash: Leash,
}

// === impl PgBouncer ===

impl PgBouncer {
    /// One before the server on 127.0.0.1 that listens on `server_port`.
    pub(crate) async fn start(server_port: u16) -> Self {
        assert!(
            Path::new(PROGRAM).exists(),
            "PgBouncer is missing: install pgbouncer, as `tests/run it` does"
        );
        let (folder, leash) = new_folder();
        let port = free_port();
        let process = spawn(&folder, port, server_port);
        let mut bouncer = Self {
            folder,
            port,
            server_port,
            process,
            leash,
        };
        let deadline = Instant::now() + START_LIMIT;
        while !bouncer.is_ready().await {
            assert!(
                Instant::now() < deadline,
                "PgBouncer ends: {}",
                bouncer.log()
            );
            bouncer.port = free_port();
            bouncer.process = spawn(&bouncer.folder, bouncer.port, server_port);
        }
        bouncer
    }

    /// The URL through it of what `url` names directly.
    pub(crate) fn through(&self, url: &str) -> String {
        let direct = format!(":{}/", self.server_port);
        assert!(url.contains(&direct), "{url}");
        url.replace(&direct, &format!(":{}/", self.port))
    }

    /// Kills it, and with it all connections of its clients.
    pub(crate) fn kill9(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.leash.watch(0);
    }

    /// Starts it again, on the same port.
    pub(crate) async fn restart(&mut self) {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            self.process = spawn(&self.folder, self.port, self.server_port);
            if self.is_ready().await {
                return;
            }
            assert!(Instant::now() < deadline, "PgBouncer did not start again");
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Waits until it listens; `false` if it ended instead.
    async fn is_ready(&mut self) -> bool {
        self.leash.watch(self.process.id());
        let deadline = Instant::now() + START_LIMIT;
        while self.process.try_wait().unwrap().is_none() {
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok()
                && self.process.try_wait().unwrap().is_none()
            {
                return true;
            }
            assert!(Instant::now() < deadline, "PgBouncer did not start");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.leash.watch(0);
        false
    }
}

fn spawn(folder: &Path, port: u16, server_port: u16) -> Child {
    let (settings, users) = (folder.join("settings"), folder.join("users"));
    fs::write(&users, "\"postgres\" \"\"\n").unwrap();
    let text = format!(
        "[databases]
        * = host=127.0.0.1 port={server_port}
        [pgbouncer]
        listen_addr = 127.0.0.1
        listen_port = {port}
        unix_socket_dir =
        auth_type = trust
        auth_file = {}
        pool_mode = transaction
        default_pool_size = 1
        server_login_retry = 1
        ",
        users.display()
    );
    fs::write(&settings, text.replace("\n        ", "\n")).unwrap();
    give_to_postgres(folder);
    let log = fs::File::create(folder.join("log")).unwrap();
    as_postgres(Path::new(PROGRAM))
        .arg(&settings)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}
