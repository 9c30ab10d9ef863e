//! What the bytes of the account data say, and where two JSON parsers could differ about them.
//!
//! The grammar is `serde_json`'s. What `serde_json` lets by, rounds, or calls by one name is found
//! by a second walk over text that is then known to be one JSON text ([RFC
//! 8259](https://www.rfc-editor.org/rfc/rfc8259)): members that come twice, text that some
//! databases cannot store, numbers that some parsers cannot hold.

use std::collections::HashSet;

use serde::de::IgnoredAny;

use super::{EventType, Preference};

/// How deep objects and arrays may be nested: Conduit's parser stops at 126, ours well before.
pub const MAX_DEPTH: usize = 32;

/// The largest integer that every JSON parser keeps exactly: 2^53 − 1 ([RFC 8259
/// §6](https://www.rfc-editor.org/rfc/rfc8259#section-6)).
const MAX_INTEGER: u64 = (1 << 53) - 1;

/// What [`parse`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// What the object says, if it says something.
    pub said: Option<Said>,
    /// Whether there are members beside the one of the schema.
    pub extra_members: bool,
    /// Everything that is wrong, each once, in the order of [`ShapeError`].
    pub errors: Vec<ShapeError>,
}

/// What an object says of the preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// The schema's member is there, and boolean.
    Preference(Preference),
    /// The object is empty: cleared.
    Nothing,
}

/// What is wrong with a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ShapeError {
    /// Not one JSON text in UTF-8.
    NotJson,
    /// JSON, but not an object.
    NotAnObject,
    /// The object has members, but not the schema's.
    FieldMissing,
    /// The schema's member is not boolean.
    FieldNotBoolean,
    /// A member comes twice, at any depth, compared after unescaping.
    DuplicateMember,
    /// A lone surrogate or U+0000, in a string or in a name.
    UnportableText,
    /// An integer beyond ±(2^53 − 1), or a number that is not finite as a double.
    UnportableNumber,
    /// Nested deeper than [`MAX_DEPTH`].
    TooDeep,
}

/// Reads `bytes` as the content of account data of `event_type`.
///
/// Never fails and never panics: what is wrong is in [`Content::errors`].
#[must_use]
pub fn parse(event_type: EventType, bytes: &[u8]) -> Content {
    let mut content = Content {
        said: None,
        extra_members: false,
        errors: Vec::new(),
    };
    let Some(text) = json_text(bytes) else {
        content.errors.push(ShapeError::NotJson);
        return content;
    };
    let mut walk = Walk::new(event_type.field());
    walk.run(text);

    content.errors = walk.errors.into_iter().collect();
    if walk.top_is_object {
        content.extra_members = walk.others > 0;
        match (walk.field_value, walk.others) {
            (Some(FieldValue::Boolean(value)), _) => {
                content.said = Some(Said::Preference(event_type.preference(value)));
            }
            (Some(FieldValue::Other), _) => content.errors.push(ShapeError::FieldNotBoolean),
            (None, 0) => content.said = Some(Said::Nothing),
            (None, _) => content.errors.push(ShapeError::FieldMissing),
        }
    } else {
        content.errors.push(ShapeError::NotAnObject);
    }
    content.errors.sort_unstable();
    content
}

/// The bytes as text, if they are one JSON text in UTF-8 without a byte order mark.
fn json_text(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    // `IgnoredAny` is read without recursion, and takes every number and every `\u` escape.
    serde_json::from_str::<IgnoredAny>(text).ok()?;
    Some(text)
}

/// One walk over the tokens of a JSON text whose grammar is known to be right.
struct Walk<'a> {
    field: &'a str,
    /// The open containers, outermost first.
    open: Vec<Container>,
    /// The schema's member of the outermost object, as it was last.
    field_value: Option<FieldValue>,
    /// How many other members the outermost object has.
    others: usize,
    top_is_object: bool,
    errors: HashSet<ShapeError>,
}

/// What the schema's member is.
#[derive(Clone, Copy)]
enum FieldValue {
    Boolean(bool),
    Other,
}

enum Container {
    Array,
    Object {
        names: HashSet<Vec<u16>>,
        /// The next string is a name, not a value.
        at_name: bool,
        /// The member under way is the schema's member of the outermost object.
        in_field: bool,
    },
}

// === impl Walk ===

impl<'a> Walk<'a> {
    fn new(field: &'a str) -> Self {
        Self {
            field,
            open: Vec::new(),
            field_value: None,
            others: 0,
            top_is_object: false,
            errors: HashSet::new(),
        }
    }

