//! Exports, by page and by API.

use super::shelf::records;
use super::*;

#[tokio::test]
async fn an_export_is_what_was_asked_for_and_a_record_of_the_trail() {
    let desk = Desk::new();
    desk.fill(&records(500)).await;
    let target = "/api/v1/export?format=jsonl&user=%40alice%3Ah";
    let answer = desk.ask(with_token(target, desk.auditor.expose())).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let named = answer.field("content-disposition").unwrap();
    assert!(
        named.starts_with("attachment; filename=\"key-backup-trail-"),
        "{named}"
    );
    assert!(named.ends_with(".jsonl\""), "{named}");
    assert_eq!(answer.field("key-backup-complete-up-to"), Some("0"));
    let lines: Vec<Value> = answer
        .body
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let (manifest, lines) = lines.split_last().unwrap();
    assert!(lines.len() > 100 && lines.iter().all(|line| line["claimed_user"] == "@alice:h"));
    assert_eq!(manifest["manifest"]["records"], lines.len(), "{manifest}");

    // The same by the page.
    let session = desk.session(&desk.auditor).await;
    let form = |format: &str| {
        let form = format!(
            "csrf={}&format={format}&user=%40alice%3Ah&device=",
            session.csrf
        );
        let mut request = form_request("/audit/export", form);
        request
            .headers_mut()
            .insert(COOKIE, session.cookie.parse().unwrap());
        request
    };
    let page = desk.ask(form("jsonl")).await;
    let without_manifest = |body: &str| {
        body.lines()
            .take(lines.len())
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(without_manifest(&page.body), without_manifest(&answer.body));
    let csv = desk.ask(form("csv")).await;
    assert_eq!(csv.field("content-type"), Some("text/csv; charset=utf-8"));
    assert_eq!(csv.body.lines().count(), lines.len() + 1);
    assert!(csv.body.starts_with("id,kind,exchange_id,"), "{}", csv.body);
    let wrong = desk.ask(form("xml")).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    assert!(wrong.body.contains("id=\"export\""), "{}", wrong.body);

    let exports = desk.operations().await.into_iter();
    let exports: Vec<_> = exports
        .filter(|(detail, _)| detail["operation"] == "export")
        .collect();
    assert_eq!(exports.len(), 3);
    assert_eq!(exports[0].0["token"], "kim");
    assert_eq!(exports[0].0["filter"]["user"], "@alice:h");
}
