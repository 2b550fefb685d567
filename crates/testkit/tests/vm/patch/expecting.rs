//! What has to be so.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;

use machine::follow::End;
use model::control::{LifeStage, SlotRole};
use release::{ReleaseFolder, names};
use testkit::BootedAppliance;
use testkit::flip::artifact;

use super::asking::{slot, status};

/// What is entered before a patch and has to be there after it.
pub const NOTE: &str = "written before the patch";

#[track_caller]
pub fn expect_untouched(it: &BootedAppliance, end: &End, version: &str) {
    assert!(!end.reached, "it was taken: {end:?}");
    let patch = end.status.patch.as_ref().expect("a patch");
    assert_eq!(patch.stage, LifeStage::Failed);
    assert!(patch.reason.is_some(), "a reason is kept");
    assert_eq!(slot(&end.status, SlotRole::Running).as_deref(), Some(version));
    assert_eq!(slot(&end.status, SlotRole::Staged), None);
    assert_eq!(it.get("https", 443, "/").status, 200);
}

#[track_caller]
pub fn expect_running(it: &BootedAppliance, release: &ReleaseFolder) {
    let status = status(it);
    let manifest = release.manifest();
    assert_eq!(status.version, manifest.identity.version);
    assert_eq!(status.root_hash, manifest.image.root_hash.to_string());
}

/// The partition begins with the release's root, as the builder wrote it.
#[track_caller]
pub fn expect_slot(disk: &Path, laid_out: &ReleaseFolder, partition: &str, release: &ReleaseFolder) {
    let partitions = &laid_out.manifest().partitions;
    let start = partitions.iter().find(|it| it.name == partition).expect("a partition").start;
    let wanted = fs::read(artifact(release, names::ROOT)).expect("an image");
    let mut found = vec![0; wanted.len()];
    let file = fs::File::open(disk).expect("a disk");
    file.read_exact_at(&mut found, start).expect("the slot can be read");
    let version = &release.manifest().identity.version;
    assert!(found == wanted, "{partition} is not {version} bit for bit");
}

#[track_caller]
pub fn expect_note(it: &BootedAppliance) {
    let page = it.get("https", 443, "/").body;
    assert!(page.contains(NOTE), "the note is gone: {page}");
}
