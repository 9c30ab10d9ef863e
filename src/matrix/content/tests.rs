use proptest::prelude::*;
use ruma_events::key_backup::KeyBackupEventContent;
use serde_json::Value;

use super::{Content, EventType, MAX_DEPTH, Preference, Said, ShapeError, parse};

fn stable(text: &str) -> Content {
    parse(EventType::Stable, text.as_bytes())
}

fn errors(text: &str) -> Vec<ShapeError> {
    stable(text).errors
}

const ENABLED: Option<Said> = Some(Said::Preference(Preference::Enabled));
const DISABLED: Option<Said> = Some(Said::Preference(Preference::Disabled));

#[test]
fn the_two_types_say_the_opposite() {
    let unstable = |text: &str| parse(EventType::Unstable, text.as_bytes()).said;
    assert_eq!(stable(r#"{"enabled":true}"#).said, ENABLED);
    assert_eq!(stable(r#"{"enabled":false}"#).said, DISABLED);
    assert_eq!(unstable(r#"{"disabled":true}"#), DISABLED);
    assert_eq!(unstable(r#" { "disabled" : false } "#), ENABLED);
    assert_eq!(unstable(r#"{"enabled":true}"#), None);
}

#[test]
fn an_escaped_name_is_the_same_name() {
    assert_eq!(stable(r#"{"\u0065nabled":true}"#).said, ENABLED);
    assert_eq!(
        errors(r#"{"enabled":true,"\u0065nabled":true}"#),
        [ShapeError::DuplicateMember]
    );
}

#[test]
fn an_empty_object_says_nothing() {
    let content = stable(" {\n} ");
    assert_eq!(
        (content.said, content.errors.len()),
        (Some(Said::Nothing), 0)
    );
}

#[test]
fn every_error_has_its_bodies() {
    let deep = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    let at_limit = format!(r#"{{"enabled":true,"x":{}}}"#, deep(MAX_DEPTH - 1));
    let too_deep = format!(r#"{{"enabled":true,"x":{}}}"#, deep(MAX_DEPTH));
    for (body, expected) in [
        ("", &[ShapeError::NotJson][..]),
        (" ", &[ShapeError::NotJson]),
        ("\u{feff}{}", &[ShapeError::NotJson]),
        (r#"{"enabled":true} x"#, &[ShapeError::NotJson]),
        (r#"{"enabled":true}{}"#, &[ShapeError::NotJson]),
        (r#"{"enabled":true,}"#, &[ShapeError::NotJson]),
        (r"{'enabled':true}", &[ShapeError::NotJson]),
        (r#"{"enabled":True}"#, &[ShapeError::NotJson]),
        (r#"{"enabled":NaN}"#, &[ShapeError::NotJson]),
        (r#"{"enabled":01}"#, &[ShapeError::NotJson]),
        ("{\"enabled\":\"\n\"}", &[ShapeError::NotJson]),
        (r#"{"enabled":true,"x":"\ud80"}"#, &[ShapeError::NotJson]),
        ("null", &[ShapeError::NotAnObject]),
        ("[]", &[ShapeError::NotAnObject]),
        (r#"[{"enabled":true}]"#, &[ShapeError::NotAnObject]),
        ("5", &[ShapeError::NotAnObject]),
        (r#""x""#, &[ShapeError::NotAnObject]),
        ("true", &[ShapeError::NotAnObject]),
        (r#"{"Enabled":true}"#, &[ShapeError::FieldMissing]),
        (r#"{"x":{"enabled":true}}"#, &[ShapeError::FieldMissing]),
        (r#"{"":true}"#, &[ShapeError::FieldMissing]),
        (r#"{"enabled":"yes"}"#, &[ShapeError::FieldNotBoolean]),
        (r#"{"enabled":null}"#, &[ShapeError::FieldNotBoolean]),
        (r#"{"enabled":1}"#, &[ShapeError::FieldNotBoolean]),
        (
            r#"{"enabled":{"enabled":true}}"#,
            &[ShapeError::FieldNotBoolean],
        ),
        (r#"{"enabled":[true]}"#, &[ShapeError::FieldNotBoolean]),
        (
            r#"{"enabled":true,"enabled":true}"#,
            &[ShapeError::DuplicateMember],
        ),
        (
            r#"{"enabled":true,"x":[{"a":1,"a":2}]}"#,
            &[ShapeError::DuplicateMember],
        ),
        (
            r#"{"enabled":true,"x":{"é":1,"\u00e9":2}}"#,
            &[ShapeError::DuplicateMember],
        ),
        (
            r#"{"enabled":true,"x":"\ud800"}"#,
            &[ShapeError::UnportableText],
        ),
        (
            r#"{"enabled":true,"x":"\udc00\ud800"}"#,
            &[ShapeError::UnportableText],
        ),
        (
            r#"{"enabled":true,"\u0000":1}"#,
            &[ShapeError::UnportableText],
        ),
        (
            r#"{"enabled":true,"x":9007199254740992}"#,
            &[ShapeError::UnportableNumber],
        ),
        (
            r#"{"enabled":true,"x":-9007199254740992}"#,
            &[ShapeError::UnportableNumber],
        ),
        (
            r#"{"enabled":true,"x":99999999999999999999999}"#,
            &[ShapeError::UnportableNumber],
        ),
        (
            r#"{"enabled":true,"x":1e999}"#,
            &[ShapeError::UnportableNumber],
        ),
        (r#"{"enabled":true,"x":9007199254740991}"#, &[]),
        (r#"{"enabled":true,"x":-9007199254740991}"#, &[]),
        (r#"{"enabled":true,"x":1e308}"#, &[]),
        (r#"{"enabled":true,"x":"\ud83d\ude00"}"#, &[]),
        (r#"{"enabled":true,"x":"}]\"\\"}"#, &[]),
        (r#"{"enabled":true,"x":{"a":1},"y":{"a":1}}"#, &[]),
        (&at_limit, &[]),
        (&too_deep, &[ShapeError::TooDeep]),
    ] {
        assert_eq!(errors(body), expected, "{body}");
    }
    assert_eq!(
        parse(EventType::Stable, b"{\"enabled\":true,\"x\":\"\xff\"}").errors,
        [ShapeError::NotJson]
    );
}

#[test]
fn all_that_is_wrong_is_found_at_once() {
    assert_eq!(
        errors(r#"{"enabled":"\u0000","enabled":1e999}"#),
        [
            ShapeError::FieldNotBoolean,
            ShapeError::DuplicateMember,
            ShapeError::UnportableText,
            ShapeError::UnportableNumber
        ]
    );
}

#[test]
fn extra_members_are_seen() {
    assert!(!stable(r#"{"enabled":true}"#).extra_members);
    assert!(stable(r#"{"enabled":true,"x":1}"#).extra_members);
}

/// JSON values that every parser reads alike.
fn portable() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        (-9_007_199_254_740_991_i64..=9_007_199_254_740_991).prop_map(Value::from),
        any::<f64>().prop_filter_map("finite", |float| {
            serde_json::Number::from_f64(float).map(Value::Number)
        }),
        "[^\u{0}]{0,8}".prop_map(Value::String),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("[^\u{0}]{0,4}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in any::<Vec<u8>>()) {
        let _ = parse(EventType::Stable, &bytes);
    }

    #[test]
    fn no_text_like_json_panics(text in r#"[\[\]{}":,\\u0-9a-fentrls. \-+E]{0,60}"#) {
        let content = stable(&text);
        let is_json = serde_json::from_str::<Value>(&text);
        // Whatever we take, serde_json takes as a value, with the same meaning.
        if content.errors.is_empty() {
            let value = is_json.unwrap();
            prop_assert!(value.is_object());
            if let Some(Said::Preference(preference)) = content.said {
                let says_enabled = value["enabled"].as_bool().unwrap();
                prop_assert_eq!(preference == Preference::Enabled, says_enabled);
            }
        }
    }

    /// Accepted, so valid by the spec's schema (`enabled` is boolean) and by ruma.
    #[test]
    fn what_is_accepted_ruma_accepts(text in r#"\{"(enabled|\\u0065nabled|x)":(true|false|null|1|"x"|\{\})(,"(enabled|x)":(true|1e400|\[\]))?\}"#) {
        let content = stable(&text);
        let ruma = serde_json::from_str::<KeyBackupEventContent>(&text);
        if let (true, Some(Said::Preference(preference))) =
            (content.errors.is_empty(), content.said)
        {
            prop_assert_eq!(ruma.unwrap().enabled, preference == Preference::Enabled);
        }
    }

    /// Valid by the schema, and with none of the differences between parsers: accepted.
    #[test]
    fn what_the_schema_accepts_is_accepted(
        enabled in any::<bool>(),
        extra in prop::collection::hash_map("[^\u{0}]{0,8}", portable(), 0..4),
        pretty in any::<bool>(),
    ) {
        let mut object: serde_json::Map<String, Value> = extra.into_iter().collect();
        object.insert("enabled".to_owned(), enabled.into());
        let text = if pretty {
            serde_json::to_string_pretty(&object).unwrap()
        } else {
            serde_json::to_string(&object).unwrap()
        };
        let content = stable(&text);
        prop_assert_eq!(content.errors, &[]);
        prop_assert_eq!(content.said, if enabled { ENABLED } else { DISABLED });
        prop_assert_eq!(content.extra_members, object.len() > 1);
    }
}
