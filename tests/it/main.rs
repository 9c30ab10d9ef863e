//! The integration tests.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[cfg(feature = "postgres")]
mod cluster;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod store;
