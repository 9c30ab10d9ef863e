//! Can the gateway forward?

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Request, Uri, header};
use tokio::sync::watch;
use tower_service::Service;

use super::assemble::Origins;
use crate::admin::{Probe, Reason};
use crate::guard::Replay;
use crate::telemetry;

/// How long the origin may take to say which versions it speaks. Load balancers ask every few
/// seconds and wait for one or two.
const DEADLINE: Duration = Duration::from_secs(2);
const VERSIONS: &str = "/_matrix/client/versions";

/// Asks the origin for its versions: anything below 500 will do.
pub(super) fn probe(origin: Origins, stopping: watch::Receiver<bool>) -> Probe {
    Arc::new(move || {
        let origin = origin.clone();
        let is_stopping = *stopping.borrow();
        Box::pin(async move {
            if is_stopping {
                return Err(reason(
                    "stopping",
                    "the gateway is shutting down".to_owned(),
                ));
            }
            let asked = tokio::time::timeout(DEADLINE, ask(origin)).await;
            asked.unwrap_or_else(|_| {
                Err(reason(
                    "origin_silent",
                    format!("{VERSIONS}: no answer in {DEADLINE:?}"),
                ))
            })
        })
    })
}

async fn ask(mut origin: Origins) -> Result<(), Reason> {
    let mut request = Request::new(Replay::default());
    *request.uri_mut() = Uri::from_static(VERSIONS);
    let agent = concat!("key-backup-gateway/", env!("CARGO_PKG_VERSION"));
    request
        .headers_mut()
        .insert(header::USER_AGENT, HeaderValue::from_static(agent));
    let answer = async {
        poll_fn(|context| origin.poll_ready(context)).await?;
        origin.call(request).await
    };
    match answer.await {
        Ok(response) if response.status().is_server_error() => {
            let message = format!("{VERSIONS}: the origin answered {}", response.status());
            Err(reason("origin_failing", message))
        }
        Ok(_) => Ok(()),
        Err(error) => {
            let message = format!("{VERSIONS}: {}", telemetry::with_causes(&error));
            Err(reason("origin_unreachable", message))
        }
    }
}

fn reason(code: &'static str, message: String) -> Reason {
    Reason { code, message }
}
