//! What needs a mirror of Debian: the one this machine's own apt configuration names. Every test here asks the network.

mod support;

use std::fs;

use support::{ampoule_in, lamp_in, replace};
use testkit::Bench;

#[test]
fn a_package_that_does_not_exist_is_refused_with_near_names() {
    let bench = Bench::new();
    let lamp = lamp_in(bench.path());
    let before = fs::read(lamp.join("appliance.lock")).expect("reads");
    replace(&lamp.join("appliance.toml"), "\"apache2\"", "\"apache22\"");
    let said = ampoule_in(&lamp, ["lock"]);
    assert_eq!(said.code, 3, "{said:?}");
    assert!(said.err.contains("apache22"), "{}", said.err);
    assert!(said.err.replace("apache22", "").contains("apache2"), "near names are suggested: {}", said.err);
    assert_eq!(fs::read(lamp.join("appliance.lock")).expect("reads"), before, "the lock is as before");
}

#[test]
fn a_set_that_can_not_be_is_refused_with_the_solvers_explanation() {
    let bench = Bench::new();
    let lamp = lamp_in(bench.path());
    // Both provide and conflict with `mail-transport-agent`, so that no machine can have both.
    replace(&lamp.join("appliance.toml"), "\"php-sqlite3\"]", "\"exim4-daemon-light\", \"postfix\"]");
    let said = ampoule_in(&lamp, ["lock", "--dry-run"]);
    assert_eq!(said.code, 3, "{said:?}");
    assert!(said.err.contains("apt says:") && said.err.contains("hint: "), "{}", said.err);
    assert!(said.err.contains("postfix"), "{}", said.err);
}

#[test]
fn a_suite_that_does_not_exist_is_refused_with_near_names() {
    let bench = Bench::new();
    let lamp = lamp_in(bench.path());
    replace(&lamp.join("appliance.toml"), "suite = \"trixie\"", "suite = \"trixei\"");
    let said = ampoule_in(&lamp, ["lock", "--dry-run"]);
    assert!([3, 4].contains(&said.code), "{said:?}");
    assert!(said.err.contains("trixei"), "{}", said.err);
}

#[test]
fn a_dry_run_tells_what_would_change_and_writes_nothing() {
    let bench = Bench::new();
    let lamp = lamp_in(bench.path());
    let before = fs::read(lamp.join("appliance.lock")).expect("reads");
    let said = ampoule_in(&lamp, ["lock", "--dry-run", "--point-release", "--json"]);
    assert_eq!(said.code, 0, "{said:?}");
    let json = said.json();
    assert_eq!(json["written"], false);
    assert!(json["packages"].as_u64().is_some_and(|count| count > 100), "{json}");
    assert_eq!(fs::read(lamp.join("appliance.lock")).expect("reads"), before);
}

#[test]
fn locking_needs_no_root_and_leaves_the_machines_own_state_alone() {
    use std::os::unix::fs::MetadataExt;
    let state = |path: &str| fs::metadata(path).map(|found| (found.mtime(), found.mtime_nsec())).ok();
    let watched = ["/var/lib/dpkg/status", "/var/lib/apt/lists", "/var/cache/apt", "/etc/apt"];
    let before: Vec<_> = watched.iter().map(|path| state(path)).collect();
    let bench = Bench::new();
    let lamp = lamp_in(bench.path());
    let said = ampoule_in(&lamp, ["lock"]);
    assert_eq!(said.code, 0, "{said:?}");
    let lock = fs::read_to_string(lamp.join("appliance.lock")).expect("reads");
    assert!(lock.contains("name = \"apache2\""), "the lock names the packages");
    assert!(!lock.contains("://"), "no mirror is written into a lock");
    assert_eq!(watched.iter().map(|path| state(path)).collect::<Vec<_>>(), before);
}
