use http::HeaderValue;
use http_body_util::BodyExt as _;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Unit;

use super::*;

fn registry() -> Registry {
    let mut registry = Registry::with_prefix("x");
    registry.register(
        "writes",
        "How many # UNIT writes",
        Counter::<u64>::default(),
    );
    let histogram = Histogram::new([0.5]);
    registry.register_with_unit("took", "How long", Unit::Seconds, histogram);
    registry
}

async fn ask(accept: Option<&'static str>) -> (String, String) {
    let accept = accept.map(|accept| (ACCEPT, HeaderValue::from_static(accept)));
    let answer = answer(&registry(), &accept.into_iter().collect()).unwrap();
    let content_type = answer.headers()[CONTENT_TYPE].to_str().unwrap().to_owned();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (content_type, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn who_asks_for_open_metrics_gets_it() {
    let (content_type, text) = ask(Some(
        "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3",
    ))
    .await;
    assert_eq!(content_type, OPEN_METRICS);
    assert!(
        text.contains("# TYPE x_writes counter\nx_writes_total 0\n"),
        "{text}"
    );
    assert!(text.ends_with("# EOF\n"), "{text}");
}

#[tokio::test]
async fn everybody_else_gets_the_older_text() {
    for accept in [None, Some("*/*"), Some("text/plain")] {
        let (content_type, text) = ask(accept).await;
        assert_eq!(content_type, TEXT);
        assert_eq!(
            text,
            "# HELP x_writes_total How many # UNIT writes.\n\
             # TYPE x_writes_total counter\n\
             x_writes_total 0\n\
             # HELP x_took_seconds How long.\n\
             # TYPE x_took_seconds histogram\n\
             x_took_seconds_sum 0.0\n\
             x_took_seconds_count 0\n\
             x_took_seconds_bucket{le=\"0.5\"} 0\n\
             x_took_seconds_bucket{le=\"+Inf\"} 0\n"
        );
    }
}
