//! The file of a unix socket: made, put in its place, and taken away again.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};

/// The file of a unix socket that listens. When it is dropped the file goes, if it is still the same.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// Device and inode: whether the file is still ours.
    identity: (u64, u64),
}

/// A name beside the one to be taken; gone when dropped.
struct Draft(PathBuf);

// === impl SocketFile ===

impl SocketFile {
    /// Listens at `path` with a file of `mode`.
    ///
    /// The file is made under another name beside `path`, gets its mode, listens, and only then is
    /// renamed: so nobody meets it half done, and no moment is without a file if there was one.
    ///
    /// # Errors
    ///
    /// If somebody listens at `path`, if there is a file that is no socket, or if the folder cannot
    /// be written to.
    pub(super) fn bind(path: &Path, mode: u32, backlog: i32) -> io::Result<(UnixListener, Self)> {
        refuse_if_taken(path)?;
        let draft = Draft::beside(path)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
        socket.bind(&SockAddr::unix(&draft.0)?)?;
        fs::set_permissions(&draft.0, fs::Permissions::from_mode(mode))?;
        // Before this nobody can connect.
        socket.listen(backlog)?;
        let identity = identity(&draft.0)?;
        fs::rename(&draft.0, path)?;
        let file = Self {
            path: path.to_owned(),
            identity,
        };
        Ok((socket.into(), file))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Not if another run has put its own there meanwhile.
        if identity(&self.path).is_ok_and(|identity| identity == self.identity) {
            // Left behind, it is replaced at the next start.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let file = fs::symlink_metadata(path)?;
    Ok((file.dev(), file.ino()))
}

/// An error unless `path` is free, or held by the file of a socket that nobody listens at any more.
fn refuse_if_taken(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(file) if !file.file_type().is_socket() => {
            let text = "there is a file that is no socket: remove it, or take another path";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
        }
        Ok(_) => {}
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    let Err(error) = socket.connect(&SockAddr::unix(path)?) else {
        return Err(io::ErrorKind::AddrInUse.into());
    };
    let is = |kind| error.kind() == kind;
    if is(io::ErrorKind::ConnectionRefused) || is(io::ErrorKind::NotFound) {
        // Nobody listens: it was left behind. Or it has gone this moment.
        Ok(())
    } else if is(io::ErrorKind::WouldBlock) {
        // Somebody listens, and has no time for us.
        Err(io::ErrorKind::AddrInUse.into())
    } else {
        // Whose it is we cannot say: no access, another type of socket.
        Err(error)
    }
}

// === impl Draft ===

impl Draft {
    fn beside(path: &Path) -> io::Result<Self> {
        // By chance, as two gateways may start at once, and in two containers with the same process
        // id. No longer than `config::Address` leaves room for.
        let chance = getrandom::u32()? & 0x00ff_ffff;
        let mut draft = path.as_os_str().to_owned();
        draft.push(format!(".{chance:06x}"));
        Ok(Self(draft.into()))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Most often it is in its place, and not here.
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draft_that_did_not_take_its_place_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let draft = Draft::beside(&folder.path().join("s")).unwrap();
        drop(UnixListener::bind(&draft.0).unwrap());
        let path = draft.0.clone();
        assert!(path.exists());
        drop(draft);
        assert!(!path.exists());
    }
}
