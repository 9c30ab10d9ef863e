//! PUT, GET, DELETE: verdicts, answers, records.

mod flood;
mod identity;
mod outage;
mod read;
mod write;
