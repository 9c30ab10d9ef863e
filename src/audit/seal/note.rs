//! Checkpoints: tree heads in signed notes.
//!
//! <https://c2sp.org/tlog-checkpoint>, <https://c2sp.org/signed-note>. `signed_note` and `tlog_tiles` know
//! the formats; the keys' name is the origin, and a checkpoint of another log is none.

use signed_note::{
    Note, NoteError, Signer, StandardSigner, StandardVerifier, VerificationError, Verifier,
};
use tlog_tiles::{Checkpoint, Hash as TlogHash};

use super::merkle::Hash;

/// How many leaves a tree has, and its root hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeHead {
    /// How many leaves.
    pub size: u64,
    /// Their root hash.
    pub root: Hash,
}

/// What signs checkpoints. Shows nothing of the keys.
#[derive(Clone)]
pub struct Signers {
    name: String,
    keys: Vec<StandardSigner>,
    public: Vec<String>,
}

/// What verifies checkpoints: the public keys of one log.
pub struct Verifiers {
    name: String,
    keys: Vec<String>,
    list: List,
}

/// The library's own list cannot go from thread to thread.
struct List(Vec<StandardVerifier>);

/// Why a note is no checkpoint of this log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// It is not written as a checkpoint is.
    #[error("it is not a checkpoint in a signed note")]
    Malformed,
    /// None of the keys has signed it.
    #[error("it is signed by none of the keys {0}")]
    UnknownKey(String),
    /// A signature by one of the keys is wrong.
    #[error("the signature by {0} is wrong: it was changed after it was signed")]
    Signature(String),
    /// It is that of another log.
    #[error("it is a checkpoint of {found}, and not of {expected}")]
    Origin {
        /// The note's origin.
        found: String,
        /// The keys' name.
        expected: String,
    },
}

/// Why text is no verifier key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no note verifier key: write `NAME+ID+KEY`, as `audit keygen` prints it")]
pub struct NoKey;

// === impl TreeHead ===

impl TreeHead {
    /// What a note says, whoever signed it; `None` if it is no checkpoint.
    #[must_use]
    pub fn stated(note: &str) -> Option<Self> {
        let note = Note::from_bytes(note.as_bytes()).ok()?;
        let checkpoint = Checkpoint::from_reader(&mut note.text(), false).ok()?;
        Some(Self {
            size: checkpoint.size(),
            root: checkpoint.hash().0,
        })
    }
}

// === impl Signers ===

impl Signers {
    /// The signers of `keys`, each with its verifier key; `None` if there are none, or they have several
    /// names.
    pub(super) fn of(keys: Vec<(StandardSigner, String)>) -> Option<Self> {
        let name = keys.first()?.0.name().to_owned();
        if keys.iter().any(|(signer, _)| signer.name() != name) {
            return None;
        }
        let (keys, public) = keys.into_iter().unzip();
        Some(Self { name, keys, public })
    }

    /// The origin of the checkpoints, and the name of the keys.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The public keys, as note verifiers read them.
    #[must_use]
    pub fn public_keys(&self) -> &[String] {
        &self.public
    }

    /// The ids of the keys, as the public keys show them.
    #[must_use]
    pub fn key_ids(&self) -> Vec<String> {
        let ids = self.keys.iter().map(Signer::key_id);
        ids.map(|id| format!("{id:08x}")).collect()
    }

    /// What verifies what is signed here.
    ///
    /// # Panics
    ///
    /// Never: the public keys are those of our own signers.
    #[must_use]
    pub fn verifiers(&self) -> Verifiers {
        Verifiers::parse(&self.public).expect("the keys are our own, and have one name")
    }

    /// A checkpoint, signed by all keys.
    ///
    /// # Panics
    ///
    /// Never: names and keys were checked when they were read.
    #[must_use]
    pub fn sign(&self, head: &TreeHead) -> String {
        let text = text(&self.name, head).expect("a name is not empty");
        let mut note = Note::new(&text, &[]).expect("a checkpoint is the text of a note");
        let signers: Vec<_> = self.keys.iter().map(|it| it as &dyn Signer).collect();
        note.add_sigs(&signers)
            .expect("names are valid, and Ed25519 signs anything");
        String::from_utf8(note.to_bytes()).expect("a note is UTF-8")
    }
}

