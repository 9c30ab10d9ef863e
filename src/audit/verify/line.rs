//! A line of an export, read without copying it.

use std::borrow::Cow;
use std::fmt;

use chrono::DateTime;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, Visitor};
use serde_json::Value;
use uuid::Uuid;

use super::leaf::{AUTHENTICATED, CLAIMED, CLIENT, Fit, Summary, first_of, has_intent};
use crate::audit::record::leaf::{Leaf, LeafHasher};
use crate::audit::record::{Commitment, Phase};
use crate::audit::seal::Hash;

/// Text that is borrowed where it holds no escapes. serde itself copies what is optional.
#[derive(Debug)]
pub(super) struct Text<'a>(Cow<'a, str>);

/// A line. A member that it should not have, or has twice, makes it none.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    kind: Option<Text<'a>>,
    exchange_id: Option<Text<'a>>,
    phase: Option<Text<'a>>,
    recorded_at: Option<Text<'a>>,
    stored_at: Option<Text<'a>>,
    instance: Option<Text<'a>>,
    run_id: Option<Text<'a>>,
    version: Option<Text<'a>>,
    action: Option<Text<'a>>,
    event_type: Option<Text<'a>>,
    claimed_user: Option<Text<'a>>,
    authenticated_user: Option<Text<'a>>,
    device_id: Option<Text<'a>>,
    is_guest: Option<bool>,
    client_address: Option<Text<'a>>,
    client_chain: Option<Vec<Text<'a>>>,
    user_agent: Option<Text<'a>>,
    claimed_commitment: Option<Text<'a>>,
    authenticated_commitment: Option<Text<'a>>,
    client_commitment: Option<Text<'a>>,
    preference: Option<Text<'a>>,
    verdict: Option<Text<'a>>,
    violations: Option<Vec<Text<'a>>>,
    outcome: Option<Text<'a>>,
    origin_status: Option<i64>,
    errcode: Option<Text<'a>>,
    request_id: Option<Text<'a>>,
    traceparent: Option<Text<'a>>,
    body_sha256: Option<Text<'a>>,
    duration_us: Option<i64>,
    detail: Option<Value>,
    claimed_salt: Option<Text<'a>>,
    authenticated_salt: Option<Text<'a>>,
    client_salt: Option<Text<'a>>,
    pub(super) leaf_index: Option<u64>,
    leaf_hash: Option<Text<'a>>,
    inclusion: Option<Vec<Text<'a>>>,
}

/// Which field cannot be what the gateway wrote.
pub(super) type Odd = &'static str;

// === impl Text ===

impl Text<'_> {
    fn as_str(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Text<'_> {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Borrowing;
        impl<'de> Visitor<'de> for Borrowing {
            type Value = Text<'de>;

            fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
                to.write_str("text")
            }

            fn visit_borrowed_str<E: serde::de::Error>(
                self,
                text: &'de str,
            ) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }

            fn visit_bytes<E: serde::de::Error>(self, _: &[u8]) -> Result<Text<'de>, E> {
                Err(E::custom("bytes"))
            }
        }
        from.deserialize_str(Borrowing).map_err(D::Error::custom)
    }
}

// === impl Line ===

