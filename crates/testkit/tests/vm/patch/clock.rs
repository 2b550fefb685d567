//! A clock that is wrong by years: patches go on, and the status says what it knows.

use std::time::SystemTime;

use machine::RunOptions;
use machine::follow::Goal;
use model::control::{Call, LifeStage, UpdateState, UpdateStatus};
use testkit::depot::{DepotServer, Fault};
use testkit::{Bench, BootedAppliance, Suite, variant};

use super::asking::{apply, check_updates, refused, updates, wait, write_note};
use super::expecting::{NOTE, expect_note, expect_running};
use super::releases::{first, following, good};

/// A clock that is ahead by years. systemd does not believe one that is fifteen years ahead of its own making.
const AHEAD: &str = "2038-07-01T12:00:00";
/// Seconds from 1970 to 2038, which are more than 31 bits a few days later.
const YEAR_2038: u64 = 2_145_916_800;
/// A clock that was never set. systemd sets one that is behind its own making to that.
const BEHIND: &str = "2001-01-01T12:00:00";

pub fn wrong_clock(suite: &mut Suite) {
    let (old, new) = (first(), good());
    let depot = variant::depot("two-depot", &[&old, &new]);
    let server = DepotServer::start(&depot);
    let bench = Bench::new();
    let boot =
        |clock: &str| BootedAppliance::boot(&old, &bench.join("vm"), at(clock, following(&old, &server)));
    let patched = suite.check("a patch is installed and confirmed years ahead of time", || {
        let it = boot(AHEAD);
        write_note(&it, NOTE);
        let end = apply(&it, "1.0.1", false);
        assert!(end.reached, "{end:?}");
        assert!(end.status.patch.is_some_and(|patch| patch.since > YEAR_2038), "its clock is really wrong");
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
            let it = boot(BEHIND);
            expect_running(&it, &new);
            expect_unknown_since_2038(&updates(&it));
            assert!(!refused(&it, Call::CheckUpdates).is_empty());
            expect_unknown_since_2038(&updates(&it));
            server.behave();
            let status = check_updates(&it);
            assert_eq!(status.state, UpdateState::Current);
            assert!(status.checked.is_some_and(|checked| checked < yesterday()), "its clock is really wrong");
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
        assert!(patch.since < yesterday(), "{patch:?}");
        it.wait_healthy();
        expect_running(&it, &new);
        expect_note(&it);
    });
    it.kill_power();
}

fn yesterday() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is after 1970");
    now.as_secs() - 86_400
}

/// With another time on the machine's clock.
pub fn at(clock: &str, options: RunOptions) -> RunOptions {
    let extra = vec!["-rtc".to_owned(), format!("base={clock}")];
    RunOptions { extra, ..options }
}

#[track_caller]
fn expect_unknown_since_2038(status: &UpdateStatus) {
    match status.state {
        UpdateState::Unknown(since) => assert!(since > YEAR_2038, "{status:?}"),
        other => panic!("{other:?}: {status:?}"),
    }
}
