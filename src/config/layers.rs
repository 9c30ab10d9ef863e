//! File, environment, flags: who said what last.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{fmt, fs};

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::error::Mistakes;
use super::{keys, sections};

/// What every variable of ours starts with; then comes `SECTION__KEY`.
pub const PREFIX: &str = "KEY_BACKUP_GATEWAY__";

/// How alike a known name must be to be suggested, from 0 to 1: a swapped, lost or doubled letter.
const ALIKE: f64 = 0.85;

/// Where a configuration comes from.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The TOML file.
    pub file: Option<PathBuf>,
    /// The environment. What does not start with [`PREFIX`] is ignored.
    pub environment: Vec<(OsString, OsString)>,
    /// The flags that were given.
    pub flags: Vec<Flag>,
}

/// A flag that stands for a key.
#[derive(Clone, Debug)]
pub struct Flag {
    /// As on the command line: `--origin`.
    pub name: &'static str,
    /// Section and key.
    pub key: (&'static str, &'static str),
    /// What was given.
    pub text: String,
}

/// Where a value stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// In this file.
    File(PathBuf),
    /// In this variable.
    Variable(String),
    /// Behind this flag.
    Flag(&'static str),
}

/// All values, the last word on each key.
#[derive(Default)]
pub(super) struct Layers {
    values: BTreeMap<(String, String), Given>,
    sources: BTreeMap<String, Source>,
    complete: bool,
}

/// A value as it was given.
enum Given {
    /// By the file, which has types.
    Value(Value),
    /// By a variable or a flag, which have none.
    Text(String),
}

// === impl Source ===

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "in {}", path.display()),
            Self::Variable(name) => f.write_str(name),
            Self::Flag(name) => f.write_str(name),
        }
    }
}

// === impl Layers ===

impl Layers {
    pub(super) fn gather(sources: Sources, mistakes: &mut Mistakes) -> Self {
        let mut layers = Self {
            complete: true,
            ..Self::default()
        };
        if let Some(path) = &sources.file {
            match read(path) {
                Ok(table) => layers.add_file(path, table, mistakes),
                Err(text) => {
                    layers.complete = false;
                    mistakes.add(path.display().to_string(), text);
                }
            }
        }
        for (name, value) in &sources.environment {
            let name = name.to_string_lossy();
            if let Some(key) = name.strip_prefix(PREFIX) {
                layers.add_variable(&name, key, value.to_str(), mistakes);
            }
        }
        for Flag {
            name,
            key: (section, key),
            text,
        } in sources.flags
        {
            layers.add(section, key, Given::Text(text), Source::Flag(name));
        }
        layers
    }

    fn add(&mut self, section: &str, key: &str, given: Given, source: Source) {
        self.sources.insert(format!("{section}.{key}"), source);
        self.values
            .insert((section.to_owned(), key.to_owned()), given);
    }

    fn add_file(&mut self, path: &Path, table: Table, mistakes: &mut Mistakes) {
        for (section, value) in table {
            let source = Source::File(path.to_owned());
            let is_known = is_section(&section);
            if let (true, Value::Table(keys)) = (is_known, value) {
                for (key, value) in keys {
                    self.add(&section, &key, Given::Value(value), source.clone());
                }
                continue;
            }
            let text = if is_known {
                self.complete = false;
                format!("must be a section: write `[{section}]` on a line of its own")
            } else {
                unknown("section", &section, sections().map(|(name, _)| name))
            };
            self.sources.insert(section.clone(), source);
            mistakes.add(section, text);
        }
    }

    fn add_variable(
        &mut self,
        name: &str,
        key: &str,
        value: Option<&str>,
        mistakes: &mut Mistakes,
    ) {
        let lower = key.to_lowercase();
        match (lower.split_once("__"), value) {
            (Some((section, key)), Some(value)) => {
                self.add(
                    section,
                    key,
                    Given::Text(value.to_owned()),
                    Source::Variable(name.to_owned()),
                );
            }
            (Some(_), None) => mistakes.add(name, "its value is not UTF-8"),
            (None, _) => {
                mistakes.add(name, format!("names no key: write {PREFIX}SECTION__KEY"));
            }
        }
    }

