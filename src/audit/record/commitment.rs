//! Salted commitments to the personal fields of a record, one for each subject.
//!
//! What will be sealed is the commitment, never the field: erasing a user nulls that subject's
//! fields and salt, and whoever has only the commitment cannot test guesses against it.
//!
//! # Format, version 1
//!
//! `SHA-256(label ‖ 0x00 ‖ salt ‖ field…)`, where the label is
//! `key-backup-gateway/commitment/v1/claimed` (`…/authenticated`, `…/client`), the salt is 16
//! random bytes, and a field is `0x00` if it is null, else `0x01`, its length in bytes as a 32-bit
//! big-endian integer, and its bytes. A boolean is the text `true` or `false`. A list is `0x02`,
//! its length in elements as a 32-bit big-endian integer, and its elements as fields.

use sha2::{Digest, Sha256};

use super::Facts;

/// A salt and what it commits to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Commitment {
    /// 16 random bytes; `None` once the subject is erased.
    pub salt: Option<[u8; 16]>,
    /// The salted hash.
    pub hash: Option<[u8; 32]>,
}

struct Hash(Sha256);

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
        Hash::new("claimed", salt)
            .text(facts.claimed_user.as_deref())
            .finish()
    }

    /// The hash of `authenticated_user`, `device_id` and `is_guest` under `salt`.
    #[must_use]
    pub fn authenticated_hash(salt: &[u8; 16], facts: &Facts) -> [u8; 32] {
        let is_guest = facts
            .is_guest
            .map(|is_guest| if is_guest { "true" } else { "false" });
        Hash::new("authenticated", salt)
            .text(facts.authenticated_user.as_deref())
            .text(facts.device_id.as_deref())
            .text(is_guest)
            .finish()
    }

    /// The hash of `client_address`, `client_chain` and `user_agent` under `salt`.
    #[must_use]
    pub fn client_hash(salt: &[u8; 16], facts: &Facts) -> [u8; 32] {
        Hash::new("client", salt)
            .text(facts.client_address.as_deref())
            .list(&facts.client_chain)
            .text(facts.user_agent.as_deref())
            .finish()
    }

    /// # Panics
    ///
    /// If the operating system has no random bytes: no key, no id and no salt could be made.
    fn new(hash: impl FnOnce(&[u8; 16]) -> [u8; 32]) -> Self {
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).expect("the operating system has random bytes");
        Self {
            hash: Some(hash(&salt)),
            salt: Some(salt),
        }
    }
}

// === impl Hash ===

impl Hash {
    fn new(subject: &str, salt: &[u8; 16]) -> Self {
        let label = Sha256::new_with_prefix("key-backup-gateway/commitment/v1/");
        Self(
            label
                .chain_update(subject)
                .chain_update([0])
                .chain_update(salt),
        )
    }

    fn text(self, text: Option<&str>) -> Self {
        Self(match text {
            None => self.0.chain_update([0]),
            Some(text) => self
                .0
                .chain_update([1])
                .chain_update(length(text.len()))
                .chain_update(text),
        })
    }

    fn list(self, list: &[String]) -> Self {
        let list_head = self.0.chain_update([2]).chain_update(length(list.len()));
        list.iter()
            .fold(Self(list_head), |hash, text| hash.text(Some(text)))
    }

    fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

/// Fields are cut long before this saturates.
fn length(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()
}
