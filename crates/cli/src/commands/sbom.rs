//! `ampoule sbom`: the components of a release, as the release carries them.

use std::fs;

use release::{ReleaseFolder, names};
use sbom::cyclonedx;
use serde_json::{Value, json};

use crate::args::{SbomArgs, SbomFormat};
use crate::error::{Failure, Fault};
use crate::printer::Printer;
use crate::render;

/// Longest list of components that is read. Stops a stranger's release from filling memory.
pub const DOCUMENT_LIMIT: u64 = 512 << 20;

/// Prints or writes the list.
pub fn run(args: &SbomArgs, printer: &Printer) -> Result<(), Failure> {
    let release = open(&args.release)?;
    let name = match args.format {
        SbomFormat::Spdx => names::SBOM_SPDX,
        SbomFormat::Cyclonedx | SbomFormat::Table => names::SBOM_CYCLONEDX,
    };
    let bytes = document(&release, name)?;
    let text = match args.format {
        SbomFormat::Table => render::sbom::table(&read_components(&release)?),
        SbomFormat::Cyclonedx | SbomFormat::Spdx => String::from_utf8_lossy(&bytes).into_owned(),
    };
    let Some(output) = &args.output else {
        let value = || serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        printer.data(|| text, value);
        return Ok(());
    };
    fs::write(output, &text).map_err(|error| {
        let message = format!("can not write `{}`", output.display());
        Failure { causes: vec![error.to_string()], ..Failure::new(Fault::Environment, message) }
    })?;
    printer.data(|| format!("wrote {}\n", output.display()), || json!({"written": output}));
    Ok(())
}

/// Opens a release folder.
pub fn open(folder: &std::path::Path) -> Result<ReleaseFolder, Failure> {
    ReleaseFolder::open(folder).map_err(|error| {
        Failure::from_error(Fault::User, &error).hint("a release folder is what `ampoule build` writes")
    })
}

/// A document of the release whose bytes are those that the release lists.
pub fn document(release: &ReleaseFolder, name: &str) -> Result<Vec<u8>, Failure> {
    release.read_checked_document(name, DOCUMENT_LIMIT).map_err(|error| {
        let fault = match &error {
            release::ReleaseError::Digest { .. } => Fault::Trust,
            _ => Fault::User,
        };
        let failure = Failure::from_error(fault, &error);
        match error {
            release::ReleaseError::NoArtifact { .. } => {
                failure.hint("an older Ampoule built it; `ampoule build` makes one that has it")
            }
            _ => failure,
        }
    })
}

/// The components as our own reader sees them.
pub fn read_components(release: &ReleaseFolder) -> Result<cyclonedx::Document, Failure> {
    let bytes = document(release, names::SBOM_CYCLONEDX)?;
    cyclonedx::parse(&bytes).map_err(|error| {
        let message = format!("`{}` of the release can not be read", names::SBOM_CYCLONEDX);
        Failure { causes: vec![error.to_string()], ..Failure::new(Fault::User, message) }
    })
}
