//! (event type, bytes) → verdict.
//!
//! Pure, and without HTTP: what a verdict means for the answer is the guard's business. What we do
//! not like about a body is a [`Violation`], with a code that is stored, counted and alerted on.

use serde::Deserialize;

use crate::matrix::content::{self, Said, ShapeError};
use crate::matrix::error::ErrCode;
use crate::matrix::{EventType, Preference};

/// What is thought of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It says a preference.
    Accept(Preference),
    /// It is `{}`.
    Clear,
    /// It must not reach the homeserver.
    Refuse(Violations),
}

/// Why a body is refused. Codes are stored: add new ones, never rename one.
///
/// The order is that of the table in the README: the first one picks the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Violation {
    /// Not one JSON text in UTF-8.
    NotJson,
    /// JSON, but not an object.
    NotAnObject,
    /// The schema's member is missing.
    FieldMissing,
    /// The schema's member is not boolean.
    FieldNotBoolean,
    /// A member comes twice.
    DuplicateMember,
    /// A lone surrogate or U+0000.
    UnportableText,
    /// A number that some parsers round.
    UnportableNumber,
    /// Nested too deep.
    TooDeep,
    /// Longer than [`Config::body_limit`].
    TooLarge,
    /// A `Content-Encoding` other than identity.
    Encoded,
    /// A member beside the schema's, where [`Config::extra_members`] refuses them.
    ExtraMember,
    /// A clear, where [`Config::clear`] refuses them.
    ClearRefused,
}

/// One or more violations, each once, in the order of [`Violation`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violations(Vec<Violation>);

/// What is done about a refusal. Configured with the policy, acted on by the exchange, unknown to
/// the judge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Answer it ourselves; the homeserver never sees the body.
    #[default]
    Enforce,
    /// Record it, and forward the body all the same.
    Observe,
}

/// Whether something that the schema allows is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    /// As the specification's schema does.
    #[default]
    Allow,
    /// Refuse it.
    Refuse,
}

/// `[policy]`: what is refused, and what is done about it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Enforce, or only observe.
    pub mode: Mode,
    /// The longest body of a guarded write, in bytes.
    pub body_limit: usize,
    /// Members beside the schema's.
    pub extra_members: Choice,
    /// `{}`, and `DELETE`.
    pub clear: Choice,
}

/// Judges bodies by a [`Config`].
#[derive(Clone, Debug)]
pub struct Policy {
    extra_members: Choice,
    clear: Choice,
}

// === impl Verdict ===

impl Verdict {
    /// The word that records and metrics hold.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Accept(_) => "accept",
            Self::Clear => "clear",
            Self::Refuse(_) => "refuse",
        }
    }

    /// The preference that was accepted.
    #[must_use]
    pub const fn preference(&self) -> Option<Preference> {
        match self {
            Self::Accept(preference) => Some(*preference),
            Self::Clear | Self::Refuse(_) => None,
        }
    }

    /// What is wrong; empty if nothing is.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        match self {
            Self::Refuse(violations) => violations.as_slice(),
            Self::Accept(_) | Self::Clear => &[],
        }
    }

    /// The same verdict with one more violation: for what is wrong with the message around the
    /// bytes.
    #[must_use]
    pub fn with(self, violation: Violation) -> Self {
        let mut all = self.violations().to_vec();
        all.push(violation);
        Self::from_violations(all).unwrap_or(self)
    }

    /// A refusal for one reason.
    #[must_use]
    pub fn refuse(violation: Violation) -> Self {
        Self::Refuse(Violations(vec![violation]))
    }

    fn from_violations(mut all: Vec<Violation>) -> Option<Self> {
        all.sort_unstable();
        all.dedup();
        (!all.is_empty()).then_some(Self::Refuse(Violations(all)))
    }
}

// === impl Violation ===

impl Violation {
    /// All of them, in order.
    pub const ALL: [Self; 12] = [
        Self::NotJson,
        Self::NotAnObject,
        Self::FieldMissing,
        Self::FieldNotBoolean,
        Self::DuplicateMember,
        Self::UnportableText,
        Self::UnportableNumber,
        Self::TooDeep,
        Self::TooLarge,
        Self::Encoded,
        Self::ExtraMember,
        Self::ClearRefused,
    ];

