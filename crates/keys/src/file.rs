//! Key files: one secret key, encrypted with a passphrase.
//!
//! A file is JSON. Name and public key are readable without the passphrase, and are sealed together with the secret: a file whose
//! public part was changed does not open. The key of the encryption is Argon2id of the passphrase (RFC 9106), the encryption is
//! XChaCha20-Poly1305. Files are written at once or not at all, with mode 0600, and a new one never takes the place of another.

mod sealing;
pub(crate) mod writing;

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::ecdsa::NoEcdsaKey;
use crate::{PublicKey, SecretKey, Sign as _, unhex};

use sealing::Encryption;

/// What a key file begins its format with; the number counts up with every change that older versions can not read.
pub const FORMAT: &str = "ampoule-key-1";
/// Longest key file, in bytes. Stops a file from elsewhere from filling memory.
pub const FILE_LIMIT: u64 = 16 << 10;
/// Longest name of a key, in bytes.
pub const NAME_LIMIT: usize = 64;
/// Shortest passphrase of a new file, in bytes. Argon2id makes each guess cost 64 MiB and tenths of a second; the rest is the person's.
pub const PASSPHRASE_MINIMUM: usize = 10;
/// Longest passphrase, in bytes. Stops a wrong file given as a passphrase.
pub const PASSPHRASE_LIMIT: usize = 1024;

/// A key file as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyFile {
    format: String,
    name: String,
    /// Whom the key belongs to, as anybody may know it.
    public: String,
    /// How the secret is encrypted; nothing: not at all.
    encryption: Option<Encryption>,
    /// The secret, encrypted or not, as hexadecimal digits.
    secret: String,
}

/// What keeps a key file's secret.
pub enum Protection<'a> {
    /// A passphrase, with fresh random bytes from [`crate::random`].
    Passphrase(&'a str, [u8; RANDOM_LENGTH]),
    /// Nothing but the file's mode. For keys of freshness on a server, which nobody is there to open, and for nothing else.
    DangerNone,
}

/// Random bytes that sealing a key file takes: 16 of salt, 24 of nonce.
pub const RANDOM_LENGTH: usize = sealing::SALT_LENGTH + sealing::NONCE_LENGTH;

/// A key file can not be used.
#[derive(Debug)]
pub struct KeyFileError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    pub kind: KeyFileErrorKind,
}

impl fmt::Display for KeyFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key file `{}` {}", self.path.display(), self.kind)
    }
}

/// The kind is in the text already: its cause is the next link of the chain.
impl std::error::Error for KeyFileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.kind)
    }
}

/// What is wrong with a key file.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileErrorKind {
    /// The file system refuses.
    #[error("can not be {verb}")]
    Io {
        /// "read", "written", ...
        verb: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There is a file of that name.
    #[error("exists already, and a key is never replaced by a new one")]
    Exists,
    /// It is longer than [`FILE_LIMIT`].
    #[error("is longer than {FILE_LIMIT} bytes: it is no key file")]
    TooLong,
    /// It has no byte: making it was interrupted.
    #[error("is empty: making it was interrupted, and no key is in it")]
    Empty,
    /// It is no JSON of the format.
    #[error("can not be understood: {0}")]
    Syntax(String),
    /// A newer or foreign tool wrote it.
    #[error("has format `{found}`; this version reads `{FORMAT}`")]
    Format {
        /// What it says.
        found: String,
    },
    /// The name is empty, too long or has a control character.
    #[error(
        "has a name that is empty, longer than {NAME_LIMIT} bytes, or has characters that can not be shown"
    )]
    Name,
    /// A passphrase for a new file is too short or too long.
    #[error("needs a passphrase of {PASSPHRASE_MINIMUM} to {PASSPHRASE_LIMIT} bytes")]
    WeakPassphrase,
    /// It is encrypted, and no passphrase was given.
    #[error("is encrypted, and no passphrase was given")]
    PassphraseNeeded,
    /// The passphrase does not fit, or the file was changed.
    #[error("does not open: the passphrase is wrong, or the file was changed")]
    Wrong,
    /// The parameters ask for more work than a file may ask for, or can not be.
    #[error("asks for an encryption that can not be: {0}")]
    Parameters(&'static str),
    /// It is not encrypted, and others may read it.
    #[error("is not encrypted and has mode {mode:03o}: others may have read the key")]
    Readable {
        /// Its permission bits.
        mode: u32,
    },
    /// It names a command, and others may write it.
    #[error("names a command and has mode {mode:03o}: others may have changed the command")]
    Writable {
        /// Its permission bits.
        mode: u32,
    },
    /// Its public key is not its secret's.
    #[error("has a public key that is not its secret's")]
    Mismatch,
    /// It is a public key that can not be used.
    #[error(transparent)]
    Public(#[from] NoEcdsaKey),
    /// It is a role's key, and a note was to be signed.
    #[error(
        "has an ECDSA P-256 key, which signs for the roles only: ledgers, witnesses, approvals and rebuilds are signed with Ed25519"
    )]
    NotForNotes,
}

