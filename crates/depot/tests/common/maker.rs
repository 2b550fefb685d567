//! A maker with keys and a ledger.

use std::path::PathBuf;

use depot::DepotFolder;
use depot::publish::Request;
use depot::roles::Signing;
use keys::role::RoleSign;
use keys::{SecretKey, Sign as _};
use ledger::enter::enter;
use ledger::folder::Writer;
use ledger::log::Log;
use ledger::note::NoteSigner;
use ledger::policy::Policy;
use ledger::witness::client::Transport;
use release::trust;
use tuf::metadata::{Delegation, MetaFile, Root, Snapshot, Targets, Timestamp, TopRole};
use tuf::repository::{Changes, Freshness, Repository, Unsigned};
use tuf::store::FolderStore;
use tuf::{Document, Hashes, RoleName, Time};

use super::{NOW, request};

/// A maker of one person, who lets the ledger's witnesses be nobody.
pub struct Maker {
    pub offline: SecretKey,
    pub online: SecretKey,
    pub log: SecretKey,
    /// Of a role that the list may delegate to.
    pub delegate: SecretKey,
    pub policy: Policy,
    pub root: Vec<u8>,
}

struct Nobody;

impl Transport for Nobody {
    fn post(
        &self,
        _: &str,
        _: &[u8],
        _: usize,
    ) -> Result<ledger::witness::Answer, Box<dyn std::error::Error + Send + Sync>> {
        Err("no witness is asked".into())
    }
}

/// The next root: another key for what is signed each day.
pub struct Rotated {
    pub online: SecretKey,
    pub root: Vec<u8>,
}

impl Maker {
    pub fn new() -> Self {
        Self::with_seeds([1, 2, 3])
    }

    /// One with other keys: a stranger.
    pub fn with_seeds(seeds: [u8; 3]) -> Self {
        let [offline, online, log] = seeds.map(|seed| SecretKey::from_seed(&[seed; 32]));
        let delegate = SecretKey::from_seed(&[seeds[2].wrapping_add(1); 32]);
        let root = Root::new(Time(NOW).plus_days(365))
            .with_key(TopRole::Root, offline.public())
            .with_key(TopRole::Targets, offline.public())
            .with_key(TopRole::Snapshot, online.public())
            .with_key(TopRole::Timestamp, online.public());
        let root = Unsigned::root(None, root).expect("possible").sign_by(&[&offline]).expect("signed");
        let key = NoteSigner::new("example.com/log".parse().expect("a name"), &log).key().to_string();
        let policy = Policy::parse(format!("log {key}\nquorum none\n").as_bytes()).expect("reads");
        Self { offline, online, log, delegate, policy, root: root.bytes().to_vec() }
    }

    /// Publishes the root with the number `version`, which takes the online key away and lets another one sign.
    pub fn rotate(&self, depot: &DepotFolder, version: u8, now: u64) -> Rotated {
        let online = SecretKey::from_seed(&[40 + version; 32]);
        let store = FolderStore::new(depot.path().join(trust::FOLDER));
        let repository = Repository::read(&store, &self.root).expect("reads");
        let before = repository.root().clone();
        let mut next = before.next(Time(now).plus_days(365));
        for role in [TopRole::Snapshot, TopRole::Timestamp] {
            for key in before.role(role).keyids.clone() {
                next = next.without_key(role, &key);
            }
            next = next.with_key(role, online.public());
        }
        let root = Unsigned::root(Some(&before), next).expect("possible");
        let root = root.sign_by(&[&self.offline]).expect("signed").bytes().to_vec();
        let file = depot.path().with_file_name(format!("{version}.root.json"));
        std::fs::write(&file, &root).expect("writes");
        let signers: [&dyn RoleSign; 2] = [&self.offline, &online];
        let signing = Signing { root: &self.root, signers: &signers, now, fresh_days: 1, signed: None };
        signing.follow(depot, &file).expect("followed");
        Rotated { online, root }
    }

