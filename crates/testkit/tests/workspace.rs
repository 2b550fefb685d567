//! Laws of the workspace itself: licences, what the core may depend on, where `unsafe` and printing may be.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;
use testkit::workspace;

/// Crates that are pure: values in, values out.
const CORE: [&str; 4] = ["model", "debian", "tree", "image"];
/// Crates that are pure and stand on `release`, which reads folders.
const PURE: [&str; 1] = ["sbom"];
/// What reaches the world. `tempfile` is for tests only, and `libc` comes with compressors but is never called by us.
const WORLDLY: [&str; 13] = [
    "ureq",
    "rustix",
    "libc",
    "nix",
    "tokio",
    "reqwest",
    "hyper",
    "rustls",
    "socket2",
    "rand",
    "getrandom",
    "chrono",
    "tempfile",
];
/// Licences that ask for no more than being named. MPL-2.0 and the GPL family are not among them.
const LICENCES: [&str; 11] = [
    "MIT",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "0BSD",
    "Unicode-3.0",
    "Unlicense",
    "CDLA-Permissive-2.0",
];
/// Two versions of one of these mean two implementations to watch for the same hole.
const CRYPTOGRAPHY: [&str; 13] = [
    "ring",
    "rustls",
    "rustls-webpki",
    "webpki-roots",
    "sha1",
    "sha2",
    "digest",
    "md-5",
    "rcgen",
    "aws-lc-rs",
    "untrusted",
    "subtle",
    "ed25519-dalek",
];

/// An example's program that has dependencies of its own: they are shipped to customers as much as ours.
const EXAMPLE_PROGRAM: &str = "examples/counter/service";

static METADATA: LazyLock<Value> = LazyLock::new(|| metadata_of(&workspace()));

fn metadata_of(folder: &Path) -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--locked", "--format-version", "1", "--all-features"])
        .current_dir(folder)
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo writes JSON")
}

fn packages() -> &'static Vec<Value> {
    METADATA["packages"].as_array().expect("packages")
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// Whether an SPDX expression can be satisfied with allowed licences. `AND` binds tighter than `OR`.
fn is_allowed(expression: &str) -> bool {
    // Old manifests write `MIT/Apache-2.0`; a group in brackets is always a choice in the expressions at hand.
    let expression = expression.replace(" / ", " OR ").replace('/', " OR ");
    if let Some((before, rest)) = expression.split_once('(') {
        let (group, after) = rest.split_once(')').expect("brackets are closed");
        let verdict = if is_allowed(group) { "MIT" } else { "refused" };
        return is_allowed(&format!("{before}{verdict}{after}"));
    }
    let choices = expression.split(" OR ");
    choices.into_iter().any(|choice| choice.split(" AND ").all(|licence| LICENCES.contains(&licence.trim())))
}

#[test]
fn every_dependency_has_a_licence_that_asks_for_no_more_than_being_named() {
    let example = metadata_of(&workspace().join(EXAMPLE_PROGRAM));
    let refused: Vec<String> = packages()
        .iter()
        .chain(example["packages"].as_array().expect("packages"))
        .filter(|package| !is_allowed(text(package, "license")))
        .map(|package| {
            format!("{} {}: {}", text(package, "name"), text(package, "version"), text(package, "license"))
        })
        .collect();
    assert!(refused.is_empty(), "licences that are not on the list:\n{}", refused.join("\n"));
}

#[test]
fn licence_expressions_are_read_as_they_are_meant() {
    for good in [
        "MIT",
        "MIT/Apache-2.0",
        "GPL-3.0 OR MIT",
        "(MIT OR Apache-2.0) AND Unicode-3.0",
        "Apache-2.0 AND ISC",
    ] {
        assert!(is_allowed(good), "{good}");
    }
    for bad in ["", "GPL-3.0", "MIT AND GPL-3.0", "(GPL-3.0 OR LGPL-2.1) AND MIT", "MPL-2.0"] {
        assert!(!is_allowed(bad), "{bad}");
    }
}

#[test]
fn every_dependency_comes_from_a_registry_and_is_pinned_with_a_digest() {
    let lock_of = |folder: &Path| fs::read_to_string(folder.join("Cargo.lock")).expect("Cargo.lock");
    let locks = lock_of(&workspace()) + &lock_of(&workspace().join(EXAMPLE_PROGRAM));
    for package in locks.split("[[package]]").skip(1) {
        let is_ours = package.contains("name = \"ampoule-") || package.contains("name = \"counter\"");
        assert!(is_ours || package.contains("checksum = \""), "not pinned by digest:{package}");
        assert!(!package.contains("git+"), "from a repository:{package}");
    }
}

#[test]
fn cryptography_is_there_once() {
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in packages() {
        versions.entry(text(package, "name")).or_default().insert(text(package, "version"));
    }
    for name in CRYPTOGRAPHY {
        let found = versions.get(name).cloned().unwrap_or_default();
        assert!(found.len() <= 1, "{name} is there in several versions: {found:?}");
    }
}

#[test]
fn core_crates_depend_on_nothing_that_reaches_the_world() {
    for name in CORE {
        let package = packages().iter().find(|package| text(package, "name") == format!("ampoule-{name}"));
        let package = package.unwrap_or_else(|| panic!("there is a crate {name}"));
        let dependencies = package["dependencies"].as_array().expect("dependencies");
        for dependency in dependencies.iter().filter(|dependency| dependency["kind"].is_null()) {
            let found = text(dependency, "name");
            assert!(!WORLDLY.contains(&found), "{name} depends on {found}");
            let ours = found.strip_prefix("ampoule-");
            assert!(
                ours.is_none_or(|ours| CORE.contains(&ours)),
                "{name} depends on {found}, which is no core crate"
            );
        }
    }
}

