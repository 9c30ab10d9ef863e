//! Durations in the configuration, written as in `30s`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

/// For `#[serde(with = "crate::duration")]`.
///
/// # Errors
///
/// If it is not text that humantime understands.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(from)?;
    humantime::parse_duration(&text)
        .map_err(|error| de::Error::custom(format!("{error}; a duration is written as in \"30s\"")))
}
