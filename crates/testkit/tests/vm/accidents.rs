//! Damaged systems, wrong data disks, power cuts at the worst moment. Nothing of it may be served or lose data.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use machine::{RunOptions, folder::names as vm_names};
use model::ByteSize;
use release::{ReleaseFolder, names};
use testkit::flip::{artifact, copy_release, flip_bit, offset_of, root_start};
use testkit::{Bench, BootedAppliance, Suite, built_release, http, tools};

/// Long enough for an emulated processor to come to its message.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(180);

pub fn chapters(suite: &mut Suite) {
    suite.chapter("damage: a flipped bit in the root", |suite| {
        let bench = Bench::new();
        let lamp = built_release("lamp");
        suite.check("law_2_a_bit_in_the_superblock_is_refused_on_the_console", || {
            let damaged = damaged(&bench, &lamp, "superblock", 1024 + 8);
            refused_at_boot(&bench, &damaged, "superblock", &["cannot start", "damaged or was changed"]);
        });
        suite.check("law_2_a_bit_in_the_systems_first_program_is_refused_on_the_console", || {
            let program = file_of(&bench, &lamp, "/usr/lib/systemd/systemd");
            let offset = offset_of(&artifact(&lamp, names::ROOT), &program) + 777;
            let damaged = damaged(&bench, &lamp, "program", offset);
            let words = ["is corrupted", "cannot start", "damaged or was changed"];
            refused_at_boot(&bench, &damaged, "program", &words);
        });
    });
    suite.slow_chapter("damage: a flipped bit where it is read late", |suite| {
        let bench = Bench::new();
        let lamp = built_release("lamp");
        suite.check("law_2_a_bit_in_the_application_is_never_served", || {
            let page = file_of(&bench, &lamp, "/usr/share/notes/public/index.php");
            let offset = offset_of(&artifact(&lamp, names::ROOT), &page) + 40;
            let damaged = damaged(&bench, &lamp, "late", offset);
            let options = BootedAppliance::options(&damaged);
            let it = BootedAppliance::start(&damaged, &bench.join("late-vm"), options);
            let deadline = Instant::now() + MESSAGE_TIMEOUT;
            while Instant::now() < deadline && !it.serial().contains("is corrupted") {
                if let Ok(answer) = http::get(&it.url("https", 443, "/")) {
                    assert_ne!(answer.status, 200, "the damaged page was served");
                }
            }
            assert!(it.serial().contains("corrupt"), "{}", it.serial());
        });
    });
    suite.chapter("wrong data disks", |suite| {
        let bench = Bench::new();
        let lamp = built_release("lamp");
        suite.check("the data disk of another appliance is refused and not touched", || {
            let disk = foreign_data(&bench);
            let folder = bench.join("foreign");
            fs::create_dir(&folder).expect("creates");
            let place = folder.join(vm_names::DATA);
            tools::run("cp", ["--sparse=always".as_ref(), disk.as_os_str(), place.as_os_str()]);
            let before = tools::run("sha256sum", ["--".as_ref(), disk.as_os_str()]);
            boot_refused(&lamp, &folder, BootedAppliance::options(&lamp), &["belongs to another appliance"]);
            let after = tools::run("sha256sum", ["--".as_ref(), place.as_os_str()]);
            assert_eq!(before.split(' ').next(), after.split(' ').next(), "its bytes are as before");
        });
        suite.check("a data disk that is too small is refused before anything is written to it", || {
            let options = RunOptions { data: ByteSize(64 << 20), ..BootedAppliance::options(&lamp) };
            boot_refused(&lamp, &bench.join("small"), options, &["the data disk is too small", "256 MiB"]);
            let table =
                tools::run("sgdisk", ["-p".as_ref(), bench.join("small").join(vm_names::DATA).as_os_str()]);
            assert!(table.contains("ampoule-data-new"), "{table}");
        });
    });
    suite.slow_chapter("power cuts at first boot", |suite| {
        let lamp = built_release("lamp");
        let in_use = time_to_first_card(&lamp);
        // From before the data disk is found to well after it is in use.
        for part in [30, 45, 60, 75, 100] {
            let moment = in_use * part / 100;
            suite.check(&format!("law_4_a_power_cut_{part}_percent_into_the_first_boot_is_survived"), || {
                let bench = Bench::new();
                let folder = bench.join("vm");
                let it = BootedAppliance::start(&lamp, &folder, BootedAppliance::options(&lamp));
                std::thread::sleep(moment);
                it.kill_power();
                let it = BootedAppliance::boot(&lamp, &folder, BootedAppliance::options(&lamp));
                assert_eq!(it.get("https", 443, "/").status, 200);
                it.kill_power();
            });
        }
        suite.check("law_4_power_cuts_while_data_is_formatted_are_survived", || cut_while_formatting(&lamp));
    });
}

