//! Tokens as people write them, rightly and wrongly.

use super::*;
use crate::admin::access::token::Token;

fn hash() -> String {
    Token::make().digest().written()
}

fn said_of(text: &str) -> String {
    text.parse::<KnownToken>().unwrap_err()
}

#[test]
fn a_token_is_written_in_one_line_or_in_a_table() {
    let hash = hash();
    let short: KnownToken = format!("auditor:{hash}").parse().unwrap();
    assert_eq!((short.role, &short.name), (Role::Auditor, &None));
    assert_eq!(short.hash.written(), hash);
    assert_eq!(
        short.to_string(),
        format!(r#"{{ role = "auditor", hash = "{hash}" }}"#)
    );
    let upper = format!("reader:sha256:{}", hash[7..].to_uppercase());
    assert_eq!(
        upper.parse::<KnownToken>().unwrap().hash.written(),
        hash,
        "hexadecimal in either case"
    );
}

#[test]
fn a_token_in_the_place_of_anything_is_said_and_not_shown() {
    let token = Token::make();
    let token = token.expose();
    for text in [
        token.to_owned(),
        format!("auditor:{token}"),
        format!("{token}:sha256:00"),
        format!("auditor:sha256:{token}"),
        format!("sha256:{token}"),
    ] {
        let said = said_of(&text);
        assert!(said.contains("a token itself"), "{said}");
        assert!(!said.contains(&token[4..]), "{said}");
    }
    let named = KnownToken::new(Some(token.to_owned()), "reader", &hash()).unwrap_err();
    assert!(
        named.contains("a token itself") && !named.contains(&token[4..]),
        "{named}"
    );
}

#[test]
fn what_is_wrong_is_said_with_what_to_write() {
    let hash = hash();
    assert!(said_of("auditor").contains("\"ROLE:sha256:…\""));
    assert!(said_of(&hash).contains("\"ROLE:sha256:…\""));
    assert!(said_of(&format!("admin:{hash}")).contains("there is reader, auditor"));
    for wrong in ["sha256:", "sha256:00", &hash[7..], "sha512:00"] {
        let said = said_of(&format!("reader:{wrong}"));
        assert!(
            said.contains("`sha256:` and 64 hexadecimal digits"),
            "{said}"
        );
    }
    for name in ["", "a\"b", "a\\b", "a\nb", &"x".repeat(65)] {
        assert!(check_name(name).is_err(), "{name:?}");
    }
    assert!(check_name("Zoë from the audit").is_ok());
}

#[test]
fn neither_debug_nor_display_of_a_digest_is_for_logs() {
    let known: KnownToken = format!("auditor:{}", hash()).parse().unwrap();
    assert!(format!("{known:?}").contains("Digest(…)"), "{known:?}");
}

#[test]
fn who_exports_may_also_see() {
    assert!(Role::Auditor > Role::Reader);
    for role in [Role::Reader, Role::Auditor] {
        assert_eq!(role.as_str().parse(), Ok(role));
    }
}
