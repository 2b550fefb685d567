//! `ampoule keys`: makes keys, and roots that say which keys may sign what.

pub mod carried;
mod root;
pub mod targets;

use std::fs;
use std::io::{ErrorKind, IsTerminal as _, Read as _};
use std::path::Path;

use keys::SecretKey;
use keys::file::{FILE_LIMIT, KeyFile, KeyFileError, KeyFileErrorKind, Protection};
use keys::role::{RoleKey, RoleSign};
use keys::stored::{CommandFile, StoredKey, read_public};
use serde_json::json;

use crate::args::{KeyRef, KeysAction, KeysArgs, NewKeyArgs, PassphraseArgs};
use crate::error::{Failure, Fault};
use crate::printer::Printer;
use crate::render;

/// The end of a key file's name.
const EXTENSION: &str = "key";

/// Does what is asked.
pub fn run(args: &KeysArgs, printer: &Printer) -> Result<(), Failure> {
    match &args.action {
        KeysAction::New(new) => make(new, printer),
        KeysAction::List { folder } => list(folder, printer),
        KeysAction::Show { file } => {
            let key = StoredKey::read(file).map_err(key_failure)?;
            printer.data(|| render::keys::key(&key), || render::keys::key_json(&key));
            Ok(())
        }
        KeysAction::Passphrase { file, passphrase, new_passphrase_file } => {
            let new = PassphraseArgs { passphrase_file: new_passphrase_file.clone() };
            change_passphrase(file, passphrase, &new, printer)
        }
        KeysAction::Root { action } => root::run(action, printer),
        KeysAction::Targets { action } => targets::run(action, printer),
    }
}

fn make(args: &NewKeyArgs, printer: &Printer) -> Result<(), Failure> {
    let path = args.folder.join(format!("{}.{EXTENSION}", args.name));
    let wrong = |kind| key_failure(KeyFileError { path: path.clone(), kind }).unchanged("no key was made");
    if args.name.contains(['/', '\\']) || args.name.starts_with('.') {
        return Err(Failure::new(Fault::User, format!("`{}` is no name of a key", args.name))
            .unchanged("no key was made")
            .hint("take letters and digits, such as root-anna"));
    }
    let environment =
        |error: std::io::Error| Failure::from_error(Fault::Environment, &error).unchanged("no key was made");
    fs::create_dir_all(&args.folder).map_err(environment)?;
    // Before a passphrase is asked for.
    if path.exists() {
        return Err(wrong(KeyFileErrorKind::Exists));
    }
    let written = match &args.public {
        Some(public) => {
            let public = public_key(public).map_err(|failure| failure.unchanged("no key was made"))?;
            let file = CommandFile::new(&args.name, public, args.command.clone()).map_err(wrong)?;
            file.write_new(&path)
        }
        None => {
            let key = SecretKey::generate().map_err(environment)?;
            let passphrase = match args.without_passphrase {
                true => None,
                false => Some(
                    new_passphrase(&args.passphrase)
                        .map_err(|failure| failure.unchanged("no key was made"))?,
                ),
            };
            let protection = match &passphrase {
                Some(passphrase) => Protection::Passphrase(passphrase, keys::random().map_err(environment)?),
                None => Protection::DangerNone,
            };
            KeyFile::seal(&args.name, &key, protection).map_err(wrong)?.write_new(&path)
        }
    };
    written.map_err(|error| key_failure(error).unchanged("no key was made"))?;
    let key = StoredKey::read(&path).map_err(key_failure)?;
    printer.data(|| render::keys::key(&key), || render::keys::key_json(&key));
    printer.note(&format!("written to {}", path.display()));
    Ok(())
}

fn change_passphrase(
    path: &Path,
    old: &PassphraseArgs,
    new: &PassphraseArgs,
    printer: &Printer,
) -> Result<(), Failure> {
    let unchanged = |failure: Failure| failure.unchanged("the key file is as it was");
    let wrong = |kind| unchanged(key_failure(KeyFileError { path: path.to_owned(), kind }));
    let file = KeyFile::read(path).map_err(key_failure).map_err(unchanged)?;
    let passphrase = match file.is_encrypted() {
        true => Some(passphrase_of(old, &format!("passphrase of {}: ", file.name())).map_err(unchanged)?),
        false => None,
    };
    let key = file.open(passphrase.as_deref()).map_err(wrong)?;
    let passphrase = new_passphrase(new).map_err(unchanged)?;
    let random =
        keys::random().map_err(|error| unchanged(Failure::from_error(Fault::Environment, &error)))?;
    let sealed =
        KeyFile::seal(file.name(), &key, Protection::Passphrase(&passphrase, random)).map_err(wrong)?;
    sealed.replace(path).map_err(key_failure).map_err(unchanged)?;
    printer.note("the passphrase was changed; copies of the file keep the old one");
    Ok(())
}

