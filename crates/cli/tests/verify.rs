//! `ampoule verify` over a depot, without a network: every broken link is told with what, where, why and what to do next.

mod support;

use std::fs;
use std::path::Path;

use depot::DepotFolder;
use keys::{SecretKey, Sign};
use ledger::note::NoteSigner;
use model::Sha256Digest;
use release::Index;
use support::{Said, ampoule_in};
use testkit::Bench;
use tuf::Time;
use tuf::metadata::{Root, TopRole};
use tuf::repository::Unsigned;

const NOW: u64 = 1_700_000_000;
const AT: &str = "2023-11-14T22:13:20Z";

/// A depot of two releases, both signed by their maker's roles.
fn depot_in(folder: &Path) {
    let [offline, online, log] = [1, 2, 3].map(|seed| SecretKey::from_seed(&[seed; 32]));
    let root = Root::new(Time(NOW).plus_days(365))
        .with_key(TopRole::Root, offline.public())
        .with_key(TopRole::Targets, offline.public())
        .with_key(TopRole::Snapshot, online.public())
        .with_key(TopRole::Timestamp, online.public());
    let root = Unsigned::root(None, root).expect("possible").sign_by(&[&offline]).expect("signed");
    fs::write(folder.join("root.json"), root.bytes()).expect("writes");
    let key = NoteSigner::new("example.com/log".parse().expect("a name"), &log).key().to_string();
    fs::write(folder.join("policy"), format!("log {key}\nquorum none\n")).expect("writes");
    let depot = DepotFolder::open_or_create(&folder.join("depot")).expect("a depot");
    let signers: [&dyn Sign; 2] = [&offline, &online];
    let signing = depot::roles::Signing { root: root.bytes(), signers: &signers, now: NOW, fresh_days: 1 };
    let mut index = Index::new("acme/lamp".into(), "stable".into());
    for version in ["1.0.0", "1.0.1"] {
        let statement = statement(version);
        let listed = signing.list(&depot, "stable", &statement, &[]).expect("listed");
        signing.publish(&depot, listed).expect("published");
        add(folder, &mut index, &statement);
    }
}

fn statement(version: &str) -> release::Statement {
    let json = serde_json::json!({
        "format": 1, "architecture": "amd64", "kernel-version": "6.12", "documents": [],
        "identity": {
            "vendor": "acme", "name": "lamp", "title": "Lamp", "version": version, "summary": "A lamp.",
            "contact": null, "url": null, "end-of-support": null,
        },
        "image": { "root-hash": "a".repeat(64), "verity-salt": "00", "root-size": 4096, "verity-size": 4096 },
        "uki": { "name": format!("lamp_{version}.efi"), "size": 7, "sha256": "0".repeat(64), "purpose": "image" },
        "state-format": { "current": 1, "reads-from": 1, "rollback-floor": 1 },
    });
    release::Statement::parse(json.to_string().as_bytes()).expect("a statement")
}

/// What somebody who can write to the depot does.
fn add(folder: &Path, index: &mut Index, statement: &release::Statement) {
    let bytes = statement.to_bytes();
    let digest: Sha256Digest = statement.id().0;
    let place = folder.join("depot").join(release::index::object_path(&digest));
    fs::create_dir_all(place.parent().expect("a folder")).expect("makes");
    fs::write(place, &bytes).expect("writes");
    let entry = serde_json::json!({
        "version": statement.identity.version, "published": NOW, "notes": null, "patches": [],
        "statement": { "sha256": digest.to_string(), "size": bytes.len() },
    });
    index.releases.push(serde_json::from_value(entry).expect("an entry"));
    let path = folder.join("depot").join(release::index::index_path("acme/lamp", "stable"));
    fs::create_dir_all(path.parent().expect("a folder")).expect("makes");
    fs::write(path, index.to_bytes()).expect("writes");
}

fn index_of(folder: &Path) -> Index {
    DepotFolder::open(&folder.join("depot")).expect("opens").indices().expect("reads").remove(0)
}

fn verify(folder: &Path, more: &str) -> Said {
    ampoule_in(folder, format!("verify depot --root root.json --at {AT}{more}").split(' '))
}

#[track_caller]
fn fails(said: &Said, words: &[&str]) {
    assert_eq!(said.code, 5, "{said:?}");
    for word in words {
        assert!(said.out.contains(word) || said.err.contains(word), "`{word}` is said: {said:?}");
    }
}

#[test]
fn law_10_a_signed_depot_is_verified_without_a_network_and_says_what_is_left_open() {
    let bench = Bench::new();
    depot_in(bench.path());
    let said = verify(bench.path(), "");
    assert_eq!(said.code, 0, "{said:?}");
    for word in
        ["ok          statement of 1.0.1 <- targets version 2; by 1 of the keys", "no --policy was given"]
    {
        assert!(said.out.contains(word), "{}", said.out);
    }
    let said = ampoule_in(bench.path(), ["verify", "depot"]);
    assert!(said.code == 0 && said.out.contains("no --root was given"), "{said:?}");
    let links = verify(bench.path(), " --json").json()["links"].clone();
    assert!(links.as_array().expect("a list").iter().any(|link| link["result"] == "not-proven"), "{links}");
}

#[test]
fn law_2_what_the_roles_did_not_sign_is_wrong() {
    let bench = Bench::new();
    depot_in(bench.path());
    let mut index = index_of(bench.path());
    add(bench.path(), &mut index, &statement("9.0.0"));
    let words = ["wrong       statement of 9.0.0", "the roles do not list it", "next: do not install it"];
    fails(&verify(bench.path(), ""), &words);
    assert_eq!(verify(bench.path(), " --release 1.0.1").code, 0);
    // The statement of another release in the place of a signed one.
    let mut index = index_of(bench.path());
    index.releases[1].statement = index.releases[0].statement;
    let path = bench.path().join("depot/appliances/acme/lamp/stable.json");
    fs::write(path, index.to_bytes()).expect("writes");
    fails(&verify(bench.path(), " --release 1.0.1"), &["it is the statement of acme/lamp 1.0.0"]);
}

#[test]
fn law_2_an_expired_timestamp_and_a_changed_byte_are_wrong() {
    let bench = Bench::new();
    depot_in(bench.path());
    let late = "verify depot --root root.json --at 2023-12-14T22:13:20Z";
    let said = ampoule_in(bench.path(), late.split(' '));
    fails(&said, &["depot/tuf/timestamp.json: it expired at", "next: compare the clock"]);
    let index = index_of(bench.path());
    let object = release::index::object_path(&index.releases[0].statement.sha256);
    let path = bench.path().join("depot").join(object);
    let mut bytes = fs::read(&path).expect("reads");
    bytes[30] ^= 1;
    fs::write(&path, bytes).expect("writes");
    fails(&verify(bench.path(), ""), &["has not the content it should have", "the depot is damaged"]);
}

#[test]
fn law_7_a_release_without_its_proof_is_not_proven_when_a_policy_is_given() {
    let bench = Bench::new();
    depot_in(bench.path());
    let words = ["not proven  ledger entry of 1.0.1", "the depot has no proof", "2 links that you asked for"];
    fails(&verify(bench.path(), " --policy policy"), &words);
}
