//! `ampoule inspect`: what is inside a release folder or a bare disk image, without booting it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use image::ReadAt;
use image::qcow2::Qcow2;
use release::inspect::{InspectError, Inspection, Parts, inspect, parts_of_disk};
use release::{ReleaseFolder, names};
use serde_json::json;
use tree::TreePath;

use crate::args::InspectArgs;
use crate::error::{Failure, Fault};
use crate::printer::Printer;
use crate::render;

/// Inspects and shows.
pub fn run(args: &InspectArgs, printer: &Printer) -> Result<(), Failure> {
    let path = args.path.as_deref().map(parse_path).transpose()?;
    let found = if args.subject.is_dir() {
        inspect_folder(&args.subject, path.as_ref())?
    } else {
        inspect_disk(&args.subject, path.as_ref())?
    };
    match (&args.path, found.files.first()) {
        (Some(path), None) => Err(Failure::new(Fault::User, format!("the image has no `{path}`")).hint(
            "`--section files` lists every path; a trim rule may have removed it: see `--section trim`",
        )),
        (Some(_), Some(file)) => {
            printer.data(|| render::inspection::file(file), || json!(file));
            Ok(())
        }
        (None, _) => {
            printer.data(|| render::inspection::inspection(&found, args.section), || json!(found));
            Ok(())
        }
    }
}

fn inspect_folder(folder: &Path, path: Option<&TreePath>) -> Result<Inspection, Failure> {
    let release = ReleaseFolder::open(folder).map_err(|error| {
        Failure::from_error(Fault::User, &error).hint("a release folder is what `ampoule build` writes")
    })?;
    let open = |name: &str| -> Result<DiskFile, Failure> {
        let path = release.artifact(name).map_err(|error| Failure::from_error(Fault::Environment, &error))?;
        DiskFile::open(&path).map_err(|error| unreadable(&path, error))
    };
    let uki = release.uki().map_err(|error| Failure::from_error(Fault::Environment, &error))?;
    let parts = Parts {
        root: Box::new(open(names::ROOT)?),
        verity: Box::new(open(names::VERITY)?),
        uki: std::fs::read(&uki).map_err(|error| unreadable(&uki, error))?,
    };
    inspect(&parts, path).map_err(|error| inspect_failure(folder, error))
}

fn inspect_disk(path: &Path, inside: Option<&TreePath>) -> Result<Inspection, Failure> {
    let file = DiskFile::open(path).map_err(|error| unreadable(path, error))?;
    let disk: Box<dyn ReadAt> = if Qcow2::is_qcow2(&file) {
        Box::new(Qcow2::open(file).map_err(|error| foreign(path, &error))?)
    } else {
        Box::new(file)
    };
    let parts = parts_of_disk(&disk).map_err(|error| inspect_failure(path, error))?;
    inspect(&parts, inside).map_err(|error| inspect_failure(path, error))
}

fn inspect_failure(subject: &Path, error: InspectError) -> Failure {
    foreign(subject, &error)
}

/// What is not ours, or damaged: the file is named whatever the error says.
pub(super) fn foreign(subject: &Path, error: &(dyn std::error::Error + 'static)) -> Failure {
    let failure = Failure::from_error(Fault::User, error);
    Failure {
        message: format!("can not inspect `{}`", subject.display()),
        causes: std::iter::once(error.to_string()).chain(failure.causes).collect(),
        ..Failure::new(Fault::User, "")
    }
    .hint("a release folder, or a raw or qcow2 disk that Ampoule built, is expected")
}

pub(super) fn unreadable(path: &Path, error: io::Error) -> Failure {
    Failure {
        causes: vec![error.to_string()],
        ..Failure::new(Fault::User, format!("can not read `{}`", path.display()))
    }
}

fn parse_path(text: &str) -> Result<TreePath, Failure> {
    text.parse().map_err(|error| Failure::from_error(Fault::User, &error))
}

/// A file read at any offset.
pub(super) struct DiskFile {
    file: File,
    size: u64,
}

impl DiskFile {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let size = file.metadata()?.len();
        Ok(Self { file, size })
    }
}

impl ReadAt for DiskFile {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }

    fn size(&self) -> u64 {
        self.size
    }
}
