//! An appliance as unlike LAMP as Debian allows: another suite, PostgreSQL, a static program of the maker's own.

use std::path::Path;

use machine::StopMethod;
use model::control::{Call, Source};
use release::ReleaseFolder;
use testkit::{Bench, BootedAppliance, Suite, built_release, http};

use crate::settings;

const PORT: u16 = 8080;

pub fn chapters(suite: &mut Suite) {
    suite.chapter("example counter: PostgreSQL on Debian 12 through a power cut", |suite| {
        let bench = Bench::new();
        let folder = bench.join("vm");
        let release = built_release("counter");
        if first_boot(suite, &release, &folder).is_some() {
            second_boot(suite, &release, &folder);
        }
    });
}

fn first_boot(suite: &mut Suite, release: &ReleaseFolder, folder: &Path) -> Option<()> {
    let appliance = suite.check("it makes its database and is healthy", || {
        BootedAppliance::boot(release, folder, BootedAppliance::options(release))
    })?;
    let it = &appliance;
    suite.check("visits are counted", || {
        for expected in 1..=3 {
            let answer = http::request(&["--data", "", &it.url("http", PORT, "/count")]).expect("answers");
            assert_eq!(
                (answer.status, answer.body.trim()),
                (303, expected.to_string().as_str()),
                "{answer:?}"
            );
        }
    })?;
    suite.check("a changed setting is on the page as soon as the command returns", || {
        settings::must(folder, &["settings", "set", "title=Tally <1>", "greeting=Number {count}."]);
        let body = it.get("http", PORT, "/").body;
        assert!(body.contains("<h1>Tally &lt;1&gt;</h1>") && body.contains("Number 3."), "{body}");
    });
    suite.check("what only the maker's check knows is refused in the maker's words", || {
        let output = settings::command(folder, &["settings", "set", "greeting=Visit {visits}"]);
        let said = testkit::tools::said(&output);
        assert_eq!(output.status.code(), Some(6), "{said}");
        assert!(said.contains("there is no `{visits}`, only `{count}`"), "{said}");
        assert!(it.get("http", PORT, "/").body.contains("Number 3."), "it serves as before");
    });
    suite.check("undo brings the words before back", || {
        settings::must(folder, &["settings", "undo"]);
        assert!(it.get("http", PORT, "/").body.contains("You are looking at visit 3."));
        settings::must(folder, &["settings", "set", "title=Kept"]);
    });
    suite.check("law_12_the_generated_token_is_never_shown", || {
        let (value, source) = settings::state_of(it)["reset-token"].clone();
        assert_eq!((value, source), (None, Source::Generated));
        let answer = http::request(&["--data", "", &it.url("http", PORT, "/reset")]).expect("answers");
        assert_eq!(answer.status, 401, "{answer:?}");
    });
    // At once: what PostgreSQL has confirmed has to be on the disk.
    appliance.kill_power();
    Some(())
}

fn second_boot(suite: &mut Suite, release: &ReleaseFolder, folder: &Path) {
    let booted = suite.check("law_4_it_is_healthy_again_after_a_power_cut", || {
        BootedAppliance::boot(release, folder, BootedAppliance::options(release))
    });
    let Some(appliance) = booted else { return };
    suite.check("law_9_every_visit_that_was_confirmed_is_there", || {
        assert_eq!(appliance.get("http", PORT, "/count").body.trim(), "3");
        assert!(appliance.get("http", PORT, "/").body.contains("<h1>Kept</h1>"));
    });
    suite.check("it stops cleanly and wrote nothing outside of declared state", || {
        let writes = appliance.call(Call::UndeclaredWrites);
        let stopped = appliance.shutdown();
        assert_eq!(stopped.method, StopMethod::Agent);
        assert!(stopped.undeclared_writes.is_some_and(|writes| writes.is_empty()), "{writes:?}");
    });
}
