//! Guards the key-backup preference of Matrix users, and keeps an audit trail of it.

pub mod audit;
pub mod client;
pub mod clock;
mod duration;
pub mod guard;
pub mod identity;
pub mod matrix;
pub mod policy;
