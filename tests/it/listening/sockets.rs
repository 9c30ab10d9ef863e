//! Sockets: several at once, by TCP of both families and by file.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::*;

#[tokio::test]
async fn several_listeners_serve_at_once_each_in_its_way() {
    let origin = origin().await;
    let folder = Folder::new();
    let listen = vec![
        plain("127.0.0.1:0"),
        plain("[::1]:0"),
        plain(&folder.socket("a")),
        folder.tls(),
    ];
    let gateway = Gateway::start(&origin, |config| config.server.listen = listen).await;
    let [v4, v6, unix, tls] = &gateway.addresses[..] else {
        panic!("{:?}", gateway.addresses);
    };
    assert!(
        v4.starts_with("127.0.0.1:") && v6.starts_with("[::1]:"),
        "{v4} {v6}"
    );
    assert_eq!(*unix, folder.socket("a"));
    let (v4, v6, unix, tls) = tokio::join!(connect(v4), connect(v6), connect(unix), connect(tls));
    let tls = folder.shake_hands(tls, &[]).await.unwrap();
    for (wire, client, scheme) in [
        (v4, Some("127.0.0.1"), "http"),
        (v6, Some("::1"), "http"),
        (unix, None, "http"),
        (Box::new(tls) as Box<dyn Wire>, Some("127.0.0.1"), "https"),
    ] {
        assert_answered(&ask(wire, GET).await);
        let request = origin.requests().pop().unwrap();
        let client: Vec<_> = client.iter().map(|client| client.as_bytes()).collect();
        assert_eq!(request.lines("x-forwarded-for"), client);
        assert_eq!(request.lines("x-forwarded-proto"), [scheme.as_bytes()]);
    }
    assert_eq!(origin.requests().len(), 4);
}

#[tokio::test]
async fn whoever_may_open_a_unix_socket_is_believed() {
    let origin = origin().await;
    let folder = Folder::new();
    let listen = vec![plain(&folder.socket("s"))];
    let gateway = Gateway::start(&origin, |config| config.server.listen = listen).await;
    let request = "GET /a HTTP/1.1\r\nHost: example.org\r\nX-Forwarded-For: 192.0.2.9\r\n\
                   X-Forwarded-Proto: https\r\nConnection: close\r\n\r\n";
    assert_answered(&ask(gateway.connect().await, request).await);
    let expected = ("192.0.2.9".to_owned(), "https".to_owned());
    assert_eq!(forwarded(&origin.request()), expected);
}

#[tokio::test]
async fn a_unix_socket_has_its_mode_and_goes_with_the_gateway() {
    let origin = origin().await;
    let folder = Folder::new();
    let path = folder.folder.path().join("s");
    let listen = Listen {
        mode: Some(0o600),
        ..plain(&folder.socket("s"))
    };
    // What a gateway left behind that was killed.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let gateway = Gateway::start(&origin, |config| config.server.listen = vec![listen]).await;
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_answered(&ask(gateway.connect().await, GET).await);
    gateway.stop().await;
    assert!(!path.exists());
}

#[tokio::test]
async fn administrators_may_have_a_unix_socket() {
    let origin = origin().await;
    let folder = Folder::new();
    let admin = folder.socket("admin");
    let gateway = Gateway::start(&origin, |config| {
        config.server.admin_listen = admin.parse().unwrap();
    })
    .await;
    assert_eq!(gateway.admin, folder.socket("admin"));
    let request = "GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let answer = ask(connect(&gateway.admin).await, request).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert_eq!(origin.requests(), []);
}

#[tokio::test]
async fn what_cannot_be_listened_at_is_named() {
    let origin = origin().await;
    let folder = Folder::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let missing = folder.socket("none/s");
    for (address, cause) in [
        (taken.as_str(), "Address already in use"),
        (missing.as_str(), "No such file"),
        ("fd:clients", "no socket of this name was passed; none was"),
    ] {
        let listen = vec![plain(address)];
        let bound = Gateway::bind(&origin, folder.folder.path(), |config| {
            config.server.listen = listen;
        });
        let Err(error) = bound.await else {
            panic!("{address} is listened at");
        };
        assert_eq!(error.to_string(), format!("cannot listen on {address}"));
        let said = std::error::Error::source(&error).unwrap().to_string();
        assert!(said.contains(cause), "{said}");
    }
}
