//! What is wrong with a configuration: everything, at once.

use std::fmt;

use super::layers::{Layers, Source};

/// All mistakes of one configuration; never none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Error(Vec<Mistake>);

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Which key (`origin.url`), variable or file it is about.
    pub key: String,
    /// What is wrong, and what to do.
    pub text: String,
    /// Where the value stands; `None` if nobody wrote it.
    pub source: Option<Source>,
}

/// What was found so far.
#[derive(Default)]
pub(super) struct Mistakes(Vec<Mistake>);

// === impl Error ===

impl Error {
    /// The mistakes, in the order of the sections.
    #[must_use]
    pub fn mistakes(&self) -> &[Mistake] {
        &self.0
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [one] => write!(f, "the configuration has a mistake:\n  {one}"),
            all => {
                write!(f, "the configuration has {} mistakes:", all.len())?;
                all.iter().try_for_each(|one| write!(f, "\n  {one}"))
            }
        }
    }
}

// === impl Mistake ===

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.text)?;
        match &self.source {
            Some(source) => write!(f, " ({source})"),
            None => Ok(()),
        }
    }
}

// === impl Mistakes ===

impl Mistakes {
    /// Takes down that `key` is wrong. The first thing said about a key is enough.
    pub(super) fn add(&mut self, key: impl Into<String>, text: impl fmt::Display) {
        let key = key.into();
        if !self.0.iter().any(|one| one.key == key) {
            // One line each: what a library says may have more.
            let text = text.to_string().trim().replace('\n', " ");
            self.0.push(Mistake {
                key,
                text,
                source: None,
            });
        }
    }

    /// `config` if nothing was wrong.
    pub(super) fn into_result<T>(mut self, config: T, layers: &Layers) -> Result<T, Error> {
        if self.0.is_empty() {
            return Ok(config);
        }
        for mistake in &mut self.0 {
            mistake.source = layers.source_of(&mistake.key).cloned();
        }
        Err(Error(self.0))
    }
}
