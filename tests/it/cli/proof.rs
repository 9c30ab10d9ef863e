//! `audit keygen`, `verify`, `export`, `prove` and `resume`: what they say at the edges. What they prove is for
//! `tests/e2e/tamper` and `tests/e2e/seal`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use key_backup_gateway::audit::record::{Facts, Kind};
use serde_json::Value;

use super::trail::{TRAIL, keep_kinds};
use super::{CONFIG, DONE, Desk, USAGE};

const FAILED: i32 = 1;
const COULD_NOT_TELL: i32 = 3;

const KEYGEN: &str = "audit keygen --key-file trail.key --name example.org/audit";

#[test]
fn a_command_line_that_makes_no_sense_is_usage() {
    for line in [
        "audit export --database sqlite:x.db",
        "audit export --format table",
        "audit prove",
        "audit prove not-an-id",
        "audit verify --export a --proof b",
        "audit verify --export a --database sqlite:x.db",
        "audit verify --format xml",
        "audit keygen --name a --rotate",
        "audit resume",
    ] {
        let ran = Desk::new().run(line).expect(USAGE);
        assert!(ran.stdout.is_empty() && !ran.stderr.is_empty(), "{ran:?}");
    }
}

#[test]
fn a_key_is_its_owner_s_alone_and_its_public_half_is_printed() {
    let desk = Desk::new();
    let ran = desk.run(KEYGEN).expect(DONE);
    let public = ran.stdout.trim();
    assert!(
        public.starts_with("example.org/audit+") && public.lines().count() == 1,
        "{ran:?}"
    );
    assert!(
        ran.stderr.contains("trail.key") && ran.stderr.contains("trail.pub"),
        "{ran:?}"
    );
    let path = desk.folder.path().join("trail.key");
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o7777,
        0o600
    );
    let private = fs::read_to_string(&path).unwrap();
    assert!(private.starts_with("PRIVATE+KEY+example.org/audit+"));
    assert!(!format!("{ran:?}").contains(private.trim()));
    let file = fs::read_to_string(desk.folder.path().join("trail.pub")).unwrap();
    assert_eq!(file.trim(), public);

    let again = desk.run(KEYGEN).expect(FAILED);
    assert!(
        again.stderr.contains("is there already") && again.stderr.contains("--rotate"),
        "{again:?}"
    );
    assert_eq!(fs::read_to_string(&path).unwrap(), private);

    let rotated = desk
        .run("audit keygen --key-file trail.key --rotate")
        .expect(DONE);
    let both = fs::read_to_string(&path).unwrap();
    assert_eq!(both.lines().count(), 2);
    assert!(both.starts_with(&private));
    let file = fs::read_to_string(desk.folder.path().join("trail.pub")).unwrap();
    assert_eq!(
        file.lines().collect::<Vec<_>>(),
        [public, rotated.stdout.trim()]
    );
}

#[test]
fn a_key_needs_a_place_and_a_name() {
    let ran = Desk::new()
        .run("audit keygen --database postgres://localhost/x --name a")
        .expect(FAILED);
    assert!(
        ran.stderr
            .contains("--key-file FILE, or checkpoint.key_file"),
        "{ran:?}"
    );
    let ran = Desk::new().run("audit keygen --key-file k").expect(FAILED);
    assert!(
        ran.stderr.contains("--name NAME, or checkpoint.name"),
        "{ran:?}"
    );
    let ran = Desk::new()
        .run("audit keygen --key-file k --name a+b")
        .expect(FAILED);
    assert!(ran.stderr.contains("neither spaces nor `+`"), "{ran:?}");
    let ran = Desk::new()
        .run("audit keygen --key-file k --rotate")
        .expect(FAILED);
    assert!(ran.stderr.contains("k cannot be read"), "{ran:?}");
    // A configuration that names a key file which is not there yet is no mistake here.
    let desk = Desk::new().with_file(
        "g.toml",
        "[checkpoint]\nname = \"a\"\nkey_file = \"c.key\"\n",
    );
    desk.run("audit keygen --config g.toml").expect(DONE);
    assert!(desk.folder.path().join("c.key").is_file());
}