/// From QEMU's start to the agent's first status card. By then data is formatted, mounted and written to.
fn time_to_first_card(release: &ReleaseFolder) -> Duration {
    let bench = Bench::new();
    let begin = Instant::now();
    let it = BootedAppliance::start(release, &bench.join("vm"), BootedAppliance::options(release));
    it.wait_for_serial("State", MESSAGE_TIMEOUT);
    let time = begin.elapsed();
    it.kill_power();
    time
}

/// Cuts at the first write to the data disk and at the nine next changes, over and over on the same disk.
fn cut_while_formatting(release: &ReleaseFolder) {
    let bench = Bench::new();
    let folder = bench.join("vm");
    for pause in [0, 20, 60, 120, 250, 500] {
        let it = BootedAppliance::start(release, &folder, BootedAppliance::options(release));
        let disk = folder.join(vm_names::DATA);
        let deadline = Instant::now() + MESSAGE_TIMEOUT;
        let modified = || fs::metadata(&disk).and_then(|found| found.modified()).ok();
        let before = modified();
        while modified() == before && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_millis(pause));
        it.kill_power();
    }
    let it = BootedAppliance::boot(release, &folder, BootedAppliance::options(release));
    assert_eq!(it.get("https", 443, "/").status, 200);
    it.kill_power();
}

fn damaged(bench: &Bench, release: &ReleaseFolder, name: &str, offset: u64) -> ReleaseFolder {
    let copy = copy_release(release, &bench.join(name));
    flip_bit(&artifact(&copy, names::DISK_RAW), root_start(&copy) + offset);
    copy
}

#[track_caller]
fn refused_at_boot(bench: &Bench, release: &ReleaseFolder, name: &str, words: &[&str]) {
    boot_refused(release, &bench.join(format!("{name}-vm")), BootedAppliance::options(release), words);
}

/// It shows every word on its serial console, and never gets to its agent.
#[track_caller]
fn boot_refused(release: &ReleaseFolder, folder: &Path, options: RunOptions, words: &[&str]) {
    let it = BootedAppliance::start(release, folder, options);
    for word in words {
        it.wait_for_serial(word, MESSAGE_TIMEOUT);
    }
    it.wait_for_serial("what to do", MESSAGE_TIMEOUT);
    assert!(it.running().last_status().is_none(), "its agent never spoke");
    it.kill_power();
}

/// A file of the image, by our reader.
fn file_of(bench: &Bench, release: &ReleaseFolder, path: &str) -> Vec<u8> {
    let root = bench.join("extracted");
    if !root.is_dir() {
        let extract = format!("--extract={}", root.display());
        let image = artifact(release, names::ROOT).display().to_string();
        tools::run("fsck.erofs", [&extract, "--no-preserve", &image]);
    }
    fs::read(root.join(path.trim_start_matches('/'))).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A data disk as another appliance leaves it: formatted, named, with its identity on it.
fn foreign_data(bench: &Bench) -> std::path::PathBuf {
    let disk = bench.join("foreign.raw");
    machine::disk::create_data_disk(&disk, ByteSize(512 << 20), "somebody/else").expect("a disk");
    let content = bench.join("content/ampoule");
    fs::create_dir_all(&content).expect("creates");
    fs::write(content.join("appliance"), "somebody/else\n").expect("writes");
    let partition = bench.join("partition");
    let size = (512_u64 << 20) - (2 << 20);
    fs::File::create(&partition).and_then(|file| file.set_len(size)).expect("creates");
    let from = bench.join("content");
    tools::run("mkfs.btrfs", ["-q".as_ref(), "--rootdir".as_ref(), from.as_os_str(), partition.as_os_str()]);
    let copy = ["bs=1M", "seek=1", "conv=notrunc,sparse", "status=none"].map(str::to_owned);
    let places = [format!("if={}", partition.display()), format!("of={}", disk.display())];
    tools::run("dd", copy.into_iter().chain(places));
    tools::run("sgdisk", ["-c".as_ref(), "1:ampoule-data".as_ref(), disk.as_os_str()]);
    disk
}