impl KeyFileErrorKind {
    /// What to do next, where that is known.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Exists => "choose another name",
            Self::Empty => "remove it and make the key again",
            Self::Format { .. } => "use the version of ampoule that made it, or a newer one",
            Self::WeakPassphrase => "five or six words drawn by dice are easy to keep and hard to guess",
            Self::PassphraseNeeded => "give it at the terminal, or in a file with --passphrase-file",
            Self::Wrong => {
                "try again; when the passphrase is lost, the key is lost: see docs/KEYS.md on replacing a key"
            }
            Self::Readable { .. } => {
                "take the key as stolen if others use this machine; otherwise: chmod 600"
            }
            Self::Writable { .. } => "look at the command; then: chmod 600",
            Self::Mismatch => "take another copy of the file",
            Self::Public(NoEcdsaKey::Secret) => {
                "`openssl pkey -in FILE -pubout -out PUBLIC` writes the public key; keep the secret one where nobody finds it"
            }
            Self::Public(NoEcdsaKey::Ed25519) => {
                "`openssl pkey -pubin -in FILE -outform DER | tail -c 32 | od -An -tx1 -w32 | tr -d ' '` writes the digits"
            }
            Self::Public(NoEcdsaKey::OtherForm) => {
                "`openssl ec -pubin -in FILE -conv_form uncompressed` writes it in the form that is read"
            }
            Self::Public(_) => {
                "a role's key is Ed25519, or ECDSA on P-256 (prime256v1, secp256r1): make one of these in the device"
            }
            Self::NotForNotes => "make an Ed25519 key for it: `ampoule keys new NAME`",
            _ => return None,
        })
    }
}

impl KeyFile {
    /// Seals a key under a name.
    pub fn seal(name: &str, key: &SecretKey, protection: Protection) -> Result<Self, KeyFileErrorKind> {
        if !is_name(name) {
            return Err(KeyFileErrorKind::Name);
        }
        let mut file = Self {
            format: FORMAT.to_owned(),
            name: name.to_owned(),
            public: key.public().to_string(),
            encryption: None,
            secret: String::new(),
        };
        let seed = key.seed();
        file.secret = match protection {
            Protection::DangerNone => hex(&*seed),
            Protection::Passphrase(passphrase, random) => {
                if !(PASSPHRASE_MINIMUM..=PASSPHRASE_LIMIT).contains(&passphrase.len()) {
                    return Err(KeyFileErrorKind::WeakPassphrase);
                }
                let encryption = Encryption::new(&random);
                let sealed = encryption.seal(passphrase, &*seed, file.sealed_with().as_bytes())?;
                file.encryption = Some(encryption);
                hex(&sealed)
            }
        };
        Ok(file)
    }

    /// Reads a key file's text.
    pub fn parse(text: &[u8]) -> Result<Self, KeyFileErrorKind> {
        /// The part that every version has.
        #[derive(Deserialize)]
        struct Head {
            format: String,
        }
        if text.len() as u64 > FILE_LIMIT {
            return Err(KeyFileErrorKind::TooLong);
        }
        if text.is_empty() {
            return Err(KeyFileErrorKind::Empty);
        }
        let syntax = |error: serde_json::Error| KeyFileErrorKind::Syntax(error.to_string());
        let head: Head = serde_json::from_slice(text).map_err(syntax)?;
        if head.format != FORMAT {
            return Err(KeyFileErrorKind::Format { found: head.format.chars().take(NAME_LIMIT).collect() });
        }
        let file: Self = serde_json::from_slice(text).map_err(syntax)?;
        if !is_name(&file.name) {
            return Err(KeyFileErrorKind::Name);
        }
        if file.public.parse::<PublicKey>().is_err() {
            return Err(KeyFileErrorKind::Syntax("`public` is no public key".to_owned()));
        }
        Ok(file)
    }

