//! The machine stops between any two steps of a commit: the depot offers what it offered, nothing that was not checked is visible, and the
//! same again completes it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use model::Sha256Digest;
use release::index::Index;
use sha2::{Digest, Sha256};

use crate::DepotError;
use crate::common::carried::Carried;
use crate::common::{APPLIANCE, NOW, files_in};
use crate::intake::crash;

/// More steps than a commit has.
const STEPS: usize = 200;

fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    for (path, bytes) in files_in(from) {
        let place = to.join(path.strip_prefix(from).expect("below"));
        fs::create_dir_all(place.parent().expect("a folder")).expect("creates");
        fs::write(place, bytes).expect("writes");
    }
}

fn index(carried: &Carried) -> Option<Index> {
    carried.customer().index(APPLIANCE, "stable").expect("reads")
}

/// What is visible, besides the two locks.
fn shown(carried: &Carried) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut shown = carried.shown();
    shown.retain(|path, _| !path.starts_with(carried.customer.join(".incoming")));
    shown
}

/// Objects that are visible are whole, and documents are those of before or those of after.
#[track_caller]
fn ensure_checked(now: &BTreeMap<PathBuf, Vec<u8>>, known: &[&BTreeMap<PathBuf, Vec<u8>>]) {
    for (path, bytes) in now {
        let name = path.file_name().expect("a name").to_string_lossy();
        match name.parse::<Sha256Digest>() {
            Ok(digest) => assert_eq!(Sha256Digest(Sha256::digest(bytes).into()), digest, "{path:?}"),
            Err(_) => assert!(known.iter().any(|known| known.get(path) == Some(bytes)), "{path:?}"),
        }
    }
}

/// Stops `take` at each of its steps, from the state that the customer's depot is in. Returns how many there are.
fn stopped_at_each_step(carried: &Carried, take: impl Fn() -> Result<(), DepotError>) -> usize {
    let saved = carried.bench.path("saved");
    carried.customer();
    copy(&carried.customer, &saved);
    let (before, old) = (shown(carried), index(carried));
    take().expect("without a crash");
    let (after, new) = (shown(carried), index(carried));
    assert_ne!(new, old, "there is something to take");
    for step in 0..STEPS {
        copy(&saved, &carried.customer);
        crash::after(Some(step));
        let outcome = take();
        crash::after(None);
        let found = shown(carried);
        ensure_checked(&found, &[&before, &after]);
        if outcome.is_ok() {
            assert_eq!((index(carried), &found), (new, &after));
            return step;
        }
        assert_eq!(index(carried), old, "step {step}");
        take().expect("the same again");
        assert_eq!(shown(carried), after, "step {step}");
        assert!(!carried.customer.join(".incoming").exists(), "step {step}: nothing is left over");
    }
    unreachable!("BUG: a commit ends");
}

#[test]
fn a_crash_in_an_import_leaves_the_old_index_and_the_same_again_completes_it() {
    let carried = Carried::with(&[("1.0.0", "one")]);
    let (first, _) = carried.pack(&["1.0.0"], true);
    // Into a new depot, and over what is there, with a root that takes the online key away.
    let steps = stopped_at_each_step(&carried, || carried.import(&first).map(drop));
    assert!(steps >= 10, "objects, memory, four documents of the roles, index: {steps}");
    carried.publish("1.0.1", "two!", 1);
    carried.maker.rotate(&carried.bench.depot(), 2, NOW);
    let (second, _) = carried.pack(&["1.0.1"], true);
    stopped_at_each_step(&carried, || carried.import(&second).map(drop));
    assert_eq!(carried.believed().releases.len(), 2);
}

#[test]
fn a_crash_in_a_mirror_leaves_the_old_index_and_the_same_again_completes_it() {
    let carried = Carried::with(&[("1.0.0", "one"), ("1.0.1", "two!")]);
    let depot = carried.bench.depot();
    let maker = depot.path().to_string_lossy().into_owned();
    carried.mirror(&maker).expect("the first run");
    carried.publish("1.0.2", "three, and more", 1);
    crate::care::remove(&depot, APPLIANCE, "stable", "1.0.0", NOW, None).expect("withdrawn");
    let steps = stopped_at_each_step(&carried, || carried.mirror(&maker).map(drop));
    assert!(steps >= 10, "{steps}");
    let versions: Vec<String> = carried.believed().releases.into_iter().map(|it| it.version).collect();
    assert_eq!(versions, ["1.0.1", "1.0.2"]);
}
