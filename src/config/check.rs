//! What a section cannot know of itself, or of the others.

use std::fs::File;
use std::time::Duration;

use secrecy::ExposeSecret;

use super::error::Mistakes;
use super::{Address, Config, Listen, Needs, Server};
use crate::audit::{self, seal};
use crate::proxy::{self, InvalidOrigin, Origin};

/// The longest wait that makes sense for anything that is configured.
const LONGEST: Duration = Duration::from_hours(24);

/// Below this hyper cannot be made to read, and ordinary requests would be refused.
const SHORTEST_HEAD: usize = 8192;
/// Each connection may hold that much.
const LONGEST_HEAD: usize = 16 << 20;
/// Sealing a record takes up to a second.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);
/// At least hourly, whatever happens.
const LONGEST_INTERVAL: Duration = Duration::from_hours(1);
/// A few thousand records.
const LEAST_SPOOL: u64 = 4 << 20;
/// Room for so many is made for every head that is read, however many it has.
const MOST_FIELDS: usize = 10_000;

/// Takes down all that is wrong with values which are well-formed one by one.
pub(super) fn check(config: &Config, needs: Needs, mistakes: &mut Mistakes) {
    check_server(config, mistakes);
    check_origin(config, mistakes);
    for (key, wait) in [
        ("origin.connect_timeout", config.origin.connect_timeout),
        ("origin.guarded_timeout", config.origin.guarded_timeout),
        ("identity.deadline", config.identity.deadline),
        ("audit.deadline", config.audit.deadline),
    ] {
        if wait == Duration::ZERO {
            mistakes.add(
                key,
                "must be longer than 0: nothing is ever done in no time",
            );
        }
        refuse_endless(key, wait, mistakes);
    }
    refuse_endless("audit.keep_shipped", config.audit.keep_shipped, mistakes);
    refuse_endless("identity.cache", config.identity.cache, mistakes);
    refuse_endless("server.drain", config.server.drain, mistakes);
    if config.policy.body_limit == 0 {
        mistakes.add(
            "policy.body_limit",
            "must be at least 1: no body would be taken",
        );
    }
    let limits = &config.limits;
    if limits.connections == 0 {
        mistakes.add(
            "limits.connections",
            "must be at least 1: nothing would be taken",
        );
    }
    if !(1..=MOST_FIELDS).contains(&limits.fields) {
        mistakes.add("limits.fields", format!("must be from 1 to {MOST_FIELDS}"));
    }
    if !(SHORTEST_HEAD..=LONGEST_HEAD).contains(&limits.heads) {
        mistakes.add(
            "limits.heads",
            format!("must be from {SHORTEST_HEAD} to {LONGEST_HEAD} bytes"),
        );
    }
    if config.audit.spool_limit < LEAST_SPOOL {
        mistakes.add(
            "audit.spool_limit",
            format!("must be at least {LEAST_SPOOL} bytes"),
        );
    }
    check_database(config, mistakes);
    check_checkpoint(&config.checkpoint, needs, mistakes);
    if let Err(error) = config.log.filter() {
        mistakes.add("log.level", error);
    }
}

/// Every wait has an end that somebody lives to see, and that clocks can hold.
fn refuse_endless(key: &str, wait: Duration, mistakes: &mut Mistakes) {
    if wait > LONGEST {
        mistakes.add(key, "must be at most one day");
    }
}

fn check_origin(config: &Config, mistakes: &mut Mistakes) {
    let Some(url) = &config.origin.url else {
        return;
    };
    match Origin::parse(url) {
        Ok(origin) => {
            if let Err(error) = proxy::check(&origin, &config.origin) {
                mistakes.add(error.key(), error);
            }
            let origin = origin.authority().as_str();
            let is_origin = |listen: &Listen| {
                let address = listen.address.to_string();
                address == origin || address == *url
            };
            if config.server.listen.iter().any(is_origin) {
                mistakes.add(
                    "origin.url",
                    "must not be an address of `server.listen`: a circle",
                );
            }
        }
        Err(error) => mistakes.add("origin.url", error),
    }
}

