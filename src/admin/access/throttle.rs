//! Wrong tokens are answered late, and then not at all.
//!
//! # Promise
//!
//! - The first [`FREE`] wrong tokens from an address are answered at once: people mistype. Each further one
//!   waits twice as long as the one before; many at once wait in a row.
//! - Whoever would have to wait longer than [`LONGEST_HELD`] is sent away, and told when to come back.
//! - The same holds for all addresses together, more generously, so that many addresses help nobody.
//! - Nobody who has a right token is kept out by the failures of others: they wait [`LONGEST_HELD`] at most.
//! - Waiting costs a timer, and no more than some dozen wait at once. So many addresses are told apart as
//!   [`TOLD_APART`] says; when there are more, the one that failed least lately is forgotten.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// So many wrong tokens from one address cost nothing.
const FREE: u32 = 3;
/// So many wrong tokens from everywhere cost nothing.
const FREE_TOGETHER: u32 = 30;
/// What the first that costs something waits; the next waits twice that, and so on.
const STEP: Duration = Duration::from_millis(500);
/// The same for all together.
const STEP_TOGETHER: Duration = Duration::from_millis(100);
/// It does not double for ever: a minute later one address may try again,
const LONGEST_STEP: Duration = Duration::from_mins(1);
/// and from everywhere one a second.
const LONGEST_STEP_TOGETHER: Duration = Duration::from_secs(1);
/// The longest that a request is held.
pub(super) const LONGEST_HELD: Duration = Duration::from_secs(5);
/// What is forgotten: failures so long ago.
const MEMORY: Duration = Duration::from_mins(15);
/// How many addresses are told apart: some 100 KiB.
const TOLD_APART: usize = 1000;

/// What has failed lately.
#[derive(Default)]
pub(super) struct Throttle(Mutex<State>);

/// An answer, later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slowed {
    /// After that.
    Held(Duration),
    /// At once, and it is: not before that.
    SentAway(Duration),
}

#[derive(Default)]
struct State {
    by_address: HashMap<Option<IpAddr>, Failures>,
    together: Failures,
}

#[derive(Clone, Copy, Default)]
struct Failures {
    count: u32,
    /// The last one, and until when the next must wait.
    last: Option<(Instant, Instant)>,
}

/// What is told apart: an IPv4 address, or the network that one customer has of IPv6.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

// === impl Throttle ===

impl Throttle {
    /// Takes down a wrong token from `address`, and says how its answer is slowed.
    pub(super) fn fail(&self, address: Option<IpAddr>, now: Instant) -> Slowed {
        let mut state = self.state();
        let state = &mut *state;
        let address = address.map(network);
        if !state.by_address.contains_key(&address) && state.by_address.len() >= TOLD_APART {
            state.forget(now);
        }
        let one = state.by_address.entry(address).or_default();
        let together = &mut state.together;
        let wait_together = together.wait(now);
        let wait = one.wait(now).max(wait_together);
        if wait > LONGEST_HELD {
            // It was not looked at, so it counts as none.
            return Slowed::SentAway(wait);
        }
        one.add(now, wait, FREE, STEP, LONGEST_STEP);
        // Not the wait of this address: it would be everybody's.
        together.add(
            now,
            wait_together,
            FREE_TOGETHER,
            STEP_TOGETHER,
            LONGEST_STEP_TOGETHER,
        );
        Slowed::Held(wait)
    }

    /// How long a right token from `address` waits; it makes up for what failed there before.
    pub(super) fn succeed(&self, address: Option<IpAddr>, now: Instant) -> Duration {
        let mut state = self.state();
        let one = state.by_address.remove(&address.map(network));
        let one = one.map_or(Duration::ZERO, |one| one.wait(now));
        one.max(state.together.wait(now)).min(LONGEST_HELD)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn forget(&mut self, now: Instant) {
        self.by_address.retain(|_, one| !one.are_forgotten(now));
        if self.by_address.len() < TOLD_APART {
            return;
        }
        let oldest = self.by_address.iter().min_by_key(|(_, one)| one.last);
        if let Some(oldest) = oldest.map(|(address, _)| *address) {
            self.by_address.remove(&oldest);
        }
    }
}

impl Failures {
    fn are_forgotten(&self, now: Instant) -> bool {
        self.last
            .is_none_or(|(last, until)| now >= until && now - last >= MEMORY)
    }

