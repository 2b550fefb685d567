//! `ampoule keys targets`: lists of releases that were prepared elsewhere are shown and signed, one person after another, without a network.
//!
//! A signer believes the root that he names, and nobody else: not whoever prepared the list, nor the list before it, which has to be signed for
//! that root, nor a release folder, which has to be the release that is listed.

use std::path::{Path, PathBuf};

use release::{Listing, ReleaseFolder};
use tuf::metadata::{Root, Targets, TopRole};
use tuf::repository::{Basis, Complete, Partial, SigningError, Stage, TargetsChange, targets_changes};
use tuf::{Authority, Limits, Time};

use super::carried::{confirm, read, replace, signing_failure};
use super::role_signer;
use crate::args::{SignTargetsArgs, TargetsAction};
use crate::commands::ledger::read_statement;
use crate::commands::release::{depot_failure, now};
use crate::error::{Failure, Fault};
use crate::printer::Printer;
use crate::render::targets::{self, Compared, View};

/// What the commands are called.
const KIND: &str = "targets";
const UNCHANGED: &str = "nothing was signed";

pub(super) fn run(action: &TargetsAction, printer: &Printer) -> Result<(), Failure> {
    match action {
        TargetsAction::Show { file, root, after } => {
            let roots = Roots::read(root)?;
            let before = after.as_deref().map(|path| roots.list(path)).transpose()?;
            let (stage, basis) = match roots.carried(file)? {
                Ok((stage, basis)) => (stage, Some(basis)),
                // One that was published by people who were together says nothing of it, and can be looked at.
                Err(SigningError::NoBasis) => (roots.published(file)?, None),
                Err(error) => return Err(refused_list(file, error)),
            };
            check_before(file, basis.as_ref(), before.as_ref())?;
            let (root, now) = (roots.newest(), Time(now()));
            let before = before.as_ref();
            show(&View { stage: &stage, basis: basis.as_ref(), root, before, compared: None, now }, printer);
            Ok(())
        }
        TargetsAction::Sign(args) => sign(args, printer),
    }
}

/// Shows a list.
pub fn show(view: &View<'_>, printer: &Printer) {
    printer.data(|| targets::list(view), || targets::list_json(view));
}

fn sign(args: &SignTargetsArgs, printer: &Printer) -> Result<(), Failure> {
    let roots = Roots::read(&args.root)?;
    let before = args.after.as_deref().map(|path| roots.list(path)).transpose()?;
    let failed = |error| refused_list(&args.file, error);
    let (stage, basis) = roots.carried(&args.file)?.map_err(failed)?;
    if let (Some(before), None) = (&basis.before, &before) {
        let name = format!("{}.targets.json", before.version);
        return Err(Failure::new(
            Fault::User,
            "what the list changes is not known: the one before it was not given",
        )
        .unchanged(UNCHANGED)
        .hint(format!(
            "carry `tuf/{name}` of the depot along, or keep it from last time: `--after {name}`"
        )));
    }
    check_before(&args.file, Some(&basis), before.as_ref())?;
    let now = Time(now());
    let expires = stage.body().expires;
    if expires <= now {
        let message = format!("the list expired at {expires}, and it is {now} on this machine");
        return Err(Failure::new(Fault::User, message)
            .unchanged(UNCHANGED)
            .hint("set this machine's clock, or let the list be prepared again"));
    }
    let changes = targets_changes(before.as_ref().map(Complete::body), stage.body());
    let compared = args.release.as_deref().map(|folder| compare(folder, stage.body(), &changes, printer));
    let compared = compared.transpose()?;
    let shown = View {
        stage: &stage,
        basis: Some(&basis),
        root: roots.newest(),
        before: before.as_ref(),
        compared: compared.as_ref(),
        now,
    };
    if !args.yes {
        // What is signed is read by a person, every time.
        printer.question(&targets::list(&shown));
        confirm("list")?;
    }
    let signer = role_signer(&args.key, &args.passphrase)?;
    let signed = stage.clone().sign(&*signer).map_err(failed)?;
    replace(&args.file, signed.bytes())?;
    show(&View { stage: &signed, ..shown }, printer);
    Ok(())
}

/// Whether this is the list that it was prepared over.
fn check_before(
    file: &Path,
    basis: Option<&Basis>,
    before: Option<&Complete<Targets>>,
) -> Result<(), Failure> {
    match (basis, before) {
        (Some(basis), Some(_)) => basis.check_before(before).map_err(|error| refused_list(file, error)),
        _ => Ok(()),
    }
}

