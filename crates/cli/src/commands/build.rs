//! `ampoule build`: a release folder from a definition and its lock.

use std::fs;
use std::path::{Path, PathBuf};

use builder::base::BaseError;
use builder::build::{BaseCache, BuildError, BuildRequest, build};
use builder::compose::{ComposeError, GuestPrograms};
use builder::fetch::FetchError;
use builder::mirror::Mirrors;
use builder::seal::Disks;
use model::check::unknown_units;
use release::ReleaseFolder;
use serde_json::json;

use super::definition::read_definition;
use super::lock::{lock_place, read_lock};
use super::{cache_folder, mirror_flags};
use crate::args::{BuildArgs, DiskFormat};
use crate::error::{Failure, Fault};
use crate::printer::Printer;

/// Builds and shows what was built.
pub fn run(args: &BuildArgs, printer: &Printer) -> Result<(), Failure> {
    let checked = read_definition(&args.definition.definition)?;
    let definition = &checked.parsed.definition;
    let place = lock_place(args.lock.as_deref(), &checked);
    let lock = read_lock(&place)?;
    if !lock.is_for(&definition.base) {
        let message =
            format!("the lock `{}` was made for another [base] than the definition has", place.display());
        return Err(Failure::new(Fault::Definition, message)
            .unchanged("nothing was built")
            .hint("run `ampoule lock` again, and look at what it says changed"));
    }
    let programs = guest_programs(args.guest.as_deref())?;
    let flags = mirror_flags(&args.packages);
    let request = BuildRequest {
        definition,
        definition_text: checked.text(),
        folder: &checked.folder,
        lock: &lock,
        find_mirrors: &|| Mirrors::find(&definition.base, &flags),
        cache: &cache_folder(&args.packages)?,
        programs: &programs,
        base_cache: if args.no_base_cache { BaseCache::Renew } else { BaseCache::Use },
        disks: Disks {
            raw: args.disks.contains(&DiskFormat::Raw),
            qcow2: args.disks.contains(&DiskFormat::Qcow2),
        },
        output: &args.output,
    };
    let release = build(&request, printer).map_err(|error| match error {
        // The builder knows which units there are, and the definition where each one is named.
        BuildError::Compose(ComposeError::UnknownUnits { known, .. }) => {
            checked.problems_failure(&unknown_units(&checked.parsed, &known))
        }
        error => build_failure(error, &args.output),
    })?;
    show(&release, printer);
    Ok(())
}

fn show(release: &ReleaseFolder, printer: &Printer) {
    let manifest = release.manifest();
    printer.data(
        || {
            let mut text = format!(
                "{} {} in {}\nroot hash {}\n",
                manifest.identity.id(),
                manifest.identity.version,
                release.path().display(),
                manifest.image.root_hash
            );
            for artifact in &manifest.artifacts {
                text.push_str(&format!(
                    "  {:<28} {}\n",
                    artifact.name.to_string(),
                    model::ByteSize(artifact.size)
                ));
            }
            text
        },
        || json!({"folder": release.path(), "manifest": manifest}),
    );
}

/// The static programs: in the named folder, or beside this program.
pub(super) fn guest_programs(named: Option<&Path>) -> Result<GuestPrograms, Failure> {
    let folder = match named {
        Some(folder) => folder.to_owned(),
        None => {
            std::env::current_exe().ok().and_then(|exe| exe.parent().map(Path::to_owned)).unwrap_or_default()
        }
    };
    let read = |name: &str| {
        let path: PathBuf = folder.join(name);
        fs::read(&path).map_err(|error| {
            let message = format!("can not read the guest's program `{}`", path.display());
            Failure { causes: vec![error.to_string()], ..Failure::new(Fault::Environment, message) }
                .hint("`scripts/build` makes it; `--guest FOLDER` says where it is")
        })
    };
    Ok(GuestPrograms { agent: read("ampoule-agent")?, init: read("ampoule-init")? })
}

pub(super) fn build_failure(error: BuildError, output: &Path) -> Failure {
    let fault = match &error {
        BuildError::Compose(_) | BuildError::Papers(_) | BuildError::Sources(_) => Fault::Definition,
        BuildError::Fetch(FetchError::Corrupted { .. }) => Fault::Trust,
        BuildError::Base(BaseError::Script { .. }) => Fault::Definition,
        _ => Fault::Environment,
    };
    let unchanged = match output.exists() {
        true => format!("the release `{}` is as before", output.display()),
        false => "no release was written".to_owned(),
    };
    let failure = Failure::from_error(fault, &error).unchanged(unchanged);
    let is_full = failure.causes.iter().chain([&failure.message]).any(|text| text.contains("No space left"));
    match error {
        BuildError::Base(BaseError::Script { output, .. } | BaseError::Dpkg { output, .. }) => {
            failure.detail(format!("it said:\n{output}"))
        }
        _ if is_full => {
            failure.hint("free some space there, and build again: packages fetched so far are kept")
        }
        _ => failure,
    }
}
