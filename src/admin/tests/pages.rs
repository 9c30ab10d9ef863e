//! The pages, read.

use super::shelf::{HOSTILE, hostile, records};
use super::*;
use crate::audit::export::FIELDS;
use crate::audit::filters;
use crate::audit::record::{Judged, Outcome};
use crate::matrix::EventType;

/// Pages with what they are asked for: `{user}` and `{id}` are those of a record.
const PAGES: [&str; 12] = [
    "/audit/",
    "/audit/?range=day",
    "/audit/?range=month",
    "/audit/?range=chosen&from=2026-11-01&to=2026-11-30",
    "/audit/search",
    "/audit/search?user={user}&client=&verdict=refuse",
    "/audit/exchange/{id}",
    "/audit/user?user={user}",
    "/audit/reports/would-break",
    "/audit/reports/drift",
    "/audit/reports/adoption?range=month",
    "/audit/export?user={user}",
];

fn target(page: &str, user: &str, id: &str) -> String {
    let user: String = form_urlencoded::byte_serialize(user.as_bytes()).collect();
    page.replace("{user}", &user).replace("{id}", id)
}

/// What no page may have in it, whatever the trail holds.
fn assert_harmless(page: &str, what: &str) {
    for harm in [
        "<script",
        "\" onmouseover",
        " style=",
        "<style",
        "http://",
        "https://",
    ] {
        let page = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!page.contains(harm), "{what} has {harm:?}: {page}");
    }
    // A field has what was written into it, as it was: there it can reorder nothing around it.
    let words = page.split(" value=\"").enumerate();
    let words = words.map(|(at, part)| match at {
        0 => part,
        _ => part.split_once('"').unwrap().1,
    });
    let odd =
        |char: char| char.is_control() && char != '\n' || ('\u{202a}'..='\u{202e}').contains(&char);
    let words: String = words.collect();
    assert!(!words.contains(odd), "{what} acts on its reader");
}

#[tokio::test]
async fn no_record_and_no_query_harms_a_page() {
    let desk = Desk::new();
    let record = hostile();
    desk.fill(&[records(40), vec![record.clone()]].concat())
        .await;
    let id = record.facts.exchange_id.unwrap().to_string();
    for token in [&desk.reader, &desk.auditor] {
        let session = desk.session(token).await;
        for page in PAGES {
            let is_export = page.starts_with("/audit/export");
            if is_export && token.expose() == desk.reader.expose() {
                continue;
            }
            let target = target(page, HOSTILE, &id);
            let answer = desk.ask(with_cookie(&target, &session.cookie)).await;
            assert_eq!(answer.status, StatusCode::OK, "{target}: {answer:?}");
            assert_harmless(&answer.body, &target);
            assert_eq!(answer.body.matches("<h1").count(), 1, "{target}");
            assert!(
                answer.body.contains("· Key Backup audit</title>"),
                "{target}"
            );
            assert!(answer.body.contains("<nav id=\"main\""), "{target}");
        }
    }
    let session = desk.session(&desk.auditor).await;
    let found = desk
        .ask(with_cookie(
            &target(PAGES[5], HOSTILE, &id),
            &session.cookie,
        ))
        .await;
    assert!(found.body.contains("&#60;script&#62;"), "{}", found.body);
    for field in ["usr", "before", "since", "range"] {
        let value: String = form_urlencoded::byte_serialize(HOSTILE.as_bytes()).collect();
        let target = format!("/audit/search?{field}={value}");
        let answer = desk.ask(with_cookie(&target, &session.cookie)).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{target}");
        assert_harmless(&answer.body, &target);
    }
}

