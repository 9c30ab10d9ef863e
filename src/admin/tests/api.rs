//! The API's answers, and the document that describes them.

use std::collections::BTreeSet;

use super::shelf::{hostile, records};
use super::*;
use crate::admin::routes::ROUTES;
use crate::audit::filters::FILTERS;

/// Answers with what is asked for: `{user}` and `{id}` are those of a record.
const ANSWERS: [(&str, &str); 8] = [
    ("/api/v1/overview", "/api/v1/overview?range=day"),
    ("/api/v1/records", "/api/v1/records?limit=7"),
    ("/api/v1/records", "/api/v1/records?user={user}"),
    ("/api/v1/exchanges/{id}", "/api/v1/exchanges/{id}"),
    ("/api/v1/users/{user}", "/api/v1/users/{user}"),
    ("/api/v1/reports/drift", "/api/v1/reports/drift"),
    (
        "/api/v1/reports/would-break",
        "/api/v1/reports/would-break?range=month",
    ),
    ("/api/v1/reports/adoption", "/api/v1/reports/adoption"),
];

async fn document(desk: &Desk) -> Value {
    let answer = desk
        .ask(with_token("/api/v1/openapi.json", desk.reader.expose()))
        .await;
    assert_eq!(answer.status, StatusCode::OK);
    serde_json::from_str(&answer.body).unwrap()
}

/// What `path` answers with `status`, as the document says; nothing else may be in it.
fn schema(document: &Value, path: &str, status: &str) -> jsonschema::Validator {
    let mut components = document["components"].clone();
    for schema in components["schemas"].as_object_mut().unwrap().values_mut() {
        if schema["properties"].is_object() {
            schema["additionalProperties"] = false.into();
        }
    }
    let answer = &document["paths"][path]["get"]["responses"][status];
    let mut schema = answer["content"]["application/json"]["schema"].clone();
    assert!(schema.is_object(), "{path} {status}: {answer}");
    schema["components"] = components;
    jsonschema::validator_for(&schema).unwrap()
}

#[tokio::test]
async fn the_document_has_every_route_and_no_other() {
    let desk = Desk::new();
    let document = document(&desk).await;
    assert_eq!(document["openapi"], "3.1.0");
    let described: BTreeSet<_> = document["paths"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    let routes = ROUTES
        .iter()
        .filter(|route| route.path.starts_with("/api/"));
    let routes: BTreeSet<_> = routes.map(|route| route.path.to_owned()).collect();
    assert_eq!(described, routes);
    assert!(routes.len() > 5);
}

#[tokio::test]
async fn the_parameters_of_the_document_are_those_that_are_taken() {
    let desk = Desk::new();
    let document = document(&desk).await;
    let parameters = |path: &str| -> BTreeSet<String> {
        let list = document["paths"][path]["get"]["parameters"]
            .as_array()
            .unwrap();
        let name = |one: &Value| one["name"].as_str().unwrap().to_owned();
        list.iter().map(name).collect()
    };
    let with = |more: &[&str]| -> BTreeSet<String> {
        let all = FILTERS.iter().chain(more);
        all.map(|name| (*name).to_owned()).collect()
    };
    assert_eq!(parameters("/api/v1/records"), with(&["before", "limit"]));
    assert_eq!(parameters("/api/v1/export"), with(&["format"]));
}

#[tokio::test]
async fn every_answer_is_as_the_document_says() {
    let desk = Desk::new();
    let record = hostile();
    desk.fill(&[records(30), vec![record.clone()]].concat())
        .await;
    let document = document(&desk).await;
    let id = record.facts.exchange_id.unwrap().to_string();
    let user: String = percent_encoding::utf8_percent_encode(
        record.facts.claimed_user.as_deref().unwrap(),
        percent_encoding::NON_ALPHANUMERIC,
    )
    .collect();
    for (path, target) in ANSWERS {
        let target = target.replace("{user}", &user).replace("{id}", &id);
        let answer = desk.ask(with_token(&target, desk.reader.expose())).await;
        assert_eq!(answer.status, StatusCode::OK, "{target} {answer:?}");
        assert_eq!(answer.field("content-type"), Some("application/json"));
        assert!(
            !answer.body.contains(['\u{1b}', '\u{202e}', '\u{9b}']),
            "{target}"
        );
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        let errors: Vec<_> = schema(&document, path, "200")
            .iter_errors(&body)
            .map(|error| format!("{error} at {}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{target}: {errors:#?} {body:#}");
    }
}

#[tokio::test]
async fn what_cannot_be_understood_is_said_by_code_and_in_words() {
    let desk = Desk::new();
    let document = document(&desk).await;
    for (path, target, status, code) in [
        (
            "/api/v1/records",
            "/api/v1/records?verdict=odd",
            400,
            "unusable",
        ),
        ("/api/v1/records", "/api/v1/records?usr=a", 400, "unusable"),
        (
            "/api/v1/records",
            "/api/v1/records?limit=0",
            400,
            "unusable",
        ),
        (
            "/api/v1/records",
            "/api/v1/records?limit=1001",
            400,
            "unusable",
        ),
        (
            "/api/v1/records",
            "/api/v1/records?before=1",
            400,
            "unusable",
        ),
        (
            "/api/v1/overview",
            "/api/v1/overview?range=year",
            400,
            "unusable",
        ),
        (
            "/api/v1/export",
            "/api/v1/export?format=xml",
            400,
            "unusable",
        ),
        (
            "/api/v1/exchanges/{id}",
            "/api/v1/exchanges/1",
            404,
            "not_found",
        ),
        (
            "/api/v1/exchanges/{id}/proof",
            "/api/v1/exchanges/01900000-0000-7000-8000-000000000000/proof",
            404,
            "not_found",
        ),
    ] {
        let answer = desk.ask(with_token(target, desk.auditor.expose())).await;
        assert_eq!(answer.status.as_u16(), status, "{target}");
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(body["code"], code, "{target}");
        assert!(
            schema(&document, path, &status.to_string()).is_valid(&body),
            "{target}"
        );
    }
    let record = records(1);
    desk.fill(&record).await;
    let target = format!("/api/v1/exchanges/{}/proof", record[0].id);
    let answer = desk.ask(with_token(&target, desk.auditor.expose())).await;
    assert_eq!(answer.status, StatusCode::CONFLICT, "{answer:?}");
}
