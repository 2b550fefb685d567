//! Standard tools open every artifact and find nothing wrong.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use release::{ReleaseFolder, names};
use testkit::flip::{artifact, copy_release, flip_bit, offset_of, root_start};
use testkit::{Bench, ampoule, built_release, tools};

pub static LAMP: LazyLock<ReleaseFolder> = LazyLock::new(|| built_release("lamp"));

/// One partition of the raw disk as a file.
fn partition(bench: &Bench, name: &str) -> PathBuf {
    let found =
        LAMP.manifest().partitions.iter().find(|partition| partition.name == name).expect("a partition");
    let path = bench.join(name);
    let arguments = [
        format!("if={}", artifact(&LAMP, names::DISK_RAW).display()),
        format!("of={}", path.display()),
        "iflag=skip_bytes,count_bytes".to_owned(),
        format!("skip={}", found.start),
        format!("count={}", found.size),
        "bs=1M".to_owned(),
        "conv=sparse".to_owned(),
        "status=none".to_owned(),
    ];
    tools::run("dd", arguments);
    path
}

fn uki() -> PathBuf {
    LAMP.uki().expect("a kernel image")
}

fn uki_section(bench: &Bench, section: &str) -> PathBuf {
    let to = bench.join(section);
    let dump = format!("{section}={}", to.display());
    tools::run(
        "objcopy",
        ["-O", "binary", "--dump-section", &dump, &uki().display().to_string(), "/dev/null"],
    );
    to
}

#[test]
fn fsck_erofs_finds_the_root_sound() {
    let output = tools::attempt("fsck.erofs", ["-d3".as_ref(), artifact(&LAMP, names::ROOT).as_os_str()]);
    // It says so on one stream in some versions and on the other in others.
    assert!(tools::said(&output).contains("No errors found"), "{}", tools::said(&output));
}

#[test]
fn veritysetup_verifies_the_root_and_makes_the_same_tree_from_the_same_salt() {
    let bench = Bench::new();
    let (root, verity) = (artifact(&LAMP, names::ROOT), artifact(&LAMP, names::VERITY));
    let image = &LAMP.manifest().image;
    let (root, verity) = (root.display().to_string(), verity.display().to_string());
    tools::run("veritysetup", ["verify", &root, &verity, &image.root_hash.to_string()]);
    let again = bench.join("tree").display().to_string();
    let said = tools::run("veritysetup", ["format", "--salt", &image.verity_salt, &root, &again]);
    let hash = said.lines().find_map(|line| line.strip_prefix("Root hash:")).expect("a root hash").trim();
    assert_eq!(hash, image.root_hash.to_string());
    let wrong = image.root_hash.to_string().replace(['0', '1', '2'], "3");
    assert!(!tools::attempt("veritysetup", ["verify", &root, &verity, &wrong]).status.success());
}

#[test]
fn the_partitions_of_the_disk_hold_the_artifacts() {
    let bench = Bench::new();
    for (name, file) in [("root-a", names::ROOT), ("verity-a", names::VERITY)] {
        let on_disk = fs::read(partition(&bench, name)).expect("reads");
        let alone = fs::read(artifact(&LAMP, file)).expect("reads");
        assert!(on_disk.starts_with(&alone), "{name} begins with {file}");
        assert!(on_disk[alone.len()..].iter().all(|byte| *byte == 0), "{name} is empty behind {file}");
    }
}

#[test]
fn sgdisk_finds_the_partition_table_sound() {
    let disk = artifact(&LAMP, names::DISK_RAW).display().to_string();
    let said = tools::run("sgdisk", ["-v", &disk]);
    assert!(said.contains("No problems found"), "{said}");
    let table = tools::run("sgdisk", ["-p", &disk]);
    for name in ["esp", "root-a", "verity-a", "root-b", "verity-b", "ampoule-data-new"] {
        assert!(table.contains(name), "{name} is not in\n{table}");
    }
}

#[test]
fn fsck_vfat_finds_the_esp_sound_with_boot_loader_and_kernel() {
    let bench = Bench::new();
    let esp = partition(&bench, "esp").display().to_string();
    tools::run("fsck.vfat", ["-n", "-v", &esp]);
    let listing = tools::run("mdir", ["-/", "-b", "-i", &esp, "::"]);
    for path in ["EFI/BOOT/BOOTX64.EFI", "EFI/Linux/lamp_1.0.0.efi", "loader/loader.conf"] {
        assert!(
            listing.lines().any(|line| line.eq_ignore_ascii_case(&format!("::/{path}"))),
            "{path}:\n{listing}"
        );
    }
    let copy = bench.join("copy.efi").display().to_string();
    tools::run("mcopy", ["-i", &esp, "::/EFI/Linux/lamp_1.0.0.efi", &copy]);
    assert!(
        fs::read(copy).expect("reads") == fs::read(uki()).expect("reads"),
        "the kernel on the ESP is the artifact"
    );
}

#[test]
fn objdump_reads_the_kernel_image_and_its_command_line_names_the_root_hash() {
    let bench = Bench::new();
    let said = tools::run("objdump", ["-h".as_ref(), uki().as_os_str()]);
    for section in [".osrel", ".cmdline", ".uname", ".linux", ".initrd"] {
        assert!(said.contains(section), "{section} is not in\n{said}");
    }
    let line = fs::read_to_string(uki_section(&bench, ".cmdline")).expect("text");
    assert!(line.contains(&format!("roothash={}", LAMP.manifest().image.root_hash)), "{line}");
    let kernel = tools::run("file", ["-b".as_ref(), uki_section(&bench, ".linux").as_os_str()]);
    assert!(kernel.contains("Linux kernel"), "{kernel}");
}

