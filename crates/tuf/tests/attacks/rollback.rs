//! Rollback: old documents shown as new ones.

use keys::Sign as _;
use serde_json::json;
use tuf::metadata::{Root, TopRole};
use tuf::repository::Unsigned;

use crate::bench::{BANK, Bench, key};

#[test]
fn an_older_timestamp_is_refused() {
    let mut bench = Bench::new();
    let old = bench.server.files["timestamp.json"].clone();
    bench.publish_targets();
    bench.update().expect("updates");
    bench.server.files.insert("timestamp.json".to_owned(), old);
    let said = bench.refusal(&["timestamp.json"]);
    assert_eq!(
        said,
        "`https://depot0.example/timestamp.json` is refused: it has version 1, which is older than version 2 that is trusted already"
    );
}

#[test]
fn a_timestamp_that_lists_an_older_snapshot_is_refused() {
    let mut bench = Bench::new();
    bench.publish_targets();
    bench.update().expect("updates");
    bench.list("1.snapshot.json", "snapshot.json", "timestamp.json", &[3]);
    let said = bench.refusal(&["timestamp.json", "snapshot.json"]);
    assert!(said.contains("lists version 1 of `snapshot.json`, which is older than version 2"), "{said}");
}

#[test]
fn a_snapshot_that_lists_an_older_targets_document_is_refused() {
    let mut bench = Bench::new();
    bench.publish_targets();
    bench.update().expect("updates");
    bench.move_to("2.snapshot.json", "3.snapshot.json");
    bench.list("1.targets.json", "targets.json", "3.snapshot.json", &[2]);
    bench.list("3.snapshot.json", "snapshot.json", "timestamp.json", &[3]);
    let said = bench.refusal(&["snapshot.json", "targets.json"]);
    assert!(said.contains("lists version 1 of `targets.json`, which is older than version 2"), "{said}");
}

#[test]
fn a_snapshot_that_lists_an_older_delegated_document_is_refused() {
    let mut bench = Bench::updated();
    bench.move_to("1.snapshot.json", "2.snapshot.json");
    bench.forge("2.snapshot.json", &[2], |signed| {
        signed["version"] = json!(2);
        signed["meta"]["acme.bank.json"]["version"] = json!(5);
    });
    bench.list("2.snapshot.json", "snapshot.json", "timestamp.json", &[3]);
    bench.update().expect("counting up is what keys are for");
    bench.move_to("1.snapshot.json", "3.snapshot.json");
    bench.forge("3.snapshot.json", &[2], |signed| signed["version"] = json!(3));
    bench.list("3.snapshot.json", "snapshot.json", "timestamp.json", &[3]);
    let said = bench.search_refusal(BANK, &["snapshot.json", "acme.bank.json"]);
    assert!(said.contains("lists version 1 of `acme.bank.json`, which is older than version 5"), "{said}");
}

#[test]
fn a_snapshot_that_does_not_list_a_delegated_document_any_more_is_refused() {
    let mut bench = Bench::updated();
    bench.move_to("1.snapshot.json", "2.snapshot.json");
    bench.forge("2.snapshot.json", &[2], |signed| {
        signed["version"] = json!(2);
        signed["meta"].as_object_mut().expect("an object").remove("acme.bank.json");
    });
    bench.list("2.snapshot.json", "snapshot.json", "timestamp.json", &[3]);
    let said = bench.refusal(&["snapshot.json"]);
    assert!(said.contains("does not list `acme.bank.json` any more"), "{said}");
}

#[test]
fn an_older_root_in_the_place_of_the_next_is_refused() {
    let mut bench = Bench::updated();
    bench.move_to("1.root.json", "2.root.json");
    let said = bench.refusal(&["root.json"]);
    assert!(said.contains("it has version 1, and version 2 is expected"), "{said}");
}

/// Found in another client: the root's version was not compared with the one that was asked for.
#[test]
fn a_root_that_skips_versions_is_refused() {
    let mut bench = Bench::updated();
    bench.move_to("1.root.json", "2.root.json");
    bench.forge("2.root.json", &[0], |signed| signed["version"] = json!(7));
    let said = bench.refusal(&["root.json"]);
    assert!(said.contains("it has version 7, and version 2 is expected"), "{said}");
}

/// Found in another client: a timestamp that was refused was kept, and trusted at the next update.
#[test]
fn a_refused_timestamp_is_not_kept() {
    let mut bench = Bench::updated();
    bench.forge("timestamp.json", &[3], |signed| {
        signed["version"] = json!(9);
        signed["expires"] = json!("2026-11-25T00:00:00Z");
    });
    bench.refusal(&["timestamp.json"]);
    bench.forge("timestamp.json", &[3], |signed| {
        signed["version"] = json!(2);
        signed["expires"] = json!("2026-11-30T00:00:00Z");
    });
    bench.update().expect("the refused version binds nobody");
}

#[test]
fn the_same_timestamp_version_with_other_content_changes_nothing() {
    let mut bench = Bench::updated();
    bench.forge("timestamp.json", &[3], |signed| signed["meta"]["snapshot.json"]["version"] = json!(100));
    let before = bench.store.clone();
    bench.update().expect("there is nothing new");
    assert_eq!(bench.store, before);
    assert_eq!(bench.server.asked, ["2.root.json", "timestamp.json"]);
}

#[test]
fn an_update_that_ended_half_way_goes_on_where_it_was() {
    let mut bench = Bench::updated();
    let root = bench.repository.root();
    let next: Root = root.next(bench.now.plus_days(300)).with_key(TopRole::Root, key(6).public());
    let next = Unsigned::root(Some(root), next).expect("follows").sign_by(&[&key(0)]).expect("signs");
    bench.publish(vec![next], vec![], 2, 3);
    let timestamp = bench.server.files.remove("timestamp.json").expect("is there");
    let said = bench.refusal(&["timestamp.json", "snapshot.json", "targets.json"]);
    assert!(
        said.contains("`https://depot0.example/timestamp.json` is not to be had: it is not there"),
        "{said}"
    );
    bench.server.files.insert("timestamp.json".to_owned(), timestamp);
    bench.server.asked.clear();
    bench.update().expect("goes on");
    assert_eq!(bench.server.asked, ["3.root.json", "timestamp.json"], "the root was stored");
}
