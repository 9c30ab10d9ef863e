//! `/metrics` in the format that is asked for.
//!
//! The library writes [OpenMetrics](https://prometheus.io/docs/specs/om/open_metrics_spec/), which
//! Prometheus asks for. Older readers and `promtool check metrics` know only the [text
//! format](https://prometheus.io/docs/instrumenting/exposition_formats/) before it: there a counter's
//! name ends in `_total` in its description, too, and there are neither units nor an end.

use std::collections::HashSet;
use std::fmt;

use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_TYPE};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The metrics, as the request's `Accept` would have them.
pub(super) fn answer(registry: &Registry, headers: &HeaderMap) -> Result<Response, fmt::Error> {
    let mut metrics = String::new();
    encode(&mut metrics, registry)?;
    let accepts_open_metrics = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .any(|line| line.contains("application/openmetrics-text"));
    Ok(if accepts_open_metrics {
        ([(CONTENT_TYPE, OPEN_METRICS)], metrics).into_response()
    } else {
        ([(CONTENT_TYPE, TEXT)], to_text_format(&metrics)).into_response()
    })
}

/// The same in the older format.
fn to_text_format(open_metrics: &str) -> String {
    let counters: HashSet<&str> = open_metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    let mut text = String::with_capacity(open_metrics.len());
    for line in open_metrics.lines() {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("UNIT" | "EOF"), ..) => continue,
            (Some("#"), Some(what), Some(name), Some(rest)) if counters.contains(name) => {
                text.extend(["# ", what, " ", name, "_total ", rest]);
            }
            _ => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests;
