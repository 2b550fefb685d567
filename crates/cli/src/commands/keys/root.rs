//! `ampoule keys root`: roots are made, changed, shown and signed, one person after another.

use std::fs::{self, File};
use std::io::{BufRead as _, IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};

use keys::PublicKey;
use keys::stored::StoredKey;
use tuf::metadata::{Root, TopRole};
use tuf::repository::{Partial, SigningError, Stage, Unsigned};
use tuf::store::{FolderStore, Store as _};
use tuf::{Document, Limits, Time};

use super::{key_failure, signer};
use crate::args::{KeyRef, NewRootArgs, NextRootArgs, RootAction, RootWritingArgs, SignRootArgs};
use crate::commands::release::now;
use crate::error::{Failure, Fault};
use crate::printer::{Printer, ask};
use crate::render;

pub(super) fn run(action: &RootAction, printer: &Printer) -> Result<(), Failure> {
    match action {
        RootAction::New(args) => first(args, printer),
        RootAction::Next(args) => next(args, printer),
        RootAction::Show { file, after } => {
            let before = after.as_deref().map(read_root).transpose()?;
            show(&read_stage(file, before.as_ref())?, before.as_ref(), printer);
            Ok(())
        }
        RootAction::Sign(args) => sign(args, printer),
    }
}

fn first(args: &NewRootArgs, printer: &Printer) -> Result<(), Failure> {
    let mut root = Root::new(expiry(&args.writing));
    let roles = [&args.root, &args.targets, &args.snapshot, &args.timestamp];
    for (role, keys) in TopRole::ALL.into_iter().zip(roles) {
        for key in keys {
            root = root.with_key(role, public(key)?);
        }
    }
    for threshold in &args.threshold {
        root = root.with_threshold(threshold.role, threshold.value);
    }
    write(root, None, &args.output, &args.writing, printer)
}

fn next(args: &NextRootArgs, printer: &Printer) -> Result<(), Failure> {
    let before = read_root(&args.before)?;
    let mut root = before.next(expiry(&args.writing));
    for added in &args.add {
        root = root.with_key(added.role, public(&added.value)?);
    }
    for removed in &args.remove {
        let (role, key) = (removed.role, &removed.value);
        if !before.role(role).keyids.contains(key) {
            return Err(Failure::new(Fault::User, format!("the role `{role}` has no key {key}"))
                .unchanged("no root was written")
                .hint(format!("`ampoule keys root show {}` lists them", args.before.display())));
        }
        root = root.without_key(role, key);
    }
    for threshold in &args.threshold {
        root = root.with_threshold(threshold.role, threshold.value);
    }
    let beside = || args.before.with_file_name(format!("{}.root.json", root.version));
    let output = args.output.clone().unwrap_or_else(beside);
    write(root, Some(&before), &output, &args.writing, printer)
}

fn write(
    root: Root,
    before: Option<&Root>,
    output: &Path,
    args: &RootWritingArgs,
    printer: &Printer,
) -> Result<(), Failure> {
    let failed = |error| signing_failure(error).unchanged("no root was written");
    let partial = Unsigned::root(before, root).map_err(failed)?.into_partial();
    let bytes = partial.bytes().to_vec();
    show(&Stage::Partial(partial), before, printer);
    if args.dry_run {
        printer.note("nothing was written");
        return Ok(());
    }
    if output.exists() {
        return Err(Failure::new(Fault::User, format!("`{}` exists already", output.display()))
            .unchanged("it is as it was")
            .hint("name another file with `--output`"));
    }
    replace(output, &bytes)?;
    printer.note(&format!("written to {}, to be signed: `ampoule keys root sign`", output.display()));
    Ok(())
}

fn sign(args: &SignRootArgs, printer: &Printer) -> Result<(), Failure> {
    let before = args.after.as_deref().map(read_root).transpose()?;
    let stage = read_stage(&args.file, before.as_ref())?;
    if !args.yes {
        // What is signed is read by a person, every time.
        printer.note(&render::keys::root(&stage, before.as_ref()));
        confirm()?;
    }
    let signer = signer(&args.key, &args.passphrase)?;
    let failed = |error| signing_failure(error).unchanged("nothing was signed");
    let stage = match stage {
        Stage::Partial(partial) => partial.sign(&*signer).map_err(failed)?,
        Stage::Complete(complete) => Stage::Complete(complete.sign(&*signer).map_err(failed)?),
    };
    replace(&args.file, stage.bytes())?;
    show(&stage, before.as_ref(), printer);
    Ok(())
}

fn confirm() -> Result<(), Failure> {
    let refused = |why: &str| Failure::new(Fault::User, format!("the root was not signed: {why}"));
    if !std::io::stdin().is_terminal() {
        return Err(refused("nobody is there to say yes").hint("say it beforehand: `--yes`"));
    }
    let mut answer = String::new();
    ask("sign this root? [y/N] ");
    match (std::io::stdin().lock().read_line(&mut answer), answer.trim()) {
        (Ok(_), "y" | "yes") => Ok(()),
        _ => Err(refused("it was not wanted")),
    }
}

fn show(stage: &Stage<Root>, before: Option<&Root>, printer: &Printer) {
    printer.data(|| render::keys::root(stage, before), || render::keys::root_json(stage, before));
}

fn expiry(args: &RootWritingArgs) -> Time {
    Time(now()).plus_days(args.days)
}

fn public(key: &KeyRef) -> Result<PublicKey, Failure> {
    match key {
        KeyRef::Public(key) => Ok(*key),
        KeyRef::File(path) => Ok(StoredKey::read(path).map_err(key_failure)?.public()),
    }
}

/// A root that was signed before: it is believed because whoever calls names it.
fn read_root(path: &Path) -> Result<Root, Failure> {
    let bytes = read(path)?;
    let root = Document::parse(&bytes).and_then(|document| document.body());
    root.map_err(|kind| {
        Failure::from_error(Fault::Trust, &tuf::Error { document: path.display().to_string(), kind })
    })
}

fn read_stage(path: &Path, before: Option<&Root>) -> Result<Stage<Root>, Failure> {
    Partial::read_root(&read(path)?, before).map_err(|error| {
        let failure = signing_failure(error).unchanged("nothing was signed");
        if before.is_none() { failure.hint("name the root before it with `--after`") } else { failure }
    })
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let limit = Limits::DEFAULT.root;
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

/// Writes at once or not at all.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
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

fn signing_failure(error: SigningError) -> Failure {
    let fault = match &error {
        SigningError::StraySignature { .. }
        | SigningError::WrongSignature { .. }
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
            failure.hint("`ampoule keys root show` lists whose signatures it needs")
        }
        SigningError::Impossible(_) => failure.hint("give the role more keys, or let it take fewer"),
        _ => failure,
    }
}
