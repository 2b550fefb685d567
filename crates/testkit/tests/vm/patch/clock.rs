//! A clock that is wrong by years: patches go on, and the status says what it knows.

use machine::RunOptions;
use machine::follow::Goal;
use model::control::{Call, LifeStage, UpdateState, UpdateStatus};
use testkit::depot::{DepotServer, Fault};
use testkit::{Bench, BootedAppliance, Suite, variant};

use super::asking::{apply, check_updates, refused, updates, wait, write_note};
use super::expecting::{NOTE, expect_note, expect_running};
use super::releases::{first, following, good};

/// Seconds from 1970 to 2040, and to 2026.
const YEAR_2040: u64 = 2_208_988_800;
const YEAR_2026: u64 = 1_767_225_600;

pub fn wrong_clock(suite: &mut Suite) {
    let (old, new) = (first(), good());
    let depot = variant::depot("two-depot", &[&old, &new]);
    let server = DepotServer::start(&depot);
    let bench = Bench::new();
    let boot =
        |clock: &str| BootedAppliance::boot(&old, &bench.join("vm"), at(clock, following(&old, &server)));
    let patched = suite.check("a patch is installed and confirmed twenty years ahead of time", || {
        let it = boot("2045-07-01T12:00:00");
        write_note(&it, NOTE);
        let end = apply(&it, "1.0.1", false);
        assert!(end.reached, "{end:?}");
        assert!(end.status.patch.is_some_and(|patch| patch.since > YEAR_2040), "its clock is really wrong");
        it.wait_healthy();
        expect_running(&it, &new);
        expect_note(&it);
        assert_eq!(check_updates(&it).state, UpdateState::Current);
        it.kill_power();
    });
    if patched.is_none() {
        return;
    }
    let booted =
        suite.check("a look at the depot that lies in the future is never taken for a fresh one", || {
            server.misbehave(Fault::Gone, "");
            // systemd sets a clock before its own time to that.
            let it = boot("2001-01-01T12:00:00");
            expect_running(&it, &new);
            expect_unknown_since_2045(&updates(&it));
            assert!(!refused(&it, Call::CheckUpdates).is_empty());
            expect_unknown_since_2045(&updates(&it));
            server.behave();
            let status = check_updates(&it);
            assert_eq!(status.state, UpdateState::Current);
            assert!(status.checked.is_some_and(|checked| checked < YEAR_2026), "its clock is really wrong");
            it
        });
    let Some(it) = booted else { return };
    suite.check("a rollback and a patch work with a journal that comes from the future", || {
        let before = updates(&it);
        it.call(Call::Rollback);
        let end = wait(&it, &before, "1.0.0", &Goal::RolledBack { to: "1.0.0".into() });
        assert!(end.reached, "{end:?}");
        it.wait_healthy();
        expect_running(&it, &old);
        let end = apply(&it, "1.0.1", true);
        assert!(end.reached, "{end:?}");
        let patch = end.status.patch.expect("a patch");
        assert_eq!(patch.stage, LifeStage::Confirmed);
        assert!(patch.since < YEAR_2026, "{patch:?}");
        it.wait_healthy();
        expect_running(&it, &new);
        expect_note(&it);
    });
    it.kill_power();
}

/// With another time on the machine's clock.
pub fn at(clock: &str, options: RunOptions) -> RunOptions {
    let extra = vec!["-rtc".to_owned(), format!("base={clock}")];
    RunOptions { extra, ..options }
}

#[track_caller]
fn expect_unknown_since_2045(status: &UpdateStatus) {
    match status.state {
        UpdateState::Unknown(since) => assert!(since > YEAR_2040, "{status:?}"),
        other => panic!("{other:?}: {status:?}"),
    }
}
