//! The ways to an image: the full image and patches, behind a trait so that publishing can be tested without either.

use std::path::{Path, PathBuf};

use model::Sha256Digest;

/// Why a way could not be made.
pub type WayError = Box<dyn std::error::Error + Send + Sync>;

/// The files of one image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageFiles {
    /// The root file system.
    pub root: PathBuf,
    /// The UKI.
    pub uki: PathBuf,
    /// Verity root hash of `root`.
    pub root_hash: Sha256Digest,
    /// Verity salt, hexadecimal.
    pub verity_salt: String,
    /// Bytes of `root`.
    pub root_size: u64,
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

    /// Follows a way from nothing: writes `to.root` and `to.uki`, checked.
    fn rebuild(&self, full: &Path, to: &ImageFiles) -> Result<(), WayError>;
}

/// The patch format of the crate `patch`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Patches;

impl Ways for Patches {
    fn make(
        &self,
        _old: Option<&ImageFiles>,
        _new: &ImageFiles,
        _recipe: Recipe,
        _out: &Path,
        _progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Made, WayError> {
        Err("the patch format is not there yet".into())
    }

    fn rebuild(&self, _full: &Path, _to: &ImageFiles) -> Result<(), WayError> {
        Err("the patch format is not there yet".into())
    }
}
