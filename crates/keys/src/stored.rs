//! A key as it lies on a person's machine: a key file, or a file that names the command which signs with it.

use std::fmt::Display;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::Sign;
use crate::command::CommandSigner;
use crate::ecdsa::EcdsaKey;
use crate::file::{FILE_LIMIT, KeyFile, KeyFileError, KeyFileErrorKind, is_name, read_limited, writing};
use crate::role::{KeyKind, RoleKey, RoleSign};

/// The format of a file that names a command.
pub const COMMAND_FORMAT: &str = "ampoule-signer-2";
/// The format before keys had kinds: all were Ed25519.
const COMMAND_FORMAT_1: &str = "ampoule-signer-1";
/// Most words of a command. Stops a file that is none.
const WORDS_LIMIT: usize = 64;

/// A file that names the command which signs: for keys that never leave a token, an HSM or a cloud's key service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandFile {
    name: String,
    key: RoleKey,
    /// The program and its arguments. No shell is between.
    command: Vec<String>,
}

/// The same as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenCommand {
    format: String,
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kind: Option<KeyKind>,
    public: String,
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

fn syntax(why: impl ToString) -> KeyFileErrorKind {
    KeyFileErrorKind::Syntax(why.to_string())
}

impl CommandFile {
    /// A key behind a command: its program, and its arguments.
    pub fn new(name: &str, key: impl Into<RoleKey>, command: Vec<String>) -> Result<Self, KeyFileErrorKind> {
        if !is_name(name) {
            return Err(KeyFileErrorKind::Name);
        }
        if command.is_empty() || command.len() > WORDS_LIMIT {
            return Err(syntax("`command` is no program with its arguments"));
        }
        Ok(Self { name: name.to_owned(), key: key.into(), command })
    }

    fn parse(text: &[u8]) -> Result<Self, KeyFileErrorKind> {
        let WrittenCommand { format, name, kind, public, command } =
            serde_json::from_slice(text).map_err(syntax)?;
        let key = match (format == COMMAND_FORMAT_1, kind) {
            (true, None) | (false, Some(KeyKind::Ed25519)) => public.parse().map(RoleKey::Ed25519).ok(),
            (false, Some(KeyKind::EcdsaP256)) => EcdsaKey::from_pem(&public).map(RoleKey::EcdsaP256).ok(),
            _ => return Err(syntax("`kind` does not go with its format")),
        };
        Self::new(&name, key.ok_or_else(|| syntax("`public` is no public key of its kind"))?, command)
    }

    fn to_text(&self) -> String {
        let written = WrittenCommand {
            format: COMMAND_FORMAT.to_owned(),
            name: self.name.clone(),
            kind: Some(self.key.kind()),
            public: self.key.to_string(),
            command: self.command.clone(),
        };
        serde_json::to_string_pretty(&written).expect("strings are always JSON") + "\n"
    }

    /// Writes a new file, never over another one.
    pub fn write_new(&self, path: &Path) -> Result<(), KeyFileError> {
        writing::write_new(path, &self.to_text()).map_err(|kind| KeyFileError { path: path.to_owned(), kind })
    }

    fn signer<K: Display>(&self, key: K) -> CommandSigner<K> {
        let (program, arguments) = self.command.split_first().expect("a command has a program");
        CommandSigner::new(key, program, arguments)
    }
}

/// The public key in a file: PEM of an ECDSA key, or a key file of either kind.
pub fn read_public(path: &Path) -> Result<RoleKey, KeyFileError> {
    let wrong = |kind| KeyFileError { path: path.to_owned(), kind };
    let (text, _) = read_limited(path).map_err(wrong)?;
    match text.starts_with(b"-----BEGIN ") {
        true => {
            let key = EcdsaKey::from_pem(&String::from_utf8_lossy(&text));
            key.map(RoleKey::EcdsaP256).map_err(|source| wrong(source.into()))
        }
        false => Ok(StoredKey::read(path)?.key()),
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
            && serde_json::from_slice::<Head>(text)
                .is_ok_and(|head| [COMMAND_FORMAT, COMMAND_FORMAT_1].contains(&&*head.format));
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
    pub fn key(&self) -> RoleKey {
        match self {
            Self::File(file) => file.public().into(),
            Self::Command(file) => file.key.clone(),
        }
    }

    /// Whether a passphrase is needed.
    pub fn is_encrypted(&self) -> bool {
        matches!(self, Self::File(file) if file.is_encrypted())
    }

    /// Whoever signs documents of roles with it.
    pub fn role_signer(
        &self,
        passphrase: Option<&str>,
    ) -> Result<Box<dyn RoleSign + Send + Sync>, KeyFileErrorKind> {
        Ok(match self {
            Self::File(file) => Box::new(file.open(passphrase)?),
            Self::Command(file) => match &file.key {
                RoleKey::Ed25519(key) => Box::new(file.signer(*key)),
                RoleKey::EcdsaP256(key) => Box::new(file.signer(key.clone())),
            },
        })
    }

    /// Whoever signs notes with it: a ledger, a witness, an officer, a rebuilder.
    pub fn note_signer(
        &self,
        passphrase: Option<&str>,
    ) -> Result<Box<dyn Sign + Send + Sync>, KeyFileErrorKind> {
        Ok(match self {
            Self::File(file) => Box::new(file.open(passphrase)?),
            Self::Command(file) => match &file.key {
                RoleKey::Ed25519(key) => Box::new(file.signer(*key)),
                RoleKey::EcdsaP256(_) => return Err(KeyFileErrorKind::NotForNotes),
            },
        })
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
                (stored.name(), stored.key(), stored.is_encrypted()),
                (name, key().public().into(), false)
            );
            let (notes, roles) = (stored.note_signer(None), stored.role_signer(None));
            assert_eq!(notes.expect("opens").sign(b"message").expect("signs"), signature);
            assert_eq!(roles.expect("opens").sign_document(b"message").expect("signs"), signature.0);
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
        for text in ["", "{}", "{\"format\":\"ampoule-signer-1\"}", "{\"format\":\"ampoule-signer-3\"}"] {
            assert!(StoredKey::parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn a_file_from_before_keys_had_kinds_is_read_and_one_kind_is_not_taken_for_another() {
        let public = key().public();
        let text = |format: u8, kind: &str, public: &str| {
            format!(
                r#"{{"format":"ampoule-signer-{format}","name":"b",{kind}"public":"{public}","command":["true"]}}"#
            )
        };
        let hexadecimal = public.to_string();
        let old = StoredKey::parse(text(1, "", &hexadecimal).as_bytes()).expect("reads");
        assert_eq!(old.key(), public.into());
        let new = text(2, r#""kind":"ed25519","#, &hexadecimal);
        assert_eq!(StoredKey::parse(new.as_bytes()).expect("reads"), old);
        for (format, kind) in [
            (1, r#""kind":"ed25519","#),
            (1, r#""kind":"ecdsa-p256","#),
            (2, ""),
            (2, r#""kind":"ecdsa-p256","#),
            (2, r#""kind":"rsa","#),
        ] {
            assert!(
                StoredKey::parse(text(format, kind, &hexadecimal).as_bytes()).is_err(),
                "{format} {kind}"
            );
        }
    }
}
