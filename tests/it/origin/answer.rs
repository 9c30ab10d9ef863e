//! What the origin double says, and what it does then.

use std::time::Duration;

/// What the double does about a request, step by step. After the last one the connection is kept.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer(Vec<Step>);

#[derive(Clone, Debug)]
pub(super) enum Step {
    Send(Vec<u8>),
    Wait(Duration),
    Close,
    Reset,
    Stall,
}

// === impl Answer ===

impl Answer {
    pub(super) fn steps(self) -> Vec<Step> {
        self.0
    }

    /// `status` (code and reason) with a JSON body.
    pub(crate) fn json(status: &str, body: &str) -> Self {
        let length = body.len();
        let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\n");
        Self::bytes(format!("{head}Content-Length: {length}\r\n\r\n{body}"))
    }

    /// These very bytes; if they are not all of an answer, go on with the methods below.
    pub(crate) fn bytes(bytes: impl AsRef<[u8]>) -> Self {
        Self::default().then(Step::Send(bytes.as_ref().to_vec()))
    }

    /// After `time`, these bytes.
    pub(crate) fn after(time: Duration, bytes: impl AsRef<[u8]>) -> Self {
        Self::default()
            .then(Step::Wait(time))
            .then(Step::Send(bytes.as_ref().to_vec()))
    }

    /// Nothing, ever; the connection stays open.
    pub(crate) fn stall() -> Self {
        Self::default().then(Step::Stall)
    }

    /// … then waits for `time`.
    pub(crate) fn wait(self, time: Duration) -> Self {
        self.then(Step::Wait(time))
    }

    /// … then closes the connection.
    pub(crate) fn close(self) -> Self {
        self.then(Step::Close)
    }

    /// … then resets the connection.
    pub(crate) fn reset(self) -> Self {
        self.then(Step::Reset)
    }

    fn then(mut self, step: Step) -> Self {
        self.0.push(step);
        self
    }
}
