//! Lines and rows, gathered into parts of a body.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::Filled;
use super::body::Sender;
use crate::audit::export::{Csv, Line, Sink, write_sealed};

/// How large a part is, at least.
const PART: usize = 64 << 10;

/// A JSON object a line.
pub(super) struct Jsonl {
    gathered: Vec<u8>,
    sender: Sender,
}

/// Rows of CSV.
pub(super) struct Rows {
    csv: Csv<Gathered>,
    gathered: Gathered,
    sender: Sender,
}

/// What the CSV writer keeps to itself otherwise.
#[derive(Clone, Default)]
struct Gathered(Arc<Mutex<Vec<u8>>>);

// === impl Jsonl ===

impl Jsonl {
    pub(super) fn new(sender: Sender) -> Self {
        Self {
            gathered: Vec::with_capacity(2 * PART),
            sender,
        }
    }
}

impl Sink for Jsonl {
    fn line(&mut self, line: &Line<'_>) -> io::Result<()> {
        write_sealed(&mut self.gathered, line)
    }

    async fn pause(&mut self) -> io::Result<()> {
        if self.gathered.len() < PART {
            return Ok(());
        }
        let next = Vec::with_capacity(2 * PART);
        let part = std::mem::replace(&mut self.gathered, next);
        self.sender.send(part.into()).await
    }

    fn end(&mut self, manifest: &str) -> io::Result<()> {
        writeln!(self.gathered, "{manifest}")
    }
}

impl Filled for Jsonl {
    async fn finish(self) -> io::Result<Sender> {
        self.sender.send(self.gathered.into()).await?;
        Ok(self.sender)
    }
}

// === impl Rows ===

impl Rows {
    pub(super) fn new(sender: Sender) -> io::Result<Self> {
        let gathered = Gathered::default();
        Ok(Self {
            csv: Csv::sealed(gathered.clone())?,
            gathered,
            sender,
        })
    }
}

impl Sink for Rows {
    fn line(&mut self, line: &Line<'_>) -> io::Result<()> {
        self.csv.write_sealed(line)
    }

    async fn pause(&mut self) -> io::Result<()> {
        match self.gathered.take(PART) {
            Some(part) => self.sender.send(part).await,
            None => Ok(()),
        }
    }

    /// CSV has no place for a manifest: the answer's field says what there is to say of it.
    fn end(&mut self, _: &str) -> io::Result<()> {
        self.csv.flush()
    }
}

impl Filled for Rows {
    async fn finish(self) -> io::Result<Sender> {
        if let Some(part) = self.gathered.take(1) {
            self.sender.send(part).await?;
        }
        Ok(self.sender)
    }
}

// === impl Gathered ===

impl Gathered {
    /// All of it, if it is at least so much.
    fn take(&self, least: usize) -> Option<Bytes> {
        let mut gathered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (gathered.len() >= least).then(|| std::mem::take(&mut *gathered).into())
    }
}

impl Write for Gathered {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut gathered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        gathered.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
