//! The files that TLS wants: that they are there is known before the first connection.
//!
//! They are read anew for every connection, so that they can be renewed.

use percent_encoding::percent_decode_str;
use sqlx::postgres::PgSslMode;

use crate::audit::store::OpenError;

/// What the files are for, by the names that sqlx knows them by.
const ROOT: [&str; 3] = ["sslrootcert", "ssl-root-cert", "ssl-ca"];
const CERTIFICATE: [&str; 2] = ["sslcert", "ssl-cert"];
const KEY: [&str; 2] = ["sslkey", "ssl-key"];

/// What was found.
pub(super) struct Certificates {
    /// Whether a root is named.
    pub(super) has_root: bool,
}

/// Whether the files are there that the `parameters` of a URL name, and those that its `modes` need.
///
/// # Errors
///
/// If one is missing, or is not PEM.
pub(super) fn check(
    parameters: &[(&str, &str)],
    mut modes: impl Iterator<Item = PgSslMode>,
) -> Result<Certificates, OpenError> {
    let of = |names: &[&str]| {
        let named = |(name, _): &&(&str, &str)| names.contains(name);
        let last = parameters.iter().rfind(named);
        last.map(|(_, value)| decode(value))
    };
    let (root, certificate, key) = (of(&ROOT), of(&CERTIFICATE), of(&KEY));
    if let Some(root) = &root {
        check_file("sslrootcert", root, "CERTIFICATE-----")?;
    } else if modes.any(|mode| matches!(mode, PgSslMode::VerifyCa | PgSslMode::VerifyFull)) {
        return Err(OpenError::url(
            "needs `sslrootcert=FILE`, the certificates that the server's is held against; those of \
             the system are often in `/etc/ssl/certs/ca-certificates.crt`",
        ));
    }
    match (&certificate, &key) {
        (Some(certificate), Some(key)) => {
            check_file("sslcert", certificate, "CERTIFICATE-----")?;
            check_file("sslkey", key, "PRIVATE KEY-----")?;
        }
        (None, None) => {}
        _ => {
            return Err(OpenError::url(
                "needs both `sslcert=FILE` and `sslkey=FILE`, or neither",
            ));
        }
    }
    let has_root = root.is_some();
    Ok(Certificates { has_root })
}

fn check_file(parameter: &str, path: &str, label: &str) -> Result<(), OpenError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| OpenError::url_file(format!("{parameter}: cannot read {path}"), error))?;
    if text.contains("-----BEGIN") && text.contains(label) {
        Ok(())
    } else {
        Err(OpenError::url(format!(
            "{parameter}: {path} holds no `BEGIN … {label}`"
        )))
    }
}

/// A value as sqlx reads it.
fn decode(value: &str) -> String {
    let value = value.replace('+', " ");
    percent_decode_str(&value).decode_utf8_lossy().into_owned()
}
