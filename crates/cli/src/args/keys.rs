//! `keys`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand};
use tuf::KeyId;
use tuf::metadata::TopRole;

/// `keys`
#[derive(Debug, Args)]
pub struct KeysArgs {
    #[command(subcommand)]
    /// What to do with keys.
    pub action: KeysAction,
}

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub enum KeysAction {
    /// Make a key, or name the command that signs with one
    #[command(
        after_help = "Examples:\n  ampoule keys new root-anna --folder /media/anna\n  ampoule keys new root-kms --public root-kms.pem -- sign-with-kms --key root"
    )]
    New(NewKeyArgs),
    /// Show the keys of a folder
    List {
        /// The folder
        #[arg(default_value = "keys")]
        folder: PathBuf,
    },
    /// Show whose key a file is
    Show {
        /// The key file
        file: PathBuf,
    },
    /// Give a key file another passphrase
    Passphrase {
        /// The key file
        file: PathBuf,
        #[command(flatten)]
        /// Where the present passphrase comes from.
        passphrase: PassphraseArgs,
        /// Read the new passphrase from the first line of a file instead of asking
        #[arg(long, value_name = "FILE")]
        new_passphrase_file: Option<PathBuf>,
    },
    /// Make, change, show and sign roots: which keys may sign what
    Root {
        #[command(subcommand)]
        /// What to do with a root.
        action: RootAction,
    },
    /// Show and sign lists of releases that were prepared with `--prepare`, one person after another
    Targets {
        #[command(subcommand)]
        /// What to do with a list.
        action: TargetsAction,
    },
}

/// `keys new`
#[derive(Debug, Args)]
pub struct NewKeyArgs {
    /// What the key is called, such as root-anna
    pub name: String,
    /// Folder for the file NAME.key
    #[arg(long, default_value = "keys", value_name = "FOLDER")]
    pub folder: PathBuf,
    #[command(flatten)]
    /// Where the passphrase comes from.
    pub passphrase: PassphraseArgs,
    /// Encrypt nothing: for a key of freshness on a server, and for nothing else
    #[arg(long, conflicts_with_all = ["passphrase_file", "public"])]
    pub without_passphrase: bool,
    /// Public key of a key that a command signs with: 64 hexadecimal digits (Ed25519), or a PEM file (ECDSA P-256, for roles only)
    #[arg(long, value_name = "KEY", requires = "command")]
    pub public: Option<KeyRef>,
    /// The command: it reads the message, and prints the signature, or base64 of it
    #[arg(last = true, value_name = "COMMAND", requires = "public")]
    pub command: Vec<String>,
}

/// Where a passphrase comes from: the terminal, or a file.
#[derive(Debug, Args)]
pub struct PassphraseArgs {
    /// Read the passphrase from the first line of a file instead of asking
    #[arg(long, value_name = "FILE", env = "AMPOULE_PASSPHRASE_FILE")]
    pub passphrase_file: Option<PathBuf>,
}

/// What to do with a root.
#[derive(Debug, Subcommand)]
pub enum RootAction {
    /// Write a first root, to be signed
    New(NewRootArgs),
    /// Write the root that follows another one, to be signed
    Next(NextRootArgs),
    /// Show a root, what it changes, and whose signatures it needs
    Show {
        /// The root
        file: PathBuf,
        /// The root before it
        #[arg(long, value_name = "ROOT")]
        after: Option<PathBuf>,
    },
    /// Sign a root
    Sign(SignRootArgs),
}

/// `keys root new`
#[derive(Debug, Args)]
pub struct NewRootArgs {
    /// The file to write
    #[arg(long, short, value_name = "FILE", default_value = "1.root.json")]
    pub output: PathBuf,
    /// Key that signs roots: a key file, a PEM file, or a public key (repeatable)
    #[arg(long, value_name = "KEY", required = true)]
    pub root: Vec<KeyRef>,
    /// Key that signs releases (repeatable)
    #[arg(long, value_name = "KEY", required = true)]
    pub targets: Vec<KeyRef>,
    /// Online key that signs snapshots (repeatable)
    #[arg(long, value_name = "KEY", required = true)]
    pub snapshot: Vec<KeyRef>,
    /// Online key that signs timestamps (repeatable)
    #[arg(long, value_name = "KEY", required = true)]
    pub timestamp: Vec<KeyRef>,
    /// How many keys a role takes, such as root=2; otherwise 1 (repeatable)
    #[arg(long, value_name = "ROLE=NUMBER")]
    pub threshold: Vec<Assigned<u64>>,
    #[command(flatten)]
    /// For how long, and whether.
    pub writing: RootWritingArgs,
}

