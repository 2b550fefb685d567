//! `ledger init` and `ledger append`.

use std::path::{Path, PathBuf};

use ledger::enter::{EnterError, enter};
use ledger::folder::Writer;
use ledger::http::Client;
use ledger::log::{Log, LogError};
use ledger::note::NoteSigner;
use serde_json::json;

use super::{proof_path, read_policy, read_record, write};
use crate::args::KeyArgs;
use crate::commands::keys::note_signer;
use crate::error::{Failure, Fault};
use crate::printer::Printer;
use crate::render;

/// Makes an empty ledger.
pub fn init(folder: &Path, name: &str, key: &KeyArgs, printer: &Printer) -> Result<(), Failure> {
    let secret = note_signer(&key.key, &key.passphrase)?;
    let name =
        name.parse().map_err(|error: ledger::note::KeyError| Failure::from_error(Fault::User, &error))?;
    let signer = NoteSigner::new(name, secret.as_ref());
    let mut log = Log::create(writer(folder)?, &signer).map_err(|error| log_failure(&error))?;
    let signed = log.signed().clone();
    log.publish(&signed).map_err(|error| log_failure(&error))?;
    let key = signer.key().to_string();
    printer.data(
        || render::ledger::made(folder, &key),
        || json!({"folder": folder, "key": key, "policy-line": format!("log {key}")}),
    );
    Ok(())
}

/// Enters releases and writes their proofs.
pub fn append(
    folder: &Path,
    releases: &[PathBuf],
    policy: &Path,
    proofs: &Path,
    key: &KeyArgs,
    printer: &Printer,
) -> Result<(), Failure> {
    let policy = read_policy(policy)?;
    let records = releases.iter().map(|path| read_record(path)).collect::<Result<Vec<_>, _>>()?;
    let entries: Vec<_> = records.iter().map(ledger::record::ReleaseRecord::to_bytes).collect();
    let secret = note_signer(&key.key, &key.passphrase)?;
    let log = policy.logs().iter().find(|log| log.key.key() == secret.public());
    let Some(log) = log else {
        return Err(Failure::new(Fault::User, "the key is that of no ledger in the policy"));
    };
    let signer = NoteSigner::new(log.key.name().clone(), secret.as_ref());
    let mut log = Log::open(writer(folder)?, signer.key().clone()).map_err(|error| log_failure(&error))?;
    let entered =
        enter(&mut log, &entries, &signer, &policy, &Client::new()).map_err(|error| enter_failure(&error))?;
    let mut written = Vec::new();
    for (record, proof) in records.iter().zip(&entered.proofs) {
        let path = proof_path(proofs, record);
        write(&path, &proof.to_bytes())?;
        written.push((path, proof.index));
    }
    for (name, error) in &entered.missing {
        printer.note(&format!("witness `{name}` did not co-sign: {}", render::ledger::chain(error)));
    }
    printer.data(
        || render::ledger::entered(entered.new, &written),
        || {
            let proofs: Vec<_> =
                written.iter().map(|(path, index)| json!({"proof": path, "index": index})).collect();
            let missing: Vec<_> = entered.missing.iter().map(|(name, _)| name).collect();
            json!({"new": entered.new, "proofs": proofs, "missing-witnesses": missing})
        },
    );
    Ok(())
}

fn writer(folder: &Path) -> Result<Writer, Failure> {
    Writer::open(folder).map_err(|error| Failure::from_error(Fault::Environment, &error))
}

/// What goes wrong with a log.
pub(super) fn log_failure(error: &LogError) -> Failure {
    let (fault, hint) = match error {
        LogError::Damaged { .. } | LogError::Forked { .. } | LogError::Note { .. } => (
            Fault::Trust,
            Some("take a copy of the folder for whoever looks into it; bring the ledger back from a mirror"),
        ),
        LogError::WentBack { .. } => (Fault::Trust, Some("bring the newest copy of the folder back")),
        LogError::NoLog => (Fault::User, Some("`ampoule ledger init` makes a ledger")),
        LogError::Access(_) | LogError::Uncertain | LogError::Signing(_) => (Fault::Environment, None),
        _ => (Fault::User, None),
    };
    let failure = Failure::from_error(fault, error);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

fn enter_failure(error: &EnterError) -> Failure {
    match error {
        EnterError::Log(error) => log_failure(error).unchanged("nothing was published"),
        EnterError::Access(_) => {
            Failure::from_error(Fault::Environment, error).unchanged("nothing was published")
        }
        EnterError::WentBack { .. } => Failure::from_error(Fault::Trust, error)
            .unchanged("nothing was appended or signed")
            .hint("bring the newest copy of the ledger's folder back; never append to this one"),
        EnterError::Quorum { missing, .. } => {
            let why = missing
                .iter()
                .map(|(name, error)| format!("witness `{name}`: {}", render::ledger::chain(error)));
            Failure::from_error(Fault::Environment, error)
                .detail(why.collect::<Vec<_>>().join("\n"))
                .unchanged("the public checkpoint is as before")
                .hint("run the same command again once the witnesses answer")
        }
        EnterError::Proof(_) => Failure::from_error(Fault::Trust, error),
    }
}
