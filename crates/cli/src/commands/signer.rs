//! Opening the key that a command signs with.

use std::fs;

use keys::SecretKey;
use keys::file::KeyFile;

use crate::args::KeyArgs;
use crate::error::{Failure, Fault};

/// The key of the arguments. Nothing is asked: a passphrase comes from a file.
pub fn open(args: &KeyArgs) -> Result<SecretKey, Failure> {
    let file = KeyFile::read(&args.key).map_err(|error| failure(&error, error.kind.hint()))?;
    let passphrase = match &args.passphrase_file {
        None => None,
        Some(path) => Some(fs::read_to_string(path).map_err(|error| Failure {
            causes: vec![error.to_string()],
            ..Failure::new(Fault::User, format!("can not read the passphrase from `{}`", path.display()))
        })?),
    };
    let first_line = passphrase.as_deref().map(|text| text.lines().next().unwrap_or_default());
    file.open(first_line).map_err(|kind| {
        let hint = kind.hint();
        let failure =
            Failure::new(Fault::User, format!("the key `{}` can not be opened", args.key.display()));
        let failure = Failure { causes: vec![kind.to_string()], ..failure };
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    })
}

fn failure(error: &(dyn std::error::Error + 'static), hint: Option<&str>) -> Failure {
    let failure = Failure::from_error(Fault::User, error);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}
