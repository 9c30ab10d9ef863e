//! One server for all tests of a run that do it no harm.
//!
//! `nextest` runs every test in a process of its own: the first that asks starts the server, and a
//! keeper ends it when the runner has ended.

use std::fs::{self, File};
use std::os::unix::process::{CommandExt, parent_id};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use super::{START_LIMIT, data_directory, free_port, give_to_postgres, run, spawn, template, url};

/// Waits for the runner $2 to end. The folder is $1; its file `pid` names the server.
const KEEPER: &str = r#"
    while kill -0 "$2" 2>/dev/null; do sleep 0.3; done
    pid=$(cat "$1/pid" 2>/dev/null)
    if [ -n "$pid" ]; then
        kill -9 $(cat "/proc/$pid/task/$pid/children" 2>/dev/null) "$pid" 2>/dev/null
    fi
    rm -f "$1.lock"
    for _ in 1 2 3 4 5; do rm -rf "$1" && break; sleep 0.2; done
"#;

/// The URL of a new, empty database in the server that all tests of this run share.
pub(crate) async fn database() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let port = port().await;
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("test_{}_{count}", std::process::id());
    let mut connection = PgConnection::connect(&url(port, "postgres")).await.unwrap();
    let create = format!("CREATE DATABASE {name} TEMPLATE template0");
    connection.execute(AssertSqlSafe(create)).await.unwrap();
    connection.close().await.unwrap();
    url(port, &name)
}

/// The port of the server, which is started if no other test has.
#[expect(clippy::zombie_processes, reason = "the keeper outlives this process")]
async fn port() -> u16 {
    let (folder, runner) = run_of_tests();
    let lock = File::create(folder.with_extension("lock")).unwrap();
    let _locked = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock))
        .await
        .unwrap()
        .unwrap();
    if let Ok(port) = fs::read_to_string(folder.join("port")) {
        return port.parse().unwrap();
    }
    fs::create_dir(&folder).unwrap();
    Command::new("sh")
        .args(["-c", KEEPER, "keeper"])
        .arg(&folder)
        .arg(runner.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap();
    run(Command::new("cp")
        .arg("-a")
        .arg(template())
        .arg(folder.join("data")));
    give_to_postgres(&folder);
    let port = start(&folder).await;
    fs::write(folder.join("port"), port.to_string()).unwrap();
    port
}

async fn start(folder: &Path) -> u16 {
    let deadline = Instant::now() + START_LIMIT;
    loop {
        let port = free_port();
        let mut server = spawn(folder, port);
        fs::write(folder.join("pid"), server.id().to_string()).unwrap();
        while server.try_wait().unwrap().is_none() {
            if data_directory(port)
                .await
                .is_ok_and(|data| Path::new(&data).starts_with(folder))
            {
                return port;
            }
            assert!(
                Instant::now() < deadline,
                "Postgres did not start: see {}",
                folder.display()
            );
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }
}

/// A folder of this run of tests alone, and the process that ends with it.
#[expect(
    clippy::disallowed_methods,
    reason = "nextest names its run nowhere else"
)]
fn run_of_tests() -> (PathBuf, u32) {
    let (name, runner) = match std::env::var("NEXTEST_RUN_ID") {
        Ok(run) => (run, parent_id()),
        Err(_) => (std::process::id().to_string(), std::process::id()),
    };
    (
        std::env::temp_dir().join(format!("kbg-cluster-{name}")),
        runner,
    )
}
