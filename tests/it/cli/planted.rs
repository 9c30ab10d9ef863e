//! A token is planted, everything is logged, and nothing shows it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::Duration;

use super::Desk;

const LIMIT: Duration = Duration::from_secs(20);
const TARGET: &str = "/_matrix/client/v3/user/@alice:test/account_data/m.key_backup";

/// Ends with the test, however that ends.
struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn ask(address: &str, request: &str) -> String {
    let mut client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(LIMIT)).unwrap();
    client.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_log_of_everything_shows_no_token() {
    let desk = Desk::new().with_variable("KEY_BACKUP_GATEWAY__LOG__LEVEL", "trace");
    // Nobody is at port 1: the ways of errors are logged as well.
    let line = "serve --origin http://127.0.0.1:1 --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0";
    let mut child = desk.command(line).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let served = Served(child);
    let mut said = String::new();
    let address = loop {
        let start = said.len();
        assert!(log.read_line(&mut said).unwrap() > 0, "it ended: {said}");
        if let Some((_, address)) = said[start..].split_once("listening for clients on ") {
            break address.trim().to_owned();
        }
    };
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
        let answer = ask(
            &address,
            &format!(
                "{method} {target} HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer PLANTED\r\n\
                 Connection: close\r\nContent-Length: {length}\r\n\r\n{body}"
            ),
        );
        assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
        assert!(!answer.contains("PLANTED"), "{answer}");
    }
    let broken = "GET /?access_token=PLANTED HTTP/1.1\r\nAuthorization PLANTED\r\n\r\n";
    assert!(ask(&address, broken).starts_with("HTTP/1.1 400 "));
    drop(served);
    log.read_to_string(&mut said).unwrap();
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
