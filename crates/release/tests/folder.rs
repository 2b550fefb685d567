//! A release folder is whole or it is not there.

use std::fs;
use std::io::Write;
use std::path::Path;

use model::Sha256Digest;
use model::definition::{Identity, Resources};
use release::manifest::FORMAT;
use release::{
    ArtifactName, ImageFacts, Manifest, Purpose, ReleaseDraft, ReleaseError, ReleaseFolder, names,
};

fn manifest() -> Manifest {
    Manifest {
        format: FORMAT,
        identity: Identity {
            vendor: "example".into(),
            name: "lamp".into(),
            title: "LAMP".into(),
            version: "1.4.0".into(),
            summary: "A web server.".into(),
            contact: None,
            url: None,
            end_of_support: None,
        },
        architecture: "amd64".into(),
        image: ImageFacts {
            root_hash: Sha256Digest([7; 32]),
            verity_salt: "00".into(),
            root_size: 4,
            verity_size: 8,
        },
        kernel_version: "6.12.1".into(),
        tool_version: "0.1.0".into(),
        artifacts: vec![],
        partitions: vec![],
        resources: Resources::default(),
        ports: vec![],
    }
}

fn name(text: &str) -> ArtifactName {
    text.parse().expect("a name")
}

fn publish(place: &Path, root: &[u8]) -> Result<ReleaseFolder, ReleaseError> {
    let mut draft = ReleaseDraft::begin(place)?;
    let mut writer = draft.create(&name(names::ROOT))?;
    writer.write_all(root).expect("writes");
    draft.add_written(&name(names::ROOT), Purpose::Image, writer)?;
    draft.write(&name(names::LOCK), Purpose::Document, b"lock\n")?;
    fs::write(draft.path_of(&name(names::TRIM)), b"{}").expect("writes");
    draft.add(&name(names::TRIM), Purpose::Document)?;
    draft.publish(manifest())
}

fn listing(path: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(path)
        .expect("lists")
        .map(|entry| entry.expect("entry").file_name().into_string().expect("text"))
        .collect();
    names.sort();
    names
}

#[test]
fn a_published_release_opens_with_true_sizes_and_digests() {
    let bench = tempfile::tempdir().expect("folder");
    let place = bench.path().join("deep/out");
    let folder = publish(&place, b"root").expect("publishes");
    assert_eq!(listing(&place), [names::LOCK, names::MANIFEST, names::ROOT, names::TRIM]);
    folder.check_digests(|_| ()).expect("digests");
    assert_eq!(folder.digest(), folder.manifest().digest());
    assert_eq!(folder.read_document(names::LOCK, 10).expect("reads"), b"lock\n");
    assert!(matches!(folder.read_document(names::LOCK, 2), Err(ReleaseError::TooLong { .. })));
    assert!(matches!(folder.uki(), Err(ReleaseError::NoArtifact { .. })));
}

#[test]
fn a_new_release_replaces_the_old_one_and_leaves_nothing_beside_it() {
    let bench = tempfile::tempdir().expect("folder");
    let place = bench.path().join("out");
    let old = publish(&place, b"old!").expect("publishes");
    let new = publish(&place, b"new!").expect("publishes");
    assert_ne!(old.digest(), new.digest());
    assert_eq!(fs::read(place.join(names::ROOT)).expect("reads"), b"new!");
    assert_eq!(listing(bench.path()), ["out"]);
}

#[test]
fn a_build_that_fails_leaves_the_old_release_and_nothing_that_looks_like_a_new_one() {
    let bench = tempfile::tempdir().expect("folder");
    let place = bench.path().join("out");
    publish(&place, b"old!").expect("publishes");
    // The manifest says four bytes: publishing fails at its last check.
    publish(&place, b"too long").expect_err("refused");
    let mut draft = ReleaseDraft::begin(&place).expect("begins");
    draft.write(&name(names::ROOT), Purpose::Image, b"half").expect("writes");
    assert_eq!(listing(bench.path()), ["out", "out.partial-0000"]);
    assert!(matches!(
        ReleaseFolder::open(&bench.path().join("out.partial-0000")),
        Err(ReleaseError::NotARelease { .. })
    ));
    drop(draft);
    assert_eq!(listing(bench.path()), ["out"]);
    ReleaseFolder::open(&place).expect("still opens").check_digests(|_| ()).expect("still whole");
}

#[test]
fn a_full_disk_is_told_as_such() {
    let source = fs::write("/dev/full", b"x").expect_err("full");
    let error = ReleaseError::Io { action: "write", path: "/x".into(), source };
    assert!(error.is_full_disk());
}

#[test]
fn a_folder_that_is_not_a_release_is_never_replaced() {
    let bench = tempfile::tempdir().expect("folder");
    fs::write(bench.path().join("precious"), b"x").expect("writes");
    assert!(matches!(ReleaseDraft::begin(bench.path()), Err(ReleaseError::Occupied { .. })));
    assert!(matches!(
        ReleaseDraft::begin(&bench.path().join("precious")),
        Err(ReleaseError::Occupied { .. })
    ));
}

#[test]
fn a_file_that_was_never_added_is_refused() {
    let bench = tempfile::tempdir().expect("folder");
    let draft = ReleaseDraft::begin(&bench.path().join("out")).expect("begins");
    fs::write(draft.path_of(&name("stray")), b"x").expect("writes");
    assert!(matches!(draft.publish(manifest()), Err(ReleaseError::Inconsistent { .. })));
}

#[test]
fn a_missing_truncated_or_changed_artifact_is_named() {
    let bench = tempfile::tempdir().expect("folder");
    let place = bench.path().join("out");
    publish(&place, b"root").expect("publishes");
    let root = place.join(names::ROOT);
    fs::write(&root, b"rooT").expect("writes");
    let folder = ReleaseFolder::open(&place).expect("sizes are right");
    assert!(matches!(folder.check_digests(|_| ()), Err(ReleaseError::Digest { path, .. }) if path == root));
    fs::write(&root, b"roo").expect("writes");
    assert!(matches!(ReleaseFolder::open(&place), Err(ReleaseError::Size { expected: 4, found: 3, .. })));
    fs::remove_file(&root).expect("removes");
    assert!(matches!(ReleaseFolder::open(&place), Err(ReleaseError::Missing { .. })));
    std::os::unix::fs::symlink("/etc/hostname", &root).expect("links");
    assert!(matches!(ReleaseFolder::open(&place), Err(ReleaseError::Missing { .. })));
    assert!(matches!(ReleaseFolder::open(bench.path()), Err(ReleaseError::NotARelease { .. })));
}
