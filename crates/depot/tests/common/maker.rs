//! A maker with keys and a ledger.

use std::path::PathBuf;

use depot::publish::Request;
use depot::roles::Signing;
use keys::{SecretKey, Sign};
use ledger::enter::enter;
use ledger::folder::Writer;
use ledger::log::Log;
use ledger::note::NoteSigner;
use ledger::policy::Policy;
use ledger::witness::client::Transport;
use tuf::Time;
use tuf::metadata::{Root, TopRole};
use tuf::repository::Unsigned;

use super::{NOW, request};

/// A maker of one person, who lets the ledger's witnesses be nobody.
pub struct Maker {
    pub offline: SecretKey,
    pub online: SecretKey,
    pub log: SecretKey,
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

impl Maker {
    pub fn new() -> Self {
        Self::with_seeds([1, 2, 3])
    }

    /// One with other keys: a stranger.
    pub fn with_seeds(seeds: [u8; 3]) -> Self {
        let [offline, online, log] = seeds.map(|seed| SecretKey::from_seed(&[seed; 32]));
        let root = Root::new(Time(NOW).plus_days(365))
            .with_key(TopRole::Root, offline.public())
            .with_key(TopRole::Targets, offline.public())
            .with_key(TopRole::Snapshot, online.public())
            .with_key(TopRole::Timestamp, online.public());
        let root = Unsigned::root(None, root).expect("possible").sign_by(&[&offline]).expect("signed");
        let key = NoteSigner::new("example.com/log".parse().expect("a name"), &log).key().to_string();
        let policy = Policy::parse(format!("log {key}\nquorum none\n").as_bytes()).expect("reads");
        Self { offline, online, log, policy, root: root.bytes().to_vec() }
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
    signers: &'a [&'a dyn Sign],
    release: &'a std::path::Path,
) -> Request<'a> {
    let signing = Signing { root: &maker.root, signers, now: NOW, fresh_days: 1 };
    Request { signing: Some(signing), ..request(release) }
}
