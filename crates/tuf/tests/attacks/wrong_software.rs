//! Wrong software: right signatures, for something else.

use serde_json::json;
use tuf::metadata::{TargetFile, Targets};
use tuf::repository::Unsigned;

use crate::bench::{BANK, Bench, STATEMENT, bank, path};

/// The delegated role lists something more, and signs it properly.
fn bank_lists(target: &str) -> Bench {
    let mut bench = Bench::updated();
    let from = bench.repository.targets(&tuf::RoleName::targets()).expect("targets").clone();
    let mut next: Targets = bench.repository.targets(&bank()).expect("targets").next(bench.now.plus_days(9));
    next.targets.insert(target.to_owned(), TargetFile::of(b"not yours"));
    let next = Unsigned::delegated(&from, "targets", "acme.bank", next).expect("is delegated to");
    let next = next.sign_by(&[&crate::bench::key(4)]).expect("signs");
    bench.publish(vec![], vec![(bank(), next)], 2, 3);
    bench
}

#[test]
fn a_role_can_not_speak_of_another_appliance() {
    let mut bench = bank_lists("acme/shop/2.0/statement.json");
    let said = bench.search_refusal("acme/shop/2.0/statement.json", &["targets.json"]);
    assert!(said.contains("is listed by no role that may list it"), "{said}");
    bench.find(BANK).expect("its own it can speak of");
}

#[test]
fn a_role_can_not_speak_over_the_one_that_trusts_it() {
    let mut bench = bank_lists(STATEMENT);
    let found = bench.find(STATEMENT).expect("finds");
    assert_eq!((found.role.as_str(), found.file.check_bytes(b"not yours").is_err()), ("targets", true));
}

#[test]
fn what_was_signed_of_a_file_reaches_who_installs_it() {
    // Whether it is the right appliance and channel is told by `custom`, which the client hands on.
    let found = Bench::new().find(STATEMENT).expect("finds");
    assert_eq!(found.file.custom.expect("something")["version"], json!("1.0"));
    assert_eq!((found.role.as_str(), found.version), ("targets", 1));
    let digest = found.file.hashes.digest_by("sha256").expect("a digest");
    assert_eq!(found.url_path, format!("acme/shop/1.0/{digest}.statement.json"));
    assert_eq!(found.path, path(STATEMENT));
}
