//! Connects to the origin, within a deadline.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

use super::error::{BoxError, ConnectTimeout};

/// A connector whose deadline covers all of it: looking the name up, and every address tried.
///
/// [`HttpConnector`]'s own covers neither the lookup nor more than its share of each address.
#[derive(Clone, Debug)]
pub(super) struct Dial {
    connector: HttpConnector,
    timeout: Duration,
}

// === impl Dial ===

impl Dial {
    pub(super) fn new(timeout: Duration) -> Self {
        let mut connector = HttpConnector::new();
        // A head and a small body are two writes: waiting to join them costs 40 ms.
        connector.set_nodelay(true);
        Self { connector, timeout }
    }
}

impl Service<Uri> for Dial {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.connector.poll_ready(cx).map_err(Into::into)
    }

    /// Boxed: once a connection, not once a request.
    fn call(&mut self, origin: Uri) -> Self::Future {
        let connecting = tokio::time::timeout(self.timeout, self.connector.call(origin));
        Box::pin(async move {
            match connecting.await {
                Ok(connected) => connected.map_err(Into::into),
                Err(_) => Err(ConnectTimeout.into()),
            }
        })
    }
}
