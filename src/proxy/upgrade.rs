//! 101 Switching Protocols: joins the two connections.
//!
//! # Promise
//!
//! After the origin's 101 every byte of either side reaches the other, and so does its end: when one
//! side has no more to say, the other may go on. What goes over the connections then is nobody's
//! business but theirs, so it must be no HTTP: [`fields::prepare`] lets nothing through that would
//! make it HTTP again, past every guard.
//!
//! [`fields::prepare`]: super::fields::prepare

use http::header::UPGRADE;
use http::{Request, Response, StatusCode};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;

/// The client's connection, if `request` asks to switch protocols on it. Ask after
/// [`fields::prepare`](super::fields::prepare).
///
/// Without an `Upgrade` in the request, a 101 of the origin's is an error: to keep a guarded request
/// from being upgraded, remove the field.
pub fn asked<B>(request: &mut Request<B>) -> Option<OnUpgrade> {
    let connection = request.extensions_mut().remove::<OnUpgrade>();
    connection.filter(|_| request.headers().contains_key(UPGRADE))
}

/// The origin's connection, if it has switched protocols on it. `response` is to be sent all the same.
pub fn answered<B>(response: &mut Response<B>) -> Option<OnUpgrade> {
    let switched = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    let connection = response.extensions_mut().remove::<OnUpgrade>();
    connection.filter(|_| switched)
}

/// Copies from each side to the other until both have ended, or one has broken.
///
/// Starts when the 101 is written. Dropping it closes both connections. If one has broken, `broken` is
/// called before the other is closed.
pub async fn join(client: OnUpgrade, origin: OnUpgrade, broken: impl FnOnce()) {
    let (client, origin) = match tokio::try_join!(client, origin) {
        Ok(connections) => connections,
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::debug!(error, "a connection was gone before it could be joined");
            return;
        }
    };
    let (mut client, mut origin) = (TokioIo::new(client), TokioIo::new(origin));
    if let Err(error) = copy_bidirectional(&mut client, &mut origin).await {
        let error = &error as &dyn std::error::Error;
        tracing::debug!(error, "a joined connection broke");
        broken();
    }
}
