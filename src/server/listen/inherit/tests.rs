use std::os::fd::OwnedFd;
use std::process::{Command, Output, Stdio};

use super::*;

fn tcp() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

/// Runs the test `name` of this binary in a process of its own, as a service manager would: with
/// `first` and `second` as descriptors 3 and 4.
fn activate(name: &str, first: impl Into<OwnedFd>, second: impl Into<OwnedFd>) -> Output {
    // `exec` keeps the process id, which must be in LISTEN_PID.
    const SCRIPT: &str =
        r#"LISTEN_PID=$$ LISTEN_FDS=2 exec "$0" --exact "$1" --ignored 3<&0 4<&1 1>&2"#;
    let name = format!("{}::{name}", module_path!().split_once("::").unwrap().1);
    Command::new("sh")
        .args(["-c", SCRIPT])
        .arg(std::env::current_exe().unwrap())
        .arg(name)
        .stdin(Stdio::from(first.into()))
        .stdout(Stdio::from(second.into()))
        .output()
        .unwrap()
}

fn assert_passed(output: &Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}"
    );
}

#[test]
fn sockets_are_found_by_name_whatever_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let unix = UnixListener::bind(folder.path().join("s")).unwrap();
    assert_passed(&activate("passed_tcp_and_unix", tcp(), unix));
}

#[test]
#[ignore = "a part of the test above"]
fn passed_tcp_and_unix() {
    let mut inherited = Inherited::take(Some("clients:admin")).unwrap();
    assert_eq!(inherited.unused(), ["clients", "admin"]);
    let admin = inherited.by_name("admin").unwrap();
    assert!(matches!(&admin[..], [Passed::Unix(_)]), "{admin:?}");
    assert_eq!(inherited.unused(), ["clients"]);
    let clients = inherited.by_name("clients").unwrap();
    let [Passed::Tcp(socket)] = &clients[..] else {
        panic!("{clients:?}");
    };
    let error = socket.accept().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "it must not block");
    assert_eq!(inherited.unused(), [""; 0]);
    assert_eq!(
        Inherited::take(None).unwrap().unused(),
        [""; 0],
        "taken once"
    );
}

#[test]
fn a_name_may_come_several_times_and_no_name_is_one() {
    assert_passed(&activate("passed_without_names", tcp(), tcp()));
}

#[test]
#[ignore = "a part of the test above"]
fn passed_without_names() {
    let mut inherited = Inherited::take(None).unwrap();
    assert_eq!(inherited.unused(), ["unknown"]);
    assert_eq!(inherited.by_name("unknown").unwrap().len(), 2);
}

#[test]
fn what_cannot_be_listened_on_is_said_when_it_is_asked_for() {
    let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let listener = tcp();
    let connected = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    assert_passed(&activate("passed_in_vain", udp, connected));
}

#[test]
#[ignore = "a part of the test above"]
fn passed_in_vain() {
    let mut inherited = Inherited::take(Some("udp:connected")).unwrap();
    let error = inherited.by_name("udp").unwrap_err().to_string();
    assert!(
        error.contains("fd 3 is not a valid unix stream socket"),
        "{error}"
    );
    let error = inherited.by_name("connected").unwrap_err().to_string();
    assert!(error.contains("does not listen: set Accept=no"), "{error}");
}

#[test]
fn names_that_do_not_match_the_sockets_are_refused() {
    assert_passed(&activate("passed_with_one_name", tcp(), tcp()));
}

#[test]
#[ignore = "a part of the test above"]
fn passed_with_one_name() {
    let error = Inherited::take(Some("clients")).unwrap_err().to_string();
    assert!(
        error.contains("2 sockets were passed, with 1 names"),
        "{error}"
    );
}

#[test]
fn a_name_that_was_not_passed_is_told_which_were() {
    let passed = || Passed::Tcp(tcp());
    let mut inherited = Inherited::of(vec![
        ("clients", passed()),
        ("clients", passed()),
        ("admin", passed()),
    ]);
    let error = inherited.by_name("client").unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    assert_eq!(
        error.to_string(),
        "no socket of this name was passed; there is clients, admin"
    );
    let error = Inherited::none().by_name("client").unwrap_err().to_string();
    assert!(
        error.ends_with("none was: is the .socket unit started?"),
        "{error}"
    );
}

#[test]
fn a_name_is_given_away_once() {
    let mut inherited = Inherited::of(vec![("clients", Passed::Tcp(tcp()))]);
    assert_eq!(inherited.by_name("clients").unwrap().len(), 1);
    assert!(inherited.by_name("clients").is_err());
}