    /// The section `name`, with defaults for what was not given and for what is wrong.
    pub(super) fn section<T>(&mut self, name: &'static str, mistakes: &mut Mistakes) -> T
    where
        T: DeserializeOwned + Default,
    {
        let known = keys::<T>();
        let mut section = Table::new();
        for key in self.keys_of(name) {
            let Some(given) = self.values.remove(&(name.to_owned(), key.clone())) else {
                continue;
            };
            let path = format!("{name}.{key}");
            if !known.contains(&key.as_str()) {
                mistakes.add(path, unknown("key", &key, known.iter().copied()));
                continue;
            }
            match given.value_for::<T>(&key) {
                Ok(value) => {
                    section.insert(key, value);
                }
                Err(text) => mistakes.add(path, text),
            }
        }
        T::deserialize(section).unwrap_or_else(|error| {
            mistakes.add(name, error.message());
            T::default()
        })
    }

    /// What no section has taken: variables of sections that we do not know.
    pub(super) fn refuse_the_rest(&self, mistakes: &mut Mistakes) {
        for (section, key) in self.values.keys() {
            let names = sections().map(|(name, _)| name);
            mistakes.add(
                format!("{section}.{key}"),
                unknown("section", section, names),
            );
        }
    }

    pub(super) fn source_of(&self, key: &str) -> Option<&Source> {
        self.sources.get(key)
    }

    /// Whether all that was written could be taken down.
    pub(super) fn are_complete(&self) -> bool {
        self.complete
    }

    fn keys_of(&self, name: &str) -> Vec<String> {
        let of_section = |(section, key): &(String, String)| (section == name).then(|| key.clone());
        self.values.keys().filter_map(of_section).collect()
    }
}

// === impl Given ===

impl Given {
    /// A value that the section `T` takes for `key`, or what it has against it.
    fn value_for<T: DeserializeOwned>(self, key: &str) -> Result<Value, String> {
        let text = match self {
            Self::Value(value) => return try_value::<T>(key, value),
            Self::Text(text) => text,
        };
        let literal = text.parse::<Value>().ok();
        // Whoever takes an empty list wants a list.
        if try_value::<T>(key, Value::Array(Vec::new())).is_ok() {
            let list = literal
                .filter(Value::is_array)
                .unwrap_or_else(|| split(&text));
            return try_value::<T>(key, list);
        }
        let as_text = try_value::<T>(key, Value::String(text));
        match (as_text, literal) {
            (Err(against_text), Some(literal)) => try_value::<T>(key, literal).map_err(|against| {
                // Of the two complaints the one that is not about text being text.
                if against_text.starts_with("invalid type") {
                    against
                } else {
                    against_text
                }
            }),
            (as_text, _) => as_text,
        }
    }
}

/// `value` if the section `T` takes it for `key`.
fn try_value<T: DeserializeOwned>(key: &str, value: Value) -> Result<Value, String> {
    let alone = Table::from_iter([(key.to_owned(), value.clone())]);
    match T::deserialize(alone) {
        Ok(_) => Ok(value),
        // The message only: what surrounds it could be a secret.
        Err(error) => Err(error.message().to_owned()),
    }
}

/// Comma-separated text as a list; empty text is an empty list.
fn split(text: &str) -> Value {
    let parts = text
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty());
    Value::Array(parts.map(Value::from).collect())
}

fn read(path: &Path) -> Result<Table, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"))?;
    text.parse::<Table>().map_err(|error| {
        // Not the error's own rendering: it quotes the line, and that may hold a password.
        let line = error
            .span()
            .map_or(1, |span| 1 + text[..span.start].matches('\n').count());
        format!("not TOML, line {line}: {}", error.message())
    })
}

fn is_section(name: &str) -> bool {
    sections().iter().any(|(section, _)| *section == name)
}

fn unknown(
    what: &str,
    name: &str,
    known: impl IntoIterator<Item = &'static str> + Clone,
) -> String {
    let nearest = known
        .clone()
        .into_iter()
        .map(|known| (strsim::jaro_winkler(known, name), known))
        .max_by(|(a, _), (b, _)| a.total_cmp(b));
    match nearest {
        Some((alike, known)) if alike >= ALIKE => {
            format!("unknown {what}; did you mean `{known}`?")
        }
        _ => {
            let known: Vec<_> = known.into_iter().collect();
            format!("unknown {what}; there is {}", known.join(", "))
        }
    }
}
