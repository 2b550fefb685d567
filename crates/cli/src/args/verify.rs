//! `verify`

use std::path::PathBuf;

use clap::Args;

/// `verify`
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Release folder, depot folder, URL of a depot, or disk image (raw or qcow2)
    pub subject: String,
    /// Root of the maker's roles that you trust, which came to you in another way
    #[arg(long, value_name = "ROOT")]
    pub root: Option<PathBuf>,
    /// Policy of the ledger that has to have the release
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// Keys of the officers who have to approve, one a line
    #[arg(long, value_name = "FILE", requires = "approvals")]
    pub officers: Option<PathBuf>,
    /// How many of them have to
    #[arg(long, value_name = "N", requires = "officers")]
    pub approvals: Option<usize>,
    /// Depot that has the signatures and proofs of a release folder or a disk image: a folder or a URL
    #[arg(long, value_name = "DEPOT")]
    pub depot: Option<String>,
    /// Appliance, where a depot has several or is a URL: `VENDOR/NAME`
    #[arg(long, value_name = "APPLIANCE")]
    pub appliance: Option<String>,
    /// Release of a depot; otherwise all of the channel
    #[arg(long, value_name = "VERSION")]
    pub release: Option<String>,
    /// Channel of a depot
    #[arg(long, value_name = "C", default_value = "stable")]
    pub channel: String,
    /// The time to compare with, such as 2027-01-31T12:00:00Z; otherwise that of the clock
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,
}
