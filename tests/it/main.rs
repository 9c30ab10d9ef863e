//! The integration tests, in one binary.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on must stop, and the lint knows only those within `#[test]`"
)]

mod architecture;
#[cfg(feature = "postgres")]
mod chaos;
#[cfg(feature = "gateway")]
mod cli;
#[cfg(feature = "postgres")]
mod cluster;
#[cfg(feature = "gateway")]
mod config;
#[cfg(feature = "postgres")]
mod embedded;
#[cfg(feature = "sqlite")]
mod guard;
#[cfg(all(feature = "gateway", feature = "sqlite"))]
mod listening;
#[cfg(all(feature = "gateway", feature = "sqlite"))]
mod origin;
#[cfg(all(feature = "postgres", feature = "sqlite"))]
mod outage;
#[cfg(feature = "sqlite")]
mod rig;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod store;
#[cfg(all(feature = "gateway", feature = "sqlite"))]
mod transparency;
