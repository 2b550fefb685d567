//! `ampoule lock`: resolves a definition to exact packages.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use builder::mirror::Mirrors;
use builder::resolve::{ResolveError, Scope, resolve};
use debian::lock::{LOCK_FILE, Lock};
use serde_json::json;

use super::definition::{Checked, read_definition};
use super::{cache_folder, mirror_flags};
use crate::args::LockArgs;
use crate::error::{Failure, Fault};
use crate::printer::Printer;

/// Resolves, writes the lock and shows what changed since the last one.
pub fn run(args: &LockArgs, printer: &Printer) -> Result<(), Failure> {
    let checked = read_definition(&args.definition.definition)?;
    let place = lock_place(args.lock.as_deref(), &checked);
    let old = match place.exists() {
        true => Some(read_lock(&place)?),
        false => None,
    };
    let base = &checked.parsed.definition.base;
    let mirrors = Mirrors::find(base, &mirror_flags(&args.packages))
        .map_err(|error| Failure::from_error(Fault::Environment, &error).hint("name one with `--mirror`"))?;
    let scope = if args.point_release { Scope::PointRelease } else { Scope::Current };
    let unchanged = match old {
        Some(_) => format!("`{}` is as before", place.display()),
        None => "no lock was written".to_owned(),
    };
    let lock = resolve(base, scope, &mirrors, &cache_folder(&args.packages)?, printer)
        .map_err(|error| resolve_failure(error).unchanged(unchanged))?;
    let change = old.as_ref().map(|old| lock.change_from(old));
    if !args.dry_run {
        write_lock(&place, &lock)?;
    }
    printer.data(
        || {
            let verb = if args.dry_run { "would write" } else { "wrote" };
            let count = lock.packages.len();
            let size = model::ByteSize(lock.download_size());
            let table = change.as_ref().map(|change| change.to_table()).unwrap_or_default();
            format!("{table}{verb} {}: {count} packages, {size} to download\n", place.display())
        },
        || {
            json!({
                "lock": place, "written": !args.dry_run, "packages": lock.packages.len(),
                "change": change.as_ref().map(|change| change.summary()),
            })
        },
    );
    Ok(())
}

/// Where the lock is: named, or beside the definition.
pub fn lock_place(named: Option<&Path>, checked: &Checked) -> PathBuf {
    named.map_or_else(|| checked.folder.join(LOCK_FILE), Path::to_owned)
}

/// Reads a lock.
pub fn read_lock(place: &Path) -> Result<Lock, Failure> {
    let text = fs::read_to_string(place).map_err(|error| {
        let message = format!("can not read the lock `{}`", place.display());
        Failure { causes: vec![error.to_string()], ..Failure::new(Fault::User, message) }
            .hint("`ampoule lock` makes one")
    })?;
    Lock::parse(&text).map_err(|error| {
        let failure = Failure::from_error(Fault::Definition, &error);
        Failure {
            message: format!("the lock `{}` is damaged: {}", place.display(), failure.message),
            ..failure
        }
        .hint("remove it and run `ampoule lock`, or take it from version control")
    })
}

/// Replaces the lock as a whole: a crash leaves the old or the new one.
fn write_lock(place: &Path, lock: &Lock) -> Result<(), Failure> {
    let folder = place.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    let write = || {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(lock.to_text().as_bytes())?;
        file.as_file().sync_all()?;
        // Temporary files are private; a lock is for everybody who may read the definition.
        fs::set_permissions(file.path(), std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
        file.persist(place).map_err(|error| error.error)?;
        Ok::<(), std::io::Error>(())
    };
    write().map_err(|error| Failure {
        causes: vec![error.to_string()],
        ..Failure::new(Fault::Environment, format!("can not write the lock `{}`", place.display()))
    })
}

fn resolve_failure(error: ResolveError) -> Failure {
    let fault = match &error {
        ResolveError::UnknownPackages { .. }
        | ResolveError::Unsatisfiable { .. }
        | ResolveError::Word { .. }
        | ResolveError::SuiteUnknown { .. } => Fault::Definition,
        ResolveError::Untrusted { .. } | ResolveError::Expired { .. } => Fault::Trust,
        _ => Fault::Environment,
    };
    let failure = Failure::from_error(fault, &error);
    match error {
        ResolveError::Unsatisfiable { detail, .. } => failure
            .detail(format!("apt says:\n{detail}"))
            .hint("change `packages` or `extra-suites` in [base]"),
        ResolveError::SuiteUnknown { near, .. } if !near.is_empty() => {
            failure.hint(format!("is one of these meant: {}?", near.join(", ")))
        }
        ResolveError::MirrorDown { .. } => {
            failure.hint("try again later, or name another mirror with `--mirror`")
        }
        ResolveError::AptMissing { .. } => {
            failure.hint("install it: apt-get install apt, on a Debian machine")
        }
        ResolveError::KeyringMissing { .. } => {
            failure.hint("install it: apt-get install debian-archive-keyring")
        }
        _ => failure,
    }
}
