//! Is this request-target guarded account data, and whose?
//!
//! # Promise
//!
//! Every spelling by which a supported homeserver reads, writes or clears the two types is
//! recognised. The path is looked at raw: split on `/` first, and only the two variable segments
//! percent-decoded, exactly once, so that `m%2Ekey_backup` is caught and `%2F` cannot forge a
//! segment. Nothing is normalised: no homeserver normalises either.
//!
//! Whoever forwards the request sends its original bytes, whatever is recognised here.

use http::Method;
use percent_encoding::percent_decode_str;

use super::{Action, EventType};

/// A guarded request-target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// What the method asks for.
    pub action: Action,
    /// Which of the two types.
    pub event_type: EventType,
    /// Whom the path names; `None` if that is no user ID.
    pub claimed_user: Option<ClaimedUser>,
}

/// The user the path names, before anyone has checked a token for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedUser(Box<str>);

/// Whether `method` on `path` reads, writes or clears the key-backup preference.
///
/// `path` is the raw path of the request-target: before the first `?`, with its percent-encoding.
/// Methods other than `PUT`, `GET`, `HEAD` (and `DELETE` on the MSC3391 route) are not ours, and
/// neither is the account data of a room.
///
/// Keeps [Client-Server API, Client
/// Config](https://spec.matrix.org/v1.19/client-server-api/#client-config) and MSC3391.
#[must_use]
pub fn recognise(method: &Method, path: &str) -> Option<Route> {
    let path = path.strip_prefix("/_matrix/client/")?;
    let (version, path) = path.split_once('/')?;
    let (action, path) = match (version, method) {
        ("r0" | "v3" | "unstable", &Method::PUT) => (Action::Write, path),
        ("r0" | "v3" | "unstable", &Method::GET | &Method::HEAD) => (Action::Read, path),
        ("unstable", &Method::DELETE) => (Action::Clear, path.strip_prefix("org.matrix.msc3391/")?),
        _ => return None,
    };
    let (user, path) = path.strip_prefix("user/")?.split_once('/')?;
    // Synapse before 1.158 has no end anchor on its pattern: what follows a further `/` is
    // ignored there, so it is ignored here.
    let event_type = path.strip_prefix("account_data/")?.split('/').next()?;
    let event_type: Vec<u8> = percent_decode_str(event_type).collect();
    let event_type = EventType::ALL
        .into_iter()
        .find(|known| known.as_str().as_bytes() == event_type)?;
    Some(Route {
        action,
        event_type,
        claimed_user: ClaimedUser::parse(user),
    })
}

// === impl ClaimedUser ===

impl ClaimedUser {
    /// The longest user ID there is, in bytes: [User
    /// Identifiers](https://spec.matrix.org/v1.19/appendices/#user-identifiers).
    const LIMIT: usize = 255;

    /// Reads one raw path segment: percent-decoded once, UTF-8, `@localpart:server`, at most 255
    /// bytes.
    ///
    /// `None` means "record it as not known". It is never a reason to let a request pass: Conduit
    /// ignores this segment and writes to the token's user.
    fn parse(segment: &str) -> Option<Self> {
        let user = percent_decode_str(segment).decode_utf8().ok()?;
        let (_, server) = user.strip_prefix('@')?.split_once(':')?;
        let known = !server.is_empty() && user.len() <= Self::LIMIT;
        known.then(|| Self(user.into()))
    }

    /// The user ID, percent-decoded.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests;
