//! Records that the store will not take.

use super::scene::{Scene, answered, eventually, intent};
use super::shipping::assert_once;

const POISON: &str = "
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.claimed_user = '@poison:test' THEN
            RAISE EXCEPTION 'poison' USING ERRCODE = '22P05';
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER refuse BEFORE INSERT ON audit_record FOR EACH ROW EXECUTE FUNCTION refuse();
";

#[tokio::test]
async fn a_poisonous_record_is_set_aside_and_reported_and_costs_only_itself() {
    let scene = Scene::new().await;
    let run = scene.start().await;
    scene.execute(POISON).await;

    let mut exchanges = run.writes(3).await;
    let poison = intent(&run.log, "@poison:test");
    let _receipt = run.append(&poison).await.unwrap();
    exchanges.extend(run.writes(3).await);

    assert_once(&scene.stored_once(12).await, &exchanges);
    let message = run.trouble("records_set_aside").await;
    assert!(message.starts_with("1 record"), "{message}");
    assert_eq!(run.count("keybackup_records_set_aside "), 1);
    run.stop().await;

    // It stays there, and stays reported, until somebody has mended the store.
    let run = scene.start().await;
    run.trouble("records_set_aside").await;
    run.stop().await;
    scene.execute("DROP TRIGGER refuse ON audit_record").await;
    let run = scene.start().await;
    let stored = scene.stored_once(13).await;
    let found = stored
        .iter()
        .filter(|it| it.record.facts.exchange_id == poison.exchange_id);
    assert_eq!(found.count(), 1);
    run.is_well().await;
    run.stop().await;
}

#[tokio::test]
async fn text_that_no_encoding_likes_is_made_safe_before_the_spool() {
    let scene = Scene::new().await;
    let run = scene.start().await;
    let odd = "@\0\u{1}\u{7f}\u{fffe}\u{10ffff}\u{202e}:test";
    for user in [odd.to_owned(), "x".repeat(8192), "\u{1f600}".repeat(4096)] {
        let facts = intent(&run.log, &user);
        let _receipt = run.append(&facts).await.unwrap();
        let _receipt = run.append(&answered(&facts)).await.unwrap();
    }
    let stored = scene.stored_once(6).await;
    for it in &stored {
        let user = it.record.facts.claimed_user.as_deref().unwrap();
        assert!(user.len() <= 255 && !user.contains('\0'), "{user:?}");
    }
    eventually("nothing is wrong", async || {
        run.codes().is_empty().then_some(())
    })
    .await;
    run.stop().await;
}
