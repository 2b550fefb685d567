//! Fast-forward: a thief counts versions up, so that no honest one is accepted; the maker recovers by taking keys away.

use keys::Sign as _;
use serde_json::json;
use tuf::metadata::TopRole;
use tuf::repository::{Complete, Unsigned};

use crate::bench::{Bench, id, key};

/// A root that takes the snapshot and timestamp keys away and names others.
fn rotated(bench: &Bench) -> Complete<tuf::metadata::Root> {
    let root = bench.repository.root();
    let next = root.next(root.expires);
    let next = next.with_key(TopRole::Snapshot, key(7).public()).without_key(TopRole::Snapshot, &id(2));
    let next = next.with_key(TopRole::Timestamp, key(8).public()).without_key(TopRole::Timestamp, &id(3));
    Unsigned::root(Some(root), next).expect("follows").sign_by(&[&key(0)]).expect("signs")
}

/// Both online keys were stolen, and a client has seen versions that no one will ever reach.
fn robbed() -> Bench {
    let mut bench = Bench::updated();
    let far = u64::from(u32::MAX);
    bench.move_to("1.snapshot.json", &format!("{far}.snapshot.json"));
    bench.forge(&format!("{far}.snapshot.json"), &[2], |signed| {
        signed["version"] = json!(far);
        signed["meta"]["acme/evil.json"] = json!({ "version": far });
    });
    bench.list(&format!("{far}.snapshot.json"), "snapshot.json", "timestamp.json", &[3]);
    bench.forge("timestamp.json", &[3], |signed| signed["version"] = json!(far));
    bench.update().expect("the keys are right");
    bench
}

#[test]
fn without_taking_keys_away_honest_versions_are_a_rollback() {
    let mut bench = robbed();
    bench.publish_targets();
    let said = bench.refusal(&["timestamp.json", "snapshot.json"]);
    assert!(said.contains("which is older than version 4294967295 that is trusted already"), "{said}");
}

#[test]
fn a_maker_recovers_by_taking_the_stolen_keys_away() {
    let mut bench = robbed();
    let root = rotated(&bench);
    bench.publish(vec![root], vec![], 7, 8);
    bench.update().expect("recovers");
    let text = |name: &str| String::from_utf8(bench.store[name].clone()).expect("text");
    assert!(!text("timestamp.json").contains("4294967295") && !text("snapshot.json").contains("evil"));
}

#[test]
fn a_crash_in_the_middle_of_the_recovery_does_not_lose_it() {
    let mut bench = robbed();
    let root = rotated(&bench);
    bench.publish(vec![root], vec![], 7, 8);
    let timestamp = bench.server.files.remove("timestamp.json").expect("is there");
    bench.update().expect_err("there is no timestamp");
    assert!(!bench.store.contains_key("timestamp.json") && !bench.store.contains_key("snapshot.json"));
    bench.server.files.insert("timestamp.json".to_owned(), timestamp);
    bench.update().expect("recovers");
}

#[test]
fn a_key_that_is_added_lets_nobody_roll_back() {
    let mut bench = Bench::new();
    let old = bench.server.files["timestamp.json"].clone();
    bench.publish_targets();
    bench.update().expect("updates");
    let root = bench.repository.root();
    let next = root.next(root.expires).with_key(TopRole::Timestamp, key(8).public());
    let next = Unsigned::root(Some(root), next).expect("follows").sign_by(&[&key(0)]).expect("signs");
    bench.publish(vec![next], vec![], 2, 3);
    bench.server.files.insert("timestamp.json".to_owned(), old);
    let said = bench.refusal(&["timestamp.json"]);
    assert!(said.contains("it has version 1, which is older than version 2"), "{said}");
}

#[test]
fn a_maker_can_go_on_counting_from_honest_versions() {
    let mut bench = robbed();
    // The thief wrote to the maker's own folder, too.
    let thieves = tuf::repository::Repository::read(&bench.server.files, &bench.store["root.json"]);
    assert!(thieves.is_ok(), "the keys are right");
    let mut repository = thieves.expect("reads").counting_from(1, 1);
    let root = rotated(&bench);
    std::mem::swap(&mut bench.repository, &mut repository);
    bench.publish(vec![root], vec![], 7, 8);
    bench.update().expect("recovers");
    assert!(
        String::from_utf8(bench.store["snapshot.json"].clone()).expect("text").contains("\"version\": 2")
    );
}
