//! A maker's repository, a client's store, and the means of an attacker: changing files, with or without stolen keys.

use std::collections::BTreeMap;
use std::io::Read;

use keys::{SecretKey, Sign};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use tuf::client::{Found, trust_root, update};
use tuf::fetch::{Fetch, FetchError};
use tuf::metadata::{Delegation, Root, TargetFile, Targets, TopRole};
use tuf::repository::{Changes, Complete, Freshness, Repository, Unsigned};
use tuf::{Error, Key, KeyId, Limits, RoleName, TargetPath, Time};

/// 2026-11-26.
pub const NOW: Time = Time(1_795_694_400);
/// A target that the top-level role lists.
pub const STATEMENT: &str = "acme/shop/1.0/statement.json";
/// A target that a delegated role lists.
pub const BANK: &str = "acme/bank/2.0/statement.json";
pub const CONTENT: &[u8] = b"{\"version\":\"1.0\"}\n";

/// A key that differs by its number: 0 root, 1 targets, 2 snapshot, 3 timestamp, 4 the delegated role, 5 and above strangers.
pub fn key(number: u8) -> SecretKey {
    SecretKey::from_seed(&[number + 1; 32])
}

pub fn id(number: u8) -> KeyId {
    Key::of(key(number).public()).id()
}

pub type Files = BTreeMap<String, Vec<u8>>;

/// What a server offers, and what it was asked for.
#[derive(Default)]
pub struct Server {
    pub files: Files,
    pub asked: Vec<String>,
    /// A document that never ends.
    pub endless: Option<&'static str>,
    /// A document in whose middle the line breaks.
    pub broken: Option<&'static str>,
    /// A place that answers everything with the same page.
    pub garbage: Option<usize>,
    /// Other places that say they have the same.
    pub mirrors: Vec<Files>,
}

impl Fetch for Server {
    fn places(&self) -> usize {
        1 + self.mirrors.len()
    }

    fn open(&mut self, name: &str, place: usize) -> Result<Box<dyn Read + '_>, FetchError> {
        self.asked.push(name.to_owned());
        if self.endless == Some(name) {
            return Ok(Box::new(std::io::repeat(b' ')));
        }
        if self.garbage == Some(place) {
            return Ok(Box::new(&b"<html>It works!</html>"[..]));
        }
        let files = place.checked_sub(1).map_or(&self.files, |mirror| &self.mirrors[mirror]);
        let bytes = files.get(name).ok_or(FetchError::Missing)?;
        if self.broken == Some(name) {
            return Ok(Box::new(bytes[..20].chain(Broken)));
        }
        Ok(Box::new(bytes.as_slice()))
    }

    fn called(&self, name: &str, place: usize) -> String {
        format!("https://depot{place}.example/{name}")
    }
}

struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        Err(std::io::Error::new(std::io::ErrorKind::ConnectionReset, "reset"))
    }
}

pub struct Bench {
    pub repository: Repository,
    pub server: Server,
    pub store: Files,
    pub now: Time,
    pub limits: Limits,
}

pub fn first_root() -> Root {
    let expires = NOW.plus_days(365);
    let roles = [TopRole::Root, TopRole::Targets, TopRole::Snapshot, TopRole::Timestamp];
    let numbered = roles.into_iter().zip(0..);
    numbered.fold(Root::new(expires), |root, (role, number)| root.with_key(role, key(number).public()))
}

pub fn path(text: &str) -> TargetPath {
    TargetPath::new(text).expect("a path")
}

pub fn bank() -> RoleName {
    RoleName::delegated("acme.bank").expect("a name")
}

pub fn signed_targets(root: &Root, targets: Targets) -> Complete<Targets> {
    Unsigned::top_level(root, targets).sign_by(&[&key(1)]).expect("signs")
}

impl Bench {
    /// A repository with one target of its own and one delegated role, and a client that never updated.
    pub fn new() -> Self {
        let root = Unsigned::root(None, first_root()).expect("follows").sign_by(&[&key(0)]).expect("signs");
        let mut store = Files::new();
        trust_root(&mut store, root.bytes()).expect("is signed");
        let custom: Map<String, Value> = [("version".to_owned(), json!("1.0"))].into_iter().collect();
        let delegation = Delegation::terminating(bank(), 1, ["acme/bank/*/*"]);
        let targets = Targets::new(NOW.plus_days(90))
            .with_target(&path(STATEMENT), TargetFile::of(CONTENT).with_custom(custom))
            .with_delegation(delegation, &[key(4).public()]);
        let delegated =
            Targets::new(NOW.plus_days(90)).with_target(&path(BANK), TargetFile::of(b"the bank's statement"));
        let delegated = Unsigned::delegated(&targets, "targets", "acme.bank", delegated)
            .expect("is delegated to")
            .sign_by(&[&key(4)])
            .expect("signs");
        let targets = signed_targets(root.body(), targets);
        let mut bench = Self {
            repository: Repository::new(root),
            server: Server::default(),
            store,
            now: NOW,
            limits: Limits::DEFAULT,
        };
        bench.publish(vec![], vec![(RoleName::targets(), targets), (bank(), delegated)], 2, 3);
        bench
    }

