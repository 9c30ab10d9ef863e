//! What page and API are asked for, in their one spelling: fields of a URL, or of a form.
//!
//! # Promise
//!
//! - The filters are those of [`FILTERS`], read by [`filters::set`]: what page, API and command line let through is the
//!   same.
//! - A field that is not known, or comes twice, is an error and never passed over: a filter with a slip in its name
//!   must not show everything.

mod range;

use chrono::{DateTime, Utc};
use form_urlencoded::Serializer;
use uuid::Uuid;

pub(super) use self::range::{RANGES, Range};
use super::problem::Wrong;
use crate::audit::filters::{self, FILTERS};
use crate::audit::store::Query;

/// The fields of a question, those that are not empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked(Vec<(String, String)>);

/// The fields of a range.
pub(super) const RANGE: [&str; 3] = ["range", "from", "to"];

// === impl Asked ===

impl Asked {
    /// The fields that `encoded` (`application/x-www-form-urlencoded`) has; what is wrong with it beside them, if there
    /// are others than `known`.
    pub(super) fn read(encoded: &[u8], known: &[&[&str]]) -> (Self, Vec<Wrong>) {
        let mut fields: Vec<(String, String)> = Vec::new();
        let mut wrong = Vec::new();
        for (name, value) in form_urlencoded::parse(encoded).into_owned() {
            if !known.iter().any(|names| names.contains(&name.as_str())) {
                wrong.push(Wrong::new(&name, "there is no such field"));
            } else if fields.iter().any(|(other, _)| *other == name) {
                wrong.push(Wrong::new(&name, "it is there twice"));
            } else {
                fields.push((name, value));
            }
        }
        fields.retain(|(_, value)| !value.is_empty());
        (Self(fields), wrong)
    }

    /// The same, or what is wrong with it.
    pub(super) fn of(encoded: &[u8], known: &[&[&str]]) -> Result<Self, Vec<Wrong>> {
        match Self::read(encoded, known) {
            (asked, wrong) if wrong.is_empty() => Ok(asked),
            (_, wrong) => Err(wrong),
        }
    }

    /// What stands in the field `name`, if anything does.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The filters, an age being that before `now`.
    pub(super) fn filters(&self, now: DateTime<Utc>) -> Result<Query, Vec<Wrong>> {
        let mut query = Query::default();
        let mut wrong = Vec::new();
        for name in FILTERS {
            let value = self.get(name).unwrap_or_default();
            if let Err(unusable) = filters::set(&mut query, name, value, now) {
                wrong.push(Wrong::new(unusable.name, unusable.reason));
            }
        }
        match self.id("before") {
            Ok(before) => query.before = before,
            Err(one) => wrong.push(one),
        }
        if wrong.is_empty() {
            Ok(query)
        } else {
            Err(wrong)
        }
    }

    /// The id in the field `name`.
    pub(super) fn id(&self, name: &str) -> Result<Option<Uuid>, Wrong> {
        let id = self.get(name).map(str::parse).transpose();
        id.map_err(|_| Wrong::new(name, "it is the id of a record"))
    }

    /// The range of time, seen from `now`.
    pub(super) fn range(&self, now: DateTime<Utc>) -> Result<Range, Wrong> {
        Range::of(self.get("range"), self.get("from"), self.get("to"), now)
    }

    /// The address of `path` with the same fields, but `name`, which is `value`.
    pub(super) fn link(&self, path: &str, name: &str, value: Option<&str>) -> String {
        let others = self.0.iter().filter(|(known, _)| known != name);
        let others = others.map(|(name, value)| (name.as_str(), value.as_str()));
        link(path, others.chain(value.map(|value| (name, value))))
    }
}

/// The address of `path` with the fields `fields`.
pub(super) fn link<'a>(path: &str, fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut encoded = Serializer::new(String::new());
    encoded.extend_pairs(fields);
    let encoded = encoded.finish();
    if encoded.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{encoded}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: DateTime<Utc> = DateTime::from_timestamp_nanos(1_700_000_000_000_000_000);

    #[test]
    fn what_is_not_known_or_comes_twice_is_an_error() {
        let known: &[&[&str]] = &[&FILTERS, &["before"]];
        for (encoded, name) in [
            ("usr=%40a%3Ab", "usr"),
            ("user=a&user=b", "user"),
            ("user=a&User=b", "User"),
        ] {
            let wrong = Asked::of(encoded.as_bytes(), known).unwrap_err();
            assert_eq!(wrong[0].name, name);
        }
        let asked = Asked::of(b"user=%40a%3Ab&device=&verdict=", known).unwrap();
        assert_eq!(asked.get("user"), Some("@a:b"));
        assert_eq!(asked.get("device"), None);
        let query = asked.filters(NOW).unwrap();
        assert_eq!(query.user.as_deref(), Some("@a:b"));
    }

    #[test]
    fn every_wrong_filter_is_named() {
        let asked = Asked::of(b"verdict=x&since=y&before=z", &[&FILTERS, &["before"]]).unwrap();
        let wrong = asked.filters(NOW).unwrap_err();
        let names: Vec<_> = wrong.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["since", "verdict", "before"]);
    }

    #[test]
    fn a_link_reads_back_as_it_was() {
        let hostile = "@a&b=c#\"<script>\u{202e}:h";
        let asked = Asked::of(&link("", [("user", hostile)]).as_bytes()[1..], &[&FILTERS]).unwrap();
        assert_eq!(asked.get("user"), Some(hostile));
        let older = asked.link("/audit/search", "before", Some("1"));
        assert!(older.starts_with("/audit/search?user=%40a%26b"), "{older}");
        assert!(older.ends_with("&before=1"), "{older}");
        assert!(!older.contains('<') && !older.contains('"'), "{older}");
    }
}
