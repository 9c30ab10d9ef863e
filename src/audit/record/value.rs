//! The bytes that leaves and commitments are made of: one way to write every value, and no other.
//!
//! | value | bytes |
//! |---|---|
//! | null | `00` |
//! | text, bytes | `01`, length in bytes as a 32-bit big-endian integer, the bytes |
//! | list | `02`, number of elements likewise, the elements as values |
//! | integer | `03`, 64 bits big-endian, two's complement |
//! | other number | `04`, IEEE 754 double, big-endian; −0.0 as 0.0 |
//! | false, true | `05`, `06` |
//! | object | `07`, number of members likewise, for each its name as text and its value, sorted by the names' bytes |

use serde_json::Value;

/// Values, one after the other.
#[derive(Clone, Debug, Default)]
pub(in crate::audit) struct Values(Vec<u8>);

// === impl Values ===

impl Values {
    /// Nothing but `label` and a zero byte: what the values are for.
    pub(in crate::audit) fn of(label: &str) -> Self {
        let mut bytes = Vec::with_capacity(512);
        bytes.extend_from_slice(label.as_bytes());
        bytes.push(0);
        Self(bytes)
    }

    /// Keeps the room, and nothing after the first `length` bytes.
    pub(in crate::audit) fn truncate(&mut self, length: usize) {
        self.0.truncate(length);
    }

    pub(in crate::audit) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Bytes without a length: only where their number is always the same.
    pub(in crate::audit) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(in crate::audit) fn null(&mut self) -> &mut Self {
        self.0.push(0);
        self
    }

    pub(in crate::audit) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.push(1);
        self.length(bytes.len()).raw(bytes)
    }

    pub(in crate::audit) fn text(&mut self, text: Option<&str>) -> &mut Self {
        self.optional(text.map(str::as_bytes))
    }

    /// Bytes, or null.
    pub(in crate::audit) fn optional(&mut self, bytes: Option<&[u8]>) -> &mut Self {
        match bytes {
            Some(bytes) => self.bytes(bytes),
            None => self.null(),
        }
    }

    pub(in crate::audit) fn list<T: AsRef<str>>(&mut self, list: &[T]) -> &mut Self {
        self.0.push(2);
        self.length(list.len());
        for text in list {
            self.bytes(text.as_ref().as_bytes());
        }
        self
    }

    pub(in crate::audit) fn integer(&mut self, integer: Option<i64>) -> &mut Self {
        match integer {
            Some(integer) => {
                self.0.push(3);
                self.raw(&integer.to_be_bytes())
            }
            None => self.null(),
        }
    }

    /// A number is an integer if it is written as one and 64 bits hold it; else it is a double.
    pub(in crate::audit) fn json(&mut self, value: &Value) -> &mut Self {
        match value {
            Value::Null => self.null(),
            Value::Bool(value) => {
                self.0.push(if *value { 6 } else { 5 });
                self
            }
            Value::Number(number) => {
                if let Some(integer) = number.as_i64() {
                    return self.integer(Some(integer));
                }
                // Adding zero makes one zero of the two.
                let double = number.as_f64().unwrap_or(f64::NAN) + 0.0;
                self.0.push(4);
                self.raw(&double.to_be_bytes())
            }
            Value::String(text) => self.bytes(text.as_bytes()),
            Value::Array(list) => {
                self.0.push(2);
                self.length(list.len());
                list.iter().fold(self, Self::json)
            }
            Value::Object(members) => {
                let mut members: Vec<_> = members.iter().collect();
                members.sort_unstable_by_key(|(name, _)| name.as_bytes());
                self.0.push(7);
                self.length(members.len());
                members.into_iter().fold(self, |values, (name, value)| {
                    values.bytes(name.as_bytes()).json(value)
                })
            }
        }
    }

    /// What is stored was cut long before this saturates.
    fn length(&mut self, length: usize) -> &mut Self {
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        self.raw(&length.to_be_bytes())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Values;

    fn bytes(value: &serde_json::Value) -> Vec<u8> {
        Values::default().json(value).as_bytes().to_vec()
    }

    #[test]
    fn every_number_has_one_spelling() {
        let double = |value: f64| [&[4][..], &value.to_be_bytes()].concat();
        assert_eq!(bytes(&json!(-1)), [&[3][..], &[0xff; 8]].concat());
        assert_eq!(bytes(&json!(i64::MAX))[0], 3);
        // Beyond 64 bits with a sign.
        assert_eq!(
            bytes(&json!(u64::MAX)),
            double(18_446_744_073_709_552_000.0)
        );
        assert_eq!(bytes(&json!(1.5)), double(1.5));
        assert_eq!(bytes(&json!(1.0)), double(1.0));
        assert_eq!(bytes(&json!(-0.0)), double(0.0));
    }

    #[test]
    fn members_are_sorted_by_bytes() {
        let one = serde_json::from_str(r#"{"b":1,"a":[null,true,"é"],"":{}}"#).unwrap();
        let other = serde_json::from_str(r#"{"":{},"a":[null,true,"\u00e9"],"b":1}"#).unwrap();
        assert_eq!(bytes(&one), bytes(&other));
        assert_eq!(bytes(&one)[..11], [7, 0, 0, 0, 3, 1, 0, 0, 0, 0, 7]);
    }

    #[test]
    fn nothing_reads_as_something_else() {
        let values = [
            json!(null),
            json!(""),
            json!([]),
            json!({}),
            json!(0),
            json!(0.0),
            json!(false),
            json!(true),
            json!([""]),
            json!(["", ""]),
            json!([[]]),
            json!({"": null}),
            json!("\u{1}"),
        ];
        for (at, one) in values.iter().enumerate() {
            for other in &values[..at] {
                assert_ne!(bytes(one), bytes(other), "{one} {other}");
            }
        }
    }
}
