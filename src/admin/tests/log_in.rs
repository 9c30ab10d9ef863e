//! Logging in, failing to, and logging out.

use serde_json::json;
use tokio::time::Instant;

use super::*;

const HERE: &str = "192.0.2.1";

#[tokio::test]
async fn a_token_begins_a_session_whose_cookie_is_out_of_reach() {
    let desk = Desk::new();
    let token = desk.auditor.expose();
    let wanted = "/audit/search?user=%40alice%3Atest";
    let answer = desk
        .log_in_from(HERE, &format!(" {token}\r\n"), wanted, &[])
        .await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert_eq!(answer.field("location"), Some(wanted));
    let cookie = answer.field("set-cookie").unwrap();
    let (pair, flags) = cookie.split_once("; ").unwrap();
    assert_eq!(pair.len(), "kbg_session=".len() + 43);
    assert_eq!(flags, "HttpOnly; SameSite=Strict; Path=/audit");

    let tls = [("x-forwarded-proto", "https")];
    let answer = desk.log_in_from(HERE, token, "//evil.example", &tls).await;
    assert_eq!(answer.field("location"), Some("/audit/"));
    let cookie = answer.field("set-cookie").unwrap();
    assert!(
        cookie.ends_with("; HttpOnly; SameSite=Strict; Secure; Path=/audit"),
        "{cookie}"
    );
}

#[tokio::test]
async fn nobody_can_hand_a_visitor_a_session_of_their_choice() {
    let desk = Desk::new();
    let old = desk.session(&desk.reader).await;
    let token = desk.reader.expose();
    let answer = desk
        .log_in_from(HERE, token, "", &[("cookie", &old.cookie)])
        .await;
    assert!(!answer.field("set-cookie").unwrap().starts_with(&old.cookie));
    let answer = desk.ask(with_cookie("/audit/", &old.cookie)).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "the old one is over");
}

#[tokio::test]
async fn logging_out_ends_the_session_and_takes_the_cookie_away() {
    let desk = Desk::new();
    let session = desk.session(&desk.reader).await;
    let mut request = form_request("/audit/logout", format!("csrf={}", session.csrf));
    let headers = request.headers_mut();
    headers.insert(COOKIE, session.cookie.parse().unwrap());
    let answer = desk.ask(request).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert_eq!(answer.field("location"), Some("/audit/login"));
    assert_eq!(
        answer.field("set-cookie"),
        Some("kbg_session=; HttpOnly; SameSite=Strict; Path=/audit; Max-Age=0")
    );
    let answer = desk.ask(with_cookie("/audit/", &session.cookie)).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn the_form_is_what_a_screen_reader_and_a_password_manager_expect() {
    let desk = Desk::new();
    let page = desk
        .get("/audit/login?next=/audit/user%3Fuser%3D%40a")
        .await
        .body;
    for part in [
        "<html lang=\"en\">",
        "<label for=\"token\">",
        "type=\"password\" autocomplete=\"off\"",
        "name=\"next\" value=\"/audit/user?user=@a\"",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let page = desk
        .get("/audit/login?next=https://evil.example")
        .await
        .body;
    assert!(page.contains("name=\"next\" value=\"/audit/\""), "{page}");
}

#[tokio::test]
async fn a_form_that_is_none_is_told_so() {
    let desk = Desk::new();
    for form in ["", "next=/audit/", "token=a&token=b"] {
        let answer = desk.ask(form_request("/audit/login", form)).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{form}");
    }
}

#[tokio::test]
async fn log_ins_and_failures_are_in_the_trail_by_name_and_address() {
    let desk = Desk::with(|config| config.metrics = false);
    desk.log_in_from(HERE, desk.auditor.expose(), "", &[]).await;
    desk.log_in_from("2001:db8::7", desk.reader.expose(), "", &[])
        .await;
    let wrong = Token::make();
    for _ in 0..3 {
        let answer = desk.log_in_from("192.0.2.9", wrong.expose(), "", &[]).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
        assert!(answer.body.contains("This token is not known."));
    }
    let mut request = with_token("/metrics", wrong.expose());
    let headers = request.headers_mut();
    headers.insert("x-forwarded-for", "198.51.100.1".parse().unwrap());
    assert_eq!(desk.ask(request).await.status, StatusCode::UNAUTHORIZED);

    let mut operations = desk.operations().await;
    operations.retain(|(detail, _)| detail["operation"] != "migrate");
    let failed = |count, address: &str| {
        let detail = json!({ "operation": "log_in_failed", "count": count });
        (detail, Some(address.to_owned()))
    };
    let came = |token, role, address: &str| {
        let detail = json!({ "operation": "log_in", "token": token, "role": role });
        (detail, Some(address.to_owned()))
    };
    for expected in [
        came("kim", "auditor", HERE),
        came("token 1", "reader", "2001:db8::7"),
        failed(1, "192.0.2.9"),
        failed(2, "192.0.2.9"),
        failed(1, "198.51.100.1"),
    ] {
        let place = operations.iter().position(|it| *it == expected);
        operations.remove(place.unwrap_or_else(|| panic!("{expected:?}: {operations:?}")));
    }
    assert_eq!(operations, [], "and nothing else");
}

#[tokio::test]
async fn no_flood_of_failures_fills_the_trail() {
    let desk = Desk::new();
    let wrong = Token::make();
    for at in 0..200 {
        let address = format!("192.0.2.{at}");
        let mut request = form_request("/audit/login", format!("token={}", wrong.expose()));
        let headers = request.headers_mut();
        headers.insert("x-forwarded-for", address.parse().unwrap());
        let router = desk.router.clone();
        // Held or not: nobody waits.
        tokio::spawn(router.oneshot(request));
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut operations = desk.operations().await;
    operations.retain(|(detail, _)| detail["operation"] == "log_in_failed");
    assert!((21..=23).contains(&operations.len()), "{operations:?}");
    let count = |detail: &Value| detail["count"].as_u64().unwrap();
    let all: u64 = operations.iter().map(|(detail, _)| count(detail)).sum();
    assert_eq!(all, 200);
    let mut elsewhere = operations.iter().filter(|(_, address)| address.is_none());
    assert!(elsewhere.next().is_some(), "{operations:?}");
}

#[tokio::test(start_paused = true)]
async fn wrong_tokens_are_slowed_without_blocking_others_and_then_sent_away() {
    let desk = Desk::new();
    let wrong = Token::make();
    let start = Instant::now();
    let mut statuses = Vec::new();
    for _ in 0..8 {
        let answer = desk.log_in_from(HERE, wrong.expose(), "", &[]).await;
        statuses.push(answer.status.as_u16());
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            assert_eq!(answer.field("retry-after"), Some("8"));
        }
    }
    assert_eq!(statuses, [403, 403, 403, 403, 403, 403, 403, 429]);
    assert!(start.elapsed() >= Duration::from_millis(7500));

    let start = Instant::now();
    let other = desk.log_in_from("192.0.2.2", wrong.expose(), "", &[]).await;
    assert_eq!(other.status, StatusCode::FORBIDDEN);
    assert!(start.elapsed() < Duration::from_millis(100), "not held");
    // Whoever has a right one is kept waiting, and not out.
    let right = desk.log_in_from(HERE, desk.reader.expose(), "", &[]).await;
    assert_eq!(right.status, StatusCode::SEE_OTHER);
}
