//! Says a thing aloud once a minute: a stranger could else fill the disk with it.

use std::sync::Arc;
use std::time::Duration;

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

/// Between two times.
const PAUSE: Duration = Duration::from_mins(1);

/// Clones share it.
#[derive(Clone)]
pub(super) struct Alarm(Arc<DefaultDirectRateLimiter>);

// === impl Alarm ===

impl Alarm {
    pub(super) fn new() -> Self {
        let quota = Quota::with_period(PAUSE).expect("a minute is no zero");
        Self(Arc::new(RateLimiter::direct(quota)))
    }

    /// Whether it may be said just now.
    pub(super) fn rings(&self) -> bool {
        self.0.check().is_ok()
    }
}
