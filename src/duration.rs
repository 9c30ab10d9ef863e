//! Durations as a person writes them in the configuration: `30s`, `5m`, `1h 30m`.
//!
//! For `#[serde(with = "crate::duration")]`. A bare number is refused: nobody can tell its unit.

use std::time::Duration;

use serde::de::{Deserializer, Error, Unexpected, Visitor};

/// Reads a duration.
///
/// # Errors
///
/// If it is no text, or not a number with a unit.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    from.deserialize_str(Written)
}

struct Written;

// === impl Written ===

impl Visitor<'_> for Written {
    type Value = Duration;

    fn expecting(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str("a duration with its unit, as in \"30s\"")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Duration, E> {
        humantime::parse_duration(text)
            .map_err(|_| Error::invalid_value(Unexpected::Str(text), &self))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde::de::IntoDeserializer;
    use serde::de::value::{Error, StrDeserializer};

    fn read(text: &str) -> Result<Duration, Error> {
        let text: StrDeserializer<'_, Error> = text.into_deserializer();
        super::deserialize(text)
    }

    #[test]
    fn a_duration_has_a_unit() {
        assert_eq!(read("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(read("1m 500ms"), Ok(Duration::from_millis(60_500)));
        for wrong in ["30", "", "-1s", "soon"] {
            let said = read(wrong).unwrap_err().to_string();
            assert!(said.contains("as in \"30s\""), "{wrong:?}: {said}");
        }
    }
}
