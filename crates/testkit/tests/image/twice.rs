//! Law 1: the same lock and the same files give the same bytes, whatever surrounds the build.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use release::ReleaseFolder;
use testkit::{Bench, ampoule, tools, workspace};

use crate::judges::LAMP;

/// Ids for an account that lives only in the mount namespace of one test.
const BUILDER: u32 = 64_321;

#[test]
fn law_1_path_umask_time_zone_locale_processors_and_a_cold_base_change_no_byte() {
    let bench = Bench::new();
    let definition = bench.join("quite another place/the definition");
    copy_example(&definition);
    let output = bench.join("result");
    // One processor, nobody may read what is made, another language and zone, and the base configured again.
    let script = r#"umask 077; exec taskset --cpu-list 0 "$@""#;
    let mut command = Command::new("sh");
    command
        .args(["-c", script, "sh"])
        .arg(ampoule())
        .arg("build")
        .arg(&definition)
        .arg("--output")
        .arg(&output);
    command.arg("--no-base-cache").envs([
        ("TZ", "Pacific/Kiritimati"),
        ("LC_ALL", "tr_TR.UTF-8"),
        ("LANG", "de_AT.UTF-8"),
    ]);
    command.current_dir("/");
    must_build(&mut command);
    same_bytes(&output);
}

#[test]
#[ignore = "slow, and needs root to become another user: `./test --all` runs it"]
fn law_1_another_user_and_another_day_change_no_byte() {
    assert!(tools::is_root(), "this test becomes another user, which needs root");
    let bench = Bench::new();
    let definition = bench.join("definition");
    copy_example(&definition);
    let home = bench.join("home");
    fs::create_dir(&home).expect("creates");
    // The packages are there already; everything else this user makes by itself.
    let cache = home.join("cache");
    fs::create_dir(&cache).expect("creates");
    let debs = testkit_cache().join("debs");
    tools::run("cp", ["-r".as_ref(), "--reflink=auto".as_ref(), debs.as_os_str(), cache.as_os_str()]);
    let tools_folder = bench.join("tools");
    fs::create_dir(&tools_folder).expect("creates");
    let programs = ampoule().parent().expect("a folder").to_owned();
    for program in ["ampoule", "ampoule-agent", "ampoule-init"] {
        fs::copy(programs.join(program), tools_folder.join(program)).expect("copies");
    }
    for (file, line) in [
        ("passwd", format!("ampoule-builder:x:{BUILDER}:{BUILDER}::{}:/bin/sh", home.display())),
        ("group", format!("ampoule-builder:x:{BUILDER}:")),
        ("subuid", "ampoule-builder:700000:65536".to_owned()),
        ("subgid", "ampoule-builder:700000:65536".to_owned()),
    ] {
        let there = fs::read_to_string(Path::new("/etc").join(file)).unwrap_or_default();
        bench.write(file, format!("{there}{line}\n"));
    }
    tools::run(
        "chown",
        ["-R".to_owned(), format!("{BUILDER}:{BUILDER}"), bench.path().display().to_string()],
    );
    tools::run("chmod", ["755".as_ref(), bench.path().as_os_str()]);
    let output = bench.join("result");
    let script = r#"
        set -e
        for file in passwd group subuid subgid; do
            [ -e "/etc/$file" ] || touch "/etc/$file"
            chown root:root "$BENCH/$file"
            mount --bind "$BENCH/$file" "/etc/$file"
        done
        umask 027
        exec setpriv --reuid "$BUILDER" --regid "$BUILDER" --clear-groups --reset-env \
            env HOME="$BENCH/home" AMPOULE_CACHE="$BENCH/home/cache" LC_ALL=C PATH=/usr/bin:/bin:/usr/sbin:/sbin \
            faketime -f '+400d' "$@"
    "#;
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script, "sh"]).arg(tools_folder.join("ampoule")).arg("build");
    command.arg(&definition).arg("--output").arg(&output);
    command.env("BENCH", bench.path()).env("BUILDER", BUILDER.to_string());
    must_build(&mut command);
    same_bytes(&output);
}

#[test]
#[ignore = "slow, and needs root and FUSE: `./test --all` runs it"]
fn law_1_the_order_in_which_folders_list_their_files_changes_no_byte() {
    assert!(tools::is_root(), "this test mounts a file system, which needs root");
    let bench = Bench::new();
    let (real, mixed) = (bench.join("real"), bench.join("mixed"));
    for folder in ["real/cache", "real/tmp", "mixed"] {
        fs::create_dir_all(bench.join(folder)).expect("creates");
    }
    copy_example(&real.join("definition"));
    let debs = testkit_cache().join("debs");
    let to = real.join("cache");
    tools::run("cp", ["-r".as_ref(), "--reflink=auto".as_ref(), debs.as_os_str(), to.as_os_str()]);
    // Gone with the mount namespace. Everything is seen through it: the definition, packages, the base, and what is written.
    let script = r#"
        set -e
        disorderfs --quiet --multi-user=yes --share-locks=yes --shuffle-dirents=yes "$REAL" "$MIXED"
        [ -d "$MIXED/definition" ]
        "$@"
        umount "$MIXED"
    "#;
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script, "sh"]).arg(ampoule()).arg("build");
    command.arg(mixed.join("definition")).arg("--output").arg(mixed.join("result")).arg("--no-base-cache");
    command.env("REAL", &real).env("MIXED", &mixed);
    command.env("AMPOULE_CACHE", mixed.join("cache")).env("TMPDIR", mixed.join("tmp"));
    must_build(&mut command);
    same_bytes(&real.join("result"));
}

fn testkit_cache() -> PathBuf {
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/ampoule"));
    std::env::var_os("AMPOULE_CACHE").map(PathBuf::from).or(home).expect("HOME is set")
}

fn copy_example(to: &Path) {
    fs::create_dir_all(to.parent().expect("a folder")).expect("creates");
    let example = workspace().join("examples/lamp");
    tools::run("cp", ["-r".as_ref(), example.as_os_str(), to.as_os_str()]);
}

#[track_caller]
fn must_build(command: &mut Command) {
    let output = tools::output_of(command);
    assert!(output.status.success(), "{}", tools::said(&output));
}

#[track_caller]
fn same_bytes(other: &Path) {
    let other = ReleaseFolder::open(other).expect("a release");
    for artifact in &LAMP.manifest().artifacts {
        let twin = other.manifest().artifact(artifact.name.as_str());
        let twin = twin.unwrap_or_else(|| panic!("{} was not built", artifact.name));
        assert_eq!(twin.sha256, artifact.sha256, "{} differs", artifact.name);
    }
    assert_eq!(other.digest(), LAMP.digest(), "the manifests differ");
    other.check_digests(|_| ()).expect("the files are what the manifest says");
}
