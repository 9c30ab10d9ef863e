//! A file to which checkpoints are appended, an empty line after each.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::PathBuf;

use crate::audit::seal::note::Verifiers;

/// How much of its end is read: a note takes some 200 bytes for each key.
const TAIL: u64 = 64 << 10;

/// An append-only file of notes.
#[derive(Clone)]
pub(super) struct NoteFile {
    path: PathBuf,
}

/// The notes in `text`, in order, as far as they are whole.
pub(in crate::audit) fn notes_in(text: &str) -> Vec<String> {
    let mut notes = Vec::new();
    let mut before: Option<&str> = None;
    for block in text.split("\n\n") {
        // Signature lines begin with an em dash: https://c2sp.org/signed-note
        match before.take() {
            Some(text) if block.starts_with('\u{2014}') => {
                let signatures = block.trim_end_matches('\n');
                notes.push(format!(
                    "{}\n\n{signatures}\n",
                    text.trim_start_matches('\n')
                ));
            }
            _ => before = Some(block),
        }
    }
    notes
}

// === impl NoteFile ===

impl NoteFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Its end; `None` if there is no such file.
    pub(super) fn end(&self) -> Result<Option<String>, String> {
        match self.tail() {
            Ok(tail) => Ok(Some(tail)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.failed("cannot be read", &error)),
        }
    }

    /// The newest note of this log in `tail`. What was torn by a crash is not looked at.
    pub(super) fn newest_in(
        &self,
        tail: &str,
        verifiers: &Verifiers,
    ) -> Result<Option<String>, String> {
        let mut notes = notes_in(tail).into_iter().rev();
        let newest = notes.find(|note| verifiers.open(note).is_ok());
        if newest.is_none() && !tail.trim().is_empty() {
            let path = self.path.display();
            return Err(format!(
                "{path} holds no checkpoint that our keys have signed"
            ));
        }
        Ok(newest)
    }

    pub(super) fn append(&self, note: &str) -> Result<(), String> {
        let append = || {
            let is_torn = match self.tail() {
                Ok(tail) => !matches!(tail.as_bytes(), [] | [.., b'\n', b'\n']),
                Err(error) if error.kind() == io::ErrorKind::NotFound => false,
                Err(error) => return Err(error),
            };
            let mut options = OpenOptions::new();
            let mut file = options.create(true).append(true).open(&self.path)?;
            let gap = if is_torn { "\n\n" } else { "" };
            file.write_all(format!("{gap}{note}\n").as_bytes())?;
            file.sync_data()
        };
        append().map_err(|error| self.failed("cannot be written", &error))
    }

    fn tail(&self) -> io::Result<String> {
        // To open a pipe is to wait for its other end.
        if !fs::metadata(&self.path)?.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        let mut file = File::open(&self.path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
        let mut tail = Vec::new();
        file.take(TAIL).read_to_end(&mut tail)?;
        Ok(String::from_utf8_lossy(&tail).into_owned())
    }

    fn failed(&self, what: &str, error: &io::Error) -> String {
        format!("{} {what}: {error}", self.path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::{NoteFile, notes_in};
    use crate::audit::seal::note::{TreeHead, Verifiers};
    use crate::audit::seal::{Signers, keys};

    fn newest(file: &NoteFile, verifiers: &Verifiers) -> Result<Option<String>, String> {
        let end = file.end()?;
        end.map_or(Ok(None), |tail| file.newest_in(&tail, verifiers))
    }

    fn signers() -> Signers {
        let (key, _) = keys::generate("log.example").unwrap();
        keys::parse(&key).unwrap()
    }

    fn note(signers: &Signers, size: u64) -> String {
        signers.sign(&TreeHead {
            size,
            root: [1; 32],
        })
    }

    #[test]
    fn what_was_appended_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes");
        let (signers, file) = (signers(), NoteFile::new(path.clone()));
        let verifiers = signers.verifiers();
        assert_eq!(newest(&file, &verifiers), Ok(None));
        for size in 1..400 {
            file.append(&note(&signers, size)).unwrap();
        }
        assert_eq!(newest(&file, &verifiers), Ok(Some(note(&signers, 399))));
        let text = std::fs::read_to_string(path).unwrap();
        let sizes: Vec<_> = notes_in(&text)
            .iter()
            .map(|note| verifiers.open(note).unwrap().size)
            .collect();
        assert_eq!(sizes, (1..400).collect::<Vec<_>>());
    }

    #[test]
    fn a_crash_at_any_byte_costs_one_note_at_most() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes");
        let (signers, file) = (signers(), NoteFile::new(path.clone()));
        let verifiers = signers.verifiers();
        let (first, second, third) = (note(&signers, 1), note(&signers, 2), note(&signers, 3));
        let whole = format!("{first}\n{second}\n");
        for cut in first.len() + 1..whole.len() {
            std::fs::write(&path, &whole[..whole.floor_char_boundary(cut)]).unwrap();
            let found = newest(&file, &verifiers).unwrap().unwrap();
            assert!(found == first || found == second, "{cut}: {found}");
            file.append(&third).unwrap();
            assert_eq!(newest(&file, &verifiers), Ok(Some(third.clone())), "{cut}");
            let text = std::fs::read_to_string(&path).unwrap();
            assert_eq!(notes_in(&text)[0], first, "{cut}");
        }
    }

    #[test]
    fn a_file_of_something_else_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes");
        let file = NoteFile::new(path.clone());
        std::fs::write(&path, note(&signers(), 5)).unwrap();
        let verifiers = signers().verifiers();
        let error = newest(&file, &verifiers).unwrap_err();
        assert!(
            error.ends_with("holds no checkpoint that our keys have signed"),
            "{error}"
        );
    }
}