    /// Publishes what `change` makes of the list, and of the list of a delegated role of that name.
    pub fn relist(
        &self,
        depot: &DepotFolder,
        role: &str,
        change: impl FnOnce(Targets) -> (Targets, Option<Targets>),
    ) {
        let mut store = FolderStore::new(depot.path().join(trust::FOLDER));
        let repository = Repository::read(&store, &self.root).expect("reads");
        let before = repository.targets(&RoleName::targets()).expect("a list");
        let (top, delegated) = change(before.next(Time(NOW).plus_days(90)));
        let mut targets = Vec::new();
        if let Some(list) = delegated {
            let list = Unsigned::delegated(&top, "targets", role, list).expect("possible");
            let list = list.sign_by(&[&self.delegate]).expect("signed");
            targets.push((RoleName::delegated(role).expect("a name"), list));
        }
        let top = Unsigned::top_level(repository.root(), top).sign_by(&[&self.offline]).expect("signed");
        targets.push((RoleName::targets(), top));
        let freshness = Freshness {
            snapshot: &[&self.online],
            timestamp: &[&self.online],
            snapshot_expires: Time(NOW).plus_days(7),
            timestamp_expires: Time(NOW).plus_days(1),
            renew_snapshot: false,
        };
        let changes = Changes { roots: Vec::new(), targets };
        let (_, publication) = repository.renew(changes, freshness).expect("possible");
        publication.write(&mut store).expect("written");
    }

    /// Publishes a snapshot that lists one document more, of any name.
    pub fn list_also(&self, depot: &DepotFolder, name: &str, bytes: &[u8]) {
        let folder = depot.path().join(trust::FOLDER);
        let root =
            Root::clone(Repository::read(&FolderStore::new(&folder), &self.root).expect("reads").root());
        let read =
            |name: &str| Document::parse(&std::fs::read(folder.join(name)).expect("reads")).expect("one");
        let mut snapshot: Snapshot = read("1.snapshot.json").body().expect("a snapshot");
        let listed = MetaFile { hashes: Some(Hashes::of(bytes)), ..snapshot.meta["targets.json"].clone() };
        let listed = MetaFile { version: 1, length: Some(bytes.len() as u64), ..listed };
        snapshot.version = 2;
        snapshot.meta.insert(name.to_owned(), listed);
        let snapshot = Unsigned::top_level(&root, snapshot).sign_by(&[&self.online]).expect("signed");
        std::fs::write(folder.join("2.snapshot.json"), snapshot.bytes()).expect("writes");
        let document = Document::parse(snapshot.bytes()).expect("one");
        let timestamp = Timestamp::new(2, Time(NOW).plus_days(1), MetaFile::of(2, &document));
        let timestamp = Unsigned::top_level(&root, timestamp).sign_by(&[&self.online]).expect("signed");
        std::fs::write(folder.join("timestamp.json"), timestamp.bytes()).expect("writes");
    }

    /// All that the list has goes into the list of a role that speaks for `appliance`, and that another key signs.
    pub fn delegate(&self, depot: &DepotFolder, appliance: &str) {
        self.relist(depot, "team", |mut top| {
            let list = Targets { targets: std::mem::take(&mut top.targets), ..Targets::new(top.expires) };
            let role = RoleName::delegated("team").expect("a name");
            let role = Delegation::terminating(role, 1, [format!("{appliance}/*/*")]);
            (top.with_delegation(role, &[self.delegate.public()]), Some(list))
        });
    }

    pub fn signer(&self) -> NoteSigner<'_> {
        NoteSigner::new("example.com/log".parse().expect("a name"), &self.log)
    }
}

/// Enters into a log in a folder.
pub fn enter_into(maker: &Maker, folder: PathBuf, record: &[u8]) -> Vec<u8> {
    let is_new = !folder.exists();
    let writer = Writer::open(folder).expect("opens");
    let mut log = match is_new {
        true => Log::create(writer, &maker.signer()).expect("created"),
        false => Log::open(writer, maker.signer().key().clone()).expect("opens"),
    };
    let entered = enter(&mut log, &[record], &maker.signer(), &maker.policy, &Nobody).expect("entered");
    entered.proofs[0].to_bytes()
}

pub fn signed<'a>(
    maker: &'a Maker,
    signers: &'a [&'a dyn RoleSign],
    release: &'a std::path::Path,
) -> Request<'a> {
    let signing = Signing { root: &maker.root, signers, now: NOW, fresh_days: 1, signed: None };
    Request { signing: Some(signing), ..request(release) }
}
