//! Guards the key-backup preference of Matrix users, and keeps an audit trail of it.

pub mod audit;
pub mod client;
pub mod clock;
#[cfg(feature = "gateway")]
pub mod config;
pub(crate) mod duration;
pub mod guard;
pub mod identity;
pub mod matrix;
pub mod policy;
#[cfg(feature = "gateway")]
pub mod proxy;
#[cfg(feature = "gateway")]
pub mod server;
#[cfg(feature = "gateway")]
pub mod telemetry;
