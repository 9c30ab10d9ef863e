//! All integration tests, in one binary.

#[cfg(feature = "gateway")]
mod cli;
#[cfg(feature = "gateway")]
mod config;