#[tokio::test]
async fn a_wrong_filter_is_said_beside_its_field_and_the_others_stay() {
    let desk = Desk::new();
    let session = desk.session(&desk.reader).await;
    let target = "/audit/search?user=%40alice%3Ah&since=yesterday";
    let answer = desk.ask(with_cookie(target, &session.cookie)).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let body = &answer.body;
    assert!(
        body.contains("value=\"@alice:h\"") && body.contains("value=\"yesterday\""),
        "{body}"
    );
    assert!(
        body.contains("<span id=\"since-hint\" class=\"wrong\">write a time"),
        "{body}"
    );
    for target in [
        "/audit/?range=year",
        "/audit/?range=chosen&from=x",
        "/audit/user",
        "/audit/user?user=a&before=b",
        "/audit/reports/drift?before=b",
        "/audit/reports/would-break?colour=red",
    ] {
        let answer = desk.ask(with_cookie(target, &session.cookie)).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{target}");
    }
    let answer = desk
        .ask(with_cookie("/audit/exchange/nonsense", &session.cookie))
        .await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_exchange_says_what_the_client_was_told() {
    let desk = Desk::new();
    let mut record = records(1).remove(0);
    record.facts.event_type = Some(EventType::Stable);
    record.facts.verdict = Some(Judged::Refuse);
    record.facts.outcome = Some(Outcome::Refused);
    record.facts.violations = vec!["field_not_boolean".to_owned()];
    desk.fill(std::slice::from_ref(&record)).await;
    let reader = desk.session(&desk.reader).await;
    // The record's id leads there as well.
    for id in [record.id, record.facts.exchange_id.unwrap()] {
        let target = format!("/audit/exchange/{id}");
        let answer = desk.ask(with_cookie(&target, &reader.cookie)).await;
        let told = "400 Bad Request M_BAD_JSON: enabled must be true or false";
        assert!(answer.body.contains(told), "{}", answer.body);
        assert!(
            answer
                .body
                .contains("enabled must be true or false (field_not_boolean)")
        );
        for field in FIELDS {
            assert!(
                answer.body.contains(&format!("<dt>{field}</dt>")),
                "{field}"
            );
        }
        assert!(answer.body.contains("only an <em>auditor's</em> token"));
    }
}

/// The exchanges that the page lists, from `target` on.
async fn listed(desk: &Desk, session: &Session, target: String) -> Vec<String> {
    let mut found = Vec::new();
    let mut next = Some(target);
    while let Some(target) = next {
        let page = desk.ask(with_cookie(&target, &session.cookie)).await.body;
        let links = page
            .split("<td data-label=\"Exchange\"><a href=\"/audit/exchange/")
            .skip(1);
        found.extend(links.map(|rest| rest[..36].to_owned()));
        let older = page.split("<a id=\"older\" href=\"").nth(1);
        next = older.map(|rest| rest.split('"').next().unwrap().replace("&#38;", "&"));
    }
    found
}

/// The exchanges that the API lists.
async fn answered(desk: &Desk, query: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut before = String::new();
    loop {
        let target = format!("/api/v1/records?limit=37&before={before}&{query}");
        let answer = desk.ask(with_token(&target, desk.reader.expose())).await;
        assert_eq!(answer.status, StatusCode::OK, "{target} {answer:?}");
        let page: Value = serde_json::from_str(&answer.body).unwrap();
        let records = page["records"].as_array().unwrap().iter();
        found.extend(records.map(|record| record["exchange_id"].as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => next.clone_into(&mut before),
            None => return found,
        }
    }
}

#[tokio::test]
async fn the_same_filters_give_the_same_records_by_page_and_api() {
    let desk = Desk::new();
    desk.fill(&records(300)).await;
    let session = desk.session(&desk.reader).await;
    let mut seen = 0;
    for fields in [
        &[][..],
        &[("user", "@alice:h")],
        &[("user", "@a\"<b>:h"), ("verdict", "refuse")],
        &[("device", "D1"), ("action", "write")],
        &[("address", "2001:db8::1"), ("event_type", "unstable")],
        &[("violation", "not_json"), ("client", "Element")],
        &[("outcome", "refused"), ("since", "2026-11-20T20:00:00Z")],
        &[("until", "2026-11-21T04:00:00Z"), ("verdict", "accept")],
        &[("client", "Element X/"), ("event_type", "m.key_backup")],
        &[("user", "@nobody:h")],
    ] {
        let mut query = Query::default();
        for (name, value) in fields {
            filters::set(&mut query, name, value, desk.admin.trail.now()).unwrap();
        }
        let expected = desk.stored(&query).await;
        let expected: Vec<_> = expected.iter().map(ToString::to_string).collect();
        seen += expected.len();
        let encoded = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let listed = listed(&desk, &session, format!("/audit/search?{encoded}")).await;
        // Log-ins are records, too, and no exchanges.
        let listed: Vec<_> = listed
            .into_iter()
            .filter(|id| expected.contains(id))
            .collect();
        assert_eq!(listed, expected, "{encoded}");
        if !fields.is_empty() {
            assert_eq!(answered(&desk, &encoded).await, expected, "{encoded}");
        }
    }
    assert!(seen > 400, "{seen}");
}
