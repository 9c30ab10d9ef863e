//! Durations in the configuration, written like `30s`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(from)?;
    humantime::parse_duration(&text).map_err(de::Error::custom)
}
