//! Gathers every module's own Config from one TOML file, the environment and the flags.
//!
//! # Promise
//!
//! - The file is overridden by `KEY_BACKUP_GATEWAY__SECTION__KEY`, and that by flags.
//! - All mistakes are found at once, and each names its key: an operator mends the file once.
//! - What we do not know is refused. A misspelt key would else be a default that nobody chose.
//! - No message shows the value of a secret, and [`Config`] can be neither printed nor serialised.

mod check;
mod error;
mod keys;
mod layers;
mod limits;
mod listen;
mod server;

use self::error::Mistakes;
pub use self::error::{Error, Mistake};
use self::keys::keys;
use self::layers::Layers;
pub use self::layers::{Flag, PREFIX, Source, Sources};
pub use self::limits::Limits;
pub use self::listen::{Address, Listen, Tls};
pub use self::server::{Network, Server};
use crate::audit::{seal, store};
use crate::{admin, audit, identity, policy, proxy, telemetry};

/// The whole configuration: a section of the file each.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// `[server]`
    pub server: Server,
    /// `[origin]`
    pub origin: proxy::Config,
    /// `[policy]`
    pub policy: policy::Config,
    /// `[identity]`
    pub identity: identity::Config,
    /// `[audit]`
    pub audit: audit::Config,
    /// `[limits]`
    pub limits: Limits,
    /// `[database]`
    pub database: store::Config,
    /// `[checkpoint]`
    pub checkpoint: seal::Config,
    /// `[admin]`
    pub admin: admin::Config,
    /// `[log]`
    pub log: telemetry::Config,
}

/// What a command cannot do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// A homeserver: `serve` and `check`.
    Origin,
    /// Only the trail: `migrate` and `audit`.
    Database,
    /// Not even the keys: `audit keygen` makes them.
    Keys,
}

/// The sections, with the keys of each.
#[must_use]
pub fn sections() -> [(&'static str, &'static [&'static str]); 10] {
    [
        ("server", keys::<Server>()),
        ("origin", keys::<proxy::Config>()),
        ("policy", keys::<policy::Config>()),
        ("identity", keys::<identity::Config>()),
        ("audit", keys::<audit::Config>()),
        ("limits", keys::<Limits>()),
        ("database", keys::<store::Config>()),
        ("checkpoint", keys::<seal::Config>()),
        ("admin", keys::<admin::Config>()),
        ("log", keys::<telemetry::Config>()),
    ]
}

// === impl Config ===

impl Config {
    /// Reads `sources`, the later over the earlier.
    ///
    /// # Errors
    ///
    /// With all that is wrong, for a command that `needs` it.
    pub fn load(sources: Sources, needs: Needs) -> Result<Self, Error> {
        let mut mistakes = Mistakes::default();
        let mut layers = Layers::gather(sources, &mut mistakes);
        let config = Self {
            server: layers.section("server", &mut mistakes),
            origin: layers.section("origin", &mut mistakes),
            policy: layers.section("policy", &mut mistakes),
            identity: layers.section("identity", &mut mistakes),
            audit: layers.section("audit", &mut mistakes),
            limits: layers.section("limits", &mut mistakes),
            database: layers.section("database", &mut mistakes),
            checkpoint: layers.section("checkpoint", &mut mistakes),
            admin: layers.section("admin", &mut mistakes),
            log: layers.section("log", &mut mistakes),
        };
        layers.refuse_the_rest(&mut mistakes);
        check::check(&config, needs, &mut mistakes);
        // From half of what was written nobody knows whether the origin is missing.
        if needs == Needs::Origin && config.origin.url.is_none() && layers.are_complete() {
            mistakes.add("origin.url", "missing: name the homeserver, as in `http://127.0.0.1:8008`, here or with --origin");
        }
        mistakes.into_result(config, &layers)
    }
}
