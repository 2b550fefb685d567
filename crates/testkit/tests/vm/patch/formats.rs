//! A newer form of the state, which the older release can not read.

use std::path::Path;

use machine::follow::Goal;
use model::control::{Answer, Call, LifeStage};
use testkit::depot::DepotServer;
use testkit::variant::{self, edit};
use testkit::{Bench, BootedAppliance, Suite};

use super::asking::{apply, status, updates, wait, write_note};
use super::expecting::{NOTE, expect_note, expect_running};
use super::releases::{Moment, append, break_health, first, following, unit};

const LATER_NOTE: &str = "entered in the newer form";

/// Keeps its notes in another file, and makes it of the older one at its first start: the older release sees nothing any
/// more.
fn converts(folder: &Path) {
    append(
        &folder.join("appliance.toml"),
        "\n[state-format]\ncurrent = 2\nreads-from = 1\nrollback-floor = 1\n",
    );
    edit(&folder.join("app/notes.php"), "/notes.sqlite", "/notes-2.sqlite");
    // systemd makes one dollar of two.
    let script = "cd /var/lib/notes; for part in notes.sqlite*; do \
                  [ ! -e $$part ] || mv $$part notes-2$${part#notes}; done";
    let service = format!("Type=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sh -c '{script}'");
    unit(folder, "convert", Moment::BeforeServices, &service);
}

pub fn formats(suite: &mut Suite) {
    let old = first();
    let new = variant::release("2.0.0", converts);
    let bad = variant::release("2.0.1", |folder| {
        converts(folder);
        break_health(folder);
    });
    let depot = variant::depot("formats-depot", &[&old, &new, &bad]);
    let server = DepotServer::start(&depot);
    let bench = Bench::new();
    let booted = suite.check("a note is kept in the older form", || {
        let it = BootedAppliance::boot(&old, &bench.join("vm"), following(&old, &server));
        write_note(&it, NOTE);
        it
    });
    let Some(it) = booted else { return };
    suite.check("law_9_a_fall_back_brings_back_the_state_that_the_older_release_can_read", || {
        let end = apply(&it, "2.0.1", false);
        assert!(!end.reached, "{end:?}");
        assert_eq!(end.status.patch.map(|patch| patch.stage), Some(LifeStage::FallenBack));
        it.wait_healthy();
        expect_running(&it, &old);
        expect_note(&it);
        let notices = status(&it).notices;
        assert!(notices.iter().any(|it| it.contains("as it was before version 2.0.1")), "{notices:?}");
    });
    suite.check("before a patch it is told what a rollback would cost", || {
        let Answer::Precheck(check) = it.call(Call::Precheck { version: Some("2.0.0".into()) }) else {
            panic!("another answer")
        };
        assert!(check.rollback.contains("what is entered in between is lost"), "{}", check.rollback);
        assert_eq!(check.problems, []);
    });
    let patched = suite.check("law_9_the_newer_release_has_the_state_of_the_older_one", || {
        let end = apply(&it, "2.0.0", false);
        assert!(end.reached, "{end:?}");
        it.wait_healthy();
        expect_running(&it, &new);
        expect_note(&it);
        write_note(&it, LATER_NOTE);
    });
    if patched.is_none() {
        return;
    }
    suite.check("a rollback says first that it brings the earlier state back, and does so", || {
        let before = updates(&it);
        let told = before.rollback.clone().unwrap_or_default();
        assert!(told.contains("what was entered since is lost"), "{told}");
        it.call(Call::Rollback);
        let end = wait(&it, &before, "1.0.0", &Goal::RolledBack { to: "1.0.0".into() });
        assert!(end.reached, "{end:?}");
        it.wait_healthy();
        expect_running(&it, &old);
        expect_note(&it);
        assert!(!it.get("https", 443, "/").body.contains(LATER_NOTE), "that was in the newer form");
        let notices = status(&it).notices;
        assert!(notices.iter().any(|it| it.contains("as it was before version 2.0.0")), "{notices:?}");
    });
    it.kill_power();
}
