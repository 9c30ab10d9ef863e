//! `serve`, as a test has it: before an origin that is not there, on free ports.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use super::Desk;

const LIMIT: Duration = Duration::from_secs(20);
/// Nobody is at port 1.
const LINE: &str =
    "serve --origin http://127.0.0.1:1 --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0";

/// A gateway that ends with the test, however that ends.
pub(super) struct Served {
    child: Child,
    stderr: BufReader<ChildStderr>,
    said: String,
    address: String,
    admin: String,
}

impl Served {
    pub(super) fn start(desk: &Desk) -> Self {
        let mut child = desk.command(LINE).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let mut served = Self {
            child,
            stderr,
            said: String::new(),
            address: String::new(),
            admin: String::new(),
        };
        while served.address.is_empty() {
            let start = served.said.len();
            let read = served.stderr.read_line(&mut served.said).unwrap();
            assert!(read > 0, "it ended: {}", served.said);
            let line = &served.said[start..];
            if let Some((_, address)) = line.split_once("listening for administrators on ") {
                served.admin = address.trim().to_owned();
            }
            if let Some((_, address)) = line.split_once("listening for clients on ") {
                served.address = address.trim().to_owned();
            }
        }
        served
    }

    /// The answer to `request`, both as bytes on the wire; the connection ends after it.
    pub(super) fn ask(&self, request: &str) -> String {
        ask(&self.address, request)
    }

    /// The same of the admin listener.
    pub(super) fn ask_admin(&self, request: &str) -> String {
        ask(&self.admin, request)
    }

    /// Ends it as an operator does, and says all that it has logged.
    pub(super) fn stop(mut self) -> String {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(sent.unwrap().success());
        self.stderr.read_to_string(&mut self.said).unwrap();
        assert!(self.child.wait().unwrap().success());
        std::mem::take(&mut self.said)
    }

    /// Ends it, and says all that it has logged.
    pub(super) fn log(mut self) -> String {
        self.child.kill().unwrap();
        self.stderr.read_to_string(&mut self.said).unwrap();
        std::mem::take(&mut self.said)
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

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
