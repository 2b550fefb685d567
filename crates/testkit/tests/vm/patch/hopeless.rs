//! Releases that do not start, or never become healthy.

use std::fs;

use model::control::LifeStage;
use testkit::depot::DepotServer;
use testkit::variant::{self, edit};
use testkit::{Bench, BootedAppliance, Suite};

use super::asking::{apply, write_note};
use super::expecting::{NOTE, expect_note, expect_running};
use super::releases::{Moment, SHORT_GRACE, append, first, following, unit};

/// Each of them is tried from the same old release, and each ends there again.
pub fn hopeless(suite: &mut Suite) {
    const CASES: [(&str, &str); 4] = [
        ("1.0.3", "law_5_a_release_whose_kernel_panics_falls_back"),
        ("1.0.4", "law_5_a_release_whose_start_hangs_falls_back"),
        ("1.0.5", "law_5_a_release_whose_service_crashes_over_and_over_falls_back"),
        ("1.0.6", "law_5_a_release_whose_check_never_answers_falls_back"),
    ];
    let old = first();
    let releases = [
        variant::release("1.0.3", |folder| {
            // The kernel is told to panic as soon as services start.
            unit(
                folder,
                "panic",
                Moment::WithServices,
                "Type=oneshot\nExecStart=/bin/sh -c 'echo c > /proc/sysrq-trigger'",
            );
        }),
        variant::release("1.0.4", |folder| {
            let service = "Type=oneshot\nTimeoutStartSec=infinity\nExecStart=/bin/sleep infinity";
            unit(folder, "hang", Moment::Early, service);
            // Its trial ends by a timer alone.
            let file = folder.join("appliance.toml");
            edit(&file, SHORT_GRACE.0, SHORT_GRACE.1);
            edit(&file, "trial = 240", "trial = 60");
        }),
        variant::release("1.0.5", |folder| {
            unit(folder, "crash", Moment::WithServices, "Restart=always\nRestartSec=1\nExecStart=/bin/false");
            let check =
                "\n[[health]]\nname = \"crash\"\nkind = \"unit\"\nunit = \"crash.service\"\ngrace = 30\n";
            append(&folder.join("appliance.toml"), check);
        }),
        variant::release("1.0.6", |folder| {
            edit(&folder.join("appliance.toml"), SHORT_GRACE.0, SHORT_GRACE.1);
            fs::write(folder.join("app/public/health.php"), "<?php sleep(100000);\n").expect("writes");
        }),
    ];
    let [panics, hangs, crashes, silent] = &releases;
    let depot = variant::depot("hopeless-depot", &[&old, panics, hangs, crashes, silent]);
    let bench = Bench::new();
    let server = DepotServer::start(&depot);
    let booted = suite.check("the old release is healthy", || {
        let it = BootedAppliance::boot(&old, &bench.join("vm"), following(&old, &server));
        write_note(&it, NOTE);
        it
    });
    let Some(it) = booted else { return };
    for (version, law) in CASES {
        suite.check(law, || {
            let end = apply(&it, version, false);
            assert!(!end.reached, "{end:?}");
            let patch = end.status.patch.expect("a patch");
            assert_eq!(patch.stage, LifeStage::FallenBack);
            assert!(patch.reason.is_some_and(|reason| !reason.is_empty()), "a reason is kept");
            it.wait_healthy();
            expect_running(&it, &old);
            expect_note(&it);
        });
    }
    it.kill_power();
}
