//! Builds that can not end well: what people are told, and that nothing half-written is taken for a release.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use debian::lock::{Lock, LockedPackage, Role};
use debian::version::Version;
use testkit::{Bench, ampoule, built_release, probe, tools};

fn example(bench: &Bench) -> PathBuf {
    let folder = bench.join("definition");
    probe::write_variant(&folder, "lamp-copy", "");
    folder
}

#[test]
fn a_maintainer_script_that_fails_is_told_with_package_script_and_its_whole_output() {
    let bench = Bench::new();
    let folder = example(&bench);
    let cache = bench.join("cache");
    let (deb, size) = broken_package(&bench);
    let sha256 = digest(&deb);
    let lock = fs::read_to_string(folder.join("appliance.lock")).expect("reads");
    let mut lock = Lock::parse(&lock).expect("the example's lock");
    // Everything else comes from the shared cache; what this test adds stays in its own.
    let shared = cache_folder().join("debs");
    built_release("lamp");
    fs::create_dir(&cache).expect("creates");
    tools::run("cp", ["-r".as_ref(), "--reflink=auto".as_ref(), shared.as_os_str(), cache.as_os_str()]);
    let place = builder::fetch::cached_path(&cache, &sha256);
    fs::create_dir_all(place.parent().expect("a folder")).expect("creates");
    fs::copy(&deb, &place).expect("copies");
    let model = lock.packages[0].clone();
    let version: Version = "1.0".parse().expect("a version");
    lock.packages.push(LockedPackage {
        name: "broken-on-purpose".into(),
        source: "broken-on-purpose".into(),
        version: version.clone(),
        source_version: version,
        architecture: "all".into(),
        size,
        sha256,
        path: "pool/main/b/broken-on-purpose/broken-on-purpose_1.0_all.deb".into(),
        role: Role::Installed,
        essential: false,
        requested: false,
        ..model
    });
    lock.packages.sort_by(|one, other| one.name.cmp(&other.name));
    lock.order.push("broken-on-purpose".into());
    fs::write(folder.join("appliance.lock"), lock.to_text()).expect("writes");

    let output = build(&folder, &bench.join("out"), &cache);
    let said = tools::said(&output);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("the postinst script of broken-on-purpose failed"), "{said}");
    for line in 1..=40 {
        assert!(said.contains(&format!("line {line} of its complaint\n")), "line {line} is kept:\n{said}");
    }
    assert!(said.contains("unchanged: no release was written"), "{said}");
    assert!(!bench.join("out").exists());
}

/// A package that says forty lines and fails.
fn broken_package(bench: &Bench) -> (PathBuf, u64) {
    bench.write(
        "broken/DEBIAN/control",
        "Package: broken-on-purpose\nVersion: 1.0\nArchitecture: all\nMaintainer: Nobody <nobody@example.org>\n\
         Description: fails when it is configured\n",
    );
    let script =
        "#!/bin/sh\nfor number in $(seq 1 40); do echo \"line $number of its complaint\"; done\nexit 7\n";
    let script = bench.write("broken/DEBIAN/postinst", script);
    tools::run("chmod", ["755".as_ref(), script.as_os_str()]);
    bench.write("broken/usr/share/broken/file", "x");
    let deb = bench.join("broken.deb");
    let folder = bench.join("broken");
    tools::run(
        "dpkg-deb",
        ["--root-owner-group".as_ref(), "--build".as_ref(), folder.as_os_str(), deb.as_os_str()],
    );
    let size = fs::metadata(&deb).expect("the package").len();
    (deb, size)
}

#[test]
fn a_full_disk_leaves_no_release_and_the_one_before_as_it_was() {
    if !tools::is_root() {
        // A small file system of its own needs root.
        return;
    }
    let before = built_release("lamp");
    let bench = Bench::new();
    let folder = example(&bench);
    // 64 MiB hold no image. A stand-in for the release of yesterday lies there already.
    let script = r#"
        set -e
        mount -t tmpfs -o size=64m tmpfs "$BENCH/small"
        mkdir "$BENCH/small/out"
        cp "$BEFORE"/*.json "$BENCH/small/out/"
        (cd "$BENCH/small/out" && sha256sum * > "$BENCH/before")
        code=0
        "$AMPOULE" build "$BENCH/definition" --output "$BENCH/small/new" || code=$?
        echo "first: $code"
        code=0
        "$AMPOULE" build "$BENCH/definition" --output "$BENCH/small/out" || code=$?
        echo "second: $code"
        (cd "$BENCH/small/out" && sha256sum --quiet -c "$BENCH/before" && sha256sum * | cmp - "$BENCH/before")
        find "$BENCH/small" -mindepth 1 -maxdepth 1
    "#;
    fs::create_dir(bench.join("small")).expect("creates");
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script]).env("BENCH", bench.path()).env("BEFORE", before.path());
    let output = tools::output_of(command.env("AMPOULE", ampoule()));
    let said = tools::said(&output);
    assert!(output.status.success() && said.contains("first: 4") && said.contains("second: 4"), "{said}");
    assert!(said.contains("No space left on device") && said.contains("hint: free some space"), "{said}");
    assert!(said.contains("no release was written") && said.contains("is as before"), "{said}");
    assert!(!said.contains("small/new"), "nothing half-written is left:\n{said}");
    assert_eq!(
        said.lines().filter(|line| line.starts_with('/')).count(),
        1,
        "only the old release is left:\n{said}"
    );
    assert_eq!(folder, bench.join("definition"));
}

#[test]
fn a_package_that_was_changed_in_the_cache_is_not_used() {
    let bench = Bench::new();
    let folder = example(&bench);
    built_release("lamp");
    let cache = bench.join("cache");
    fs::create_dir(&cache).expect("creates");
    let shared = cache_folder().join("debs");
    tools::run("cp", ["-r".as_ref(), "--reflink=auto".as_ref(), shared.as_os_str(), cache.as_os_str()]);
    let lock =
        Lock::parse(&fs::read_to_string(folder.join("appliance.lock")).expect("reads")).expect("a lock");
    let victim = lock.package("libssl3t64").expect("locked");
    testkit::flip::flip_bit(&builder::fetch::cached_path(&cache, &victim.sha256), victim.size / 2);
    let dead = "http://127.0.0.1:1/debian";
    let mut command = Command::new(ampoule());
    command.args(["build", "--mirror", dead, "--security-mirror", dead, "--cache"]).arg(&cache);
    let output = tools::output_of(command.arg(&folder).arg("--output").arg(bench.join("out")));
    assert!(matches!(output.status.code(), Some(4 | 5)), "{}", tools::said(&output));
    assert!(!bench.join("out").exists());
}

fn build(folder: &Path, output: &Path, cache: &Path) -> Output {
    let mut command = Command::new(ampoule());
    tools::output_of(command.arg("build").arg(folder).arg("--output").arg(output).arg("--cache").arg(cache))
}

fn digest(path: &Path) -> model::Sha256Digest {
    use sha2::Digest;
    model::Sha256Digest(sha2::Sha256::digest(fs::read(path).expect("reads")).into())
}

fn cache_folder() -> PathBuf {
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/ampoule"));
    std::env::var_os("AMPOULE_CACHE").map(PathBuf::from).or(home).expect("HOME is set")
}
