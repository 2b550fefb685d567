//! Mix and match: documents that never belonged together.

use serde_json::json;

use crate::bench::Bench;

#[test]
fn an_old_snapshot_under_the_name_of_the_new_one_is_refused() {
    let mut bench = Bench::new();
    bench.publish_targets();
    bench.move_to("1.snapshot.json", "2.snapshot.json");
    let said = bench.refusal(&["snapshot.json"]);
    assert!(said.contains("2.snapshot.json") && said.contains("its sha256 is not the listed one"), "{said}");
}

#[test]
fn old_targets_under_the_name_of_the_new_ones_are_refused() {
    let mut bench = Bench::new();
    bench.publish_targets();
    bench.move_to("1.targets.json", "2.targets.json");
    let said = bench.refusal(&["targets.json"]);
    assert!(said.contains("2.targets.json") && said.contains("its sha256 is not the listed one"), "{said}");
}

#[test]
fn versions_bind_where_no_digest_is_listed() {
    let mut bench = Bench::new();
    bench.publish_targets();
    bench.forge("2.snapshot.json", &[2], |signed| signed["meta"]["targets.json"] = json!({ "version": 2 }));
    bench.forge("timestamp.json", &[3], |signed| signed["meta"]["snapshot.json"] = json!({ "version": 2 }));
    bench.update().expect("lengths and digests may be left out");
    let mut bench = Bench { store: Bench::new().store, ..bench };
    bench.move_to("1.targets.json", "2.targets.json");
    let said = bench.refusal(&["targets.json"]);
    assert!(said.contains("it has version 1, and version 2 is expected"), "{said}");
    bench.move_to("1.snapshot.json", "2.snapshot.json");
    bench.store = Bench::new().store;
    let said = bench.refusal(&["snapshot.json"]);
    assert!(said.contains("it has version 1, and version 2 is expected"), "{said}");
}

#[test]
fn another_length_than_listed_is_refused() {
    let mut bench = Bench::new();
    bench.forge("timestamp.json", &[3], |signed| {
        let listed = &mut signed["meta"]["snapshot.json"]["length"];
        *listed = json!(listed.as_u64().expect("a length") + 1);
    });
    let said = bench.refusal(&["snapshot.json"]);
    assert!(said.contains("is not the listed file: its length"), "{said}");
}

#[test]
fn a_digest_that_is_not_understood_is_no_digest() {
    let mut bench = Bench::new();
    bench.forge("timestamp.json", &[3], |signed| {
        signed["meta"]["snapshot.json"]["hashes"] = json!({ "md5": "00" });
    });
    let said = bench.refusal(&["snapshot.json"]);
    assert!(said.contains("no digest is listed that this version understands"), "{said}");
}
