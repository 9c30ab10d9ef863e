//! What time it is, as a parameter.
//!
//! Nothing else in the crate reads the system's clock for a date: a test that needs yesterday hands
//! in a [`MockClock`].

use std::sync::Mutex;

use chrono::{DateTime, TimeDelta, Utc};

/// A source of the current time.
pub trait Clock: Send + Sync + 'static {
    /// Now, UTC, cut to microseconds: what both stores keep.
    fn now(&self) -> DateTime<Utc>;
}

/// The clock of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

/// A clock that stands still until a test moves it.
#[derive(Debug)]
pub struct MockClock(Mutex<DateTime<Utc>>);

/// `time` without what is finer than a microsecond.
#[must_use]
pub fn to_micros(time: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(time.timestamp_micros()).unwrap_or(time)
}

// === impl SystemClock ===

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that may")]
    fn now(&self) -> DateTime<Utc> {
        to_micros(Utc::now())
    }
}

// === impl MockClock ===

impl MockClock {
    /// A clock that says `now`.
    #[must_use]
    pub fn new(now: DateTime<Utc>) -> Self {
        Self(Mutex::new(to_micros(now)))
    }

    /// Moves the clock, forward or back.
    ///
    /// # Panics
    ///
    /// If the time leaves what chrono can hold.
    pub fn advance(&self, by: TimeDelta) {
        *self.lock() += by;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, DateTime<Utc>> {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Clock for MockClock {
    fn now(&self) -> DateTime<Utc> {
        *self.lock()
    }
}
