//! A variant of `examples/lamp` with a page that tells what a process inside sees, and a setting that can break Apache.

use std::fs;
use std::path::{Path, PathBuf};

use release::ReleaseFolder;

use crate::built::{built_release_of, workspace};
use crate::tools;

/// What differs from the example, appended to its definition.
const ADDITIONS: &str = include_str!("../tests/probe/additions.toml");

/// Its release, built once like those of the examples. The base is the example's, so that it is configured once only.
#[track_caller]
pub fn probe_release() -> ReleaseFolder {
    let folder = workspace().join("target/testkit/definitions/probe");
    let _ = fs::remove_dir_all(&folder);
    write_variant(&folder, "probe", ADDITIONS);
    let probe = workspace().join("crates/testkit/tests/probe");
    let copy = |from: &str, to: &str| {
        fs::copy(probe.join(from), folder.join(to))
            .unwrap_or_else(|error| panic!("can not copy {from}: {error}"));
    };
    fs::create_dir(folder.join("undeclared"))
        .unwrap_or_else(|error| panic!("can not create a folder: {error}"));
    copy("undeclared/README", "undeclared/README");
    copy("probe.php", "app/public/probe.php");
    copy("extra.conf", "templates/extra.conf");
    built_release_of("probe", &folder)
}

/// Copies `examples/lamp` to `folder` under another name, with more at the end of its definition.
#[track_caller]
pub fn write_variant(folder: &Path, name: &str, additions: &str) -> PathBuf {
    let parent = folder.parent().expect("a variant has a folder above it");
    fs::create_dir_all(parent).unwrap_or_else(|error| panic!("can not create {}: {error}", parent.display()));
    let from = workspace().join("examples/lamp");
    tools::run("cp", ["-r".as_ref(), "--".as_ref(), from.as_os_str(), folder.as_os_str()]);
    let file = folder.join("appliance.toml");
    let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("can not read {file:?}: {error}"));
    let renamed = text.replacen("name = \"lamp\"", &format!("name = \"{name}\""), 1);
    assert_ne!(renamed, text, "the example is named `lamp`");
    fs::write(&file, renamed + additions).unwrap_or_else(|error| panic!("can not write {file:?}: {error}"));
    file
}
