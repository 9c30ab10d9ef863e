//! A file on a disk that may hang: nobody waits for it longer than for anything else.

use std::sync::Mutex;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::file::NoteFile;

/// For reading the end of a file, or for appending to it.
const LIMIT: Duration = Duration::from_secs(10);

/// A file, and what still hangs in it.
pub(super) struct Patient {
    file: NoteFile,
    hanging: Mutex<Option<JoinHandle<()>>>,
}

// === impl Patient ===

impl Patient {
    pub(super) fn new(file: NoteFile) -> Self {
        Self {
            file,
            hanging: Mutex::default(),
        }
    }

    pub(super) fn file(&self) -> &NoteFile {
        &self.file
    }

    pub(super) async fn tail(&self) -> Result<Option<String>, String> {
        let file = self.file.clone();
        self.within(move || file.end()).await
    }

    pub(super) async fn write(&self, note: &str) -> Result<(), String> {
        let (file, note) = (self.file.clone(), note.to_owned());
        self.within(move || file.append(&note)).await
    }

    async fn within<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        const HANGS: &str = "its disk does not answer";
        if self.hangs() {
            return Err(HANGS.to_owned());
        }
        let (done, result) = tokio::sync::oneshot::channel();
        let task = tokio::task::spawn_blocking(move || {
            // Nobody may listen any more.
            let _ = done.send(work());
        });
        match tokio::time::timeout(LIMIT, result).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err("it could not be worked on".to_owned()),
            Err(_) => {
                *self
                    .hanging
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner) = Some(task);
                Err(HANGS.to_owned())
            }
        }
    }

    fn hangs(&self) -> bool {
        let hanging = self.hanging.lock();
        let hanging = hanging.unwrap_or_else(std::sync::PoisonError::into_inner);
        hanging.as_ref().is_some_and(|task| !task.is_finished())
    }
}
