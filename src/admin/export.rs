//! The trail as a file, as `audit export` writes it, streamed to whoever asked.
//!
//! # Promise
//!
//! - What is sent is made as it is taken: memory is constant, however much there is and however slow they are.
//! - It ends as whole only if it is. If the store fails midway, or the gateway stops, the body ends with an error, and
//!   the connection with it: no part passes for the whole.
//! - That it was asked for is a record of the trail before the first byte leaves.

mod body;
mod sinks;

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use chrono::SecondsFormat;
use http::{HeaderName, HeaderValue};
use serde_json::{Value, json};

use self::body::{Sender, channel};
use self::sinks::{Jsonl, Rows};
use super::access::{Access, Visitor};
use super::download::attachment;
use super::problem::{Problem, Wrong};
use super::query::Asked;
use super::trail::Trail;
use crate::audit::export::{self, Sink};
use crate::audit::filters::described;
use crate::audit::store::{Query, TreeStore};

/// How records are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// A JSON object a line, the last the manifest: this can be verified.
    Jsonl,
    /// For spreadsheets.
    Csv,
}

/// How many leaves of the trail the file has at least, if all records were asked for: those of the newest checkpoint. A
/// manifest says it too, and CSV has none.
const COMPLETE_UP_TO: HeaderName = HeaderName::from_static("key-backup-complete-up-to");

/// What is asked for when the export begins, and goes on without whoever asked.
struct Order {
    store: Arc<dyn TreeStore>,
    query: Query,
    filter: Option<Value>,
    exported_at: String,
}

/// The file that `asked` wants, for `visitor`.
pub(super) async fn file(
    trail: &Trail,
    access: &Access,
    visitor: &Visitor,
    asked: &Asked,
) -> Result<Response, Problem> {
    let now = trail.now();
    let format = Format::parse(asked.get("format").unwrap_or_default())?;
    let query = asked.filters(now).map_err(Problem::Unusable)?;
    let filter = described(&query);
    let complete = trail.sealed().await?;
    let detail = json!({ "format": format.as_str(), "filter": filter });
    access.record(visitor, "export", detail).await;

    let (sender, body) = channel();
    let order = Order {
        store: Arc::clone(trail.store()),
        query,
        filter,
        exported_at: now.to_rfc3339_opts(SecondsFormat::Micros, true),
    };
    tokio::spawn(async move {
        let done = match format {
            Format::Jsonl => order.fill(Jsonl::new(sender)).await,
            Format::Csv => match Rows::new(sender) {
                Ok(rows) => order.fill(rows).await,
                Err(error) => Err(error.into()),
            },
        };
        match done {
            Ok(sender) => sender.end().await,
            // Whoever asked went away.
            Err(export::Error::Output(error)) => {
                tracing::debug!(%error, "an export was broken off");
            }
            Err(error) => tracing::warn!(%error, "an export failed midway, and was cut"),
        }
    });
    let time = now.format("%Y%m%dT%H%M%SZ");
    let name = format!("key-backup-trail-{time}.{}", format.as_str());
    let mut answer = attachment(&name, format.content_type(), Body::new(body));
    let complete = HeaderValue::from(complete);
    answer.headers_mut().insert(COMPLETE_UP_TO, complete);
    Ok(answer)
}

/// A sink that gives its sender back when all is written.
trait Filled: Sink {
    /// Sends the rest.
    async fn finish(self) -> std::io::Result<Sender>;
}

// === impl Order ===

impl Order {
    async fn fill<S: Filled>(self, mut sink: S) -> Result<Sender, export::Error> {
        let Self {
            store,
            query,
            filter,
            exported_at,
        } = self;
        export::trail(&store, &query, filter, &exported_at, &mut sink).await?;
        Ok(sink.finish().await?)
    }
}

// === impl Format ===

impl Format {
    fn parse(text: &str) -> Result<Self, Wrong> {
        [Self::Jsonl, Self::Csv]
            .into_iter()
            .find(|format| format.as_str() == text)
            .ok_or_else(|| Wrong::new("format", "it is `jsonl` or `csv`"))
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
        }
    }

    const fn content_type(self) -> &'static str {
        match self {
            Self::Jsonl => "application/jsonl",
            Self::Csv => "text/csv; charset=utf-8",
        }
    }
}