impl Line<'_> {
    /// Its own id.
    pub(super) fn record_id(&self) -> Option<Uuid> {
        Uuid::try_parse(self.id.as_str()).ok()
    }

    /// Whether it stands for a record that is not there any more.
    pub(super) fn is_gone(&self) -> bool {
        self.kind.is_none() && self.recorded_at.is_none() && self.run_id.is_none()
    }

    /// The leaf hash that it states.
    pub(super) fn leaf_hash(&self) -> Option<Hash> {
        self.leaf_hash
            .as_ref()
            .and_then(|text| bytes(text.as_str()))
    }

    /// The audit path that it carries; `None` if it has none, or one that is none.
    pub(super) fn inclusion(&self) -> Option<Vec<Hash>> {
        let path = self.inclusion.as_ref()?;
        path.iter().map(|text| bytes(text.as_str())).collect()
    }

    /// The canonical bytes of its leaf, for the vectors.
    #[cfg(test)]
    fn leaf_bytes(&self, hasher: &mut LeafHasher) -> Option<Vec<u8>> {
        let leaf = self.leaf().ok()?;
        Some(hasher.bytes(&leaf).to_vec())
    }

    /// What it says of its own leaf.
    pub(super) fn summary(&self, hasher: &mut LeafHasher) -> Result<Summary, Odd> {
        let leaf = self.leaf()?;
        let (unfit, erased) = self.fits(&leaf)?;
        Ok(Summary {
            hash: hasher.hash(&leaf),
            recorded_at: leaf.recorded_at,
            stored_at: leaf.stored_at,
            run_id: leaf.run_id,
            exchange_id: leaf.exchange_id,
            phase: leaf.phase.and_then(Phase::parse),
            has_intent: has_intent(leaf.phase.and_then(Phase::parse), leaf.action, leaf.outcome),
            unfit,
            erased,
        })
    }

    fn leaf(&self) -> Result<Leaf<'_, Text<'_>>, Odd> {
        Ok(Leaf {
            id: self.record_id().ok_or("id")?,
            kind: str(self.kind.as_ref()).ok_or("kind")?,
            exchange_id: optional_id(self.exchange_id.as_ref(), "exchange_id")?,
            phase: str(self.phase.as_ref()),
            recorded_at: micros(self.recorded_at.as_ref()).ok_or("recorded_at")?,
            stored_at: micros(self.stored_at.as_ref()).ok_or("stored_at")?,
            instance: str(self.instance.as_ref()).ok_or("instance")?,
            run_id: optional_id(self.run_id.as_ref(), "run_id")?.ok_or("run_id")?,
            version: str(self.version.as_ref()).ok_or("version")?,
            action: str(self.action.as_ref()),
            event_type: str(self.event_type.as_ref()),
            claimed: optional_bytes(self.claimed_commitment.as_ref(), "claimed_commitment")?,
            authenticated: optional_bytes(
                self.authenticated_commitment.as_ref(),
                "authenticated_commitment",
            )?,
            client: optional_bytes(self.client_commitment.as_ref(), "client_commitment")?,
            preference: str(self.preference.as_ref()),
            verdict: str(self.verdict.as_ref()),
            violations: self.violations.as_deref().ok_or("violations")?,
            outcome: str(self.outcome.as_ref()),
            origin_status: self.origin_status,
            errcode: str(self.errcode.as_ref()),
            request_id: str(self.request_id.as_ref()),
            traceparent: str(self.traceparent.as_ref()),
            body_sha256: optional_bytes(self.body_sha256.as_ref(), "body_sha256")?,
            duration_us: self.duration_us,
            detail: self.detail.as_ref(),
        })
    }

    fn fits<T>(
        &self,
        leaf: &Leaf<'_, T>,
    ) -> Result<(Option<&'static str>, Option<&'static str>), Odd> {
        let fit =
            |salt: Option<[u8; 16]>, stated: Option<Hash>, hash: &dyn Fn(&[u8; 16]) -> Hash| {
                match salt {
                    None => Fit::Erased,
                    Some(salt) if Some(hash(&salt)) == stated => Fit::Yes,
                    Some(_) => Fit::No,
                }
            };
        let claimed = optional_bytes(self.claimed_salt.as_ref(), "claimed_salt")?;
        let authenticated = optional_bytes(self.authenticated_salt.as_ref(), "authenticated_salt")?;
        let client = optional_bytes(self.client_salt.as_ref(), "client_salt")?;
        // An empty list is written as one; null stands there once the client is erased.
        if self.client_chain.is_none() && client.is_some() {
            return Err("client_chain");
        }
        let chain = self.client_chain.as_deref().unwrap_or_default();
        let (user, device) = (
            str(self.authenticated_user.as_ref()),
            str(self.device_id.as_ref()),
        );
        let (address, agent) = (
            str(self.client_address.as_ref()),
            str(self.user_agent.as_ref()),
        );
        Ok(first_of([
            (
                CLAIMED,
                fit(claimed, leaf.claimed, &|salt| {
                    Commitment::claimed_hash_of(salt, str(self.claimed_user.as_ref()))
                }),
            ),
            (
                AUTHENTICATED,
                fit(authenticated, leaf.authenticated, &|salt| {
                    Commitment::authenticated_hash_of(salt, user, device, self.is_guest)
                }),
            ),
            (
                CLIENT,
                fit(client, leaf.client, &|salt| {
                    Commitment::client_hash_of(salt, address, chain, agent)
                }),
            ),
        ]))
    }
}

fn str<'a>(text: Option<&'a Text<'_>>) -> Option<&'a str> {
    text.map(Text::as_str)
}

fn optional_id(text: Option<&Text<'_>>, field: Odd) -> Result<Option<Uuid>, Odd> {
    let id = text.map(|text| Uuid::try_parse(text.as_str()));
    id.transpose().map_err(|_| field)
}

fn optional_bytes<const N: usize>(
    text: Option<&Text<'_>>,
    field: Odd,
) -> Result<Option<[u8; N]>, Odd> {
    let bytes = text.map(|text| bytes(text.as_str()).ok_or(field));
    bytes.transpose()
}

fn bytes<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    // A prefix, which others write, is none of ours.
    (text.len() == 2 * N).then_some(())?;
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(bytes)
}

/// Microseconds since 1970. What is written as we write it is read at once.
fn micros(text: Option<&Text<'_>>) -> Option<i64> {
    let text = text?.as_str();
    if let Some(micros) = usual_micros(text.as_bytes()) {
        return Some(micros);
    }
    DateTime::parse_from_rfc3339(text)
        .ok()
        .map(|time| time.timestamp_micros())
}

/// `2026-11-26T09:30:00.123456Z`.
fn usual_micros(text: &[u8]) -> Option<i64> {
    let is_usual = text.len() == 27
        && [
            (4, b'-'),
            (7, b'-'),
            (10, b'T'),
            (13, b':'),
            (16, b':'),
            (19, b'.'),
            (26, b'Z'),
        ]
        .iter()
        .all(|(at, mark)| text[*at] == *mark);
    if !is_usual {
        return None;
    }
    let number = |from: usize, to: usize| {
        text[from..to].iter().try_fold(0_i64, |number, digit| {
            digit
                .is_ascii_digit()
                .then(|| number * 10 + i64::from(digit - b'0'))
        })
    };
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let is_day = (1..=12).contains(&month) && (1..=days_in(year, month)).contains(&day);
    if !is_day || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let days = days_from_civil(year, month, day);
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    Some(seconds * 1_000_000 + number(20, 26)?)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the Gregorian calendar, years counted from March.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod vectors;

#[cfg(test)]
mod tests {
    use chrono::{DateTime, SecondsFormat};
    use proptest::prelude::*;

    use super::{Text, micros, usual_micros};

    proptest! {
        #[test]
        fn times_are_read_as_the_calendar_reads_them(time in 0_i64..253_402_300_799_999_999) {
            let date = DateTime::from_timestamp_micros(time).unwrap();
            let text = date.to_rfc3339_opts(SecondsFormat::Micros, true);
            prop_assert_eq!(usual_micros(text.as_bytes()), Some(time));
            prop_assert_eq!(micros(Some(&Text(text.into()))), Some(time));
        }
    }
}
