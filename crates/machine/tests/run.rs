//! A run against a QEMU that misbehaves on demand. No virtual machine runs here.

mod support;

use std::fs;
use std::thread;
use std::time::Duration;

use image::disk::partition_uuids;
use machine::control::ControlError;
use machine::{
    Acceleration, AccelerationChoice, ControlClient, Keep, MachineError, Note, Progress, Reinstall,
    StopMethod, StopTimeouts, acceleration,
};
use model::control::{Answer, Call, Health};
use support::{Bench, disk_with, publish, root_hash, timeouts};

const LONG: Duration = Duration::from_secs(30);

#[test]
fn a_run_becomes_healthy_and_its_agent_stops_it() {
    let bench = Bench::new();
    let running = bench.run(bench.options("probe-works agent junk")).expect("runs");
    assert_eq!(running.acceleration(), Acceleration::Kvm);
    let mut seen = Vec::new();
    let status = running.wait_healthy(LONG, |progress| seen.push(progress)).expect("healthy");
    assert_eq!(status.health, Health::Healthy);
    assert!(
        seen.iter().any(|progress| matches!(progress, Progress::Booting { last_line, .. } if last_line == "[    1.0] last line")),
        "{seen:?}"
    );
    let stopped = running.shutdown(timeouts()).expect("stops");
    assert_eq!(stopped.method, StopMethod::Agent);
    assert_eq!(stopped.undeclared_writes.expect("told").len(), 1);
    assert_eq!(bench.notes(), []);
    assert!(fs::read_to_string(bench.vm().join("serial.log")).expect("kept").contains("last line"));
    assert!(!bench.vm().join("control.sock").exists());
}

#[test]
fn a_kvm_that_fails_its_probe_is_told_once_and_replaced() {
    for (words, why) in [
        ("probe-aborts", "KVM does not start (failed to set MSR 0x10a to 0x69)"),
        ("probe-hangs", "KVM starts and does not get on"),
    ] {
        let bench = Bench::new();
        let running = bench.run(bench.options(words)).expect("runs");
        assert_eq!(running.acceleration(), Acceleration::Tcg);
        assert_eq!(bench.notes(), [Note::Emulated { why: why.into() }]);
        running.kill_power().expect("ends");
    }
}

#[test]
fn a_failure_of_kvm_is_remembered_and_slowness_is_not() {
    for (first, remembered) in [("probe-aborts", true), ("probe-hangs", false)] {
        let bench = Bench::new();
        let options = bench.options(first);
        std::fs::create_dir(bench.vm()).expect("creates");
        let detect =
            || acceleration::detect(&options.qemu, &options.kvm_device, &bench.vm()).expect("detects");
        assert!(detect().why().is_some());
        // The same program gets through from now on.
        fs::copy(bench.options("probe-works").qemu, &options.qemu).expect("copies");
        assert_eq!(detect().why().is_some(), remembered, "{first}");
    }
}

#[test]
fn a_kvm_that_fails_while_it_runs_is_told_once_and_replaced() {
    for (words, why) in [
        ("probe-works agent kvm-internal-error", "KVM reports an internal error"),
        ("probe-works agent kvm-silent", "with KVM nothing happens for 1 seconds"),
        ("probe-works agent kvm-aborts", "QEMU ended with KVM (exit code 1) qemu: error: KVM went away"),
    ] {
        let bench = Bench::new();
        let mut options = bench.options(words);
        options.silence = Duration::from_secs(1);
        let running = bench.run(options).expect("runs");
        running.wait_healthy(LONG, |_| ()).expect("healthy after all");
        assert_eq!(running.acceleration(), Acceleration::Tcg);
        assert_eq!(bench.notes(), [Note::Emulated { why: why.into() }], "{words}");
        assert_eq!(running.shutdown(timeouts()).expect("stops").method, StopMethod::Agent);
        // The next run does not find out again.
        let next = bench.run(bench.options(words)).expect("runs");
        assert_eq!((next.acceleration(), bench.notes().len()), (Acceleration::Tcg, 2));
    }
}

