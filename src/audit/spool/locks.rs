//! Locks of the operating system beside the spool: who ships it, and which runs live.
//!
//! A lock ends with its process, however that ends. Runs that were on this machine, and whose lock is
//! free, are certainly dead.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use uuid::Uuid;

/// A lock that is held until it is dropped.
#[derive(Debug)]
pub(in crate::audit) struct Held(File);

/// A run that died on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::audit) struct LocalRun {
    pub(in crate::audit) run_id: Uuid,
    pub(in crate::audit) instance: String,
}

/// Takes the lock on `path`; `None` if another process holds it.
pub(super) fn try_hold(path: &Path) -> io::Result<Option<Held>> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(Held(file))),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Says by a lock that the run lives.
pub(super) fn hold_run(spool: &Path, run_id: Uuid, instance: &str) -> io::Result<Held> {
    let path = run_path(spool, run_id);
    // Locked under another name first: nobody may find it unlocked.
    let fresh = path.with_added_extension("new");
    let Some(mut held) = try_hold(&fresh)? else {
        return Err(io::ErrorKind::AlreadyExists.into());
    };
    held.0.set_len(0)?;
    held.0.rewind()?;
    held.0.write_all(instance.as_bytes())?;
    std::fs::rename(&fresh, &path)?;
    Ok(held)
}

/// Whether the run lives on this machine.
pub(super) fn lives(spool: &Path, run_id: Uuid) -> bool {
    let Ok(file) = File::open(run_path(spool, run_id)) else {
        return false;
    };
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}

/// Forgets a run that has nothing more to say.
pub(super) fn forget_run(spool: &Path, run_id: Uuid) {
    let _ = std::fs::remove_file(run_path(spool, run_id));
}

/// The runs of this machine that are dead.
pub(super) fn dead_runs(spool: &Path) -> io::Result<Vec<LocalRun>> {
    let mut dead = Vec::new();
    for run_id in names_after(spool, ".run-")? {
        let Ok(run_id) = run_id.parse() else { continue };
        let Ok(mut file) = File::open(run_path(spool, run_id)) else {
            continue;
        };
        if file.try_lock_shared().is_ok() {
            let mut instance = String::new();
            file.read_to_string(&mut instance)?;
            dead.push(LocalRun { run_id, instance });
        }
    }
    Ok(dead)
}

/// What follows `suffix` in the names of the files beside `spool` that begin as it does.
pub(super) fn names_after(spool: &Path, suffix: &str) -> io::Result<Vec<String>> {
    let start = beside(spool, suffix);
    let Some(start) = start.file_name().and_then(|name| name.to_str()) else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder(spool))? {
        let name = entry?.file_name();
        let rest = name.to_str().and_then(|name| name.strip_prefix(start));
        found.extend(rest.map(str::to_owned));
    }
    found.sort();
    Ok(found)
}

/// `spool` with `suffix` at its end.
pub(super) fn beside(spool: &Path, suffix: &str) -> PathBuf {
    let mut path = spool.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

/// Where the spool is.
pub(super) fn folder(spool: &Path) -> &Path {
    let folder = spool.parent();
    folder
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

fn run_path(spool: &Path, run_id: Uuid) -> PathBuf {
    beside(spool, &format!(".run-{run_id}"))
}
