//! Patches in the life of a small appliance, and what may go wrong with them. Everything goes through the command, as a maker
//! and an operator use it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use machine::RunOptions;
use model::control::{Answer, Call, LifeStage, SlotRole, Status, UpdateStatus};
use release::ReleaseFolder;
use testkit::flip::flip_bit;
use testkit::{Bench, BootedAppliance, Suite, ampoule, built_release_of, http, tools, workspace};

use crate::settings;

/// The host, as the appliance sees it.
const HOST: &str = "10.0.2.2";
const SERVER_TIMEOUT: Duration = Duration::from_secs(20);

pub fn chapters(suite: &mut Suite) {
    suite.chapter("patches: to a newer release, away from a broken one, and back", life);
    suite.chapter("patches: a depot that is gone, rotten or simple", depots);
    suite.slow_chapter("patches: releases that can not start", broken_releases);
    suite.slow_chapter("patches: power cuts in every step", |suite| {
        suite.check("law_4_a_power_cut_in_any_step_leaves_old_or_new_with_its_state", || {
            let (old, new) = (site("1.0.0", |_| ()), site("1.0.1", greet));
            let paths = [old.path(), new.path()].map(|path| path.display().to_string());
            let said = must(&["test", &paths[0], &paths[1]]);
            assert!(!said.contains("FAILED"), "{said}");
        });
    });
}

fn life(suite: &mut Suite) {
    let bench = Bench::new();
    let depot = bench.join("depot");
    let made = suite.check("law_7_releases_are_published_with_a_patch_between_them", || {
        let releases = [site("1.0.0", |_| ()), site("1.0.1", greet), site("1.0.2", break_health)];
        releases.iter().for_each(|release| publish(release, &depot));
        let listed = must(&["depot", "list", &depot.display().to_string()]);
        assert!(listed.contains("from 1.0.0") && listed.contains("from 1.0.1"), "{listed}");
        must(&["depot", "check", &depot.display().to_string()]);
        releases
    });
    let Some([first, ..]) = made else { return };
    let server = Server::ours(&depot);
    let folder = bench.join("vm");
    let booted = suite.check("the first release is healthy and follows the depot", || {
        let it = BootedAppliance::boot(&first, &folder, following(&first, &server.url()));
        let update = check_updates(&it);
        assert_eq!(
            update.available.as_ref().map(|offer| offer.version.as_str()),
            Some("1.0.2"),
            "{update:?}"
        );
        it
    });
    let Some(it) = booted else { return };
    let patched = suite.check("it is patched while it runs, and proves itself", || {
        settings::must(&folder, &["settings", "set", "greeting=Kept"]);
        settings::must(&folder, &["apply", "1.0.1", "--yes"]);
        assert_eq!(status(&it).version, "1.0.1");
        let body = it.get("http", 80, "/").body;
        assert!(body.contains("Kept") && body.contains("patched"), "settings stay, files are new: {body}");
    });
    if patched.is_none() {
        return;
    }
    suite.check("law_3_the_release_before_can_be_returned_to", || {
        let previous = updates(&it).slots.into_iter().find(|slot| slot.role == SlotRole::Previous);
        assert_eq!(previous.and_then(|slot| slot.version).as_deref(), Some("1.0.0"));
    });
    suite.check("law_5_what_is_unhealthy_does_not_stay_and_why_is_not_lost", || {
        let output = settings::command(&folder, &["apply", "1.0.2", "--yes"]);
        let said = tools::said(&output);
        assert_eq!(output.status.code(), Some(6), "{said}");
        assert!(said.contains("fell back") && said.contains("the site answers"), "{said}");
        it.wait_healthy();
        assert_eq!(status(&it).version, "1.0.1");
        let patch = updates(&it).patch.expect("it is remembered");
        assert_eq!((patch.stage, patch.version.as_str()), (LifeStage::FallenBack, "1.0.2"));
        assert!(it.get("http", 80, "/").body.contains("Kept"));
    });
    suite.check("a release that fell back is not tried again unless somebody asks", || {
        let output = settings::command(&folder, &["apply", "1.0.2", "--yes"]);
        assert_eq!(output.status.code(), Some(6), "{}", tools::said(&output));
        assert_eq!(status(&it).version, "1.0.1", "{}", tools::said(&output));
    });
    suite.check("a hold keeps a release away, and says why", || {
        settings::must(&folder, &["hold", "--reason", "audit until Friday"]);
        let said = settings::must(&folder, &["updates"]);
        assert!(said.contains("audit until Friday"), "{said}");
        settings::must(&folder, &["unhold"]);
    });
    suite.check("a system disk that was patched is kept over a restart", || {
        it.shutdown();
        let it = BootedAppliance::boot(&first, &folder, following(&first, &server.url()));
        assert_eq!(status(&it).version, "1.0.1");
        it.shutdown();
    });
}

