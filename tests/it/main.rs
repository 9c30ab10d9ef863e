//! The integration tests, one binary.
#![expect(clippy::unwrap_used, reason = "a helper that cannot go on fails the test that called it")]

#[cfg(feature = "gateway")]
mod origin;
#[cfg(feature = "gateway")]
mod transparency;
