//! Patches of running appliances: what they keep, what they refuse, how they fall back, and power cuts in their middle.

mod asking;
mod expecting;
mod hopeless;
mod one_life;
mod power_cuts;
mod refusals;
mod rehearsals;
mod releases;
mod scarcity;

use testkit::Suite;

pub fn chapters(suite: &mut Suite) {
    suite.chapter("patches: refused, fallen back, confirmed, rolled back", one_life::one_life);
    suite.slow_chapter(
        "patches: power cuts while it is written and while it restarts",
        power_cuts::power_cuts,
    );
    suite.slow_chapter("patches: releases that do not start", hopeless::hopeless);
    suite.slow_chapter("patches: a full data disk, a slow depot", scarcity::scarcity);
    suite.slow_chapter("patches: `ampoule test` of a good and of a bad release", rehearsals::rehearsals);
}
