//! What `ampoule init` writes is built and boots, on the oldest and on the newest suite.

use std::fs;

use machine::{Boot, Keep, RunOptions};
use testkit::{Bench, BootedAppliance, Suite, ampoule, built_release_of, tools};

pub fn chapters(suite: &mut Suite) {
    for suite_name in ["bullseye", "trixie"] {
        suite.slow_chapter(&format!("a new definition on {suite_name}"), |suite| {
            let bench = Bench::new();
            let name = format!("site-{suite_name}");
            let definition = bench.join(&name);
            let program = ampoule().display().to_string();
            let folder = definition.display().to_string();
            let made = suite.check("it is written, locked and built", || {
                tools::run(&program, ["init", &folder]);
                let file = definition.join("appliance.toml");
                let text = fs::read_to_string(&file).expect("a definition");
                let text = text.replace("suite = \"trixie\"", &format!("suite = \"{suite_name}\""));
                fs::write(&file, text).expect("writes");
                tools::run(&program, ["lock", &folder]);
                built_release_of(&name, &definition)
            });
            let Some(release) = made else { return };
            suite.check("it serves its page through firmware and boot loader", || {
                let asked = BootedAppliance::options(&release);
                let options = RunOptions { boot: Boot::Uefi, keep: Keep::Nothing, ..asked };
                let it = BootedAppliance::boot(&release, &bench.join("vm"), options);
                assert_eq!(it.get("http", 80, "/").status, 200);
                it.kill_power();
            });
        });
    }
}
