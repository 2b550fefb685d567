//! A maker's depot with signed and logged releases, and a customer's depot far from it.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use depot::bundle::{Imported, Packed, Selection, import, pack};
use depot::mirror::{self, Patience, Place, Wanted};
use depot::publish::{Ledger, Request, publish};
use depot::roles::Signing;
use depot::take::Believing;
use depot::take::Taken;
use depot::{DepotError, DepotFolder};
use keys::role::RoleSign;
use release::{Index, trust};
use tuf::client::{trust_root, update};
use tuf::{Limits, Time};

use super::maker::{Maker, enter_into};
use super::{APPLIANCE, Bench, Copies, NOW, request};

pub const DAY: u64 = 24 * 3600;

/// Tests do not wait for minutes.
pub const IMPATIENT: Patience = Patience {
    connect: Duration::from_secs(5),
    silence: Duration::from_millis(600),
    least_bytes: 64,
    document: Duration::from_millis(1500),
    documents: Duration::from_secs(20),
    attempts: 2,
    first_wait: Duration::from_millis(10),
};

/// Both.
pub struct Carried {
    pub bench: Bench,
    pub maker: Maker,
    pub customer: PathBuf,
}

impl Carried {
    pub fn new() -> Self {
        let (bench, maker) = (Bench::new(), Maker::new());
        let customer = bench.path("customer");
        Self { bench, maker, customer }
    }

    pub fn with(releases: &[(&str, &str)]) -> Self {
        let carried = Self::new();
        releases.iter().for_each(|(version, content)| carried.publish(version, content, 1));
        carried
    }

    pub fn publish(&self, version: &str, content: &str, fresh_days: u64) {
        let signers: [&dyn RoleSign; 2] = [&self.maker.offline, &self.maker.online];
        let release = self.bench.release(version, content);
        let enter = |record: &[u8]| Ok(enter_into(&self.maker, self.bench.path("log"), record));
        let wanted = Request {
            signing: Some(Signing {
                root: &self.maker.root,
                signers: &signers,
                now: NOW,
                fresh_days,
                signed: None,
            }),
            ledger: Some(Ledger { policy: &self.maker.policy, enter: &enter }),
            ..request(&release)
        };
        publish(&self.bench.depot(), &wanted, &Copies::default(), &|_, _| ()).expect("published");
    }

    pub fn pack(&self, releases: &[&str], full: bool) -> (PathBuf, Packed) {
        let releases: Vec<String> = releases.iter().map(|&version| version.into()).collect();
        let file = self.bench.path(&format!("{}.bundle", releases.join("-")));
        let selection =
            Selection { appliance: None, channel: "stable", releases: &releases, from: &[], full };
        let packed = pack(&self.bench.depot(), &selection, &file).expect("packs");
        (file, packed)
    }

    pub fn believing(&self) -> Believing<'_> {
        Believing::Maker { root: &self.maker.root, policy: Some(&self.maker.policy) }
    }

    /// What a mirror of all of it asks for.
    pub fn asked(&self) -> mirror::Request<'_> {
        mirror::Request {
            appliance: None,
            channel: "stable",
            wanted: Wanted { releases: &[], newest: None, from: &[], full: true },
            root: &self.maker.root,
            policy: Some(&self.maker.policy),
            now: NOW,
        }
    }

    pub fn mirror_as(&self, from: &str, asked: mirror::Request<'_>) -> Result<Taken, DepotError> {
        let place = Place::new(from, None, IMPATIENT).map_err(Box::new)?;
        let customer = self.customer();
        mirror::look(&place, &customer, asked)?.bring(&|_| ())
    }

    pub fn mirror(&self, from: &str) -> Result<Taken, DepotError> {
        self.mirror_as(from, self.asked())
    }

    pub fn customer(&self) -> DepotFolder {
        DepotFolder::open_or_create(&self.customer).expect("a depot")
    }

    pub fn import_at(&self, file: &Path, now: u64) -> Result<Imported, DepotError> {
        import(file, &self.customer(), self.believing(), now)
    }

    pub fn import(&self, file: &Path) -> Result<Imported, DepotError> {
        self.import_at(file, NOW)
    }

    pub fn index(&self) -> Index {
        self.customer().index(APPLIANCE, "stable").expect("reads").expect("is there")
    }

    /// What the customer's depot offers.
    pub fn versions(&self) -> Vec<String> {
        self.index().releases.into_iter().map(|it| it.version).collect()
    }

    /// A large file of the maker's newest release, beside its statement.
    pub fn newest_object(&self) -> release::ObjectRef {
        self.bench.index().releases.last().expect("a release").patches[0].object
    }

    /// Everything that the customer's depot shows.
    pub fn shown(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        self.customer();
        let mut shown = super::files_in(&self.customer);
        // Also what waits is not shown.
        shown.retain(|path, _| !path.ends_with(".lock") && !path.starts_with(self.customer.join(".mirror")));
        shown
    }

    /// What a client of the customer's depot believes that knows the maker's root alone.
    pub fn believed(&self) -> Index {
        self.believed_at(NOW)
    }

    pub fn believed_at(&self, now: u64) -> Index {
        let mut store: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        trust_root(&mut store, &self.maker.root).expect("a root");
        let folder = self.customer.join(trust::FOLDER);
        let files = fs::read_dir(folder).expect("lists").map(|file| file.expect("a file"));
        let mut files: BTreeMap<String, Vec<u8>> = files
            .map(|file| {
                (file.file_name().into_string().expect("text"), fs::read(file.path()).expect("reads"))
            })
            .collect();
        let mut updated = update(&mut store, &mut files, Limits::DEFAULT, Time(now)).expect("signed");
        trust::signed(&mut updated, &self.index()).expect("listed")
    }
}

/// One clear sentence for a refusal.
pub fn told(error: &DepotError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        assert!(!text.ends_with(&error.to_string()), "told twice: {text}");
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[track_caller]
pub fn refused<T: Debug>(outcome: Result<T, DepotError>, why: &str) {
    let error = outcome.expect_err("refused");
    assert!(told(&error).contains(why), "{}", told(&error));
}
