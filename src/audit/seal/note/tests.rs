use signed_note::StandardSigner;

use super::{Invalid, NoKey, Signers, TreeHead, Verifiers};
use crate::audit::seal::keys;

/// The example of <https://pkg.go.dev/golang.org/x/mod/sumdb/note>, which C2SP's format is that of.
const PRIVATE: &str =
    "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
const PUBLIC: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

/// The example of <https://c2sp.org/tlog-checkpoint>: signed by a log and by a witness, with keys that
/// are those of the page.
const C2SP_TEXT: &str =
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";

fn signers(keys: &[&str]) -> Signers {
    keys::parse(&keys.join("\n")).unwrap()
}

fn head() -> TreeHead {
    TreeHead {
        size: 20_852_163,
        root: [7; 32],
    }
}

#[test]
fn the_public_key_is_what_other_note_verifiers_read() {
    assert_eq!(signers(&[PRIVATE]).public_keys(), [PUBLIC]);
    assert_eq!(signers(&[PRIVATE]).key_ids(), ["c74f20a3"]);
}

#[test]
fn a_checkpoint_is_written_as_c2sp_says() {
    let note = signers(&[PRIVATE]).sign(&head());
    let lines: Vec<_> = note.lines().collect();
    assert_eq!(lines[0], "PeterNeumann");
    assert_eq!(lines[1], "20852163");
    assert_eq!(lines[2], "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=");
    assert_eq!(lines[3], "");
    assert!(
        lines[4].starts_with("\u{2014} PeterNeumann x08go"),
        "{note}"
    );
    assert_eq!(lines.len(), 5);
    assert!(note.ends_with('\n'));
}

#[test]
fn the_text_of_c2sp_s_example_is_read() {
    let root =
        tlog_tiles::Hash::parse_hash("CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=").unwrap();
    let head = TreeHead {
        size: 20_852_163,
        root: root.0,
    };
    let text = super::text("example.com/behind-the-sofa", &head).unwrap();
    assert_eq!(text, C2SP_TEXT.as_bytes());
}

#[test]
fn what_is_signed_can_be_verified_and_nothing_else() {
    let signers = signers(&[PRIVATE]);
    let verifiers = Verifiers::parse(&[PUBLIC.to_owned()]).unwrap();
    let note = signers.sign(&head());
    assert_eq!(verifiers.open(&note), Ok(head()));
    let (_, other) = keys::generate("PeterNeumann").unwrap();
    let stranger = Verifiers::parse(&[other]).unwrap();
    assert!(matches!(stranger.open(&note), Err(Invalid::UnknownKey(_))));
    for (from, to) in [("20852163", "20852164"), ("BwcH", "BwcI")] {
        let changed = note.replacen(from, to, 1);
        assert!(
            matches!(verifiers.open(&changed), Err(Invalid::Signature(_))),
            "{changed}"
        );
    }
    for changed in [
        String::new(),
        note.replace("\n\n", "\n"),
        note.trim_end().to_owned(),
        note.replace("20852163", "020852163"),
        format!("{note}\n"),
        note.replacen('\n', "\r\n", 1),
    ] {
        assert!(verifiers.open(&changed).is_err(), "{changed:?}");
    }
}

#[test]
fn a_checkpoint_of_another_log_is_none() {
    let signer = StandardSigner::new(PRIVATE).unwrap();
    let text = super::text("another", &head()).unwrap();
    let mut note = signed_note::Note::new(&text, &[]).unwrap();
    note.add_sigs(&[&signer]).unwrap();
    let note = String::from_utf8(note.to_bytes()).unwrap();
    let verifiers = Verifiers::parse(&[PUBLIC.to_owned()]).unwrap();
    assert!(matches!(verifiers.open(&note), Err(Invalid::Origin { .. })));
}

#[test]
fn each_of_two_keys_verifies_what_both_have_signed() {
    let (second, public) = keys::generate("PeterNeumann").unwrap();
    let both = keys::parse(&format!("{PRIVATE}\n{second}\n")).unwrap();
    let note = both.sign(&head());
    for key in [PUBLIC.to_owned(), public.clone()] {
        let alone = Verifiers::parse(&[key]).unwrap();
        assert_eq!(alone.open(&note), Ok(head()));
    }
    assert_eq!(both.verifiers().open(&note), Ok(head()));
    assert_eq!(both.public_keys(), [PUBLIC.to_owned(), public]);
}

#[test]
fn what_is_no_key_is_refused() {
    for key in [
        "",
        "x",
        "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        PRIVATE,
    ] {
        assert!(
            matches!(Verifiers::parse(&[key.to_owned()]), Err(NoKey)),
            "{key}"
        );
    }
    assert!(matches!(Verifiers::parse(&[]), Err(NoKey)));
    let (_, other) = keys::generate("another").unwrap();
    let mixed = Verifiers::parse(&[PUBLIC.to_owned(), other]);
    assert!(mixed.is_err());
}
