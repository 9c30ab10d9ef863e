//! The same filters give the same records, whether one asks the page, the API or the command line.

use std::sync::Arc;

use key_backup_gateway::audit::filters::given;
use key_backup_gateway::audit::record::Record;
use key_backup_gateway::audit::sqlite::SqliteStore;
use key_backup_gateway::audit::store::{Config, Query, Summarised, TreeStore};
use serde_json::Value;

use super::served::Served;
use super::{DONE, Desk};
use crate::store::suite::desk::{Dice, some_traffic};
use crate::store::suite::search::some_query;

/// So many at once are compared.
const MOST: usize = 300;
/// What the gateway says of itself meanwhile may stand among them.
const ROOM: usize = 50;

/// A record, as all three name it: its exchange, or itself if it has none, and its time.
type Named = (String, String);

fn records() -> (Vec<Record>, Dice) {
    let mut dice = Dice(0x00de_c1de);
    let mut records = Vec::new();
    while records.len() < 10_000 {
        records.extend(some_traffic(&mut dice, 500));
    }
    records.truncate(10_000);
    dice.shuffle(&mut records);
    (records, dice)
}

async fn fill(store: Arc<dyn TreeStore>, records: &[Record]) {
    store.migrate().await.unwrap();
    for some in records.chunks(500) {
        store.append(some).await.unwrap();
    }
    while store.summarise(2000).await.unwrap() != Summarised::Taken(0) {}
    store.close().await;
}

fn encoded(query: &Query) -> String {
    let mut fields = form_urlencoded::Serializer::new(String::new());
    for (name, value) in given(query) {
        fields.append_pair(name, &value);
    }
    fields.finish()
}

/// The same as flags.
fn flags(query: &Query) -> Vec<String> {
    let flag = |(name, value): (&str, String)| [format!("--{}", name.replace('_', "-")), value];
    given(query).flat_map(flag).collect()
}

fn of_record(record: &Value) -> Option<Named> {
    let id = if record["exchange_id"].is_null() {
        &record["id"]
    } else {
        &record["exchange_id"]
    };
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (record["kind"] == "exchange").then(|| (text(id), text(&record["recorded_at"])))
}

fn body(answer: &str) -> &str {
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    answer.split_once("\r\n\r\n").unwrap().1
}

fn by_command_line(desk: &Desk, database: &str, query: &Query) -> Vec<Named> {
    let limit = (MOST + ROOM).to_string();
    let mut command = desk.command("audit list --format jsonl");
    command.args(["--database", database, "--limit", &limit]);
    let output = command.args(flags(query)).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let records = text.lines().map(|line| serde_json::from_str(line).unwrap());
    records
        .filter_map(|record: Value| of_record(&record))
        .collect()
}

fn by_api(served: &Served, token: &str, query: &Query) -> Vec<Named> {
    let (fields, limit) = (encoded(query), MOST + ROOM);
    let answer = served.ask_admin(&format!(
        "GET /api/v1/records?{fields}&limit={limit} HTTP/1.1\r\nHost: desk\r\nConnection: close\r\nAuthorization: \
         Bearer {token}\r\n\r\n"
    ));
    let answer: Value = serde_json::from_str(body(&answer)).unwrap();
    let records = answer["records"].as_array().unwrap().iter();
    records.filter_map(of_record).collect()
}

/// Page by page, as a person would.
fn by_page(served: &Served, cookie: &str, query: &Query) -> Vec<Named> {
    let mut found = Vec::new();
    let mut target = format!("/audit/search?{}", encoded(query));
    while found.len() < MOST {
        let answer = served.ask_admin(&format!(
            "GET {target} HTTP/1.1\r\nHost: desk\r\nConnection: close\r\nCookie: {cookie}\r\n\r\n"
        ));
        let page = body(&answer);
        found.extend(rows(page));
        let Some((_, older)) = page.split_once("id=\"older\" href=\"") else {
            break;
        };
        target = older
            .split('"')
            .next()
            .unwrap()
            .replace("&amp;", "&")
            .replace("&#38;", "&");
    }
    found
}

fn rows(page: &str) -> Vec<Named> {
    let Some((_, table)) = page.split_once("id=\"records\"") else {
        return Vec::new();
    };
    let rows = table.split("<tr>").skip(2);
    let between = |row: &str, before: &str| -> String {
        let after = row
            .split_once(before)
            .unwrap_or_else(|| panic!("{before} in {row}"))
            .1;
        after.split('"').next().unwrap().to_owned()
    };
    // What is no exchange has its kind where others have an action.
    let is_exchange = |row: &&str| !row.contains(">operation<") && !row.contains(">heartbeat<");
    rows.filter(is_exchange)
        .map(|row| {
            (
                between(row, "href=\"/audit/exchange/"),
                between(row, "datetime=\""),
            )
        })
        .collect()
}

fn is_the_same_everywhere(desk: Desk, database: &str, records: &[Record], mut dice: Dice) {
    let made = desk.run("audit token --role reader").expect(DONE);
    let (token, line) = made.stdout.trim_end().split_once('\n').unwrap();
    let hash = line
        .split("hash = \"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    let known: &'static str = format!("reader:{hash}").leak();
    let url: &'static str = database.to_owned().leak();
    let desk = desk
        .with_variable("KEY_BACKUP_GATEWAY__ADMIN__TOKENS", known)
        .with_variable("KEY_BACKUP_GATEWAY__DATABASE__URL", url);
    let served = Served::start(&desk);
    let form = format!("token={token}");
    let answer = served.ask_admin(&format!(
        "POST /audit/login HTTP/1.1\r\nHost: desk\r\nConnection: close\r\nContent-Type: \
         application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    ));
    let cookie = answer.split_once("set-cookie: ").unwrap().1;
    let cookie = cookie.split(';').next().unwrap();
    let mut found_some = 0;
    for _ in 0..25 {
        let query = Query {
            before: None,
            ..some_query(records, &mut dice)
        };
        let cut = |mut found: Vec<Named>| {
            found.truncate(MOST);
            found
        };
        let listed = cut(by_command_line(&desk, database, &query));
        assert_eq!(listed, cut(by_api(&served, token, &query)), "{query:?}");
        assert_eq!(listed, cut(by_page(&served, cookie, &query)), "{query:?}");
        found_some += usize::from(!listed.is_empty());
    }
    assert!(found_some > 10, "{found_some}");
}

#[test]
fn the_same_filters_give_the_same_records_everywhere() {
    let desk = Desk::new();
    let database = format!("sqlite:{}", desk.folder.path().join("trail.db").display());
    let (records, dice) = records();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let config = Config {
            url: database.as_str().into(),
            ..Config::default()
        };
        fill(Arc::new(SqliteStore::open(&config).unwrap()), &records).await;
    });
    is_the_same_everywhere(desk, &database, &records, dice);
}

#[cfg(feature = "postgres")]
#[test]
fn the_same_filters_give_the_same_records_everywhere_with_postgres() {
    use key_backup_gateway::audit::postgres::PgStore;

    use crate::cluster::shared;

    let (records, dice) = records();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let database = runtime.block_on(async {
        let url = shared::database().await;
        let config = Config {
            url: url.as_str().into(),
            ..Config::default()
        };
        fill(Arc::new(PgStore::open(&config).unwrap()), &records).await;
        url
    });
    is_the_same_everywhere(Desk::new(), &database, &records, dice);
}
