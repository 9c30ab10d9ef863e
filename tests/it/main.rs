//! The integration tests, in one binary.

#[cfg(feature = "gateway")]
mod cli;
#[cfg(feature = "postgres")]
mod cluster;
#[cfg(feature = "gateway")]
mod config;
#[cfg(feature = "gateway")]
mod origin;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
mod store;
#[cfg(feature = "gateway")]
mod transparency;
