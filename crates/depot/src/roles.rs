//! The maker's roles in a depot: which releases their documents list (TUF, in `tuf/`).

mod carried;
mod change;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use keys::role::RoleSign;
use release::stages::Signatures;
use release::statement::Statement;
use release::trust::{FOLDER, TrustError, target_path};
use release::{Listing, ReleaseId};
use serde_json::Value;
use tuf::client::{SNAPSHOT, TIMESTAMP};
use tuf::metadata::{Root, Targets, TopRole};
use tuf::repository::{
    Changes, Complete, Freshness, Partial, Publication, PublishError, Repository, SigningError, Stage,
    Unsigned,
};
use tuf::store::FolderStore;
use tuf::{RoleName, Time};

pub use carried::{CarriedError, Prepared};
use change::ListChange;

use crate::error::{DepotError, io};
use crate::folder::{DepotFolder, names_in, read_limited};

/// How long documents are good, in days: what `docs/KEYS.md` tells people.
pub const TARGETS_DAYS: u64 = 90;
const SNAPSHOT_DAYS: u64 = 7;
/// For how many days a depot vouches that it offers the newest, unless its maker says otherwise.
pub const FRESH_DAYS: u64 = 1;
/// Most days that it can vouch for. Stops a typing error from holding news back from appliances for years.
pub const FRESH_LIMIT: u64 = 90;

/// Who signs for a depot.
#[derive(Clone, Copy)]
pub struct Signing<'a> {
    /// A root of the roles that is trusted: the one that appliances are sealed with, or a newer one.
    pub root: &'a [u8],
    /// Keys of the roles, in any order. Each signs what its roles sign.
    pub signers: &'a [&'a dyn RoleSign],
    /// Seconds since 1970.
    pub now: u64,
    /// For how many days the timestamp is good, and the snapshot at least: [`FRESH_DAYS`], or more for depots that are carried to
    /// places without a network.
    pub fresh_days: u64,
    /// The list, prepared and signed elsewhere: it takes the place of the targets role's keys.
    pub signed: Option<&'a Path>,
}