fn list(folder: &Path, printer: &Printer) -> Result<(), Failure> {
    let entries =
        fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>).map_err(|error| Failure {
            causes: vec![error.to_string()],
            ..Failure::new(Fault::User, format!("can not read the folder `{}`", folder.display()))
                .hint("`ampoule keys new NAME` makes a key in `keys`")
        })?;
    let mut paths: Vec<_> = entries.into_iter().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == EXTENSION));
    paths.sort();
    // One bad file is shown, and does not hide the others.
    let keys: Vec<_> = paths.iter().map(|path| StoredKey::read(path)).collect();
    let (good, bad): (Vec<_>, Vec<_>) = keys.into_iter().partition(Result::is_ok);
    let good: Vec<_> = good.into_iter().flatten().collect();
    bad.into_iter().filter_map(Result::err).for_each(|error| printer.note(&format!("note: {error}")));
    printer.data(
        || render::keys::list(&good),
        || json!({ "keys": good.iter().map(render::keys::key_json).collect::<Vec<_>>() }),
    );
    Ok(())
}

/// What a key file is called.
pub fn stored_name(path: &Path) -> Result<String, Failure> {
    Ok(StoredKey::read(path).map_err(key_failure)?.name().to_owned())
}

/// The key that is meant.
fn public_key(key: &KeyRef) -> Result<RoleKey, Failure> {
    match key {
        KeyRef::Public(key) => Ok((*key).into()),
        KeyRef::File(path) => read_public(path).map_err(|error| {
            let is_missing = matches!(&error.kind, KeyFileErrorKind::Io { source, .. } if source.kind() == ErrorKind::NotFound);
            let failure = key_failure(error);
            if !is_missing {
                return failure;
            }
            // Most often it is a public key with a digit too few.
            Failure { fault: Fault::User, ..failure }
                .hint("a key is a key file, PEM of an ECDSA P-256 key, or 64 hexadecimal digits of an Ed25519 key")
        }),
    }
}

/// Who signs documents of roles with a key, once its passphrase was given.
pub fn role_signer(
    path: &Path,
    passphrase: &PassphraseArgs,
) -> Result<Box<dyn RoleSign + Send + Sync>, Failure> {
    opened(path, passphrase, StoredKey::role_signer)
}

/// Who signs notes with a key, once its passphrase was given: for ledgers, witnesses, officers and rebuilders.
pub fn note_signer(
    path: &Path,
    passphrase: &PassphraseArgs,
) -> Result<Box<dyn keys::Sign + Send + Sync>, Failure> {
    opened(path, passphrase, StoredKey::note_signer)
}

fn opened<S>(
    path: &Path,
    passphrase: &PassphraseArgs,
    open: impl FnOnce(&StoredKey, Option<&str>) -> Result<S, KeyFileErrorKind>,
) -> Result<S, Failure> {
    let key = StoredKey::read(path).map_err(key_failure)?;
    let passphrase = match key.is_encrypted() {
        true => Some(passphrase_of(passphrase, &format!("passphrase of {}: ", key.name()))?),
        false => None,
    };
    open(&key, passphrase.as_deref()).map_err(|kind| {
        key_failure(KeyFileError { path: path.to_owned(), kind }).unchanged("nothing was signed")
    })
}

fn new_passphrase(args: &PassphraseArgs) -> Result<String, Failure> {
    let passphrase = passphrase_of(args, "new passphrase: ")?;
    if args.passphrase_file.is_none() && passphrase_of(args, "once more: ")? != passphrase {
        return Err(Failure::new(Fault::User, "the passphrases differ"));
    }
    Ok(passphrase)
}

/// The first line of a file, or what is typed at the terminal.
fn passphrase_of(args: &PassphraseArgs, question: &str) -> Result<String, Failure> {
    let environment = |error: std::io::Error| Failure::from_error(Fault::Environment, &error);
    if let Some(path) = &args.passphrase_file {
        let mut text = String::new();
        let file = fs::File::open(path).and_then(|file| file.take(FILE_LIMIT).read_to_string(&mut text));
        file.map_err(|error| Failure {
            causes: vec![error.to_string()],
            ..Failure::new(Fault::User, format!("can not read the passphrase in `{}`", path.display()))
        })?;
        return Ok(text.lines().next().unwrap_or_default().to_owned());
    }
    if !std::io::stdin().is_terminal() {
        return Err(Failure::new(Fault::User, "a passphrase is needed, and nobody is there to type it")
            .hint("give it in a file: `--passphrase-file FILE`"));
    }
    rpassword::prompt_password(question).map_err(environment)
}

/// What is wrong with a key file.
fn key_failure(error: KeyFileError) -> Failure {
    let fault = match &error.kind {
        KeyFileErrorKind::Wrong | KeyFileErrorKind::Mismatch | KeyFileErrorKind::Readable { .. } => {
            Fault::Trust
        }
        KeyFileErrorKind::Writable { .. } => Fault::Trust,
        KeyFileErrorKind::Io { .. } => Fault::Environment,
        _ => Fault::User,
    };
    let failure = Failure::from_error(fault, &error);
    match error.kind.hint() {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}
