//! A thread with a runtime and connections of its own.

use tokio::sync::watch;
use tokio::time::Instant;

/// A thread that ends when it is told to, and says so.
pub(super) struct Thread {
    stop: watch::Sender<bool>,
    stopped: watch::Receiver<bool>,
}

// === impl Thread ===

impl Thread {
    /// Runs `work` on a thread of this name, until it ends; it is told when it should.
    ///
    /// # Errors
    ///
    /// What the operating system says, if there can be no thread.
    pub(super) fn start(
        name: &str,
        work: impl AsyncFnOnce(watch::Receiver<bool>) + Send + 'static,
    ) -> Result<Self, std::io::Error> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (stop, stopping) = watch::channel(false);
        let (done, stopped) = watch::channel(false);
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                runtime.block_on(work(stopping));
                let _ = done.send(true);
            })?;
        Ok(Self { stop, stopped })
    }

    /// Tells it to end, and waits for that until `limit`. Whether it has.
    pub(super) async fn end(&self, limit: Instant) -> bool {
        let _ = self.stop.send(true);
        let mut stopped = self.stopped.clone();
        let done = async { stopped.wait_for(|done| *done).await.is_ok() };
        tokio::time::timeout_at(limit, done).await.is_ok()
    }
}