fn depots(suite: &mut Suite) {
    let bench = Bench::new();
    let depot = bench.join("depot");
    let (old, new) = (site("1.0.0", |_| ()), site("1.0.1", greet));
    publish(&old, &depot);
    publish(&new, &depot);
    let ways =
        fs::read_to_string(depot.join("appliances/example/patched-site/stable.json")).expect("an index");
    let server = Server::simple(&depot);
    let folder = bench.join("vm");
    let booted = suite.check("it boots and follows a server without ranges", || {
        BootedAppliance::boot(&old, &folder, following(&old, &server.url()))
    });
    let Some(it) = booted else { return };
    let refused = |suite: &mut Suite, name: &str, spoil: &dyn Fn()| {
        suite.check(name, || {
            spoil();
            let output = settings::command(&folder, &["stage", "1.0.1", "--again"]);
            assert_ne!(output.status.code(), Some(0), "{}", tools::said(&output));
            let slots = updates(&it).slots;
            assert!(slots.iter().all(|slot| slot.role != SlotRole::Staged), "nothing is armed: {slots:?}");
            assert_eq!(status(&it).version, "1.0.0");
        });
    };
    let objects = patch_objects(&depot, &ways);
    let backup = bench.join("backup");
    fs::create_dir(&backup).expect("creates");
    for object in &objects {
        fs::copy(object, backup.join(object.file_name().expect("a name"))).expect("copies");
    }
    let restore = || {
        for object in &objects {
            fs::copy(backup.join(object.file_name().expect("a name")), object).expect("copies");
        }
    };
    refused(suite, "law_2_a_flipped_bit_in_every_way_is_refused", &|| {
        objects.iter().for_each(|object| flip_bit(object, fs::metadata(object).expect("there").len() / 2));
    });
    refused(suite, "law_11_truncated_ways_are_refused", &|| {
        restore();
        for object in &objects {
            let file = fs::OpenOptions::new().write(true).open(object).expect("opens");
            file.set_len(fs::metadata(object).expect("there").len() / 2).expect("truncates");
        }
    });
    refused(suite, "ways that are not there are told, and nothing changes", &|| {
        objects.iter().for_each(|object| fs::remove_file(object).expect("removes"));
    });
    let index = depot.join("appliances/example/patched-site/stable.json");
    suite.check(
        "a depot that answers garbage leaves the appliance as it was, and nobody calls it current",
        || {
            restore();
            fs::write(&index, "<html>Welcome to the captive portal</html>").expect("writes");
            let output = settings::command(&folder, &["updates", "--check"]);
            assert_eq!(output.status.code(), Some(6), "{}", tools::said(&output));
            assert!(updates(&it).check_failed.is_some());
            fs::write(&index, &ways).expect("writes");
        },
    );
    suite.check("a good depot without ranges serves the patch all the same", || {
        settings::must(&folder, &["apply", "1.0.1", "--again", "--yes"]);
        assert_eq!(status(&it).version, "1.0.1");
    });
    suite.check("a depot that is gone is unknown, not current", || {
        drop(server);
        let output = settings::command(&folder, &["updates", "--check"]);
        assert_eq!(output.status.code(), Some(6), "{}", tools::said(&output));
        it.kill_power();
    });
}

fn broken_releases(suite: &mut Suite) {
    type Change = fn(&Path);
    let broken: [(&str, Change); 2] = [
        ("a service that crashes in a loop", |folder| {
            // nginx refuses its configuration at every start.
            append(&folder.join("templates/default"), "\nnonsense yes;\n");
        }),
        ("a health check that never answers", break_health),
    ];
    for (name, change) in broken {
        suite.check(&format!("law_5_{}_falls_back", name.replace(' ', "_")), || {
            let bench = Bench::new();
            let depot = bench.join("depot");
            let old = site("1.0.0", |_| ());
            publish(&old, &depot);
            publish(&site("1.0.3", change), &depot);
            let server = Server::ours(&depot);
            let folder = bench.join("vm");
            let it = BootedAppliance::boot(&old, &folder, following(&old, &server.url()));
            let output = settings::command(&folder, &["apply", "--yes"]);
            assert_eq!(output.status.code(), Some(6), "{}", tools::said(&output));
            it.wait_healthy();
            assert_eq!(status(&it).version, "1.0.0");
            it.kill_power();
        });
    }
}

