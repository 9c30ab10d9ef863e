//! Checkpoints in the log: wherever that is sent, they are out of the database's reach.

use std::time::{Duration, Instant};

/// A line a minute tells as much as one every few seconds: each says all that was before it.
const PAUSE: Duration = Duration::from_mins(1);

/// When a checkpoint was last written to the log.
#[derive(Default)]
pub(super) struct NoteLog(Option<Instant>);

// === impl NoteLog ===

impl NoteLog {
    pub(super) fn is_due(&self) -> bool {
        self.0.is_none_or(|at| at.elapsed() >= PAUSE)
    }

    pub(super) fn write(&mut self, note: &str) {
        self.0 = Some(Instant::now());
        // One line, so that it stays whole wherever lines go. `audit verify --checkpoint` takes it as it is
        // once `\n` is a line's end again.
        tracing::info!(target: "checkpoint", note, "checkpoint");
    }
}
