//! A release that is larger than its place.

use std::fs;

use model::control::{Answer, Call, SlotRole};
use release::ReleaseFolder;
use testkit::depot::DepotServer;
use testkit::variant::{self, patch_object};
use testkit::{Bench, BootedAppliance, Suite};

use super::asking::{apply_call, check_updates, refused, slot, stage, updates};
use super::expecting::expect_running;
use super::releases::{first, following, good, later};

pub const TOO_LARGE: &str = "1.2.0";

/// A slot has room for half as much again; this is more. What repeats is small in the depot, and as large as it is in an image.
pub fn too_large() -> ReleaseFolder {
    variant::release(TOO_LARGE, |folder| {
        fs::write(folder.join("app/ballast"), b"too much of it\n".repeat(16 << 20)).expect("writes");
    })
}

pub fn room(suite: &mut Suite) {
    let (old, new, large) = (first(), good(), too_large());
    let depot = variant::depot("odd-depot", &[&old, &new, &later(), &large]);
    let server = DepotServer::start(&depot);
    let bench = Bench::new();
    let booted = suite.check("a release is staged", || {
        let it = BootedAppliance::boot(&old, &bench.join("vm"), following(&old, &server));
        assert!(stage(&it, "1.0.1").reached);
        it
    });
    let Some(it) = booted else { return };
    suite.check("law_4_a_release_larger_than_the_slot_is_refused_before_anything_changes", || {
        let (before, history) = (check_updates(&it), history(&it));
        let _so_far = server.asked();
        for call in
            [apply_call(TOO_LARGE, false), Call::Stage { version: Some(TOO_LARGE.into()), again: false }]
        {
            let message = refused(&it, call);
            assert!(message.contains("slot: the release is larger than the place for it"), "{message}");
            assert!(message.contains("attach the data disk"), "what to do is told: {message}");
            assert_eq!(message.lines().count(), 1, "{message}");
        }
        let (object, _) = patch_object(&depot, "1.0.0", TOO_LARGE);
        assert!(!server.asked().contains(&object), "nothing is downloaded for nothing");
        let after = updates(&it);
        assert_eq!((&after.slots, &after.patch), (&before.slots, &before.patch));
        assert_eq!(slot(&after, SlotRole::Staged).as_deref(), Some("1.0.1"), "what was staged stays");
        assert_eq!(self::history(&it), history);
        expect_running(&it, &old);
    });
    it.kill_power();
}

fn history(it: &BootedAppliance) -> Vec<model::control::LifeEntry> {
    match it.call(Call::UpdateHistory) {
        Answer::UpdateHistory(entries) => entries,
        other => panic!("{other:?}"),
    }
}
