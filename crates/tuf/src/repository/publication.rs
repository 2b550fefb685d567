//! What was published, what comes next, and in which order its files appear.
//!
//! Every file but `timestamp.json` has its version in its name and never changes (7.2). So the order of writing makes the change
//! appear at once: (1) targets documents, delegated ones first; (2) the snapshot; (3) roots; (4) the timestamp, which alone is replaced. A crash
//! before (3) leaves files that nobody is told of, and whose versions the next run leaves out. Between (3) and (4), if the timestamp's key changed, clients refuse the old timestamp until
//! the new one is there.

use std::collections::BTreeMap;
use std::io;

use keys::role::RoleSign;

use super::signing::{Complete, SigningError, Unsigned};
use super::trusted::root_after;
use crate::client::{ROOT, TIMESTAMP};
use crate::error::{Error, ErrorKind};
use crate::metadata::{Body, MetaFile, Root, Snapshot, Targets, Timestamp, TopRole};
use crate::names::RoleName;
use crate::store::Store;
use crate::threshold::Authority;
use crate::time::Time;

/// Most roots that are followed when a repository is read. Stops a folder with files without end.
const ROOT_LIMIT: u64 = 1 << 16;
/// Most documents of one role that runs left which broke off. Stops a folder with files without end.
const LEFT_LIMIT: u64 = 1 << 10;

/// The documents that a repository offers now.
#[derive(Clone, Debug)]
pub struct Repository {
    root: Complete<Root>,
    targets: BTreeMap<RoleName, Complete<Targets>>,
    snapshot: Option<Complete<Snapshot>>,
    /// What the last snapshot listed. It stays listed, also when nobody delegates to it any more: clients refuse a snapshot that lists
    /// less (5.5.5).
    listed: BTreeMap<String, MetaFile>,
    /// Versions that are used up.
    snapshot_version: u64,
    timestamp_version: u64,
    /// Versions of targets documents that are used up, also by a run that broke off before anybody was told of them.
    taken: BTreeMap<RoleName, u64>,
}

/// What is new.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// Newer roots, in order. The first root of a new repository is given to [`Repository::new`].
    pub roots: Vec<Complete<Root>>,
    /// Newer targets documents.
    pub targets: Vec<(RoleName, Complete<Targets>)>,
}

/// Who vouches for freshness, and for how long.
#[derive(Clone, Copy)]
pub struct Freshness<'a> {
    /// Keys of the snapshot role, as many as it takes.
    pub snapshot: &'a [&'a dyn RoleSign],
    /// Keys of the timestamp role, as many as it takes.
    pub timestamp: &'a [&'a dyn RoleSign],
    /// When a new snapshot expires.
    pub snapshot_expires: Time,
    /// When the new timestamp expires.
    pub timestamp_expires: Time,
    /// Makes a new snapshot even though nothing changed, because the present one expires soon.
    pub renew_snapshot: bool,
}

/// Files in the order in which they have to appear.
#[derive(Clone, Debug)]
#[must_use = "a publication is only visible once it is written"]
pub struct Publication {
    files: Vec<(String, Vec<u8>)>,
}

/// A repository can not be read, or not go on.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// A document is not what it should be.
    #[error(transparent)]
    Document(#[from] Error),
    /// Snapshot or timestamp can not be signed.
    #[error("the {role} can not be signed")]
    Signing {
        /// The role.
        role: TopRole,
        /// Why.
        #[source]
        source: SigningError,
    },
    /// A document's keys changed, and it was not signed with the new ones.
    #[error("`{role}` has to be signed again: its keys changed")]
    SignAgain {
        /// The role.
        role: RoleName,
    },
    /// The top-level targets document is missing.
    #[error("there is no targets document yet")]
    NoTargets,
    /// A role's name has characters that have to be encoded in a URL: servers of files decode them, and look for another file.
    #[error(
        "the role `{role}` can not be published: its name may have letters, digits, `.`, `-`, `_` and `~` only"
    )]
    Unservable {
        /// The role.
        role: RoleName,
    },
    /// A role is not delegated to.
    #[error("nobody delegates to the role `{role}`")]
    NotDelegated {
        /// The role.
        role: RoleName,
    },
    /// A document does not follow the published one.
    #[error("`{file}` has version {found}, and {expected} comes next")]
    NotNext {
        /// Its name.
        file: String,
        /// Its version.
        found: u64,
        /// The next version.
        expected: u64,
    },
    /// There is another file of the same version: two people published at once, or from an old copy.
    #[error("`{file}` exists already with other content: a published version never changes")]
    WouldReplace {
        /// The file.
        file: String,
    },
    /// The file system refuses.
    #[error("`{file}` can not be {verb}")]
    Io {
        /// The file.
        file: String,
        /// "read" or "written".
        verb: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
}

