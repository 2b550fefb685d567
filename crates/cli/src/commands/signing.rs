//! Who signs a release and which ledger it is entered into: what the commands that publish have in common.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use depot::publish::Ledger;
use depot::roles::Signing;
use depot::{DepotError, DepotFolder};
use keys::Sign;
use ledger::enter::enter;
use ledger::folder::Writer;
use ledger::http::Client;
use ledger::log::Log;
use ledger::note::NoteSigner;
use ledger::policy::Policy;

use super::keys::signer;
use super::ledger::read_policy;
use super::release::{depot_failure, now};
use crate::args::{PassphraseArgs, RolesArgs, SigningArgs};
use crate::error::{Failure, Fault};
use crate::printer::Printer;

/// Keys that were opened, and the ledger.
pub struct Signers {
    root: Vec<u8>,
    keys: Vec<Box<dyn Sign + Send + Sync>>,
    ledger: Option<OpenLedger>,
    fresh_days: u64,
}

struct OpenLedger {
    folder: std::path::PathBuf,
    policy: Policy,
    key: Box<dyn Sign + Send + Sync>,
}

/// What a publication asks for.
pub struct Asked<'a> {
    /// Who signs.
    pub signing: Option<Signing<'a>>,
    /// The ledger.
    pub ledger: Option<Ledger<'a>>,
}

type Boxed = Box<dyn Error + Send + Sync>;

impl Signers {
    /// Opens what the arguments name; asks for passphrases.
    pub fn open(args: &SigningArgs) -> Result<Self, Failure> {
        let open = |path: &std::path::PathBuf| signer(path, &args.passphrase);
        let ledger = match (&args.ledger, &args.policy, &args.ledger_key) {
            (Some(folder), Some(policy), Some(key)) => {
                Some(OpenLedger { folder: folder.clone(), policy: read_policy(policy)?, key: open(key)? })
            }
            _ => None,
        };
        Ok(Self {
            root: args.root.as_deref().map(read_root).transpose()?.unwrap_or_default(),
            keys: args.key.iter().map(open).collect::<Result<_, _>>()?,
            ledger,
            fresh_days: args.fresh,
        })
    }

    /// Calls `act` with what a publication asks for.
    pub fn with<T>(&self, act: impl FnOnce(&Asked<'_>) -> T) -> T {
        let signers: Vec<&dyn Sign> = self.keys.iter().map(|key| key.as_ref() as &dyn Sign).collect();
        let signing = (!signers.is_empty()).then(|| Signing {
            root: &self.root,
            signers: &signers,
            now: now(),
            fresh_days: self.fresh_days,
            signed: None,
        });
        let enter = |record: &[u8]| match &self.ledger {
            Some(ledger) => ledger.enter(record),
            None => Err("BUG: no ledger was asked for".into()),
        };
        let ledger = self.ledger.as_ref().map(|ledger| Ledger { policy: &ledger.policy, enter: &enter });
        act(&Asked { signing, ledger })
    }
}

impl OpenLedger {
    /// Enters a record and returns its proof.
    fn enter(&self, record: &[u8]) -> Result<Vec<u8>, Boxed> {
        let known = self.policy.logs().iter().find(|log| log.key.key() == self.key.public());
        let name = known.ok_or("the ledger's key is that of no ledger in the policy")?.key.name().clone();
        let signer = NoteSigner::new(name, self.key.as_ref());
        let mut log = Log::open(Writer::open(&self.folder)?, signer.key().clone())?;
        let entered = enter(&mut log, &[record], &signer, &self.policy, &Client::new())?;
        Ok(entered.proofs.first().ok_or("BUG: an entry without a proof")?.to_bytes())
    }
}

/// The keys of a command that signs when it is given some.
pub struct Keys {
    root: Vec<u8>,
    keys: Vec<Box<dyn Sign + Send + Sync>>,
}

impl Keys {
    /// Reads the root and opens the keys; asks for passphrases.
    pub fn open(root: Option<&Path>, keys: &[PathBuf], passphrase: &PassphraseArgs) -> Result<Self, Failure> {
        Ok(Self {
            root: root.map(read_root).transpose()?.unwrap_or_default(),
            keys: keys.iter().map(|path| signer(path, passphrase)).collect::<Result<_, _>>()?,
        })
    }

    /// Calls `act` with who signs, if anybody does.
    pub fn with<T>(&self, act: impl FnOnce(Option<&Signing<'_>>) -> T) -> T {
        let signers = self.signers();
        let signing = self.signing(&signers, depot::roles::FRESH_DAYS);
        act((!signers.is_empty()).then_some(&signing))
    }

    fn signers(&self) -> Vec<&dyn Sign> {
        self.keys.iter().map(|key| key.as_ref() as &dyn Sign).collect()
    }

    fn signing<'a>(&'a self, signers: &'a [&'a dyn Sign], fresh_days: u64) -> Signing<'a> {
        Signing { root: &self.root, signers, now: now(), fresh_days, signed: None }
    }
}

pub(super) fn read_root(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| Failure {
        causes: vec![error.to_string()],
        ..Failure::new(Fault::User, format!("can not read `{}`", path.display()))
    })
}

/// `ampoule depot refresh`, and `ampoule depot follow` with the next root.
pub fn renew(args: &RolesArgs, next: Option<&Path>, printer: &Printer) -> Result<(), Failure> {
    let depot = DepotFolder::open(&args.folder).map_err(depot_failure)?;
    let keys = Keys::open(Some(&args.root), &args.key, &args.passphrase)?;
    let signers = keys.signers();
    let signing = keys.signing(&signers, args.fresh);
    let unchanged =
        |error: DepotError| depot_failure(error).unchanged("the depot offers what it offered before");
    let done = match next {
        Some(next) => {
            signing.follow(&depot, next).map_err(unchanged)?;
            "the depot offers the new root".to_owned()
        }
        None => {
            signing.refresh(&depot).map_err(unchanged)?;
            let days = crate::render::counted(args.fresh as usize, "day", "days");
            format!("what the depot offers is vouched for anew, for {days}")
        }
    };
    printer.data(|| format!("{done}\n"), || serde_json::json!({"depot": args.folder}));
    Ok(())
}
