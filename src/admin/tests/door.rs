//! Every route by everyone.

use super::*;
use crate::admin::routes::{ROUTES, Route, Who};

/// Who knocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Knocker {
    Nobody,
    /// With a token, or a session, that is not known.
    Wrong,
    Reader,
    Auditor,
    /// With what belongs to the other audience: a token at the page, a session at the API.
    OtherDoor,
}

const ALL: [Knocker; 5] = [
    Knocker::Nobody,
    Knocker::Wrong,
    Knocker::Reader,
    Knocker::Auditor,
    Knocker::OtherDoor,
];

fn is_page(route: &Route) -> bool {
    !route.path.starts_with("/api/")
}

/// What `route` answers to `knocker`, `None` for what the handler itself says.
fn expected(route: &Route, knocker: Knocker) -> Option<StatusCode> {
    let is_in = match (route.who, knocker) {
        (Who::Anyone, _)
        | (Who::Reader, Knocker::Reader | Knocker::Auditor)
        | (Who::Auditor, Knocker::Auditor) => return None,
        (Who::Auditor, Knocker::Reader) => true,
        (Who::Reader | Who::Auditor, _) => false,
    };
    Some(match (is_in, is_page(route)) {
        (true, _) => StatusCode::FORBIDDEN,
        (false, true) => StatusCode::SEE_OTHER,
        (false, false) => StatusCode::UNAUTHORIZED,
    })
}

async fn knock(desk: &Desk, route: &Route, knocker: Knocker) -> Answer {
    let wrong = Token::make();
    let token = match knocker {
        Knocker::Nobody => None,
        Knocker::Wrong => Some(&wrong),
        Knocker::Reader => Some(&desk.reader),
        Knocker::Auditor | Knocker::OtherDoor => Some(&desk.auditor),
    };
    let is_cookie = is_page(route) != (knocker == Knocker::OtherDoor);
    let mut request = Request::builder()
        .method(route.method)
        .uri(route.example)
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
    let mut form = String::new();
    if knocker == Knocker::Wrong {
        // Each from elsewhere, so that none is slowed down for another.
        let at = ROUTES.iter().position(|one| one.example == route.example);
        request = request.header("x-forwarded-for", format!("198.51.100.{}", at.unwrap()));
    }
    if let Some(token) = token {
        if !is_cookie {
            request = request.header(AUTHORIZATION, format!("Bearer {}", token.expose()));
        } else if knocker == Knocker::Wrong {
            request = request.header(COOKIE, format!("kbg_session={}", token.expose()));
        } else {
            let session = desk.session(token).await;
            request = request.header(COOKIE, session.cookie);
            form = format!("csrf={}", session.csrf);
        }
    }
    desk.ask(request.body(Body::from(form)).unwrap()).await
}

#[tokio::test]
async fn every_route_lets_in_whom_the_table_says_and_nobody_else() {
    let desk = Desk::new();
    for route in ROUTES {
        for knocker in ALL {
            let answer = knock(&desk, route, knocker).await;
            let what = format!("{route:?} {knocker:?} {answer:?}");
            if let Some(status) = expected(route, knocker) {
                assert_eq!(answer.status, status, "{what}");
            } else {
                let refusals = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN];
                assert!(!refusals.contains(&answer.status), "{what}");
                // A handler says what there is not; the router says nothing.
                let is_there = answer.status != StatusCode::NOT_FOUND
                    || answer.body.contains("no such exchange");
                assert!(is_there, "no such route: {what}");
                assert_ne!(answer.status, StatusCode::METHOD_NOT_ALLOWED, "{what}");
                assert!(!answer.status.is_server_error(), "{what}");
            }
            let to = answer.field(LOCATION.as_str()).unwrap_or_default();
            match answer.status {
                StatusCode::SEE_OTHER => assert!(to.starts_with("/audit/"), "{what}"),
                StatusCode::UNAUTHORIZED => {
                    assert_eq!(answer.field("www-authenticate"), Some("Bearer"), "{what}");
                    let problem: Value = serde_json::from_str(&answer.body).unwrap();
                    assert!(problem["error"].is_string() && problem["code"].is_string());
                }
                _ => {}
            }
            assert_fields(&answer);
        }
    }
}

#[tokio::test]
async fn without_a_session_a_page_leads_to_the_log_in_and_back() {
    let desk = Desk::new();
    let answer = desk.get("/audit/?range=day&user=%40a").await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert_eq!(
        answer.field("location"),
        Some("/audit/login?next=/audit/%3Frange%3Dday%26user%3D%2540a")
    );
    assert_eq!(
        desk.get("/audit").await.field("location"),
        Some("/audit/login")
    );
    let session = desk.session(&desk.reader).await;
    let answer = desk
        .ask(with_cookie("/audit?range=day", &session.cookie))
        .await;
    assert_eq!(answer.status, StatusCode::PERMANENT_REDIRECT);
    assert_eq!(answer.field("location"), Some("/audit/?range=day"));
}