    /// The same, and the client updated once.
    pub fn updated() -> Self {
        let mut bench = Self::new();
        bench.update().expect("updates");
        bench.find(BANK).expect("finds");
        bench.server.asked.clear();
        bench
    }

    /// The maker publishes, with these keys of snapshot and timestamp.
    pub fn publish(
        &mut self,
        roots: Vec<Complete<Root>>,
        targets: Vec<(RoleName, Complete<Targets>)>,
        snapshot: u8,
        timestamp: u8,
    ) {
        let freshness = Freshness {
            snapshot: &[&key(snapshot)],
            timestamp: &[&key(timestamp)],
            snapshot_expires: self.now.plus_days(7),
            timestamp_expires: self.now.plus_days(1),
            renew_snapshot: false,
        };
        let changes = Changes { roots, targets };
        let (repository, publication) = self.repository.clone().renew(changes, freshness).expect("renews");
        publication.write(&mut self.server.files).expect("writes");
        self.repository = repository;
    }

    /// The maker publishes a new version of the top-level targets document.
    pub fn publish_targets(&mut self) {
        let targets =
            self.repository.targets(&RoleName::targets()).expect("targets").next(self.now.plus_days(90));
        let targets = signed_targets(self.repository.root(), targets);
        self.publish(vec![], vec![(RoleName::targets(), targets)], 2, 3);
    }

    pub fn update(&mut self) -> Result<(), Error> {
        update(&mut self.store, &mut self.server, self.limits, self.now).map(drop)
    }

    pub fn find(&mut self, target: &str) -> Result<Found, Error> {
        update(&mut self.store, &mut self.server, self.limits, self.now)?.find(&path(target))
    }

    /// An update that is refused: the message, once it is clear that neither `kept` nor what can be installed changed.
    #[track_caller]
    pub fn refusal(&mut self, kept: &[&str]) -> String {
        let before = self.store.clone();
        let error = self.update().expect_err("has to be refused");
        self.judge(&before, error, kept)
    }

    /// A search that is refused.
    #[track_caller]
    pub fn search_refusal(&mut self, target: &str, kept: &[&str]) -> String {
        let before = self.store.clone();
        let error = self.find(target).expect_err("has to be refused");
        self.judge(&before, error, kept)
    }

    #[track_caller]
    fn judge(&self, before: &Files, error: Error, kept: &[&str]) -> String {
        for name in kept {
            assert_eq!(self.store.get(*name), before.get(*name), "{name} was stored");
        }
        assert!(!error.unchanged().is_empty() && !error.hint().is_empty());
        let text = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(link) = cause {
            assert!(!text.contains(&link.to_string()), "the chain repeats itself: {text}: {link}");
            cause = link.source();
        }
        text
    }

    /// Changes what a file says, and signs it with these keys, under their ids, whoever they belong to.
    pub fn forge(&mut self, file: &str, signers: &[u8], change: impl FnOnce(&mut Value)) {
        let document: Value = serde_json::from_slice(&self.server.files[file]).expect("JSON");
        let mut signed = document["signed"].clone();
        change(&mut signed);
        self.server.files.insert(file.to_owned(), forged(&signed, signers));
    }

    /// Lists a file as it is now in another one, which is signed with these keys.
    pub fn list(&mut self, file: &str, name: &str, lister: &str, signers: &[u8]) {
        let bytes = self.server.files[file].clone();
        let document: Value = serde_json::from_slice(&bytes).expect("JSON");
        let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let entry = json!({
            "version": document["signed"]["version"],
            "length": bytes.len(),
            "hashes": { "sha256": digest },
        });
        self.forge(lister, signers, |signed| {
            signed["meta"][name] = entry;
            signed["version"] = json!(signed["version"].as_u64().expect("a version") + 1);
        });
    }

    /// Puts a file where a later version is asked for.
    pub fn move_to(&mut self, from: &str, to: &str) {
        let bytes = self.server.files[from].clone();
        self.server.files.insert(to.to_owned(), bytes);
    }
}

pub fn forged(signed: &Value, signers: &[u8]) -> Vec<u8> {
    let message = tuf::json::canonical(signed);
    let sign = |number: &u8| {
        let signature = key(*number).sign(&message).expect("signs");
        json!({ "keyid": id(*number), "sig": hex(&signature.0) })
    };
    let signatures: Vec<Value> = signers.iter().map(sign).collect();
    serde_json::to_vec(&json!({ "signed": signed, "signatures": signatures })).expect("JSON")
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
