//! The gateway as it runs.

pub mod listen;
