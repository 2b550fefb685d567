//! `ampoule rebuild`: a release from what it carries itself, compared byte for byte.

use std::fs;
use std::path::Path;

use builder::base::BaseError;
use builder::build::{BaseCache, BuildError};
use builder::compose::GuestPrograms;
use builder::mirror::Mirrors;
use builder::rebuild::{Comparison, RebuildError, RebuildRequest, guest_of, is_other_guest, rebuild};
use model::Definition;
use release::attestation::{Attestation, Guest};
use release::{ReleaseError, ReleaseFolder, Statement, names};
use serde_json::json;

use super::build::{build_failure, guest_programs};
use super::rebuilt::signed;
use super::sbom::{document, open};
use super::{cache_folder, mirror_flags};
use crate::args::RebuildArgs;
use crate::error::{Failure, Fault};
use crate::printer::Printer;
use crate::render;

/// Rebuilds, compares, and attests or explains.
pub fn run(args: &RebuildArgs, printer: &Printer) -> Result<(), Failure> {
    let release = open(&args.release)?;
    let programs = match args.guest_from_release {
        true => guest_of(&release).map_err(failure)?,
        false => guest_programs(args.guest.as_deref())?,
    };
    let work = tempfile::tempdir().map_err(|error| Failure::from_error(Fault::Environment, &error))?;
    let sources = work.path().join("sources");
    fs::create_dir(&sources).map_err(|error| Failure::from_error(Fault::Environment, &error))?;
    let output = args.output.clone().unwrap_or_else(|| work.path().join("release"));
    ensure_elsewhere(&args.release, &output)?;
    let flags = mirror_flags(&args.packages);
    let request = RebuildRequest {
        release: &release,
        find_mirrors: &|base| Mirrors::find(base, &flags),
        cache: &cache_folder(&args.packages)?,
        programs: &programs,
        base_cache: if args.no_base_cache { BaseCache::Renew } else { BaseCache::Use },
        sources: &sources,
        output: &output,
    };
    let comparison = rebuild(&request, printer).map_err(|error| match error {
        RebuildError::Build(error) => build_failure(error, &output),
        error => failure(error),
    })?;
    if !comparison.is_identical() {
        return Err(differs(&release, &programs, &comparison));
    }
    let guest = if args.guest_from_release { Guest::FromRelease } else { Guest::Built };
    let text = signed(attestation(&release, guest, &comparison)?.to_text(), args)?;
    if let Some(place) = &args.attestation {
        fs::write(place, &text).map_err(|error| {
            let message = format!("can not write `{}`", place.display());
            Failure { causes: vec![error.to_string()], ..Failure::new(Fault::Environment, message) }
        })?;
    }
    printer.data(
        || render::rebuild::identical(&comparison, &text, args.attestation.as_deref(), args.key.is_some()),
        || json!({"identical": true, "artifacts": comparison.same, "attestation": text}),
    );
    Ok(())
}

/// The release must stay what it is.
fn ensure_elsewhere(release: &Path, output: &Path) -> Result<(), Failure> {
    let same =
        fs::canonicalize(output).is_ok_and(|place| fs::canonicalize(release).is_ok_and(|it| it == place));
    match same {
        true => Err(Failure::new(Fault::User, "the rebuild can not take the place of the release")
            .unchanged("nothing was built")
            .hint("name another folder with `--output`")),
        false => Ok(()),
    }
}

fn attestation(
    release: &ReleaseFolder,
    guest: Guest,
    comparison: &Comparison,
) -> Result<Attestation, Failure> {
    let manifest = release.manifest();
    let bytes = document(release, names::DEFINITION)?;
    let definition: Definition =
        serde_json::from_slice(&bytes).map_err(|error| Failure::from_error(Fault::User, &error))?;
    let statement =
        Statement::of(manifest, &definition).map_err(|error| Failure::from_error(Fault::User, &error))?;
    Ok(Attestation {
        appliance: manifest.identity.id(),
        version: manifest.identity.version.clone(),
        release: statement.id(),
        root_hash: manifest.image.root_hash,
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        guest,
        artifacts: Attestation::artifacts_of(&comparison.same),
    })
}

fn differs(release: &ReleaseFolder, programs: &GuestPrograms, comparison: &Comparison) -> Failure {
    let count = render::counted(comparison.different.len(), "file of it differs", "files of it differ");
    let failure = Failure::new(Fault::Trust, format!("the rebuild is not the release: {count}"))
        .detail(render::rebuild::differences(comparison))
        .unchanged(format!("the release `{}` is as before", release.path().display()));
    match is_other_guest(release, programs) {
        true => failure
            .hint("the guest's programs are others than those of the release: build the same Ampoule, or name its programs with `--guest`")
            .hint("`--guest-from-release` takes them from the release, unchecked, and compares the rest"),
        false => failure,
    }
}

fn failure(error: RebuildError) -> Failure {
    let fault = match &error {
        RebuildError::Release(ReleaseError::Digest { .. } | ReleaseError::Size { .. })
        | RebuildError::Sources(_)
        | RebuildError::Lock(_) => Fault::Trust,
        RebuildError::Build(BuildError::Base(BaseError::Script { .. })) | RebuildError::Definition { .. } => {
            Fault::Definition
        }
        _ => Fault::User,
    };
    let failure = Failure::from_error(fault, &error);
    match error {
        RebuildError::Release(ReleaseError::NoArtifact { .. }) => {
            failure.hint("an older Ampoule built it, and it does not carry its sources")
        }
        _ => failure,
    }
}
