//! What is derived from the trail for those who ask about it often: who wants key backup, what was refused and for whom,
//! and where what was read is not what was written.
//!
//! # Promise
//!
//! It is no part of the proof: whoever doubts it has it made anew from the records (`audit rebuild`), and gets the same. The
//! order in which records arrive changes nothing. Nothing waits for it.

mod batch;
mod client;
mod observation;
mod profile;
pub(super) mod rows;
mod story;

pub(super) use self::batch::{Batch, Derived};
pub use self::client::client;
pub use self::profile::{Content, Profile, Seen};
pub use self::story::{Became, Change, story};

#[cfg(test)]
mod tests;
