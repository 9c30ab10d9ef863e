//! The threads that serve: each has a runtime, connections to the origin, and clients of its own.
//!
//! All wait at the same sockets; whoever comes first takes the next client, and keeps it. So a request
//! meets no lock and no other core on its way, and a worker that has much to do takes on fewer. The first
//! is the thread that all are started on.

use std::convert::Infallible;
use std::io;
use std::thread::{self, JoinHandle};

use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::listen::{Listener, Stage};

/// All of them.
pub(super) struct Workers {
    here: JoinSet<()>,
    threads: Vec<JoinHandle<()>>,
    stage: watch::Receiver<Stage>,
    /// Each thread has one until nothing is open there any more.
    open: mpsc::Sender<Infallible>,
    all_closed: mpsc::Receiver<Infallible>,
}

// === impl Workers ===

impl Workers {
    /// None yet; `stage` tells them what to do.
    pub(super) fn new(stage: watch::Receiver<Stage>) -> Self {
        let (open, all_closed) = mpsc::channel(1);
        Self {
            here: JoinSet::new(),
            threads: Vec::new(),
            stage,
            open,
            all_closed,
        }
    }

    /// Starts one more, which does what `serve` says at each of the sockets of `listeners`.
    ///
    /// # Errors
    ///
    /// For want of descriptors or threads.
    pub(super) fn start<F>(
        &mut self,
        listeners: &[Listener],
        serve: impl Fn(Listener) -> F,
    ) -> io::Result<()>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        if self.here.is_empty() {
            for listener in listeners {
                self.here.spawn(serve(listener.again()?));
            }
            return Ok(());
        }
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let mut serving = JoinSet::new();
        for listener in listeners {
            let _context = runtime.enter();
            serving.spawn(serve(listener.again()?));
        }
        let (open, stage) = (self.open.clone(), self.stage.clone());
        let thread = thread::Builder::new().name(format!("worker-{}", self.threads.len() + 1));
        self.threads
            .push(thread.spawn(move || work(runtime, serving, open, stage))?);
        Ok(())
    }

    /// Ends when nothing is open any more.
    pub(super) async fn closed(&mut self) {
        while self.here.join_next().await.is_some() {}
        // Ours, or it would never be the last.
        let (ours, _) = mpsc::channel(1);
        drop(std::mem::replace(&mut self.open, ours));
        while self.all_closed.recv().await.is_some() {}
    }

    /// Drops what is open here; the stage says it to the others.
    pub(super) async fn cut(&mut self) {
        self.here.shutdown().await;
        self.closed().await;
    }

    /// Waits for the threads, once the stage is [`Stage::Over`].
    pub(super) fn join(self) {
        for thread in self.threads {
            // A panic has been printed by the panic hook.
            let _ = thread.join();
        }
    }
}

/// What a thread does.
fn work(
    runtime: Runtime,
    mut serving: JoinSet<()>,
    open: mpsc::Sender<Infallible>,
    mut stage: watch::Receiver<Stage>,
) {
    runtime.block_on(async move {
        let all_ended = async { while serving.join_next().await.is_some() {} };
        tokio::select! {
            () = all_ended => {}
            _ = stage.wait_for(|stage| *stage >= Stage::Cut) => {}
        }
        serving.shutdown().await;
        drop(open);
        // Guarded writes go on here, without their clients.
        let _ = stage.wait_for(|stage| *stage == Stage::Over).await;
    });
    // Dropped, it would wait for a name that is still being looked up, however long that takes.
    runtime.shutdown_background();
}
