//! A patch is made from one release: an appliance that runs another one takes the full image, or refuses.

use std::fs;
use std::path::{Path, PathBuf};

use machine::follow::Goal;
use model::control::{Answer, Call, Precheck, SlotRole};
use release::{Index, index};
use testkit::depot::{DepotServer, Fault};
use testkit::variant::{self, patch_object};
use testkit::{Bench, BootedAppliance, Suite};

use super::asking::{apply_call, check_updates, set, slot, stage, updates, wait, write_note};
use super::expecting::{NOTE, expect_note, expect_running, expect_untouched};
use super::releases::{first, following, good, later};
use super::room::too_large;

const TO: &str = "1.0.9";

pub fn other_from(suite: &mut Suite) {
    let (old, new, later) = (first(), good(), later());
    let depot = variant::depot("odd-depot", &[&old, &new, &later, &too_large()]);
    let bench = Bench::new();
    suite.check("which release runs is known after a restart, also when the depot is gone", || {
        let folder = bench.join("first");
        let server = DepotServer::start(&depot);
        let it = BootedAppliance::boot(&old, &folder, following(&old, &server));
        assert!(check_updates(&it).available.is_some_and(|offer| !offer.full), "there is a patch for it");
        it.kill_power();
        server.misbehave(Fault::Gone, "");
        let it = BootedAppliance::boot(&old, &folder, following(&old, &server));
        let status = updates(&it);
        assert!(status.available.as_ref().is_some_and(|offer| !offer.full), "{status:?}");
        it.kill_power();
    });

    let honest = DepotServer::start(&depot);
    let booted = suite.check("an appliance for which there is no patch is offered the full image", || {
        let it = BootedAppliance::boot(&new, &bench.join("vm"), following(&new, &honest));
        write_note(&it, NOTE);
        let check = precheck(&it);
        assert!(check.offer.full, "{check:?}");
        assert_eq!(check.problems, []);
        it
    });
    let Some(it) = booted else { return };
    let (foreign, _) = patch_object(&depot, "1.0.0", TO);
    suite.check("law_4_a_patch_from_another_release_is_refused_and_nothing_is_armed", || {
        let liar = DepotServer::start(&lying(&depot, &bench.join("lying"), FullImages::Removed));
        set(&it, "update-depot", &liar.url());
        assert!(!precheck(&it).offer.full, "the depot says that the patch fits");
        let end = stage(&it, TO);
        expect_untouched(&it, &end, "1.0.1");
        assert!(liar.asked().contains(&foreign), "it was tried");
    });
    suite.check("law_4_when_its_patch_does_not_fit_the_full_image_is_taken", || {
        let liar = DepotServer::start(&lying(&depot, &bench.join("lying-too"), FullImages::Kept));
        set(&it, "update-depot", &liar.url());
        assert!(!precheck(&it).offer.full, "the depot says that the patch fits");
        let end = stage(&it, TO);
        assert!(end.reached, "{end:?}");
        assert_eq!(slot(&end.status, SlotRole::Staged).as_deref(), Some(TO));
        assert!(liar.asked().contains(&foreign), "it was tried");
        expect_running(&it, &new);
    });
    suite.check("what the full image brought runs as what a patch brings", || {
        set(&it, "update-depot", &honest.url());
        let before = check_updates(&it);
        it.call(apply_call(TO, false));
        let end = wait(&it, &before, TO, &Goal::Confirmed);
        assert!(end.reached, "{end:?}");
        it.wait_healthy();
        expect_running(&it, &later);
        expect_note(&it);
    });
    it.kill_power();
}

#[track_caller]
fn precheck(it: &BootedAppliance) -> Precheck {
    match it.call(Call::Precheck { version: Some(TO.into()) }) {
        Answer::Precheck(check) => check,
        other => panic!("{other:?}"),
    }
}

/// Whether a lying depot has full images.
#[derive(Clone, Copy, PartialEq)]
enum FullImages {
    Kept,
    Removed,
}

/// The same depot, whose index says that each patch from 1.0.0 is one from 1.0.1.
fn lying(depot: &Path, place: &Path, full_images: FullImages) -> PathBuf {
    let path = index::index_path(variant::APPLIANCE, variant::CHANNEL);
    let bytes = fs::read(depot.join(&path)).expect("an index");
    let mut index = Index::parse(&bytes, variant::APPLIANCE, variant::CHANNEL).expect("an index");
    let of = |version: &str| index.releases.iter().find(|it| it.version == version).expect("a release").id();
    let (from, claimed) = (of("1.0.0"), of("1.0.1"));
    for release in &mut index.releases {
        release.patches.retain(|patch| patch.from.is_some() || full_images == FullImages::Kept);
        for patch in release.patches.iter_mut().filter(|patch| patch.from == Some(from)) {
            patch.from = Some(claimed);
        }
    }
    let file = place.join(path);
    fs::create_dir_all(file.parent().expect("it is in a folder")).expect("creates");
    fs::write(&file, serde_json::to_vec(&index).expect("serialises")).expect("writes");
    std::os::unix::fs::symlink(depot.join("objects"), place.join("objects")).expect("links");
    place.to_owned()
}
