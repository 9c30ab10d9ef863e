//! What can go wrong between us and the origin.

use std::error::Error as StdError;

pub(super) type BoxError = Box<dyn StdError + Send + Sync>;

/// Why there is no answer of the origin's.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No byte of the request was sent: there was no connection to send it on.
    #[error("cannot connect to the origin")]
    Connect(#[source] BoxError),
    /// No byte of the request was sent: no connection within `origin.connect_timeout`.
    #[error("connecting to the origin took longer than origin.connect_timeout")]
    ConnectTimeout,
    /// The request was sent, in part at least, and what came back is no answer. The origin may have
    /// acted on it.
    #[error("the origin did not answer in HTTP")]
    Broken(#[source] BoxError),
    /// The client's body ended before it was complete. The origin may have seen the first part.
    #[error("the client did not send all of its body")]
    ClientBody(#[source] BoxError),
}

/// The deadline of [`Error::ConnectTimeout`], on its way up through the client.
#[derive(Debug, thiserror::Error)]
#[error("no connection in time")]
pub(super) struct ConnectTimeout;

/// The origin is not who it should be, or speaks no TLS that we do.
#[derive(Debug, thiserror::Error)]
#[error("the TLS handshake failed; the origin's certificate must name {name:?}")]
pub(super) struct Handshake {
    pub(super) name: String,
    #[source]
    pub(super) why: std::io::Error,
}

/// The origin answered without having asked for the body that was offered with `Expect`. It must not
/// be sent any more, and the connection can carry nothing else.
#[derive(Debug, thiserror::Error)]
#[error("the origin did not ask for the body")]
pub(super) struct NotAskedFor;

/// The error of a request's body, on its way up through the client.
#[derive(Debug, thiserror::Error)]
#[error("reading the client's body failed")]
pub(super) struct BodyBroke(#[source] pub(super) BoxError);

/// The request that it answers had no `Upgrade`.
#[derive(Debug, thiserror::Error)]
#[error("the origin switched protocols without being asked to")]
pub(super) struct SwitchedProtocols;

/// The body of the answer is coded in a way that is not understood.
#[derive(Debug, thiserror::Error)]
#[error("the origin's answer has a Transfer-Encoding other than chunked")]
pub(super) struct OddFraming;

/// The first error of type `E` below `error`.
fn source<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    std::iter::successors(error.source(), |&error| error.source())
        .find_map(|error| error.downcast_ref())
}

// === impl Error ===

impl Error {
    /// Whether certainly no byte of the request reached the origin.
    ///
    /// When in doubt it is `false`: the origin may have acted.
    #[must_use]
    pub const fn never_sent(&self) -> bool {
        match self {
            Self::Connect(_) | Self::ConnectTimeout => true,
            Self::Broken(_) | Self::ClientBody(_) => false,
        }
    }

    /// Of a connection that could not be made.
    pub(super) fn of_dialling(error: BoxError) -> Self {
        if error.is::<ConnectTimeout>() {
            Self::ConnectTimeout
        } else {
            Self::Connect(error)
        }
    }

    /// Of a request that was sent, in part at least.
    pub(super) fn classify(error: hyper::Error) -> Self {
        if source::<BodyBroke>(&error).is_some() {
            Self::ClientBody(error.into())
        } else {
            Self::Broken(error.into())
        }
    }
}
