//! `[admin]`: who may look at the trail, and what the admin listener shows.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::access::token::{self, Digest};

/// `[admin]`: who may look at the trail, and what the admin listener shows.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The tokens that let people in, by their hashes.
    #[serde(deserialize_with = "tokens")]
    pub tokens: Vec<KnownToken>,
    /// Whether `/metrics` is open to whoever reaches the listener; else it takes a token of any role.
    pub metrics: bool,
    /// Whether there are the auditor's page and the API.
    pub audit: bool,
}

/// A token that the configuration knows. Displayed, it is an element of `admin.tokens`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownToken {
    /// Whose it is, as the trail names them.
    pub name: Option<String>,
    /// What it allows.
    pub role: Role,
    /// The token itself is never written down.
    pub hash: Digest,
}

/// What a visitor may do. Whoever may do more may do all that others may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// See the trail.
    Reader,
    /// Export it, too, and download proofs, which show salts.
    Auditor,
}

/// A token as a table. No value of it is ever quoted: people put tokens where they do not belong.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(default)]
    name: Option<String>,
    role: String,
    hash: String,
}

/// The longest name: it stands in records and on pages.
const LONGEST_NAME: usize = 64;

const WHAT_IT_IS: &str = "write a list of { name = \"…\", role = \"reader\" or \"auditor\", hash = \"sha256:…\" }, or \
                          \"ROLE:sha256:…\"; `key-backup-gateway audit token` prints one";

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Self {
            // Nobody is let in by default.
            tokens: Vec::new(),
            // As it always was: monitoring asks without a token.
            metrics: true,
            // It is there as soon as there is a token.
            audit: true,
        }
    }
}

impl Config {
    /// Whether there are the auditor's page and the API: nobody could enter without a token.
    #[must_use]
    pub fn has_desk(&self) -> bool {
        self.audit && !self.tokens.is_empty()
    }
}

/// The list, in which no token stands twice and no two have one name.
fn tokens<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<KnownToken>, D::Error> {
    struct List;

    impl<'de> Visitor<'de> for List {
        type Value = Vec<KnownToken>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of tokens")
        }

        // Serde's own complaint would quote it.
        fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
            Err(E::custom(if token::looks_like_one(text) {
                NOT_ITSELF
            } else {
                WHAT_IT_IS
            }))
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut tokens: Vec<KnownToken> = Vec::new();
            while let Some(token) = list.next_element::<KnownToken>()? {
                let place = tokens.len() + 1;
                if tokens.iter().any(|it| it.hash == token.hash) {
                    let text = format!("token {place} comes twice");
                    return Err(de::Error::custom(text));
                }
                if token.name.is_some() && tokens.iter().any(|it| it.name == token.name) {
                    let text = format!("token {place} has the name of another");
                    return Err(de::Error::custom(text));
                }
                tokens.push(token);
            }
            Ok(tokens)
        }
    }

    from.deserialize_any(List)
}

/// Said of a token that stands where its hash belongs.
const NOT_ITSELF: &str = "this is a token itself, or holds one, and whoever reads the configuration could use it: make \
                          another with `key-backup-gateway audit token`, and write its hash";

// === impl KnownToken ===

impl KnownToken {
    fn new(name: Option<String>, role: &str, hash: &str) -> Result<Self, String> {
        if [name.as_deref().unwrap_or_default(), role, hash]
            .into_iter()
            .any(token::looks_like_one)
        {
            return Err(NOT_ITSELF.to_owned());
        }
        if let Some(name) = &name {
            check_name(name)?;
        }
        Ok(Self {
            role: role.parse()?,
            hash: hash.parse()?,
            name,
        })
    }
}

/// Whether `name` can be a token's name: it stands in the configuration, in records and on pages.
///
/// # Errors
///
/// With what a name is.
pub fn check_name(name: &str) -> Result<(), String> {
    if token::looks_like_one(name) {
        return Err("a token's name is not the token".to_owned());
    }
    let is_odd = |char: char| char.is_control() || char == '"' || char == '\\';
    let length = name.chars().count();
    if (1..=LONGEST_NAME).contains(&length) && !name.contains(is_odd) {
        return Ok(());
    }
    Err(format!(
        "a token's name has from 1 to {LONGEST_NAME} characters, and neither quotes, backslashes nor control \
         characters"
    ))
}

impl FromStr for KnownToken {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if token::looks_like_one(text) {
            return Err(NOT_ITSELF.to_owned());
        }
        match text.split_once(':') {
            Some((role, hash)) if role != "sha256" => Self::new(None, role, hash),
            Some(_) | None => Err(WHAT_IT_IS.to_owned()),
        }
    }
}

impl fmt::Display for KnownToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, role, hash } = self;
        f.write_str("{ ")?;
        if let Some(name) = name {
            write!(f, "name = \"{name}\", ")?;
        }
        write!(f, "role = \"{role}\", hash = \"{}\" }}", hash.written())
    }
}

impl<'de> Deserialize<'de> for KnownToken {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct TextOrTable;

        impl<'de> Visitor<'de> for TextOrTable {
            type Value = KnownToken;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table of name, role and hash, or \"ROLE:sha256:…\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<KnownToken, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<KnownToken, A::Error> {
                let map = de::value::MapAccessDeserializer::new(map);
                let Table { name, role, hash } = Table::deserialize(map)?;
                KnownToken::new(name, &role, &hash).map_err(de::Error::custom)
            }
        }

        from.deserialize_any(TextOrTable)
    }
}

// === impl Role ===

impl Role {
    /// The word that the configuration and records have for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Auditor => "auditor",
        }
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "reader" => Ok(Self::Reader),
            "auditor" => Ok(Self::Auditor),
            _ => Err("unknown role; there is reader, auditor".to_owned()),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests;