#[test]
fn a_kvm_that_was_asked_for_is_not_replaced() {
    let bench = Bench::new();
    let mut options = bench.options("probe-aborts");
    options.acceleration = AccelerationChoice::Kvm;
    assert!(matches!(bench.run(options), Err(MachineError::NoKvm { .. })));
    let mut options = bench.options("probe-works kvm-aborts");
    options.acceleration = AccelerationChoice::Kvm;
    options.kvm_device = bench.folder.path().join("absent");
    let error = bench.run(options).expect_err("no device");
    assert!(matches!(&error, MachineError::NoKvm { why } if why.contains("there is no")), "{error}");
}

#[test]
fn stopping_goes_from_polite_to_rough() {
    for (words, expected) in [
        ("agent", StopMethod::Agent),
        ("", StopMethod::PowerButton),
        ("agent deaf-agent", StopMethod::PowerButton),
        ("agent deaf-agent deaf-button", StopMethod::Quit),
        ("agent deaf-agent deaf-button deaf-monitor", StopMethod::Kill),
    ] {
        let bench = Bench::new();
        let mut options = bench.options(words);
        options.acceleration = AccelerationChoice::Tcg;
        let running = bench.run(options).expect("runs");
        if words.contains("agent") {
            running.wait_healthy(LONG, |_| ()).expect("healthy");
        }
        let stopped = running.shutdown(timeouts()).expect("stops");
        assert_eq!(stopped.method, expected, "{words}");
        assert_eq!(stopped.exit.signal, (expected == StopMethod::Kill).then_some(9));
    }
}

#[test]
fn an_appliance_that_stops_or_never_answers_is_told_apart() {
    let bench = Bench::new();
    let mut options = bench.options("");
    options.acceleration = AccelerationChoice::Tcg;
    let running = bench.run(options.clone()).expect("runs");
    let error = running.wait_healthy(Duration::from_millis(300), |_| ()).expect_err("not healthy");
    assert!(matches!(error, MachineError::NotHealthy { last: None, .. }), "{error}");
    let control = running.control_socket();
    let refused =
        ControlClient::connect(&control).expect("connects").call(Call::Status).expect_err("no agent");
    assert!(matches!(refused, ControlError::Refused { .. }), "{refused}");
    // Without an agent a wish to power off presses the power button.
    ControlClient::connect(&control).expect("connects").call(Call::PowerOff).expect("done");
    let error = running.wait_healthy(LONG, |_| ()).expect_err("stopped");
    assert!(matches!(error, MachineError::Stopped { .. }), "{error}");
    drop(running);
    assert!(matches!(ControlClient::connect(&control), Err(ControlError::Absent { .. })));
    // Nothing is left that hinders the next run.
    drop(bench.run(options).expect("runs again"));
}

