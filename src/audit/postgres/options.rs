//! From the configuration to what sqlx connects with.

use secrecy::ExposeSecret;
use sqlx::postgres::PgConnectOptions;

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
///
/// # Errors
///
/// If the URL is malformed or the password file cannot be read.
pub(super) fn parse(config: &Config) -> Result<PgConnectOptions, OpenError> {
    let url = config.url.expose_secret();
    check_parameters(url)?;
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
    if let Some(file) = &config.password_file {
        let password = std::fs::read_to_string(file).map_err(|error| {
            OpenError::password_file(format!("cannot read {}", file.display()), error)
        })?;
        options = options.password(password.trim_end_matches(['\r', '\n']));
    }
    if options.get_application_name().is_none() {
        options = options.application_name("key-backup-gateway");
    }
    // No prepared statement outlives its transaction, and PgBouncer refuses the parameter
    // `extra_float_digits`: see the module.
    Ok(options.statement_cache_capacity(0).extra_float_digits(None))
}

fn check_parameters(url: &str) -> Result<(), OpenError> {
    let Some((_, parameters)) = url.split_once('?') else {
        return Ok(());
    };
    for parameter in parameters
        .split('&')
        .filter(|parameter| !parameter.is_empty())
    {
        let (name, _) = parameter.split_once('=').unwrap_or((parameter, ""));
        if !PARAMETERS.contains(&name) && !name.starts_with("options[") {
            // Not quoted: in a URL whose password holds a `?` it would be part of the password.
            return Err(OpenError::url(format!(
                "has an unknown parameter after `?`: known are {}; a `?` in a password is written \
                 `%3F`",
                PARAMETERS.join(", ")
            )));
        }
    }
    Ok(())
}
