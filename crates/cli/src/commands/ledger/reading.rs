//! `ledger prove`, `verify`, `audit` and `monitor`: what needs no secret.

use std::path::{Path, PathBuf};

use ledger::monitor::{Finding, Monitor, Progress};
use ledger::note::{NOTE_LIMIT, Note};
use ledger::policy::Policy;
use ledger::proof::{BUNDLE_LIMIT, Proof};
use ledger::read::{CHECKPOINT_PATH, ReadLog, Tree};
use ledger::record::Word;
use ledger::watch::{Alert, Watch};
use serde_json::json;

use super::{keeping, proof_path, read, read_policy, read_record, write};
use crate::error::{Failure, Fault};
use crate::printer::Printer;
use crate::render;

/// Writes the proof of a release.
pub fn prove(
    log: &dyn ReadLog,
    release: &Path,
    policy: &Path,
    proofs: &Path,
    printer: &Printer,
) -> Result<(), Failure> {
    let (policy, record) = (read_policy(policy)?, read_record(release)?);
    let environment =
        |error: &(dyn std::error::Error + 'static)| Failure::from_error(Fault::Environment, error);
    let bytes = log.read(CHECKPOINT_PATH, NOTE_LIMIT).map_err(|error| environment(&error))?;
    let bytes = bytes.ok_or_else(|| Failure::new(Fault::User, "the ledger has no checkpoint"))?;
    let note = Note::parse(&bytes).map_err(|error| Failure::from_error(Fault::Trust, &error))?;
    let witnessed = policy.check(&note).map_err(|error| Failure::from_error(Fault::Trust, &error))?;
    let found = Tree::new(log, witnessed.checkpoint.size).find(record.leaf());
    let index = found.map_err(|error| environment(&error))?.ok_or_else(|| {
        Failure::new(Fault::Trust, format!("`{}` is not in the ledger", release.display()))
            .hint("`ampoule ledger append` enters a release")
    })?;
    let key = policy.logs().iter().find(|it| it.name == witnessed.checkpoint.origin.as_str());
    let key = &key.expect("BUG: a checkpoint of an unknown log was not refused").key;
    let proof = ledger::log::prove(log, key, index).map_err(|error| keeping::log_failure(&error))?;
    proof.verify(record.leaf(), &policy).map_err(|error| Failure::from_error(Fault::Trust, &error))?;
    let path = proof_path(proofs, &record);
    write(&path, &proof.to_bytes())?;
    printer.data(
        || format!("wrote {}, entry {index} of {}\n", path.display(), witnessed.checkpoint.origin),
        || json!({"proof": path, "index": index, "ledger": witnessed.checkpoint.origin.as_str()}),
    );
    Ok(())
}

/// Checks a proof.
pub fn verify(proof: &Path, release: &Path, policy: &Path, printer: &Printer) -> Result<(), Failure> {
    let (policy, record) = (read_policy(policy)?, read_record(release)?);
    let refused = |error| {
        Failure::from_error(Fault::Trust, &error).hint("take the proof from the release's maker again")
    };
    let proof = Proof::parse(&read(proof, BUNDLE_LIMIT)?).map_err(refused)?;
    let witnessed = proof.verify(record.leaf(), &policy).map_err(refused)?;
    printer.data(
        || render::ledger::proved(&record, proof.index, &witnessed),
        || {
            let witnesses: Vec<_> =
                witnessed.witnesses.iter().map(|(name, time)| json!({"name": name, "time": time})).collect();
            json!({
                "ledger": witnessed.checkpoint.origin.as_str(), "index": proof.index,
                "size": witnessed.checkpoint.size, "witnesses": witnesses, "at": witnessed.at,
            })
        },
    );
    Ok(())
}

/// Reads a ledger whole.
pub fn audit(log: &dyn ReadLog, policy: &Path, printer: &Printer) -> Result<(), Failure> {
    let mut monitor = Monitor::new(read_policy(policy)?);
    let progress = monitor.follow(log, &mut |_, _| {}).map_err(|error| finding_failure(&error))?;
    show(&progress, &[], printer);
    Ok(())
}

/// What a monitor looks for.
pub struct Watched<'a> {
    pub appliances: &'a [String],
    pub known: &'a [PathBuf],
    pub compare: &'a [PathBuf],
}