#[tokio::test]
async fn no_form_is_taken_without_its_field_or_from_another_site() {
    let desk = Desk::new();
    let posts = ROUTES.iter().filter(|route| route.method == "POST");
    let mut seen = 0;
    for route in posts {
        let token = &desk.auditor;
        let (own, other) = (desk.session(token).await, desk.session(token).await);
        let send = async |form: String, field: Option<(&'static str, &'static str)>| {
            let mut request = form_request(route.example, form);
            let headers = request.headers_mut();
            headers.insert(COOKIE, own.cookie.parse().unwrap());
            headers.insert("host", "audit.example.org".parse().unwrap());
            if let Some((name, value)) = field {
                headers.insert(name, value.parse().unwrap());
            }
            desk.ask(request).await.status
        };
        for foreign in [
            ("origin", "https://evil.example.org"),
            ("origin", "null"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
        ] {
            let status = send(format!("csrf={}", own.csrf), Some(foreign)).await;
            assert_eq!(status, StatusCode::FORBIDDEN, "{route:?} {foreign:?}");
        }
        if route.who == Who::Anyone {
            continue;
        }
        let long = format!("csrf={}&x={}", own.csrf, "x".repeat(LONGEST_BODY));
        for (form, status) in [
            (String::new(), StatusCode::FORBIDDEN),
            ("csrf=".to_owned(), StatusCode::FORBIDDEN),
            (format!("csrf={}", other.csrf), StatusCode::FORBIDDEN),
            (format!("csrf={}x", own.csrf), StatusCode::FORBIDDEN),
            (format!("csrf=&csrf={}", own.csrf), StatusCode::FORBIDDEN),
            (long, StatusCode::BAD_REQUEST),
        ] {
            assert_eq!(send(form, None).await, status, "{route:?}");
        }
        let own_page = Some(("origin", "https://audit.example.org"));
        let status = send(format!("csrf={}", own.csrf), own_page).await;
        assert_ne!(status, StatusCode::FORBIDDEN, "{route:?}");
        seen += 1;
    }
    assert!(seen > 0);
}

#[tokio::test]
async fn nothing_is_there_when_it_is_off_or_nobody_could_enter() {
    for desk in [
        Desk::with(|config| config.audit = false),
        Desk::with(|config| config.tokens.clear()),
    ] {
        for route in ROUTES {
            let request = Request::builder().method(route.method).uri(route.example);
            let request = request
                .header(AUTHORIZATION, format!("Bearer {}", desk.auditor.expose()))
                .body(Body::empty())
                .unwrap();
            let answer = desk.ask(request).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{route:?}");
        }
        assert_eq!(desk.get("/health/live").await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn what_is_not_there_is_not_there_for_anyone() {
    let desk = Desk::new();
    for target in ["/audit/none", "/api/v1/none", "/audit/login/x", "/none"] {
        let answer = desk.get(target).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{target}");
    }
    let request = Request::delete("/audit/login").body(Body::empty()).unwrap();
    assert_eq!(desk.ask(request).await.status, StatusCode::SEE_OTHER);
    let head = Request::head("/audit/login").body(Body::empty()).unwrap();
    assert_eq!(desk.ask(head).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_session_is_over_in_time() {
    let desk = Desk::new();
    let session = desk.session(&desk.reader).await;
    let status = async || {
        desk.ask(with_cookie("/audit/", &session.cookie))
            .await
            .status
    };
    desk.clock.advance(TimeDelta::minutes(29));
    assert_eq!(status().await, StatusCode::OK);
    desk.clock.advance(TimeDelta::minutes(30));
    assert_eq!(status().await, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn two_credentials_are_none() {
    let desk = Desk::with(|config| config.metrics = false);
    let mut request = with_token("/metrics", desk.reader.expose());
    let again = request.headers()[AUTHORIZATION].clone();
    request.headers_mut().append(AUTHORIZATION, again);
    assert_eq!(desk.ask(request).await.status, StatusCode::BAD_REQUEST);
    for value in ["Basic a2ltOg==", "Bearer", "Bearer ", "kbg_"] {
        let request = Request::get("/metrics").header(AUTHORIZATION, value);
        let answer = desk.ask(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{value}");
    }
    let request =
        Request::get("/metrics").header(AUTHORIZATION, format!("bearer {}", desk.reader.expose()));
    let answer = desk.ask(request.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status, StatusCode::OK);
}

/// What every answer of page and API says to browsers.
fn assert_fields(answer: &Answer) {
    for (name, value) in [
        (
            "content-security-policy",
            "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; \
             frame-ancestors 'none'; base-uri 'none'",
        ),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        assert_eq!(answer.field(name), Some(value), "{name}: {answer:?}");
    }
    // The style sheet is the same for everybody.
    let is_style = answer.field("content-type") == Some("text/css; charset=utf-8");
    let kept = answer.field("cache-control");
    assert!(is_style || kept == Some("no-store"), "{answer:?}");
    let page = &answer.body;
    assert!(
        !page.contains("style=") && !page.contains("<script"),
        "{page}"
    );
}

#[tokio::test]
async fn the_door_answers_with_its_fields_where_there_is_nothing() {
    let desk = Desk::new();
    assert_fields(&desk.get("/audit/none").await);
    assert_fields(&desk.get("/api/v1/none").await);
    let request = Request::builder().method(Method::PATCH).uri("/audit/");
    assert_fields(&desk.ask(request.body(Body::empty()).unwrap()).await);
}
