//! `[limits]`: how much is taken on.

use serde::Deserialize;

use crate::{guard, proxy};

/// `[limits]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// How many writes a second are forwarded while nobody can say whose they are.
    pub unknown_per_second: u32,
    /// How many guarded writes a minute one user may send; 0 is any number.
    pub guarded_per_user: u32,
    /// How many connections of clients are open at once, over all listeners.
    pub connections: usize,
    /// How many field lines a head may have.
    pub fields: usize,
    /// How many bytes a head may have.
    pub heads: usize,
}

// === impl Limits ===

impl Limits {
    /// What concerns the guard.
    #[must_use]
    pub fn guard(&self) -> guard::Limits {
        guard::Limits {
            unknown_per_second: self.unknown_per_second,
            guarded_per_user: self.guarded_per_user,
        }
    }

    /// What concerns the origin's answers: the same as clients' requests.
    #[must_use]
    pub const fn proxy(&self) -> proxy::Limits {
        proxy::Limits {
            fields: self.fields,
            heads: self.heads,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        let proxy::Limits { fields, heads } = proxy::Limits::default();
        let guard::Limits {
            unknown_per_second,
            guarded_per_user,
        } = guard::Limits::default();
        Self {
            unknown_per_second,
            guarded_per_user,
            // More than some thousand users need for their `/sync`. With a connection to the origin
            // for each it is a third of the descriptors that our unit allows; an idle one costs some
            // 50 KiB.
            connections: 10_000,
            fields,
            heads,
        }
    }
}
