//! `ampoule ledger`: keeps, checks, watches and witnesses a ledger.

mod keeping;
mod reading;
mod witness;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ledger::folder::Folder;
use ledger::http::Client;
use ledger::policy::{POLICY_LIMIT, Policy};
use ledger::proof::FILE_SUFFIX;
use ledger::read::ReadLog;
use ledger::record::ReleaseRecord;
use model::definition::Definition;
use release::statement::STATEMENT_LIMIT;
use release::{ReleaseFolder, Statement, names};

use crate::args::{LedgerAction, LedgerArgs};
use crate::error::{Failure, Fault};
use crate::printer::Printer;

/// Does one of them.
pub fn run(args: &LedgerArgs, printer: &Arc<Printer>) -> Result<(), Failure> {
    match &args.action {
        LedgerAction::Init { folder, name, key } => keeping::init(folder, name, key, printer),
        LedgerAction::Append { folder, releases, policy, proofs, key } => {
            keeping::append(folder, releases, policy, proofs, key, printer)
        }
        LedgerAction::Prove { ledger, release, policy, proofs } => {
            reading::prove(&*reader(ledger), release, policy, proofs, printer)
        }
        LedgerAction::Verify { proof, release, policy } => reading::verify(proof, release, policy, printer),
        LedgerAction::Audit { ledger, policy } => reading::audit(&*reader(ledger), policy, printer),
        LedgerAction::Monitor { ledger, policy, state, appliances, known, compare } => {
            let watched = reading::Watched { appliances, known, compare };
            reading::monitor(&*reader(ledger), policy, state, &watched, printer)
        }
        LedgerAction::Witness { folder, name, ledgers, enroll, listen, key } => {
            let identity = witness::Identity { name, ledgers, enroll: *enroll, key };
            witness::serve(folder, &identity, *listen, printer)
        }
    }
}

/// A ledger by its folder or its URL.
fn reader(place: &str) -> Box<dyn ReadLog> {
    if place.starts_with("http://") || place.starts_with("https://") {
        Box::new(Client::new().log(place))
    } else {
        Box::new(Folder::new(place))
    }
}

/// A file that a person names, whole.
pub fn read(path: &Path, limit: usize) -> Result<Vec<u8>, Failure> {
    let bytes = fs::read(path).map_err(|error| Failure {
        causes: vec![error.to_string()],
        ..Failure::new(Fault::User, format!("can not read `{}`", path.display()))
    })?;
    if bytes.len() > limit {
        let message = format!("`{}` has more than {limit} bytes", path.display());
        return Err(Failure::new(Fault::User, message));
    }
    Ok(bytes)
}

/// A policy.
pub fn read_policy(path: &Path) -> Result<Policy, Failure> {
    let wrong = |error| Failure::from_error(Fault::User, &error);
    Policy::parse(&read(path, POLICY_LIMIT + 1)?).map_err(wrong)
}

/// A release statement, from a release folder or a file.
pub fn read_statement(path: &Path) -> Result<Statement, Failure> {
    let wrong = |error: &(dyn std::error::Error + 'static)| Failure::from_error(Fault::User, error);
    if !path.is_dir() {
        return Statement::parse(&read(path, STATEMENT_LIMIT as usize)?).map_err(|error| wrong(&error));
    }
    let release = ReleaseFolder::open(path).map_err(|error| wrong(&error))?;
    let definition = release.read_document(names::DEFINITION, 4 << 20).map_err(|error| wrong(&error))?;
    let definition: Definition = serde_json::from_slice(&definition).map_err(|error| wrong(&error))?;
    Statement::of(release.manifest(), &definition).map_err(|error| wrong(&error))
}

/// What the ledger says of a release, from its folder or its statement.
fn read_record(path: &Path) -> Result<ReleaseRecord, Failure> {
    release::trust::record(&read_statement(path)?).map_err(|error| Failure::from_error(Fault::User, &error))
}

/// Where the proof of a release is written.
fn proof_path(folder: &Path, record: &ReleaseRecord) -> PathBuf {
    folder.join(format!("{}_{}{FILE_SUFFIX}", record.appliance, record.version))
}

/// Writes a file as a whole: the old one stays until the new one is on disk.
fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let new = PathBuf::from(format!("{}.new", path.display()));
    let write = || {
        fs::write(&new, bytes)?;
        fs::File::open(&new)?.sync_all()?;
        fs::rename(&new, path)
    };
    write().map_err(|error| Failure {
        causes: vec![error.to_string()],
        ..Failure::new(Fault::Environment, format!("can not write `{}`", path.display()))
    })
}
