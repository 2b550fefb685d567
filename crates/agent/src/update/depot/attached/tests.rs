//! Bundles on disks as people make them.

use release::bundle::archive::{END, header, padding};
use release::index::{Index, index_path, object_path};
use sha2::{Digest, Sha256};

use super::*;
use crate::testing::{fat_disk, iso_disk};
use crate::update::depot::{Depot, ObjectRef};

const CHANNEL: &str = "stable";

/// An object that fills several clusters.
fn content() -> Vec<u8> {
    (0..100_000u32).map(|number| ((number * 7) >> 3) as u8).collect()
}

fn object() -> ObjectRef {
    ObjectRef { sha256: model::Sha256Digest(Sha256::digest(content()).into()), size: 100_000 }
}

/// A bundle with an empty index and one object.
fn bundle(appliance: &str) -> Vec<u8> {
    let index = Index { serial: 3, ..Index::new(appliance.to_owned(), CHANNEL.to_owned()) };
    let files =
        [(index_path(appliance, CHANNEL), index.to_bytes()), (object_path(&object().sha256), content())];
    let member = |(path, bytes): &(String, Vec<u8>)| Member {
        path: path.clone(),
        sha256: model::Sha256Digest(Sha256::digest(bytes).into()),
        size: bytes.len() as u64,
    };
    let contents = Contents::of(&index, files.iter().map(member).collect()).expect("a bundle");
    let mut bundle = Vec::new();
    for (path, bytes) in [(CONTENTS.to_owned(), contents.to_bytes())].iter().chain(&files) {
        bundle.extend(header(path, bytes.len() as u64).expect("a path that fits"));
        bundle.extend(bytes);
        bundle.extend(vec![0; padding(bytes.len() as u64)]);
    }
    bundle.extend([0; END]);
    bundle
}

fn raw(bytes: &[u8]) -> tempfile::NamedTempFile {
    let disk = tempfile::NamedTempFile::new().expect("a temporary file can be made");
    std::fs::write(disk.path(), bytes).expect("written");
    disk
}

fn attached(disks: &[&tempfile::NamedTempFile]) -> Result<Depot, DepotError> {
    let disks: Vec<_> = disks
        .iter()
        .enumerate()
        .map(|(number, disk)| (format!("sd{number}"), disk.path().to_owned()))
        .collect();
    Depot::attached(&disks, "acme/shop", CHANNEL)
}

fn download(depot: &Depot, before: &[u8]) -> Result<Vec<u8>, DepotError> {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let path = folder.path().join("object");
    std::fs::write(path.with_extension("partial"), before).expect("written");
    depot.download(&object(), &path, &mut |_| ())?;
    Ok(std::fs::read(path).expect("there"))
}

#[test]
fn a_bundle_is_found_as_the_disk_itself_and_as_a_file_of_any_name() {
    let bundle = bundle("acme/shop");
    let files = [("readme.txt", &b"read me"[..]), ("Patch of November.bundle", &bundle[..])];
    let longer = [&bundle[..], &[7; 8192]].concat();
    let disks = [
        ("raw", raw(&bundle)),
        ("on a larger disk", raw(&longer)),
        ("ISO 9660", iso_disk("NOVEMBER", &files, &["-r", "-J"])),
        ("plain ISO 9660", iso_disk("NOVEMBER", &files, &[])),
        ("FAT16", fat_disk(16 << 20, "16", "NOVEMBER", &files)),
        ("FAT32", fat_disk(64 << 20, "32", "NOVEMBER", &files)),
    ];
    for (kind, disk) in &disks {
        let depot = attached(&[disk]).unwrap_or_else(|error| panic!("{kind}: {error}"));
        let (index, _) = depot.index("acme/shop", CHANNEL).expect("an index");
        assert_eq!(index.serial, 3, "{kind}");
        assert!(download(&depot, b"").expect("downloads") == content(), "{kind}");
        assert!(download(&depot, &content()[..70_000]).expect("resumes") == content(), "{kind}");
        assert!(depot.beginning(&object(), 200).expect("begins") == content()[..200], "{kind}");
        assert!(matches!(depot.open("tuf/timestamp.json"), Err(DepotError::Absent { .. })), "{kind}");
    }
}

#[test]
fn no_disk_another_ones_and_two_disks_are_told_apart() {
    let none = attached(&[&raw(&[0; 4096])]).err().expect("none").to_string();
    assert_eq!(none, "no disk with a bundle of acme/shop, channel stable, is attached to this machine");
    let other = attached(&[&raw(&bundle("acme/other"))]).err().expect("another one").to_string();
    assert!(other.ends_with(": sd0 has one of acme/other, stable"), "{other}");
    let (one, two) = (raw(&bundle("acme/shop")), raw(&bundle("acme/shop")));
    let both = attached(&[&one, &two]).err().expect("which one").to_string();
    assert!(both.contains("sd0 and sd1: take one away"), "{both}");
    attached(&[&raw(&bundle("acme/other")), &one]).expect("the one of this appliance");
}

#[test]
fn law_11_damage_anywhere_is_told_and_nothing_is_believed() {
    let good = bundle("acme/shop");
    let at = |text: &[u8]| good.windows(text.len()).rposition(|bytes| bytes == text).expect("there");
    let broken = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        raw(&bytes)
    };
    let list = attached(&[&broken(600)]).err().expect("the list").to_string();
    assert!(list.starts_with("the bundle `sd0` is refused: its `bundle.json`"), "{list}");
    let disk = broken(at(b"objects/") + 130);
    let in_header = download(&attached(&[&disk]).expect("the list is whole"), b"").expect_err("a header");
    assert!(matches!(in_header, DepotError::Bundle(_)), "{in_header}");
    let disk = broken(good.len() - END - 600);
    let in_object = download(&attached(&[&disk]).expect("the list is whole"), b"").expect_err("an object");
    assert!(matches!(in_object, DepotError::Digest { .. }), "{in_object}");
    let disk = raw(&good[..good.len() / 2]);
    let short = download(&attached(&[&disk]).expect("the list is whole"), b"").expect_err("half of it");
    assert!(matches!(short, DepotError::Silent { .. }), "{short}");
}
