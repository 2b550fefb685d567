//! `--apply`: what full images and patches make, and not what they say.

use std::fs;

use model::Sha256Digest;
use release::index::object_path;
use sha2::{Digest, Sha256};

use crate::world::World;
use crate::{fails, says};

fn bundled(options: &str) -> World {
    let world = World::with(&["1.0.0", "1.0.1"]);
    pack(&world, options);
    world
}

fn pack(world: &World, options: &str) {
    let said = world.ampoule(&format!("bundle depot -o x.bundle {options}"));
    assert_eq!(said.code, 0, "{said:?}");
}

/// Changes the last but some bytes of what leads to the newest release, and every digest of it that nobody signs.
fn spoil(world: &World, is_patch: bool) {
    let index = world.bench.index();
    let ways = &index.releases[1].patches;
    let at = ways.iter().position(|way| way.from.is_some() == is_patch).expect("such a way");
    let mut bytes = fs::read(world.path("depot").join(object_path(&ways[at].object.sha256))).expect("reads");
    let place = bytes.len() - 20;
    bytes[place] ^= 1;
    let digest = Sha256Digest(Sha256::digest(&bytes).into());
    let path = world.path("depot").join(object_path(&digest));
    fs::create_dir_all(path.parent().expect("a folder")).expect("creates");
    fs::write(path, bytes).expect("writes");
    world.change_index(|index| index.releases[1].patches[at].object.sha256 = digest);
}

#[test]
fn law_10_what_is_applied_is_proven_from_a_bundle_and_from_a_depot_and_leaves_nothing_behind() {
    let world = bundled("--full --release 1.0.0 --release 1.0.1");
    let before = crate::common::files_in(&world.path(""));
    for subject in ["x.bundle", "depot"] {
        let said = world.verify(subject, " --apply");
        assert_eq!(said.code, 0, "{said:?}");
        let against = "<- root hash and kernel image of the statement; by what it makes";
        for what in ["full image of 1.0.0", "full image of 1.0.1", "patch from 1.0.0 to 1.0.1"] {
            says(&said, &[&format!("ok          {what} {against}")]);
        }
        assert!(!said.out.contains("it says so") && !said.out.contains("not read here"), "{said:?}");
    }
    assert_eq!(crate::common::files_in(&world.path("")), before);
}

#[test]
fn law_2_a_way_that_makes_something_else_is_wrong_although_its_header_and_every_digest_are_right() {
    for is_patch in [true, false] {
        let world = World::with(&["1.0.0", "1.0.1"]);
        spoil(&world, is_patch);
        pack(&world, "--full --release 1.0.0 --release 1.0.1");
        let said = world.verify("x.bundle", "");
        assert_eq!(said.code, 0, "headers are right: {said:?}");
        let what = if is_patch { "patch from 1.0.0 to 1.0.1" } else { "full image of 1.0.1" };
        for subject in ["x.bundle", "depot"] {
            fails(
                &world.verify(subject, " --apply"),
                &[&format!("wrong       {what}"), "ok          full image of 1.0.0"],
            );
        }
    }
}

#[test]
fn a_patch_needs_the_image_that_it_is_made_from() {
    let world = bundled("--release 1.0.1");
    let said = world.verify("x.bundle", " --apply");
    fails(&said, &["not proven  patch from release", "to 1.0.1", "`--from`"]);
    let said = world.verify("x.bundle", " --apply --from lamp-1.0.0");
    assert_eq!(said.code, 0, "{said:?}");
    says(&said, &["to 1.0.1 <- root hash and kernel image of the statement; by what it makes"]);
    // Another image of that name is not it.
    let root = world.path("lamp-1.0.0/root.erofs");
    let mut bytes = fs::read(&root).expect("reads");
    bytes[9000] ^= 1;
    fs::write(&root, bytes).expect("writes");
    fails(&world.verify("x.bundle", " --apply --from lamp-1.0.0"), &["wrong       patch from release"]);
}

#[test]
fn an_object_that_is_damaged_or_gone_is_told_with_its_path() {
    let world = World::with(&["1.0.0"]);
    let object = world.bench.index().releases[0].patches[0].object;
    let path = world.path("depot").join(object_path(&object.sha256));
    let good = fs::read(&path).expect("reads");
    for at in [3, good.len() / 2, good.len() - 1] {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        fs::write(&path, bytes).expect("writes");
        let words = ["wrong       full image of 1.0.0", "has not the content it should have"];
        fails(&world.verify("depot", " --apply"), &words);
    }
    fs::write(&path, [&good[..], b"more"].concat()).expect("writes");
    fails(&world.verify("depot", " --apply"), &["has not the content it should have"]);
    fs::remove_file(&path).expect("removes");
    fails(&world.verify("depot", " --apply"), &["wrong       full image of 1.0.0", "there is no objects/"]);
}

#[test]
fn what_has_no_patches_can_not_be_asked_for_them() {
    let world = World::with(&["1.0.0"]);
    let said = world.verify("lamp-1.0.0", " --apply");
    assert!(said.code == 2 && said.err.contains("has no patches to apply"), "{said:?}");
    let said = world.verify("http://127.0.0.1:1", " --apply --appliance example/lamp");
    assert!(said.code == 2 && said.err.contains("ampoule depot mirror"), "{said:?}");
}