    fn run(&mut self, mut rest: &str) {
        while let Some(first) = rest.bytes().next() {
            let length = match first {
                b'"' => string_length(rest),
                b'-' | b'0'..=b'9' | b'a'..=b'z' => scalar_length(rest),
                _ => 1,
            };
            let (token, after) = rest.split_at(length);
            self.token(first, token);
            rest = after;
        }
    }

    fn token(&mut self, first: u8, token: &str) {
        match first {
            b'{' => {
                self.value(FieldValue::Other);
                self.top_is_object |= self.open.is_empty();
                self.enter(Container::Object {
                    names: HashSet::new(),
                    at_name: true,
                    in_field: false,
                });
            }
            b'[' => {
                self.value(FieldValue::Other);
                self.enter(Container::Array);
            }
            b'}' | b']' => {
                self.open.pop();
            }
            b',' => {
                if let Some(Container::Object { at_name, .. }) = self.open.last_mut() {
                    *at_name = true;
                }
            }
            b'"' => self.string(token),
            b't' => self.value(FieldValue::Boolean(true)),
            b'f' => self.value(FieldValue::Boolean(false)),
            b'-' | b'0'..=b'9' => {
                if !is_portable_number(token) {
                    self.errors.insert(ShapeError::UnportableNumber);
                }
                self.value(FieldValue::Other);
            }
            // `null`; and white space and `:`, which say nothing.
            b'n' => self.value(FieldValue::Other),
            _ => {}
        }
    }

    fn enter(&mut self, container: Container) {
        self.open.push(container);
        if self.open.len() > MAX_DEPTH {
            self.errors.insert(ShapeError::TooDeep);
        }
    }

    /// A value begins: if it is the schema's member, keep what it is.
    fn value(&mut self, value: FieldValue) {
        if let Some(Container::Object { in_field: true, .. }) = self.open.last() {
            self.field_value = Some(value);
        }
    }

    fn string(&mut self, token: &str) {
        let units = unescape(token);
        if char::decode_utf16(units.iter().copied()).any(|char| matches!(char, Err(_) | Ok('\0'))) {
            self.errors.insert(ShapeError::UnportableText);
        }
        let outermost = self.open.len() == 1;
        match self.open.last_mut() {
            Some(Container::Object {
                names,
                at_name: at_name @ true,
                in_field,
            }) => {
                *at_name = false;
                let is_field = units.iter().copied().eq(self.field.encode_utf16());
                *in_field = outermost && is_field;
                if outermost && !is_field {
                    self.others += 1;
                }
                if !names.insert(units) {
                    self.errors.insert(ShapeError::DuplicateMember);
                }
            }
            _ => self.value(FieldValue::Other),
        }
    }
}

/// The length of the string literal at the start of `rest`, quotes included.
fn string_length(rest: &str) -> usize {
    let mut escaped = false;
    let end = rest.bytes().skip(1).position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    });
    end.map_or(rest.len(), |end| end + 2)
}

/// The length of the number or literal name at the start of `rest`.
fn scalar_length(rest: &str) -> usize {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    rest.bytes()
        .position(|byte| !is_part(byte))
        .unwrap_or(rest.len())
}

/// The UTF-16 code units that a string literal stands for. Lone surrogates stay what they are.
fn unescape(literal: &str) -> Vec<u16> {
    let inner = literal
        .get(1..literal.len().saturating_sub(1))
        .unwrap_or_default();
    let mut units = Vec::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(char) = chars.next() {
        let char = match char {
            '\\' => match chars.next() {
                Some('u') => {
                    let digits = chars
                        .by_ref()
                        .take(4)
                        .filter_map(|digit| digit.to_digit(16));
                    let unit = digits.fold(0, |unit, digit| unit << 4 | digit);
                    units.push(u16::try_from(unit).unwrap_or(u16::MAX));
                    continue;
                }
                Some('b') => '\u{8}',
                Some('f') => '\u{c}',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                Some(same) => same,
                None => continue,
            },
            char => char,
        };
        units.extend_from_slice(char.encode_utf16(&mut [0; 2]));
    }
    units
}

/// Whether every parser reads the same number.
fn is_portable_number(token: &str) -> bool {
    if token.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E')) {
        token.parse::<f64>().is_ok_and(f64::is_finite)
    } else {
        let digits = token.strip_prefix('-').unwrap_or(token);
        digits
            .parse::<u64>()
            .is_ok_and(|integer| integer <= MAX_INTEGER)
    }
}

#[cfg(test)]
mod tests;
