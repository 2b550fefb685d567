//! `verify`

use std::path::PathBuf;

use clap::Args;

/// `verify`
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Release folder, depot folder, URL of a depot, bundle, disk image (raw or qcow2), or folder of a running virtual machine
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
    /// Depot that has the signatures and proofs of a release folder, a disk image or what runs: a folder, a URL or a bundle
    #[arg(long, value_name = "DEPOT")]
    pub depot: Option<String>,
    /// Appliance, where a depot has several or is a URL: `VENDOR/NAME`
    #[arg(long, value_name = "APPLIANCE")]
    pub appliance: Option<String>,
    /// Version in a depot, otherwise all of the channel; of a virtual machine: the release folder that it should run
    #[arg(long, value_name = "RELEASE")]
    pub release: Option<String>,
    /// Channel of a depot: otherwise `stable`, or the one that a virtual machine follows
    #[arg(long, value_name = "C")]
    pub channel: Option<String>,
    /// Apply the full images and patches of a depot's folder or a bundle, and compare what they make
    #[arg(long)]
    pub apply: bool,
    /// Release folder that patches are made from, where its full image is not there (repeatable)
    #[arg(long, value_name = "RELEASE", requires = "apply")]
    pub from: Vec<PathBuf>,
    /// The time to compare with, such as 2027-01-31T12:00:00Z; otherwise that of the clock
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,
}
