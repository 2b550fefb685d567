//! `ampoule patch`: makes, applies and shows patches as files.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read};
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use depot::unpack::{UnpackError, Unpacking, Wanted};
use image::ReadAt;
use model::Sha256Digest;
use patch::{ApplyError, Header, Part};
use release::manifest::Manifest;
use release::{ReleaseFolder, names};
use serde_json::json;

use super::release::depot_failure;
use crate::args::{MakeArgs, PatchAction, PatchApplyArgs, PatchArgs, ShowArgs};
use crate::error::{Failure, Fault};
use crate::printer::Printer;
use crate::render;
use crate::render::patch::Judgement;

/// Longest release.json that is read.
const MANIFEST_LIMIT: u64 = release::manifest::MANIFEST_LIMIT;

/// Does one of them.
pub fn run(args: &PatchArgs, printer: &Printer) -> Result<(), Failure> {
    match &args.action {
        PatchAction::Make(args) => make(args, printer),
        PatchAction::Apply(args) => apply(args, printer),
        PatchAction::Show(args) => show(args, printer),
    }
}

fn make(args: &MakeArgs, printer: &Printer) -> Result<(), Failure> {
    let unchanged = || match args.output.exists() {
        true => format!("`{}` is as before", args.output.display()),
        false => "no patch was written".to_owned(),
    };
    let old =
        args.old.as_deref().map(Loaded::open).transpose().map_err(|error| error.unchanged(unchanged()))?;
    let new = Loaded::open(&args.new).map_err(|error| error.unchanged(unchanged()))?;
    if let Some(old) = &old {
        let (from, to) = (old.release.manifest().identity.id(), new.release.manifest().identity.id());
        if from != to {
            let message = format!(
                "`{}` is {from} and `{}` is {to}",
                args.old.as_deref().unwrap_or(Path::new("")).display(),
                args.new.display()
            );
            return Err(Failure::new(Fault::User, message)
                .unchanged(unchanged())
                .hint("a patch leads from one release of an appliance to another one of the same"));
        }
    }
    let new_uki = new.uki_bytes()?;
    let old_uki = old.as_ref().map(Loaded::uki_bytes).transpose()?.unwrap_or_default();
    let from = old.as_ref().map(|old| old.sides(&old_uki));
    let recipe = if args.no_recipe { patch::Recipe::Forbidden } else { patch::Recipe::Allowed };
    let threads = args.threads.or(std::thread::available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN);
    let partial = beside(&args.output);
    let written = (|| {
        let file = File::create(&partial).map_err(|error| unwritable(&partial, &error))?;
        let mut out = BufWriter::new(file);
        let progress = |done: u64, total: u64| {
            printer.passing(&format!("making the patch, {} %", done * 100 / total.max(1)))
        };
        let options = patch::MakeOptions { threads, recipe };
        let summary = patch::make(from, new.sides(&new_uki), &options, &mut out, &progress)
            .map_err(|error| Failure::from_error(Fault::Environment, &error))?;
        let file = out.into_inner().map_err(|error| unwritable(&partial, error.error()))?;
        file.sync_all().map_err(|error| unwritable(&partial, &error))?;
        fs::rename(&partial, &args.output).map_err(|error| unwritable(&args.output, &error))?;
        Ok::<_, Failure>(summary)
    })();
    printer.clear();
    let summary = written.map_err(|failure| {
        // What is left of it is nobody's; that it can not be removed changes nothing about the failure.
        let _ = fs::remove_file(&partial);
        failure.unchanged(unchanged())
    })?;
    printer.data(
        || render::patch::made(&args.output, &summary),
        || {
            json!({
                "file": args.output, "size": summary.size, "memory": summary.header.memory,
                "operations": summary.header.operations, "header": render::patch::header(&summary.header),
            })
        },
    );
    Ok(())
}