// === impl Verifiers ===

impl Verifiers {
    /// The verifiers of `keys`, all of one name.
    ///
    /// # Errors
    ///
    /// If one of them is no note verifier key, or they have several names, or there are none.
    pub fn parse(keys: &[String]) -> Result<Self, NoKey> {
        let mut verifiers = Vec::new();
        let mut unique: Vec<String> = keys.to_vec();
        unique.sort_unstable();
        unique.dedup();
        for key in &unique {
            verifiers.push(StandardVerifier::new(key).map_err(|_| NoKey)?);
        }
        let name = verifiers.first().ok_or(NoKey)?.name().to_owned();
        if verifiers.iter().any(|verifier| verifier.name() != name) {
            return Err(NoKey);
        }
        Ok(Self {
            name,
            keys: unique,
            list: List(verifiers),
        })
    }

    /// The name of the keys, which is the origin of the checkpoints.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The tree head that `note` says, if one of the keys has signed it.
    ///
    /// # Errors
    ///
    /// Why it is no checkpoint of this log.
    pub fn open(&self, note: &str) -> Result<TreeHead, Invalid> {
        let note = Note::from_bytes(note.as_bytes()).map_err(|_| Invalid::Malformed)?;
        let parsed = Checkpoint::from_reader(&mut note.text(), false);
        let checkpoint = parsed.map_err(|_| Invalid::Malformed)?;
        // Nothing may stand there that was not read.
        if checkpoint.to_bytes() != note.text() {
            return Err(Invalid::Malformed);
        }
        note.verify(&self.list).map_err(|error| match error {
            NoteError::InvalidSignature { name, id } => {
                Invalid::Signature(format!("{name}+{id:08x}"))
            }
            NoteError::UnverifiedNote => Invalid::UnknownKey(self.ids()),
            NoteError::MalformedNote
            | NoteError::InvalidSigner
            | NoteError::MismatchedVerifier
            | NoteError::VerificationError(_)
            | NoteError::SignatureError(_) => Invalid::Malformed,
        })?;
        if checkpoint.origin() != self.name {
            return Err(Invalid::Origin {
                found: checkpoint.origin().to_owned(),
                expected: self.name.clone(),
            });
        }
        Ok(TreeHead {
            size: checkpoint.size(),
            root: checkpoint.hash().0,
        })
    }

    /// The ids of the keys that `note` says it is signed by, ours or not; nothing if it is no note.
    #[must_use]
    pub fn signed_by(&self, note: &str) -> Vec<String> {
        let Ok(note) = Note::from_bytes(note.as_bytes()) else {
            return Vec::new();
        };
        let Ok((ours, others)) = note.verify(&self.list) else {
            return Vec::new();
        };
        let ids = ours.iter().chain(&others).map(signed_note::Signature::id);
        ids.map(|id| format!("{id:08x}")).collect()
    }

    /// Names and ids, without the keys themselves.
    fn ids(&self) -> String {
        let short = |key: &String| key.rsplit_once('+').map(|(id, _)| id.to_owned());
        let ids: Vec<_> = self.keys.iter().filter_map(short).collect();
        ids.join(", ")
    }
}

// === impl List ===

impl signed_note::Verifiers for List {
    fn verifier(&self, name: &str, id: u32) -> Result<&dyn Verifier, VerificationError> {
        let found = self
            .0
            .iter()
            .find(|it| it.name() == name && it.key_id() == id);
        let unknown = || VerificationError::UnknownKey {
            name: name.to_owned(),
            id,
        };
        found.map(|it| it as &dyn Verifier).ok_or_else(unknown)
    }
}

fn text(name: &str, head: &TreeHead) -> Option<Vec<u8>> {
    let checkpoint = Checkpoint::new(name, head.size, TlogHash(head.root), "");
    checkpoint.ok().map(|checkpoint| checkpoint.to_bytes())
}

#[cfg(test)]
mod tests;