fn io_error(file: &str, verb: &'static str) -> impl FnOnce(io::Error) -> PublishError {
    move |source| PublishError::Io { file: file.to_owned(), verb, source }
}

impl Repository {
    /// A repository of a root, with nothing published under it.
    pub fn new(root: Complete<Root>) -> Self {
        let (targets, listed, taken) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { root, targets, snapshot: None, listed, snapshot_version: 0, timestamp_version: 0, taken }
    }

    /// Reads what a folder offers, from a root that is trusted. Signatures count, expiry does not: it is for those
    /// who renew it.
    pub fn read(store: &dyn Store, trusted: &[u8]) -> Result<Self, PublishError> {
        let wrong = |file: &str| {
            let file = file.to_owned();
            move |kind: ErrorKind| PublishError::Document(Error::new(file, kind))
        };
        let read = |file: &str| store.read(file).map_err(io_error(file, "read"));
        let needed = |file: &str| {
            read(file)?.ok_or_else(|| PublishError::Document(Error::new(file, ErrorKind::Missing)))
        };
        let mut root = root_after(None, trusted).map_err(wrong(ROOT))?;
        let mut root_before = None;
        for _ in 0..ROOT_LIMIT {
            let file = format!("{}.{ROOT}", root.body().version.saturating_add(1));
            let Some(bytes) = read(&file)? else { break };
            let next = root_after(Some(root.body()), &bytes).map_err(wrong(&file))?;
            root_before = Some(std::mem::replace(&mut root, next));
        }
        let top = RoleName::targets();
        let Some(bytes) = read(TIMESTAMP)? else {
            let mut repository = Self::new(root);
            repository.snapshot_version = last_taken(store, 0, snapshot_file)?;
            let taken = last_taken(store, 0, |version| top.versioned_file_name(version))?;
            repository.taken.insert(top, taken);
            return Ok(repository);
        };
        // A run that broke off between the root and the timestamp left documents of the root before. What is published next is signed for the
        // newest one: `renew` sees to it.
        let authorities = |role| {
            let roots = [Some(&root), root_before.as_ref()].into_iter().flatten();
            roots.map(|root| Authority::top_level(root.body(), role)).collect::<Vec<_>>()
        };
        let timestamp =
            first_good::<Timestamp>(&bytes, authorities(TopRole::Timestamp)).map_err(wrong(TIMESTAMP))?;
        let file = snapshot_file(timestamp.body().snapshot().version);
        let snapshot =
            first_good::<Snapshot>(&needed(&file)?, authorities(TopRole::Snapshot)).map_err(wrong(&file))?;
        let mut targets = BTreeMap::new();
        let mut taken = BTreeMap::new();
        let mut waiting = vec![(top, authorities(TopRole::Targets))];
        while let Some((role, authorities)) = waiting.pop() {
            // A role that is delegated to and was never published is not listed.
            let Some(listed) = snapshot.body().role(&role) else { continue };
            if targets.contains_key(&role) {
                continue;
            }
            let file = role.versioned_file_name(listed.version);
            let document = first_good::<Targets>(&needed(&file)?, authorities).map_err(wrong(&file))?;
            waiting.extend(delegated(&role, document.body()));
            let last = last_taken(store, listed.version, |version| role.versioned_file_name(version))?;
            taken.insert(role.clone(), last);
            targets.insert(role, document);
        }
        let snapshot_version = last_taken(store, snapshot.body().version, snapshot_file)?;
        let (timestamp_version, listed) = (timestamp.body().version, snapshot.body().meta.clone());
        let snapshot = Some(snapshot);
        Ok(Self { root, targets, snapshot, listed, snapshot_version, timestamp_version, taken })
    }

    /// The newest root.
    pub fn root(&self) -> &Root {
        self.root.body()
    }

    /// The newest root with its signatures.
    pub fn signed_root(&self) -> &Complete<Root> {
        &self.root
    }

