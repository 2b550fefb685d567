//! Releases that hang where no program of theirs can end it: the watchdog does.

use std::path::Path;

use model::control::LifeStage;
use testkit::depot::DepotServer;
use testkit::variant;
use testkit::{Bench, BootedAppliance, Suite};

use super::asking::{apply, write_note};
use super::expecting::{NOTE, expect_note, expect_running};
use super::releases::{Moment, first, following, unit};

/// systemd takes the signal for a crash of its own and stands still. Everything that it has started runs on and looks healthy,
/// for as long as nobody asks systemd.
fn systemd_hangs(folder: &Path) {
    unit(
        folder,
        "freeze",
        Moment::WithServices,
        "Type=simple\nExecStartPre=/bin/sleep 5\nExecStart=/bin/sh -c 'kill -ABRT 1'",
    );
}

/// Its first program waits for the agent, which renders the settings and never ends.
const SLEEPS: &str = "#!/bin/sh\nexec /bin/sleep infinity\n";

pub fn hangs(suite: &mut Suite) {
    let old = first();
    let (systemd, init) =
        (variant::release("1.0.7", systemd_hangs), variant::release_with_agent("1.0.8", SLEEPS));
    let depot = variant::depot("hangs-depot", &[&old, &systemd, &init]);
    let server = DepotServer::start(&depot);
    let bench = Bench::new();
    let booted = suite.check("the old release is healthy", || {
        let it = BootedAppliance::boot(&old, &bench.join("vm"), following(&old, &server));
        write_note(&it, NOTE);
        it
    });
    let Some(it) = booted else { return };
    const CASES: [(&str, &str, &str); 2] = [
        (
            "1.0.7",
            "law_5_a_release_whose_systemd_hangs_is_ended_by_the_watchdog_and_falls_back",
            "systemd does not answer",
        ),
        (
            "1.0.8",
            "law_5_a_release_whose_first_program_hangs_is_ended_by_the_watchdog_and_falls_back",
            "hung",
        ),
    ];
    for (version, law, word) in CASES {
        suite.check(law, || {
            let end = apply(&it, version, false);
            assert!(!end.reached, "{end:?}");
            let patch = end.status.patch.expect("a patch");
            assert_eq!(patch.stage, LifeStage::FallenBack);
            let reason = patch.reason.expect("a reason is kept");
            assert!(reason.contains(word), "{reason}");
            it.wait_healthy();
            expect_running(&it, &old);
            expect_note(&it);
        });
    }
    it.kill_power();
}
