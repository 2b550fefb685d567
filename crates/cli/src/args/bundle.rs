//! `bundle` and `import`.

use std::path::PathBuf;

use clap::Args;

/// `bundle`
#[derive(Debug, Args)]
pub struct BundleArgs {
    /// The depot
    pub depot: PathBuf,
    /// The bundle to write
    #[arg(long, short, value_name = "FILE")]
    pub output: PathBuf,
    /// Whose releases; needed when the depot has several appliances
    #[arg(long, value_name = "VENDOR/NAME")]
    pub appliance: Option<String>,
    /// The series of releases
    #[arg(long, default_value = "stable")]
    pub channel: String,
    /// Version to pack (repeatable); otherwise the newest
    #[arg(long, value_name = "VERSION")]
    pub release: Vec<String>,
    /// Running version that it has to lead from (repeatable); otherwise every patch of the depot is packed
    #[arg(long, value_name = "VERSION")]
    pub from: Vec<String>,
    /// Pack the full image, too, which leads there from anything
    #[arg(long)]
    pub full: bool,
}

/// `import`
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The bundle
    pub bundle: PathBuf,
    /// The depot to add it to; made when there is none
    #[arg(long, value_name = "FOLDER")]
    pub depot: PathBuf,
    /// Root of the maker's roles: the one that your appliances were sealed with
    #[arg(long, value_name = "ROOT", required_unless_present = "unsigned")]
    pub root: Option<PathBuf>,
    /// The ledger's policy; without it the ledger's proofs are carried along and not checked
    #[arg(long, value_name = "FILE", requires = "root")]
    pub policy: Option<PathBuf>,
    /// Take releases that nobody signed, and believe whoever made the bundle
    #[arg(long, conflicts_with = "root")]
    pub unsigned: bool,
}
