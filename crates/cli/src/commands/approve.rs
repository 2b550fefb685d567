//! `ampoule approve`: an officer's signed word; `ampoule audit`: all of them.

use std::fs;
use std::path::Path;

use depot::{DepotFolder, words};
use ledger::note::{KeyName, NOTE_LIMIT, Note, NoteSigner};
use model::Sha256Digest;
use model::control::{Answer, Call};
use release::ReleaseId;
use release::approval::{Approval, Scope, Word};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::keys::{note_signer, stored_name};
use super::ledger::{read, read_statement};
use super::release::{depot_failure, now};
use super::running::{call, unexpected};
use crate::args::{ApproveArgs, AuditArgs, WordChoice};
use crate::error::{Failure, Fault};
use crate::printer::Printer;
use crate::render;

/// Longest bulletin that is read for its digest: 40,000 changed files are about 20 MB.
const BULLETIN_LIMIT: usize = 1 << 30;

/// Signs, and brings it to where it counts.
pub fn approve(args: &ApproveArgs, printer: &Printer) -> Result<(), Failure> {
    let nothing = |failure: Failure| failure.unchanged("nothing was signed");
    let (release, appliance) = subject(args).map_err(nothing)?;
    let mut note = match &args.note {
        Some(path) => others_note(path, release).map_err(nothing)?,
        None => new_note(args, release).map_err(nothing)?,
    };
    let text = note.text().to_owned();
    printer.note(text.trim_end());
    let key = note_signer(&args.key, &args.passphrase).map_err(nothing)?;
    let name = args.name.clone().map_or_else(|| stored_name(&args.key), Ok).map_err(nothing)?;
    let name: KeyName = name.parse().map_err(|error| nothing(Failure::from_error(Fault::User, &error)))?;
    let line = NoteSigner::new(name, key.as_ref())
        .sign(&text)
        .map_err(|error| nothing(Failure::from_error(Fault::Environment, &error)))?;
    note.add(line);
    let bytes = String::from_utf8(note.to_bytes()).expect("a note is text");

    let mut places = Vec::new();
    if let Some(path) = &args.output {
        fs::write(path, &bytes).map_err(|error| Failure {
            causes: vec![error.to_string()],
            ..Failure::new(Fault::Environment, format!("can not write `{}`", path.display()))
        })?;
        places.push(format!("written to {}", path.display()));
    }
    if let Some(folder) = &args.depot {
        let depot = DepotFolder::open(folder).map_err(depot_failure)?;
        let known = words::appliance_of(&depot, release).map_err(depot_failure)?;
        let Some(appliance) = appliance.or(known) else {
            return Err(Failure::new(Fault::User, "the depot does not offer this release")
                .unchanged("the depot has the words that it had before"));
        };
        words::add(&depot, &appliance, release, &bytes).map_err(depot_failure)?;
        places.push(format!("put into the depot {}", folder.display()));
    }
    if args.tell {
        let Answer::Updates(_) = call(&args.vm, Call::Word { note: bytes.clone() })? else {
            return Err(unexpected());
        };
        places.push("told to the appliance".to_owned());
    }
    for place in &places {
        printer.note(place);
    }
    let shown = || if places.is_empty() { bytes.clone() } else { String::new() };
    printer.data(shown, || json!({"note": bytes, "release": release}));
    Ok(())
}

/// `ampoule audit`
pub fn audit(args: &AuditArgs, printer: &Printer) -> Result<(), Failure> {
    let Answer::Words(words) = call(&args.vm, Call::Words)? else { return Err(unexpected()) };
    let Answer::UpdateHistory(history) = call(&args.vm, Call::UpdateHistory)? else {
        return Err(unexpected());
    };
    printer.data(|| render::approve::audit(&words, &history), || json!({"words": words, "history": history}));
    Ok(())
}

/// Which release is spoken of, and whose it is when that is known.
fn subject(args: &ApproveArgs) -> Result<(ReleaseId, Option<String>), Failure> {
    if let Ok(release) = args.release.parse() {
        return Ok((release, None));
    }
    let statement = read_statement(Path::new(&args.release)).map_err(|failure| {
        failure.hint("a release folder, a release statement, or the 64 digits of its digest")
    })?;
    Ok((statement.id(), Some(statement.identity.id())))
}

fn new_note(args: &ApproveArgs, release: ReleaseId) -> Result<Note, Failure> {
    let user = |error: &(dyn std::error::Error + 'static)| Failure::from_error(Fault::User, error);
    let bulletin = match &args.bulletin {
        Some(path) => Some(Sha256Digest(Sha256::digest(read(path, BULLETIN_LIMIT)?).into())),
        None => None,
    };
    let scope: Scope = args.scope.parse().map_err(|error| user(&error))?;
    let made = now();
    let approval = Approval {
        word: match args.say {
            WordChoice::Approve => Word::Approve,
            WordChoice::Hold => Word::Hold,
            WordChoice::Revoke => Word::Revoke,
        },
        release,
        bulletin,
        scope,
        made,
        until: args.days.map(|days| made.saturating_add(days.saturating_mul(24 * 3600))),
        reason: args.reason.clone(),
    };
    Note::new(approval.to_text().map_err(|error| user(&error))?).map_err(|error| user(&error))
}

/// A note that others signed, when it is about this release.
fn others_note(path: &Path, release: ReleaseId) -> Result<Note, Failure> {
    let user = |error: &(dyn std::error::Error + 'static)| Failure::from_error(Fault::User, error);
    let note = Note::parse(&read(path, NOTE_LIMIT)?).map_err(|error| user(&error))?;
    let approval = Approval::parse(note.text()).map_err(|error| user(&error))?;
    if approval.release == release {
        return Ok(note);
    }
    Err(Failure::new(Fault::Trust, format!("the note speaks of another release: {}", approval.release)))
}
