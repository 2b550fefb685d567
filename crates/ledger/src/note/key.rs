//! Verifier keys: whose signatures are believed, under which name, of which kind.

use std::fmt;
use std::str::FromStr;

use keys::{PUBLIC_KEY_LENGTH, PublicKey};
use sha2::{Digest, Sha256};

use crate::encoding::{from_base64, from_hex, shown, to_base64, to_hex};

/// Longest name of a key in bytes. Stops a policy from naming keys nobody can read; longer ones could not be co-signers with
/// post-quantum keys either.
pub const KEY_NAME_LIMIT: usize = 255;

/// A key's name: not empty, without spaces and `+`. By convention a URL without its scheme: `example.com/ledger`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(String);

/// The first four bytes of a hash over name, kind and key: tells keys apart, and protects nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; 4]);

/// What a signature of the key says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// Type 0x01: Ed25519 over the note's text.
    Ed25519,
    /// Type 0x04: a witness saw this checkpoint, as the largest one, at a time.
    Cosignature,
}

/// A public key with its name and kind. Its text form is a *vkey*: `name+id+base64`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifierKey {
    name: KeyName,
    algorithm: Algorithm,
    key: PublicKey,
    id: KeyId,
}

/// The text is no verifier key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A name that a signature line can not have.
    #[error("`{0}` can not name a key: no spaces, no `+`, 1 to {KEY_NAME_LIMIT} bytes")]
    Name(String),
    /// Not `name+id+base64`.
    #[error("`{0}` is no verifier key: `name+8 hexadecimal digits+base64` is expected")]
    Syntax(String),
    /// A kind of signatures we do not know.
    #[error("the key `{name}` is of type 0x{kind:02x}, and only 0x01 and 0x04 are known")]
    Kind {
        /// Its name.
        name: String,
        /// Its type.
        kind: u8,
    },
    /// 32 bytes that are no key.
    #[error("the key `{name}` is no Ed25519 public key")]
    NoKey {
        /// Its name.
        name: String,
    },
    /// The id is not the one of name, kind and key.
    #[error("the key `{name}` has the id {expected}, and {found} is written")]
    Id {
        /// Its name.
        name: String,
        /// The id that follows from name, kind and key.
        expected: KeyId,
        /// The id in the text.
        found: KeyId,
    },
}

/// Whether signature lines may have the name.
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty() && !text.chars().any(|it| it.is_whitespace() || it == '+')
}

impl KeyName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyName {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let is_good = is_name(text) && text.len() <= KEY_NAME_LIMIT && !text.chars().any(char::is_control);
        if is_good { Ok(Self(text.into())) } else { Err(KeyError::Name(shown(text))) }
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_hex(&self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

impl Algorithm {
    /// The signature type identifier byte of the specification.
    fn kind(self) -> u8 {
        match self {
            Self::Ed25519 => 0x01,
            Self::Cosignature => 0x04,
        }
    }
}

impl VerifierKey {
    /// A key under a name.
    pub fn new(name: KeyName, algorithm: Algorithm, key: PublicKey) -> Self {
        let hash = Sha256::new()
            .chain_update(name.0.as_bytes())
            .chain_update([b'\n', algorithm.kind()])
            .chain_update(key.to_bytes())
            .finalize();
        let id = KeyId([hash[0], hash[1], hash[2], hash[3]]);
        Self { name, algorithm, key, id }
    }

    /// Its name.
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// What its signatures say.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The key itself.
    pub fn key(&self) -> PublicKey {
        self.key
    }

    /// Its id.
    pub fn id(&self) -> KeyId {
        self.id
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&[self.algorithm.kind()], &self.key.to_bytes()[..]].concat();
        write!(f, "{}+{}+{}", self.name, self.id, to_base64(&bytes))
    }
}

impl FromStr for VerifierKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let syntax = || KeyError::Syntax(shown(text));
        // Base64 may have a `+`, a name may not.
        let mut parts = text.splitn(3, '+');
        let mut part = || parts.next().ok_or_else(syntax);
        let (name, id, encoded) = (part()?, part()?, part()?);
        let name: KeyName = name.parse()?;
        let found = KeyId(from_hex(id).ok_or_else(syntax)?);
        let bytes = from_base64(encoded).ok_or_else(syntax)?;
        let (&kind, key) = bytes.split_first().ok_or_else(syntax)?;
        let algorithm = match kind {
            0x01 => Algorithm::Ed25519,
            0x04 => Algorithm::Cosignature,
            _ => return Err(KeyError::Kind { name: name.0, kind }),
        };
        let key: [u8; PUBLIC_KEY_LENGTH] = key.try_into().map_err(|_| syntax())?;
        let Ok(key) = PublicKey::from_bytes(&key) else { return Err(KeyError::NoKey { name: name.0 }) };
        let key = Self::new(name, algorithm, key);
        if key.id != found {
            return Err(KeyError::Id { name: key.name.0, expected: key.id, found });
        }
        Ok(key)
    }
}
