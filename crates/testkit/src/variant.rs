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
    let _one_at_a_time = lock_beside(&definition_folder(version));
    built_release_of(&format!("patched-{version}"), &definition(version, change))
}

/// As [`release`], with a program of ours replaced by a script: what a maker can not do by a definition.
#[track_caller]
pub fn release_with_agent(version: &str, script: &str) -> ReleaseFolder {
    let _one_at_a_time = lock_beside(&definition_folder(version));
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

/// Keeps other processes from making the same thing at the same time.
#[track_caller]
fn lock_beside(place: &Path) -> File {
    let folder = place.parent().expect("a place is in a folder");
    fs::create_dir_all(folder).unwrap_or_else(|error| panic!("can not create {}: {error}", folder.display()));
    let name = place.file_name().expect("a place has a name").to_string_lossy();
    let lock = File::create(folder.join(format!("{name}.lock"))).expect("a lock file can be made");
    lock.lock().expect("the lock can be taken");
    lock
}

fn definition_folder(version: &str) -> PathBuf {
    workspace().join(format!("target/testkit/definitions/patched-{version}"))
}

fn definition(version: &str, change: Change) -> PathBuf {
    let folder = definition_folder(version);
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
///
/// Each release is published once, beside the first one, for all depots that have both: that is what takes minutes.
#[track_caller]
pub fn depot(name: &str, releases: &[&ReleaseFolder]) -> PathBuf {
    let place = workspace().join("target/testkit").join(name);
    let _one_at_a_time = lock_beside(&place);
    let _ = fs::remove_dir_all(&place);
    let (oldest, others) = releases.split_first().expect("a depot has a release");
    let parts: Vec<PathBuf> = match others {
        [] => vec![published(oldest, None)],
        _ => others.iter().map(|release| published(oldest, Some(release))).collect(),
    };
    let appliance = oldest.manifest().identity.id();
    let mut indices = parts.iter().map(|part| index_of(part, &appliance));
    let mut index = indices.next().expect("there is a first part");
    for other in indices {
        let newest = other.releases.into_iter().next_back().expect("a part has the release it is for");
        (index.serial, index.updated) = (index.serial + 1, index.updated.max(other.updated));
        index.releases.push(newest);
    }
    for part in &parts {
        let from = part.join(".");
        tools::run(
            "cp",
            ["-al".as_ref(), "--force".as_ref(), "--".as_ref(), from.as_os_str(), place.as_os_str()],
        );
    }
    let path = place.join(index::index_path(&appliance, CHANNEL));
    // Not written in place: the name may be a link to a part's index.
    fs::remove_file(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let bytes = serde_json::to_vec(&index).expect("an index serialises");
    fs::write(&path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    place
}

/// A depot with one release, or with two and a patch between them. Made once for the same content.
#[track_caller]
fn published(oldest: &ReleaseFolder, release: Option<&ReleaseFolder>) -> PathBuf {
    let content = |release: &ReleaseFolder| release.manifest().image.root_hash.to_string()[..16].to_owned();
    let name: Vec<String> = std::iter::once(oldest).chain(release).map(content).collect();
    let place = workspace().join("target/testkit/published").join(name.join("-"));
    let _one_at_a_time = lock_beside(&place);
    if place.is_dir() {
        return place;
    }
    let working = place.with_extension("new");
    let _ = fs::remove_dir_all(&working);
    if release.is_some() {
        let before = published(oldest, None);
        tools::run("cp", ["-a".as_ref(), "--".as_ref(), before.as_os_str(), working.as_os_str()]);
    }
    let (folder, depot) =
        (release.unwrap_or(oldest).path().display().to_string(), working.display().to_string());
    let mut arguments = vec!["release", &folder, "--depot", &depot, "--channel", CHANNEL, "--patches", "0"];
    let from = oldest.path().display().to_string();
    if release.is_some() {
        arguments.extend(["--from", &from]);
    }
    tools::run(&ampoule().display().to_string(), arguments);
    fs::rename(&working, &place).unwrap_or_else(|error| panic!("{}: {error}", place.display()));
    place
}

#[track_caller]
fn index_of(depot: &Path, appliance: &str) -> Index {
    let path = depot.join(index::index_path(appliance, CHANNEL));
    let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Index::parse(&bytes, appliance, CHANNEL).expect("an index")
}

/// The path in the depot of the patch from one version to another, and its bytes.
#[track_caller]
pub fn patch_object(depot: &Path, from: &str, to: &str) -> (String, u64) {
    let index = index_of(depot, APPLIANCE);
    let of = |version: &str| index.releases.iter().find(|it| it.version == version).expect("a release");
    let from = Some(of(from).id());
    let patch = of(to).patches.iter().find(|patch| patch.from == from).expect("a patch between them");
    (index::object_path(&patch.object.sha256), patch.object.size)
}
