//! The part of the Matrix specification that we know: which request-targets name the key-backup
//! preference, what its content says, and what an error answer looks like.
//!
//! Pure: bytes in, values out. Nothing here waits, reads a clock or opens a connection.
//!
//! The preference is the global account data of type `m.key_backup`
//! ([Matrix 1.19](https://spec.matrix.org/v1.19/client-server-api/#key-backup-enabled-preference)),
//! content `{"enabled": bool}`, and its unstable forerunner of
//! [MSC4287](https://github.com/matrix-org/matrix-spec-proposals/pull/4287), type
//! `m.org.matrix.custom.backup_disabled`, content `{"disabled": bool}`: the opposite sense.

pub mod content;
pub mod error;
pub mod route;

/// The two event types that carry the preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventType {
    /// `m.key_backup`, Matrix 1.19.
    Stable,
    /// `m.org.matrix.custom.backup_disabled`, MSC4287 before it was accepted.
    Unstable,
}

/// What the account data says: a wish about new sign-ins, not the state of a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Preference {
    /// `{"enabled": true}`, or `{"disabled": false}`.
    Enabled,
    /// `{"enabled": false}`, or `{"disabled": true}`.
    Disabled,
}

/// What a guarded request does to the preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// `PUT`.
    Write,
    /// `GET` or `HEAD`.
    Read,
    /// `DELETE`, MSC3391.
    Clear,
}

// === impl EventType ===

impl EventType {
    /// Both types.
    pub const ALL: [Self; 2] = [Self::Stable, Self::Unstable];

    /// The type as it stands in the path.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stable => "m.key_backup",
            Self::Unstable => "m.org.matrix.custom.backup_disabled",
        }
    }

    /// The one member that the spec's schema requires.
    #[must_use]
    pub const fn field(self) -> &'static str {
        match self {
            Self::Stable => "enabled",
            Self::Unstable => "disabled",
        }
    }

    /// The reverse of [`as_str`](Self::as_str).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == text)
    }

    /// What the type's member being `value` says.
    #[must_use]
    pub const fn preference(self, value: bool) -> Preference {
        match (self, value) {
            (Self::Stable, true) | (Self::Unstable, false) => Preference::Enabled,
            (Self::Stable, false) | (Self::Unstable, true) => Preference::Disabled,
        }
    }
}

// === impl Preference ===

impl Preference {
    /// Both preferences.
    pub const ALL: [Self; 2] = [Self::Enabled, Self::Disabled];

    /// The word that records hold.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
        }
    }

    /// The reverse of [`as_str`](Self::as_str).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == text)
    }
}

// === impl Action ===

impl Action {
    /// All actions.
    pub const ALL: [Self; 3] = [Self::Write, Self::Read, Self::Clear];

    /// The word that records hold.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Read => "read",
            Self::Clear => "clear",
        }
    }

    /// The reverse of [`as_str`](Self::as_str).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == text)
    }
}
