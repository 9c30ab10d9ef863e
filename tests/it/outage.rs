//! What becomes of the trail when its store, its spool, its gateway or its clock fails.
//!
//! Real Postgres behind a real spool. What needs whole processes is in `tests/e2e/faults`.

mod clock;
mod damage;
mod refused;
mod runs;
mod scene;
mod server;
mod shipping;
