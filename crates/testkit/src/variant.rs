//! Releases of one appliance that differ in their application only, and a depot that has them: built once, like the examples.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use release::{Index, ReleaseFolder, index};

use crate::built::{ampoule, built_release_by, built_release_of, workspace};
use crate::probe::write_variant;
use crate::tools;

/// The appliance that is patched, `vendor/name`.
pub const APPLIANCE: &str = "ampoule-examples/patched";
/// The channel its releases are in.
pub const CHANNEL: &str = "stable";

/// Added to every version. A trial that is over early: an emulated processor needs a minute to start.
const ADDITIONS: &str = "\n[updates]\ntrial = 240\n";

/// Changes to the definition of one version: its folder is given, as it was written.
pub type Change = fn(&Path);

/// The release of a version: `examples/lamp` under another name, and what `change` does to it.
#[track_caller]
pub fn release(version: &str, change: Change) -> ReleaseFolder {
    let _one_at_a_time = locked(version);
    built_release_of(&format!("patched-{version}"), &definition(version, change))
}

/// As [`release`], with a program of ours replaced by a script: what a maker can not do by a definition.
#[track_caller]
pub fn release_with_agent(version: &str, script: &str) -> ReleaseFolder {
    let _one_at_a_time = locked(version);
    let tools = workspace().join(format!("target/testkit/tools-{version}"));
    fs::create_dir_all(&tools).unwrap_or_else(|error| panic!("can not create {}: {error}", tools.display()));
    let command = ampoule();
    for name in ["ampoule", "ampoule-init"] {
        let from = command.with_file_name(name);
        fs::copy(&from, tools.join(name)).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    }
    let agent = tools.join("ampoule-agent");
    fs::write(&agent, script).unwrap_or_else(|error| panic!("{}: {error}", agent.display()));
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&agent, executable).unwrap_or_else(|error| panic!("{}: {error}", agent.display()));
    built_release_by(&tools.join("ampoule"), &format!("patched-{version}"), &definition(version, |_| ()))
}

/// Keeps other processes from writing the definition anew while it is built.
#[track_caller]
fn locked(version: &str) -> File {
    let folder = workspace().join("target/testkit/definitions");
    fs::create_dir_all(&folder)
        .unwrap_or_else(|error| panic!("can not create {}: {error}", folder.display()));
    let lock = File::create(folder.join(format!("{version}.lock"))).expect("a lock file can be made");
    lock.lock().expect("the lock can be taken");
    lock
}

fn definition(version: &str, change: Change) -> PathBuf {
    let folder = workspace().join(format!("target/testkit/definitions/patched-{version}"));
    let _ = fs::remove_dir_all(&folder);
    let file = write_variant(&folder, "patched", ADDITIONS);
    edit(&file, "version = \"1.0.0\"", &format!("version = \"{version}\""));
    // An application from which the version can be read.
    edit(
        &folder.join("app/public/index.php"),
        "<body>",
        &format!("<body>\n    <p id=\"version\">{version}</p>"),
    );
    change(&folder);
    folder
}

/// Replaces the only place of `from` in a file.
#[track_caller]
pub fn edit(file: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    assert_eq!(text.matches(from).count(), 1, "`{from}` is in {} once", file.display());
    fs::write(file, text.replacen(from, to, 1)).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
}

/// A depot with the releases, oldest first, and patches from the first to each. `name` is its folder's; made again when a
/// release differs.
#[track_caller]
pub fn depot(name: &str, releases: &[&ReleaseFolder]) -> PathBuf {
    let store = workspace().join("target/testkit");
    let lock = File::create(store.join(format!("{name}.lock"))).expect("a lock file can be made");
    lock.lock().expect("the lock can be taken");
    let (place, key_path) = (store.join(name), store.join(format!("{name}.key")));
    let roots = releases.iter().map(|release| {
        let manifest = release.manifest();
        format!("{} {}\n", manifest.identity.version, manifest.image.root_hash)
    });
    let key: String = roots.collect();
    if fs::read_to_string(&key_path).is_ok_and(|found| found == key) {
        return place;
    }
    let _ = fs::remove_file(&key_path);
    let _ = fs::remove_dir_all(&place);
    let (command, depot) = (ampoule().display().to_string(), place.display().to_string());
    let oldest = releases[0].path().display().to_string();
    for (number, release) in releases.iter().enumerate() {
        let folder = release.path().display().to_string();
        let mut arguments =
            vec!["release", &folder, "--depot", &depot, "--channel", CHANNEL, "--patches", "0"];
        if number > 0 {
            arguments.extend(["--from", &oldest]);
        }
        tools::run(&command, arguments);
    }
    fs::write(&key_path, key).expect("the key can be written");
    place
}

/// The path in the depot of the patch from one version to another, and its bytes.
#[track_caller]
pub fn patch_object(depot: &Path, from: &str, to: &str) -> (String, u64) {
    let path = depot.join(index::index_path(APPLIANCE, CHANNEL));
    let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let index = Index::parse(&bytes, APPLIANCE, CHANNEL).expect("an index");
    let of = |version: &str| index.releases.iter().find(|it| it.version == version).expect("a release");
    let from = Some(of(from).id());
    let patch = of(to).patches.iter().find(|patch| patch.from == from).expect("a patch between them");
    (index::object_path(&patch.object.sha256), patch.object.size)
}
