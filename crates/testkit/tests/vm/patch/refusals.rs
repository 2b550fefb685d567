//! What may come from a depot without changing anything.

use std::path::Path;

use machine::follow::Goal;
use model::control::{Answer, Call, SlotRole, UpdateState};
use testkit::depot::{DepotServer, Fault};
use testkit::variant::{self, patch_object};
use testkit::{BootedAppliance, Suite};

use super::asking::{check_updates, refused, slot, stage, updates, wait};
use super::expecting::expect_untouched;

/// What may come from a depot without changing anything. Nothing is restarted by any of it.
pub fn refusals(suite: &mut Suite, it: &BootedAppliance, server: &DepotServer, depot: &Path) {
    let (patch, size) = patch_object(depot, "1.0.0", "1.0.1");
    let index = release::index::index_path(variant::APPLIANCE, variant::CHANNEL);
    suite.check("a depot is never taken for current when its answer is none", || {
        for fault in [Fault::Gone, Fault::Broken, Fault::Garbage, Fault::BreaksOff(100)] {
            server.misbehave(fault, &index);
            let message = refused(it, Call::CheckUpdates);
            assert!(!message.is_empty(), "{fault:?}");
            let status = updates(it);
            assert_ne!(status.state, UpdateState::Current, "{fault:?}");
            assert!(status.check_failed.is_some(), "{fault:?}: {status:?}");
        }
        server.behave();
        assert_eq!(check_updates(it).state, UpdateState::Available);
    });
    suite.check("a patch of a few changed pages is a small download", || {
        assert!(size < 64 << 10, "the patch has {size} bytes");
        match it.call(Call::Precheck { version: Some("1.0.1".into()) }) {
            Answer::Precheck(check) => {
                assert_eq!((check.offer.download, check.offer.full), (size, false));
                assert_eq!(check.problems, []);
            }
            other => panic!("{other:?}"),
        }
    });
    let faults =
        [("bit_flipped", Fault::Flipped), ("truncated", Fault::Truncated), ("garbage", Fault::Garbage)];
    for (name, fault) in faults {
        suite.check(&format!("law_4_a_{name}_patch_is_refused_and_nothing_is_armed"), || {
            server.misbehave(fault, &patch);
            let end = stage(it, "1.0.1");
            server.behave();
            expect_untouched(it, &end, "1.0.0");
        });
    }
    suite.check("law_4_a_depot_that_goes_away_in_the_middle_leaves_it_as_it_was", || {
        server.misbehave(Fault::Gone, &patch);
        let end = stage(it, "1.0.1");
        server.behave();
        expect_untouched(it, &end, "1.0.0");
    });
    suite.check("law_4_two_patches_at_once_are_refused", || {
        // Slow enough that it is still under way.
        server.misbehave(Fault::Slow(512), &patch);
        let before = updates(it);
        it.call(Call::Stage { version: Some("1.0.1".into()), again: false });
        let message = refused(it, Call::Stage { version: Some("1.0.2".into()), again: false });
        server.behave();
        assert!(!message.is_empty());
        let end = wait(it, &before, "1.0.1", &Goal::Staged);
        assert!(end.reached, "the first goes on: {end:?}");
        assert_eq!(slot(&end.status, SlotRole::Staged).as_deref(), Some("1.0.1"));
    });
    suite.check("a download that broke off is resumed", || {
        server.misbehave(Fault::BreaksOff(size as usize / 2 + 1), &patch_object(depot, "1.0.0", "1.0.2").0);
        let end = stage(it, "1.0.2");
        server.behave();
        assert!(end.reached, "{end:?}");
    });
    suite.check("a depot without ranges is as good", || {
        server.misbehave(Fault::NoRanges, "");
        let end = stage(it, "1.0.1");
        server.behave();
        assert!(end.reached, "{end:?}");
    });
}
