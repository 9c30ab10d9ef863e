//! The spool's file is not what was written.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use key_backup_gateway::audit::record::Kind;

use super::scene::{Run, Scene, eventually};
use super::shipping::assert_once;
use crate::rig::store::Switch;

/// A spool that holds forty records that no store has, and whose gateway has ended.
async fn left_behind(scene: &Scene) -> Vec<uuid::Uuid> {
    let run = scene.start().await;
    run.store.switch(Switch::Off);
    let exchanges = run.writes(20).await;
    run.stop().await;
    exchanges
}

/// What is said of it, everywhere.
async fn assert_reported(scene: &Scene, run: &Run) -> (i64, i64) {
    let message = run.trouble("spool_damaged").await;
    assert!(message.contains(".damaged-"), "{message}");
    let kept = scene.beside(".damaged-");
    assert!(!kept.is_empty(), "the damaged file is kept");
    let record = eventually("a record of it", async || {
        let stored = scene.stored().await;
        let found = stored
            .into_iter()
            .find(|it| it.record.kind == Kind::Operation);
        found.map(|it| it.record.facts.detail.unwrap())
    })
    .await;
    assert_eq!(record["operation"], "spool_damaged");
    assert_eq!(run.count("keybackup_spool_damaged_total "), 1);
    let number = |name: &str| record[name].as_i64().unwrap();
    (number("saved"), number("lost"))
}

fn flip(path: &Path, at: u64) {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[!byte[0]], at).unwrap();
}

#[tokio::test]
async fn a_spool_of_garbage_is_set_aside_and_its_loss_is_counted() {
    let scene = Scene::new().await;
    left_behind(&scene).await;
    fs::write(scene.spool(), vec![0x5a; 40_000]).unwrap();

    let run = scene.start().await;
    assert_eq!(assert_reported(&scene, &run).await, (0, 40));
    assert_eq!(run.count("keybackup_spool_records_lost_total "), 40);
    // It goes on, and stays red until somebody has looked.
    run.writes(1).await;
    scene.stored_once(2).await;
    assert_eq!(run.codes(), ["spool_damaged"]);
    for path in scene.beside(".damaged-") {
        fs::remove_file(path).unwrap();
    }
    run.is_well().await;
    run.stop().await;
}

#[tokio::test]
async fn a_truncated_spool_is_set_aside_and_what_can_be_read_is_saved() {
    let scene = Scene::new().await;
    left_behind(&scene).await;
    let size = fs::metadata(scene.spool()).unwrap().len();
    let file = OpenOptions::new().write(true).open(scene.spool()).unwrap();
    file.set_len(size / 2).unwrap();

    let run = scene.start().await;
    let (saved, lost) = assert_reported(&scene, &run).await;
    assert_eq!(saved + lost, 40);
    assert!(saved > 5 && lost > 5, "{saved} saved, {lost} lost");
    let mut stored = scene.stored_once(usize::try_from(saved).unwrap()).await;
    // An intent whose outcome was lost is closed, as those of any dead run.
    stored.retain(|it| it.record.facts.detail.is_none());
    assert_eq!(stored.len(), usize::try_from(saved).unwrap());
    run.stop().await;
}

#[tokio::test]
async fn wherever_a_byte_is_flipped_every_record_is_shipped_or_counted_as_lost() {
    let scene = Scene::new().await;
    left_behind(&scene).await;
    let whole = fs::read(scene.spool()).unwrap();
    let head = fs::read(&scene.beside(".head")[0]).unwrap();
    let shipped = 40;
    let step = whole.len() / 9;
    for at in (0..9).map(|nth| nth * step + 57) {
        let scene = Scene::new().await;
        fs::write(scene.spool(), &whole).unwrap();
        fs::write(scene.spool().with_added_extension("head"), &head).unwrap();
        flip(&scene.spool(), at as u64);

        let run = scene.start().await;
        let accounted = eventually("every record", async || {
            let lost = run.count("keybackup_spool_records_lost_total ");
            let lost = usize::try_from(lost).unwrap();
            let mut stored = scene.stored().await;
            stored.retain(|it| it.record.facts.exchange_id.is_some());
            (stored.len() + lost >= shipped).then_some((stored.len(), lost))
        })
        .await;
        assert_eq!(accounted.0 + accounted.1, shipped, "byte {at}");
        if accounted.1 > 0 {
            run.trouble("spool_damaged").await;
        }
        run.stop().await;
    }
}

#[tokio::test]
async fn a_spool_that_lost_its_newest_commits_is_found_out() {
    let scene = Scene::new().await;
    let run = scene.start().await;
    run.store.switch(Switch::Off);
    run.writes(5).await;
    let early: Vec<_> = ["", "-wal"]
        .map(|it| scene.spool().into_os_string().into_string().unwrap() + it)
        .into_iter()
        .map(|path| (fs::read(&path).ok(), path))
        .collect();
    run.writes(5).await;
    run.stop().await;
    // As it was five writes ago: sound in itself.
    for (bytes, path) in early {
        if let Some(bytes) = bytes {
            fs::write(path, bytes).unwrap();
        }
    }
    let run = scene.start().await;
    assert_eq!(assert_reported(&scene, &run).await, (10, 10));
    run.stop().await;
}

