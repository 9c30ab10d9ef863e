//! Nothing smuggled: what could be read in two ways is refused, or forwarded with one meaning.
//!
//! The origin here keeps the bytes of each connection, and answers what [`strict`] finds in them. A
//! request is followed by another, `/smuggled`, hidden behind it or in its body; and by an innocent
//! one over the same pooled connection, which must come out untouched.

mod chunks;
mod framing;
mod lines;
mod strict;
mod targets;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::timeout;

use self::strict::{Next, Strict};
use super::{Client, Gateway, closing};
use crate::origin::{Connection, Origin};

/// How long a client waits for more of an answer: what is not cut off goes on.
const QUIET: Duration = Duration::from_millis(300);

/// What must become of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Must {
    /// The origin hears nothing, and the client 4xx, or the end of its connection.
    BeRefused,
    /// The origin gets one request, with this body.
    Mean(&'static str),
    /// The origin may get the beginning of one, never the end; no answer is a success.
    BreakOff,
}

/// A request line with fields and body, and what must become of it.
type Case = (&'static str, &'static str, Must);

/// What all connections of an origin have heard.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<Said>>>);

#[derive(Clone, Debug)]
enum Said {
    Request(Strict),
    Part(Vec<u8>),
    Ambiguous(String, Vec<u8>),
}

/// Reads strictly, and answers whatever is a request.
async fn listen(mut connection: Connection, heard: Heard) {
    let mut bytes = Vec::new();
    loop {
        match strict::next(&bytes) {
            Next::Request(request, end) => {
                bytes.drain(..end);
                let answer = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood";
                heard.say(Said::Request(request));
                connection.send(answer.as_bytes()).await;
            }
            Next::Part => match connection.some().await {
                Some(some) => bytes.extend(some),
                None if bytes.is_empty() => return,
                None => return heard.say(Said::Part(bytes)),
            },
            Next::Ambiguous(why) => return heard.say(Said::Ambiguous(why, bytes)),
        }
    }
}

/// Sends each case of `table` to one gateway, with `around` put around it. Says all that is wrong at
/// once.
async fn hold(table: &[Case], around: impl Fn(&str) -> Vec<u8>) {
    let heard = Heard::default();
    let origin = Origin::start_raw({
        let heard = heard.clone();
        move |connection| listen(connection, heard.clone())
    })
    .await;
    let gateway = Gateway::before(&origin).await;
    let mut wrong = Vec::new();
    for (name, request, must) in table {
        let mut client = gateway.connect().await;
        client.send(around(request)).await;
        let answer = quiet(&mut client).await;
        drop(client);
        let innocent = gateway.ask(closing("GET /innocent HTTP/1.1")).await;
        if !innocent.starts_with("HTTP/1.1 200 ") || !innocent.ends_with("\r\n\r\ngood") {
            wrong.push(format!("{name}: the next request got {innocent:?}"));
        }
        if let Err(why) = judge(*must, &answer, &heard.take()) {
            wrong.push(format!("{name}: {why}\n  answer: {answer:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn judge(must: Must, answer: &str, heard: &[Said]) -> Result<(), String> {
    let mut meant = Vec::new();
    let mut innocents = 0;
    for said in heard {
        match said {
            Said::Request(request) if request.target == "/smuggled" => {
                return Err(format!("smuggled: {request:?}"));
            }
            Said::Request(request) if request.target == "/innocent" => innocents += 1,
            Said::Request(request) => meant.push(request),
            Said::Part(_) if must == Must::BreakOff => {}
            Said::Part(part) => return Err(format!("half of one: {}", part.escape_ascii())),
            Said::Ambiguous(why, bytes) => {
                return Err(format!("{why}, in {}", bytes.escape_ascii()));
            }
        }
    }
    if innocents != 1 {
        return Err(format!("{innocents} innocent requests: {heard:?}"));
    }
    let status = answer.get(9..12).unwrap_or_default();
    let one = answer.matches("HTTP/1.").count() == 1;
    match (must, &meant[..]) {
        (Must::BeRefused | Must::BreakOff, []) if answer.is_empty() => Ok(()),
        (Must::BeRefused | Must::BreakOff, []) if status.starts_with('4') && one => Ok(()),
        (Must::Mean(body), [request]) if request.body == body.as_bytes() => {
            if status == "200" && one {
                Ok(())
            } else {
                Err("not one answer".to_owned())
            }
        }
        _ => Err(format!("should {must:?}, is {meant:?}")),
    }
}

/// All that comes until the connection ends, or nothing more does.
async fn quiet(client: &mut Client) -> String {
    let mut all = Vec::new();
    while let Ok(Ok(1..)) = timeout(
        QUIET,
        tokio::io::AsyncReadExt::read_buf(&mut client.0, &mut all),
    )
    .await
    {}
    String::from_utf8_lossy(&all).into_owned()
}

// === impl Heard ===

impl Heard {
    fn say(&self, said: Said) {
        self.0.lock().unwrap().push(said);
    }

    fn take(&self) -> Vec<Said> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}
