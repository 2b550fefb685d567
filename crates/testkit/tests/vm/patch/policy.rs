//! The policy `automatic`: patches are staged unasked, and installed unasked inside the maintenance window only. Where officers approve, it is the
//! newest one that they approved.

use std::time::{Duration, Instant};

use machine::RunOptions;
use machine::follow::Goal;
use model::control::{Answer, Call, LifeStage};
use testkit::depot::DepotServer;
use testkit::{Bench, BootedAppliance, Suite, variant};

use super::asking::{FIRST_LOOK, refused, set, updates, wait, write_note};
use super::clock::at;
use super::expecting::{NOTE, expect_note, expect_running};
use super::releases::{first, following, good, unhealthy};
use super::trust::{alice, approve};

/// Several looks at the clock.
const QUIET: Duration = Duration::from_secs(100);
/// A Saturday, later than the making of any systemd that is tested: it sets an earlier clock to that.
const NOW: &str = "2030-03-09T12:00:00";

pub fn automatic(suite: &mut Suite) {
    let (old, new) = (first(), good());
    let depot = variant::depot("patched-depot", &[&old, &new, &unhealthy()]);
    let server = DepotServer::start(&depot);
    let bench = Bench::new();
    let base = following(&old, &server);
    let settings = base.settings.as_deref().unwrap_or_default();
    let settings = format!("{settings}update-policy = \"automatic\"\nupdate-window = \"Sat 02:00-04:00\"\n");
    let settings = format!("{settings}update-officers = \"{}\"\n", alice());
    let options = at(NOW, RunOptions { settings: Some(settings), ..base });
    let booted = suite.check(
        "outside of its window it stages unasked what officers approved, not what is newer",
        || {
            let it = BootedAppliance::boot(&old, &bench.join("vm"), options);
            let release = new.path().display().to_string();
            it.call(Call::Word { note: approve(&[&release, "--key", "keys/alice.key"]) });
            write_note(&it, NOTE);
            let deadline = Instant::now() + FIRST_LOOK;
            while stage_of(&it) != Some(LifeStage::Staged) {
                assert!(Instant::now() < deadline, "it did not: {:?}", updates(&it));
                std::thread::sleep(Duration::from_secs(2));
            }
            it
        },
    );
    let Some(it) = booted else { return };
    suite.check("and does not restart outside of it", || {
        let deadline = Instant::now() + QUIET;
        while Instant::now() < deadline {
            assert_eq!(stage_of(&it), Some(LifeStage::Staged));
            std::thread::sleep(Duration::from_secs(5));
        }
        expect_running(&it, &old);
    });
    suite.check("a window that never opens is refused, and the one before stays", || {
        let change = [("update-window".to_owned(), "29:00-30:00".to_owned())].into();
        let message = refused(&it, Call::Set { changes: change });
        assert!(message.contains("update-window") && message.contains("29:00"), "{message}");
        assert_eq!(updates(&it).window.as_deref(), Some("Sat 02:00-04:00"));
    });
    suite.check("inside of its window it installs the release unasked", || {
        let before = updates(&it);
        set(&it, "update-window", "Sat 11:00-16:00");
        let end = wait(&it, &before, "1.0.1", &Goal::Confirmed);
        assert!(end.reached, "{end:?}");
        it.wait_healthy();
        expect_running(&it, &new);
        expect_note(&it);
        let Answer::UpdateHistory(entries) = it.call(Call::UpdateHistory) else { panic!("another answer") };
        let approved = entries.iter().find(|entry| entry.stage == LifeStage::Approved);
        let by = approved.and_then(|entry| entry.reason.as_deref());
        assert_eq!(
            by,
            Some("policy automatic; approved by alice"),
            "who said yes is in the history: {entries:?}"
        );
    });
    it.kill_power();
}

fn stage_of(it: &BootedAppliance) -> Option<LifeStage> {
    updates(it).patch.map(|patch| patch.stage)
}
