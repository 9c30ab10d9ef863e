//! The password that stands in a file.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use secrecy::SecretString;

use crate::audit::store::OpenError;

/// `database.password_file`, read anew for every connection: a password can be changed while the
/// gateway runs.
#[derive(Clone, Debug)]
pub(super) struct PasswordFile {
    path: PathBuf,
    /// What it held last, for the moment in which it is replaced.
    last: Arc<Mutex<SecretString>>,
}

// === impl PasswordFile ===

impl PasswordFile {
    /// Reads it for the first time.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub(super) fn open(path: &Path) -> Result<Self, OpenError> {
        let password = read(path).map_err(|error| {
            OpenError::password_file(format!("cannot read {}", path.display()), error)
        })?;
        Ok(Self {
            path: path.to_owned(),
            last: Arc::new(Mutex::new(password)),
        })
    }

    /// The password as it is now.
    pub(super) async fn password(&self) -> SecretString {
        let path = self.path.clone();
        let read = tokio::task::spawn_blocking(move || read(&path)).await;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match read {
            Ok(Ok(password)) => *last = password,
            Ok(Err(error)) => tracing::warn!(
                "{} cannot be read, so the last password is tried again: {error}",
                self.path.display()
            ),
            Err(_) => {}
        }
        last.clone()
    }

    /// What the operator should know about it.
    pub(super) fn remark(&self) -> Option<String> {
        let mode = std::fs::metadata(&self.path).ok()?.mode();
        (mode & 0o004 != 0).then(|| {
            format!(
                "database.password_file: everybody on this machine may read {}: `chmod o-r` it",
                self.path.display()
            )
        })
    }
}

fn read(path: &Path) -> io::Result<SecretString> {
    let mut text = String::new();
    File::open(path)?.read_to_string(&mut text)?;
    text.truncate(text.trim_end_matches(['\r', '\n']).len());
    Ok(text.into())
}