    /// The newest document of a targets role.
    pub fn targets(&self, role: &RoleName) -> Option<&Targets> {
        self.targets.get(role).map(Complete::body)
    }

    /// The same with its signatures.
    pub fn signed_targets(&self, role: &RoleName) -> Option<&Complete<Targets>> {
        self.targets.get(role)
    }

    /// The version of a role's next document. Files that a run left which broke off keep theirs: a file of that name may have been seen.
    pub fn next_version(&self, role: &RoleName) -> u64 {
        let taken = self.taken.get(role).copied().unwrap_or(0);
        taken.max(self.version_before(role)).saturating_add(1)
    }

    fn version_before(&self, role: &RoleName) -> u64 {
        let published = self.targets.get(role).map(|before| before.body().version);
        published.or(self.listed.get(&role.meta_path()).map(|before| before.version)).unwrap_or(0)
    }

    /// All targets roles.
    pub fn roles(&self) -> impl Iterator<Item = &RoleName> {
        self.targets.keys()
    }

    /// Who has a say in a targets document.
    pub fn authority(&self, role: &RoleName) -> Option<Authority> {
        authority_of(self.root(), &self.targets, role)
    }

    /// Goes on counting from these versions, after a thief counted up (5.3.11). Clients accept it only together with a root that takes the
    /// stolen keys away. Both MUST be at least the last honest versions: a published file never changes.
    #[must_use]
    pub fn counting_from(self, snapshot_version: u64, timestamp_version: u64) -> Self {
        // What the thief listed is forgotten.
        Self { snapshot_version, timestamp_version, listed: BTreeMap::new(), ..self }
    }

    /// What comes next: what changed, a snapshot of it where there is a need, and a new timestamp.
    pub fn renew(
        mut self,
        changes: Changes,
        freshness: Freshness,
    ) -> Result<(Self, Publication), PublishError> {
        // Before the first publication the root itself is new, too.
        let mut roots: Vec<_> = self.snapshot.is_none().then(|| self.root.clone()).into_iter().collect();
        for root in changes.roots {
            check_next(ROOT, self.root.body().version, root.body().version)?;
            // Signed by the root before it: which one that is was not known where it was completed.
            root_after(Some(self.root.body()), root.bytes()).map_err(|kind| Error::new(ROOT, kind))?;
            self.root = root.clone();
            roots.push(root);
        }
        let mut files = Vec::new();
        let mut changed = self.snapshot.is_none();
        for (role, document) in changes.targets {
            let (version, next) = (document.body().version, self.next_version(&role));
            // One that a run left which broke off may be published still, unchanged: see `Publication::write`.
            if version <= self.version_before(&role) || version > next {
                let file = role.file_name();
                return Err(PublishError::NotNext { file, found: version, expected: next });
            }
            files.push((role.versioned_file_name(version), document.bytes().to_vec()));
            self.taken.insert(role.clone(), version.max(next - 1));
            self.targets.insert(role, document);
            changed = true;
        }
        self.check_targets()?;
        let root = self.root.body().clone();
        let snapshot = self.snapshot.take().filter(|snapshot| {
            let authority = Authority::top_level(&root, TopRole::Snapshot);
            !changed && !freshness.renew_snapshot && authority.check(snapshot.document()).is_ok()
        });
        let snapshot = match snapshot {
            Some(snapshot) => snapshot,
            None => {
                self.snapshot_version = self.snapshot_version.saturating_add(1);
                let mut body = Snapshot::new(self.snapshot_version, freshness.snapshot_expires);
                body.meta.clone_from(&self.listed);
                for (role, document) in &self.targets {
                    let file = MetaFile::of(document.body().version, document.document());
                    body.meta.insert(role.meta_path(), file);
                }
                let snapshot = sign(&root, body, freshness.snapshot)?;
                files.push((snapshot_file(self.snapshot_version), snapshot.bytes().to_vec()));
                snapshot
            }
        };
        let name = |root: &Complete<Root>| format!("{}.{ROOT}", root.body().version);
        files.extend(roots.iter().map(|root| (name(root), root.bytes().to_vec())));
        self.timestamp_version = self.timestamp_version.saturating_add(1);
        let listed = MetaFile::of(snapshot.body().version, snapshot.document());
        let body = Timestamp::new(self.timestamp_version, freshness.timestamp_expires, listed);
        files.push((TIMESTAMP.to_owned(), sign(&root, body, freshness.timestamp)?.bytes().to_vec()));
        self.listed.clone_from(&snapshot.body().meta);
        self.snapshot = Some(snapshot);
        Ok((self, Publication { files }))
    }