/// `keys root next`
#[derive(Debug, Args)]
pub struct NextRootArgs {
    /// The root that it follows
    pub before: PathBuf,
    /// The file to write; otherwise VERSION.root.json beside the one before
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Give a role a key, such as targets=keys/new.key (repeatable)
    #[arg(long, value_name = "ROLE=KEY")]
    pub add: Vec<Assigned<KeyRef>>,
    /// Take a key away from a role, by its id (repeatable)
    #[arg(long, value_name = "ROLE=ID")]
    pub remove: Vec<Assigned<KeyId>>,
    /// Change how many keys a role takes (repeatable)
    #[arg(long, value_name = "ROLE=NUMBER")]
    pub threshold: Vec<Assigned<u64>>,
    #[command(flatten)]
    /// For how long, and whether.
    pub writing: RootWritingArgs,
}

/// For how long a root is trusted, and whether it is written.
#[derive(Debug, Args)]
pub struct RootWritingArgs {
    /// Days until it expires
    #[arg(long, default_value_t = 365, value_name = "DAYS")]
    pub days: u64,
    /// Show what it says and changes, and write nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// `keys root sign`
#[derive(Debug, Args)]
pub struct SignRootArgs {
    /// The root; the signature is added to the file
    pub file: PathBuf,
    /// The key file to sign with
    #[arg(long, value_name = "KEY")]
    pub key: PathBuf,
    /// The root before it; every root but the first needs it
    #[arg(long, value_name = "ROOT")]
    pub after: Option<PathBuf>,
    #[command(flatten)]
    /// Where the passphrase comes from.
    pub passphrase: PassphraseArgs,
    /// Do not ask before signing
    #[arg(long)]
    pub yes: bool,
}

/// What to do with a list of releases.
#[derive(Debug, Subcommand)]
pub enum TargetsAction {
    /// Show what a list says and changes, until when it is good, who signed it, and whose signatures it needs
    Show {
        /// The list
        file: PathBuf,
        /// Root of your roles that names its signers (repeatable: further roots each follow the one before)
        #[arg(long, value_name = "ROOT", required = true)]
        root: Vec<PathBuf>,
        /// The list before it, as the depot has it: tuf/VERSION.targets.json
        #[arg(long, value_name = "LIST")]
        after: Option<PathBuf>,
    },
    /// Sign a list
    #[command(
        after_help = "Examples:\n  ampoule keys targets sign list.json --root 1.root.json --after 4.targets.json --key anna.key --release out\n  ampoule keys targets sign list.json --root 1.root.json --root 2.root.json --after 4.targets.json --key anna.key"
    )]
    Sign(SignTargetsArgs),
}

/// `keys targets sign`
#[derive(Debug, Args)]
pub struct SignTargetsArgs {
    /// The list; the signature is added to the file
    pub file: PathBuf,
    /// Root of your roles that names its signers (repeatable: further roots each follow the one before)
    #[arg(long, value_name = "ROOT", required = true)]
    pub root: Vec<PathBuf>,
    /// The key file to sign with
    #[arg(long, value_name = "KEY")]
    pub key: PathBuf,
    /// The list before it, as the depot has it: tuf/VERSION.targets.json; every list but the first needs it
    #[arg(long, value_name = "LIST")]
    pub after: Option<PathBuf>,
    /// Release folder that you built or read yourself: the list has to name this release, or nothing is signed
    #[arg(long, value_name = "FOLDER")]
    pub release: Option<PathBuf>,
    #[command(flatten)]
    /// Where the passphrase comes from.
    pub passphrase: PassphraseArgs,
    /// Do not ask before signing
    #[arg(long)]
    pub yes: bool,
}

/// A public key, or a file that has one.
#[derive(Clone, Debug)]
pub enum KeyRef {
    /// An Ed25519 key itself.
    Public(keys::PublicKey),
    /// A key file, or PEM.
    File(PathBuf),
}

impl FromStr for KeyRef {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(text.parse().map_or_else(|_| Self::File(text.into()), Self::Public))
    }
}

/// `ROLE=VALUE`
#[derive(Clone, Debug)]
pub struct Assigned<T> {
    /// The role.
    pub role: TopRole,
    /// What it is given.
    pub value: T,
}

impl<T: FromStr<Err: std::fmt::Display>> FromStr for Assigned<T> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (role, value) = text.split_once('=').ok_or("ROLE=VALUE is expected, such as root=2")?;
        let role = TopRole::ALL.into_iter().find(|known| known.name() == role);
        let role = role.ok_or("the roles are root, targets, snapshot and timestamp")?;
        let value = value.parse().map_err(|error: T::Err| error.to_string())?;
        Ok(Self { role, value })
    }
}
