//! The keys that sign checkpoints: a file with a line for each, which belongs to its owner alone.
//!
//! Several keys sign together: that is how one is replaced by another while auditors still have the older
//! public key. They never stand in the database, and no message shows them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::SigningKey;
use signed_note::{StandardSigner, is_key_name_valid};

use super::note::Signers;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error("{} {what}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// The file is there already.
    #[error("{} is there already: to let a second key sign beside it, add --rotate", .0.display())]
    Exists(PathBuf),
    /// Others than its owner may read or write the file.
    #[error("{} may be read or written by others (mode {mode:04o}): `chmod 600` it", path.display())]
    Open {
        /// Which file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The file does not hold keys of one name.
    #[error(
        "{} holds no signing keys of one name: `key-backup-gateway audit keygen` makes such a file",
        .0.display()
    )]
    Malformed(PathBuf),
    /// The name cannot be that of a key.
    #[error("the name must not be empty, and have neither spaces nor `+`")]
    Name,
    /// The keys have another name than the configuration.
    #[error("the keys are named `{found}`, and `checkpoint.name` is `{expected}`")]
    OtherName {
        /// The keys' name.
        found: String,
        /// The configuration's.
        expected: String,
    },
}

// === impl KeyError ===

impl KeyError {
    /// Whether the file system is at fault, and may do better later.
    #[must_use]
    pub fn is_file(&self) -> bool {
        matches!(self, Self::File { .. })
    }
}

/// What stands in front of every key in a file.
const PREFIX: &str = "PRIVATE+KEY+";

/// A new key: its line in the file, and its public key.
///
/// # Errors
///
/// If `name` cannot be that of a key.
///
/// # Panics
///
/// If the operating system has no random bytes.
pub fn generate(name: &str) -> Result<(String, String), KeyError> {
    if !is_key_name_valid(name) || name.chars().any(char::is_control) {
        return Err(KeyError::Name);
    }
    Ok(signed_note::generate_key(&mut rand_core::OsRng, name))
}

/// The keys in `text`, a line each; `None` if there are none, or others than ours, or of several names.
#[must_use]
pub fn parse(text: &str) -> Option<Signers> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let keys = lines.map(|line| Some((StandardSigner::new(line).ok()?, public(line)?)));
    Signers::of(keys.collect::<Option<Vec<_>>>()?)
}

/// The public key that belongs to a line.
fn public(line: &str) -> Option<String> {
    let (name, key) = line.strip_prefix(PREFIX)?.split_once('+')?;
    let (_, key) = key.split_once('+')?;
    let key = STANDARD.decode(key).ok()?;
    // The first byte says that it is Ed25519.
    let seed: [u8; 32] = key.get(1..)?.try_into().ok()?;
    let public = SigningKey::from_bytes(&seed).verifying_key();
    Some(signed_note::new_ed25519_verifier_key(name, &public))
}

/// Reads the keys of a file.
///
/// # Errors
///
/// If it cannot be read, is open to others, or holds no keys.
pub fn read(path: &Path) -> Result<Signers, KeyError> {
    check_mode(path)?;
    let text = fs::read_to_string(path).map_err(|error| failed(path, "cannot be read", error))?;
    parse(&text).ok_or_else(|| KeyError::Malformed(path.to_owned()))
}

/// Makes a file with a new key, its owner's alone, and beside it `….pub` with the public key, which is returned.
///
/// # Errors
///
/// If there is such a file already, or it cannot be made, or `name` cannot be that of a key.
pub fn make(path: &Path, name: &str) -> Result<String, KeyError> {
    let (private, public) = generate(name)?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    write(path, &mut options, &private)?;
    write_public(path, std::slice::from_ref(&public))?;
    Ok(public)
}

/// Adds a new key of the same name to a file: from now on all of them sign.
///
/// # Errors
///
/// Those of [`read`], and if the file cannot be written.
pub fn rotate(path: &Path) -> Result<String, KeyError> {
    let signers = read(path)?;
    let (private, public) = generate(signers.name())?;
    write(path, OpenOptions::new().append(true), &private)?;
    let mut all = signers.public_keys().to_vec();
    all.push(public.clone());
    write_public(path, &all)?;
    Ok(public)
}

/// Where the public keys of the file `path` stand: with the extension `pub` in place of `key`, or after all
/// others.
#[must_use]
pub fn public_path(path: &Path) -> PathBuf {
    if path.extension().is_some_and(|extension| extension == "key") {
        return path.with_extension("pub");
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".pub");
    PathBuf::from(name)
}

fn write(path: &Path, options: &mut OpenOptions, line: &str) -> Result<(), KeyError> {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    let written = options.open(path).and_then(|mut file| {
        file.write_all(format!("{line}\n").as_bytes())?;
        file.sync_all()
    });
    written.map_err(|error| {
        if error.kind() == io::ErrorKind::AlreadyExists {
            return KeyError::Exists(path.to_owned());
        }
        failed(path, "cannot be written", error)
    })?;
    sync_folder(path);
    Ok(())
}

fn write_public(path: &Path, keys: &[String]) -> Result<(), KeyError> {
    let path = public_path(path);
    let text = keys.join("\n") + "\n";
    fs::write(&path, text).map_err(|error| failed(&path, "cannot be written", error))
}

/// The name is durable only with its folder; where that cannot be had, the key is written all the same.
fn sync_folder(path: &Path) {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let _ = File::open(folder.unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all());
}

fn failed(path: &Path, what: &'static str, source: io::Error) -> KeyError {
    KeyError::File {
        path: path.to_owned(),
        what,
        source,
    }
}

/// A group may read it: so does systemd hand on credentials.
#[cfg(unix)]
fn check_mode(path: &Path) -> Result<(), KeyError> {
    use std::os::unix::fs::PermissionsExt as _;
    let metadata = fs::metadata(path).map_err(|error| failed(path, "cannot be read", error))?;
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o027 == 0 {
        return Ok(());
    }
    Err(KeyError::Open {
        path: path.to_owned(),
        mode,
    })
}

#[cfg(not(unix))]
fn check_mode(_: &Path) -> Result<(), KeyError> {
    Ok(())
}
