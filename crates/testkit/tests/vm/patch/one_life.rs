//! One appliance, one life: refused, fallen back, confirmed, rolled back.

use machine::follow::Goal;
use machine::{StopMethod, folder::names as vm_names};
use model::control::{Answer, Call, LifeStage, Restart, SlotRole};
use release::ReleaseFolder;
use testkit::depot::DepotServer;
use testkit::{Bench, BootedAppliance, Suite, ampoule, tools, variant};

use super::asking::{apply, apply_call, check_updates, refused, slot, status, updates, wait, write_note};
use super::expecting::{NOTE, expect_note, expect_running, expect_slot};
use super::refusals::refusals;
use super::releases::{first, following, good, unhealthy};

pub fn one_life(suite: &mut Suite) {
    let (old, new, bad) = (first(), good(), unhealthy());
    let depot = variant::depot("patched-depot", &[&old, &new, &bad]);
    suite.check("law_10_a_release_in_a_depot_is_seen_like_its_folder", || {
        let bulletin = |old: String, new: String| {
            let text = tools::run(&ampoule().display().to_string(), ["--json", "bulletin", &old, &new]);
            let mut value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            // The commands in it name what was compared.
            value.as_object_mut().expect("an object").remove("proof").expect("a proof");
            value
        };
        let folder = |release: &ReleaseFolder| release.path().display().to_string();
        let named = |version: &str| format!("{}@{version}", depot.display());
        assert_eq!(bulletin(folder(&old), folder(&new)), bulletin(named("1.0.0"), named("1.0.1")));
    });
    let bench = Bench::new();
    let folder = bench.join("vm");
    let server = DepotServer::start(&depot);
    let options = following(&old, &server);
    let booted = suite.check("it is healthy, and follows the depot it was told of", || {
        let it = BootedAppliance::boot(&old, &folder, options);
        assert_eq!(updates(&it).depot.as_deref(), Some(&*server.url()));
        it
    });
    let Some(appliance) = booted else { return };
    let it = &appliance;
    suite.check("a note is kept", || write_note(it, NOTE));
    refusals(suite, it, &server, &depot);

    suite.check("law_5_what_is_unhealthy_does_not_stay_and_why_is_told", || {
        let end = apply(it, "1.0.2", false);
        assert!(!end.reached, "{end:?}");
        let patch = end.status.patch.expect("a patch");
        assert_eq!(patch.stage, LifeStage::FallenBack);
        let reason = patch.reason.expect("a reason");
        assert!(reason.contains("web"), "the check is named: {reason}");
        it.wait_healthy();
        expect_running(it, &old);
        let status = status(it).update;
        assert!(status.patch.is_some_and(|patch| patch.reason.is_some()), "the reason is still there");
    });
    suite.check("law_9_declared_state_outlives_a_fall_back", || expect_note(it));
    suite.check("law_5_a_release_that_fell_back_is_not_tried_again_unless_asked", || {
        check_updates(it);
        let message = refused(it, apply_call("1.0.2", false));
        assert!(message.contains("only when asked"), "{message}");
    });
    let patched = suite.check("a patched appliance proves itself and is confirmed", || {
        // Who names none gets the newest one that did not fall back.
        let before = check_updates(it);
        it.call(Call::Apply { version: None, again: false, restart: Restart::Shortest });
        let end = wait(it, &before, "1.0.1", &Goal::Confirmed);
        assert!(end.reached, "{end:?}");
        it.wait_healthy();
        expect_running(it, &new);
        assert!(it.get("https", 443, "/").body.contains("<p id=\"version\">1.0.1</p>"));
    });
    if patched.is_some() {
        suite.check("law_9_declared_state_outlives_a_patch", || expect_note(it));
        suite.check("settings, identity and the way back outlive a patch", || {
            let status = updates(it);
            assert_eq!(status.depot.as_deref(), Some(&*server.url()));
            assert_eq!(slot(&status, SlotRole::Previous).as_deref(), Some("1.0.0"));
        });
        suite.check("the history tells every step, the newest first", || {
            let Answer::UpdateHistory(entries) = it.call(Call::UpdateHistory) else {
                panic!("another answer")
            };
            let of = |version: &str| -> Vec<LifeStage> {
                entries.iter().rev().filter(|it| it.version == version).map(|it| it.stage).collect()
            };
            use LifeStage::*;
            assert_eq!(of("1.0.2").last(), Some(&FallenBack), "{entries:?}");
            for step in [Staged, Armed, Trial, Confirmed] {
                assert!(of("1.0.1").contains(&step), "{step:?}: {entries:?}");
            }
        });
        suite.check("a rollback returns to the release before, with its state", || {
            write_note(it, "written by the newer one");
            let before = updates(it);
            it.call(Call::Rollback);
            let end = wait(it, &before, "1.0.0", &Goal::RolledBack { to: "1.0.0".into() });
            assert!(end.reached, "{end:?}");
            it.wait_healthy();
            expect_running(it, &old);
            expect_note(it);
            // The form of the state is the same: nothing has to be brought back, so nothing is lost.
            assert!(it.get("https", 443, "/").body.contains("written by the newer one"));
        });
    }
    let disk = folder.join(vm_names::SYSTEM);
    suite.check("law_3_each_slot_holds_what_was_installed_bit_for_bit", || {
        assert_eq!(appliance.shutdown().method, StopMethod::Agent);
        let raw = bench.join("system.raw");
        let convert = ["convert", "-O", "raw"].map(AsRef::as_ref);
        tools::run("qemu-img", convert.into_iter().chain([disk.as_os_str(), raw.as_os_str()]));
        expect_slot(&raw, &old, "root-a", &old);
        expect_slot(&raw, &old, "root-b", &new);
    });
}
