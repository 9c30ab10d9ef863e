//! From the configuration to what sqlx connects with.

use secrecy::ExposeSecret;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use super::certificates;
use super::password::PasswordFile;
use crate::audit::store::{Config, OpenError};

/// The parameters that sqlx knows. It would log any other, with its value, which may be a password.
const PARAMETERS: [&str; 17] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "ssl-ca",
    "ssl-cert",
    "ssl-key",
    "ssl-mode",
    "ssl-root-cert",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "user",
];

/// What to connect with.
pub(super) struct Options {
    /// One for each host, in their order; at least one.
    pub(super) hosts: Vec<PgConnectOptions>,
    pub(super) password_file: Option<PasswordFile>,
}

// === impl Options ===

impl Options {
    /// What the operator should know, a sentence each.
    pub(super) fn remarks(&self) -> Vec<String> {
        let remark = self.password_file.as_ref().and_then(PasswordFile::remark);
        remark.into_iter().collect()
    }
}

/// What to connect with.
///
/// # Errors
///
/// If the URL is malformed, or a file that it or the configuration names cannot be read.
pub(super) fn parse(config: &Config) -> Result<Options, OpenError> {
    let url = config.url.expose_secret();
    let parameters = parameters(url)?;
    let hosts = one_host_each(url)?
        .iter()
        .map(|url| parse_one(url))
        .collect::<Result<Vec<_>, _>>()?;
    let certificates = certificates::check(
        &parameters,
        hosts.iter().map(PgConnectOptions::get_ssl_mode),
    )?;
    let hosts = hosts.into_iter().map(|options| {
        // As libpq has it: whoever names a root wants it looked at.
        if certificates.has_root && matches!(options.get_ssl_mode(), PgSslMode::Require) {
            options.ssl_mode(PgSslMode::VerifyCa)
        } else {
            options
        }
    });
    Ok(Options {
        hosts: hosts.collect(),
        password_file: match &config.password_file {
            Some(file) => Some(PasswordFile::open(file)?),
            None => None,
        },
    })
}

fn parse_one(url: &str) -> Result<PgConnectOptions, OpenError> {
    // What sqlx says of a URL may quote it.
    let mut options: PgConnectOptions = url.parse().map_err(|_| {
        OpenError::url(
            "is malformed: write `postgres://USER@HOST:PORT/DATABASE`, with what is special in \
             names and passwords percent-encoded",
        )
    })?;
    // What follows a `/` in a password would be taken for the database, and named in errors.
    if options
        .get_database()
        .is_some_and(|name| name.contains(['/', '@']))
    {
        return Err(OpenError::url(
            "has a `/` where none may be: in a password it is written `%2F`",
        ));
    }
    if options.get_application_name().is_none() {
        options = options.application_name("key-backup-gateway");
    }
    // To certificates an IPv6 address has no brackets.
    if let Some(address) = options
        .get_host()
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .map(str::to_owned)
    {
        options = options.host(&address);
    }
    // No prepared statement outlives its transaction, and PgBouncer refuses the parameter
    // `extra_float_digits`: see the module.
    Ok(options.statement_cache_capacity(0).extra_float_digits(None))
}

/// `postgres://USER@A:1,B:2/DATABASE` as libpq has it, made into a URL for each host.
fn one_host_each(url: &str) -> Result<Vec<String>, OpenError> {
    let (scheme, rest) = url.split_once("://").unwrap_or((url, ""));
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (user, hosts) = match authority.rsplit_once('@') {
        Some((user, hosts)) => (format!("{user}@"), hosts),
        None => (String::new(), authority),
    };
    if !hosts.contains(',') {
        return Ok(vec![url.to_owned()]);
    }
    if hosts.split(',').any(str::is_empty) {
        return Err(OpenError::url("has an empty name among its hosts"));
    }
    let urls = hosts.split(',');
    Ok(urls
        .map(|host| format!("{scheme}://{user}{host}{path}"))
        .collect())
}

/// The parameters after `?`, not decoded.
fn parameters(url: &str) -> Result<Vec<(&str, &str)>, OpenError> {
    let Some((_, parameters)) = url.split_once('?') else {
        return Ok(Vec::new());
    };
    let parameters = parameters.split('&').filter(|one| !one.is_empty());
    let parameters = parameters.map(|one| one.split_once('=').unwrap_or((one, "")));
    let parameters: Vec<_> = parameters.collect();
    for (name, value) in &parameters {
        if !PARAMETERS.contains(name) && !name.starts_with("options[") {
            // Not quoted: in a URL whose password holds a `?` it would be part of the password.
            return Err(OpenError::url(format!(
                "has an unknown parameter after `?`: known are {}; a `?` in a password is written \
                 `%3F`",
                PARAMETERS.join(", ")
            )));
        }
        if ["host", "hostaddr", "port"].contains(name) && value.contains(',') {
            return Err(OpenError::url(format!(
                "names several in `{name}`: write `postgres://USER@HOST:PORT,HOST:PORT/DATABASE`"
            )));
        }
    }
    Ok(parameters)
}
