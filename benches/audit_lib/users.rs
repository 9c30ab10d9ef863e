//! Who writes: the same people as in the trail that `benches/audit` makes.

/// How many there are. `dataset.py` has the same number.
pub(crate) const USERS: u64 = 100_000;
/// How many of them a load has: less than are remembered, so that whoami is not asked.
const ACTIVE: u64 = 4_096;

/// One of those who are active, spread over all.
pub(crate) fn spread(number: u64) -> u64 {
    // A prime, so that neighbours are far from each other.
    (number % ACTIVE) * 7_919 % USERS
}

/// The name of user `number`.
pub(crate) fn name(number: u64) -> String {
    format!("@user{number}:example.org")
}
