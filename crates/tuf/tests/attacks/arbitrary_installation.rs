//! Arbitrary installation, and keys that are stolen, too few or counted twice.

use keys::Sign as _;
use serde_json::{Value, json};
use tuf::metadata::{Targets, TopRole};
use tuf::repository::Unsigned;
use tuf::{Key, RoleName};

use crate::bench::{BANK, Bench, CONTENT, STATEMENT, forged, id, key, signed_targets};

#[test]
fn a_file_with_other_bytes_than_signed_is_refused() {
    let mut bench = Bench::new();
    let found = bench.find(STATEMENT).expect("finds");
    assert_eq!(found.file.check_bytes(CONTENT), Ok(()));
    let mut other = CONTENT.to_vec();
    other[3] ^= 1;
    let said = found.file.check_bytes(&other).expect_err("is refused").to_string();
    assert_eq!(said, "its sha256 is not the listed one");
}

#[test]
fn a_document_that_was_changed_after_it_was_signed_is_refused() {
    for (file, kept) in [("timestamp.json", "timestamp.json"), ("2.root.json", "root.json")] {
        let mut bench = Bench::updated();
        bench.publish_targets();
        if file == "2.root.json" {
            bench.move_to("1.root.json", file);
        }
        let text = String::from_utf8(bench.server.files[file].clone()).expect("text");
        bench
            .server
            .files
            .insert(file.to_owned(), text.replace("2026-11", "2027-11").replace("2027", "2031").into());
        let said = bench.refusal(&[kept]);
        assert!(
            said.contains(file)
                && said.contains(
                    "too few signed it: 0 of the 1 that it takes, among the keys that root version 1 names"
                ),
            "{said}"
        );
    }
}

#[test]
fn a_document_that_strangers_signed_is_refused() {
    for (file, owner) in [("timestamp.json", 3), ("2.snapshot.json", 2), ("2.targets.json", 1)] {
        let mut bench = Bench::updated();
        bench.publish_targets();
        // Each of the other roles' keys, and a stranger's.
        let strangers: Vec<u8> = (0..6).filter(|number| *number != owner).collect();
        bench.forge(file, &strangers, |_| ());
        if file == "2.targets.json" {
            bench.list(file, "targets.json", "2.snapshot.json", &[2]);
            bench.forge("2.snapshot.json", &[2], |signed| signed["version"] = json!(2));
        }
        if file != "timestamp.json" {
            bench.list("2.snapshot.json", "snapshot.json", "timestamp.json", &[3]);
        }
        let kept = file.trim_start_matches("2.");
        let said = bench.refusal(&[kept]);
        assert!(said.contains("too few signed it: 0 of the 1"), "{file}: {said}");
    }
}

#[test]
fn a_stolen_timestamp_key_installs_nothing() {
    let mut bench = Bench::updated();
    bench.forge("1.targets.json", &[3], |signed| signed["version"] = json!(2));
    bench.move_to("1.targets.json", "2.targets.json");
    bench.move_to("1.snapshot.json", "2.snapshot.json");
    bench.list("2.targets.json", "targets.json", "2.snapshot.json", &[3]);
    bench.list("2.snapshot.json", "snapshot.json", "timestamp.json", &[3]);
    let said = bench.refusal(&["snapshot.json", "targets.json"]);
    assert!(said.contains("2.snapshot.json") && said.contains("too few signed it: 0 of the 1"), "{said}");
}

#[test]
fn stolen_online_keys_install_nothing() {
    let mut bench = Bench::updated();
    bench.forge("1.targets.json", &[2, 3], |signed| signed["version"] = json!(2));
    bench.move_to("1.targets.json", "2.targets.json");
    bench.move_to("1.snapshot.json", "2.snapshot.json");
    bench.list("2.targets.json", "targets.json", "2.snapshot.json", &[2]);
    bench.list("2.snapshot.json", "snapshot.json", "timestamp.json", &[3]);
    let said = bench.refusal(&["targets.json"]);
    assert!(said.contains("2.targets.json") && said.contains("too few signed it: 0 of the 1"), "{said}");
}

/// A root that takes two targets keys, of three.
fn two_of_three() -> Bench {
    let mut bench = Bench::updated();
    let root = bench.repository.root();
    let next = root.next(root.expires);
    let next = next.with_key(TopRole::Targets, key(6).public()).with_key(TopRole::Targets, key(7).public());
    let next = next.with_threshold(TopRole::Targets, 2);
    let next = Unsigned::root(Some(root), next).expect("follows").sign_by(&[&key(0)]).expect("signs");
    let targets =
        bench.repository.targets(&RoleName::targets()).expect("targets").next(bench.now.plus_days(9));
    let targets = Unsigned::top_level(next.body(), targets).sign_by(&[&key(1), &key(6)]).expect("signs");
    bench.publish(vec![next], vec![(RoleName::targets(), targets)], 2, 3);
    bench
}

