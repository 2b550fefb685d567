//! Release folders and disks: one changed byte of each kind of file, and what is cut off.

use std::fs::{self, File, OpenOptions};
use std::path::Path;

use release::names;
use release::verify::sealed_file;

use crate::pieces::Fixture;
use crate::world::{World, change_byte};
use crate::{fails, says};

/// Verifies a copy of the release folder in which `change` was made.
#[track_caller]
fn changed(world: &World, change: impl FnOnce(&Path), words: &[&str]) {
    let (from, to) = (world.path("lamp-1.0.0"), world.path("changed"));
    let _ = fs::remove_dir_all(&to);
    fs::create_dir(&to).expect("creates");
    for file in fs::read_dir(from).expect("lists") {
        let file = file.expect("a file");
        fs::copy(file.path(), to.join(file.file_name())).expect("copies");
    }
    change(&to);
    let said = world.verify("changed", " --json");
    assert_eq!(said.code, 5, "{said:?}");
    assert_eq!(said.json()["verdict"], "wrong", "{said:?}");
    fails(&world.verify("changed", ""), &[&["wrong   "], words].concat());
}

#[test]
fn a_release_folder_and_its_disk_lead_to_the_keys() {
    let world = World::new();
    world.publish_folder(&world.release("1.0.0", &[names::DISK_QCOW2]));
    let said = world.verify("lamp-1.0.0", " --depot depot");
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(said.out.matches("not proven").count(), 1, "nobody asked for officers: {}", said.out);
    says(
        &said,
        &[
            "ok          root sealed in the image",
            "<- the root you gave; by the same bytes",
            "ok          ledger policy sealed in the image",
            "of example.com/log <- the policy you gave; by the same ledgers, witnesses and quorum",
            "ok          root image on disk.qcow2",
            "ok          the image <- root hash and kernel image of statement",
            "ok          ledger entry of 1.0.0",
        ],
    );
    let said = world.ampoule("verify lamp-1.0.0");
    says(
        &said,
        &[
            "an image never vouches for itself: give `--policy`",
            "an image never vouches for itself: give `--root`",
        ],
    );
    assert_eq!(said.code, 0, "{said:?}");
}

#[test]
fn law_2_one_changed_byte_of_any_file_of_a_release_is_a_wrong_link() {
    let world = World::new();
    world.release("1.0.0", &[names::DISK_QCOW2]);
    let middle = |file: &Path| change_byte(file, fs::metadata(file).expect("is there").len() / 2);
    changed(&world, |to| middle(&to.join(names::ROOT)), &["root.erofs", "root image"]);
    // Where the file system begins: what is sealed in it can not be read, which is not the same as nothing.
    let words = ["root image", "what the image trusts <- files sealed in it"];
    changed(&world, |to| change_byte(&to.join(names::ROOT), 1024), &words);
    changed(&world, |to| middle(&to.join(names::VERITY)), &["root.verity", "root image"]);
    changed(&world, |to| middle(&to.join("lamp_1.0.0.efi")), &["lamp_1.0.0.efi"]);
    changed(&world, |to| middle(&to.join(names::LOCK)), &[names::LOCK]);
    // The definition decides what is stated: without it the rest is compared with the manifest.
    changed(
        &world,
        |to| middle(&to.join(names::DEFINITION)),
        &[
            "statement of this release <- release.json and definition.json",
            "ok          root.erofs <- SHA-256",
        ],
    );
    changed(&world, |to| middle(&to.join(names::DISK_QCOW2)), &[names::DISK_QCOW2]);
    changed(&world, |to| change_byte(&to.join(names::MANIFEST), 0), &["files of `changed` <- release.json"]);
}

#[test]
fn what_is_cut_off_or_missing_is_a_wrong_link_too() {
    let world = World::new();
    world.release("1.0.0", &[names::DISK_QCOW2]);
    let cut = |file: &Path| {
        let length = fs::metadata(file).expect("is there").len();
        OpenOptions::new().write(true).open(file).expect("opens").set_len(length / 2).expect("cuts");
    };
    for name in [names::ROOT, names::DISK_QCOW2, names::DEFINITION] {
        changed(
            &world,
            |to| cut(&to.join(name)),
            &["files of `changed`", name, "next: the folder was not copied whole"],
        );
    }
    changed(
        &world,
        |to| fs::remove_file(to.join(names::LOCK)).expect("removes"),
        &[names::LOCK, "is missing"],
    );
    changed(&world, |to| cut(&to.join(names::MANIFEST)), &["release.json"]);
    // What never was a release is no chain.
    fs::create_dir(world.path("empty")).expect("creates");
    let said = world.verify("empty", "");
    assert!(said.code == 2 && said.out.is_empty(), "{said:?}");
}