    /// Whether every targets document is signed by who has a say now.
    fn check_targets(&self) -> Result<(), PublishError> {
        if !self.targets.contains_key(&RoleName::targets()) {
            return Err(PublishError::NoTargets);
        }
        for (role, document) in &self.targets {
            let role = role.clone();
            if role.file_name() != role.meta_path() {
                return Err(PublishError::Unservable { role });
            }
            match self.authority(&role).map(|authority| authority.check(document.document())) {
                Some(Ok(())) => continue,
                Some(Err(_)) => return Err(PublishError::SignAgain { role }),
                // It was delegated to once, and nobody asks for it any more.
                None if self.listed.contains_key(&role.meta_path()) => continue,
                None => return Err(PublishError::NotDelegated { role }),
            }
        }
        Ok(())
    }
}

impl Publication {
    /// The files, first to be written first.
    pub fn files(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
    }

    /// Writes the files into a folder, once it is clear that no published version would change.
    pub fn write(&self, store: &mut dyn Store) -> Result<(), PublishError> {
        for (file, bytes) in self.files().filter(|(file, _)| *file != TIMESTAMP) {
            match store.read(file).map_err(io_error(file, "read"))? {
                Some(there) if there != bytes => {
                    return Err(PublishError::WouldReplace { file: file.to_owned() });
                }
                _ => (),
            }
        }
        for (file, bytes) in self.files() {
            store.write(file, bytes).map_err(io_error(file, "written"))?;
        }
        Ok(())
    }
}

fn snapshot_file(version: u64) -> String {
    format!("{version}.snapshot.json")
}

/// A document that one of these vouches for, the first of whom is asked first. When none does, the first one's refusal is told.
fn first_good<B: Body>(bytes: &[u8], authorities: Vec<Authority>) -> Result<Complete<B>, ErrorKind> {
    let mut refused = None;
    for authority in authorities {
        match Complete::read(bytes, authority) {
            Ok(document) => return Ok(document),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    Err(refused.expect("BUG: somebody has a say in every document"))
}

/// The last of the versions above `version` of which there is a file.
fn last_taken(store: &dyn Store, version: u64, file: impl Fn(u64) -> String) -> Result<u64, PublishError> {
    let mut last = version;
    for version in version.saturating_add(1)..version.saturating_add(LEFT_LIMIT) {
        let file = file(version);
        if store.read(&file).map_err(io_error(&file, "read"))?.is_none() {
            break;
        }
        last = version;
    }
    Ok(last)
}

fn check_next(file: &str, before: u64, found: u64) -> Result<(), PublishError> {
    let expected = before.saturating_add(1);
    if found == expected {
        Ok(())
    } else {
        Err(PublishError::NotNext { file: file.to_owned(), found, expected })
    }
}

/// The roles that a document delegates to, and who signs for them.
fn delegated(by: &RoleName, targets: &Targets) -> Vec<(RoleName, Vec<Authority>)> {
    let delegations = targets.delegations.iter();
    let roles = delegations.flat_map(|delegations| delegations.roles.iter());
    roles
        .filter_map(|role| {
            let authority = Authority::delegated(targets, by.as_str(), role.name.as_str())?;
            Some((role.name.clone(), vec![authority]))
        })
        .collect()
}

fn authority_of(
    root: &Root,
    targets: &BTreeMap<RoleName, Complete<Targets>>,
    role: &RoleName,
) -> Option<Authority> {
    if *role == RoleName::targets() {
        return Some(Authority::top_level(root, TopRole::Targets));
    }
    targets
        .iter()
        .find_map(|(by, document)| Authority::delegated(document.body(), by.as_str(), role.as_str()))
}

fn sign<B: super::TopLevel + Body>(
    root: &Root,
    body: B,
    signers: &[&dyn RoleSign],
) -> Result<Complete<B>, PublishError> {
    Unsigned::top_level(root, body)
        .sign_by(signers)
        .map_err(|source| PublishError::Signing { role: B::ROLE, source })
}
