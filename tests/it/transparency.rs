//! What "unchanged" means, one test per promise.
//!
//! It is the whole gateway, guard and trail included, that runs in the test's process. Both ends are
//! raw sockets, so that every byte is seen. `tests/run transparency` prints these names as a list of
//! promises; what hyper forces us to change is in [`deviations`].

mod answers;
mod connections;
mod departures;
mod deviations;
mod early;
mod endings;
mod expect;
mod failures;
mod forwarded;
mod heads;
mod hops;
mod http2;
mod lasting;
mod not_http;
mod origins;
mod pooled;
mod pressure;
mod requests;
mod rig;
mod smuggling;
mod upgrades;
mod uploads;
mod workers;

use self::rig::{Client, DRAIN, End, Gateway, PATIENCE, body, closing, forward, lines, soon};