    /// The code that records and metrics hold.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::NotJson => "not_json",
            Self::NotAnObject => "not_an_object",
            Self::FieldMissing => "field_missing",
            Self::FieldNotBoolean => "field_not_boolean",
            Self::DuplicateMember => "duplicate_member",
            Self::UnportableText => "unportable_text",
            Self::UnportableNumber => "unportable_number",
            Self::TooDeep => "too_deep",
            Self::TooLarge => "too_large",
            Self::Encoded => "encoded",
            Self::ExtraMember => "extra_member",
            Self::ClearRefused => "clear_refused",
        }
    }

    /// The reverse of [`code`](Self::code).
    #[must_use]
    pub fn parse(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.code() == code)
    }

    /// The errcode of a refusal for it.
    #[must_use]
    pub const fn errcode(self) -> ErrCode {
        match self {
            Self::NotJson => ErrCode::NotJson,
            Self::NotAnObject
            | Self::FieldMissing
            | Self::FieldNotBoolean
            | Self::DuplicateMember
            | Self::UnportableText
            | Self::UnportableNumber
            | Self::TooDeep
            | Self::Encoded
            | Self::ExtraMember => ErrCode::BadJson,
            Self::TooLarge => ErrCode::TooLarge,
            Self::ClearRefused => ErrCode::Forbidden,
        }
    }

    /// What is wrong, for people: what a refusal for it says.
    #[must_use]
    pub fn message(self, event_type: EventType) -> String {
        let field = event_type.field();
        match self {
            Self::NotJson => "The body is not one JSON text in UTF-8".to_owned(),
            Self::NotAnObject => "The body must be a JSON object".to_owned(),
            Self::FieldMissing => format!("{field} is missing"),
            Self::FieldNotBoolean => format!("{field} must be true or false"),
            Self::DuplicateMember => "A member of the body comes twice".to_owned(),
            Self::UnportableText => "The body holds a lone surrogate or U+0000".to_owned(),
            Self::UnportableNumber => {
                "The body holds a number that not every JSON parser can keep".to_owned()
            }
            Self::TooDeep => "The body is nested too deep".to_owned(),
            Self::TooLarge => "The body is too large".to_owned(),
            Self::Encoded => "The body must not have a Content-Encoding".to_owned(),
            Self::ExtraMember => format!("Only {field} is allowed in the body"),
            Self::ClearRefused => {
                "This homeserver does not allow clearing the preference".to_owned()
            }
        }
    }
}

impl From<ShapeError> for Violation {
    fn from(error: ShapeError) -> Self {
        match error {
            ShapeError::NotJson => Self::NotJson,
            ShapeError::NotAnObject => Self::NotAnObject,
            ShapeError::FieldMissing => Self::FieldMissing,
            ShapeError::FieldNotBoolean => Self::FieldNotBoolean,
            ShapeError::DuplicateMember => Self::DuplicateMember,
            ShapeError::UnportableText => Self::UnportableText,
            ShapeError::UnportableNumber => Self::UnportableNumber,
            ShapeError::TooDeep => Self::TooDeep,
        }
    }
}

// === impl Violations ===

impl Violations {
    /// The violations, first the one that picks the answer.
    #[must_use]
    pub fn as_slice(&self) -> &[Violation] {
        &self.0
    }

    /// The one that picks the answer.
    #[must_use]
    pub fn first(&self) -> Violation {
        self.0[0]
    }
}

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            // A preference takes 17 bytes; what is larger by three orders is no preference.
            body_limit: 64 * 1024,
            extra_members: Choice::default(),
            clear: Choice::default(),
        }
    }
}

// === impl Policy ===

impl Policy {
    /// A judge that keeps to `config`.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            extra_members: config.extra_members,
            clear: config.clear,
        }
    }

    /// What is thought of `bytes` as the content of account data of `event_type`.
    #[must_use]
    pub fn judge(&self, event_type: EventType, bytes: &[u8]) -> Verdict {
        let content = content::parse(event_type, bytes);
        let mut all: Vec<Violation> = content.errors.into_iter().map(Violation::from).collect();
        if content.extra_members && self.extra_members == Choice::Refuse {
            all.push(Violation::ExtraMember);
        }
        match (Verdict::from_violations(all), content.said) {
            (Some(refusal), _) => refusal,
            (None, Some(Said::Preference(preference))) => Verdict::Accept(preference),
            (None, Some(Said::Nothing)) => self.judge_clear(),
            // What says nothing has an error that says why. Were there none, it would still be refused.
            (None, None) => Verdict::refuse(Violation::NotJson),
        }
    }

    /// What is thought of a clear: of `{}`, and of a `DELETE`.
    #[must_use]
    pub fn judge_clear(&self) -> Verdict {
        match self.clear {
            Choice::Allow => Verdict::Clear,
            Choice::Refuse => Verdict::refuse(Violation::ClearRefused),
        }
    }
}

#[cfg(test)]
mod tests;
