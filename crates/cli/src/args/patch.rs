//! `patch`: patches as files, without a depot and without an appliance.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use model::ByteSize;

/// `patch`
#[derive(Debug, Args)]
pub struct PatchArgs {
    #[command(subcommand)]
    /// What to do with it.
    pub action: PatchAction,
}

/// What to do with a patch.
#[derive(Debug, Subcommand)]
pub enum PatchAction {
    /// Make a patch from one release to another
    #[command(allow_missing_positional = true)]
    Make(MakeArgs),
    /// Make the image a patch leads to
    #[command(allow_missing_positional = true)]
    Apply(PatchApplyArgs),
    /// Show what a patch holds, and what makes it large
    Show(ShowArgs),
}

/// `patch make`
#[derive(Debug, Args)]
pub struct MakeArgs {
    /// Release folder that the patch leads from
    #[arg(required_unless_present = "full")]
    pub old: Option<PathBuf>,
    /// Release folder that it leads to
    pub new: PathBuf,
    /// Make a full image in the same form, from no release
    #[arg(long, conflicts_with = "old")]
    pub full: bool,
    /// The file to write
    #[arg(long, short, value_name = "FILE")]
    pub output: PathBuf,
    /// Bring a changed kernel as it is: a larger patch, and no memory needed for compressing kernels
    #[arg(long)]
    pub no_recipe: bool,
    /// Threads; otherwise all processors. They change no byte
    #[arg(long, value_name = "N")]
    pub threads: Option<std::num::NonZeroUsize>,
}

/// `patch apply`
#[derive(Debug, Args)]
pub struct PatchApplyArgs {
    /// Release folder that the patch leads from
    #[arg(required_unless_present = "full")]
    pub old: Option<PathBuf>,
    /// The patch
    pub patch: PathBuf,
    /// The patch is a full image, from no release
    #[arg(long, conflicts_with = "old")]
    pub full: bool,
    /// The folder to write
    #[arg(long, short, value_name = "FOLDER")]
    pub output: PathBuf,
    /// The new release's folder or its release.json: what the image has to be
    #[arg(long, value_name = "RELEASE")]
    pub release: Option<PathBuf>,
    /// Refuse a patch that needs more memory, such as "64 MiB"
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<ByteSize>,
}

/// `patch show`
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// The patch
    pub patch: PathBuf,
    /// Release folder that it leads to: tells which files and packages make it large
    #[arg(long, value_name = "RELEASE")]
    pub release: Option<PathBuf>,
    /// How many files and packages are listed
    #[arg(long, default_value_t = 15, value_name = "N")]
    pub top: usize,
}
