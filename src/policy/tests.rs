use super::{Choice, Config, Policy, Verdict, Violation};
use crate::matrix::{EventType, Preference};

fn judge(config: &Config, body: &str) -> Verdict {
    Policy::new(config).judge(EventType::Stable, body.as_bytes())
}

fn codes(verdict: &Verdict) -> Vec<&'static str> {
    verdict
        .violations()
        .iter()
        .map(|violation| violation.code())
        .collect()
}

#[test]
fn the_default_is_the_specs_schema() {
    let config = Config::default();
    assert_eq!(
        judge(&config, r#"{"enabled":true,"x":1}"#),
        Verdict::Accept(Preference::Enabled)
    );
    assert_eq!(judge(&config, "{}"), Verdict::Clear);
    assert_eq!(
        codes(&judge(&config, r#"{"enabled":"yes"}"#)),
        ["field_not_boolean"]
    );
}

#[test]
fn extra_members_are_refused_on_demand() {
    let config = Config {
        extra_members: Choice::Refuse,
        ..Config::default()
    };
    assert_eq!(
        codes(&judge(&config, r#"{"enabled":true,"x":1}"#)),
        ["extra_member"]
    );
    assert_eq!(
        codes(&judge(&config, r#"{"x":1}"#)),
        ["field_missing", "extra_member"]
    );
    assert_eq!(
        judge(&config, r#"{"enabled":true}"#),
        Verdict::Accept(Preference::Enabled)
    );
}

#[test]
fn clears_are_refused_on_demand() {
    let config = Config {
        clear: Choice::Refuse,
        ..Config::default()
    };
    assert_eq!(codes(&judge(&config, "{}")), ["clear_refused"]);
    assert_eq!(
        codes(&Policy::new(&config).judge_clear()),
        ["clear_refused"]
    );
}

#[test]
fn the_first_violation_of_the_table_comes_first_however_they_were_found() {
    let verdict = judge(&Config::default(), "nonsense").with(Violation::Encoded);
    assert_eq!(codes(&verdict), ["not_json", "encoded"]);
    let verdict = Verdict::refuse(Violation::Encoded).with(Violation::NotJson);
    assert_eq!(codes(&verdict), ["not_json", "encoded"]);
    assert_eq!(codes(&Verdict::Clear.with(Violation::Encoded)), ["encoded"]);
}

#[test]
fn codes_are_in_the_order_of_the_violations_and_all_differ() {
    let mut sorted = Violation::ALL;
    sorted.sort_unstable();
    assert_eq!(sorted, Violation::ALL);
    let codes: std::collections::HashSet<_> = Violation::ALL.iter().map(|it| it.code()).collect();
    assert_eq!(codes.len(), Violation::ALL.len());
}
