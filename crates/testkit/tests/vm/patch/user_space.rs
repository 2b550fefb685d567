//! User space restarts alone where the kernel stays the same, and only there; what boots afterwards is the same.

use std::fs;
use std::path::Path;
use std::time::Duration;

use machine::follow::Goal;
use model::control::{Call, LifeStage, Restart};
use testkit::depot::DepotServer;
use testkit::variant;
use testkit::{Bench, BootedAppliance, Suite};

use super::asking::{apply, check_updates, reason, status, updates, wait, wait_for_silence, write_note};
use super::expecting::{NOTE, expect_note, expect_running};
use super::releases::{first, following, good, later};

/// How the history tells of it.
const ALONE: &str = "user space restarts alone";

/// Gives the kernel a parameter that would stay in force when a later release took it back.
fn other_sysctl(folder: &Path) {
    fs::write(folder.join("hardening.conf"), "kernel.kptr_restrict = 2\n").expect("writes");
    let file =
        "[[files]]\nsource = \"hardening.conf\"\ntarget = \"/etc/sysctl.d/60-hardening.conf\"\n\n[[health]]";
    let definition = folder.join("appliance.toml");
    let text = fs::read_to_string(&definition).expect("reads");
    fs::write(&definition, text.replacen("[[health]]", file, 1)).expect("writes");
}

pub fn user_space(suite: &mut Suite) {
    let (old, new, newer) = (first(), good(), later());
    let given = variant::release("1.1.0", other_sysctl);
    let depot = variant::depot("user-space-depot", &[&old, &new, &newer, &given]);
    let server = DepotServer::start(&depot);
    let bench = Bench::new();
    let folder = bench.join("vm");
    let boot = || BootedAppliance::boot(&old, &folder, following(&old, &server));
    let booted = suite.check("it keeps a note", || {
        let it = boot();
        write_note(&it, NOTE);
        it
    });
    let Some(it) = booted else { return };
    suite.check("user space restarts alone, twice, into both slots", || {
        for (version, release) in [("1.0.1", &new), ("1.0.9", &newer)] {
            let end = apply(&it, version, false);
            assert!(end.reached, "{end:?}");
            assert_eq!(way(&it, version), ALONE);
            it.wait_healthy();
            expect_running(&it, release);
            expect_note(&it);
        }
        // Its uptime is the new system's, not the kernel's.
        assert!(status(&it).uptime < 120, "{}", status(&it).uptime);
    });
    suite.check("a rollback restarts user space alone as well, and what was left can be had again", || {
        let before = updates(&it);
        it.call(Call::Rollback);
        let end = wait(&it, &before, "1.0.1", &Goal::RolledBack { to: "1.0.1".into() });
        assert!(end.reached, "{end:?}");
        let why = reason(&it, "1.0.9", LifeStage::RolledBack);
        assert!(why.ends_with(ALONE), "{why}");
        it.wait_healthy();
        expect_running(&it, &new);
        expect_note(&it);
        let end = apply(&it, "1.0.9", true);
        assert!(end.reached, "{end:?}");
        it.wait_healthy();
    });
    let it = suite.check("law_4_what_user_space_started_the_machine_starts_too", || {
        it.kill_power();
        let it = boot();
        expect_running(&it, &newer);
        expect_note(&it);
        it
    });
    let Some(it) = it else { return };
    suite.check("what gives the kernel something else restarts the machine", || {
        let end = apply(&it, "1.1.0", false);
        assert!(end.reached, "{end:?}");
        let way = way(&it, "1.1.0");
        assert!(way.contains("the machine restarts") && way.contains("parameters"), "{way}");
        it.wait_healthy();
        expect_running(&it, &given);
        it.kill_power();
    });
    // From here on with the first release again.
    fs::remove_dir_all(&folder).expect("the machine is off");
    suite.check("who asks for the machine gets it", || {
        let it = boot();
        write_note(&it, NOTE);
        let before = check_updates(&it);
        it.call(Call::Apply { version: Some("1.0.1".into()), again: false, restart: Restart::Machine });
        assert!(wait(&it, &before, "1.0.1", &Goal::Confirmed).reached);
        assert!(way(&it, "1.0.1").contains("somebody asked for it"), "{}", way(&it, "1.0.1"));
        it.kill_power();
    });
    suite.check("law_4_power_cuts_while_user_space_restarts_leave_old_or_new", || {
        for milliseconds in [0, 1500, 3000, 6000] {
            let it = boot();
            if status(&it).version == "1.0.1" {
                it.call(Call::Apply {
                    version: Some("1.0.9".into()),
                    again: true,
                    restart: Restart::Shortest,
                });
                wait_for_silence(&it);
                std::thread::sleep(Duration::from_millis(milliseconds));
            }
            it.kill_power();
        }
        let it = boot();
        it.wait_healthy();
        expect_note(&it);
        if status(&it).version == "1.0.1" {
            assert!(apply(&it, "1.0.9", true).reached);
        }
        expect_running(&it, &newer);
        expect_note(&it);
        it.kill_power();
    });
}

/// What the history says of the restart into a version.
fn way(it: &BootedAppliance, version: &str) -> String {
    reason(it, version, LifeStage::Armed)
}
