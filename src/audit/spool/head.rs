//! What the spool should hold at least, beside it in a file of its own.
//!
//! SQLite takes a write-ahead log that lost its end, or has a flipped byte in it, for one that ends
//! there. So after each commit its `seq` is noted here. The note is not synced: it outlives the death
//! of the process, and after that of the machine it says less than the truth, never more.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::path::Path;

use uuid::Uuid;

/// What the spool should hold at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Of which spool.
    pub(super) spool_id: Uuid,
    /// The newest record.
    pub(super) written: i64,
    /// The newest record that is in the store.
    pub(super) shipped: i64,
}

/// The file.
#[derive(Debug)]
pub(super) struct Note(File);

// === impl Head ===

impl Head {
    /// What stands in `path`; `None` if there is no such file, or no head in it.
    pub(super) fn read(path: &Path) -> Option<Self> {
        let mut text = String::new();
        File::open(path).ok()?.read_to_string(&mut text).ok()?;
        let mut words = text.split_ascii_whitespace();
        let head = Self {
            spool_id: words.next()?.parse().ok()?,
            written: words.next()?.parse().ok()?,
            shipped: words.next()?.parse().ok()?,
        };
        words.next().is_none().then_some(head)
    }
}

// === impl Note ===

impl Note {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(path).map(Self)
    }

    /// Always of one length, in one write: whoever reads finds the old one or the new one.
    pub(super) fn write(&self, head: Head) -> io::Result<()> {
        let Head {
            spool_id,
            written,
            shipped,
        } = head;
        let text = format!("{} {written:020} {shipped:020}\n", spool_id.simple());
        #[cfg(unix)]
        std::os::unix::fs::FileExt::write_all_at(&self.0, text.as_bytes(), 0)?;
        #[cfg(not(unix))]
        {
            use std::io::{Seek as _, Write as _};
            (&self.0).rewind()?;
            (&self.0).write_all(text.as_bytes())?;
        }
        Ok(())
    }
}
