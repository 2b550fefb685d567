//! A key as it lies on a person's machine: a key file, or a file that names the command which signs with it.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::command::CommandSigner;
use crate::file::{FILE_LIMIT, KeyFile, KeyFileError, KeyFileErrorKind, is_name, read_limited, writing};
use crate::{PublicKey, Sign};

/// The format of a file that names a command.
pub const COMMAND_FORMAT: &str = "ampoule-signer-1";
/// Most words of a command. Stops a file that is none.
const WORDS_LIMIT: usize = 64;

/// A file that names the command which signs: for keys that never leave a token, an HSM or a cloud's key service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandFile {
    format: String,
    name: String,
    public: String,
    /// The program and its arguments. No shell is between.
    command: Vec<String>,
}

/// Either of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoredKey {
    /// The key itself.
    File(KeyFile),
    /// Who has it.
    Command(CommandFile),
}

impl CommandFile {
    /// A key behind a command: its program, and its arguments.
    pub fn new(name: &str, public: PublicKey, command: Vec<String>) -> Result<Self, KeyFileErrorKind> {
        let (format, name) = (COMMAND_FORMAT.to_owned(), name.to_owned());
        Self { format, name, public: public.to_string(), command }.checked()
    }

    fn parse(text: &[u8]) -> Result<Self, KeyFileErrorKind> {
        let file: Self =
            serde_json::from_slice(text).map_err(|error| KeyFileErrorKind::Syntax(error.to_string()))?;
        file.checked()
    }

    fn checked(self) -> Result<Self, KeyFileErrorKind> {
        let syntax = |why: &str| Err(KeyFileErrorKind::Syntax(why.to_owned()));
        if !is_name(&self.name) {
            return Err(KeyFileErrorKind::Name);
        }
        if self.public.parse::<PublicKey>().is_err() {
            return syntax("`public` is no public key");
        }
        if self.command.is_empty() || self.command.len() > WORDS_LIMIT {
            return syntax("`command` is no program with its arguments");
        }
        Ok(self)
    }

    /// Writes a new file, never over another one.
    pub fn write_new(&self, path: &Path) -> Result<(), KeyFileError> {
        let text = serde_json::to_string_pretty(self).expect("strings are always JSON") + "\n";
        writing::write_new(path, &text).map_err(|kind| KeyFileError { path: path.to_owned(), kind })
    }
}

impl StoredKey {
    /// Reads either kind of file. What others could read or change is refused.
    pub fn read(path: &Path) -> Result<Self, KeyFileError> {
        let read = || {
            let (text, mode) = read_limited(path)?;
            match Self::parse(&text)? {
                Self::File(file) => Ok(Self::File(file.checked(mode)?)),
                Self::Command(_) if mode & 0o022 != 0 => Err(KeyFileErrorKind::Writable { mode }),
                command => Ok(command),
            }
        };
        read().map_err(|kind| KeyFileError { path: path.to_owned(), kind })
    }

    /// Reads either kind of text.
    pub fn parse(text: &[u8]) -> Result<Self, KeyFileErrorKind> {
        #[derive(Deserialize)]
        struct Head {
            format: String,
        }
        let is_command = text.len() as u64 <= FILE_LIMIT
            && serde_json::from_slice::<Head>(text).is_ok_and(|head| head.format == COMMAND_FORMAT);
        if is_command {
            CommandFile::parse(text).map(Self::Command)
        } else {
            KeyFile::parse(text).map(Self::File)
        }
    }

    /// What the key is called.
    pub fn name(&self) -> &str {
        match self {
            Self::File(file) => file.name(),
            Self::Command(file) => &file.name,
        }
    }

    /// Whose signatures it makes.
    pub fn public(&self) -> PublicKey {
        match self {
            Self::File(file) => file.public(),
            Self::Command(file) => file.public.parse().expect("the public key was read when the file was"),
        }
    }

    /// Whether a passphrase is needed.
    pub fn is_encrypted(&self) -> bool {
        matches!(self, Self::File(file) if file.is_encrypted())
    }

    /// Whoever signs with it.
    pub fn signer(&self, passphrase: Option<&str>) -> Result<Box<dyn Sign + Send + Sync>, KeyFileErrorKind> {
        match self {
            Self::File(file) => Ok(Box::new(file.open(passphrase)?)),
            Self::Command(file) => {
                let (program, arguments) = file.command.split_first().expect("a command has a program");
                Ok(Box::new(CommandSigner::new(self.public(), program, arguments)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SecretKey;
    use crate::file::Protection;

    fn key() -> SecretKey {
        SecretKey::from_seed(&[4; 32])
    }

    #[test]
    fn either_kind_of_file_gives_a_signer() {
        let folder = tempfile::tempdir().expect("a folder");
        let (one, other) = (folder.path().join("a.key"), folder.path().join("b.key"));
        KeyFile::seal("a", &key(), Protection::DangerNone).expect("seals").write_new(&one).expect("writes");
        let signature = key().sign(b"message").expect("signs");
        let octal: String = signature.0.iter().map(|byte| format!("\\{byte:03o}")).collect();
        let command = vec!["printf".to_owned(), octal];
        CommandFile::new("b", key().public(), command).expect("a command").write_new(&other).expect("writes");
        for (path, name) in [(&one, "a"), (&other, "b")] {
            let stored = StoredKey::read(path).expect("reads");
            assert_eq!(
                (stored.name(), stored.public(), stored.is_encrypted()),
                (name, key().public(), false)
            );
            assert_eq!(stored.signer(None).expect("opens").sign(b"message").expect("signs"), signature);
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_command_that_others_may_change_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("b.key");
        CommandFile::new("b", key().public(), vec!["true".to_owned()])
            .expect("a command")
            .write_new(&path)
            .expect("writes");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).expect("changes");
        let error = StoredKey::read(&path).expect_err("is refused");
        assert!(error.to_string().contains("names a command and has mode 666"), "{error}");
    }

    #[test]
    fn what_is_no_command_is_refused() {
        assert!(CommandFile::new("b", key().public(), vec![]).is_err());
        assert!(CommandFile::new("", key().public(), vec!["true".to_owned()]).is_err());
        for text in ["", "{}", "{\"format\":\"ampoule-signer-1\"}", "{\"format\":\"ampoule-signer-2\"}"] {
            assert!(StoredKey::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
