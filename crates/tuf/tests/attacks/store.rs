//! The store of a client: lost, damaged, tampered with.

use tuf::client::{trust_root, update};
use tuf::store::{FolderStore, Store};

use crate::bench::{Bench, Files, STATEMENT, forged, path};

#[test]
fn without_a_root_nothing_is_trusted() {
    let mut bench = Bench::new();
    bench.store.clear();
    let said = bench.refusal(&[]);
    assert_eq!(said, "`root.json` is not to be had: there is no trusted root to begin with");
    assert!(bench.server.asked.is_empty());
}

#[test]
fn a_damaged_root_is_refused_and_nothing_is_asked_for() {
    let mut bench = Bench::updated();
    for bytes in [&b""[..], b"{}", b"null", &bench.store["targets.json"].clone()] {
        bench.store.insert("root.json".to_owned(), bytes.to_vec());
        assert!(bench.refusal(&["root.json"]).starts_with("`root.json` is refused: it"));
    }
    let value: serde_json::Value = serde_json::from_slice(&bench.server.files["1.root.json"]).expect("JSON");
    bench.store.insert("root.json".to_owned(), forged(&value["signed"], &[5]));
    assert!(
        bench.refusal(&["root.json"]).contains(
            "too few signed it: 0 of the 1 that it takes, among the keys that root version 1 names"
        )
    );
    assert!(bench.server.asked.is_empty());
}

#[test]
fn a_first_root_has_to_be_signed_by_itself() {
    let bench = Bench::new();
    let value: serde_json::Value = serde_json::from_slice(&bench.server.files["1.root.json"]).expect("JSON");
    let mut store = Files::new();
    assert!(trust_root(&mut store, &forged(&value["signed"], &[5])).is_err());
    assert!(store.is_empty());
}

#[test]
fn damaged_copies_are_replaced_and_told() {
    let mut bench = Bench::updated();
    bench.store.insert("timestamp.json".to_owned(), b"{".to_vec());
    bench.store.insert("snapshot.json".to_owned(), b"".to_vec());
    bench.store.insert("targets.json".to_owned(), vec![0; 50]);
    bench.store.insert("last-update".to_owned(), vec![0xff; 5]);
    let mut updated = update(&mut bench.store, &mut bench.server, bench.limits, bench.now).expect("updates");
    assert_eq!(updated.damaged(), ["last-update", "timestamp.json", "snapshot.json"]);
    updated.find(&path(STATEMENT)).expect("finds");
    assert_eq!(bench.store["targets.json"], bench.server.files["1.targets.json"]);
    bench.update().expect("updates");
}

#[test]
fn documents_are_stored_as_they_came() {
    let bench = Bench::updated();
    for (stored, served) in [("timestamp.json", "timestamp.json"), ("targets.json", "1.targets.json")] {
        assert_eq!(bench.store[stored], bench.server.files[served]);
    }
    let names: Vec<&str> = bench.store.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["acme.bank.json", "last-update", "root.json", "snapshot.json", "targets.json", "timestamp.json"]
    );
}

#[test]
fn a_folder_keeps_what_it_is_given() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = FolderStore::new(folder.path());
    assert_eq!(store.read("a.json").expect("reads"), None);
    store.write("a.json", b"one").expect("writes");
    store.write("a.json", b"two").expect("writes");
    assert_eq!(store.read("a.json").expect("reads").as_deref(), Some(&b"two"[..]));
    assert_eq!(std::fs::read_dir(folder.path()).expect("lists").count(), 1);
    store.remove("a.json").expect("removes");
    store.remove("a.json").expect("is gone already");
    assert_eq!(store.read("a.json").expect("reads"), None);
}

#[test]
fn a_store_that_can_not_be_written_is_told_with_its_cause() {
    let bench = Bench::new();
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = FolderStore::new(folder.path().join("missing"));
    let error = trust_root(&mut store, &bench.server.files["1.root.json"]).expect_err("is refused");
    assert_eq!(error.to_string(), "`root.json` is not to be had: the trusted copy can not be written");
    assert!(std::error::Error::source(&error).is_some());
}
