//! Bundles: the whole chain of each release in one, and one changed byte of every kind of member.

use std::fs;

use depot::bundle::Opened;
use release::approval::Word;

use crate::common::NOW;
use crate::common::maker::Maker;
use crate::world::World;
use crate::{fails, says};

/// Two releases and a note, packed whole as `x.bundle`.
fn packed() -> World {
    let world = World::with(&["1.0.0", "1.0.1"]);
    world.officers(&[11]);
    for release in world.bench.index().releases {
        let id = release.id();
        world.say(id, &World::note(11, Word::Approve, id, Some(NOW + 3600)));
    }
    pack(&world);
    world
}

fn pack(world: &World) {
    let said = world.ampoule("bundle depot -o x.bundle --full --release 1.0.0 --release 1.0.1");
    assert_eq!(said.code, 0, "{said:?}");
}

/// Where the bytes of a member begin: names stand where blocks do.
fn place_of(bundle: &[u8], path: &str) -> usize {
    // A long path is split, and its last part stands first.
    let name = path.rsplit('/').next().expect("a name");
    let has = |block: &[u8]| {
        block[257..262] == *b"ustar" && block[..100].windows(name.len()).any(|it| it == name.as_bytes())
    };
    let header = bundle.chunks(512).position(|block| block.len() == 512 && has(block));
    (header.unwrap_or_else(|| panic!("{path} is in the bundle")) + 1) * 512
}

#[test]
fn law_10_a_bundle_leads_to_the_keys_without_a_network_and_nothing_is_written() {
    let world = packed();
    let before = crate::common::files_in(&world.path(""));
    let said = world.verify("x.bundle", " --officers officers --approvals 1");
    assert_eq!(said.code, 0, "{said:?}");
    says(
        &said,
        &[
            "ok          bytes of the bundle `x.bundle` <- the digests of its bundle.json; by ",
            "ok          statement of 1.0.0 <- targets version 2",
            "ok          statement of 1.0.1 <- targets version 2",
            "ok          ledger entry of 1.0.1 <- tree of 2 of example.com/log",
            "ok          approval of 1.0.1 <- the officers' keys you gave; by officer-11",
            "ok          objects of 2 releases <- index and statements; by",
            "not proven  full image of 1.0.0 <- root hash and kernel image of the statement: it says so",
            "not proven  patch from 1.0.0 to 1.0.1",
            "ok          officers' notes on 1.0.1 <- the form of signed notes; by 1 note",
        ],
    );
    assert_eq!(crate::common::files_in(&world.path("")), before);
    // It is as good as a depot for what was installed from it.
    let said = world.verify("lamp-1.0.1", " --depot x.bundle");
    assert_eq!(said.code, 0, "{said:?}");
    says(&world.ampoule("verify x.bundle"), &["no --root was given", "no --policy was given"]);
    let said = world.verify("x.bundle", " --release 1.0.1");
    assert!(said.code == 2 && said.err.contains("is verified whole"), "{said:?}");
}

#[test]
fn each_release_of_a_bundle_has_to_be_approved_and_an_old_bundle_is_not_fresh() {
    let world = packed();
    let newest = world.bench.index().releases[1].id();
    let path = world.path("depot").join(release::index::words_path(crate::common::APPLIANCE, newest));
    fs::remove_file(path).expect("removes");
    pack(&world);
    let said = world.verify("x.bundle", " --officers officers --approvals 1");
    fails(&said, &["ok          approval of 1.0.0", "not proven  approval of 1.0.1", "0 of 1 approve it"]);
    let said = world.ampoule("verify x.bundle --root root.json --at 2024-01-14T22:13:20Z");
    fails(&said, &["wrong       roles", "x.bundle/tuf/timestamp.json: it expired at"]);
}

#[test]
fn law_2_one_changed_byte_of_any_kind_of_member_is_a_wrong_link_or_a_refusal() {
    let world = packed();
    let good = fs::read(world.path("x.bundle")).expect("reads");
    let opened = Opened::open(&world.path("x.bundle")).expect("opens");
    let paths: Vec<String> = opened.contents().members.iter().map(|member| member.path.clone()).collect();
    let mut places: Vec<(String, usize)> = Vec::new();
    for path in &paths {
        let at = place_of(&good, path);
        let size = opened.member(path).expect("is there").size as usize;
        places.extend([
            (path.clone(), at),
            (path.clone(), at + size / 2),
            (format!("header of {path}"), at - 512),
        ]);
    }
    places.extend([0, 257, 600].map(|at| ("bundle.json".to_owned(), at)));
    places.push(("the end".to_owned(), good.len() - 1));
    for (what, at) in places {
        let mut changed = good.clone();
        changed[at] ^= 1;
        fs::write(world.path("x.bundle"), changed).expect("writes");
        let said = world.verify("x.bundle", "");
        assert_eq!(said.code, 5, "{what} at {at}: {said:?}");
        let is_told = said.out.contains("wrong       ") || said.err.contains("is refused");
        assert!(is_told && said.err.contains("hint: "), "{what} at {at}: {said:?}");
    }
    // All that is wrong is told: two members.
    let mut changed = good.clone();
    for path in [&paths[0], paths.last().expect("members")] {
        let at = place_of(&good, path);
        changed[at] ^= 1;
    }
    fs::write(world.path("x.bundle"), changed).expect("writes");
    let said = world.verify("x.bundle", "");
    assert_eq!(said.out.matches("wrong       bytes of the bundle").count(), 2, "{said:?}");
    for length in [good.len() - 1, good.len() / 2, 700] {
        fs::write(world.path("x.bundle"), &good[..length]).expect("writes");
        fails(&world.verify("x.bundle", ""), &["it ends within"]);
    }
}

#[test]
fn law_2_a_whole_bundle_of_somebody_else_is_wrong() {
    let world = packed();
    // The maker's releases, and a root of somebody else.
    fs::write(world.path("root.json"), Maker::with_seeds([7, 8, 9]).root).expect("writes");
    fails(
        &world.verify("x.bundle", ""),
        &["ok          bytes of the bundle", "wrong       roles <- the root you gave"],
    );
}

#[test]
fn ways_that_lead_elsewhere_are_wrong_although_every_digest_is_right() {
    let world = packed();
    let full = |index: &release::Index, at: usize| {
        index.releases[at].patches.iter().position(|way| way.from.is_none()).expect("a full image")
    };
    world.change_index(|index| {
        let (older, newer) = (full(index, 0), full(index, 1));
        let object = index.releases[0].patches[older].object;
        index.releases[0].patches[older].object = index.releases[1].patches[newer].object;
        index.releases[1].patches[newer].object = object;
    });
    pack(&world);
    let words = [
        "ok          bytes of the bundle",
        "wrong       full image of 1.0.1",
        "it says that it leads to another image",
    ];
    fails(&world.verify("x.bundle", ""), &words);
    // A full image in the place of a patch.
    world.change_index(|index| {
        let newer = full(index, 1);
        let object = index.releases[0].patches[full(index, 0)].object;
        index.releases[1].patches[newer].object = object;
        index.releases[0].patches[0].object = object;
        let patch = index.releases[1].patches.iter().position(|way| way.from.is_some()).expect("a patch");
        index.releases[1].patches[patch].object = object;
    });
    pack(&world);
    fails(
        &world.verify("x.bundle", ""),
        &["wrong       patch from 1.0.0 to 1.0.1", "it says that it comes from another image"],
    );
}
