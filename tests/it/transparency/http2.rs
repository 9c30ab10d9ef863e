//! The same promises for a client that speaks HTTP/2, by prior knowledge; the origin hears HTTP/1.1.

mod crowded;
mod messages;
mod raw;
mod refused;
mod streams;

use bytes::Bytes;
use h2::RecvStream;
use h2::client::{ResponseFuture, SendRequest};
use http::{HeaderMap, Request, StatusCode};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Gateway, PATIENCE};
use crate::origin::{Answer, Origin, RawRequest};

/// A client's connection.
#[derive(Clone)]
struct H2(SendRequest<Bytes>);

/// An answer, read to its end.
#[derive(Debug)]
struct Got {
    status: StatusCode,
    fields: HeaderMap,
    body: Vec<u8>,
    trailers: Option<HeaderMap>,
}

/// An origin that answers all with `{}`.
async fn plain() -> Origin {
    Origin::start(|_| Answer::json("200 OK", "{}")).await
}

/// What the origin gets of a request without a body.
async fn arrived(request: http::request::Builder) -> RawRequest {
    let origin = plain().await;
    let mut client = H2::to(&Gateway::before(&origin).await).await;
    let got = client.ask(request.body(()).unwrap()).await;
    assert_eq!(got.status, StatusCode::OK);
    origin.request()
}

fn get(target: &str) -> http::request::Builder {
    Request::get(format!("http://example.org{target}"))
}

/// Reads an answer to its end.
async fn read(answer: ResponseFuture) -> Result<Got, h2::Error> {
    let reading = async {
        let (head, mut stream) = answer.await?.into_parts();
        let body = drain(&mut stream).await?;
        let trailers = stream.trailers().await?;
        Ok(Got {
            status: head.status,
            fields: head.headers,
            body,
            trailers,
        })
    };
    timeout(PATIENCE, reading).await.expect("it is answered")
}

async fn drain(stream: &mut RecvStream) -> Result<Vec<u8>, h2::Error> {
    let mut body = Vec::new();
    while let Some(data) = stream.data().await {
        let data = data?;
        body.extend_from_slice(&data);
        stream.flow_control().release_capacity(data.len())?;
    }
    Ok(body)
}

// === impl H2 ===

impl H2 {
    async fn to(gateway: &Gateway) -> Self {
        let stream = TcpStream::connect(gateway.address).await.unwrap();
        let mut builder = h2::client::Builder::new();
        // As browsers do: no guess at how many streams there may be, and more room on the connection
        // than on one stream.
        builder
            .initial_max_send_streams(100)
            .initial_connection_window_size(1 << 20);
        let (client, connection) = builder.handshake(stream).await.unwrap();
        tokio::spawn(connection);
        Self(client)
    }

    /// Begins a request, whose body follows unless it `ends` here.
    async fn begin(
        &mut self,
        request: Request<()>,
        ends: bool,
    ) -> (ResponseFuture, h2::SendStream<Bytes>) {
        let mut ready = self.0.clone().ready().await.unwrap();
        ready.send_request(request, ends).unwrap()
    }

    /// Sends a request without a body.
    async fn ask(&mut self, request: Request<()>) -> Got {
        let (answer, _) = self.begin(request, true).await;
        read(answer).await.unwrap()
    }

    /// Sends a request with a body, and its trailers if there are any.
    async fn tell(&mut self, request: Request<()>, body: &str, trailers: Option<HeaderMap>) -> Got {
        let (answer, mut stream) = self.begin(request, false).await;
        let body = Bytes::from(body.to_owned());
        stream.send_data(body, trailers.is_none()).unwrap();
        if let Some(trailers) = trailers {
            stream.send_trailers(trailers).unwrap();
        }
        read(answer).await.unwrap()
    }
}
