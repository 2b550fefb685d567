//! Patches of running appliances: what they keep, what they refuse, how they fall back, and power cuts in their middle.

mod asking;
mod clock;
mod expecting;
mod formats;
mod hangs;
mod hopeless;
mod one_life;
mod other_from;
mod policy;
mod power_cuts;
mod refusals;
mod rehearsals;
mod releases;
mod room;
mod scarcity;
mod suites;
mod trust;
mod user_space;

use testkit::Suite;

pub fn chapters(suite: &mut Suite) {
    suite.chapter("patches: refused, fallen back, confirmed, rolled back", one_life::one_life);
    suite.slow_chapter(
        "patches: power cuts while it is written and while it restarts",
        power_cuts::power_cuts,
    );
    suite.slow_chapter("patches: releases that do not start", hopeless::hopeless);
    suite.slow_chapter("patches: user space alone restarts", user_space::user_space);
    suite.chapter("patches: roles, ledger and officers, and a depot that lies", trust::trust);
    suite.slow_chapter("patches: a full data disk, a slow depot", scarcity::scarcity);
    suite.slow_chapter("patches: a release larger than the slot", room::room);
    suite.slow_chapter("patches: from another release than the one that runs", other_from::other_from);
    suite.slow_chapter("patches: a form of the state that the older release can not read", formats::formats);
    suite.slow_chapter("patches: a clock that is wrong by years", clock::wrong_clock);
    suite
        .slow_chapter("patches: the policy `automatic`, outside and inside of its window", policy::automatic);
    suite.slow_chapter("patches: releases that hang", hangs::hangs);
    for (suite_name, debian) in [("bookworm", "Debian 12"), ("bullseye", "Debian 11")] {
        suite.slow_chapter(
            &format!("patches: {debian}, from its point release to today's packages"),
            |suite| {
                suites::point_release_to_today(suite, suite_name);
            },
        );
    }
    suite.slow_chapter("patches: `ampoule test` of a good and of a bad release", rehearsals::rehearsals);
}
