//! PUT, GET, DELETE: verdicts, answers, records.

mod identity;
mod outage;
mod read;
mod write;
