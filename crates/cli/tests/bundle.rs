//! `ampoule bundle` and `ampoule import` as people call them. Needs no network.

mod support;

use std::fs;
use std::path::Path;

use support::{Said, ampoule_in};
use testkit::Bench;

fn ampoule(folder: &Path, command: &str) -> Said {
    ampoule_in(folder, command.split(' '))
}

/// A depot that offers nothing, and a file that is none.
#[test]
fn what_is_no_bundle_is_one_clear_error_and_no_depot_is_made() {
    let bench = Bench::new();
    bench.write("noise.bundle", "noise".repeat(1000));
    bench.write("1.root.json", "{}");
    let said = ampoule(bench.path(), "import noise.bundle --depot depot --root 1.root.json");
    assert_eq!(said.code, 5, "{said:?}");
    assert_eq!(said.err.matches("error: ").count(), 1, "{}", said.err);
    for part in
        ["the bundle `noise.bundle` is refused: it is no bundle", "unchanged: no depot was made", "hint: "]
    {
        assert!(said.err.contains(part), "{part}: {}", said.err);
    }
    assert!(!bench.join("depot").exists());
    let said = ampoule(bench.path(), "import absent.bundle --depot depot --root 1.root.json");
    assert_eq!(said.code, 4, "{said:?}");
}

#[test]
fn whom_to_believe_has_to_be_said() {
    let bench = Bench::new();
    let said = ampoule(bench.path(), "import x.bundle --depot depot");
    assert!(said.code == 2 && said.err.contains("--root"), "{said:?}");
    let said = ampoule(bench.path(), "import x.bundle --depot depot --root r --unsigned");
    assert!(said.code == 2 && said.err.contains("--unsigned"), "{said:?}");
    for days in ["0", "91"] {
        let said = ampoule(bench.path(), &format!("depot refresh d --root r --key k --fresh {days}"));
        assert!(said.code == 2 && said.err.contains("1..=90"), "{said:?}");
    }
}

#[test]
fn a_depot_without_releases_makes_no_bundle() {
    let bench = Bench::new();
    fs::create_dir(bench.join("depot")).expect("creates");
    bench.write("depot/depot.json", "{\"format\":1}");
    let said = ampoule(bench.path(), "bundle depot -o x.bundle");
    assert_eq!(said.code, 2, "{said:?}");
    assert!(said.err.contains("hint: name one with `--appliance VENDOR/NAME`"), "{}", said.err);
    assert!(said.err.contains("unchanged: no bundle was written"), "{}", said.err);
    assert!(!bench.join("x.bundle").exists());
}