#[test]
fn a_key_that_others_may_read_is_no_key() {
    let desk = Desk::new();
    desk.run(KEYGEN).expect(DONE);
    let path = desk.folder.path().join("trail.key");
    let settings = "[checkpoint]\nkey_file = \"trail.key\"\nname = \"example.org/audit\"\n";
    let desk = desk.with_file("g.toml", settings);
    let check = "check --config g.toml --origin http://origin:1";
    desk.run(check).expect(DONE);
    for mode in [0o644, 0o604, 0o660] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let ran = desk.run(check).expect(CONFIG);
        assert!(
            ran.stderr
                .contains("checkpoint.key_file: trail.key may be read or written by others"),
            "{ran:?}"
        );
        assert!(ran.stderr.contains("`chmod 600` it"), "{ran:?}");
    }
    // As systemd hands on credentials.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o440)).unwrap();
    desk.run(check).expect(DONE);
    let desk = desk.with_file("g.toml", &settings.replace("org/audit", "org/other"));
    let ran = desk.run(check).expect(CONFIG);
    assert!(
        ran.stderr.contains(
            "checkpoint.name: the keys of `checkpoint.key_file` are named `example.org/audit`"
        ),
        "{ran:?}"
    );
}

#[test]
fn what_cannot_be_told_is_not_said_to_be_sound() {
    let desk = Desk::new();
    desk.run(KEYGEN).expect(DONE);
    for (line, said) in [
        (
            "audit verify --export none --public-key trail.pub",
            "none cannot be read",
        ),
        (
            "audit verify --proof none --public-key trail.pub",
            "none cannot be read",
        ),
        (
            "audit verify --proof trail.pub --public-key trail.pub",
            "it is no proof",
        ),
        (
            "audit verify --export trail.pub --public-key trail.pub",
            "is no export in JSON Lines",
        ),
        (
            "audit verify --export trail.pub",
            "the public key is missing",
        ),
        (
            "audit verify --export trail.pub --public-key nonsense",
            "is no note verifier key",
        ),
        (
            "audit verify --export trail.pub --public-key trail.pub --checkpoint none",
            "none cannot be read",
        ),
        (
            "audit verify --database postgres://127.0.0.1:1/x --public-key trail.pub",
            "cannot be reached",
        ),
    ] {
        let ran = desk.run(line).expect(COULD_NOT_TELL);
        assert!(
            ran.stderr.contains("could not tell: ") && ran.stderr.contains(said),
            "{line}: {ran:?}"
        );
        assert!(ran.stdout.is_empty(), "{ran:?}");
    }
    desk.run("audit verify --database sqlite:none.db --public-key trail.pub")
        .expect(COULD_NOT_TELL);
}

#[tokio::test]
async fn a_trail_that_nobody_seals_proves_nothing() {
    let desk = Desk::new();
    let ids = keep_kinds(&desk, vec![(Kind::Operation, Facts::default())]).await;
    desk.run(KEYGEN).expect(DONE);
    let ran = desk
        .run(&format!("audit verify {TRAIL} --public-key trail.pub"))
        .expect(COULD_NOT_TELL);
    assert!(ran.stderr.contains("nothing is sealed yet"), "{ran:?}");
    let ran = desk
        .run(&format!("audit prove {} {TRAIL}", ids[0]))
        .expect(FAILED);
    assert!(ran.stderr.contains("is not in a checkpoint yet"), "{ran:?}");
    let ran = desk
        .run(&format!("audit prove {} {TRAIL}", uuid::Uuid::now_v7()))
        .expect(FAILED);
    assert!(
        ran.stderr
            .contains("the trail has no exchange and no record"),
        "{ran:?}"
    );

    let ran = desk
        .run(&format!("audit export {TRAIL} --format jsonl"))
        .expect(DONE);
    let lines: Vec<Value> = ran
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    // The record, and that it was exported.
    assert_eq!(lines.len(), 3, "{ran:?}");
    assert_eq!(lines[1]["detail"]["operation"], "export");
    assert_eq!(lines[1]["leaf_index"], Value::Null);
    assert_eq!(lines[2]["manifest"]["records"], 2);
    assert_eq!(lines[2]["manifest"]["sealed"], 0);
    assert_eq!(lines[2]["manifest"]["checkpoint"], Value::Null);

    let csv = desk
        .run(&format!("audit export {TRAIL} --format csv --since 1d"))
        .expect(DONE);
    assert!(
        csv.stdout
            .lines()
            .next()
            .unwrap()
            .ends_with(",detail,leaf_index,leaf_hash"),
        "{csv:?}"
    );
    let manifest: Value = serde_json::from_str(csv.stderr.trim()).unwrap();
    assert!(
        manifest["manifest"]["filter"]["since"].is_string(),
        "{manifest}"
    );
}
