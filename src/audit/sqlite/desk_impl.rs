//! Says for how long each question of an auditor may take.

use std::time::Duration;

use uuid::Uuid;

use super::{LONG, ROUTINE, SqliteStore, desk, summary};
use crate::audit::record::Stored;
use crate::audit::store::{
    Adoption, BoxFuture, Desk, Drift, Error, Span, Standing, Summarised, Violations, Writes,
    delegate_desk,
};
use crate::audit::summary::Profile;

/// For a hundred million records and more.
const ANEW: Duration = Duration::from_hours(1);

delegate_desk!(SqliteStore, LONG, ROUTINE, ANEW);
