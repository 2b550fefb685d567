//! The ways to an image: the full image and patches, behind a trait so that publishing can be tested without either.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter};
use std::num::NonZeroUsize;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use image::{ReadAt, verity};
use model::Sha256Digest;
use release::ImageFacts;

use crate::unpack::{Unpacking, Wanted};

/// Why a way could not be made.
pub type WayError = Box<dyn std::error::Error + Send + Sync>;

/// The files of one image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageFiles {
    /// The root file system.
    pub root: PathBuf,
    /// The UKI.
    pub uki: PathBuf,
    /// The root in numbers.
    pub facts: ImageFacts,
}

/// Whether the kernel may be made again by compressing, which is small to download and needs much memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipe {
    /// When it pays.
    Allowed,
    /// Never.
    Forbidden,
}

/// What is known of a way that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Made {
    /// Bytes of memory that applying it needs.
    pub memory: u64,
}

/// Makes and follows ways. MUST write only to the paths it is given; "returned Ok" means that following the way gives
/// the image's bytes.
pub trait Ways {
    /// Writes the way from `old`, or from nothing, to `new` into the file `out`. `progress` is told parts of 1000.
    fn make(
        &self,
        old: Option<&ImageFiles>,
        new: &ImageFiles,
        recipe: Recipe,
        out: &Path,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Made, WayError>;

    /// Writes the companion of a patch from `old` to `new` for appliances with little memory: the same, without the recipe.
    fn make_companion(
        &self,
        patch: &Path,
        old: &ImageFiles,
        new: &ImageFiles,
        out: &Path,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Made, WayError> {
        let _ = patch;
        self.make(Some(old), new, Recipe::Forbidden, out, progress)
    }

    /// Follows a way from nothing: writes `to.root` and `to.uki`, checked.
    fn rebuild(&self, full: &Path, to: &ImageFiles) -> Result<(), WayError>;
}

/// The patch format of the crate `patch`.
#[derive(Clone, Copy, Debug)]
pub struct Patches {
    /// Threads that compare. Changes no byte.
    pub threads: NonZeroUsize,
}

impl Default for Patches {
    /// With all processors.
    fn default() -> Self {
        Self { threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN) }
    }
}

impl Ways for Patches {
    fn make(
        &self,
        old: Option<&ImageFiles>,
        new: &ImageFiles,
        recipe: Recipe,
        out: &Path,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Made, WayError> {
        let old = old.map(Loaded::open).transpose()?;
        let new = Loaded::open(new)?;
        let recipe = match recipe {
            Recipe::Allowed => patch::Recipe::Allowed,
            Recipe::Forbidden => patch::Recipe::Forbidden,
        };
        let options = patch::MakeOptions { threads: self.threads, recipe };
        let mut writer = BufWriter::new(File::create(out)?);
        let parts = |done: u64, total: u64| progress(done * 1000 / total.max(1));
        let old = old.as_ref().map(Loaded::sides);
        let summary = patch::make(old, new.sides(), &options, &mut writer, &parts)?;
        writer.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
        Ok(Made { memory: summary.header.memory })
    }

    /// Everything but the kernel is taken over from the patch, so that nothing is compared twice. What was put together is
    /// followed once before it counts; should it not lead there, the long way is taken.
    fn make_companion(
        &self,
        patch: &Path,
        old: &ImageFiles,
        new: &ImageFiles,
        out: &Path,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Made, WayError> {
        let (loaded_old, loaded_new) = (Loaded::open(old)?, Loaded::open(new)?);
        match self.put_together(patch, &loaded_old, &loaded_new, new, out) {
            Ok(made) => Ok(made),
            Err(_) => self.make(Some(old), new, Recipe::Forbidden, out, progress),
        }
    }

    fn rebuild(&self, full: &Path, to: &ImageFiles) -> Result<(), WayError> {
        // The full image's own digest is right already, and with it the UKI's.
        let wanted = Wanted::new(&to.facts, None, &[]);
        let mut target = Unpacking::create(&to.root, &to.uki, Some(wanted))?;
        let options = patch::ApplyOptions { memory: EVERYTHING, resume: patch::Resume::Never };
        let mut input = BufReader::new(File::open(full)?);
        let applied = patch::apply(&mut input, None, &mut target, &options, &mut |_, _| ())?;
        target.judge(&applied.header)?;
        Ok(())
    }
}

impl Patches {
    fn put_together(
        &self,
        patch: &Path,
        old: &Loaded,
        new: &Loaded,
        files: &ImageFiles,
        out: &Path,
    ) -> Result<Made, WayError> {
        let mut writer = BufWriter::new(File::create(out)?);
        let options = patch::MakeOptions { threads: self.threads, recipe: patch::Recipe::Forbidden };
        let mut input = BufReader::new(File::open(patch)?);
        let memory = crate::publish::EVERYBODYS_MEMORY;
        let header = patch::without_recipes(&mut input, &new.uki, memory, &options, &mut writer)?;
        writer.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;

        let mut target = Hashes { hashes: hashes(files)?, root: &new.root };
        let options = patch::ApplyOptions { memory: header.memory, resume: patch::Resume::Never };
        let from = patch::Old { root: &old.root, uki: &&old.uki[..], root_hash: old.root_hash };
        let mut input = BufReader::new(File::open(out)?);
        patch::apply(&mut input, Some(&from), &mut target, &options, &mut |_, _| ())?;
        if target.hashes.finish()?.root_hash != files.facts.root_hash {
            return Err("it leads somewhere else".into());
        }
        Ok(Made { memory: header.memory })
    }
}

/// The machine that makes patches has the memory.
const EVERYTHING: u64 = u64::MAX;

/// An image that is read while it is compared.
pub(crate) struct Loaded {
    pub(crate) root: Opened,
    pub(crate) uki: Vec<u8>,
    pub(crate) root_hash: Sha256Digest,
}

impl Loaded {
    pub(crate) fn open(files: &ImageFiles) -> Result<Self, WayError> {
        let root = File::open(&files.root)?;
        let size = root.metadata()?.len();
        Ok(Self {
            root: Opened { file: root, size },
            uki: fs::read(&files.uki)?,
            root_hash: files.facts.root_hash,
        })
    }

    fn sides(&self) -> patch::Sides<'_> {
        patch::Sides { root: &self.root, uki: &self.uki, root_hash: self.root_hash }
    }
}

/// A file that is read at any place.
pub(crate) struct Opened {
    file: File,
    size: u64,
}

impl ReadAt for Opened {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }

    fn size(&self) -> u64 {
        self.size
    }
}

fn hashes(of: &ImageFiles) -> Result<verity::VerityBuilder, WayError> {
    let salt = of.facts.salt().ok_or("the verity salt is not hexadecimal")?;
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let options = verity::Options { salt, uuid: image::Uuid([0; 16]), threads };
    Ok(verity::VerityBuilder::new(options)?)
}

/// Where an image goes that is only looked at. What was written is read from the image it has to be: should it be another
/// one, the root hash says so at the end.
struct Hashes<'a> {
    hashes: verity::VerityBuilder,
    root: &'a Opened,
}

impl patch::Target for Hashes<'_> {
    fn write_root(&mut self, _offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.hashes.update(bytes);
        Ok(())
    }

    fn read_root(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.root.read_exact_at(buffer, offset)
    }

    fn write_uki(&mut self, _offset: u64, _bytes: &[u8]) -> io::Result<()> {
        Ok(())
    }
}
