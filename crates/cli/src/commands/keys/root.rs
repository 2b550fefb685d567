//! `ampoule keys root`: roots are made, changed, shown and signed, one person after another.

use std::path::Path;

use tuf::metadata::{Root, TopRole};
use tuf::repository::{Partial, Stage, Unsigned};
use tuf::{Document, Limits, Time};

use super::carried::{confirm, ensure_new, read, replace, signing_failure};
use super::{public_key, role_signer};
use crate::args::{NewRootArgs, NextRootArgs, RootAction, RootWritingArgs, SignRootArgs};
use crate::commands::release::now;
use crate::error::{Failure, Fault};
use crate::printer::Printer;
use crate::render;

/// What is carried.
const KIND: &str = "root";

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
            root = root.with_key(role, public_key(key)?);
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
        root = root.with_key(added.role, public_key(&added.value)?);
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
    let failed = |error| signing_failure(error, KIND).unchanged("no root was written");
    let partial = Unsigned::root(before, root).map_err(failed)?.into_partial();
    let bytes = partial.bytes().to_vec();
    show(&Stage::Partial(partial), before, printer);
    if args.dry_run {
        printer.note("nothing was written");
        return Ok(());
    }
    ensure_new(output, "--output")?;
    replace(output, &bytes)?;
    printer.note(&format!("written to {}, to be signed: `ampoule keys root sign`", output.display()));
    Ok(())
}

fn sign(args: &SignRootArgs, printer: &Printer) -> Result<(), Failure> {
    let before = args.after.as_deref().map(read_root).transpose()?;
    let stage = read_stage(&args.file, before.as_ref())?;
    if !args.yes {
        // What is signed is read by a person, every time.
        printer.question(&render::keys::root(&stage, before.as_ref()));
        confirm("root")?;
    }
    let signer = role_signer(&args.key, &args.passphrase)?;
    let failed = |error| signing_failure(error, KIND).unchanged("nothing was signed");
    let stage = stage.sign(&*signer).map_err(failed)?;
    replace(&args.file, stage.bytes())?;
    show(&stage, before.as_ref(), printer);
    Ok(())
}

fn show(stage: &Stage<Root>, before: Option<&Root>, printer: &Printer) {
    printer.data(|| render::keys::root(stage, before), || render::keys::root_json(stage, before));
}

fn expiry(args: &RootWritingArgs) -> Time {
    Time(now()).plus_days(args.days)
}

/// A root that was signed before: it is believed because whoever calls names it.
fn read_root(path: &Path) -> Result<Root, Failure> {
    let bytes = read(path, Limits::DEFAULT.root)?;
    let root = Document::parse(&bytes).and_then(|document| document.body());
    root.map_err(|kind| {
        Failure::from_error(Fault::Trust, &tuf::Error { document: path.display().to_string(), kind })
    })
}

fn read_stage(path: &Path, before: Option<&Root>) -> Result<Stage<Root>, Failure> {
    Partial::read_root(&read(path, Limits::DEFAULT.root)?, before).map_err(|error| {
        let failure = signing_failure(error, KIND).unchanged("nothing was signed");
        if before.is_none() { failure.hint("name the root before it with `--after`") } else { failure }
    })
}
