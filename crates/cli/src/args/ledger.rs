//! `ledger`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::PassphraseArgs;

/// `ledger`
#[derive(Debug, Args)]
pub struct LedgerArgs {
    #[command(subcommand)]
    /// What to do with it.
    pub action: LedgerAction,
}

/// A key that signs.
#[derive(Debug, Args)]
pub struct KeyArgs {
    /// The key file
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    #[command(flatten)]
    /// Where its passphrase comes from.
    pub passphrase: PassphraseArgs,
}

/// What to do with a ledger.
#[derive(Debug, Subcommand)]
pub enum LedgerAction {
    /// Make an empty ledger in a folder, and print its key for policies
    Init {
        /// The folder; any static server can serve it
        folder: PathBuf,
        /// The ledger's name: its URL without scheme, for ever
        #[arg(long, value_name = "NAME")]
        name: String,
        #[command(flatten)]
        /// The ledger's key.
        key: KeyArgs,
    },
    /// Enter releases, have witnesses co-sign, publish the checkpoint and write the proofs
    Append {
        /// The ledger's folder
        folder: PathBuf,
        /// Release folders or release statements
        #[arg(required = true)]
        releases: Vec<PathBuf>,
        /// The policy that readers have, with the URLs of its witnesses
        #[arg(long, value_name = "FILE")]
        policy: PathBuf,
        /// Folder for the proofs, NAME_VERSION.tlog-proof
        #[arg(long, value_name = "FOLDER", default_value = ".")]
        proofs: PathBuf,
        #[command(flatten)]
        /// The ledger's key.
        key: KeyArgs,
    },
    /// Write the proof that a release is in a ledger, against its newest checkpoint
    Prove {
        /// The ledger's folder or URL
        ledger: String,
        /// Release folder or release statement
        release: PathBuf,
        /// The policy
        #[arg(long, value_name = "FILE")]
        policy: PathBuf,
        /// Folder for the proof, NAME_VERSION.tlog-proof
        #[arg(long, value_name = "FOLDER", default_value = ".")]
        proofs: PathBuf,
    },
    /// Check a proof; needs no network
    Verify {
        /// The proof
        proof: PathBuf,
        /// Release folder or release statement
        release: PathBuf,
        /// The policy
        #[arg(long, value_name = "FILE")]
        policy: PathBuf,
    },
    /// Read a ledger whole and check every entry, tile and signature
    Audit {
        /// The ledger's folder or URL
        ledger: String,
        /// The policy
        #[arg(long, value_name = "FILE")]
        policy: PathBuf,
    },
    /// Look at what is new in a ledger, and raise an alert for what should not be there
    Monitor {
        /// The ledger's folder or URL
        ledger: String,
        /// The policy
        #[arg(long, value_name = "FILE")]
        policy: PathBuf,
        /// File that remembers the last checkpoint; made when there is none
        #[arg(long, value_name = "FILE")]
        state: PathBuf,
        /// VENDOR/NAME to watch over (repeatable)
        #[arg(long = "appliance", value_name = "VENDOR/NAME")]
        appliances: Vec<String>,
        /// Release folder or release statement that is known to be yours (repeatable)
        #[arg(long = "known", value_name = "RELEASE")]
        known: Vec<PathBuf>,
        /// Checkpoint from somewhere else to compare with (repeatable)
        #[arg(long = "compare", value_name = "FILE")]
        compare: Vec<PathBuf>,
    },
    /// Be a witness: co-sign what only ever grows
    Witness {
        /// Folder for what it remembers
        folder: PathBuf,
        /// The witness's name: its URL without scheme, for ever
        #[arg(long, value_name = "NAME")]
        name: String,
        /// Key of a ledger to follow, as `ledger init` prints it (repeatable)
        #[arg(long = "ledger", value_name = "KEY", required = true)]
        ledgers: Vec<String>,
        /// Begin to follow these ledgers, and believe the first checkpoint of each
        #[arg(long)]
        enroll: bool,
        /// Address and port; port 0 picks a free one
        #[arg(long, default_value = "127.0.0.1:8010", value_name = "ADDRESS:PORT")]
        listen: SocketAddr,
        #[command(flatten)]
        /// The witness's key, which must co-sign under no other name.
        key: KeyArgs,
    },
}
