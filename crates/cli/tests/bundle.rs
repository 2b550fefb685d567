//! `ampoule bundle` and `ampoule import` as people call them. Needs no network.

mod support;

use std::fs;

use support::signed::{ampoule, signed_depot};
use testkit::Bench;

#[test]
fn a_release_is_carried_into_a_depot_and_nothing_else_is() {
    let bench = Bench::new();
    signed_depot(&bench);
    let said = ampoule(bench.path(), "depot refresh depot --root 1.root.json --key maker.key --fresh 14");
    assert!(said.out.contains("vouched for anew, for 14 days"), "{said:?}");
    let said = ampoule(bench.path(), "bundle depot -o x.bundle");
    assert!(said.code == 2 && said.err.contains("hint: `--full` packs the full image"), "{said:?}");
    let said = ampoule(bench.path(), "bundle depot -o x.bundle --full");
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains("0 patches, full image") && said.out.contains("good until"), "{}", said.out);
    let import = "import x.bundle --depot inside --root 1.root.json";
    let said = ampoule(bench.path(), import);
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains("signed by its maker's roles; the ledger was not looked at"), "{}", said.out);
    let said = ampoule(bench.path(), "--json import x.bundle --depot inside --root 1.root.json");
    assert_eq!(
        (&said.json()["signed"], &said.json()["new-releases"]),
        (&true.into(), &serde_json::json!([]))
    );
    // One byte of the image, on its way.
    let mut bytes = fs::read(bench.join("x.bundle")).expect("reads");
    let at = bytes.windows(5).position(|window| window == b"image").expect("is there");
    let at = bytes[at..].windows(6).position(|window| window == b"image\0").map_or(at, |more| at + more);
    bytes[at] ^= 1;
    fs::write(bench.join("x.bundle"), bytes).expect("writes");
    let said = ampoule(bench.path(), import);
    assert_eq!(said.code, 5, "{said:?}");
    for part in ["is refused: `objects/", "has SHA-256", "unchanged: the depot `inside` offers", "hint: "] {
        assert!(said.err.contains(part), "{part}: {}", said.err);
    }
    assert_eq!(ampoule(bench.path(), "depot check inside").code, 0);
}

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
