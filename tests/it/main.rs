//! The integration tests, one binary.

#[cfg(feature = "gateway")]
mod origin;
#[cfg(feature = "gateway")]
mod transparency;