fn check_server(config: &Config, mistakes: &mut Mistakes) {
    let server = &config.server;
    if server.listen.is_empty() {
        mistakes.add("server.listen", "must hold at least one address");
    }
    let addresses: Vec<_> = server.listen.iter().map(|listen| &listen.address).collect();
    for (index, address) in addresses.iter().enumerate() {
        if !address.is_any_port() && addresses[..index].contains(address) {
            mistakes.add("server.listen", format!("{address} comes twice"));
        }
    }
    if !server.admin_listen.is_any_port() && addresses.contains(&&server.admin_listen) {
        mistakes.add(
            "server.admin_listen",
            "must not be an address of `server.listen`: the public port never serves health and \
             metrics",
        );
    }
    check_listeners(server, mistakes);
}

/// What a listener says of TLS and of the PROXY protocol.
fn check_listeners(server: &Server, mistakes: &mut Mistakes) {
    for listen in &server.listen {
        let tls = listen.tls.iter();
        for file in tls.flat_map(|tls| [&tls.certificate_file, &tls.key_file]) {
            if let Err(error) = File::open(file) {
                let text = format!("{listen}: {} cannot be read: {error}", file.display());
                mistakes.add("server.listen", text);
            }
        }
        // Whoever may open a unix socket is trusted.
        let is_tcp = matches!(listen.address, Address::Tcp(_));
        if listen.proxy_protocol && is_tcp && server.trusted_proxies.is_empty() {
            let text = format!(
                "must name a network: {listen} takes connections with `proxy_protocol` from trusted \
                 proxies only"
            );
            mistakes.add("server.trusted_proxies", text);
        }
    }
}

/// The URL itself never shows: it may hold a password.
fn check_database(config: &Config, mistakes: &mut Mistakes) {
    let url = config.database.url.expose_secret();
    let text = match url.split_once(':').map(|(scheme, _)| scheme) {
        Some("sqlite") if cfg!(feature = "sqlite") => None,
        Some("postgres" | "postgresql") if cfg!(feature = "postgres") => None,
        Some("sqlite" | "postgres" | "postgresql") => Some("this build has no such store"),
        _ => Some("must begin with `sqlite:` or `postgres://`"),
    };
    if let Some(text) = text {
        mistakes.add("database.url", text);
    } else if let Err(error) = audit::check(&config.database, &config.audit) {
        mistakes.add(error.key(), error.reason());
    }
    if config.database.max_connections == 0 {
        mistakes.add(
            "database.max_connections",
            "must be at least 1: nothing would be recorded",
        );
    }
}

fn check_checkpoint(checkpoint: &seal::Config, needs: Needs, mistakes: &mut Mistakes) {
    if !(SHORTEST_INTERVAL..=LONGEST_INTERVAL).contains(&checkpoint.interval) {
        mistakes.add("checkpoint.interval", "must be from one second to one hour");
    }
    if let Some(endpoint) = &checkpoint.endpoint
        && let Err(error) = Origin::parse_with_path(endpoint)
    {
        let text = match error {
            InvalidOrigin::Path => "must have neither spaces nor a `#` in its path".to_owned(),
            InvalidOrigin::Scheme => {
                "must be http://HOST[:PORT]/PATH or https://HOST[:PORT]/PATH".to_owned()
            }
            InvalidOrigin::UserInfo
            | InvalidOrigin::Host
            | InvalidOrigin::Port
            | InvalidOrigin::Socket => error.to_string(),
        };
        mistakes.add("checkpoint.endpoint", text);
    }
    // Whoever only reads the trail needs no key, and may not read it.
    let Some(path) = checkpoint
        .key_file
        .as_ref()
        .filter(|_| needs == Needs::Origin)
    else {
        return;
    };
    match (seal::keys::read(path), &checkpoint.name) {
        (Err(error), _) => {
            mistakes.add("checkpoint.key_file", crate::telemetry::with_causes(&error));
        }
        (Ok(signers), Some(name)) if signers.name() != name => {
            let text = format!(
                "the keys of `checkpoint.key_file` are named `{}`",
                signers.name()
            );
            mistakes.add("checkpoint.name", text);
        }
        (Ok(_), _) => {}
    }
}