/// A release of a small site, built once for each version and change.
fn site(version: &str, change: impl Fn(&Path)) -> ReleaseFolder {
    let name = "patched-site";
    let parent = workspace().join("target/testkit/definitions").join(version);
    let folder = parent.join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&parent).expect("creates");
    must(&["init", &folder.display().to_string()]);
    let file = folder.join("appliance.toml");
    let text = fs::read_to_string(&file).expect("reads");
    let text = text.replace("version = \"0.1.0\"", &format!("version = \"{version}\""));
    fs::write(&file, text + "\n[updates]\ntrial = 120\n").expect("writes");
    change(&folder);
    // One lock for all: they differ in the maker's files only.
    let lock = workspace().join("target/testkit/patched-site.appliance.lock");
    if lock.is_file() {
        fs::copy(&lock, folder.join("appliance.lock")).expect("copies");
    } else {
        must(&["lock", &folder.display().to_string()]);
        fs::copy(folder.join("appliance.lock"), &lock).expect("copies");
    }
    let mark = digest_of(&folder);
    built_release_of(&format!("{name}-{version}-{mark}"), &folder)
}

/// Tells two changes of one version apart.
fn digest_of(folder: &Path) -> String {
    let script = "cd \"$1\" && cat appliance.toml templates/* site/* | sha256sum | cut -c1-8";
    tools::run("sh", ["-c", script, "sh", &folder.display().to_string()]).trim().to_owned()
}

fn greet(folder: &Path) {
    append(&folder.join("templates/index.html"), "\n<p>patched</p>\n");
}

fn break_health(folder: &Path) {
    let file = folder.join("appliance.toml");
    let text = fs::read_to_string(&file).expect("reads");
    fs::write(&file, text.replace("contains = \"<h1>\"", "contains = \"never there\"")).expect("writes");
}

fn append(file: &Path, text: &str) {
    let old = fs::read_to_string(file).expect("reads");
    fs::write(file, old + text).expect("writes");
}

fn publish(release: &ReleaseFolder, depot: &Path) {
    let (release, depot) = (release.path().display().to_string(), depot.display().to_string());
    must(&["release", &release, "--depot", &depot]);
}

#[track_caller]
fn must(arguments: &[&str]) -> String {
    let output = tools::attempt(&ampoule().display().to_string(), arguments);
    assert!(output.status.success(), "{arguments:?}: {}", tools::said(&output));
    tools::said(&output)
}

fn following(release: &ReleaseFolder, url: &str) -> RunOptions {
    let asked = BootedAppliance::patchable(release);
    RunOptions { settings: Some(format!("update-depot = \"{url}\"\n")), ..asked }
}

fn status(it: &BootedAppliance) -> Status {
    match it.call(Call::Status) {
        Answer::Status(status) => status,
        other => panic!("{other:?}"),
    }
}

fn updates(it: &BootedAppliance) -> UpdateStatus {
    match it.call(Call::Updates) {
        Answer::Updates(status) => status,
        other => panic!("{other:?}"),
    }
}

fn check_updates(it: &BootedAppliance) -> UpdateStatus {
    match it.call(Call::CheckUpdates) {
        Answer::Updates(status) => status,
        other => panic!("{other:?}"),
    }
}

/// Every way to the newest release.
fn patch_objects(depot: &Path, index: &str) -> Vec<PathBuf> {
    let index = release::Index::parse(index.as_bytes(), "example/patched-site", "stable").expect("an index");
    let newest = index.releases.last().expect("a release");
    let path = |patch: &release::PatchRef| depot.join(release::index::object_path(&patch.object.sha256));
    newest.patches.iter().map(path).collect()
}

/// A server on 127.0.0.1, gone when it is dropped.
struct Server {
    child: Child,
    port: u16,
}

impl Server {
    fn ours(depot: &Path) -> Self {
        Self::start(|port| {
            let mut command = Command::new(ampoule());
            command.args(["depot", "serve"]).arg(depot).args(["--listen", &format!("127.0.0.1:{port}")]);
            command
        })
    }

    /// Python's: no ranges, no caching, as simple as it gets.
    fn simple(depot: &Path) -> Self {
        Self::start(|port| {
            let mut command = Command::new("/usr/bin/python3");
            command
                .args(["-m", "http.server", &port.to_string(), "--bind", "127.0.0.1", "--directory"])
                .arg(depot);
            command
        })
    }

    fn start(command: impl Fn(u16) -> Command) -> Self {
        let port = machine::ports::free().expect("a free port");
        let child = command(port).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let server = Self { child: child.expect("starts"), port };
        let deadline = Instant::now() + SERVER_TIMEOUT;
        while http::get(&format!("http://127.0.0.1:{port}/depot.json")).is_err() {
            assert!(Instant::now() < deadline, "the server answers");
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }

    fn url(&self) -> String {
        format!("http://{HOST}:{}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
