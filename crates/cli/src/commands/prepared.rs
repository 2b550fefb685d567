//! A list of releases that people sign elsewhere: what `release`, `depot remove` and `depot follow` write for them with `--prepare`, and what
//! they say of one that comes back.

use std::path::Path;

use depot::DepotError;
use depot::roles::{CarriedError, Prepared, RolesError};
use tuf::Time;
use tuf::repository::{Basis, Complete, SigningError};

use super::keys::carried::{ensure_new, replace};
use super::keys::targets::show;
use super::release::{depot_failure, now};
use crate::error::{Failure, Fault};
use crate::printer::Printer;
use crate::render::targets::View;

/// Before anything is checked or asked for: a file that is there may have been signed.
pub fn ensure_new_file(file: &Path) -> Result<(), Failure> {
    ensure_new(file, "--prepare")
}

/// Writes what is carried to the signers, and shows what they will be shown.
pub fn write(prepared: &Prepared, file: &Path, printer: &Printer) -> Result<(), Failure> {
    let stage = &prepared.stage;
    replace(file, stage.bytes()).map_err(|failure| failure.unchanged("nothing was prepared"))?;
    printer.clear();
    let (root, before) = (&prepared.root, prepared.before.as_ref());
    let basis = Basis::of(stage.body());
    let view = View { stage, basis: basis.as_ref(), root, before, compared: None, now: Time(now()) };
    show(&view, printer);
    let next = match stage.missing().is_empty() {
        true => "the same command with `--signed` in the place of `--prepare` publishes it".to_owned(),
        false => format!(
            "to be signed: `ampoule keys targets sign`, with {}",
            carried_along(before.map(Complete::body))
        ),
    };
    printer.note(&format!("written to {}, {next}", file.display()));
    Ok(())
}

/// What signers need beside the list.
fn carried_along(before: Option<&tuf::metadata::Targets>) -> String {
    match before {
        Some(before) => format!("the root, and `tuf/{}.targets.json` of the depot", before.version),
        None => "the root".to_owned(),
    }
}

/// Why nothing was prepared.
pub fn failure(error: DepotError) -> Failure {
    depot_failure(error).unchanged("nothing was prepared; the depot offers what it offered before")
}

/// Whose turn it is when the roles' documents can not be made.
pub fn fault(error: &RolesError) -> Fault {
    match error {
        RolesError::NothingToSign => Fault::User,
        RolesError::Carried { source, .. } if !source.is_refusal() => Fault::User,
        _ => Fault::Trust,
    }
}

/// What to do then. Never to check less.
pub fn hints(error: &RolesError) -> Vec<&'static str> {
    match error {
        RolesError::NothingToSign => {
            vec![
                "run the command without `--prepare`, with the online keys alone: it does what is left to do",
            ]
        }
        RolesError::Carried { source, .. } => vec![carried_hint(source)],
        RolesError::Signing(SigningError::Incomplete { .. }) => vec![
            KEYS_HINT,
            "keys that lie elsewhere sign a list that `--prepare FILE` writes: see docs/KEYS.md",
        ],
        _ => vec![KEYS_HINT],
    }
}

const KEYS_HINT: &str = "give the keys of the release's role and of its freshness, each with `--key`; `ampoule keys root show ROOT` names them";

fn carried_hint(error: &CarriedError) -> &'static str {
    match error {
        CarriedError::Signing(SigningError::Incomplete { .. }) => {
            "carry it to more signers; `ampoule keys targets show` names whose signatures it needs"
        }
        CarriedError::Signing(SigningError::StraySignature { .. } | SigningError::Document(_)) => {
            "begin again with a copy from before it was changed; ask who had it last"
        }
        CarriedError::Signing(SigningError::OtherBefore { .. }) | CarriedError::NotNext { .. } => {
            "somebody published meanwhile: prepare it again, and let it be signed again"
        }
        CarriedError::Signing(SigningError::OtherRoot { .. }) => {
            "the roots changed meanwhile: prepare it again, and let it be signed again"
        }
        CarriedError::Signing(SigningError::NoBasis) => {
            "name the file that the same command wrote with `--prepare`"
        }
        CarriedError::Signing(_) => "prepare it again, and let it be signed again",
        CarriedError::Other { .. } => {
            "give the same arguments as with `--prepare`; if you did, publish nothing, and ask who had it last"
        }
        CarriedError::Expired { .. } | CarriedError::TooLong { .. } => {
            "prepare it again, and let it be signed in its time"
        }
    }
}
