//! Indefinite freeze: news are held back, or clocks are set back.

use serde_json::json;
use tuf::{Attack, Time};

use crate::bench::{BANK, Bench};

#[test]
fn an_expired_timestamp_is_refused() {
    let mut bench = Bench::updated();
    bench.now = bench.now.plus_days(2);
    let error = bench.update().expect_err("is refused");
    assert_eq!(error.attack(), Some(Attack::IndefiniteFreeze));
    let said = bench.refusal(&["timestamp.json"]);
    assert!(
        said.contains("it expired at 2026-11-27T12:00:00Z, and the update began at 2026-11-28T12:00:00Z"),
        "{said}"
    );
}

#[test]
fn every_expired_document_is_refused() {
    for (file, kept) in [("1.snapshot.json", "snapshot.json"), ("1.targets.json", "targets.json")] {
        let mut bench = Bench::new();
        let (expired, signer) = (json!("2026-11-26T12:00:00Z"), if kept == "snapshot.json" { 2 } else { 1 });
        bench.forge(file, &[signer], |signed| signed["expires"] = expired);
        if kept == "targets.json" {
            bench.list(file, kept, "1.snapshot.json", &[2]);
            bench.forge("1.snapshot.json", &[2], |signed| signed["version"] = json!(1));
        }
        bench.list("1.snapshot.json", "snapshot.json", "timestamp.json", &[3]);
        let said = bench.refusal(&[kept]);
        assert!(said.contains(file) && said.contains("it expired at 2026-11-26T12:00:00Z"), "{said}");
    }
}

#[test]
fn an_expired_delegated_document_is_refused() {
    let mut bench = Bench::new();
    bench.forge("1.acme.bank.json", &[4], |signed| signed["expires"] = json!("2026-11-01T00:00:00Z"));
    bench.list("1.acme.bank.json", "acme.bank.json", "1.snapshot.json", &[2]);
    bench.forge("1.snapshot.json", &[2], |signed| signed["version"] = json!(1));
    bench.list("1.snapshot.json", "snapshot.json", "timestamp.json", &[3]);
    let said = bench.search_refusal(BANK, &["acme.bank.json"]);
    assert!(
        said.contains("1.acme.bank.json") && said.contains("it expired at 2026-11-01T00:00:00Z"),
        "{said}"
    );
}

#[test]
fn an_expired_root_without_a_newer_one_is_refused_and_one_on_the_way_is_not() {
    let mut bench = Bench::updated();
    bench.now = bench.now.plus_days(366);
    let said = bench.refusal(&["timestamp.json"]);
    assert!(said.contains("`1.root.json` is refused: it expired at 2027-11-26T12:00:00Z"), "{said}");
    bench.forge("1.root.json", &[0], |signed| {
        signed["version"] = json!(2);
        signed["expires"] = json!("2029-01-01T00:00:00Z");
    });
    bench.move_to("1.root.json", "2.root.json");
    bench.forge("timestamp.json", &[3], |signed| {
        signed["version"] = json!(2);
        signed["expires"] = json!("2029-01-01T00:00:00Z");
    });
    let said = bench.refusal(&[]);
    assert!(said.contains("snapshot.json") && said.contains("expired"), "the root is accepted: {said}");
}

#[test]
fn a_clock_that_is_set_back_makes_nothing_fresh_again() {
    let mut bench = Bench::updated();
    bench.now = Time(bench.now.0 - 7200);
    let error = bench.update().expect_err("is refused");
    assert_eq!(error.attack(), Some(Attack::IndefiniteFreeze));
    assert_eq!(
        error.to_string(),
        "`the clock` is refused: the clock says 2026-11-26T10:00:00Z, and the last update was complete at 2026-11-26T12:00:00Z"
    );
    bench.now = Time(bench.now.0 + 7000);
    bench.update().expect("a clock that is set right by minutes is no attack");
}

#[test]
fn a_clock_that_is_far_ahead_for_once_locks_nobody_out() {
    let mut bench = Bench::updated();
    bench.now = bench.now.plus_days(4000);
    bench.refusal(&["last-update"]);
    bench.now = bench.now.plus_days(0);
    let mut bench = Bench { now: crate::bench::NOW, ..bench };
    bench.update().expect("the time of a refused update is not kept");
}

#[test]
fn documents_from_the_future_are_no_reason_to_wait() {
    // The specification has no beginning of validity. What counts is that they are signed, and the newest.
    let mut bench = Bench::updated();
    bench.forge("timestamp.json", &[3], |signed| {
        signed["version"] = json!(2);
        signed["expires"] = json!("9999-12-31T23:59:59Z");
    });
    bench.update().expect("updates");
}

#[test]
fn time_stands_still_during_an_update() {
    let mut bench = Bench::new();
    // One second before it expires: it is fresh for the whole update, however long that takes.
    bench.now = Time(bench.now.plus_days(1).0 - 1);
    bench.find(BANK).expect("finds");
    bench.now = Time(bench.now.0 + 1);
    assert!(bench.update().is_err());
}