    /// Reads a key file. One that is not encrypted MUST NOT be readable by others than its owner.
    pub fn read(path: &Path) -> Result<Self, KeyFileError> {
        let read = || {
            let (text, mode) = read_limited(path)?;
            Self::parse(&text)?.checked(mode)
        };
        read().map_err(|kind| KeyFileError { path: path.to_owned(), kind })
    }

    /// The key, unless its file's mode gave it away.
    pub(crate) fn checked(self, mode: u32) -> Result<Self, KeyFileErrorKind> {
        if self.encryption.is_none() && mode & 0o077 != 0 {
            return Err(KeyFileErrorKind::Readable { mode });
        }
        Ok(self)
    }

    /// Writes a new key file: completely or not at all, and never over another file.
    pub fn write_new(&self, path: &Path) -> Result<(), KeyFileError> {
        writing::write_new(path, &self.to_text()).map_err(|kind| KeyFileError { path: path.to_owned(), kind })
    }

    /// Writes the same key in the place of its file, for a change of passphrase.
    pub fn replace(&self, path: &Path) -> Result<(), KeyFileError> {
        let before = Self::read(path)?;
        let wrong = |kind| KeyFileError { path: path.to_owned(), kind };
        if before.public != self.public {
            return Err(wrong(KeyFileErrorKind::Exists));
        }
        writing::replace(path, &self.to_text()).map_err(wrong)
    }

    /// Opens the secret key.
    pub fn open(&self, passphrase: Option<&str>) -> Result<SecretKey, KeyFileErrorKind> {
        let secret = unhex(&self.secret).map(Zeroizing::new);
        let secret =
            secret.ok_or_else(|| KeyFileErrorKind::Syntax("`secret` is not hexadecimal".to_owned()))?;
        let seed = match (&self.encryption, passphrase) {
            (None, _) => secret,
            (Some(_), None) => return Err(KeyFileErrorKind::PassphraseNeeded),
            (Some(encryption), Some(passphrase)) => {
                if passphrase.len() > PASSPHRASE_LIMIT {
                    return Err(KeyFileErrorKind::Wrong);
                }
                Zeroizing::new(encryption.open(passphrase, &secret, self.sealed_with().as_bytes())?)
            }
        };
        let seed: &[u8; 32] = seed
            .as_slice()
            .try_into()
            .map_err(|_| KeyFileErrorKind::Syntax("`secret` is no key".to_owned()))?;
        let key = SecretKey::from_seed(seed);
        if key.public().to_string() == self.public { Ok(key) } else { Err(KeyFileErrorKind::Mismatch) }
    }

    /// What the key is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whose signatures it makes, as the file says; [`KeyFile::open`] proves it.
    pub fn public(&self) -> PublicKey {
        self.public.parse().expect("the public key was read when the file was")
    }

    /// Whether a passphrase is needed.
    pub fn is_encrypted(&self) -> bool {
        self.encryption.is_some()
    }

    /// The file's text.
    pub fn to_text(&self) -> Zeroizing<String> {
        let text = serde_json::to_string_pretty(self).expect("strings and numbers are always JSON");
        Zeroizing::new(text + "\n")
    }

    /// What is sealed together with the secret.
    fn sealed_with(&self) -> String {
        format!("{}\n{}\n{}\n", self.format, self.public, self.name)
    }
}

/// A file's text, at most [`FILE_LIMIT`] and one byte of it, and its permission bits.
pub(crate) fn read_limited(path: &Path) -> Result<(Zeroizing<Vec<u8>>, u32), KeyFileErrorKind> {
    let io = |source| KeyFileErrorKind::Io { verb: "read", source };
    let file = File::open(path).map_err(io)?;
    let mode = mode_of(&file).map_err(io)?;
    let mut text = Zeroizing::new(Vec::new());
    file.take(FILE_LIMIT + 1).read_to_end(&mut text).map_err(io)?;
    Ok((text, mode))
}

pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= NAME_LIMIT && !name.chars().any(char::is_control)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(unix)]
fn mode_of(file: &File) -> io::Result<u32> {
    use std::os::unix::fs::PermissionsExt as _;
    Ok(file.metadata()?.permissions().mode() & 0o777)
}

/// Other systems have no such bits; whoever keeps a key there without a passphrase keeps the folder.
#[cfg(not(unix))]
fn mode_of(_: &File) -> io::Result<u32> {
    Ok(0o600)
}

#[cfg(test)]
mod tests;
