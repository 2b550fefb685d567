//! Depots: what their roles sign and their ledger has, and everything else.

use std::fs;
use std::path::Path;

use depot::DepotFolder;
use depot::serve::{Limits, Server};
use keys::role::RoleSign;
use model::Sha256Digest;
use release::Index;
use testkit::Bench;

use crate::common::NOW;
use crate::common::maker::Maker;
use crate::support::{Said, ampoule_in, without_starts};
use crate::world::{World, change_byte};
use crate::{AT, fails, says};

/// A depot of two releases, both signed by their maker's roles.
fn depot_in(folder: &Path) {
    let maker = Maker::new();
    fs::write(folder.join("root.json"), &maker.root).expect("writes");
    fs::write(folder.join("policy"), format!("log {}\nquorum none\n", maker.signer().key())).expect("writes");
    let _locks = without_starts();
    let depot = DepotFolder::open_or_create(&folder.join("depot")).expect("a depot");
    let signers: [&dyn RoleSign; 2] = [&maker.offline, &maker.online];
    let signing =
        depot::roles::Signing { root: &maker.root, signers: &signers, now: NOW, fresh_days: 1, signed: None };
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

#[test]
fn law_7_a_proof_of_another_release_or_of_another_ledger_is_wrong() {
    let world = World::with(&["1.0.0", "1.0.1"]);
    let good = world.verify("depot", "");
    assert_eq!(good.code, 0, "{good:?}");
    says(&good, &["ok          ledger entry of 1.0.1 <- tree of 2 of example.com/log; by the ledger's key"]);
    // A policy of another ledger, which has nothing to do with this maker.
    let key = keys::SecretKey::from_seed(&[9; 32]);
    let other = ledger::note::NoteSigner::new("example.com/other".parse().expect("a name"), &key);
    fs::write(world.path("other"), format!("log {}\nquorum none\n", other.key())).expect("writes");
    let said = world.ampoule(&format!("verify depot --root root.json --policy other --at {AT}"));
    fails(&said, &["wrong       ledger entry of 1.0.1", "the log `example.com/log` is not in the policy"]);
    // The proof of the release before.
    world.change_index(|index| index.releases[1].proof = index.releases[0].proof);
    let words = ["ok          ledger entry of 1.0.0", "wrong       ledger entry of 1.0.1", "does not hold"];
    fails(&world.verify("depot", ""), &words);
}

#[test]
fn a_depot_is_verified_by_its_url_as_by_its_folder() {
    let world = World::with(&["1.0.0", "1.0.1"]);
    let listen = "127.0.0.1:0".parse().expect("an address");
    let server = Server::start(&world.path("depot"), listen, Limits::default(), drop).expect("serves");
    let url = server.url();
    let said = world.verify(&url, "");
    assert!(said.code == 2 && said.err.contains("hint: name it with `--appliance VENDOR/NAME`"), "{said:?}");
    let named = " --appliance ampoule-examples/lamp";
    let said = world.verify(&url, named);
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(said.out, world.verify("depot", named).out, "the same chain");
    // What a release folder says is looked up there, too.
    let said = world.verify("lamp-1.0.1", &format!(" --depot {url}"));
    assert_eq!(said.code, 0, "{said:?}");
    says(&said, &["ok          statement of 1.0.1 <- targets version 2"]);
    let proof = world.bench.index().releases[1].proof.expect("a proof").sha256;
    change_byte(&world.path("depot").join(release::index::object_path(&proof)), 70);
    fails(&world.verify(&url, named), &["wrong       proof of 1.0.1", "has not the content it should have"]);
    drop(server);
    let said = world.verify(&url, named);
    assert_eq!(said.code, 4, "a depot that does not answer is no chain: {said:?}");
}

#[test]
fn a_failing_link_gives_a_program_one_document_and_a_person_the_failure() {
    let bench = Bench::new();
    depot_in(bench.path());
    let said = verify(bench.path(), " --policy policy --json");
    assert_eq!(said.code, 5, "{said:?}");
    // Two documents would not be read as one.
    assert_eq!(said.json()["verdict"], "not-proven");
    assert!(said.err.starts_with("error: `depot` is not proven: 2 links"), "{said:?}");
    assert_eq!(verify(bench.path(), " --json").json()["verdict"], "holds");
    // Where there is no chain, the failure is the document.
    let said = ampoule_in(bench.path(), "verify absent --json".split(' '));
    assert!(said.code != 0 && said.json()["error"]["message"].is_string() && said.err.is_empty(), "{said:?}");
}

#[test]
fn a_damaged_index_is_a_wrong_link_and_the_roles_are_shown_nevertheless() {
    let world = World::with(&["1.0.0"]);
    let path = world.path("depot/appliances/ampoule-examples/lamp/stable.json");
    change_byte(&path, 0);
    let said = world.verify("depot", " --appliance ampoule-examples/lamp");
    fails(
        &said,
        &["wrong       index appliances/", "ok          targets version 1", "next: the depot is damaged"],
    );
    fails(&world.verify("depot", ""), &["wrong       index <- the form of an index"]);
}