#[tokio::test]
async fn a_spool_that_is_gone_is_missed() {
    let scene = Scene::new().await;
    left_behind(&scene).await;
    fs::remove_file(scene.spool()).unwrap();
    let run = scene.start().await;
    eventually("the loss is counted", async || {
        (run.count("keybackup_spool_records_lost_total ") == 40).then_some(())
    })
    .await;
    let exchanges = run.writes(1).await;
    assert_once(&scene.stored_once(2).await, &exchanges);
    run.stop().await;
}

/// A spool of which the store has taken something, and was not told, is removed with `others`.
async fn assert_that_what_was_taken_is_not_lost(others: &[&str]) {
    let scene = Scene::new().await;
    let run = scene.start().await;
    run.store.switch(Switch::Mute);
    run.writes(10).await;
    run.trouble("store_").await;
    fs::remove_file(scene.spool()).unwrap();
    for suffix in others {
        fs::remove_file(&scene.beside(suffix)[0]).unwrap();
    }
    run.store.switch(Switch::On);
    run.writes(1).await;
    let (stored, lost) = eventually("everything is shipped, or counted", async || {
        let lost = run.count("keybackup_spool_records_lost_total ");
        let is_drained = run.count("keybackup_spool_records ") == 0 && lost > 0;
        let mut stored = scene.stored().await;
        stored.retain(|it| it.record.facts.exchange_id.is_some());
        let lost = usize::try_from(lost).unwrap();
        (is_drained && stored.len() > 2).then_some((stored.len(), lost))
    })
    .await;
    assert_eq!(stored + lost, 22, "{stored} stored, {lost} lost");
    run.stop().await;
}

#[tokio::test]
async fn what_the_store_has_taken_of_a_spool_that_is_gone_is_not_counted_as_lost() {
    assert_that_what_was_taken_is_not_lost(&[]).await;
}

#[tokio::test]
async fn a_spool_that_is_gone_with_its_head_is_missed_by_whoever_had_it_open() {
    assert_that_what_was_taken_is_not_lost(&["-wal", "-shm", ".head"]).await;
}

#[tokio::test]
async fn a_spool_that_is_replaced_in_use_is_missed_and_nothing_is_written_to_the_old_one() {
    let scene = Scene::new().await;
    let run = scene.start().await;
    let mut exchanges = run.writes(5).await;
    scene.stored_once(10).await;
    fs::remove_file(scene.spool()).unwrap();
    exchanges.extend(run.writes(5).await);
    assert_once(&scene.stored_once(20).await, &exchanges);
    run.stop().await;
}

#[tokio::test]
async fn damage_that_shows_in_use_is_found_and_the_rest_is_shipped() {
    let scene = Scene::new().await;
    let run = scene.start().await;
    run.store.switch(Switch::Off);
    run.writes(20).await;
    // SQLite has no checksums: only the record's own digest can tell.
    let url = format!("sqlite:{}", scene.spool().display());
    let pool = sqlx::SqlitePool::connect(&url).await.unwrap();
    let spoil = "
        UPDATE spool_record SET line = CAST(replace(line, '@user7:', '@user8:') AS BLOB)
        WHERE seq = 15
    ";
    sqlx::query(spoil).execute(&pool).await.unwrap();
    pool.close().await;
    run.store.switch(Switch::On);
    let (saved, lost) = assert_reported(&scene, &run).await;
    assert_eq!(lost, 1);
    assert!(saved >= 25, "{saved}");
    assert_eq!(scene.stored_once(39).await.len(), 39);
    run.writes(1).await;
    scene.stored_once(41).await;
    run.stop().await;
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_reported_and_recovers() {
    let mut scene = Scene::new().await;
    let folder = tempfile::tempdir().unwrap();
    // Root may write anywhere: a file where the folder should be stops everybody.
    let place = folder.path().join("state");
    fs::write(&place, "").unwrap();
    scene.config.spool = Some(place.join("spool.db"));
    scene.config.deadline = Duration::from_millis(300);
    let run = scene.begin();
    let message = run.trouble("spool_unavailable").await;
    assert!(message.contains("the spool cannot be written"), "{message}");
    assert!(
        run.append(&super::scene::intent(&run.log, "@a:test"))
            .await
            .is_err()
    );
    fs::remove_file(&place).unwrap();
    fs::create_dir(&place).unwrap();
    run.is_well().await;
    let exchanges = run.writes(1).await;
    // The first one was given up by nobody: the writer went on trying.
    let stored = scene.stored_once(3).await;
    assert_once(&stored[1..], &exchanges);
    let mode = fs::metadata(scene.spool()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    run.stop().await;
}
