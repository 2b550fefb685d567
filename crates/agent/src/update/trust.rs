//! What the sealed image believes of a depot: releases that its maker's roles list, and that the ledger has.
//!
//! An image without `[trust]` believes its depot; one whose files can not be read believes nothing. What is known of the roles is
//! kept on data. When that is lost or damaged, it begins anew with the sealed root: what the roles sign today is found again, and only
//! the memory of older versions is gone, which is told.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::Path;

use ledger::policy::Policy;
use model::definition::{SEALED_TRUST, TRUST_LEDGER, TRUST_ROOT};
use release::{Index, IndexedRelease, ReleaseId, Statement, trust};
use tuf::client::{ROOT, trust_root, update};
use tuf::fetch::{Fetch, FetchError};
use tuf::store::{FolderStore, Store};
use tuf::{Limits, Time};
use update::life::Side;

use super::depot::{Depot, DepotError};
use super::files::Files;
use crate::init::report::chain;
use crate::init::state::make_directories;

/// Longest sealed file; `ampoule check` refuses longer ones.
const SEALED_LIMIT: u64 = 16 << 10;

/// What the image is sealed with.
#[derive(Debug)]
pub struct Sealed {
    root: Vec<u8>,
    ledger: Option<Policy>,
}

impl Sealed {
    /// Reads it below `root`, the root of the file system; `None` when the maker trusts the depot.
    pub fn read(root: &Path) -> Result<Option<Sealed>, String> {
        let folder = root.join(SEALED_TRUST);
        let file = |name: &str| match read_limited(&folder.join(name)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(format!("what this image trusts can not be read: {name}: {error}")),
        };
        let (roles, policy) = (file(TRUST_ROOT)?, file(TRUST_LEDGER)?);
        let broken = |why: String| format!("the ledger's policy of this image can not be read: {why}");
        let ledger = match policy {
            Some(bytes) => Some(Policy::parse(&bytes).map_err(|error| broken(chain(&error)))?),
            None => None,
        };
        match roles {
            Some(root) => Ok(Some(Sealed { root, ledger })),
            None if folder.exists() => {
                Err("this image trusts nobody: it has no root of its maker's roles".into())
            }
            None => Ok(None),
        }
    }

    /// Of the index what the roles list, and which release runs, where they list that one. `notice` hears what a person should know.
    pub fn believe(
        &self,
        depot: &Depot,
        files: &Files,
        index: &Index,
        own: &Side,
        now: u64,
        notice: &mut dyn FnMut(String),
    ) -> Result<(Index, Option<ReleaseId>), String> {
        let mut store = self.store(files, notice)?;
        let mut fetch = Roles(depot);
        let mut updated =
            update(&mut store, &mut fetch, Limits::DEFAULT, Time(now)).map_err(|error| told(&error))?;
        for name in updated.damaged() {
            notice(format!(
                "{name} of what is known of the maker's roles was damaged, and was fetched again"
            ));
        }
        let (appliance, channel) = (&index.appliance, &index.channel);
        let running = trust::release_of(&mut updated, appliance, channel, &own.version, &own.root_hash);
        let signed = trust::signed(&mut updated, index).map_err(|error| chain(&error))?;
        Ok((signed, running))
    }

    /// Checks that the ledger has a release.
    pub fn prove(
        &self,
        depot: &Depot,
        release: &IndexedRelease,
        statement: &Statement,
    ) -> Result<(), String> {
        let Some(policy) = &self.ledger else { return Ok(()) };
        let proof = match &release.proof {
            Some(object) => Some(depot.document(object, trust::PROOF_LIMIT).map_err(|error| chain(&error))?),
            None => None,
        };
        trust::proved(statement, proof.as_deref(), policy).map(drop).map_err(|error| chain(&error))
    }

    /// The store on data. Its root is the sealed one, or one that it led to.
    fn store(&self, files: &Files, notice: &mut dyn FnMut(String)) -> Result<FolderStore, String> {
        let folder = files.path("trust");
        let failed =
            |error: io::Error| format!("what is known of the maker's roles can not be kept: {error}");
        make_directories(&folder).map_err(failed)?;
        let mut store = FolderStore::new(folder);
        let version = |root: &[u8]| {
            let mut nowhere: BTreeMap<String, Vec<u8>> = BTreeMap::new();
            trust_root(&mut nowhere, root).map(|root| root.version)
        };
        let sealed = version(&self.root).map_err(|error| told(&error))?;
        let kept = store.read(ROOT).map_err(failed)?.map(|root| version(&root));
        match kept {
            Some(Ok(kept)) if kept >= sealed => return Ok(store),
            Some(Err(_)) => notice(
                "what was known of the maker's roles was damaged; it begins anew with the root in this image"
                    .into(),
            ),
            // The first look, or an image with a newer root.
            _ => {}
        }
        trust_root(&mut store, &self.root).map_err(|error| told(&error))?;
        Ok(store)
    }
}