/// Looks at what is new.
pub fn monitor(
    log: &dyn ReadLog,
    policy: &Path,
    state: &Path,
    watched: &Watched<'_>,
    printer: &Printer,
) -> Result<(), Failure> {
    let mut watch = Watch::new();
    for path in watched.known {
        watch.add_known(read_record(path)?);
    }
    for appliance in watched.appliances {
        let (vendor, name) = words(appliance)?;
        watch.add_appliance(vendor, name);
    }
    let mut monitor = resume(read_policy(policy)?, state)?;
    let found = |error| finding_failure(&error).unchanged("the monitor remembers what it remembered before");
    let mut alerts = Vec::new();
    let progress =
        monitor.follow(log, &mut |index, entry| alerts.extend(watch.judge(index, entry))).map_err(found)?;
    for path in watched.compare {
        let other = Note::parse(&read(path, NOTE_LIMIT)?);
        let other = other.map_err(|error| Failure::from_error(Fault::User, &error))?;
        monitor.compare(log, &other).map_err(found)?;
    }
    show(&progress, &alerts, printer);
    // After the alerts are shown: what was never shown comes again.
    write(state, &monitor.kept().expect("BUG: nothing is kept after a look"))?;
    if alerts.is_empty() {
        return Ok(());
    }
    let count = render::counted(alerts.len(), "entry", "entries");
    Err(Failure::new(Fault::Trust, format!("the ledger has {count} that should not be there")).hint(
        "find out who has the keys of your roles; `ampoule hold` keeps appliances from installing anything",
    ))
}

fn resume(policy: Policy, state: &Path) -> Result<Monitor, Failure> {
    if !state.exists() {
        return Ok(Monitor::new(policy));
    }
    Monitor::resume(policy, &read(state, NOTE_LIMIT)?).map_err(|error| {
        let message = format!("`{}` is not what the monitor remembered of this ledger", state.display());
        let causes = render::ledger::chain(&error);
        Failure { causes: vec![causes], ..Failure::new(Fault::Trust, message) }.hint(
            "bring the file back from a copy: without it, what the ledger took back meanwhile stays unseen",
        )
    })
}

fn words(appliance: &str) -> Result<(Word, Word), Failure> {
    let read = || {
        let (vendor, name) = appliance.split_once('/')?;
        Some((vendor.parse().ok()?, name.parse().ok()?))
    };
    read().ok_or_else(|| Failure::new(Fault::User, format!("`{appliance}` is no VENDOR/NAME")))
}

fn show(progress: &Progress, alerts: &[Alert], printer: &Printer) {
    printer.data(
        || render::ledger::progress(progress, alerts),
        || {
            let alerts: Vec<_> = alerts.iter().map(ToString::to_string).collect();
            json!({
                "from": progress.from, "to": progress.to, "at": progress.at,
                "missing-witnesses": progress.missing, "alerts": alerts,
            })
        },
    );
}

fn finding_failure(error: &Finding) -> Failure {
    let failure = |fault| Failure::from_error(fault, error);
    match error {
        Finding::SplitView { first, second } | Finding::WentBack { last: first, found: second } => {
            let text = |note: &Note| String::from_utf8_lossy(&note.to_bytes()).into_owned();
            failure(Fault::Trust).detail(format!("{}\n{}", text(first), text(second))).hint(
                "keep both checkpoints: together they are proof; tell everybody who relies on the ledger",
            )
        }
        error if error.is_evidence() => failure(Fault::Trust),
        _ => failure(Fault::Environment),
    }
}
