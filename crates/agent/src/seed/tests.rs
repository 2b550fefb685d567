//! Seed disks as other programs make them, and damaged ones.

use std::fs::File;

use super::*;
use crate::testing::{fat_disk, iso_disk};

fn read_disk(image: &tempfile::NamedTempFile) -> Option<Result<String, SeedError>> {
    read(&File::open(image.path()).expect("there"))
}

#[test]
fn disks_of_genisoimage_are_read_with_and_without_extensions() {
    for extensions in [&[][..], &["-r"], &["-J", "-r"], &["-iso-level", "3"]] {
        let files: [(&str, &[u8]); 2] = [("another-file", b"x"), ("settings.toml", b"a = 1\n")];
        let found = read_disk(&iso_disk("ampoule-seed", &files, extensions)).expect("it has the label");
        assert_eq!(found.expect("readable"), "a = 1\n", "{extensions:?}");
    }
}

#[test]
fn a_disk_without_the_file_says_so() {
    let found =
        read_disk(&iso_disk("AMPOULESEED", &[("other.toml", b"")], &["-r"])).expect("it has the label");
    assert_eq!(found.expect_err("no file").to_string(), "it has no file `settings.toml` in its root");
    assert!(read_disk(&iso_disk("OTHER", &[("settings.toml", b"")], &["-r"])).is_none());
}

#[test]
fn disks_of_mkfs_vfat_are_read_in_all_three_kinds() {
    let content = "name = \"value\"\n".repeat(2000);
    for (kind, bytes) in [("12", 2 << 20), ("16", 16 << 20), ("32", 64 << 20)] {
        let files = [("some-other-long-name.txt", content.as_bytes()), ("settings.toml", content.as_bytes())];
        let found = read_disk(&fat_disk(bytes, kind, "AMPOULESEED", &files)).expect("it has the label");
        assert!(found.expect("readable") == content, "FAT{kind}");
    }
}

#[test]
fn a_disk_with_another_label_is_left_alone() {
    assert!(read_disk(&fat_disk(2 << 20, "12", "OTHER", &[("settings.toml", b"")])).is_none());
}

#[test]
fn no_damage_of_the_first_sectors_is_a_panic() {
    let disk = fat_disk(2 << 20, "12", "AMPOULESEED", &[("settings.toml", b"a = 1")]);
    let good = std::fs::read(disk.path()).expect("readable");
    for at in 0..512 {
        for value in [0, 1, 0x7F, 0xFF] {
            let mut bytes = good.clone();
            bytes[at] = value;
            let _any_answer = read(&bytes.as_slice());
        }
    }
}
