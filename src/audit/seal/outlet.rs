//! Where checkpoints go besides the database, out of the reach of whoever owns that.

mod file;
mod log;
mod patient;

use std::path::PathBuf;
use std::sync::Arc;

use self::file::NoteFile;
pub(in crate::audit) use self::file::notes_in;
use self::log::NoteLog;
use self::patient::Patient;
use super::note::Verifiers;
use crate::audit::store::BoxFuture;

/// A place that takes checkpoints over HTTP, and gives back the newest.
pub trait Endpoint: Send + Sync + 'static {
    /// Its newest note; `None` if it has none yet.
    fn newest(&self) -> BoxFuture<'_, Result<Option<String>, String>>;

    /// Takes a note. To take one twice is harmless.
    fn publish<'a>(&'a self, note: &'a str) -> BoxFuture<'a, Result<(), String>>;
}

/// One place where checkpoints go.
pub(super) struct Outlet {
    kind: Kind,
    /// The size of the newest checkpoint that is there; `None` until it was looked for.
    pub(super) cursor: Option<i64>,
    /// What is there already was asked for: before that nothing may be put there, as it could hide what was.
    pub(super) is_asked: bool,
    /// Why the last attempt failed.
    pub(super) failure: Option<String>,
}

enum Kind {
    File(Patient),
    Log(NoteLog),
    Endpoint(Arc<dyn Endpoint>),
}

// === impl Outlet ===

impl Outlet {
    pub(super) fn file(path: PathBuf) -> Self {
        Self::new(Kind::File(Patient::new(NoteFile::new(path))))
    }

    pub(super) fn log() -> Self {
        Self::new(Kind::Log(NoteLog::default()))
    }

    pub(super) fn endpoint(endpoint: Arc<dyn Endpoint>) -> Self {
        Self::new(Kind::Endpoint(endpoint))
    }

    fn new(kind: Kind) -> Self {
        Self {
            is_asked: matches!(kind, Kind::Log(_)),
            kind,
            cursor: None,
            failure: None,
        }
    }

    /// What metrics call it.
    pub(super) fn name(&self) -> &'static str {
        match self.kind {
            Kind::File(_) => "file",
            Kind::Log(_) => "log",
            Kind::Endpoint(_) => "endpoint",
        }
    }

    /// The newest checkpoint that was put there, if it can be asked.
    pub(super) async fn newest(&self, verifiers: &Verifiers) -> Result<Option<String>, String> {
        match &self.kind {
            Kind::File(file) => {
                let tail = file.tail().await?;
                tail.map_or(Ok(None), |tail| file.file().newest_in(&tail, verifiers))
            }
            Kind::Log(_) => Ok(None),
            Kind::Endpoint(endpoint) => {
                let note = endpoint.newest().await?;
                note.map_or(Ok(None), |note| match verifiers.open(&note) {
                    Ok(_) => Ok(Some(note)),
                    Err(invalid) => Err(format!("its newest note is none of ours: {invalid}")),
                })
            }
        }
    }

    /// Whether it wants the checkpoint `note` now, or only a later one.
    pub(super) fn wants(&self, is_last: bool) -> bool {
        match &self.kind {
            Kind::Log(log) => is_last || log.is_due(),
            Kind::File(_) | Kind::Endpoint(_) => true,
        }
    }

    /// Whether it takes the newest only, whatever was between.
    pub(super) fn skips(&self) -> bool {
        matches!(self.kind, Kind::Log(_))
    }

    pub(super) async fn publish(&mut self, note: &str) -> Result<(), String> {
        match &mut self.kind {
            Kind::File(file) => file.write(note).await,
            Kind::Log(log) => {
                log.write(note);
                Ok(())
            }
            Kind::Endpoint(endpoint) => endpoint.publish(note).await,
        }
    }
}
