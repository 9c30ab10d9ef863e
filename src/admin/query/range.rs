//! Ranges of time: a day by the hour, longer ones by the day.

use chrono::{DateTime, Days, DurationRound, NaiveDate, NaiveTime, TimeDelta, Utc};

use crate::admin::problem::Wrong;
use crate::audit::store::{By, Span};

/// The names of all ranges.
pub(in crate::admin) const RANGES: [&str; 4] = ["day", "week", "month", "chosen"];

/// The longest range, in days.
const LONGEST: i64 = 366;

/// A range of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::admin) struct Range {
    /// One of [`RANGES`].
    pub(in crate::admin) name: &'static str,
    /// Its first day, UTC.
    pub(in crate::admin) from: NaiveDate,
    /// Its last day, UTC.
    pub(in crate::admin) to: NaiveDate,
    /// The same for a store.
    pub(in crate::admin) span: Span,
}

// === impl Range ===

impl Range {
    /// The range `name`, a week if there is no name, seen from `now`: the hour or the day that runs is its last. `from`
    /// and `to` are those of the range `chosen`.
    pub(in crate::admin) fn of(
        name: Option<&str>,
        from: Option<&str>,
        to: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<Self, Wrong> {
        let today = now.date_naive();
        match name {
            Some("day") => Ok(Self::hours(now)),
            None | Some("week") => Ok(Self::days("week", before(today, 6), today)),
            Some("month") => Ok(Self::days("month", before(today, 29), today)),
            Some("chosen") => {
                let to = date("to", to)?.unwrap_or(today);
                let from = date("from", from)?.unwrap_or(before(to, 6));
                let days = to.signed_duration_since(from).num_days();
                if days < 0 {
                    return Err(Wrong::new("to", "it is not before `from`"));
                }
                if days >= LONGEST {
                    return Err(Wrong::new("from", "a range has at most 366 days"));
                }
                Ok(Self::days("chosen", from, to))
            }
            Some(_) => Err(Wrong::new(
                "range",
                "it is `day`, `week`, `month` or `chosen`",
            )),
        }
    }

    fn hours(now: DateTime<Utc>) -> Self {
        let hour = now.duration_trunc(TimeDelta::hours(1)).unwrap_or(now);
        let since = hour - TimeDelta::hours(23);
        Self {
            name: "day",
            from: since.date_naive(),
            to: now.date_naive(),
            span: Span {
                since,
                until: hour + TimeDelta::hours(1),
                by: By::Hour,
            },
        }
    }

    fn days(name: &'static str, from: NaiveDate, to: NaiveDate) -> Self {
        let begins = |date: NaiveDate| date.and_time(NaiveTime::MIN).and_utc();
        Self {
            name,
            from,
            to,
            span: Span {
                since: begins(from),
                until: begins(to) + TimeDelta::days(1),
                by: By::Day,
            },
        }
    }
}

fn before(day: NaiveDate, days: u64) -> NaiveDate {
    day.checked_sub_days(Days::new(days)).unwrap_or(day)
}

/// The date in the field `name`; years that any clock could say.
fn date(name: &str, text: Option<&str>) -> Result<Option<NaiveDate>, Wrong> {
    let Some(text) = text else {
        return Ok(None);
    };
    let years = NaiveDate::from_ymd_opt(1970, 1, 1)..NaiveDate::from_ymd_opt(9999, 12, 31);
    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
    match date {
        Some(_) if years.contains(&date) => Ok(date),
        _ => Err(Wrong::new(name, "write a date as in `2026-11-23`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(name: &str, from: &str, to: &str) -> Result<Range, String> {
        let now = "2026-11-23T09:30:00Z".parse().unwrap();
        let given = |text: &'static str| Some(text).filter(|text| !text.is_empty());
        let leak = |text: &str| given(Box::leak(text.to_owned().into_boxed_str()));
        Range::of(leak(name), leak(from), leak(to), now).map_err(|wrong| wrong.name)
    }

    #[test]
    fn ranges_end_with_what_runs() {
        for (name, from, to, since, until) in [
            ("day", "", "", "2026-11-22T10:00:00", "2026-11-23T10:00:00"),
            ("", "", "", "2026-11-17T00:00:00", "2026-11-24T00:00:00"),
            ("week", "", "", "2026-11-17T00:00:00", "2026-11-24T00:00:00"),
            (
                "month",
                "",
                "",
                "2026-10-25T00:00:00",
                "2026-11-24T00:00:00",
            ),
            (
                "chosen",
                "2026-11-01",
                "2026-11-01",
                "2026-11-01T00:00:00",
                "2026-11-02T00:00:00",
            ),
            (
                "chosen",
                "2026-01-01",
                "2027-01-01",
                "2026-01-01T00:00:00",
                "2027-01-02T00:00:00",
            ),
        ] {
            let range = range(name, from, to).unwrap();
            let shown = |time: DateTime<Utc>| time.format("%Y-%m-%dT%H:%M:%S").to_string();
            assert_eq!(shown(range.span.since), since, "{name}");
            assert_eq!(shown(range.span.until), until, "{name}");
        }
    }

    #[test]
    fn what_is_no_range_is_said() {
        for (name, from, to, wrong) in [
            ("year", "", "", "range"),
            ("chosen", "yesterday", "", "from"),
            ("chosen", "2026-11-01", "2026-02-30", "to"),
            ("chosen", "2026-11-02", "2026-11-01", "to"),
            ("chosen", "2025-01-01", "2026-11-01", "from"),
            ("chosen", "+262142-12-31", "+262142-12-31", "to"),
            ("chosen", "0001-01-01", "0001-01-02", "to"),
        ] {
            let error = range(name, from, to).unwrap_err();
            assert!(
                error == wrong || error == "from",
                "{name} {from} {to}: {error}"
            );
        }
    }
}