    fn wait(&self, now: Instant) -> Duration {
        self.last.map_or(Duration::ZERO, |(_, until)| {
            until.saturating_duration_since(now)
        })
    }

    /// One more, which is answered after `held`. The next waits from then.
    fn add(&mut self, now: Instant, held: Duration, free: u32, step: Duration, longest: Duration) {
        if self.are_forgotten(now) {
            self.count = 0;
        }
        self.count = self.count.saturating_add(1);
        let wait = match self.count.checked_sub(free) {
            None => Duration::ZERO,
            // Beyond that it is the longest in any case.
            Some(doubled) => longest.min(step * (1 << doubled.min(16))),
        };
        self.last = Some((now, now + held + wait));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)));
    const THERE: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2)));

    fn held(millis: u64) -> Slowed {
        Slowed::Held(Duration::from_millis(millis))
    }

    #[test]
    fn who_fails_again_and_again_waits_longer_and_is_sent_away() {
        let throttle = Throttle::default();
        let mut now = Instant::now();
        let mut waits = Vec::new();
        let retry_after = loop {
            match throttle.fail(HERE, now) {
                Slowed::Held(wait) => waits.push(wait.as_millis()),
                Slowed::SentAway(wait) => break wait,
            }
            now += Duration::from_millis(u64::try_from(*waits.last().unwrap()).unwrap());
        };
        assert_eq!(waits, [0, 0, 0, 500, 1000, 2000, 4000]);
        assert_eq!(retry_after, Duration::from_secs(8));
        assert_eq!(throttle.fail(THERE, now), held(0), "others do not wait");
        // Whoever comes back when they were told to is heard again; the wait has an end.
        for _ in 0..10 {
            now += match throttle.fail(HERE, now) {
                Slowed::Held(wait) | Slowed::SentAway(wait) => wait,
            };
        }
        now += LONGEST_STEP;
        assert_eq!(throttle.fail(HERE, now), held(0));
        assert_eq!(throttle.fail(HERE, now), Slowed::SentAway(LONGEST_STEP));
    }

    #[test]
    fn many_at_once_wait_in_a_row() {
        let throttle = Throttle::default();
        let now = Instant::now();
        let all: Vec<_> = (0..100).map(|_| throttle.fail(HERE, now)).collect();
        let is_held = |slowed: &&Slowed| matches!(slowed, Slowed::Held(_));
        assert_eq!(all.iter().filter(is_held).count(), 6, "{all:?}");
        assert_eq!(all[3..6], [held(500), held(1500), held(3500)]);
    }

    #[test]
    fn many_addresses_help_nobody() {
        let throttle = Throttle::default();
        let now = Instant::now();
        let fail = |at: u32| throttle.fail(Some(IpAddr::from(at.to_be_bytes())), now);
        let all: Vec<_> = (0..5000).map(fail).collect();
        let is_held = |slowed: &&Slowed| matches!(slowed, Slowed::Held(_));
        let held = all.iter().filter(is_held).count();
        assert!((30..50).contains(&held), "{held}");
        assert!(throttle.state().by_address.len() <= TOLD_APART);
    }

    #[test]
    fn a_right_token_waits_a_little_and_makes_up_for_mistakes() {
        let throttle = Throttle::default();
        let now = Instant::now();
        assert_eq!(throttle.succeed(HERE, now), Duration::ZERO);
        for _ in 0..100 {
            throttle.fail(HERE, now);
        }
        assert_eq!(throttle.succeed(HERE, now), LONGEST_HELD);
        assert_eq!(throttle.fail(HERE, now), held(0));
    }

    #[test]
    fn failures_are_forgotten() {
        let throttle = Throttle::default();
        let now = Instant::now();
        for _ in 0..4 {
            throttle.fail(HERE, now);
        }
        let later = now + MEMORY + LONGEST_STEP;
        for _ in 0..3 {
            assert_eq!(throttle.fail(HERE, later), held(0));
        }
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let throttle = Throttle::default();
        let now = Instant::now();
        let fail = |text: &str| throttle.fail(Some(text.parse().unwrap()), now);
        for address in ["2001:db8::1", "2001:db8::2", "2001:db8:0:0:ffff::"] {
            assert_eq!(fail(address), held(0));
        }
        assert_eq!(fail("2001:db8::4"), held(500));
        assert_eq!(fail("2001:db8:0:1::4"), held(0));
        assert_eq!(network("::ffff:192.0.2.1".parse().unwrap()), HERE.unwrap());
    }
}