fn apply(args: &PatchApplyArgs, printer: &Printer) -> Result<(), Failure> {
    let nothing = "no image was written";
    if args.output.exists() {
        return Err(Failure::new(Fault::User, format!("`{}` is there already", args.output.display()))
            .unchanged("it is as before")
            .hint("name another folder with `--output`"));
    }
    let old = args.old.as_deref().map(Loaded::open).transpose().map_err(|error| error.unchanged(nothing))?;
    let wanted =
        args.release.as_deref().map(read_manifest).transpose().map_err(|error| error.unchanged(nothing))?;
    let mut input = BufReader::new(open(&args.patch).map_err(|error| error.unchanged(nothing))?);
    let partial = beside(&args.output);
    let applied = (|| {
        fs::create_dir_all(&partial).map_err(|error| unwritable(&partial, &error))?;
        let uki_name = match &wanted {
            Some(manifest) => format!("{}_{}.efi", manifest.identity.name, manifest.identity.version),
            None => UNNAMED_UKI.to_owned(),
        };
        let nothing_wanted = Sha256Digest([0; 32]);
        let to_be = wanted.as_ref().map(|manifest| {
            let uki = manifest.artifact(&uki_name).map_or(nothing_wanted, |it| it.sha256);
            Wanted::new(&manifest.image, Some(uki), &manifest.artifacts)
        });
        let (root, uki) = (partial.join(names::ROOT), partial.join(&uki_name));
        let mut target = Unpacking::create(&root, &uki, to_be).map_err(unpack_failure)?;
        let options = patch::ApplyOptions {
            memory: args.memory.map_or(u64::MAX, |size| size.0),
            resume: patch::Resume::Never,
        };
        let from = old.as_ref().map(|old| patch::Old {
            root: &old.root,
            uki: &old.uki,
            root_hash: old.release.manifest().image.root_hash,
        });
        let mut progress = |done: u64, total: u64| {
            printer.passing(&format!("applying the patch, {} %", done * 100 / total.max(1)))
        };
        let applied = patch::apply(&mut input, from.as_ref(), &mut target, &options, &mut progress)
            .map_err(|error| apply_failure(&args.patch, error))?;
        let judgement = match target.judge(&applied.header).map_err(unpack_failure)? {
            None => Judgement::Claimed,
            Some(tree) => {
                let path = partial.join(names::VERITY);
                fs::write(&path, &tree.bytes).map_err(|error| unwritable(&path, &error))?;
                Judgement::Verified
            }
        };
        fs::rename(&partial, &args.output).map_err(|error| unwritable(&args.output, &error))?;
        Ok::<_, Failure>((applied.header, judgement, uki_name))
    })();
    printer.clear();
    let (header, judgement, uki) = applied.map_err(|failure| {
        // As above.
        let _ = fs::remove_dir_all(&partial);
        failure.unchanged(nothing)
    })?;
    printer.data(
        || render::patch::applied(&args.output, &header, judgement, &uki),
        || {
            json!({
                "folder": args.output, "uki": uki, "header": render::patch::header(&header),
                "root-hash-verified": judgement == Judgement::Verified,
            })
        },
    );
    Ok(())
}

/// Name of a UKI whose release is not known.
const UNNAMED_UKI: &str = "uki.efi";

fn show(args: &ShowArgs, printer: &Printer) -> Result<(), Failure> {
    let mut input = BufReader::new(open(&args.patch)?);
    let (header, seen) = patch::look(&mut input).map_err(|error| apply_failure(&args.patch, error))?;
    let shares = args.release.as_deref().map(|folder| shares_of(folder, &header, &seen)).transpose()?;
    printer.data(
        || render::patch::shown(&header, &seen, shares.as_ref(), args.top),
        || render::patch::shown_json(&header, &seen, shares.as_ref()),
    );
    Ok(())
}

fn shares_of(folder: &Path, header: &Header, seen: &[patch::Seen]) -> Result<render::patch::Shares, Failure> {
    let new = Loaded::open(folder)?;
    if new.release.manifest().image.root_hash != header.new.root_hash {
        let message = format!("the patch does not lead to the release in `{}`", folder.display());
        return Err(
            Failure::new(Fault::User, message).hint("name the release folder that the patch was made to")
        );
    }
    let files = patch::shares(seen, &new.root, &new.uki_bytes()?)
        .map_err(|error| Failure::from_error(Fault::User, &error))?;
    let path =
        new.release.artifact(names::CONTENTS).map_err(|error| Failure::from_error(Fault::User, &error))?;
    let contents = tree::listing::parse(BufReader::new(open(&path)?))
        .map_err(|error| Failure::from_error(Fault::User, &error))?;
    let origin = |part: &Part| match part {
        Part::File(path) => path
            .parse()
            .ok()
            .and_then(|path: tree::TreePath| contents.entries.get(&path))
            .map_or("unknown".to_owned(), |entry| release::documents::origin_text(&entry.origin)),
        Part::Metadata => "directories and inodes".to_owned(),
        Part::UkiSection(name) => match name.as_str() {
            ".linux" => "kernel".to_owned(),
            ".initrd" => "initrd".to_owned(),
            _ => "the rest of the UKI".to_owned(),
        },
        Part::UkiRest => "the rest of the UKI".to_owned(),
        Part::Header => "the patch's header".to_owned(),
    };
    let mut packages: BTreeMap<String, u64> = BTreeMap::new();
    for (part, cost) in &files {
        *packages.entry(origin(part)).or_default() += cost;
    }
    Ok(render::patch::Shares::new(files, packages))
}

/// A release whose image is read where it lies.
struct Loaded {
    release: ReleaseFolder,
    root: Opened,
    uki: Opened,
}