#[test]
fn core_crates_do_not_look_at_files_network_processes_environment_or_clock() {
    const FORBIDDEN: [&str; 7] = [
        "std::fs",
        "std::net",
        "std::process",
        "std::env",
        "SystemTime::now",
        "Instant::now",
        "std::os::unix::fs",
    ];
    for name in CORE.into_iter().chain(PURE) {
        for (path, line, code) in lines_of(name) {
            // Addresses are values; it is sockets that reach the world.
            let is_address = code.contains("Addr") && !code.contains("Tcp") && !code.contains("Udp");
            let found =
                FORBIDDEN.iter().find(|word| code.contains(*word) && !(is_address && **word == "std::net"));
            assert!(found.is_none(), "{}:{line} uses {}: {code}", path.display(), found.unwrap_or(&""));
        }
    }
}

#[test]
fn unsafe_code_is_in_the_agent_alone() {
    for member in members() {
        if member == "agent" {
            continue;
        }
        let manifest = workspace().join("crates").join(&member).join("Cargo.toml");
        let manifest = fs::read_to_string(&manifest).expect("a manifest");
        let inherits = manifest.split("[lints]").nth(1).is_some_and(|rest| rest.contains("workspace = true"));
        assert!(inherits, "{member} takes the workspace's lints, which forbid unsafe code");
        for (path, line, code) in lines_of(&member) {
            let is_unsafe = ["unsafe {", "unsafe fn", "unsafe impl", "allow(unsafe_code)"];
            assert!(!is_unsafe.iter().any(|word| code.contains(word)), "{}:{line}: {code}", path.display());
        }
    }
}

#[test]
fn only_the_command_prints() {
    // testkit is a test harness, which reports on standard output; the agent's programs talk to the journal and a console.
    for member in
        members().into_iter().filter(|member| !["cli", "testkit", "agent"].contains(&member.as_str()))
    {
        for (path, line, code) in lines_of(&member) {
            let prints = ["println!(", "print!(", "eprint!(", "dbg!("].iter().any(|word| {
                // `writeln!` and `write!` contain none of these words, and a word of our own may end in one.
                code.match_indices(word)
                    .any(|(at, _)| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
            });
            assert!(!prints, "{}:{line}: {code}", path.display());
        }
    }
}

#[test]
fn files_begin_by_saying_what_they_own_and_stay_small() {
    const MOST_LINES: usize = 400;
    for member in members() {
        let mut lines: BTreeMap<PathBuf, usize> = BTreeMap::new();
        lines_of(&member).into_iter().for_each(|(path, ..)| *lines.entry(path).or_default() += 1);
        let large: Vec<_> = lines.iter().filter(|(_, lines)| **lines > MOST_LINES).collect();
        assert!(large.is_empty(), "lines of code without comments and tests: {large:?}");
        for path in sources(&workspace().join("crates").join(&member).join("src")) {
            let text = fs::read_to_string(&path).expect("a source file");
            assert!(text.starts_with("//!"), "{} does not say what it owns", path.display());
        }
    }
}

#[test]
fn tracked_files_name_no_mirror_and_no_path_of_one_machine() {
    let output =
        Command::new("git").args(["ls-files", "-z"]).current_dir(workspace()).output().expect("git starts");
    if !output.status.success() {
        // An unpacked archive of the sources has no list of tracked files.
        return;
    }
    // Written in two halves, so that this file does not name them itself.
    let forbidden = [concat!("/wo", "rk/wt"), concat!("/wo", "rk/main"), concat!("://deb.deb", "ian.org")];
    for name in String::from_utf8_lossy(&output.stdout).split('\0').filter(|name| !name.is_empty()) {
        let Ok(text) = fs::read_to_string(workspace().join(name)) else { continue };
        for word in forbidden {
            let line = text.lines().position(|line| line.contains(word));
            assert!(line.is_none(), "{name}:{} names {word}", line.unwrap_or_default() + 1);
        }
    }
}

/// Folder names of the workspace's crates.
fn members() -> Vec<String> {
    let entries = fs::read_dir(workspace().join("crates")).expect("crates");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.join("Cargo.toml").is_file())
        .map(|path| path.file_name().expect("a name").to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in
        fs::read_dir(folder).unwrap_or_else(|error| panic!("can not list {}: {error}", folder.display()))
    {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Lines of code of a crate: no comments, no tests.
fn lines_of(member: &str) -> Vec<(PathBuf, usize, String)> {
    let mut lines = Vec::new();
    for path in sources(&workspace().join("crates").join(member).join("src")) {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if name.ends_with("tests.rs")
            || name == "testing.rs"
            || path.components().any(|part| part.as_os_str() == "tests")
        {
            continue;
        }
        let text = fs::read_to_string(&path).expect("a source file");
        for (number, line) in text.lines().enumerate() {
            // Tests come last in every file.
            if line.trim() == "#[cfg(test)]"
                && text.lines().nth(number + 1).is_some_and(|next| next.ends_with('{'))
            {
                break;
            }
            let code = line.split("//").next().unwrap_or_default();
            if !code.trim().is_empty() {
                lines.push((path.clone(), number + 1, code.to_owned()));
            }
        }
    }
    assert!(!lines.is_empty(), "the crate {member} has sources");
    lines
}
