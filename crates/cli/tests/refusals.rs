//! What the command does when the network, a lock or a file is not as it should be. Needs no network.

mod support;

use std::fs;

use support::{ampoule_in, lamp_in, replace};
use testkit::Bench;

/// Nobody listens on port 1.
const DEAD_MIRROR: &str = "http://127.0.0.1:1/debian";

#[test]
fn a_dead_mirror_is_one_clear_error_and_the_lock_stays() {
    let bench = Bench::new();
    let lamp = lamp_in(bench.path());
    let before = fs::read(lamp.join("appliance.lock")).expect("reads");
    let cache = bench.join("cache");
    let arguments = ["lock", "--mirror", DEAD_MIRROR, "--security-mirror", DEAD_MIRROR, "--cache"];
    let said = ampoule_in(&lamp, arguments.map(Into::into).into_iter().chain([cache.into_os_string()]));
    assert_eq!(said.code, 4, "{said:?}");
    assert_eq!(said.err.matches("error: ").count(), 1, "{}", said.err);
    assert!(said.err.contains("127.0.0.1:1"), "the mirror is named: {}", said.err);
    assert!(said.err.contains("unchanged: `") && said.err.contains("hint: "), "{}", said.err);
    assert_eq!(fs::read(lamp.join("appliance.lock")).expect("reads"), before);
}

#[test]
fn a_build_whose_packages_can_not_be_fetched_leaves_no_release() {
    let bench = Bench::new();
    let lamp = lamp_in(bench.path());
    let said = build_without_programs(&bench, &lamp);
    assert_eq!(said.code, 4, "{said:?}");
    assert!(said.err.contains("127.0.0.1:1") && said.err.contains("no release was written"), "{}", said.err);
    assert!(!lamp.join("out").exists());
}

#[test]
fn a_lock_of_another_base_is_refused() {
    let bench = Bench::new();
    let lamp = lamp_in(bench.path());
    replace(&lamp.join("appliance.toml"), "\"php-sqlite3\"]", "\"php-sqlite3\", \"php-gd\"]");
    let said = build_without_programs(&bench, &lamp);
    assert_eq!(said.code, 3, "{said:?}");
    assert!(
        said.err.contains("another [base]") && said.err.contains("hint: run `ampoule lock`"),
        "{}",
        said.err
    );
    assert!(said.err.contains("unchanged: nothing was built"), "{}", said.err);
}

#[test]
fn a_damaged_lock_and_a_missing_one_are_told_apart() {
    let bench = Bench::new();
    let lamp = lamp_in(bench.path());
    replace(&lamp.join("appliance.lock"), "format = 1", "format = ");
    let damaged = build_without_programs(&bench, &lamp);
    assert_eq!(damaged.code, 3, "{damaged:?}");
    assert!(damaged.err.contains("is damaged"), "{}", damaged.err);
    fs::remove_file(lamp.join("appliance.lock")).expect("removes");
    let missing = build_without_programs(&bench, &lamp);
    assert_eq!(missing.code, 2, "{missing:?}");
    assert!(missing.err.contains("hint: `ampoule lock` makes one"), "{}", missing.err);
}

#[test]
fn a_lock_that_was_tampered_with_can_not_lead_out_of_the_cache() {
    let bench = Bench::new();
    let lamp = lamp_in(bench.path());
    replace(&lamp.join("appliance.lock"), "path = \"pool/", "path = \"../../pool/");
    let said = build_without_programs(&bench, &lamp);
    assert_eq!(said.code, 3, "{said:?}");
}

#[test]
fn foreign_files_are_refused_by_inspect_without_a_panic() {
    let bench = Bench::new();
    let noise: Vec<u8> =
        (0..1_u32 << 20).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    // A qcow2 header that promises a table where the file has ended already.
    let mut qcow2 = b"QFI\xfb\0\0\0\x03".to_vec();
    qcow2.resize(104, 0xff);
    let mut gpt = noise.clone();
    gpt[512..520].copy_from_slice(b"EFI PART");
    let subjects: [(&str, &[u8]); 6] = [
        ("empty", b""),
        ("short", b"x"),
        ("noise", &noise),
        ("truncated.qcow2", &qcow2),
        ("false-table", &gpt),
        ("zeros", &[0; 1 << 16]),
    ];
    for (name, bytes) in subjects {
        let path = bench.write(name, bytes);
        refused(&bench, &path);
    }
    let ext4 = bench.join("ext4");
    fs::File::create(&ext4).and_then(|file| file.set_len(8 << 20)).expect("creates");
    testkit::tools::run("mkfs.ext4", ["-q".as_ref(), ext4.as_os_str()]);
    refused(&bench, &ext4);
    refused(&bench, &bench.join("absent"));
    fs::create_dir(bench.join("folder")).expect("creates");
    refused(&bench, &bench.join("folder"));
}

#[track_caller]
fn refused(bench: &Bench, path: &std::path::Path) {
    let said = ampoule_in(bench.path(), ["inspect".as_ref(), path.as_os_str()]);
    assert_eq!(said.code, 2, "{}: {said:?}", path.display());
    assert!(said.out.is_empty() && !said.err.contains("panicked"), "{said:?}");
    assert!(said.err.contains(&path.display().to_string()), "the file is named: {}", said.err);
}

#[test]
fn commands_for_a_machine_that_is_not_there_say_so() {
    let bench = Bench::new();
    for command in [&["status"][..], &["stop"], &["logs"], &["settings", "show"], &["settings", "set", "a=b"]]
    {
        let said = ampoule_in(bench.path(), command);
        assert_eq!(said.code, 2, "{said:?}");
        assert!(said.err.contains("no virtual machine") && said.err.contains("hint: "), "{}", said.err);
        let named = ampoule_in(bench.path(), command.iter().copied().chain(["--vm", "absent"]));
        assert!([2, 4].contains(&named.code) && named.err.contains("absent"), "{named:?}");
    }
}

/// Stand-ins for the guest's programs and a mirror that is dead: enough for everything that is refused before.
fn build_without_programs(bench: &Bench, lamp: &std::path::Path) -> support::Said {
    for program in ["ampoule-agent", "ampoule-init"] {
        bench.write(format!("guest/{program}"), "stand-in");
    }
    let guest = bench.join("guest").display().to_string();
    let cache = bench.join("cache").display().to_string();
    let arguments = [
        "build",
        "--guest",
        &guest,
        "--cache",
        &cache,
        "--mirror",
        DEAD_MIRROR,
        "--security-mirror",
        DEAD_MIRROR,
    ];
    ampoule_in(lamp, arguments)
}