/// The roles' documents could not be made.
#[derive(Debug, thiserror::Error)]
pub enum RolesError {
    /// What is there, or what follows from it.
    #[error(transparent)]
    Publish(#[from] Box<PublishError>),
    /// Not enough keys, or keys that do not sign.
    #[error("the release can not be signed")]
    Signing(#[from] SigningError),
    /// A name.
    #[error(transparent)]
    Name(Box<TrustError>),
    /// A list that was signed elsewhere.
    #[error("`{path}` can not be published")]
    Carried {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: CarriedError,
    },
    /// The list is as it would be.
    #[error("the list that is there says so already: there is nothing to sign")]
    NothingToSign,
    /// The roles list something else under this version.
    #[error("the roles sign another statement of {version} already")]
    OtherStatement {
        /// Version of the release.
        version: String,
    },
}

/// What the roles are about to say: to be logged, and then to be published.
#[derive(Debug)]
pub struct Listed {
    repository: Repository,
    targets: Option<Complete<Targets>>,
}

impl Listed {
    /// That the roles signed it.
    pub fn signatures(&self) -> Signatures {
        self.targets.as_ref().map_or_else(Signatures::listed_before, Signatures::listed)
    }
}

/// Whether a depot has roles.
pub fn has_roles(depot: &DepotFolder) -> bool {
    depot.path().join(FOLDER).join(TIMESTAMP).is_file()
}

/// The documents that a depot offers now, as they lie there. Nobody has checked them.
#[derive(Debug, Default)]
pub(crate) struct Served {
    /// By name: every root, the timestamp, and what the timestamp leads to.
    pub(crate) documents: BTreeMap<String, Vec<u8>>,
    /// When the first of them but roots expires, seconds since 1970.
    pub(crate) fresh_until: Option<u64>,
}

impl Served {
    /// Reads them.
    pub(crate) fn read(depot: &DepotFolder) -> Result<Self, DepotError> {
        let folder = depot.path().join(FOLDER);
        let mut served = Self::default();
        for name in names_in(&folder)? {
            let version = name.strip_suffix(".root.json").and_then(|version| version.parse::<u64>().ok());
            if version.is_some() {
                served.bring(&folder, &name)?;
            }
        }
        let timestamp = served.bring(&folder, TIMESTAMP)?;
        for (name, version) in listed(&timestamp) {
            let snapshot = served.bring(&folder, &format!("{version}.{name}"))?;
            for (name, version) in listed(&snapshot) {
                served.bring(&folder, &format!("{version}.{name}"))?;
            }
        }
        Ok(served)
    }

    /// The newest document of a name without version, `snapshot.json`, as a client keeps it.
    pub(crate) fn newest(&self, name: &str) -> Option<&Vec<u8>> {
        let (timestamp, of) = (self.documents.get(TIMESTAMP)?, |bytes: &[u8], name: &str| {
            let (_, version) = listed(bytes).into_iter().find(|(listed, _)| listed == name)?;
            self.documents.get(&format!("{version}.{name}"))
        });
        match name {
            TIMESTAMP => Some(timestamp),
            SNAPSHOT => of(timestamp, SNAPSHOT),
            name => of(of(timestamp, SNAPSHOT)?, name),
        }
    }

    fn bring(&mut self, folder: &Path, name: &str) -> Result<Vec<u8>, DepotError> {
        let bytes = read_limited(&folder.join(name), tuf::Limits::DEFAULT.targets)?;
        let value: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if let Some(Ok(Time(expires))) = value["signed"]["expires"].as_str().map(str::parse) {
            let is_root = name.ends_with(".root.json");
            let first = self.fresh_until.map_or(expires, |first| first.min(expires));
            self.fresh_until = if is_root { self.fresh_until } else { Some(first) };
        }
        self.documents.insert(name.to_owned(), bytes.clone());
        Ok(bytes)
    }
}

/// What a timestamp or a snapshot lists: names and versions. Nothing when it is none.
fn listed(bytes: &[u8]) -> Vec<(String, u64)> {
    let value: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let meta = value["signed"]["meta"].as_object().cloned().unwrap_or_default();
    let version = |(name, file): (String, Value)| Some((name, file["version"].as_u64()?));
    // A name that could lead out of the folder is no document of a depot's.
    meta.into_iter().filter_map(version).filter(|(name, _)| !name.contains(['/', '\\', '\0'])).collect()
}

/// The documents in a depot, whether it has any or not.
fn store(depot: &DepotFolder) -> FolderStore {
    FolderStore::new(depot.path().join(FOLDER))
}

fn publishing(source: PublishError) -> RolesError {
    RolesError::Publish(Box::new(source))
}

impl Signing<'_> {
    /// The next list, of one statement more, signed. Nothing is written.
    pub fn list(
        &self,
        depot: &DepotFolder,
        channel: &str,
        statement: &Statement,
        security_only_from: &[ReleaseId],
    ) -> Result<Listed, DepotError> {
        let repository = self.read(depot)?;
        let change = ListChange::Add(Listing::of(statement, channel, security_only_from));
        let targets = self.signed_list(&repository, repository.signed_root(), &change)?;
        Ok(Listed { repository, targets })
    }

    /// The same, to be signed elsewhere.
    pub fn prepare_list(
        &self,
        depot: &DepotFolder,
        channel: &str,
        statement: &Statement,
        security_only_from: &[ReleaseId],
    ) -> Result<Prepared, DepotError> {
        let repository = self.read(depot)?;
        let change = ListChange::Add(Listing::of(statement, channel, security_only_from));
        self.prepare(&repository, repository.signed_root(), &change)
    }

    /// Signs and publishes a list without a release: no appliance takes it any more, also one that still finds it elsewhere. One that is not
    /// listed stays so.
    pub fn withdraw(
        &self,
        depot: &DepotFolder,
        appliance: &str,
        channel: &str,
        version: &str,
    ) -> Result<(), DepotError> {
        let repository = self.read(depot)?;
        let change = withdrawal(appliance, channel, version)?;
        let Some(targets) = self.signed_list(&repository, repository.signed_root(), &change)? else {
            return Ok(());
        };
        let targets = vec![(RoleName::targets(), targets)];
        self.renew(depot, repository, Changes { roots: Vec::new(), targets }, false)
    }

    /// The same, to be signed elsewhere.
    pub fn prepare_withdrawal(
        &self,
        depot: &DepotFolder,
        appliance: &str,
        channel: &str,
        version: &str,
    ) -> Result<Prepared, DepotError> {
        let repository = self.read(depot)?;
        self.prepare(&repository, repository.signed_root(), &withdrawal(appliance, channel, version)?)
    }

    /// Writes what was listed, with a snapshot and a timestamp of it.
    pub fn publish(&self, depot: &DepotFolder, listed: Listed) -> Result<(), DepotError> {
        let targets = listed.targets.map(|targets| (RoleName::targets(), targets));
        let changes = Changes { roots: Vec::new(), targets: targets.into_iter().collect() };
        self.renew(depot, listed.repository, changes, false)
    }

    /// Vouches anew that what is there is the newest: a new timestamp, and a new snapshot. To be done each day.
    pub fn refresh(&self, depot: &DepotFolder) -> Result<(), DepotError> {
        let repository = self.read(depot)?;
        self.renew(depot, repository, Changes { roots: Vec::new(), targets: Vec::new() }, true)
    }

    /// Publishes a root that follows the newest one, and the list signed again: its keys may have changed. One that is there already, because a
    /// run broke off, is gone on with.
    pub fn follow(&self, depot: &DepotFolder, root: &Path) -> Result<(), DepotError> {
        let repository = self.read(depot)?;
        let root = next_root(&repository, root)?;
        let mut targets = Vec::new();
        if repository.targets(&RoleName::targets()).is_some() {
            let signed = self.signed_list(&repository, &root, &ListChange::Again)?;
            targets.extend(signed.map(|signed| (RoleName::targets(), signed)));
        }
        let is_there = root.body().version == repository.root().version;
        let roots = if is_there { Vec::new() } else { vec![root] };
        self.renew(depot, repository, Changes { roots, targets }, true)
    }

    /// The list for a root that follows, to be signed elsewhere by the keys that this root names.
    pub fn prepare_follow(&self, depot: &DepotFolder, root: &Path) -> Result<Prepared, DepotError> {
        let repository = self.read(depot)?;
        let root = next_root(&repository, root)?;
        if repository.targets(&RoleName::targets()).is_none() {
            return Err(publishing(PublishError::NoTargets).into());
        }
        self.prepare(&repository, &root, &ListChange::Again)
    }

    fn read(&self, depot: &DepotFolder) -> Result<Repository, DepotError> {
        Ok(Repository::read(&store(depot), self.root).map_err(publishing)?)
    }

    /// The next list with all signatures that it takes: made here with the keys at hand, or brought from elsewhere. `None`: the list that is there
    /// is the one.
    fn signed_list(
        &self,
        repository: &Repository,
        root: &Complete<Root>,
        change: &ListChange,
    ) -> Result<Option<Complete<Targets>>, DepotError> {
        if let Some(path) = self.signed {
            return carried::read(path, repository, root, change, Time(self.now));
        }
        if !change.takes_signing(repository.targets(&RoleName::targets()))? {
            return Ok(None);
        }
        let next = change.next(repository, Time(self.now).plus_days(TARGETS_DAYS))?;
        let signers = self.of(root.body(), TopRole::Targets);
        let signed = Unsigned::top_level(root.body(), next).sign_by(&signers);
        Ok(Some(signed.map_err(RolesError::Signing)?))
    }

    fn renew(
        &self,
        depot: &DepotFolder,
        repository: Repository,
        changes: Changes,
        renew_snapshot: bool,
    ) -> Result<(), DepotError> {
        let newest = changes.roots.last().map_or(repository.root(), Complete::body).clone();
        let (snapshot, timestamp) =
            (self.of(&newest, TopRole::Snapshot), self.of(&newest, TopRole::Timestamp));
        let fresh_days = self.fresh_days.clamp(1, FRESH_LIMIT);
        let freshness = Freshness {
            snapshot: &snapshot,
            timestamp: &timestamp,
            snapshot_expires: Time(self.now).plus_days(SNAPSHOT_DAYS.max(fresh_days)),
            timestamp_expires: Time(self.now).plus_days(fresh_days),
            renew_snapshot,
        };
        let (_, publication): (_, Publication) = repository.renew(changes, freshness).map_err(publishing)?;
        let mut store = store(depot);
        fs::create_dir_all(store.path()).map_err(io("create", store.path()))?;
        Ok(publication.write(&mut store).map_err(publishing)?)
    }

    /// Those of the keys that a role names.
    fn of(&self, root: &Root, role: TopRole) -> Vec<&dyn RoleSign> {
        let signs = |signer: &&&dyn RoleSign| root.has_key(role, &signer.role_key());
        self.signers.iter().filter(signs).copied().collect()
    }
}

/// The root in a file: it follows the newest one, or is it.
fn next_root(repository: &Repository, path: &Path) -> Result<Complete<Root>, DepotError> {
    let bytes = read_limited(path, tuf::Limits::DEFAULT.root)?;
    if let Ok(root) = Complete::trusted(&bytes)
        && root.origin() == repository.signed_root().origin()
    {
        return Ok(repository.signed_root().clone());
    }
    let root = Partial::read_root(&bytes, Some(repository.root())).and_then(Stage::complete);
    Ok(root.map_err(RolesError::Signing)?)
}

fn withdrawal(appliance: &str, channel: &str, version: &str) -> Result<ListChange, RolesError> {
    let path = target_path(appliance, channel, version).map_err(|error| RolesError::Name(Box::new(error)))?;
    Ok(ListChange::Withdraw(path))
}
