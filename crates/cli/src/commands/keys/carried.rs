//! Files that are carried from one signer to the next: read within a limit, shown before they are signed, replaced as a whole.

use std::fs::{self, File};
use std::io::{BufRead as _, IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};

use tuf::repository::SigningError;
use tuf::store::{FolderStore, Store as _};

use crate::error::{Failure, Fault};
use crate::printer::ask;

/// Asks whoever sits there. `kind` is what is signed: `root`, `list`.
pub fn confirm(kind: &str) -> Result<(), Failure> {
    let refused = |why: &str| Failure::new(Fault::User, format!("the {kind} was not signed: {why}"));
    if !std::io::stdin().is_terminal() {
        return Err(refused("nobody is there to say yes").hint("say it beforehand: `--yes`"));
    }
    let mut answer = String::new();
    ask(&format!("sign this {kind}? [y/N] "));
    match (std::io::stdin().lock().read_line(&mut answer), answer.trim()) {
        (Ok(_), "y" | "yes") => Ok(()),
        _ => Err(refused("it was not wanted")),
    }
}

/// The bytes of a file of at most `limit`.
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(limit + 1).read_to_end(&mut bytes));
    match read {
        Ok(length) if length as u64 <= limit => Ok(bytes),
        Ok(_) => Err(Failure::new(Fault::User, format!("`{}` is longer than {limit} bytes", path.display()))),
        Err(error) => Err(Failure {
            causes: vec![error.to_string()],
            ..Failure::new(Fault::User, format!("can not read `{}`", path.display()))
        }),
    }
}

/// Refuses a file that is there already: it may be one that somebody signed.
pub fn ensure_new(path: &Path, option: &str) -> Result<(), Failure> {
    match path.exists() {
        false => Ok(()),
        true => Err(Failure::new(Fault::User, format!("`{}` exists already", path.display()))
            .unchanged("it is as it was")
            .hint(format!("name another file with `{option}`"))),
    }
}

/// Writes at once or not at all.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let wrong = |error: std::io::Error| Failure {
        causes: vec![error.to_string()],
        ..Failure::new(Fault::Environment, format!("can not write `{}`", path.display()))
            .unchanged("it is as it was")
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.map_or_else(|| PathBuf::from("."), Path::to_owned);
    fs::create_dir_all(&folder).map_err(wrong)?;
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| wrong(std::io::Error::other("it has no name")))?;
    FolderStore::new(folder).write(name, bytes).map_err(wrong)
}

/// Why something was not signed. `kind` names the commands that show and sign it: `root`, `targets`.
pub fn signing_failure(error: SigningError, kind: &str) -> Failure {
    let fault = match &error {
        SigningError::StraySignature { .. }
        | SigningError::WrongSignature { .. }
        | SigningError::NotAfter { .. }
        | SigningError::Document(_) => Fault::Trust,
        SigningError::Signer { .. } => Fault::Environment,
        _ => Fault::User,
    };
    let failure = Failure::from_error(fault, &error);
    match &error {
        SigningError::StraySignature { .. } => {
            failure.hint("begin again with a copy from before it was changed; ask who had it last")
        }
        SigningError::NoSay { .. } => {
            failure.hint(format!("`ampoule keys {kind} show` lists whose signatures it needs"))
        }
        SigningError::Impossible(_) => failure.hint("give the role more keys, or let it take fewer"),
        SigningError::OtherRoot { .. } => failure.hint(
            "if you know the root that it was prepared for, name it after the one that it follows: `--root OLD --root NEW`; otherwise sign nothing, and ask who prepared it",
        ),
        SigningError::OtherBefore { .. } => failure.hint(
            "carry along the list that it was prepared over; if it is the newest that you know, the other one is old: let it be prepared again",
        ),
        SigningError::NoBasis => failure.hint("lists that several people sign are written with `--prepare FILE`"),
        SigningError::NotAfter { .. } => failure.hint("sign nothing, and ask who prepared it"),
        _ => failure,
    }
}
