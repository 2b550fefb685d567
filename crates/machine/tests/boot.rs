//! One boot of a real kernel in a real QEMU. Slow where KVM does not work, so it is asked for by name:
//! `AMPOULE_TEST_KERNEL=/boot/vmlinuz-... cargo test -p ampoule-machine --test boot -- --ignored`.

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use machine::{Note, StopMethod, StopTimeouts};
use support::{Bench, publish_with, timeouts};

#[test]
#[ignore = "boots a real kernel: set AMPOULE_TEST_KERNEL to its path"]
fn a_real_kernel_boots_directly_from_a_uki() {
    let kernel =
        std::env::var_os("AMPOULE_TEST_KERNEL").expect("AMPOULE_TEST_KERNEL is set to a kernel's path");
    let mut bench = Bench::new();
    let init = compile_init(bench.folder.path());
    let initrd = cpio(&[("init", 0o100_755, &init), ("TRAILER!!!", 0, b"")]);
    let kernel = fs::read(kernel).expect("reads the kernel");
    let place = bench.folder.path().join("release");
    bench.release =
        publish_with(&place, "2.0.0", &kernel, &initrd, b"console=ttyS0 panic=-1 -- sealed words\0");

    let mut options = bench.options("");
    options.qemu = "qemu-system-x86_64".into();
    options.kvm_device = machine::acceleration::DEVICE.into();
    options.settings = Some("site-name = \"x\"\n".into());
    let running = bench.run(options).expect("runs");
    let log = running.serial_log();
    let deadline = Instant::now() + Duration::from_secs(180);
    let read = || String::from_utf8_lossy(&fs::read(&log).unwrap_or_default()).into_owned();
    while !read().contains("sealed words\r\n") || !read().contains("smoke test: init runs") {
        assert!(Instant::now() < deadline, "the kernel did not get to init:\n{}", read());
        assert_eq!(running.wait_exit(Duration::from_millis(200)), None, "QEMU ended:\n{}", read());
    }
    // No agent and nobody who listens to the power button: QEMU itself is told to end.
    let stopped =
        running.shutdown(StopTimeouts { quit: Duration::from_secs(20), ..timeouts() }).expect("stops");
    assert_eq!(stopped.method, StopMethod::Quit);
    assert!(read().contains("Linux version"), "the log is kept");
    assert!(
        bench.notes().iter().all(|note| matches!(note, Note::Emulated { .. })) && bench.notes().len() <= 1
    );
}

#[test]
#[ignore = "starts real firmware, which is slow without KVM"]
fn the_firmware_of_this_host_starts_and_looks_at_the_system_disk() {
    let bench = Bench::new();
    let mut options = bench.options("");
    options.qemu = "qemu-system-x86_64".into();
    options.acceleration = machine::AccelerationChoice::Tcg;
    options.boot = machine::Boot::Uefi;
    let running = bench.run(options).expect("runs");
    let log = running.serial_log();
    let deadline = Instant::now() + Duration::from_secs(120);
    // The sample's disk is empty: finding nothing on it is what right firmware with right variables says.
    while !String::from_utf8_lossy(&fs::read(&log).unwrap_or_default()).contains("BdsDxe: ") {
        assert!(Instant::now() < deadline, "the firmware is silent");
        assert_eq!(running.wait_exit(Duration::from_millis(200)), None);
    }
    running.kill_power().expect("ends");
}

fn compile_init(folder: &Path) -> Vec<u8> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/init.rs");
    let target = folder.join("init");
    let status = Command::new("rustc")
        .args(["--edition", "2024", "--target", "x86_64-unknown-linux-musl", "-C", "panic=abort", "-o"])
        .arg(&target)
        .arg(source)
        .status();
    assert!(
        status.expect("rustc is installed").success(),
        "the target x86_64-unknown-linux-musl is installed"
    );
    fs::read(target).expect("reads")
}

/// "newc": Documentation/driver-api/early-userspace/buffer-format.rst of Linux.
fn cpio(files: &[(&str, u32, &[u8])]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (number, (name, mode, content)) in files.iter().enumerate() {
        let fields = [
            number as u32 + 1,
            *mode,
            0,
            0,
            1,
            0,
            content.len() as u32,
            0,
            0,
            0,
            0,
            name.len() as u32 + 1,
            0,
        ];
        archive.extend(b"070701");
        fields.iter().for_each(|field| archive.extend(format!("{field:08x}").bytes()));
        archive.extend(name.bytes().chain([0]));
        archive.resize(archive.len().next_multiple_of(4), 0);
        archive.extend(*content);
        archive.resize(archive.len().next_multiple_of(4), 0);
    }
    archive
}
