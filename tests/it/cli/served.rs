//! `serve`, as a test has it: before an origin that is not there, on free ports.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStderr, Stdio};
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
        };
        while served.address.is_empty() {
            let start = served.said.len();
            let read = served.stderr.read_line(&mut served.said).unwrap();
            assert!(read > 0, "it ended: {}", served.said);
            if let Some((_, address)) = served.said[start..].split_once("listening for clients on ")
            {
                served.address = address.trim().to_owned();
            }
        }
        served
    }

    /// The answer to `request`, both as bytes on the wire; the connection ends after it.
    pub(super) fn ask(&self, request: &str) -> String {
        let mut client = TcpStream::connect(&self.address).unwrap();
        client.set_read_timeout(Some(LIMIT)).unwrap();
        client.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Ends it, and says all that it has logged.
    pub(super) fn log(mut self) -> String {
        self.child.kill().unwrap();
        self.stderr.read_to_string(&mut self.said).unwrap();
        std::mem::take(&mut self.said)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
