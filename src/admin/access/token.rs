//! Tokens: made of chance, known by their hash, found in the same time whether they are known or not.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use crate::admin::config::{KnownToken, Role};

/// A token of the right form. Whether anybody is let in by it is another question.
///
/// It has no `Debug` and cannot be serialised.
pub struct Token(SecretString);

/// The SHA-256 of a token. A password would need a slow hash; 256 bits of chance are not guessed however
/// fast that is tried.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digest([u8; 32]);

/// Whose a token is, and what it allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The configured name, or `token N`.
    pub name: Arc<str>,
    /// What it allows.
    pub role: Role,
}

/// All tokens of the configuration.
#[derive(Debug)]
pub(super) struct Tokens(Vec<(Digest, Holder)>);

/// What every token starts with: scanners for leaked secrets look for such.
const PREFIX: &str = "kbg_";
/// How much chance is in a token.
const BYTES: usize = 32;
/// How a hash is written.
const SHA_256: &str = "sha256:";

/// Whether `text` holds a token, or what looks like one.
#[must_use]
pub(crate) fn looks_like_one(text: &str) -> bool {
    text.contains(PREFIX)
}

/// Bytes that nobody can guess, for a URL, a cookie or a form.
pub(super) fn chance() -> SecretString {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).expect("the operating system has random bytes");
    BASE64_URL_SAFE_NO_PAD.encode(bytes).into()
}

// === impl Token ===

impl Token {
    /// A new one.
    ///
    /// # Panics
    ///
    /// If the operating system has no random bytes.
    #[must_use]
    pub fn make() -> Self {
        Self(format!("{PREFIX}{}", chance().expose_secret()).into())
    }

    /// `None` if `text` cannot be a token. So no hash of anything weaker in the configuration lets
    /// anybody in.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text.strip_prefix(PREFIX)?);
        (bytes.ok()?.len() == BYTES).then(|| Self(text.into()))
    }

    /// What the configuration knows it by.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest(Sha256::digest(self.expose()).into())
    }

    /// The token itself: for whoever it was made for, and for nobody else.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

// === impl Digest ===

impl Digest {
    /// As the configuration has it: `sha256:…`. Not for logs and records, which know tokens by name.
    #[must_use]
    pub fn written(&self) -> String {
        format!("{SHA_256}{}", hex::encode(self.0))
    }
}

impl FromStr for Digest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.strip_prefix(SHA_256).filter(|it| it.len() == 64);
        let mut bytes = [0; 32];
        digits
            .and_then(|digits| hex::decode_to_slice(digits, &mut bytes).ok())
            .ok_or("a hash is `sha256:` and 64 hexadecimal digits")?;
        Ok(Self(bytes))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(…)")
    }
}

// === impl Tokens ===

impl Tokens {
    pub(super) fn new(known: &[KnownToken]) -> Self {
        let known = known.iter().zip(1..).map(|(token, place)| {
            let name = match &token.name {
                Some(name) => name.as_str().into(),
                None => format!("token {place}").into(),
            };
            let role = token.role;
            (token.hash, Holder { name, role })
        });
        Self(known.collect())
    }

    /// Whose `text` is. All tokens are compared, and each to its end: the time it takes says neither how
    /// much of one was right nor which of them it is.
    pub(super) fn find(&self, text: &str) -> Option<&Holder> {
        let digest = Token::parse(text)?.digest();
        let mut found = Choice::from(0);
        let mut place = 0_u64;
        for ((known, _), at) in self.0.iter().zip(0_u64..) {
            let is_this = known.0.ct_eq(&digest.0);
            place.conditional_assign(&at, is_this);
            found |= is_this;
        }
        let (_, holder) = self.0.get(usize::try_from(place).ok()?)?;
        bool::from(found).then_some(holder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(token: &Token, name: Option<&str>, role: Role) -> KnownToken {
        KnownToken {
            name: name.map(str::to_owned),
            role,
            hash: token.digest(),
        }
    }

    #[test]
    fn a_token_is_found_wherever_it_stands_and_no_other_is() {
        let made: Vec<_> = (0..5).map(|_| Token::make()).collect();
        let mut list: Vec<_> = made
            .iter()
            .map(|token| known(token, None, Role::Reader))
            .collect();
        list[2] = known(&made[2], Some("kim"), Role::Auditor);
        let tokens = Tokens::new(&list);
        for (place, token) in made.iter().enumerate() {
            let holder = tokens.find(token.expose()).unwrap();
            let expected = match place {
                2 => ("kim".to_owned(), Role::Auditor),
                _ => (format!("token {}", place + 1), Role::Reader),
            };
            assert_eq!((holder.name.to_string(), holder.role), expected);
        }
        assert_eq!(tokens.find(Token::make().expose()), None);
        assert_eq!(Tokens::new(&[]).find(made[0].expose()), None);
    }

    #[test]
    fn what_has_not_the_form_of_a_token_lets_nobody_in() {
        let weak = Digest(Sha256::digest("secret").into());
        let known = KnownToken {
            name: None,
            role: Role::Auditor,
            hash: weak,
        };
        assert_eq!(Tokens::new(&[known]).find("secret"), None);
        let token = Token::make();
        let token = token.expose();
        assert_eq!(token.len(), 47);
        assert!(Token::parse(token).is_some());
        for wrong in [
            "",
            "kbg_",
            &token[4..],
            &token[..46],
            &format!("{token}A"),
            &format!(" {token}"),
            &token.replace("kbg_", "KBG_"),
        ] {
            assert!(Token::parse(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_digest_is_written_as_it_is_read() {
        let digest = Token::make().digest();
        assert!(digest.written().parse() == Ok(digest));
    }
}
