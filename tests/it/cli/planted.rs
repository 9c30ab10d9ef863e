//! A token is planted, everything is logged, and nothing shows it.

use super::{Desk, served::Served};

const TARGET: &str = "/_matrix/client/v3/user/@alice:test/account_data/m.key_backup";

#[test]
fn a_log_of_everything_shows_no_token() {
    let desk = Desk::new().with_variable("KEY_BACKUP_GATEWAY__LOG__LEVEL", "trace");
    // Nobody is at the origin: the ways of errors are logged as well.
    let served = Served::start(&desk);
    for (method, target, body) in [
        (
            "PUT",
            format!("{TARGET}?access_token=PLANTED"),
            r#"{"enabled":true}"#,
        ),
        (
            "PUT",
            format!("{TARGET}?access_token=PLANTED"),
            r#"{"enabled":"yes"}"#,
        ),
        ("GET", format!("{TARGET}?access%5Ftoken=PLANTED;"), ""),
        (
            "GET",
            "/_matrix/client/v3/sync?access_token=PLANTED".to_owned(),
            "",
        ),
    ] {
        let length = body.len();
        let answer = served.ask(&format!(
            "{method} {target} HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer PLANTED\r\n\
                 Connection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        ));
        assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
        assert!(!answer.contains("PLANTED"), "{answer}");
    }
    let broken = "GET /?access_token=PLANTED HTTP/1.1\r\nAuthorization PLANTED\r\n\r\n";
    assert!(served.ask(broken).starts_with("HTTP/1.1 400 "));
    let said = served.log();
    for target in [
        "TRACE hyper_util",
        "DEBUG sqlx",
        "INFO exchange",
        "WARN key_backup_gateway",
    ] {
        assert!(said.contains(target), "{target}: {said}");
    }
    assert!(!said.contains("PLANTED"), "{said}");
    for file in desk.folder.path().read_dir().unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(
            !bytes.windows(7).any(|bytes| bytes == b"PLANTED"),
            "the trail holds the token"
        );
    }
}
