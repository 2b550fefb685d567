//! Every example boots as on any hypervisor: firmware, boot loader, unified kernel image.

use machine::{Boot, Keep, RunOptions};
use testkit::{Bench, BootedAppliance, Suite, built_release, http, workspace};

pub fn chapters(suite: &mut Suite) {
    let mut names: Vec<String> = std::fs::read_dir(workspace().join("examples"))
        .expect("there are examples")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    for name in names {
        suite.slow_chapter(&format!("example {name}: UEFI boot"), |suite| {
            let bench = Bench::new();
            let release = built_release(&name);
            let asked = BootedAppliance::options(&release);
            let options = RunOptions { boot: Boot::Uefi, keep: Keep::Nothing, ..asked };
            let booted = suite.check("it is healthy through firmware and boot loader", || {
                BootedAppliance::boot(&release, &bench.join("vm"), options)
            });
            let Some(it) = booted else { return };
            suite.check("every page it declares answers", || {
                for port in &release.manifest().ports {
                    let Some(scheme) = port.url_scheme.as_deref().filter(|scheme| scheme.starts_with("http"))
                    else {
                        continue;
                    };
                    let url = it.url(scheme, port.port, "/");
                    let answer = http::get(&url).unwrap_or_else(|error| it.fail(&error));
                    assert!(answer.status < 400, "{url}: {answer:?}");
                }
            });
            suite.check("nothing of it is left when it keeps nothing", || {
                it.shutdown();
                let left = std::fs::read_dir(bench.join("vm")).expect("lists").filter_map(Result::ok);
                let disks: Vec<_> = left
                    .map(|entry| entry.file_name().to_string_lossy().into_owned())
                    .filter(|name| name.starts_with("ephemeral"))
                    .collect();
                assert!(disks.is_empty(), "{disks:?}");
            });
        });
    }
}
