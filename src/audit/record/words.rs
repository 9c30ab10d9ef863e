//! The words that records hold, and that metrics, filters and exports use.

/// What sort of thing a record tells of. Stored: add new ones, never rename one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A guarded request.
    Exchange,
    /// Nothing happened.
    Heartbeat,
    /// A count of what was not recorded one by one.
    Collapsed,
    /// A user's personal data was erased.
    Tombstone,
    /// Something was done to the gateway.
    Operation,
}

/// Which half of a guarded write a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// The write is about to go to the origin.
    Intent,
    /// What became of the exchange.
    Outcome,
}

/// What became of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// We answered, and the origin was not asked.
    Refused,
    /// The origin answered.
    Answered,
    /// The origin may have acted; we do not know.
    Unanswered,
    /// Certainly never sent.
    Failed,
}

/// The word for a [`Verdict`](crate::policy::Verdict), without its reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Judged {
    /// [`Verdict::Accept`](crate::policy::Verdict::Accept).
    Accept,
    /// [`Verdict::Clear`](crate::policy::Verdict::Clear).
    Clear,
    /// [`Verdict::Refuse`](crate::policy::Verdict::Refuse).
    Refuse,
}

macro_rules! words {
    ($type:ty { $($variant:ident => $word:literal),+ $(,)? }) => {
        impl $type {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The word that records hold.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// The reverse of [`as_str`](Self::as_str).
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($word => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

words!(Kind {
    Exchange => "exchange",
    Heartbeat => "heartbeat",
    Collapsed => "collapsed",
    Tombstone => "tombstone",
    Operation => "operation",
});
words!(Phase { Intent => "intent", Outcome => "outcome" });
words!(Outcome {
    Refused => "refused",
    Answered => "answered",
    Unanswered => "unanswered",
    Failed => "failed",
});
words!(Judged { Accept => "accept", Clear => "clear", Refuse => "refuse" });
