//! Packages that are not installed and of which only some files are used: the boot loader's.

use std::fs::File;
use std::io::Read;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use debian::deb::{DataKind, DebReader};
use debian::lock::LockedPackage;

use crate::base::document_patterns;
use crate::build::BuildError;
use crate::package_documents::LooseDocument;
use crate::seal::boot_files::{LOADER, STUB};

/// Largest file taken from a package. Stops a package from filling memory with something that is no boot loader.
const FILE_LIMIT: u64 = 16 << 20;

/// What is used of the packages.
#[derive(Default)]
pub struct BootPackages {
    /// Boot files: package, path, bytes.
    pub files: Vec<(String, String, Vec<u8>)>,
    /// Their control paragraphs.
    pub controls: Vec<String>,
    /// Their changelogs and licences.
    pub documents: Vec<LooseDocument>,
}

/// Reads the packages, each from its file.
pub fn read(
    packages: &[&LockedPackage],
    debs: &[PathBuf],
    threads: NonZeroUsize,
) -> Result<BootPackages, BuildError> {
    let mut found = BootPackages::default();
    for (package, deb) in packages.iter().zip(debs) {
        read_one(package, deb, threads, &mut found)?;
    }
    Ok(found)
}

fn read_one(
    package: &LockedPackage,
    deb: &Path,
    threads: NonZeroUsize,
    found: &mut BootPackages,
) -> Result<(), BuildError> {
    let unreadable = |source| BuildError::Open { path: deb.to_owned(), source };
    let damaged = |source| BuildError::BootPackage { package: package.name.clone(), source };
    let mut reader =
        DebReader::open(File::open(deb).map_err(unreadable)?, &package.name, threads).map_err(damaged)?;
    // Opening the package has shown that it is there, UTF-8 and one paragraph.
    let control = reader.control_files().get("control").map(|file| file.bytes.clone()).unwrap_or_default();
    found.controls.push(String::from_utf8_lossy(&control).into_owned());
    let patterns = document_patterns();
    while let Some((entry, content)) = reader.next_entry().map_err(damaged)? {
        let Ok(path) = entry.path.parse::<tree::TreePath>() else { continue };
        let is_boot_file = [STUB, LOADER].contains(&path.as_str());
        let is_document = patterns.iter().any(|pattern| pattern.matches(&path));
        if !matches!(entry.kind, DataKind::File { .. }) || !(is_boot_file || is_document) {
            continue;
        }
        let mut bytes = Vec::new();
        content.take(FILE_LIMIT).read_to_end(&mut bytes).map_err(unreadable)?;
        if is_boot_file {
            found.files.push((package.name.clone(), path.as_str().to_owned(), bytes));
        } else {
            found.documents.push(LooseDocument { package: package.name.clone(), path, bytes });
        }
    }
    Ok(())
}
