//! The power is cut while a patch is downloaded, written, and while the appliance restarts.

use std::fs;
use std::time::{Duration, Instant};

use model::control::{Answer, Call, LifeStage, UpdateStatus};
use testkit::depot::{DepotServer, Fault};
use testkit::variant::{self, patch_object};
use testkit::{Bench, BootedAppliance, Suite};

use super::asking::{
    FIRST_LOOK, PATCH_TIMEOUT, STAGE_TIMEOUT, apply, apply_call, status, updates, wait_for_silence,
    write_note,
};
use super::expecting::{NOTE, expect_note, expect_running};
use super::releases::{first, following, good, unhealthy};

pub fn power_cuts(suite: &mut Suite) {
    let (old, new) = (first(), good());
    let depot = variant::depot("patched-depot", &[&old, &new, &unhealthy()]);
    let server = DepotServer::start(&depot);
    let (patch, _) = patch_object(&depot, "1.0.0", "1.0.1");
    let bench = Bench::new();
    let folder = bench.join("vm");
    let boot = || BootedAppliance::boot(&old, &folder, following(&old, &server));
    let kept = suite.check("it keeps a note", || {
        let it = boot();
        write_note(&it, NOTE);
        it.kill_power();
    });
    if kept.is_none() {
        return;
    }
    suite.check("law_4_a_power_cut_while_it_downloads_leaves_the_old_release", || {
        let it = boot();
        server.misbehave(Fault::Slow(16), &patch);
        it.call(apply_call("1.0.1", false));
        std::thread::sleep(Duration::from_secs(3));
        let activity = updates(&it).patch.and_then(|patch| patch.activity);
        assert_eq!(activity.map(|now| now.step).as_deref(), Some("download"));
        it.kill_power();
        server.behave();
        let it = boot();
        expect_running(&it, &old);
        expect_note(&it);
        it.kill_power();
    });
    suite.check("law_4_a_power_cut_while_it_is_written_leaves_the_old_release", || {
        let it = boot();
        it.call(apply_call("1.0.1", false));
        let deadline = Instant::now() + STAGE_TIMEOUT;
        // Some way into the slot, and not yet at its end.
        let is_writing = |status: &UpdateStatus| {
            let activity = status.patch.as_ref().and_then(|patch| patch.activity.as_ref());
            activity.is_some_and(|now| now.total > 100 << 20 && now.done > now.total / 4)
        };
        while !is_writing(&updates(&it)) {
            assert!(Instant::now() < deadline, "it never came to writing: {:?}", updates(&it));
            std::thread::sleep(Duration::from_millis(50));
        }
        it.kill_power();
        let it = boot();
        expect_running(&it, &old);
        expect_note(&it);
        it.kill_power();
    });
    suite.check("what a power cut kept from being staged is staged unasked", || {
        let it = boot();
        server.misbehave(Fault::Slow(16), &patch);
        it.call(Call::Stage { version: Some("1.0.1".into()), again: false });
        std::thread::sleep(Duration::from_secs(3));
        it.kill_power();
        server.behave();
        let it = boot();
        let stage = || updates(&it).patch.map(|patch| patch.stage);
        assert_eq!(stage(), Some(LifeStage::Failed));
        let deadline = Instant::now() + FIRST_LOOK;
        while stage() != Some(LifeStage::Staged) {
            assert!(Instant::now() < deadline, "it was not: {:?}", updates(&it));
            std::thread::sleep(Duration::from_secs(2));
        }
        expect_running(&it, &old);
        it.kill_power();
    });
    suite.check("law_4_power_cuts_while_it_restarts_leave_old_or_new_and_the_patch_can_be_completed", || {
        for seconds in [1, 5, 15, 40] {
            let it = boot();
            let running = status(&it).version;
            if running == "1.0.0" {
                it.call(apply_call("1.0.1", true));
                wait_for_silence(&it);
                std::thread::sleep(Duration::from_secs(seconds));
            }
            it.kill_power();
        }
        let it = boot();
        expect_note(&it);
        if status(&it).version == "1.0.0" {
            let end = apply(&it, "1.0.1", true);
            assert!(end.reached, "{end:?}");
            it.wait_healthy();
        }
        expect_running(&it, &new);
        expect_note(&it);
        it.kill_power();
    });
    // From here on with the first release again.
    fs::remove_dir_all(&folder).expect("the machine is off");
    suite.check("what a power cut kept from being applied is applied unasked", || {
        let it = boot();
        server.misbehave(Fault::Slow(16), &patch);
        it.call(apply_call("1.0.1", false));
        std::thread::sleep(Duration::from_secs(3));
        it.kill_power();
        server.behave();
        let it = boot();
        expect_running(&it, &old);
        let deadline = Instant::now() + FIRST_LOOK + PATCH_TIMEOUT;
        let is_confirmed = || {
            // It does not answer while it restarts.
            let asked = it.running().control().and_then(|mut client| client.call(Call::Updates));
            matches!(asked, Ok(Answer::Updates(status)) if status.patch.as_ref().is_some_and(|it| it.stage == LifeStage::Confirmed))
        };
        while !is_confirmed() {
            assert!(Instant::now() < deadline, "it was not: {:?}", updates(&it));
            std::thread::sleep(Duration::from_secs(2));
        }
        expect_running(&it, &new);
        it.kill_power();
    });
}