/// Signs the newest targets document anew, and lists it as the next one.
fn offer_signed_by(bench: &mut Bench, change: impl FnOnce(Vec<u8>) -> Vec<u8>, signers: &[u8]) {
    bench.move_to("2.targets.json", "3.targets.json");
    bench.forge("3.targets.json", signers, |signed| signed["version"] = json!(3));
    let changed = change(bench.server.files["3.targets.json"].clone());
    bench.server.files.insert("3.targets.json".to_owned(), changed);
    bench.move_to("2.snapshot.json", "3.snapshot.json");
    bench.list("3.targets.json", "targets.json", "3.snapshot.json", &[2]);
    bench.list("3.snapshot.json", "snapshot.json", "timestamp.json", &[3]);
}

#[test]
fn a_threshold_that_is_not_met_is_refused() {
    let mut bench = two_of_three();
    bench.update().expect("two signatures are enough");
    offer_signed_by(&mut bench, |bytes| bytes, &[1]);
    let said = bench.refusal(&["targets.json"]);
    assert!(
        said.contains(
            "too few signed it: 1 of the 2 that it takes, among the keys that root version 2 names"
        ),
        "{said}"
    );
}

#[test]
fn two_signatures_of_one_key_id_are_refused() {
    let mut bench = two_of_three();
    offer_signed_by(&mut bench, |bytes| bytes, &[1, 1]);
    let said = bench.refusal(&["targets.json"]);
    assert!(said.contains(&format!("is signed twice with the key {}", id(1))), "{said}");
}

#[test]
fn one_key_under_two_ids_counts_once() {
    let mut bench = Bench::updated();
    let root = bench.repository.root();
    // The same key, with another member: another id, and a correct one.
    let again = Key::of(key(1).public()).with_member("note", json!("again"));
    let next = root.next(root.expires).with_any_key(TopRole::Targets, again.clone());
    let next = next.with_threshold(TopRole::Targets, 2);
    let next = Unsigned::root(Some(root), next).expect("follows").sign_by(&[&key(0)]).expect("signs");
    bench.server.files.insert("2.root.json".to_owned(), next.bytes().to_vec());
    bench.move_to("1.targets.json", "2.targets.json");
    bench.forge("2.targets.json", &[1], |signed| signed["version"] = json!(2));
    let mut document: Value = serde_json::from_slice(&bench.server.files["2.targets.json"]).expect("JSON");
    let mut signature = document["signatures"][0].clone();
    signature["keyid"] = json!(again.id());
    document["signatures"].as_array_mut().expect("an array").push(signature);
    bench.server.files.insert("2.targets.json".to_owned(), serde_json::to_vec(&document).expect("JSON"));
    bench.move_to("1.snapshot.json", "2.snapshot.json");
    bench.list("2.targets.json", "targets.json", "2.snapshot.json", &[2]);
    bench.list("2.snapshot.json", "snapshot.json", "timestamp.json", &[3]);
    let said = bench.refusal(&["targets.json"]);
    assert!(
        said.contains(
            "too few signed it: 1 of the 2 that it takes, among the keys that root version 2 names"
        ),
        "{said}"
    );
}

#[test]
fn a_root_that_lists_a_key_twice_or_under_anothers_id_is_refused() {
    let mut bench = Bench::updated();
    bench.move_to("1.root.json", "2.root.json");
    bench.forge("2.root.json", &[0], |signed| {
        signed["version"] = json!(2);
        signed["roles"]["targets"] = json!({ "keyids": [id(1), id(1)], "threshold": 2 });
    });
    let said = bench.refusal(&["root.json"]);
    assert!(said.contains("the role `targets` lists the key") && said.contains("twice"), "{said}");

    bench.move_to("1.root.json", "2.root.json");
    bench.forge("2.root.json", &[0], |signed| {
        signed["version"] = json!(2);
        signed["keys"][id(1).as_str()] = json!(Key::of(key(5).public()));
    });
    let said = bench.refusal(&["root.json"]);
    assert!(said.contains(&format!("the key id {} is not its key's", id(1))), "{said}");
}

#[test]
fn a_root_needs_both_its_predecessors_keys_and_its_own() {
    for (signers, by) in [(&[5][..], "root version 1"), (&[0][..], "root version 2")] {
        let mut bench = Bench::updated();
        bench.move_to("1.root.json", "2.root.json");
        bench.forge("2.root.json", signers, |signed| {
            signed["version"] = json!(2);
            signed["keys"][id(5).as_str()] = json!(Key::of(key(5).public()));
            signed["roles"]["root"]["keyids"] = json!([id(5)]);
        });
        let said = bench.refusal(&["root.json"]);
        assert!(
            said.contains(&format!(
                "too few signed it: 0 of the 1 that it takes, among the keys that {by} names"
            )),
            "{said}"
        );
    }
}

