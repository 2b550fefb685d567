//! Releases of the examples, built by the `ampoule` command once for as long as nothing they depend on changes.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use release::ReleaseFolder;
use sha2::{Digest, Sha256};

/// Set to a path, that `ampoule` is used instead of the one `scripts/build` makes.
const COMMAND_VARIABLE: &str = "AMPOULE";

/// What the command places in every image.
pub(crate) const GUEST_PROGRAMS: [&str; 2] = ["ampoule-init", "ampoule-agent"];

/// The workspace's folder.
pub fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("crates/testkit is two levels deep").to_owned()
}

/// The `ampoule` command with the guest's programs beside it: `$AMPOULE`, or the one `scripts/build` made.
pub fn ampoule() -> PathBuf {
    if let Some(path) = std::env::var_os(COMMAND_VARIABLE) {
        return path.into();
    }
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from);
    let command = target.join("ampoule/ampoule");
    assert!(
        command.is_file(),
        "{} is missing: run `scripts/build` first, or set {COMMAND_VARIABLE}",
        command.display()
    );
    command
}

/// The release folder of `examples/NAME`, built when it is not there or something it depends on changed.
///
/// Tests in several processes may ask at once: one builds, the others wait.
#[track_caller]
pub fn built_release(example: &str) -> ReleaseFolder {
    built_release_of(example, &workspace().join("examples").join(example))
}

/// As [`built_release`], for a definition that is elsewhere. `example` names the release folder.
#[track_caller]
pub fn built_release_of(example: &str, definition: &Path) -> ReleaseFolder {
    built_release_by(&ampoule(), example, definition)
}

/// As [`built_release_of`], by another command.
#[track_caller]
pub fn built_release_by(command: &Path, example: &str, definition: &Path) -> ReleaseFolder {
    let store = workspace().join("target/testkit");
    fs::create_dir_all(&store).unwrap_or_else(|error| panic!("can not create {}: {error}", store.display()));
    let lock = File::create(store.join(format!("{example}.lock"))).expect("a lock file can be made");
    lock.lock().expect("the lock can be taken");

    make(definition);
    let place = store.join(example);
    let key_path = store.join(format!("{example}.key"));
    let key = key_of(command, definition);
    if fs::read_to_string(&key_path).is_ok_and(|found| found == key)
        && let Ok(release) = ReleaseFolder::open(&place)
    {
        return release;
    }
    let _ = fs::remove_file(&key_path);
    let output = Command::new(command)
        .args(build_arguments(definition, &place))
        .output()
        .unwrap_or_else(|error| panic!("can not start {}: {error}", command.display()));
    assert!(
        output.status.success(),
        "building {example} failed ({})\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    let release =
        ReleaseFolder::open(&place).unwrap_or_else(|error| panic!("the build left no release: {error}"));
    fs::write(&key_path, key).expect("the key can be written");
    release
}

/// Runs the definition's own `make`, when it has one: it builds the programs that the definition places.
#[track_caller]
fn make(definition: &Path) {
    let make = definition.join("make");
    if !make.is_file() {
        return;
    }
    let output = Command::new(&make)
        .output()
        .unwrap_or_else(|error| panic!("can not start {}: {error}", make.display()));
    assert!(
        output.status.success(),
        "{} failed ({})\n{}",
        make.display(),
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
}

/// How `ampoule build` is called: the one place that knows.
fn build_arguments(definition: &Path, place: &Path) -> Vec<std::ffi::OsString> {
    vec!["build".into(), definition.into(), "--output".into(), place.into()]
}

/// What a build depends on: the command itself, the guest's programs beside it and every file of the definition's folder.
fn key_of(command: &Path, definition: &Path) -> String {
    let mut hasher = Sha256::new();
    let mut files = vec![command.to_owned()];
    files.extend(
        GUEST_PROGRAMS.map(|name| command.with_file_name(name)).into_iter().filter(|it| it.is_file()),
    );
    collect(definition, &mut files);
    files.sort();
    for file in files {
        let content =
            fs::read(&file).unwrap_or_else(|error| panic!("can not read {}: {error}", file.display()));
        let path = file.as_os_str().as_encoded_bytes();
        for part in [path, &content] {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
    }
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("can not list {}: {error}", folder.display()));
    for entry in entries {
        let path = entry.expect("a folder can be listed").path();
        // Folders of runs and of a compiler's work lie beside a definition and are not part of it.
        let is_work = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b".") || name == "target");
        if path.is_dir() && !path.is_symlink() {
            if !is_work {
                collect(&path, files);
            }
        } else if path.is_file() {
            files.push(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Bench;

    #[test]
    fn a_changed_file_and_a_changed_command_ask_for_a_new_build() {
        let bench = Bench::new();
        let command = bench.write("ampoule", "1");
        bench.write("example/appliance.toml", "a");
        bench.write("example/.ampoule/vm/serial.log", "x");
        let key = || key_of(&command, &bench.join("example"));
        let first = key();
        bench.write("example/.ampoule/vm/serial.log", "y");
        bench.write("example/service/target/debug/x", "y");
        assert_eq!(key(), first);
        bench.write("example/files/index.php", "b");
        let second = key();
        assert_ne!(second, first);
        bench.write("ampoule", "2");
        let third = key();
        assert_ne!(third, second);
        bench.write("ampoule-agent", "another one");
        assert_ne!(key(), third, "the agent is in the image");
    }
}