impl Loaded {
    fn open(folder: &Path) -> Result<Self, Failure> {
        let release = ReleaseFolder::open(folder).map_err(|error| {
            Failure::from_error(Fault::User, &error).hint("a release folder is what `ampoule build` writes")
        })?;
        let find = |path: Result<PathBuf, release::ReleaseError>| {
            Opened::open(&path.map_err(|error| Failure::from_error(Fault::User, &error))?)
        };
        Ok(Self { root: find(release.artifact(names::ROOT))?, uki: find(release.uki())?, release })
    }

    fn uki_bytes(&self) -> Result<Vec<u8>, Failure> {
        let mut bytes = vec![0; self.uki.size as usize];
        self.uki.read_exact_at(&mut bytes, 0).map_err(|error| unreadable(self.release.path(), &error))?;
        Ok(bytes)
    }

    fn sides<'a>(&'a self, uki: &'a [u8]) -> patch::Sides<'a> {
        patch::Sides { root: &self.root, uki, root_hash: self.release.manifest().image.root_hash }
    }
}

struct Opened {
    file: File,
    size: u64,
}

impl Opened {
    fn open(path: &Path) -> Result<Self, Failure> {
        let file = open(path)?;
        let size = file.metadata().map_err(|error| unreadable(path, &error))?.len();
        Ok(Self { file, size })
    }
}

impl ReadAt for Opened {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }

    fn size(&self) -> u64 {
        self.size
    }
}

/// The manifest of a release folder, or of a `release.json` without its folder.
fn read_manifest(path: &Path) -> Result<Manifest, Failure> {
    let file = if path.is_dir() { path.join(names::MANIFEST) } else { path.to_owned() };
    let mut text = Vec::new();
    open(&file)?.take(MANIFEST_LIMIT).read_to_end(&mut text).map_err(|error| unreadable(&file, &error))?;
    Manifest::parse(&text, &file).map_err(|error| {
        Failure::from_error(Fault::User, &error).hint("name the new release's folder or its release.json")
    })
}

/// Where something is written before it is whole.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".partial-{}", std::process::id()));
    path.with_file_name(name)
}

fn open(path: &Path) -> Result<File, Failure> {
    File::open(path).map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure {
        causes: vec![error.to_string()],
        ..Failure::new(Fault::User, format!("can not read `{}`", path.display()))
    }
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure {
        causes: vec![error.to_string()],
        ..Failure::new(Fault::Environment, format!("can not write `{}`", path.display()))
    }
    .hint("look at the free space and the permissions there")
}

/// What came out is not what it has to be.
pub fn unpack_failure(error: UnpackError) -> Failure {
    match error {
        UnpackError::Depot(error) => depot_failure(error),
        UnpackError::Patch { path, source } => apply_failure(&path, *source),
        UnpackError::RootHash { .. } | UnpackError::Uki => Failure::from_error(Fault::Trust, &error)
            .hint("the patch leads to another release, or was made by someone else"),
        UnpackError::Write { .. } => Failure::from_error(Fault::Environment, &error)
            .hint("look at the free space and the permissions there"),
        _ => Failure::from_error(Fault::User, &error),
    }
}

fn apply_failure(path: &Path, error: ApplyError) -> Failure {
    let fault = match &error {
        ApplyError::Different { .. } | ApplyError::Truncated { .. } | ApplyError::Impossible { .. } => {
            Fault::Trust
        }
        ApplyError::Read { .. } | ApplyError::Old { .. } | ApplyError::Target { .. } => Fault::Environment,
        ApplyError::NotAPatch { .. }
        | ApplyError::Format { .. }
        | ApplyError::WrongFrom { .. }
        | ApplyError::Memory { .. } => Fault::User,
    };
    let inner = Failure::from_error(fault, &error);
    let failure = Failure {
        causes: std::iter::once(inner.message).chain(inner.causes).collect(),
        ..Failure::new(fault, format!("`{}` can not be followed", path.display()))
    };
    match &error {
        ApplyError::NotAPatch { .. } => failure.hint("a patch is what `ampoule patch make` writes"),
        ApplyError::Format { .. } => failure.hint("use a newer Ampoule, or a patch of this format"),
        ApplyError::Truncated { .. } | ApplyError::Impossible { .. } => {
            failure.hint("fetch or make the patch again")
        }
        ApplyError::Different { .. } => failure
            .hint("`ampoule inspect` tells whether the old release is whole; otherwise make the patch again"),
        ApplyError::WrongFrom { .. } => failure.hint(
            "`ampoule patch show` tells which root hash the patch leads from; without one it needs `--full`",
        ),
        ApplyError::Memory { .. } => {
            failure.hint("allow more with `--memory`, or make the patch with `--no-recipe`")
        }
        _ => failure,
    }
}
