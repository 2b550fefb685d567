//! `depot mirror`.

use std::path::PathBuf;

use clap::Args;

/// `depot mirror`
#[derive(Debug, Args)]
pub struct MirrorArgs {
    /// The maker's depot: its URL, or a folder
    #[arg(value_name = "URL|FOLDER")]
    pub place: String,
    /// Your depot, which offers what it brings; made when there is none
    #[arg(long, value_name = "FOLDER")]
    pub into: PathBuf,
    /// Root of the maker's roles: the one that your appliances were sealed with
    #[arg(long, value_name = "ROOT")]
    pub root: PathBuf,
    /// The ledger's policy; without it the ledger's proofs are carried along and not checked
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Whose releases; needed when the maker has several appliances, or lets others speak for them
    #[arg(long, value_name = "VENDOR/NAME")]
    pub appliance: Option<String>,
    /// The series of releases
    #[arg(long, default_value = "stable")]
    pub channel: String,
    /// Version to bring (repeatable); otherwise all that the maker's roles list
    #[arg(long, value_name = "VERSION")]
    pub release: Vec<String>,
    /// Bring the newest of them only; what is there already stays
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub newest: Option<u16>,
    /// Running version that patches have to lead from (repeatable); otherwise every patch is brought
    #[arg(long, value_name = "VERSION")]
    pub from: Vec<String>,
    /// Leave out full images, which lead there from anything
    #[arg(long)]
    pub no_full: bool,
    /// Certificate authorities of the maker's server (PEM); no others count then
    #[arg(long, value_name = "PEM")]
    pub ca: Option<PathBuf>,
    /// Show what would come, and its size, and bring nothing
    #[arg(long)]
    pub dry_run: bool,
}
