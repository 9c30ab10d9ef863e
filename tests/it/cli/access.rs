//! The auditor's tokens: made, used and misused, and nowhere to be seen afterwards.

use super::{CONFIG, DONE, Desk, USAGE, served::Served};

/// A request to the admin listener, after whose answer the connection ends.
fn request(head: &str, fields: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "{head} HTTP/1.1\r\nHost: desk\r\nConnection: close\r\n{fields}Content-Type: \
         application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

/// What the line `name` of an answer's head says.
fn field<'a>(answer: &'a str, name: &str) -> &'a str {
    let line = answer.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no {name} in {answer}"))
}

/// A new token, and its line.
fn make(options: &str) -> (String, String) {
    let ran = Desk::new()
        .run(&format!("audit token {options}"))
        .expect(DONE);
    assert!(ran.stderr.contains("shown this once"), "{ran:?}");
    let (token, line) = ran.stdout.trim_end().split_once('\n').unwrap();
    (token.to_owned(), line.to_owned())
}

/// The trail does not hold `secret`, nor does anything beside it.
fn assert_in_no_file(desk: &Desk, secret: &str) {
    for file in desk.folder.path().read_dir().unwrap() {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let mut parts = bytes.windows(secret.len());
        let is_there = parts.any(|part| part == secret.as_bytes());
        assert!(!is_there, "{}", path.display());
    }
}

#[test]
fn a_token_comes_with_the_line_that_knows_it() {
    for options in ["", "--role auditor", "--name kim --role auditor"] {
        let (token, line) = make(options);
        assert!(token.starts_with("kbg_") && token.len() == 47, "{token}");
        assert!(!line.contains(&token[4..]), "{line}");
        let file = format!("[origin]\nurl = \"http://127.0.0.1:1\"\n[admin]\n{line}\n");
        let desk = Desk::new().with_file("gateway.toml", &file);
        desk.run("check --config gateway.toml").expect(DONE);
        // Who writes the token itself is told so.
        let hash = line.split("hash = \"").nth(1).unwrap();
        let hash = hash.split('"').next().unwrap();
        let desk = Desk::new().with_file("gateway.toml", &file.replace(hash, &token));
        let ran = desk.run("check --config gateway.toml").expect(CONFIG);
        assert!(ran.stderr.contains("admin.tokens: this is a token itself"));
        assert!(!ran.stderr.contains(&token[4..]), "{ran:?}");
    }
    assert!(make("").1.contains("role = \"reader\""));
    assert_ne!(make("").0, make("").0);
    for line in ["audit token --role admin", "audit token --name kbg_kim"] {
        Desk::new().run(line).expect(USAGE);
    }
}

#[test]
fn a_gateway_without_a_token_has_no_page_and_says_how_to_make_one() {
    let desk = Desk::new();
    let served = Served::start(&desk);
    for target in ["/audit/", "/audit/login", "/api/v1/overview"] {
        let answer = served.ask_admin(&request(&format!("GET {target}"), "", ""));
        assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    }
    let answer = served.ask_admin(&request("GET /metrics", "", ""));
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let said = served.log();
    let told = said
        .lines()
        .filter(|line| line.contains("`key-backup-gateway audit token`"));
    assert_eq!(told.count(), 1, "{said}");
}

#[test]
fn no_token_of_an_auditor_is_in_a_log_a_record_a_page_or_an_address() {
    let (token, line) = make("--role auditor --name kim");
    let (wrong, _) = make("");
    let hash = line
        .split("hash = \"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    let known: &'static str = format!("auditor:{hash}").leak();
    let desk = Desk::new()
        .with_variable("KEY_BACKUP_GATEWAY__LOG__LEVEL", "trace")
        .with_variable("KEY_BACKUP_GATEWAY__ADMIN__METRICS", "false")
        .with_variable("KEY_BACKUP_GATEWAY__ADMIN__TOKENS", known);
    let served = Served::start(&desk);
    let mut answers = Vec::new();
    let mut ask = |head: &str, fields: &str, body: &str| {
        let answer = served.ask_admin(&request(head, fields, body));
        answers.push(answer.clone());
        answer
    };
    let form = format!("token={token}&next=/audit/search");
    let answer = ask("POST /audit/login", "", &form);
    assert!(answer.starts_with("HTTP/1.1 303 "), "{answer}");
    assert_eq!(field(&answer, "location: "), "/audit/search");
    let cookie = field(&answer, "set-cookie: ")
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    let cookies = format!("Cookie: {cookie}\r\n");
    let page = ask("GET /audit/", &cookies, "");
    assert!(page.starts_with("HTTP/1.1 200 "), "{page}");
    for fields in [&cookies, "", &format!("Cookie: kbg_session={token}\r\n")] {
        ask(&format!("GET /audit/none?token={token}"), fields, "");
        ask("GET /audit/", fields, "");
    }
    let bearer = format!("Authorization: Bearer {token}\r\n");
    assert!(ask("GET /metrics", &bearer, "").starts_with("HTTP/1.1 200 "));
    ask("GET /audit/", &bearer, "");
    ask(
        "GET /metrics",
        &format!("Authorization: Bearer {wrong}\r\n"),
        "",
    );
    ask(
        "POST /audit/login",
        "",
        &format!("token={wrong}&next=/audit/"),
    );
    ask(
        "POST /audit/login",
        "",
        &format!("token={token}&token={token}"),
    );
    ask(
        "POST /audit/login",
        "Origin: https://evil.example\r\n",
        &form,
    );
    // Where somebody pastes it by mistake.
    for target in [
        "/audit/login?token=",
        "/audit/login?next=/audit/search%3Fuser%3D",
        "/audit/?user=",
        "/audit?user=",
        "/audit/",
    ] {
        ask(&format!("GET {target}{token}"), "", "");
        ask(
            &format!("POST {target}{token}"),
            "",
            &format!("csrf={token}"),
        );
    }
    ask("POST /audit/logout", &cookies, "");

    let session = cookie.split_once('=').unwrap().1;
    let said = served.stop();
    assert!(said.contains("DEBUG sqlx"), "it logs everything: {said}");
    let secrets = [&token[4..], &wrong[4..], &hash[7..]];
    for answer in &answers {
        assert!(!secrets.iter().any(|it| answer.contains(it)), "{answer}");
    }
    for secret in secrets.into_iter().chain([session]) {
        assert!(!said.contains(secret), "{said}");
        assert_in_no_file(&desk, secret);
    }
    let records = desk
        .run("audit list --format jsonl --limit 0")
        .expect(DONE)
        .stdout;
    for said in [
        r#""operation":"log_in","role":"auditor","token":"token 1""#,
        r#""operation":"log_in_failed""#,
        r#""client_address":"127.0.0.1""#,
    ] {
        assert!(records.contains(said), "{said}: {records}");
    }
}
