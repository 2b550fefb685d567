//! `release` and `depot`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{ElsewhereArgs, MirrorArgs, PassphraseArgs, RolesArgs, SigningArgs};

/// `release`
#[derive(Debug, Args)]
pub struct ReleaseArgs {
    /// The release folder
    #[arg(default_value = "out")]
    pub release: PathBuf,
    /// The depot to add it to; made when there is none
    #[arg(long, value_name = "FOLDER")]
    pub depot: PathBuf,
    /// The series of releases it belongs to
    #[arg(long, default_value = "stable")]
    pub channel: String,
    /// What its users should know, or @FILE with it
    #[arg(long, value_name = "TEXT|@FILE")]
    pub notes: Option<String>,
    /// From how many of the channel's last releases patches are made
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub patches: usize,
    /// Release folder of an earlier release to make a patch from (repeatable); others come from the depot
    #[arg(long, value_name = "RELEASE")]
    pub from: Vec<PathBuf>,
    #[command(flatten)]
    /// Who signs it.
    pub signing: SigningArgs,
}

/// `depot`
#[derive(Debug, Args)]
pub struct DepotArgs {
    #[command(subcommand)]
    /// What to do with it.
    pub action: DepotAction,
}

/// What to do with a depot.
#[derive(Debug, Subcommand)]
pub enum DepotAction {
    /// Show the releases of a depot and the ways to them
    List {
        /// The depot
        folder: PathBuf,
    },
    /// Read every object and compare digests and references
    Check {
        /// The depot
        folder: PathBuf,
    },
    /// Serve a depot over HTTP until it is stopped
    Serve {
        /// The depot
        folder: PathBuf,
        /// Address and port; port 0 picks a free one
        #[arg(long, default_value = "127.0.0.1:8000", value_name = "ADDRESS:PORT")]
        listen: SocketAddr,
    },
    /// Follow a maker's depot: check what it offers as an appliance would, and bring what is missing into one of your own
    #[command(
        after_help = "Examples:\n  ampoule depot mirror https://example.com/depot --into depot --root 1.root.json --policy ledger.policy\n  ampoule depot mirror https://example.com/depot --into depot --root 1.root.json --newest 3 --from 1.0.1 --no-full\n  ampoule depot mirror /media/stick/depot --into depot --root 1.root.json --dry-run"
    )]
    Mirror(MirrorArgs),
    /// Take a release out of a channel; its objects stay until `depot clean`
    Remove(RemoveArgs),
    /// Vouch anew that what a signed depot offers is the newest; to be done each day
    Refresh(RolesArgs),
    /// Offer the next root of your roles
    Follow(FollowArgs),
    /// Remove objects that no release needs
    Clean {
        /// The depot
        folder: PathBuf,
    },
}

/// `depot remove`
#[derive(Debug, Args)]
pub struct RemoveArgs {
    /// The depot
    pub folder: PathBuf,
    /// VENDOR/NAME
    pub appliance: String,
    /// The version
    pub version: String,
    /// The series of releases
    #[arg(long, default_value = "stable")]
    pub channel: String,
    /// Root of your roles: they list it no longer then, so that no appliance takes it from anywhere
    #[arg(long, value_name = "ROOT", requires = "signers")]
    pub root: Option<PathBuf>,
    /// Key that signs (repeatable)
    #[arg(long, value_name = "FILE", requires = "root")]
    pub key: Vec<PathBuf>,
    #[command(flatten)]
    /// Who signs elsewhere.
    pub elsewhere: ElsewhereArgs,
    #[command(flatten)]
    /// Where passphrases come from.
    pub passphrase: PassphraseArgs,
}

/// `depot follow`
#[derive(Debug, Args)]
pub struct FollowArgs {
    /// The depot
    pub folder: PathBuf,
    /// Root of your roles
    #[arg(long, value_name = "ROOT")]
    pub root: PathBuf,
    /// The next root, signed
    #[arg(long, value_name = "ROOT")]
    pub next: PathBuf,
    /// Key that signs (repeatable)
    #[arg(long, value_name = "FILE", required_unless_present = "prepare")]
    pub key: Vec<PathBuf>,
    /// Days for which the depot vouches that this is the newest (at most 90); more for depots that are carried
    #[arg(long, value_name = "DAYS", default_value_t = depot::roles::FRESH_DAYS, value_parser = clap::value_parser!(u64).range(1..=depot::roles::FRESH_LIMIT))]
    pub fresh: u64,
    #[command(flatten)]
    /// Who signs elsewhere.
    pub elsewhere: ElsewhereArgs,
    #[command(flatten)]
    /// Where passphrases come from.
    pub passphrase: PassphraseArgs,
}