#[test]
fn cpio_reads_the_initrd_which_holds_one_program_and_modules() {
    let bench = Bench::new();
    let initrd = fs::File::open(uki_section(&bench, ".initrd")).expect("opens");
    let output =
        std::process::Command::new("cpio").args(["-it", "--quiet"]).stdin(initrd).output().expect("cpio");
    let listing = tools::said(&output);
    assert!(output.status.success(), "{listing}");
    for path in ["init", "modules/modules.dep", "modules/modules.alias", "modules/load", "modules/erofs.ko"] {
        assert!(listing.lines().any(|line| line == path), "{path} is not in\n{listing}");
    }
    let programs: Vec<_> = listing.lines().filter(|line| !line.starts_with("modules")).collect();
    assert!(
        programs.iter().all(|name| [
            ".",
            "init",
            "dev",
            "proc",
            "sys",
            "sysroot",
            "run",
            "tmp",
            "dev/console"
        ]
        .contains(name)),
        "{programs:?}"
    );
}

#[test]
fn qemu_img_finds_the_compressed_disk_sound_and_equal_to_the_raw_one() {
    let (raw, qcow2) = (artifact(&LAMP, names::DISK_RAW), artifact(&LAMP, names::DISK_QCOW2));
    tools::run("qemu-img", ["check".as_ref(), "-q".as_ref(), qcow2.as_os_str()]);
    let compare = ["compare", "-q", "-f", "raw", "-F", "qcow2"].map(AsRef::as_ref);
    tools::run("qemu-img", compare.into_iter().chain([raw.as_os_str(), qcow2.as_os_str()]));
}

#[test]
fn systemd_dissect_opens_the_disk_and_knows_its_partitions() {
    let disk = artifact(&LAMP, names::DISK_RAW);
    let hash = LAMP.manifest().image.root_hash.to_string();
    let arguments = ["--no-pager".as_ref(), "--root-hash".as_ref(), hash.as_ref(), disk.as_os_str()];
    let output = tools::attempt("systemd-dissect", arguments);
    let said = tools::said(&output);
    // It needs root and loop devices; where a container has none it says so, and nothing can be judged.
    let has_no_loop = ["loop device", "Operation not permitted", "Permission denied", "Failed to set up"];
    if !output.status.success() && has_no_loop.iter().any(|word| said.contains(word)) {
        return;
    }
    assert!(output.status.success(), "{said}");
    for word in ["root", "esp", "erofs"] {
        assert!(said.contains(word), "{word} is not in\n{said}");
    }
}

#[test]
fn inspect_says_that_a_sound_release_verifies_folder_and_disks_alike() {
    for subject in ["", names::DISK_RAW, names::DISK_QCOW2] {
        let said = inspect(&LAMP.path().join(subject));
        assert!(said.contains("verified     yes"), "{subject}: {said}");
        assert!(said.contains(&LAMP.manifest().image.root_hash.to_string()), "{said}");
    }
}

#[test]
fn law_2_one_flipped_bit_in_the_root_is_found_by_inspect_which_names_the_block() {
    let bench = Bench::new();
    let copy = copy_release(&LAMP, &bench.join("copy"));
    let offset = LAMP.manifest().image.root_size / 2 / 4096 * 4096 + 1234;
    flip_bit(&artifact(&copy, names::ROOT), offset);
    flip_bit(&artifact(&copy, names::DISK_RAW), root_start(&copy) + offset);
    for subject in [copy.path().to_owned(), artifact(&copy, names::DISK_RAW)] {
        let said = inspect(&subject);
        assert!(said.contains("verified     NO"), "{said}");
        assert!(said.contains(&(offset / 4096).to_string()), "the block is named: {said}");
    }
}

#[test]
fn a_disk_that_was_cut_off_is_refused_by_inspect_in_one_clear_error() {
    let bench = Bench::new();
    for (name, length) in [(names::DISK_QCOW2, 1 << 20), (names::DISK_RAW, 100 << 20), (names::ROOT, 1 << 20)]
    {
        let place = bench.join(name);
        let mut head = vec![0; length];
        let file = fs::File::open(artifact(&LAMP, name)).expect("opens");
        std::io::Read::read_exact(&mut std::io::BufReader::new(file), &mut head).expect("reads");
        fs::write(&place, head).expect("writes");
        let output =
            tools::attempt(&ampoule().display().to_string(), ["inspect".as_ref(), place.as_os_str()]);
        assert_eq!(output.status.code(), Some(2), "{}", tools::said(&output));
        let said = tools::said(&output);
        assert!(said.starts_with("error: can not ") && !said.contains("panicked"), "{said}");
    }
}

#[test]
fn a_release_with_a_file_cut_off_is_no_release() {
    let bench = Bench::new();
    let copy = copy_release(&LAMP, &bench.join("copy"));
    let file = fs::OpenOptions::new().write(true).open(artifact(&copy, names::VERITY)).expect("opens");
    file.set_len(4096).expect("cuts");
    let output =
        tools::attempt(&ampoule().display().to_string(), ["inspect".as_ref(), copy.path().as_os_str()]);
    assert_eq!(output.status.code(), Some(2), "{}", tools::said(&output));
    assert!(tools::said(&output).contains(names::VERITY), "{}", tools::said(&output));
}

#[test]
fn a_file_is_found_where_the_image_has_it() {
    let bench = Bench::new();
    let image = bench.write("image", [vec![0; 8192], vec![7; 4096], vec![9; 4096]].concat());
    assert_eq!(offset_of(&image, &[9; 5000]), 12288);
}

#[track_caller]
fn inspect(subject: &Path) -> String {
    tools::run(&ampoule().display().to_string(), ["inspect".as_ref(), subject.as_os_str()])
}
