//! Whole-stack patches on older suites: their point release, then everything of the day, with another kernel where there is one.

use std::fs;
use std::path::Path;

use machine::follow::Goal;
use model::control::Call;
use release::ReleaseFolder;
use testkit::depot::DepotServer;
use testkit::{Bench, BootedAppliance, Suite, ampoule, built_release_of, tools, variant, workspace};

use super::asking::{apply, set, updates, wait};
use super::expecting::expect_running;
use super::releases::following;

const GREETING: &str = "Set before the patch";

pub fn point_release_to_today(suite: &mut Suite, suite_name: &str) {
    let bench = Bench::new();
    let built = suite.check("its point release and today's packages are locked, built and released", || {
        let definition = workspace().join(format!("target/testkit/definitions/site-{suite_name}"));
        let _ = fs::remove_dir_all(&definition);
        let program = ampoule().display().to_string();
        tools::run(&program, ["init", &definition.display().to_string()]);
        let old = locked_and_built(&definition, suite_name, "1.0.0", "[]");
        let new = locked_and_built(&definition, suite_name, "1.1.0", "[\"updates\", \"security\"]");
        let depot = variant::depot(&format!("{suite_name}-depot"), &[&old, &new]);
        (old, new, depot)
    });
    let Some((old, new, depot)) = built else { return };
    let server = DepotServer::start(&depot);
    let booted = suite.check("the point release is healthy", || {
        let it = BootedAppliance::boot(&old, &bench.join("vm"), following(&old, &server));
        set(&it, "greeting", GREETING);
        it
    });
    let Some(it) = booted else { return };
    let patched = suite.check("it is patched to today's packages and confirmed", || {
        let end = apply(&it, "1.1.0", false);
        assert!(end.reached, "{end:?}");
        it.wait_healthy();
        expect_running(&it, &new);
        assert!(it.get("http", 80, "/").body.contains(GREETING));
    });
    if patched.is_none() {
        return;
    }
    suite.check("it returns to its point release", || {
        let before = updates(&it);
        it.call(Call::Rollback);
        let end = wait(&it, &before, "1.0.0", &Goal::RolledBack { to: "1.0.0".into() });
        assert!(end.reached, "{end:?}");
        it.wait_healthy();
        expect_running(&it, &old);
        assert!(it.get("http", 80, "/").body.contains(GREETING));
    });
    it.kill_power();
}

fn locked_and_built(definition: &Path, suite_name: &str, version: &str, extra_suites: &str) -> ReleaseFolder {
    let file = definition.join("appliance.toml");
    let text = fs::read_to_string(&file).expect("a definition");
    let lines = text.lines().map(|line| match line.split(" = ").next() {
        Some("suite") => format!("suite = \"{suite_name}\""),
        Some("extra-suites") => format!("extra-suites = {extra_suites}"),
        Some("version") => format!("version = \"{version}\""),
        _ => line.to_owned(),
    });
    let text: Vec<String> = lines.collect();
    fs::write(&file, text.join("\n") + "\n").expect("writes");
    tools::run(&ampoule().display().to_string(), ["lock", &definition.display().to_string()]);
    built_release_of(&format!("site-{suite_name}-{version}"), definition)
}