#[test]
fn a_key_of_a_kind_that_is_not_known_verifies_nothing() {
    let mut bench = Bench::updated();
    let odd = json!({ "keytype": "ed25519", "scheme": "none", "keyval": { "public": key(3).public().to_string() } });
    let odd_key: Key = serde_json::from_value(odd).expect("a key");
    let root = bench.repository.root();
    let next = root.next(root.expires).with_any_key(TopRole::Timestamp, odd_key.clone());
    let next = next.without_key(TopRole::Timestamp, &id(3));
    let next = Unsigned::root(Some(root), next).expect("follows").sign_by(&[&key(0)]).expect("signs");
    bench.server.files.insert("2.root.json".to_owned(), next.bytes().to_vec());
    let text = String::from_utf8(bench.server.files["timestamp.json"].clone()).expect("text");
    let text = text.replace(id(3).as_str(), odd_key.id().as_str());
    bench.server.files.insert("timestamp.json".to_owned(), text.into());
    let said = bench.refusal(&[]);
    assert!(
        said.contains(
            "too few signed it: 0 of the 1 that it takes, among the keys that root version 2 names"
        ),
        "{said}"
    );
}

#[test]
fn a_document_of_another_role_is_refused_even_with_the_right_keys() {
    let mut bench = Bench::updated();
    let signed: Value = serde_json::from_slice(&bench.server.files["1.snapshot.json"]).expect("JSON");
    bench.server.files.insert("timestamp.json".to_owned(), forged(&signed["signed"], &[3]));
    let said = bench.refusal(&["timestamp.json"]);
    assert!(
        said.contains("is a document of the role `snapshot`, and one of `timestamp` is expected"),
        "{said}"
    );
}

#[test]
fn a_stolen_key_signs_nothing_once_a_root_took_it_away() {
    let mut bench = Bench::updated();
    let root = bench.repository.root();
    let next = root.next(root.expires).with_key(TopRole::Targets, key(6).public());
    let next = next.without_key(TopRole::Targets, &id(1));
    let next = Unsigned::root(Some(root), next).expect("follows").sign_by(&[&key(0)]).expect("signs");
    let targets =
        bench.repository.targets(&RoleName::targets()).expect("targets").next(bench.now.plus_days(9));
    let again = Unsigned::top_level(next.body(), targets.clone()).sign_by(&[&key(6)]).expect("signs");
    let before = Unsigned::top_level(root, targets).sign_by(&[&key(1)]).expect("signs");
    bench.publish(vec![next], vec![(RoleName::targets(), again)], 2, 3);
    // The thief offers the version that the stolen key signed, with online keys that were stolen, too.
    bench.server.files.insert("2.targets.json".to_owned(), before.bytes().to_vec());
    bench.list("2.targets.json", "targets.json", "2.snapshot.json", &[2]);
    bench.forge("2.snapshot.json", &[2], |signed| signed["version"] = json!(2));
    bench.list("2.snapshot.json", "snapshot.json", "timestamp.json", &[3]);
    let said = bench.refusal(&["targets.json"]);
    assert!(
        said.contains(
            "too few signed it: 0 of the 1 that it takes, among the keys that root version 2 names"
        ),
        "{said}"
    );
}

#[test]
fn extraneous_dependencies_are_refused() {
    // What a signed statement asks for has to be signed itself.
    let mut bench = Bench::updated();
    let said = bench.search_refusal("acme/shop/1.0/installer.sh", &["targets.json"]);
    assert!(said.contains("`acme/shop/1.0/installer.sh` is listed by no role that may list it"), "{said}");
}

#[test]
fn unknown_members_are_part_of_what_is_signed() {
    let mut bench = Bench::updated();
    let mut targets: Targets =
        bench.repository.targets(&RoleName::targets()).expect("targets").next(bench.now.plus_days(9));
    targets.extra.insert("x-newer".to_owned(), json!({ "b": [1, "é"], "a": null }));
    let targets = signed_targets(bench.repository.root(), targets);
    bench.publish(vec![], vec![(RoleName::targets(), targets)], 2, 3);
    bench.update().expect("updates");
    bench.find(BANK).expect("finds");
    let text = String::from_utf8(bench.store["targets.json"].clone()).expect("text");
    assert!(text.contains("x-newer"));
    let without = text.replace("x-newer", "x-never");
    bench.store.insert("targets.json".to_owned(), without.into());
    bench.server.files.clear();
    bench.server.files.insert("timestamp.json".to_owned(), bench.store["timestamp.json"].clone());
    let said = bench.refusal(&[]);
    assert!(said.contains("2.targets.json") && said.contains("is not there"), "{said}");
}
