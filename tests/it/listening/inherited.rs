//! Sockets that somebody else holds: found by name, served, and left to the next run.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::process::{Child, ChildStderr, Command, Stdio};

use super::*;

/// Makes descriptors 3 and 4 of 0 and 1, as a service manager has it; `exec` keeps the process id.
const SCRIPT: &str = r#"LISTEN_PID=$$ LISTEN_FDS=2 exec "$0" "$@" 3<&0 4<&1 </dev/null 1>&2"#;

/// The binary, with two sockets passed to it. It ends with the test, however that ends.
struct Run {
    child: Child,
    stderr: BufReader<ChildStderr>,
    /// What it has logged until it served.
    said: String,
    /// Where its trail is.
    _folder: TempDir,
}

impl Run {
    /// With `sockets` called `names`, until it serves.
    fn start(origin: &Origin, sockets: [&TcpListener; 2], names: &str, flags: &[&str]) -> Self {
        let [first, second] = sockets.map(|socket| OwnedFd::from(socket.try_clone().unwrap()));
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new("sh")
            .args(["-c", SCRIPT, env!("CARGO_BIN_EXE_key-backup-gateway")])
            .arg("serve")
            .arg(format!("--origin=http://{}", origin.address()))
            .args(flags)
            .current_dir(folder.path())
            .env("LISTEN_FDNAMES", names)
            .stdin(first)
            .stdout(second)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let mut run = Self {
            child,
            stderr,
            said: String::new(),
            _folder: folder,
        };
        while !run.said.contains("listening for clients on ") {
            let read = run.stderr.read_line(&mut run.said).unwrap();
            assert!(read > 0, "it ended: {}", run.said);
        }
        run
    }

    /// Asks it to stop, and waits until it has.
    fn stop(mut self) {
        let pid = self.child.id().to_string();
        let told = Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        assert!(told.success());
        let mut said = String::new();
        self.stderr.read_to_string(&mut said).unwrap();
        assert!(self.child.wait().unwrap().success(), "{said}");
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A socket of the test, and where it is.
fn socket() -> (TcpListener, String) {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap().to_string();
    (socket, address)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_while_no_gateway_runs_waits_for_the_next() {
    let origin = origin().await;
    let ((clients, at), (admin, _)) = (socket(), socket());
    let flags = ["--listen=fd:clients", "--admin-listen=fd:admin"];
    // Whatever their order.
    let start = || Run::start(&origin, [&admin, &clients], "admin:clients", &flags);
    let run = start();
    assert_answered(&ask(connect(&at).await, GET).await);
    run.stop();
    let waiting = connect(&at).await;
    let answer = tokio::spawn(ask(waiting, GET));
    let run = start();
    assert_answered(&answer.await.unwrap());
    run.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn all_sockets_of_a_name_are_served() {
    const LIVE: &str = "GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let origin = origin().await;
    let ((one, at_one), (two, at_two)) = (socket(), socket());
    let clients = ["--listen=fd:both", "--admin-listen=127.0.0.1:0"];
    let run = Run::start(&origin, [&one, &two], "both:both", &clients);
    for at in [&at_one, &at_two] {
        assert_answered(&ask(connect(at).await, GET).await);
    }
    run.stop();
    let admin = ["--listen=127.0.0.1:0", "--admin-listen=fd:both"];
    let run = Run::start(&origin, [&one, &two], "both:both", &admin);
    for at in [&at_one, &at_two] {
        let answer = ask(connect(at).await, LIVE).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    }
    run.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_nobody_serves_is_said() {
    let origin = origin().await;
    let ((clients, _), (other, _)) = (socket(), socket());
    let flags = ["--listen=fd:clients", "--admin-listen=127.0.0.1:0"];
    let run = Run::start(&origin, [&clients, &other], "clients:forgotten", &flags);
    assert!(run.said.contains("fd:forgotten"), "{}", run.said);
}
