//! Guards the key-backup preference of Matrix users, and keeps an audit trail of it.
//!
//! The preference is the account data `m.key_backup` (Matrix 1.19, MSC4287) and its unstable
//! forerunner. A [guard](guard::GuardLayer) around a homeserver, or around a proxy to one, recognises every
//! request that reads, writes or clears it, judges its shape, records it, and lets all else pass.
//!
//! # Map
//!
//! | module | knows |
//! |---|---|
//! | [`matrix`], [`policy`] | the specification, and what is done about it: pure |
//! | [`audit`] | the trail: records, stores, the writer; the only one that knows SQL |
//! | [`identity`], [`client`] | who is asking, and from where |
//! | [`clock`] | what time it is |
//! | [`guard`] | the tower layer |
//! | `proxy`, `admin`, `config`, `telemetry`, `server` | the gateway: feature `gateway` |
//!
//! # Features
//!
//! `gateway` (default) is the reverse proxy and its binary, `postgres` and `sqlite` (default) are
//! the stores. A homeserver that mounts the guard takes `default-features = false, features =
//! ["postgres"]`, and gets nothing that opens a port. See [`guard`] for how it is mounted.

#[cfg(feature = "gateway")]
pub mod admin;
pub mod audit;
pub mod client;
pub mod clock;
#[cfg(feature = "gateway")]
pub mod config;
mod duration;
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
