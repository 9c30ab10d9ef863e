//! A standby that may lag behind, and can be made the primary.

use std::fs;
use std::process::Command;

use super::{Cluster, as_postgres, binaries, give_to_postgres, new_folder, run};

// === impl Cluster ===

impl Cluster {
    /// An asynchronous replica, which streams.
    pub(crate) async fn replica(&self) -> Self {
        let (folder, leash) = new_folder();
        let data = folder.join("data");
        fs::create_dir(&data).unwrap();
        run(Command::new("chmod").arg("700").arg(&data));
        give_to_postgres(&folder);
        run(as_postgres(&binaries().join("pg_basebackup"))
            .args(["--host=127.0.0.1", "--username=postgres", "--no-sync"])
            .args(["--checkpoint=fast", "--write-recovery-conf"])
            .arg(format!("--port={}", self.port))
            .arg("--pgdata")
            .arg(&data)
            .current_dir(&folder));
        let replica = Self::serve(folder, leash).await;
        replica
            .wait_until("SELECT count(*) = 1 FROM pg_stat_wal_receiver WHERE status = 'streaming'")
            .await;
        replica
    }

    /// Waits until all that `primary` has committed can be read here.
    pub(crate) async fn catch_up_with(&self, primary: &Self) {
        let mut connection = primary.superuser().await;
        let written: String = sqlx::query_scalar("SELECT pg_current_wal_lsn()::text")
            .fetch_one(&mut connection)
            .await
            .unwrap();
        self.wait_until(&format!(
            "SELECT pg_last_wal_replay_lsn() >= '{written}'::pg_lsn"
        ))
        .await;
    }

    /// From here on nothing that the primary commits arrives: promoted, this server lacks it.
    pub(crate) async fn stop_receiving(&self) {
        self.execute("ALTER SYSTEM SET primary_conninfo = ''; SELECT pg_reload_conf()")
            .await;
        self.wait_until("SELECT count(*) = 0 FROM pg_stat_wal_receiver")
            .await;
    }

    /// Makes this the primary. What the old one does from here on does not matter to it.
    pub(crate) async fn promote(&self) {
        self.execute("SELECT pg_promote(true, 60)").await;
        self.wait_until("SELECT NOT pg_is_in_recovery()").await;
    }
}
