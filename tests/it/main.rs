//! The integration tests.

#[cfg(feature = "postgres")]
mod cluster;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod store;
