//! `[limits]`, as far as the guard keeps to them: how much is taken on.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::Clock as _;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use moka::future::Cache;

/// How much is taken on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many writes a second are forwarded while nobody can say whose they are.
    pub unknown_per_second: u32,
    /// How many guarded writes a minute one authenticated user may send; 0 is any number.
    pub guarded_per_user: u32,
}

/// How many users' writes are counted apart, at some 600 bytes each. Those who write most are kept when
/// there are more, so that whoever is over the limit does not get away.
const USERS: u64 = 10_000;
/// After so long without a write a user has their whole number again, as if never seen.
const MINUTE: Duration = Duration::from_mins(1);

/// Keeps to [`Limits`].
pub(super) struct Limiter {
    /// `None`: no write at all is taken on.
    unknown: Option<DefaultDirectRateLimiter>,
    /// `None`: any number is.
    of_users: Option<OfUsers>,
}

struct OfUsers {
    quota: Quota,
    users: Cache<String, Arc<DefaultDirectRateLimiter>>,
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Self {
            // More than the whole of a large homeserver's users turn backup on or off in a second.
            unknown_per_second: 10,
            // The homeserver has limits of its own, and clients write a few times a year.
            guarded_per_user: 0,
        }
    }
}

// === impl Limiter ===

impl Limiter {
    pub(super) fn new(limits: &Limits) -> Self {
        let unknown = NonZeroU32::new(limits.unknown_per_second)
            .map(|most| RateLimiter::direct(Quota::per_second(most)));
        let of_users = NonZeroU32::new(limits.guarded_per_user).map(|most| OfUsers {
            quota: Quota::per_minute(most),
            users: Cache::builder()
                .max_capacity(USERS)
                .time_to_idle(MINUTE)
                .build(),
        });
        Self { unknown, of_users }
    }

    /// Whether one more write without a known user is taken on just now.
    pub(super) fn takes_unknown(&self) -> bool {
        self.unknown
            .as_ref()
            .is_some_and(|limit| limit.check().is_ok())
    }

    /// Whether one more write of `user` is taken on just now. `Err`: not before so long.
    pub(super) async fn takes_write(&self, user: &str) -> Result<(), Duration> {
        let Some(OfUsers { quota, users }) = &self.of_users else {
            return Ok(());
        };
        let fresh = async { Arc::new(RateLimiter::direct(*quota)) };
        let limit = users.get_with_by_ref(user, fresh).await;
        limit
            .check()
            .map_err(|not_until| not_until.wait_time_from(limit.clock().now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn per_user(most: u32) -> Limiter {
        Limiter::new(&Limits {
            guarded_per_user: most,
            ..Limits::default()
        })
    }

    #[tokio::test]
    async fn each_user_has_the_whole_number_and_is_told_how_long_to_wait() {
        let limiter = per_user(3);
        for user in ["@alice:h", "@bob:h"] {
            for _ in 0..3 {
                assert_eq!(limiter.takes_write(user).await, Ok(()));
            }
            let wait = limiter.takes_write(user).await.unwrap_err();
            // A third of a minute, less the time that has passed.
            let (least, most) = (Duration::from_secs(1), Duration::from_secs(20));
            assert!(least < wait && wait <= most, "{wait:?}");
        }
    }

    #[tokio::test]
    async fn zero_is_no_limit() {
        let limiter = per_user(0);
        for _ in 0..1000 {
            assert_eq!(limiter.takes_write("@alice:h").await, Ok(()));
        }
    }

    #[tokio::test]
    async fn a_crowd_of_users_does_not_free_one_who_is_over_the_limit() {
        let limiter = per_user(3);
        let mut taken = 0;
        for n in 0..3 * USERS {
            let _ = limiter.takes_write(&format!("@user-{n}:h")).await;
            if n % 100 == 0 {
                taken += u32::from(limiter.takes_write("@alice:h").await.is_ok());
            }
        }
        let of_users = limiter.of_users.as_ref().unwrap();
        of_users.users.run_pending_tasks().await;
        assert!(of_users.users.entry_count() <= USERS);
        // Three, and what a slow machine gives back meanwhile; 300 were asked for.
        assert!(taken < 30, "{taken}");
    }
}