fn told(error: &tuf::Error) -> String {
    format!("{}; {}", chain(error), error.hint())
}

fn read_limited(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(SEALED_LIMIT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > SEALED_LIMIT { Err(io::Error::other("it is too long")) } else { Ok(bytes) }
}

/// The roles' documents of a depot.
struct Roles<'a>(&'a Depot);

impl Fetch for Roles<'_> {
    fn open(&mut self, name: &str, _: usize) -> Result<Box<dyn Read + '_>, FetchError> {
        match self.0.open(&format!("{}/{name}", trust::FOLDER)) {
            Ok(body) => Ok(Box::new(body)),
            Err(DepotError::Absent { .. }) => Err(FetchError::Missing),
            Err(error) => Err(FetchError::Unreachable(error.into())),
        }
    }

    fn called(&self, name: &str, _: usize) -> String {
        self.0.url_of(&format!("{}/{name}", trust::FOLDER))
    }
}

#[cfg(test)]
mod tests {
    use keys::{SecretKey, Sign};
    use tuf::metadata::{Root, TopRole};
    use tuf::repository::Unsigned;

    use super::*;

    /// Root 1 and root 2 of one maker.
    fn roots() -> [Vec<u8>; 2] {
        let key = SecretKey::from_seed(&[1; 32]);
        let mut first = Root::new(Time(2_000_000_000));
        for role in TopRole::ALL {
            first = first.with_key(role, key.public());
        }
        let first = Unsigned::root(None, first).expect("possible").sign_by(&[&key]).expect("signed");
        let second = first.body().next(Time(2_000_000_000));
        let second =
            Unsigned::root(Some(first.body()), second).expect("follows").sign_by(&[&key]).expect("signed");
        [first.bytes().to_vec(), second.bytes().to_vec()]
    }

    /// The root in the store after a look with this sealed root, and what a person is told.
    fn after(files: &Files, sealed: &[u8]) -> (Vec<u8>, Vec<String>) {
        let mut notices = Vec::new();
        let sealed = Sealed { root: sealed.to_vec(), ledger: None };
        let store = sealed.store(files, &mut |notice| notices.push(notice)).expect("a store");
        (store.read(ROOT).expect("read").expect("a root"), notices)
    }

    #[test]
    fn the_store_begins_with_the_sealed_root_goes_forward_and_never_back() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let files = Files::open(folder.path()).expect("made");
        let [first, second] = roots();
        assert_eq!(after(&files, &first), (first.clone(), vec![]));
        assert_eq!(after(&files, &second), (second.clone(), vec![]), "a patch brought a newer root");
        assert_eq!(after(&files, &first), (second, vec![]), "a rollback does not bring an older one");
    }

    #[test]
    fn a_damaged_store_begins_anew_with_the_sealed_root_and_tells_it() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let files = Files::open(folder.path()).expect("made");
        let [first, second] = roots();
        after(&files, &second);
        for damage in [&b""[..], b"{}", &second[..second.len() / 2]] {
            fs::write(files.path("trust").join(ROOT), damage).expect("written");
            let (root, notices) = after(&files, &first);
            assert!(root == first, "{damage:?}");
            assert!(matches!(&notices[..], [notice] if notice.contains("damaged")), "{notices:?}");
        }
    }

    #[test]
    fn an_image_that_says_it_trusts_and_can_not_say_whom_believes_nobody() {
        let root = tempfile::tempdir().expect("a temporary folder can be made");
        assert!(Sealed::read(root.path()).expect("no [trust]").is_none());
        let folder = root.path().join(SEALED_TRUST);
        fs::create_dir_all(&folder).expect("made");
        assert!(Sealed::read(root.path()).expect_err("nobody").contains("trusts nobody"));
        fs::write(folder.join(TRUST_ROOT), &roots()[0]).expect("written");
        assert!(Sealed::read(root.path()).expect("reads").is_some());
        fs::write(folder.join(TRUST_LEDGER), "log nonsense\n").expect("written");
        assert!(Sealed::read(root.path()).expect_err("no policy").contains("policy"));
        fs::write(folder.join(TRUST_LEDGER), vec![b'#'; SEALED_LIMIT as usize + 1]).expect("written");
        assert!(Sealed::read(root.path()).expect_err("too long").contains("too long"));
    }
}
