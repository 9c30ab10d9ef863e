//! Whether this machine's clock can be believed.
//!
//! `recorded_at` is this machine's clock, `stored_at` the database's. Both are kept; neither decides
//! anything. Within a run records are ordered by their ids, which never go back.

use std::time::Instant;

use chrono::{DateTime, TimeDelta, Utc};

use super::metrics::Metrics;

/// What is not worth a word: more than any network between a gateway and its database takes.
const TOLERATED: TimeDelta = TimeDelta::seconds(5);

/// What was seen of the clock.
#[derive(Debug, Default)]
pub(super) struct Skew {
    last: Option<(Instant, DateTime<Utc>)>,
    is_skewed: bool,
}

// === impl Skew ===

impl Skew {
    /// The database's clock said `database` when ours said `ours`.
    pub(super) fn saw(&mut self, ours: DateTime<Utc>, database: DateTime<Utc>, metrics: &Metrics) {
        let ahead = ours - database;
        metrics.clock_skew(ahead.as_seconds_f64());
        let is_skewed = ahead.abs() > TOLERATED;
        if is_skewed != self.is_skewed {
            let seconds = ahead.as_seconds_f64();
            if is_skewed {
                tracing::warn!(
                    seconds,
                    "this machine's clock and the database's differ: `recorded_at` is this machine's, \
                     `stored_at` the database's; is time synchronised on both?"
                );
            } else {
                tracing::info!(
                    seconds,
                    "this machine's clock and the database's agree again"
                );
            }
        }
        self.is_skewed = is_skewed;
    }

    /// Our clock says `ours`: says so if it was set since the last time. Returns by how much.
    pub(super) fn tick(&mut self, at: Instant, ours: DateTime<Utc>) -> Option<TimeDelta> {
        let (was_at, was) = self.last.replace((at, ours))?;
        let passed = TimeDelta::from_std(at.duration_since(was_at)).ok()?;
        let jump = (ours - was) - passed;
        (jump.abs() > TOLERATED).then(|| {
            tracing::warn!(
                seconds = jump.as_seconds_f64(),
                "this machine's clock was set: records of this run keep their order by id, and \
                 `recorded_at` jumps"
            );
            jump
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_clock_that_is_set_is_noticed_and_one_that_runs_is_not() {
        let (start, noon) = (
            Instant::now(),
            DateTime::UNIX_EPOCH + TimeDelta::days(20_000),
        );
        let later = |seconds| start + Duration::from_secs(seconds);
        let mut skew = Skew::default();
        assert_eq!(skew.tick(start, noon), None, "nothing to compare with");
        assert_eq!(skew.tick(later(10), noon + TimeDelta::seconds(11)), None);
        let back = noon + TimeDelta::seconds(21) - TimeDelta::hours(1);
        assert_eq!(skew.tick(later(20), back), Some(-TimeDelta::hours(1)));
        assert_eq!(
            skew.tick(later(30), back + TimeDelta::seconds(10)),
            None,
            "said once"
        );
    }
}
