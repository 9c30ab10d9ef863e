//! `[checkpoint]`, and the keys that belong to it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use super::keys::{self, KeyError};
use super::note::Signers;
use super::outlet::Endpoint;
use crate::audit::store;

/// `[checkpoint]`: who signs the trail, how often, and where that goes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The origin of the checkpoints. It must be that of the keys; what is not said is theirs.
    pub name: Option<String>,
    /// The file with the signing keys, the same for all gateways of a trail. Without one nothing is sealed, but
    /// for SQLite, where it is made beside the database.
    pub key_file: Option<PathBuf>,
    /// A file to which checkpoints are appended.
    pub file: Option<PathBuf>,
    /// Where checkpoints are sent by POST, and asked for by GET.
    pub endpoint: Option<String>,
    /// The least time between two checkpoints.
    #[serde(with = "crate::duration")]
    pub interval: Duration,
}

/// What sealing needs.
#[derive(Clone)]
pub struct Sealing {
    /// The database, to which the sealer has connections of its own.
    pub database: store::Config,
    /// What signs.
    pub signers: Signers,
    /// The least time between two checkpoints.
    pub interval: Duration,
    /// A file to which checkpoints are appended.
    pub file: Option<PathBuf>,
    /// What takes checkpoints over HTTP.
    pub endpoint: Option<Arc<dyn Endpoint>>,
}

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Self {
            name: None,
            key_file: None,
            file: None,
            endpoint: None,
            // What was recorded longer ago than that is signed.
            interval: Duration::from_secs(5),
        }
    }
}

impl Config {
    /// Where the keys of a trail in `database` are: as configured, or beside an SQLite file.
    #[must_use]
    pub fn key_path(&self, database: &store::Config) -> Option<PathBuf> {
        self.key_file.clone().or_else(|| beside(database, "key"))
    }

    /// The signing keys of a trail in `database`; `None` if it is not to be sealed. Those of an SQLite file are
    /// made, named `default_name`, if there are none.
    ///
    /// # Errors
    ///
    /// If the keys cannot be used, or have another name than is configured.
    pub fn signers(
        &self,
        database: &store::Config,
        default_name: &str,
    ) -> Result<Option<Signers>, KeyError> {
        let path = match (&self.key_file, beside(database, "key")) {
            (Some(path), _) => path.clone(),
            (None, Some(path)) => {
                self.make_beside(&path, default_name)?;
                path
            }
            (None, None) => return Ok(None),
        };
        let signers = keys::read(&path)?;
        if let Some(expected) = &self.name
            && expected != signers.name()
        {
            return Err(KeyError::OtherName {
                found: signers.name().to_owned(),
                expected: expected.clone(),
            });
        }
        Ok(Some(signers))
    }

    fn make_beside(&self, path: &Path, default_name: &str) -> Result<(), KeyError> {
        let name = self.name.as_deref().unwrap_or(default_name);
        match keys::make(path, name) {
            Ok(public) => {
                tracing::warn!(
                    "made the key that signs checkpoints, {}: whoever can read it can rewrite the trail unseen but \
                     for those who kept a checkpoint. Keep the public key elsewhere: {public}",
                    path.display()
                );
                Ok(())
            }
            Err(KeyError::Exists(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// The public keys of a trail in an SQLite file, a line each, if they stand beside it.
#[must_use]
pub fn public_keys_beside(database: &store::Config) -> Option<String> {
    fs::read_to_string(beside(database, "pub")?).ok()
}

/// `<database>.EXTENSION` for SQLite.
fn beside(database: &store::Config, extension: &str) -> Option<PathBuf> {
    let mut path = super::super::open::sqlite_path(database)?.into_os_string();
    path.push(".");
    path.push(extension);
    Some(path.into())
}
