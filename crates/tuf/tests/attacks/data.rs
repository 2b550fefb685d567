//! Endless, truncated, broken and meaningless data.

use proptest::prelude::*;
use serde_json::json;
use tuf::Document;
use tuf::metadata::{Root, Snapshot, TargetFile, Targets, Timestamp};

use crate::bench::{Bench, CONTENT, STATEMENT};

#[test]
fn endless_data_ends_at_a_limit() {
    for (file, kept) in [
        ("2.root.json", "root.json"),
        ("timestamp.json", "timestamp.json"),
        ("2.snapshot.json", "snapshot.json"),
        ("2.targets.json", "targets.json"),
    ] {
        let mut bench = Bench::updated();
        bench.publish_targets();
        bench.server.endless = Some(file);
        let said = bench.refusal(&[kept]);
        assert!(
            said.contains(file) && said.contains("it is longer than") && said.contains("bytes"),
            "{said}"
        );
    }
}

#[test]
fn a_thief_of_the_timestamp_key_can_not_raise_a_limit() {
    let mut bench = Bench::updated();
    bench.publish_targets();
    bench.forge("timestamp.json", &[3], |signed| {
        signed["version"] = json!(3);
        signed["meta"]["snapshot.json"]["length"] = json!(1_u64 << 60);
    });
    bench.server.endless = Some("2.snapshot.json");
    let said = bench.refusal(&["snapshot.json"]);
    assert!(said.contains("it is longer than 1048576 bytes"), "{said}");
}

#[test]
fn an_endless_target_ends_at_its_length() {
    let mut bench = Bench::new();
    let found = bench.find(STATEMENT).expect("finds");
    let mut check = found.file.check();
    check.update(CONTENT).expect("as listed");
    let said = check.update(b" ").expect_err("is refused").to_string();
    assert_eq!(
        said,
        format!("its length in bytes is {}, and {} is listed", CONTENT.len() + 1, CONTENT.len())
    );
    let mut check = found.file.check();
    check.update(&CONTENT[1..]).expect("shorter so far");
    assert!(check.finish().expect_err("is refused").to_string().contains("is listed"));
}

#[test]
fn endless_roots_end_at_a_limit() {
    let mut bench = Bench::updated();
    for version in 2..40 {
        bench.move_to("1.root.json", &format!("{version}.root.json"));
        bench.forge(&format!("{version}.root.json"), &[0], |signed| signed["version"] = json!(version));
    }
    bench.limits.roots = 10;
    bench.update().expect("goes on with what it has");
    let asked = bench.server.asked.iter().filter(|name| name.ends_with("root.json")).count();
    assert_eq!(asked, 10);
}

#[test]
fn truncated_documents_are_refused_and_nothing_of_them_is_kept() {
    for (file, kept) in [
        ("2.root.json", "root.json"),
        ("timestamp.json", "timestamp.json"),
        ("2.snapshot.json", "snapshot.json"),
        ("2.targets.json", "targets.json"),
    ] {
        let mut bench = Bench::updated();
        bench.publish_targets();
        bench.move_to("1.root.json", "2.root.json");
        bench.forge("2.root.json", &[0], |signed| signed["version"] = json!(2));
        for length in [0, 1, 100] {
            let mut cut = bench.server.files[file].clone();
            cut.truncate(length);
            bench.server.files.insert(file.to_owned(), cut);
            let said = bench.refusal(&[kept]);
            assert!(said.contains(file), "{said}");
            assert!(
                said.contains("can not be understood") || said.contains("is not the listed file: its length"),
                "{said}"
            );
        }
    }
}

#[test]
fn a_line_that_breaks_is_told_as_such() {
    let mut bench = Bench::updated();
    bench.publish_targets();
    bench.server.broken = Some("2.snapshot.json");
    let said = bench.refusal(&["snapshot.json"]);
    assert_eq!(said, "`https://depot0.example/2.snapshot.json` is not to be had: it can not be reached");
    bench.server.broken = None;
    bench.update().expect("goes on");
}

#[test]
fn another_version_of_the_specification_is_refused() {
    let mut bench = Bench::updated();
    bench.forge("timestamp.json", &[3], |signed| signed["spec_version"] = json!("2.0.0"));
    let said = bench.refusal(&["timestamp.json"]);
    assert!(said.contains("it follows version `2.0.0` of TUF; this program reads versions 1.x"), "{said}");
}

#[test]
fn numbers_that_can_not_be_are_refused() {
    for version in [json!(0), json!(-1), json!(1.5), json!("2"), json!(null), json!(1e30)] {
        let mut bench = Bench::updated();
        bench.forge("timestamp.json", &[3], |signed| signed["version"] = version.clone());
        let said = bench.refusal(&["timestamp.json"]);
        assert!(said.contains("can not be understood"), "{version}: {said}");
    }
    let mut bench = Bench::updated();
    bench.move_to("1.root.json", "2.root.json");
    bench.forge("2.root.json", &[0], |signed| {
        signed["version"] = json!(2);
        signed["roles"]["targets"]["threshold"] = json!(0);
    });
    assert!(bench.refusal(&["root.json"]).contains("0 is no whole number above zero"));
}

fn read_all(bytes: &[u8]) {
    if let Ok(document) = Document::parse(bytes) {
        let _ = document.body::<Root>();
        let _ = document.body::<Targets>();
        let _ = document.body::<Snapshot>();
        let _ = document.body::<Timestamp>();
    }
}

proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..500)) {
        read_all(&bytes);
    }

    /// Honest documents, with some bytes changed, removed or put in.
    #[test]
    fn no_changed_document_makes_a_reader_panic_or_is_accepted(
        which in 0_usize..5,
        place in any::<prop::sample::Index>(),
        removed in 0_usize..8,
        put in prop::collection::vec(any::<u8>(), 0..8),
    ) {
        let mut bench = Bench::updated();
        bench.store.remove("acme.bank.json");
        bench.publish_targets();
        bench.move_to("1.root.json", "2.root.json");
        bench.forge("2.root.json", &[0], |signed| signed["version"] = json!(2));
        let file = ["2.root.json", "timestamp.json", "2.snapshot.json", "2.targets.json", "1.acme.bank.json"][which];
        let mut bytes = bench.server.files[file].clone();
        let from = place.index(bytes.len());
        let to = (from + removed).min(bytes.len());
        bytes.splice(from..to, put);
        read_all(&bytes);
        let honest: serde_json::Value = serde_json::from_slice(&bench.server.files[file]).expect("JSON");
        let is_other = serde_json::from_slice::<serde_json::Value>(&bytes).ok() != Some(honest);
        bench.server.files.insert(file.to_owned(), bytes.clone());
        let outcome = bench.find(crate::bench::BANK);
        if is_other && outcome.is_ok() {
            // Signatures that nobody asked for may change; what was signed may not.
            prop_assert!(which <= 1, "{file} was accepted");
        }
    }

    #[test]
    fn no_other_bytes_are_a_target(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let file = TargetFile::of(CONTENT);
        prop_assert_eq!(file.check_bytes(&bytes).is_ok(), bytes == CONTENT);
    }
}
