//! `sbom`, `ages`, `rebuild`

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{PackageArgs, PassphraseArgs};

/// `sbom`
#[derive(Debug, Args)]
pub struct SbomArgs {
    /// The release folder
    #[arg(default_value = "out")]
    pub release: PathBuf,
    /// How the components are written
    #[arg(long, value_enum, default_value_t = SbomFormat::Table)]
    pub format: SbomFormat,
    /// Write them to this file instead of printing them
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// How components are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SbomFormat {
    /// For people
    Table,
    /// CycloneDX 1.6, JSON, as the release carries it
    Cyclonedx,
    /// SPDX 2.3, JSON, as the release carries it
    Spdx,
}

/// `ages`
#[derive(Debug, Args)]
pub struct AgesArgs {
    /// The release folder
    #[arg(default_value = "out")]
    pub release: PathBuf,
    /// The day from which ages are counted, YYYY-MM-DD; otherwise the day the release's packages are from
    #[arg(long, value_name = "DATE")]
    pub at: Option<String>,
    /// A `Packages` file of the suite, plain, to say what is newer there (repeatable)
    #[arg(long, value_name = "FILE")]
    pub index: Vec<PathBuf>,
    /// Show this many; 0 shows all
    #[arg(long, default_value_t = 20, value_name = "COUNT")]
    pub top: usize,
}

/// `rebuild`
#[derive(Debug, Args)]
pub struct RebuildArgs {
    /// The release folder
    #[arg(default_value = "out")]
    pub release: PathBuf,
    #[command(flatten)]
    /// Where packages come from.
    pub packages: PackageArgs,
    /// Keep the rebuilt release there; otherwise it is gone afterwards
    #[arg(long, short, value_name = "FOLDER")]
    pub output: Option<PathBuf>,
    /// Write the attestation there; otherwise it is printed
    #[arg(long, value_name = "FILE")]
    pub attestation: Option<PathBuf>,
    /// Sign the attestation with this key
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// Your name in the attestation's signature; otherwise that of the key file
    #[arg(long, value_name = "NAME", requires = "key")]
    pub name: Option<String>,
    #[command(flatten)]
    /// Where the passphrase comes from.
    pub passphrase: PassphraseArgs,
    /// Configure the base again even when it is cached
    #[arg(long)]
    pub no_base_cache: bool,
    /// Folder with the static programs ampoule-init and ampoule-agent
    #[arg(long, value_name = "FOLDER", env = "AMPOULE_GUEST", conflicts_with = "guest_from_release")]
    pub guest: Option<PathBuf>,
    /// Take the guest's programs from the release itself: they are then not checked, and the attestation says so
    #[arg(long)]
    pub guest_from_release: bool,
}
