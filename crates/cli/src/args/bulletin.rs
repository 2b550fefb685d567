//! `bulletin`, `diff` and `explain`.

use std::path::PathBuf;

use clap::Args;

/// What is known from outside.
#[derive(Debug, Args)]
pub struct EvidenceArgs {
    /// A file with known issues: Debian's security tracker (JSON) or OSV (JSON or zip); repeatable
    #[arg(long, value_name = "FILE")]
    pub feed: Vec<PathBuf>,
    /// An OpenVEX document that says what does not apply; repeatable
    #[arg(long, value_name = "FILE")]
    pub vex: Vec<PathBuf>,
    /// What the maker says of the new release, shown as a claim
    #[arg(long, value_name = "TEXT")]
    pub notes: Option<String>,
    /// The patch between the two, to tell its size
    #[arg(long, value_name = "FILE")]
    pub patch: Option<PathBuf>,
    /// What somebody wrote who rebuilt the new release with `ampoule rebuild`; repeatable
    #[arg(long, value_name = "FILE")]
    pub rebuilt: Vec<PathBuf>,
    /// Keys of those whose rebuilds are proof, one a line; what others say is shown as a claim
    #[arg(long, value_name = "FILE", requires = "rebuilt")]
    pub rebuilders: Option<PathBuf>,
}

/// `bulletin`
#[derive(Debug, Args)]
pub struct BulletinArgs {
    /// The old release: a release folder, DEPOT@VERSION, or a disk image
    pub old: PathBuf,
    /// The new release
    pub new: PathBuf,
    #[command(flatten)]
    /// Feeds and the like.
    pub evidence: EvidenceArgs,
    /// Write the page to this file
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Write an advisory for programs, CSAF 2.0, to this file
    #[arg(long, value_name = "FILE")]
    pub csaf: Option<PathBuf>,
    /// Write an Atom entry to this file
    #[arg(long, value_name = "FILE")]
    pub atom: Option<PathBuf>,
    /// Read disks that Ampoule did not make by mounting them read-only: needs root, and trusts the kernel's drivers with them
    #[arg(long)]
    pub mount: bool,
    /// Show every issue, every file and the differences of texts
    #[arg(long)]
    pub all: bool,
}

/// `diff`
#[derive(Debug, Args)]
pub struct DiffArgs {
    #[command(flatten)]
    /// As for a bulletin.
    pub bulletin: BulletinArgs,
    /// Exit with 7 when one of these holds: new-setuid, new-port, new-package, new-user, new-service, removed-hardening,
    /// open-cve[=SEVERITY], new-cve[=SEVERITY], not-security-only, unknown-origin
    #[arg(long, value_delimiter = ',', value_name = "RULES")]
    pub fail_on: Vec<bulletin::gates::Rule>,
}

/// `explain`
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// A path, a package, or the id of an issue
    #[arg(value_name = "PATH|PACKAGE|ISSUE")]
    pub what: String,
    /// The release folder or disk image
    #[arg(long, default_value = "out", value_name = "RELEASE")]
    pub release: PathBuf,
    /// Earlier releases, to tell since when; repeatable
    #[arg(long, value_name = "RELEASE")]
    pub before: Vec<PathBuf>,
    /// Read disks that Ampoule did not make by mounting them read-only: needs root, and trusts the kernel's drivers with them
    #[arg(long)]
    pub mount: bool,
    /// A file with known issues; repeatable
    #[arg(long, value_name = "FILE")]
    pub feed: Vec<PathBuf>,
}
