//! Whose writes were refused, in bounded memory.

use std::collections::HashMap;

/// How many refusals of one user have a record each in one round.
pub(super) const SINGLY: u64 = 20;
/// How many users are told apart: at most 255 bytes and some 50 more each.
pub(super) const TOLD_APART: usize = 10_000;

/// Counts by user.
#[derive(Default)]
pub(super) struct Users {
    refusals: HashMap<String, u64>,
    of_others: u64,
}

// === impl Users ===

impl Users {
    /// Counts a refusal of `user`. Whether it gets a record of its own.
    pub(super) fn takes(&mut self, user: &str) -> bool {
        if let Some(refusals) = self.refusals.get_mut(user) {
            *refusals += 1;
            return *refusals <= SINGLY;
        }
        if self.refusals.len() < TOLD_APART {
            self.refusals.insert(user.to_owned(), 1);
            return true;
        }
        self.of_others += 1;
        false
    }

    /// How many refusals of users that are not told apart have no record.
    pub(super) fn of_others(&self) -> u64 {
        self.of_others
    }

    /// How many refusals of whom have no record; nobody who has none, in the order of their names.
    pub(super) fn into_collapsed(self) -> Vec<(String, u64)> {
        let mut collapsed: Vec<_> = self
            .refusals
            .into_iter()
            .filter(|(_, refusals)| *refusals > SINGLY)
            .map(|(user, refusals)| (user, refusals - SINGLY))
            .collect();
        collapsed.sort_unstable();
        collapsed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_user_has_twenty_records_and_then_a_count() {
        let mut users = Users::default();
        let singly = (0..50).filter(|_| users.takes("@alice:h")).count();
        assert_eq!(singly, 20);
        assert_eq!((0..20).filter(|_| users.takes("@bob:h")).count(), 20);
        assert_eq!(users.of_others(), 0);
        assert_eq!(users.into_collapsed(), [("@alice:h".to_owned(), 30)]);
    }

    #[test]
    fn of_more_than_ten_thousand_users_the_rest_are_summed() {
        let mut users = Users::default();
        for n in 0..TOLD_APART {
            assert!(users.takes(&format!("@user-{n}:h")));
        }
        assert!(!users.takes("@one-more:h") && !users.takes("@another:h"));
        assert!(users.takes("@user-0:h"), "known ones go on");
        assert_eq!((users.refusals.len(), users.of_others()), (TOLD_APART, 2));
    }
}
