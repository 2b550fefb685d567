//! Releases that are taken out of a depot again, with the real patch format.

mod common;

use std::fs;
use std::num::NonZeroUsize;

use depot::publish::publish;
use depot::unpack::{UnpackError, unpack};
use depot::ways::Patches;
use image::{Uuid, verity};
use release::{ImageFacts, names};

use common::{Bench, request};

/// A root of a few blocks and what is stated of it.
fn root(seed: &str) -> (String, ImageFacts) {
    let text: String = (0..2000).map(|line| format!("{seed} {line}\n")).collect();
    let content = text[..16384].to_owned();
    let options = verity::Options { salt: vec![7], uuid: Uuid([0; 16]), threads: NonZeroUsize::MIN };
    let mut builder = verity::VerityBuilder::new(options).expect("a salt");
    builder.update(content.as_bytes());
    let tree = builder.finish().expect("whole blocks");
    let facts = ImageFacts {
        root_hash: tree.root_hash,
        verity_salt: "07".into(),
        root_size: content.len() as u64,
        verity_size: tree.bytes.len() as u64,
    };
    (content, facts)
}

fn published(bench: &Bench) {
    for version in ["1.0.0", "1.0.1"] {
        let (content, facts) = root(version);
        let release = bench.release_of(version, &content, facts);
        publish(&bench.depot(), &request(&release), &Patches::default(), &|_, _| ()).expect("publishes");
    }
}

#[test]
fn law_10_a_release_comes_out_of_a_depot_as_it_went_in() {
    let bench = Bench::new();
    published(&bench);
    for release in bench.index().releases {
        let folder = tempfile::tempdir().expect("a folder");
        let statement = unpack(&bench.depot(), &release, folder.path(), &mut |_, _| ()).expect("unpacks");
        let (content, facts) = root(&release.version);
        let read = |name: &str| fs::read(folder.path().join(name)).expect("is there");
        assert_eq!(read(names::ROOT), content.as_bytes());
        assert_eq!(read(names::VERITY).len() as u64, facts.verity_size);
        assert!(read(statement.uki.name.as_str()).starts_with(b"uki of "));
        assert_eq!(read(names::LOCK), format!("lock of {}", release.version).as_bytes());
        assert_eq!(statement.id(), release.id());
    }
}

#[test]
fn law_11_one_changed_byte_of_any_object_is_refused() {
    let bench = Bench::new();
    published(&bench);
    let release = bench.index().releases.pop().expect("a release");
    let depot = bench.depot();
    let full = release.patches.iter().find(|way| way.from.is_none()).expect("a full image");
    for object in [full.object, release.statement] {
        let path = depot.object(&object.sha256);
        let whole = fs::read(&path).expect("reads");
        for at in [0, whole.len() / 2, whole.len() - 1] {
            let mut damaged = whole.clone();
            damaged[at] ^= 1;
            fs::write(&path, damaged).expect("writes");
            let folder = tempfile::tempdir().expect("a folder");
            let error = unpack(&depot, &release, folder.path(), &mut |_, _| ()).expect_err("damaged");
            let is_named =
                matches!(error, UnpackError::Patch { .. } | UnpackError::Depot(_) | UnpackError::Uki)
                    || matches!(error, UnpackError::RootHash { .. });
            assert!(is_named, "byte {at}: {error:?}");
        }
        fs::write(&path, whole).expect("writes");
    }
}
