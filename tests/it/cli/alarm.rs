//! A stranger cannot fill the log while the origin is away.

use super::{Desk, served::Served};

#[test]
fn an_origin_that_is_away_is_said_aloud_once_and_not_for_every_request() {
    let served = Served::start(&Desk::new());
    for _ in 0..5 {
        let answer = served.ask("GET / HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    }
    let log = served.log();
    let aloud = log
        .lines()
        .filter(|line| line.contains("did not answer a request"));
    assert_eq!(aloud.count(), 1, "{log}");
}
