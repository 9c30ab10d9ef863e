//! What wakes whoever drives a connection to the origin.
//!
//! The parts of a connection (its socket, the channels within hyper) keep the waker that they were given
//! until something happens. With that of a task they would keep the task, and wake it long after the
//! connection has passed on to another; and each step of an exchange would wake the very task that
//! takes it. So they are given the connection's own bell, which rings for whoever has it in hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

use atomic_waker::AtomicWaker;

/// One connection's.
pub(super) struct Bell {
    ringer: Arc<Ringer>,
    /// Made once, so that whoever keeps it sees that it is the same.
    waker: Waker,
}

#[derive(Default)]
struct Ringer {
    task: AtomicWaker,
    is_hushed: AtomicBool,
}

// === impl Bell ===

impl Bell {
    pub(super) fn new() -> Self {
        let ringer = Arc::<Ringer>::default();
        let waker = Waker::from(Arc::clone(&ringer));
        Self { ringer, waker }
    }

    /// Rings for the task of `context` from now on.
    pub(super) fn ring_for(&self, context: &Context<'_>) {
        self.ringer.task.register(context.waker());
    }

    /// Rings for nobody.
    pub(super) fn ring_for_nobody(&self) {
        drop(self.ringer.task.take());
    }

    /// What is to be polled with.
    pub(super) fn context(&self) -> Context<'_> {
        Context::from_waker(&self.waker)
    }

    /// Does `work`, which may not ring. Whoever calls this must poll the connection before they wait.
    ///
    /// No ring is lost by that: what rings has first noted why, under the lock by which it is polled.
    pub(super) fn hushed<T>(&self, work: impl FnOnce() -> T) -> T {
        self.ringer.is_hushed.store(true, Ordering::Relaxed);
        let done = work();
        self.ringer.is_hushed.store(false, Ordering::Relaxed);
        done
    }
}

// === impl Ringer ===

impl Wake for Ringer {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_hushed.load(Ordering::Relaxed) {
            self.task.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Task(AtomicUsize);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn task() -> (Arc<Task>, Waker) {
        let task = Arc::<Task>::default();
        (Arc::clone(&task), Waker::from(task))
    }

    fn woken(task: &Task) -> usize {
        task.0.load(Ordering::Relaxed)
    }

    #[test]
    fn it_rings_for_whoever_had_the_connection_last() {
        let bell = Bell::new();
        let kept = bell.context().waker().clone();
        let (first, second) = (task(), task());
        bell.ring_for(&Context::from_waker(&first.1));
        kept.wake_by_ref();
        bell.ring_for(&Context::from_waker(&second.1));
        kept.wake_by_ref();
        assert_eq!((woken(&first.0), woken(&second.0)), (1, 1));
    }

    #[test]
    fn it_keeps_no_task_of_those_who_have_let_the_connection_go() {
        let bell = Bell::new();
        let kept = bell.context().waker().clone();
        let (task, waker) = task();
        bell.ring_for(&Context::from_waker(&waker));
        drop(waker);
        assert_eq!(Arc::strong_count(&task), 2);
        bell.ring_for_nobody();
        kept.wake();
        assert_eq!((woken(&task), Arc::strong_count(&task)), (0, 1));
    }

    #[test]
    fn it_does_not_ring_while_it_is_hushed() {
        let bell = Bell::new();
        let (task, waker) = task();
        bell.ring_for(&Context::from_waker(&waker));
        assert_eq!(bell.hushed(|| bell.context().waker().wake_by_ref()), ());
        assert_eq!(woken(&task), 0);
        bell.context().waker().wake_by_ref();
        assert_eq!(woken(&task), 1);
    }
}
