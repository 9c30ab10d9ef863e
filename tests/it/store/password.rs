//! A password that stands in a file, and is changed while the store is in use.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use key_backup_gateway::audit::postgres::PgStore;
use key_backup_gateway::audit::store::{Config, Store};
use key_backup_gateway::audit::{self, check};
use tempfile::TempDir;

use super::bench::{Gateway, all, config, full};
use crate::cluster::Cluster;

/// A server where the role `writer` needs its password.
async fn server() -> (Cluster, String) {
    let cluster = Cluster::start_with(|data| {
        let hba = data.join("pg_hba.conf");
        let others = fs::read_to_string(&hba).unwrap();
        fs::write(&hba, format!("host all writer all scram-sha-256\n{others}")).unwrap();
    })
    .await;
    cluster
        .execute("CREATE ROLE writer LOGIN SUPERUSER PASSWORD 'hunter2'")
        .await;
    let url = cluster.database().await.replace("postgres@", "writer@");
    (cluster, url)
}

fn file(password: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("password");
    fs::write(&path, password).unwrap();
    (folder, path)
}

fn with_file(url: &str, path: &Path) -> Config {
    Config {
        password_file: Some(path.to_owned()),
        ..config(url)
    }
}

#[tokio::test]
async fn a_password_that_was_changed_is_read_again() {
    let (cluster, url) = server().await;
    let (_folder, path) = file("hunter2\n");
    let store = PgStore::open(&with_file(&url, &path)).unwrap();
    store.migrate().await.unwrap();
    let gateway = Gateway::new();
    let first = gateway.next(full());
    store.append(std::slice::from_ref(&first)).await.unwrap();
    cluster
        .execute(
            "ALTER ROLE writer PASSWORD 'correct horse';
            SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = 'writer'",
        )
        .await;
    let second = gateway.next(full());
    // The connection that was ended, and then the old password.
    for code in ["store_unreachable", "store_denied"] {
        let error = store
            .append(std::slice::from_ref(&second))
            .await
            .unwrap_err();
        assert_eq!(error.code(), code, "{error:?}");
        assert!(
            !format!("{error:?} {store:?}").contains("hunter2"),
            "{error:?}"
        );
    }
    // While the file is replaced, it is not there.
    fs::remove_file(&path).unwrap();
    let error = store
        .append(std::slice::from_ref(&second))
        .await
        .unwrap_err();
    assert_eq!(error.code(), "store_denied", "{error:?}");
    fs::write(&path, "correct horse\n").unwrap();

    store.append(std::slice::from_ref(&second)).await.unwrap();
    assert_eq!(all(&store).await, [second, first]);
}

#[test]
fn a_file_that_everybody_may_read_is_remarked_on() {
    let (_folder, path) = file("hunter2");
    let config = with_file("postgres://alice@localhost/trail", &path);
    for (mode, remarks) in [(0o600, 0), (0o640, 0), (0o644, 1)] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let said = check(&config, &audit::Config::default()).unwrap();
        assert_eq!(said.len(), remarks, "{mode:o}: {said:?}");
        assert!(said.iter().all(|it| it.contains("database.password_file")));
    }
}
