//! Salted commitments to the personal fields of a record, one for each subject.
//!
//! What will be sealed is the commitment, never the field: erasing a user nulls that subject's
//! fields and salt, and whoever has only the commitment cannot test guesses against it.
//!
//! # Format, version 1
//!
//! `SHA-256(label ‖ 0x00 ‖ salt ‖ value…)`, where the label is
//! `key-backup-gateway/commitment/v1/claimed` (`…/authenticated`, `…/client`), and the salt is 16
//! random bytes. A boolean is the text `true` or `false`. What the bytes of a value are, `value.rs` says.

use std::cell::RefCell;

use sha2::{Digest, Sha256};

use super::Facts;
use super::value::Values;

/// A salt and what it commits to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Commitment {
    /// 16 random bytes; `None` once the subject is erased.
    pub salt: Option<[u8; 16]>,
    /// The salted hash.
    pub hash: Option<[u8; 32]>,
}

// === impl Commitment ===

impl Commitment {
    /// To what the claimed user's subject owns, under a new salt.
    pub(super) fn to_claimed(facts: &Facts) -> Self {
        Self::new(|salt| Self::claimed_hash(salt, facts))
    }

    /// To what the authenticated user's subject owns, under a new salt.
    pub(super) fn to_authenticated(facts: &Facts) -> Self {
        Self::new(|salt| Self::authenticated_hash(salt, facts))
    }

    /// To what the client's subject owns, under a new salt.
    pub(super) fn to_client(facts: &Facts) -> Self {
        Self::new(|salt| Self::client_hash(salt, facts))
    }

    /// The hash of `claimed_user` under `salt`.
    #[must_use]
    pub fn claimed_hash(salt: &[u8; 16], facts: &Facts) -> [u8; 32] {
        Self::claimed_hash_of(salt, facts.claimed_user.as_deref())
    }

    /// The hash of `authenticated_user`, `device_id` and `is_guest` under `salt`.
    #[must_use]
    pub fn authenticated_hash(salt: &[u8; 16], facts: &Facts) -> [u8; 32] {
        let (user, device) = (&facts.authenticated_user, &facts.device_id);
        Self::authenticated_hash_of(salt, user.as_deref(), device.as_deref(), facts.is_guest)
    }

    /// The hash of `client_address`, `client_chain` and `user_agent` under `salt`.
    #[must_use]
    pub fn client_hash(salt: &[u8; 16], facts: &Facts) -> [u8; 32] {
        let (address, agent) = (&facts.client_address, &facts.user_agent);
        Self::client_hash_of(
            salt,
            address.as_deref(),
            &facts.client_chain,
            agent.as_deref(),
        )
    }

    pub(in crate::audit) fn claimed_hash_of(salt: &[u8; 16], user: Option<&str>) -> [u8; 32] {
        finish(subject(CLAIMED, salt).text(user))
    }

    pub(in crate::audit) fn authenticated_hash_of(
        salt: &[u8; 16],
        user: Option<&str>,
        device: Option<&str>,
        is_guest: Option<bool>,
    ) -> [u8; 32] {
        let is_guest = is_guest.map(|is_guest| if is_guest { "true" } else { "false" });
        let mut values = subject(AUTHENTICATED, salt);
        finish(values.text(user).text(device).text(is_guest))
    }

    pub(in crate::audit) fn client_hash_of<T: AsRef<str>>(
        salt: &[u8; 16],
        address: Option<&str>,
        chain: &[T],
        agent: Option<&str>,
    ) -> [u8; 32] {
        finish(subject(CLIENT, salt).text(address).list(chain).text(agent))
    }

    fn new(hash: impl FnOnce(&[u8; 16]) -> [u8; 32]) -> Self {
        let salt = SALTS.with_borrow_mut(Salts::next);
        Self {
            hash: Some(hash(&salt)),
            salt: Some(salt),
        }
    }
}

/// How many salts one system call makes: each would cost as much as the hash over it.
const AT_ONCE: usize = 64;

/// Random bytes that have not been used.
struct Salts {
    fresh: [[u8; 16]; AT_ONCE],
    left: usize,
}

thread_local! {
    static SALTS: RefCell<Salts> = const { RefCell::new(Salts::new()) };
}

const CLAIMED: &str = "key-backup-gateway/commitment/v1/claimed";
const AUTHENTICATED: &str = "key-backup-gateway/commitment/v1/authenticated";
const CLIENT: &str = "key-backup-gateway/commitment/v1/client";

/// The values of a subject, under its label and its salt.
fn subject(label: &str, salt: &[u8; 16]) -> Values {
    let mut values = Values::of(label);
    values.raw(salt);
    values
}

fn finish(values: &Values) -> [u8; 32] {
    Sha256::digest(values.as_bytes()).into()
}

// === impl Salts ===

impl Salts {
    const fn new() -> Self {
        Self {
            fresh: [[0; 16]; AT_ONCE],
            left: 0,
        }
    }

    /// # Panics
    ///
    /// If the operating system has no random bytes: no key, no id and no salt could be made.
    fn next(&mut self) -> [u8; 16] {
        if self.left == 0 {
            getrandom::fill(self.fresh.as_flattened_mut())
                .expect("the operating system has random bytes");
            self.left = AT_ONCE;
        }
        self.left -= 1;
        // It stays in the record alone.
        std::mem::take(&mut self.fresh[self.left])
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_salt_comes_twice() {
        let salts = (0..3 * AT_ONCE).map(|_| SALTS.with_borrow_mut(Salts::next));
        let salts: HashSet<_> = salts.collect();
        assert_eq!(salts.len(), 3 * AT_ONCE);
        assert!(!salts.contains(&[0; 16]));
    }
}