/// Compares a release folder with what the list says of it. It has to be one that the list adds or changes: another one says nothing about what
/// is signed.
fn compare(
    folder: &Path,
    list: &Targets,
    changes: &[TargetsChange],
    printer: &Printer,
) -> Result<Compared, Failure> {
    printer.passing(&format!("compare digests of {}", folder.display()));
    let release = ReleaseFolder::open(folder).and_then(|release| release.check_digests(|_| ()));
    release.map_err(|error| depot_failure(error.into()).unchanged(UNCHANGED))?;
    let statement = read_statement(folder).map_err(|failure| failure.unchanged(UNCHANGED))?;
    printer.clear();
    let named = format!("{} {}", statement.identity.id(), statement.identity.version);
    let (begin, end) =
        (format!("{}/", statement.identity.id()), format!("/{}.json", statement.identity.version));
    let of_its_version = |path: &&String| path.starts_with(&begin) && path.ends_with(&end);
    let news = changes.iter().filter_map(|change| match change {
        TargetsChange::Added { path, file } | TargetsChange::Changed { path, to: file, .. } => {
            Some((path, file))
        }
        _ => None,
    });
    let mut news = news.filter(|(path, _)| of_its_version(path)).peekable();
    if news.peek().is_none() {
        let message = match list.targets.keys().any(|path| of_its_version(&path)) {
            true => format!("the list changes nothing about {named}, which `{}` is", folder.display()),
            false => format!("the list does not name {named}, which `{}` is", folder.display()),
        };
        return Err(Failure::new(Fault::User, message)
            .unchanged(UNCHANGED)
            .hint("name the folder of a release that the list adds, or ask who prepared it"));
    }
    for (path, file) in news {
        let listed = Listing::read(path, file);
        let is_it = listed.as_ref().is_some_and(|listed| {
            *listed == Listing::of(&statement, &listed.channel, &listed.security_only_from)
        });
        if !is_it {
            let found = file.hashes.digest_by("sha256").unwrap_or("none").to_owned();
            let cause =
                format!("the list says {found}, and the statement of the folder has {}", statement.id());
            return Err(Failure {
                causes: vec![crate::render::harmless(&cause)],
                ..Failure::new(Fault::Trust, format!("`{}` is not the release that the list names as {named}", folder.display()))
            }
            .unchanged(UNCHANGED)
            .hint("sign nothing until its maker has explained it: another release goes by this version, or yours was not built from the same"));
        }
    }
    Ok(Compared { folder: folder.to_owned(), statement: statement.id() })
}

/// Roots that the signer knows, each following the one before.
struct Roots(Vec<Complete<Root>>);

impl Roots {
    fn read(paths: &[PathBuf]) -> Result<Self, Failure> {
        let mut roots: Vec<Complete<Root>> = Vec::new();
        for path in paths {
            let bytes = read(path, Limits::DEFAULT.root)?;
            let root = match roots.last() {
                None => Complete::trusted(&bytes),
                Some(before) => before.followed_by(&bytes),
            };
            roots.push(root.map_err(|error| refused(path, error.kind))?);
        }
        Ok(Self(roots))
    }

    /// The one that names the signers.
    fn newest(&self) -> &Complete<Root> {
        self.0.last().expect("BUG: the command takes a root at least")
    }

    /// A list that is complete. The roots before the newest may vouch for it: it may be older than the newest.
    fn list(&self, path: &Path) -> Result<Complete<Targets>, Failure> {
        let bytes = read(path, Limits::DEFAULT.targets)?;
        let mut refusal = None;
        for root in self.0.iter().rev() {
            match Complete::signed_for(root.body(), &bytes) {
                Ok(list) => return Ok(list),
                Err(error) => refusal = refusal.or(Some(error)),
            }
        }
        let error = refusal.expect("BUG: the command takes a root at least");
        Err(refused(path, error.kind)
            .hint("if it was signed for an older root, name that one, too, before the newer: `--root OLD --root NEW`"))
    }

    /// A list that is on its way to its signers.
    fn carried(&self, path: &Path) -> Result<Result<(Stage<Targets>, Basis), SigningError>, Failure> {
        Ok(Partial::read_carried(&read(path, Limits::DEFAULT.targets)?, self.newest()))
    }

    /// A list that says nothing of where it comes from.
    fn published(&self, path: &Path) -> Result<Stage<Targets>, Failure> {
        let authority = Authority::top_level(self.newest().body(), TopRole::Targets);
        Partial::read(&read(path, Limits::DEFAULT.targets)?, authority)
            .map_err(|error| refused_list(path, error))
    }
}

/// A list that is not what it should be, or that the key can not sign.
fn refused_list(path: &Path, error: SigningError) -> Failure {
    let mut failure = signing_failure(error, KIND).unchanged(UNCHANGED);
    let why = std::mem::replace(&mut failure.message, format!("`{}` can not be signed", path.display()));
    failure.causes.insert(0, why);
    failure
}

/// A document that the signer named and that is not good.
fn refused(path: &Path, kind: tuf::ErrorKind) -> Failure {
    let error = tuf::Error { document: path.display().to_string(), kind };
    Failure::from_error(Fault::Trust, &error).unchanged(UNCHANGED)
}