#[test]
fn many_clients_at_once_get_their_own_answers() {
    let bench = Bench::new();
    let mut options = bench.options("agent");
    options.acceleration = AccelerationChoice::Tcg;
    let running = bench.run(options).expect("runs");
    running.wait_healthy(LONG, |_| ()).expect("healthy");
    let threads: Vec<_> = (0..8)
        .map(|number| {
            let mut client = running.control().expect("connects");
            thread::spawn(move || {
                for turn in 0..5 {
                    let unit = format!("{number}-{turn}");
                    let answer =
                        client.call(Call::Logs { unit: Some(unit.clone()), lines: 1 }).expect("answers");
                    assert_eq!(answer, Answer::Logs(vec![unit]));
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().expect("no answer was mixed up"));
    let mut client = running.control().expect("connects").with_timeout(Duration::from_millis(200));
    assert!(
        matches!(client.call(Call::Undo), Err(ControlError::Refused { refusal }) if refusal.message == "there is nothing to undo")
    );
    assert!(matches!(client.call(Call::History), Err(ControlError::Silent { .. })));
    assert!(matches!(client.call(Call::Status), Ok(Answer::Status(_))), "still usable");
    // Who asks when the appliance goes is told so.
    let mut waiting = running.control().expect("connects").with_timeout(LONG);
    let waiter = thread::spawn(move || waiting.call(Call::History));
    thread::sleep(Duration::from_millis(200));
    running.kill_power().expect("ends");
    let error = waiter.join().expect("joins").expect_err("gone");
    assert!(matches!(error, ControlError::Refused { .. } | ControlError::Ended { .. }), "{error}");
}

#[test]
fn another_process_stops_a_run_and_nothing_to_stop_is_an_error() {
    let bench = Bench::new();
    assert!(matches!(machine::stop(&bench.vm(), timeouts()), Err(MachineError::NotRunning { .. })));
    let mut options = bench.options("agent");
    options.acceleration = AccelerationChoice::Tcg;
    let running = bench.run(options.clone()).expect("runs");
    running.wait_healthy(LONG, |_| ()).expect("healthy");
    assert!(matches!(bench.run(options), Err(MachineError::InUse { .. })));
    let patient = StopTimeouts { answer: LONG, ..timeouts() };
    assert_eq!(machine::stop(&bench.vm(), patient).expect("stops"), StopMethod::Agent);
    assert_eq!(running.shutdown(timeouts()).expect("stopped").method, StopMethod::Already);
    assert!(matches!(machine::stop(&bench.vm(), timeouts()), Err(MachineError::NotRunning { .. })));
}

#[test]
fn a_run_that_ended_and_is_still_held_does_not_disturb_the_next_one() {
    let bench = Bench::new();
    let mut options = bench.options("agent");
    options.acceleration = AccelerationChoice::Tcg;
    let ended = bench.run(options.clone()).expect("runs");
    ended.kill_power().expect("ends");
    // In the place of the next QEMU: nobody may come.
    let guest = bench.vm().join("guest.sock");
    let listener = std::os::unix::net::UnixListener::bind(&guest).expect("binds");
    listener.set_nonblocking(true).expect("does not block");
    thread::sleep(Duration::from_millis(200));
    assert!(listener.accept().is_err(), "the ended run takes the port of the next one");
    drop(listener);
    let next = bench.run(options).expect("runs");
    thread::sleep(Duration::from_millis(200));
    drop(ended);
    next.wait_healthy(LONG, |_| ()).expect("healthy");
    next.control().expect("connects").call(Call::Status).expect("answers");
}

/// Not a law: the run that the next test starts in a process of its own and kills. Does nothing by itself.
#[test]
fn helper_a_run_that_is_killed() {
    let Some(folder) = std::env::var_os("AMPOULE_TEST_VM") else { return };
    let bench = Bench::new();
    let mut options = bench.options("agent");
    options.acceleration = AccelerationChoice::Tcg;
    let running = machine::run(&bench.release, folder.as_ref(), options, |_| ()).expect("runs");
    running.wait_healthy(LONG, |_| ()).expect("healthy");
    fs::write(bench.folder.path().with_file_name("ready"), "").expect("writes");
    thread::sleep(LONG);
}

#[test]
fn a_run_that_was_killed_leaves_a_qemu_that_is_told_of_and_can_be_stopped() {
    let bench = Bench::new();
    let mut killed = std::process::Command::new(std::env::current_exe().expect("a test has a path"))
        .args(["--exact", "helper_a_run_that_is_killed"])
        .env("AMPOULE_TEST_VM", bench.vm())
        // What the killed process leaves is cleaned up with this bench.
        .env("TMPDIR", bench.folder.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("starts");
    while !bench.folder.path().join("ready").exists() {
        assert!(killed.try_wait().expect("waits").is_none(), "the helper ended");
        thread::sleep(Duration::from_millis(20));
    }
    killed.kill().expect("kills");
    killed.wait().expect("waits");
    let mut options = bench.options("agent");
    options.acceleration = AccelerationChoice::Tcg;
    let error = bench.run(options.clone()).expect_err("its disks are in use");
    assert!(matches!(error, MachineError::Orphaned { .. }), "{error}");
    let patient = StopTimeouts { power_button: LONG, ..timeouts() };
    assert_eq!(machine::stop(&bench.vm(), patient).expect("stops"), StopMethod::PowerButton);
    bench.run(options).expect("runs").wait_healthy(LONG, |_| ()).expect("healthy");
}

#[test]
fn data_stays_and_the_system_disk_follows_the_release() {
    let mut bench = Bench::new();
    let mut options = bench.options("");
    options.acceleration = AccelerationChoice::Tcg;
    drop(bench.run(options.clone()).expect("runs"));
    let marks = |bench: &Bench| {
        ["data.raw", "system.qcow2"].map(|name| {
            use std::os::unix::fs::MetadataExt;
            fs::metadata(bench.vm().join(name)).expect("is there").ino()
        })
    };
    // Held open, so that the file system does not give a new file an old number.
    let _system = fs::File::open(bench.vm().join("system.qcow2")).expect("opens");
    let first = marks(&bench);
    drop(bench.run(options.clone()).expect("runs"));
    assert_eq!(marks(&bench), first);
    bench.release = publish(&bench.folder.path().join("release"), "1.0.1");
    drop(bench.run(options.clone()).expect("runs"));
    let second = marks(&bench);
    assert_eq!(second[0], first[0]);
    assert_ne!(second[1], first[1]);
    assert_eq!(bench.notes(), [Note::OtherRelease]);
    options.keep = Keep::Nothing;
    options.settings = Some("password = \"secret\"".into());
    drop(bench.run(options).expect("runs"));
    let left: Vec<_> =
        fs::read_dir(bench.vm()).expect("lists").map(|entry| entry.expect("entry").file_name()).collect();
    assert!(
        !left.iter().any(|name| name.to_string_lossy().contains("ephemeral") || name == "settings.toml"),
        "{left:?}"
    );
}

#[test]
fn a_patched_system_disk_is_never_thrown_away_silently() {
    let mut bench = Bench::new();
    let mut options = bench.options("");
    options.acceleration = AccelerationChoice::Tcg;
    drop(bench.run(options.clone()).expect("runs"));
    // As a patch from inside leaves it: 1.0.1 beside 1.0.0.
    let [old, new] = ["1.0.0", "1.0.1"].map(|version| partition_uuids(&root_hash(version)).0);
    let base = bench.vm().join("system.base");
    fs::remove_file(&base).and_then(|()| fs::write(&base, disk_with(old, new))).expect("writes");
    let system = || fs::read(bench.vm().join("system.qcow2")).expect("is there");
    let before = system();
    drop(bench.run(options.clone()).expect("the release it was installed from boots what is there"));
    let place = bench.folder.path().join("release");
    bench.release = publish(&place, "1.0.1");
    drop(bench.run(options.clone()).expect("the release it was patched to boots what is there"));
    let patched = Note::PatchedSystem { installed: "1.0.0".into(), release: "1.0.1".into() };
    assert_eq!(bench.notes(), [patched]);
    bench.release = publish(&place, "1.0.2");
    let error = bench.run(options.clone()).expect_err("another release does not");
    assert!(matches!(&error, MachineError::Patched { installed, .. } if installed == "1.0.0"), "{error}");
    assert_eq!(fs::read(bench.vm().join("system.qcow2")).expect("is there"), before);
    options.reinstall = Reinstall::Always;
    drop(bench.run(options).expect("unless it is asked for"));
    assert!(fs::read(&base).expect("is there") == fs::read(place.join("disk.raw")).expect("is there"));
}

#[test]
fn a_qemu_that_is_missing_or_refuses_is_told_with_its_words() {
    let bench = Bench::new();
    let mut options = bench.options("");
    options.acceleration = AccelerationChoice::Tcg;
    options.qemu = "/nonexistent/qemu".into();
    assert!(matches!(bench.run(options.clone()), Err(MachineError::NoProgram { .. })));
    options.qemu = "qemu-system-x86_64".into();
    options.extra = vec!["-no-such-option".into()];
    let error = bench.run(options).expect_err("refuses");
    assert!(
        matches!(&error, MachineError::QemuFailed { said, .. } if said.contains("no-such-option")),
        "{error}"
    );
}

#[test]
fn a_peer_that_does_not_speak_the_protocol_is_told_apart() {
    use std::io::Write;
    let bench = Bench::new();
    let path = bench.folder.path().join("foreign.sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).expect("binds");
    let peer = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("accepts");
        let _ = stream.write_all("HTTP/1.1 400 Bad Request\n".repeat(20).as_bytes());
        let (stream, _) = listener.accept().expect("accepts");
        drop(stream);
    });
    let error = ControlClient::connect(&path).expect("connects").call(Call::Status).expect_err("foreign");
    assert!(
        matches!(&error, ControlError::Foreign { sample, .. } if sample.starts_with("HTTP/1.1")),
        "{error}"
    );
    let error = ControlClient::connect(&path).expect("connects").call(Call::Status).expect_err("ended");
    assert!(matches!(error, ControlError::Ended { .. }), "{error}");
    peer.join().expect("joins");
}