#[test]
fn a_bare_disk_leads_to_the_keys_and_a_changed_one_does_not() {
    let world = World::new();
    let release = world.release("1.0.0", &[names::DISK_RAW, names::DISK_QCOW2]);
    world.publish_folder(&release);
    for name in [names::DISK_RAW, names::DISK_QCOW2] {
        // A disk lies anywhere, without its folder.
        fs::rename(release.join(name), world.path(name)).expect("moves");
        let said = world.verify(name, " --depot depot");
        assert_eq!(said.code, 0, "{said:?}");
        says(
            &said,
            &[
                "ok          root image",
                "ok          the image <- root hash",
                "boot loader and partition table",
            ],
        );
    }
    let raw = world.path(names::DISK_RAW);
    let (table, _) = {
        let disk = image::SeekReadAt::new(File::open(&raw).expect("opens")).expect("a size");
        image::gpt::Table::read(&disk).expect("a table")
    };
    let start = |name: &str| table.named(name).expect("a partition").start;
    let root = fs::read(release.join(names::ROOT)).expect("reads");
    change_byte(&raw, start("root-a") + root.len() as u64 / 2);
    fails(&world.verify(names::DISK_RAW, " --depot depot"), &["wrong       root image"]);
    let length = fs::metadata(&raw).expect("is there").len();
    OpenOptions::new().write(true).open(&raw).expect("opens").set_len(start("root-a")).expect("cuts");
    let cut = [
        "wrong       disk `disk.raw`",
        "next: do not boot this disk",
        "the image does not say which release",
    ];
    fails(&world.verify(names::DISK_RAW, " --depot depot"), &cut);
    assert!(length > start("root-a"));
    let qcow2 = world.path(names::DISK_QCOW2);
    let bytes = fs::read(&qcow2).expect("reads");
    fs::write(&qcow2, &bytes[..bytes.len() / 2]).expect("cuts");
    fails(&world.verify(names::DISK_QCOW2, ""), &["wrong   "]);
    // A text is no disk: there is no chain to show.
    fs::write(world.path("text"), "hello ".repeat(1000)).expect("writes");
    let said = world.verify("text", "");
    assert!(
        said.code == 2 && said.out.is_empty() && said.err.contains("hint: a release folder, a depot"),
        "{said:?}"
    );
}

#[test]
fn law_2_another_image_under_a_signed_version_is_wrong() {
    let world = World::with(&["1.0.0"]);
    fs::rename(world.path("lamp-1.0.0"), world.path("signed")).expect("moves");
    // The same version, built with something else in it, and signed by nobody.
    world.release_of("1.0.0", 99, &[names::DISK_QCOW2]);
    let words =
        ["wrong       the image", "another release has the version 1.0.0 there", "ask its maker which"];
    fails(&world.verify("lamp-1.0.0", " --depot depot"), &words);
    fails(&world.verify("lamp-1.0.0/disk.qcow2", " --depot depot"), &words);
    world.release("1.0.1", &[]);
    let words = [
        "not proven  the image, version 1.0.1 <- what the depot `depot` offers: it does not have this version",
    ];
    fails(&world.verify("lamp-1.0.1", " --depot depot"), &words);
    assert_eq!(world.verify("signed", " --depot depot").code, 0);
}

#[test]
fn a_sealed_root_that_follows_the_given_one_is_proven_by_the_depot_and_no_other_is() {
    let mut world = World::with(&["1.0.0"]);
    world.follow();
    world.publish_folder(&world.release("1.0.1", &[]));
    let said = world.verify("lamp-1.0.1", "");
    says(&said, &["not proven  root sealed in the image", "a depot shows whether one follows the other"]);
    let said = world.verify("lamp-1.0.1", " --depot depot");
    assert_eq!(said.code, 0, "{said:?}");
    let follows = "<- roots that follow the one you gave; by the keys of the root before each";
    says(&said, &["ok          root version 2 <- the root you gave", follows]);
    // The same version with the root of somebody else in it.
    fs::remove_dir_all(world.path("lamp-1.0.1")).expect("removes");
    world.maker.root = crate::common::maker::Maker::with_seeds([7, 8, 9]).root;
    world.release("1.0.1", &[]);
    let words = ["wrong       the image", "roots that follow the one you gave: it is none of them"];
    fails(&world.verify("lamp-1.0.1", " --depot depot"), &words);
}

#[test]
fn law_11_a_sealed_file_is_read_up_to_its_limit_and_damage_is_not_nothing() {
    let mut fixture = Fixture::new();
    fixture.file("root.json", &[b'x'; 100]);
    let image = fixture.image();
    let read = |path, limit| sealed_file(&image, path, limit);
    assert_eq!(read("root.json", 100), Ok(Some(vec![b'x'; 100])));
    assert_eq!(read("root.json", 99), Err("`root.json` has more than 99 bytes".into()));
    assert_eq!(read("policy", 100), Ok(None));
    assert!(sealed_file(&image[..1000].to_vec(), "policy", 100).is_err());
}
