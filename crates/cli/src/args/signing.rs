//! Who signs a release, where it is logged, and what officers say of it.

use std::path::PathBuf;

use clap::{ArgGroup, Args, ValueEnum};

use super::{PassphraseArgs, VmArgs};

/// Who signs, and where it is logged.
#[derive(Debug, Args)]
pub struct SigningArgs {
    /// Root of your roles that appliances trust, as `ampoule keys root` makes it
    #[arg(long, value_name = "ROOT", requires = "signers")]
    pub root: Option<PathBuf>,
    /// Key that signs the release or its freshness (repeatable)
    #[arg(long, value_name = "FILE", requires = "root")]
    pub key: Vec<PathBuf>,
    /// Your ledger's folder: the release is entered before it is published
    #[arg(long, value_name = "FOLDER", requires = "policy", requires = "ledger_key")]
    pub ledger: Option<PathBuf>,
    /// The ledger's policy that appliances have
    #[arg(long, value_name = "FILE", requires = "ledger")]
    pub policy: Option<PathBuf>,
    /// The ledger's key
    #[arg(long, value_name = "FILE", requires = "ledger")]
    pub ledger_key: Option<PathBuf>,
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

/// A list of releases that people sign elsewhere, one after another.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("signers").args(["key", "prepare"]).multiple(true)))]
pub struct ElsewhereArgs {
    /// Publish nothing: write the list of releases that this takes, for those who sign it elsewhere with `ampoule keys targets sign`
    #[arg(long, value_name = "FILE", requires = "root", conflicts_with = "signed")]
    pub prepare: Option<PathBuf>,
    /// Publish with the list that was prepared and that enough people signed; `--key` names the online keys
    #[arg(long, value_name = "FILE", requires = "root", requires = "key")]
    pub signed: Option<PathBuf>,
}

/// `depot refresh`
#[derive(Debug, Args)]
pub struct RolesArgs {
    /// The depot
    pub folder: PathBuf,
    /// Root of your roles
    #[arg(long, value_name = "ROOT")]
    pub root: PathBuf,
    /// Key that signs (repeatable)
    #[arg(long, value_name = "FILE", required = true)]
    pub key: Vec<PathBuf>,
    /// Days for which the depot vouches that this is the newest (at most 90); more for depots that are carried
    #[arg(long, value_name = "DAYS", default_value_t = depot::roles::FRESH_DAYS, value_parser = clap::value_parser!(u64).range(1..=depot::roles::FRESH_LIMIT))]
    pub fresh: u64,
    #[command(flatten)]
    /// Where passphrases come from.
    pub passphrase: PassphraseArgs,
}

/// What an officer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WordChoice {
    /// It may be installed
    Approve,
    /// It must not be installed
    Hold,
    /// What I said of it before does not count any more
    Revoke,
}

/// `approve`
#[derive(Debug, Args)]
pub struct ApproveArgs {
    /// Release folder or release statement; or its digest, 64 hexadecimal digits
    pub release: String,
    /// What is said of it
    #[arg(long, value_enum, default_value_t = WordChoice::Approve)]
    pub say: WordChoice,
    /// Why, in one line
    #[arg(long)]
    pub reason: String,
    /// Your key
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// Your name in the officers' keys of the appliances; otherwise that of the key file
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// The bulletin that you read, as JSON: `ampoule --json bulletin OLD NEW`
    #[arg(long, value_name = "FILE")]
    pub bulletin: Option<PathBuf>,
    /// For which appliances: `all`, `group NAME`, or `machine ID`
    #[arg(long = "for", value_name = "SCOPE", default_value = "all")]
    pub scope: String,
    /// Days that it counts; for ever when absent
    #[arg(long, value_name = "DAYS")]
    pub days: Option<u64>,
    /// Put it into a depot, where appliances find it
    #[arg(long, value_name = "FOLDER")]
    pub depot: Option<PathBuf>,
    /// Give it to a running appliance
    #[arg(long)]
    pub tell: bool,
    /// Add a signature to a note that another officer has signed
    #[arg(long, value_name = "NOTE", conflicts_with_all = ["bulletin", "days"])]
    pub note: Option<PathBuf>,
    /// Write the signed note there
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    /// Where the passphrase comes from.
    pub passphrase: PassphraseArgs,
    #[command(flatten)]
    /// Which machine.
    pub vm: VmArgs,
}

/// `audit`
#[derive(Debug, Args)]
pub struct AuditArgs {
    #[command(flatten)]
    /// Which machine.
    pub vm: VmArgs,
}
