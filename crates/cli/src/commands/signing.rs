//! Who signs a release and which ledger it is entered into: what the commands that publish have in common.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use depot::publish::Ledger;
use depot::roles::Signing;
use depot::{DepotError, DepotFolder};
use keys::Sign;
use keys::role::RoleSign;
use ledger::enter::enter;
use ledger::folder::Writer;
use ledger::http::Client;
use ledger::log::Log;
use ledger::note::NoteSigner;
use ledger::policy::Policy;

use super::keys::{note_signer, role_signer};
use super::ledger::read_policy;
use super::prepared;
use super::release::{depot_failure, now};
use crate::args::{ElsewhereArgs, FollowArgs, PassphraseArgs, RolesArgs, SigningArgs};
use crate::error::{Failure, Fault};
use crate::printer::Printer;

/// Keys that were opened, and the ledger.
pub struct Signers {
    root: Vec<u8>,
    keys: Vec<Box<dyn RoleSign + Send + Sync>>,
    ledger: Option<OpenLedger>,
    fresh_days: u64,
    elsewhere: Elsewhere,
}

/// What is signed elsewhere.
#[derive(Clone, Debug, Default)]
struct Elsewhere {
    /// A list is only prepared: nobody has to be here to sign.
    prepares: bool,
    /// The list that was signed.
    signed: Option<PathBuf>,
}

impl Elsewhere {
    fn of(args: &ElsewhereArgs) -> Self {
        Self { prepares: args.prepare.is_some(), signed: args.signed.clone() }
    }
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
        let open = |path: &PathBuf| role_signer(path, &args.passphrase);
        let elsewhere = Elsewhere::of(&args.elsewhere);
        let ledger = match (&args.ledger, &args.policy, &args.ledger_key) {
            // Nothing is entered while a list is prepared.
            (Some(folder), Some(policy), Some(key)) if !elsewhere.prepares => {
                let key = note_signer(key, &args.passphrase)?;
                Some(OpenLedger { folder: folder.clone(), policy: read_policy(policy)?, key })
            }
            _ => None,
        };
        Ok(Self {
            root: args.root.as_deref().map(read_root).transpose()?.unwrap_or_default(),
            keys: args.key.iter().map(open).collect::<Result<_, _>>()?,
            ledger,
            fresh_days: args.fresh,
            elsewhere,
        })
    }

    /// Calls `act` with what a publication asks for.
    pub fn with<T>(&self, act: impl FnOnce(&Asked<'_>) -> T) -> T {
        let signers: Vec<&dyn RoleSign> = self.keys.iter().map(|key| key.as_ref() as &dyn RoleSign).collect();
        let signing = (self.elsewhere.prepares || !signers.is_empty()).then(|| Signing {
            root: &self.root,
            signers: &signers,
            now: now(),
            fresh_days: self.fresh_days,
            signed: self.elsewhere.signed.as_deref(),
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
    keys: Vec<Box<dyn RoleSign + Send + Sync>>,
    elsewhere: Elsewhere,
}

impl Keys {
    /// Reads the root and opens the keys; asks for passphrases.
    pub fn open(
        root: Option<&Path>,
        keys: &[PathBuf],
        elsewhere: &ElsewhereArgs,
        passphrase: &PassphraseArgs,
    ) -> Result<Self, Failure> {
        let elsewhere = Elsewhere::of(elsewhere);
        Self::of(root, keys, elsewhere, passphrase)
    }

    fn of(
        root: Option<&Path>,
        keys: &[PathBuf],
        elsewhere: Elsewhere,
        passphrase: &PassphraseArgs,
    ) -> Result<Self, Failure> {
        Ok(Self {
            root: root.map(read_root).transpose()?.unwrap_or_default(),
            keys: keys.iter().map(|path| role_signer(path, passphrase)).collect::<Result<_, _>>()?,
            elsewhere,
        })
    }

    /// Calls `act` with who signs, if anybody does.
    pub fn with<T>(&self, act: impl FnOnce(Option<&Signing<'_>>) -> T) -> T {
        self.signing(depot::roles::FRESH_DAYS, |signing| {
            let anybody = self.elsewhere.prepares || !self.keys.is_empty();
            act(anybody.then_some(signing))
        })
    }

    /// Calls `act` with who signs.
    fn signing<T>(&self, fresh_days: u64, act: impl FnOnce(&Signing<'_>) -> T) -> T {
        let signers: Vec<&dyn RoleSign> = self.keys.iter().map(|key| key.as_ref() as &dyn RoleSign).collect();
        let signed = self.elsewhere.signed.as_deref();
        act(&Signing { root: &self.root, signers: &signers, now: now(), fresh_days, signed })
    }
}

pub(super) fn read_root(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|error| Failure {
        causes: vec![error.to_string()],
        ..Failure::new(Fault::User, format!("can not read `{}`", path.display()))
    })
}

fn unchanged(error: DepotError) -> Failure {
    depot_failure(error).unchanged("the depot offers what it offered before")
}

/// `ampoule depot refresh`
pub fn refresh(args: &RolesArgs, printer: &Printer) -> Result<(), Failure> {
    let depot = DepotFolder::open(&args.folder).map_err(depot_failure)?;
    let keys = Keys::of(Some(&args.root), &args.key, Elsewhere::default(), &args.passphrase)?;
    keys.signing(args.fresh, |signing| signing.refresh(&depot)).map_err(unchanged)?;
    let days = crate::render::counted(args.fresh as usize, "day", "days");
    printer.data(
        || format!("what the depot offers is vouched for anew, for {days}\n"),
        || serde_json::json!({"depot": args.folder}),
    );
    Ok(())
}

/// `ampoule depot follow`
pub fn follow(args: &FollowArgs, printer: &Printer) -> Result<(), Failure> {
    let depot = DepotFolder::open(&args.folder).map_err(depot_failure)?;
    let prepare = args.elsewhere.prepare.as_deref();
    prepare.map(prepared::ensure_new_file).transpose()?;
    let keys = Keys::open(Some(&args.root), &args.key, &args.elsewhere, &args.passphrase)?;
    if let Some(file) = prepare {
        let list = keys.signing(args.fresh, |signing| signing.prepare_follow(&depot, &args.next));
        return prepared::write(&list.map_err(prepared::failure)?, file, printer);
    }
    keys.signing(args.fresh, |signing| signing.follow(&depot, &args.next)).map_err(unchanged)?;
    printer
        .data(|| "the depot offers the new root\n".to_owned(), || serde_json::json!({"depot": args.folder}));
    Ok(())
}
