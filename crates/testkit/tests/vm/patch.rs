//! Patches of running appliances: what they keep, what they refuse, how they fall back, and power cuts in their middle.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use machine::follow::{End, Goal, follow};
use machine::{ControlError, RunOptions, StopMethod, folder::names as vm_names};
use model::ByteSize;
use model::control::{Answer, Call, LifeStage, Restart, SlotRole, Status, UpdateState, UpdateStatus};
use release::{ReleaseFolder, names};
use testkit::depot::{DepotServer, Fault};
use testkit::flip::artifact;
use testkit::variant::{self, edit, patch_object};
use testkit::{Bench, BootedAppliance, Suite, ampoule, http, tools};

/// Long enough for a patch, two restarts and a trial on an emulated processor.
const PATCH_TIMEOUT: Duration = Duration::from_secs(900);
/// Long enough for a patch to be downloaded and written.
const STAGE_TIMEOUT: Duration = Duration::from_secs(300);
const NOTE: &str = "written before the patch";
/// Thirty seconds instead of two minutes, for checks that never pass.
const SHORT_GRACE: (&str, &str) = ("contains = \"ok\"", "contains = \"ok\"\ngrace = 30");

pub fn chapters(suite: &mut Suite) {
    suite.chapter("patches: refused, fallen back, confirmed, rolled back", one_life);
    suite.slow_chapter("patches: power cuts while it is written and while it restarts", power_cuts);
    suite.slow_chapter("patches: releases that do not start", hopeless);
    suite.slow_chapter("patches: a full data disk, a slow depot", scarcity);
    suite.slow_chapter("patches: `ampoule test` of a good and of a bad release", rehearsals);
}

fn first() -> ReleaseFolder {
    variant::release("1.0.0", |_| ())
}

fn good() -> ReleaseFolder {
    variant::release("1.0.1", |_| ())
}

/// Its health page says no.
fn unhealthy() -> ReleaseFolder {
    variant::release("1.0.2", |folder| {
        edit(&folder.join("appliance.toml"), SHORT_GRACE.0, SHORT_GRACE.1);
        let page = "<?php http_response_code(503); echo 'the shelf is gone';\n";
        fs::write(folder.join("app/public/health.php"), page).expect("writes");
    })
}

fn one_life(suite: &mut Suite) {
    let (old, new, bad) = (first(), good(), unhealthy());
    let depot = variant::depot("patched-depot", &[&old, &new, &bad]);
    let bench = Bench::new();
    let folder = bench.join("vm");
    let server = DepotServer::start(&depot);
    let options = following(&old, &server);
    let booted = suite.check("it is healthy, and follows the depot it was told of", || {
        let it = BootedAppliance::boot(&old, &folder, options);
        assert_eq!(updates(&it).depot.as_deref(), Some(&*server.url()));
        it
    });
    let Some(appliance) = booted else { return };
    let it = &appliance;
    keep_note(suite, it);
    refusals(suite, it, &server, &depot);

    suite.check("law_5_what_is_unhealthy_does_not_stay_and_why_is_told", || {
        let end = apply(it, "1.0.2", false);
        assert!(!end.reached, "{end:?}");
        let patch = end.status.patch.expect("a patch");
        assert_eq!(patch.stage, LifeStage::FallenBack);
        let reason = patch.reason.expect("a reason");
        assert!(reason.contains("web"), "the check is named: {reason}");
        it.wait_healthy();
        expect_running(it, &old);
        let status = status(it).update;
        assert!(status.patch.is_some_and(|patch| patch.reason.is_some()), "the reason is still there");
    });
    suite.check("law_9_declared_state_outlives_a_fall_back", || expect_note(it));
    suite.check("law_5_a_release_that_fell_back_is_not_tried_again_unless_asked", || {
        check_updates(it);
        let message = refused(it, apply_call("1.0.2", false));
        assert!(message.contains("only when asked"), "{message}");
    });
    let patched = suite.check("a patched appliance proves itself and is confirmed", || {
        // Who names none gets the newest one that did not fall back.
        let before = check_updates(it);
        it.call(Call::Apply { version: None, again: false, restart: Restart::Shortest });
        let end = wait(it, &before, "1.0.1", &Goal::Confirmed);
        assert!(end.reached, "{end:?}");
        it.wait_healthy();
        expect_running(it, &new);
        assert!(it.get("https", 443, "/").body.contains("<p id=\"version\">1.0.1</p>"));
    });
    if patched.is_some() {
        suite.check("law_9_declared_state_outlives_a_patch", || expect_note(it));
        suite.check("settings, identity and the way back outlive a patch", || {
            let status = updates(it);
            assert_eq!(status.depot.as_deref(), Some(&*server.url()));
            assert_eq!(slot(&status, SlotRole::Previous).as_deref(), Some("1.0.0"));
        });
        suite.check("the history tells every step, the newest first", || {
            let Answer::UpdateHistory(entries) = it.call(Call::UpdateHistory) else {
                panic!("another answer")
            };
            let of = |version: &str| -> Vec<LifeStage> {
                entries.iter().rev().filter(|it| it.version == version).map(|it| it.stage).collect()
            };
            use LifeStage::*;
            assert_eq!(of("1.0.2").last(), Some(&FallenBack), "{entries:?}");
            for step in [Staged, Armed, Trial, Confirmed] {
                assert!(of("1.0.1").contains(&step), "{step:?}: {entries:?}");
            }
        });
        suite.check("a rollback returns to the release before, with its state", || {
            write_note(it, "written by the newer one");
            let before = updates(it);
            it.call(Call::Rollback);
            let end = wait(it, &before, "1.0.0", &Goal::RolledBack { to: "1.0.0".into() });
            assert!(end.reached, "{end:?}");
            it.wait_healthy();
            expect_running(it, &old);
            expect_note(it);
            // The form of the state is the same: nothing has to be brought back, so nothing is lost.
            assert!(it.get("https", 443, "/").body.contains("written by the newer one"));
        });
    }
    let disk = folder.join(vm_names::SYSTEM);
    suite.check("law_3_each_slot_holds_what_was_installed_bit_for_bit", || {
        assert_eq!(appliance.shutdown().method, StopMethod::Agent);
        let raw = bench.join("system.raw");
        let convert = ["convert", "-O", "raw"].map(AsRef::as_ref);
        tools::run("qemu-img", convert.into_iter().chain([disk.as_os_str(), raw.as_os_str()]));
        expect_slot(&raw, &old, "root-a", &old);
        expect_slot(&raw, &old, "root-b", &new);
    });
}

/// What may come from a depot without changing anything. Nothing is restarted by any of it.
fn refusals(suite: &mut Suite, it: &BootedAppliance, server: &DepotServer, depot: &Path) {
    let (patch, size) = patch_object(depot, "1.0.0", "1.0.1");
    let index = release::index::index_path(variant::APPLIANCE, variant::CHANNEL);
    suite.check("a depot is never taken for current when its answer is none", || {
        for fault in [Fault::Gone, Fault::Broken, Fault::Garbage, Fault::BreaksOff(100)] {
            server.misbehave(fault, &index);
            let message = refused(it, Call::CheckUpdates);
            assert!(!message.is_empty(), "{fault:?}");
            let status = updates(it);
            assert_ne!(status.state, UpdateState::Current, "{fault:?}");
            assert!(status.check_failed.is_some(), "{fault:?}: {status:?}");
        }
        server.behave();
        assert_eq!(check_updates(it).state, UpdateState::Available);
    });
    suite.check("a patch of a few changed pages is a small download", || {
        assert!(size < 64 << 10, "the patch has {size} bytes");
        match it.call(Call::Precheck { version: Some("1.0.1".into()) }) {
            Answer::Precheck(check) => {
                assert_eq!((check.offer.download, check.offer.full), (size, false));
                assert_eq!(check.problems, []);
            }
            other => panic!("{other:?}"),
        }
    });
    let faults =
        [("bit_flipped", Fault::Flipped), ("truncated", Fault::Truncated), ("garbage", Fault::Garbage)];
    for (name, fault) in faults {
        suite.check(&format!("law_4_a_{name}_patch_is_refused_and_nothing_is_armed"), || {
            server.misbehave(fault, &patch);
            let end = stage(it, "1.0.1");
            server.behave();
            expect_untouched(it, &end, "1.0.0");
        });
    }
    suite.check("law_4_a_depot_that_goes_away_in_the_middle_leaves_it_as_it_was", || {
        server.misbehave(Fault::Gone, &patch);
        let end = stage(it, "1.0.1");
        server.behave();
        expect_untouched(it, &end, "1.0.0");
    });
    suite.check("law_4_two_patches_at_once_are_refused", || {
        // Slow enough that it is still under way.
        server.misbehave(Fault::Slow(512), &patch);
        let before = updates(it);
        it.call(Call::Stage { version: Some("1.0.1".into()), again: false });
        let message = refused(it, Call::Stage { version: Some("1.0.2".into()), again: false });
        server.behave();
        assert!(!message.is_empty());
        let end = wait(it, &before, "1.0.1", &Goal::Staged);
        assert!(end.reached, "the first goes on: {end:?}");
        assert_eq!(slot(&end.status, SlotRole::Staged).as_deref(), Some("1.0.1"));
    });
    suite.check("a download that broke off is resumed", || {
        server.misbehave(Fault::BreaksOff(size as usize / 2 + 1), &patch_object(depot, "1.0.0", "1.0.2").0);
        let end = stage(it, "1.0.2");
        server.behave();
        assert!(end.reached, "{end:?}");
    });
    suite.check("a depot without ranges is as good", || {
        server.misbehave(Fault::NoRanges, "");
        let end = stage(it, "1.0.1");
        server.behave();
        assert!(end.reached, "{end:?}");
    });
}

fn power_cuts(suite: &mut Suite) {
    let (old, new) = (first(), good());
    let depot = variant::depot("patched-depot", &[&old, &new, &unhealthy()]);
    let server = DepotServer::start(&depot);
    let (patch, _) = patch_object(&depot, "1.0.0", "1.0.1");
    let bench = Bench::new();
    let folder = bench.join("vm");
    let boot = || BootedAppliance::boot(&old, &folder, following(&old, &server));
    let kept = suite.check("it keeps a note", || {
        let it = boot();
        write_note(&it, NOTE);
        it.kill_power();
    });
    if kept.is_none() {
        return;
    }
    suite.check("law_4_a_power_cut_while_it_downloads_leaves_the_old_release", || {
        let it = boot();
        server.misbehave(Fault::Slow(512), &patch);
        it.call(apply_call("1.0.1", false));
        std::thread::sleep(Duration::from_secs(3));
        it.kill_power();
        server.behave();
        let it = boot();
        expect_running(&it, &old);
        expect_note(&it);
        it.kill_power();
    });
    suite.check("law_4_a_power_cut_while_it_is_written_leaves_the_old_release", || {
        let it = boot();
        it.call(apply_call("1.0.1", false));
        let deadline = Instant::now() + STAGE_TIMEOUT;
        // Some way into the slot, and not yet at its end.
        let is_writing = |status: &UpdateStatus| {
            let activity = status.patch.as_ref().and_then(|patch| patch.activity.as_ref());
            activity.is_some_and(|now| now.total > 100 << 20 && now.done > now.total / 4)
        };
        while !is_writing(&updates(&it)) {
            assert!(Instant::now() < deadline, "it never came to writing: {:?}", updates(&it));
            std::thread::sleep(Duration::from_millis(50));
        }
        it.kill_power();
        let it = boot();
        expect_running(&it, &old);
        expect_note(&it);
        it.kill_power();
    });
    suite.check("law_4_power_cuts_while_it_restarts_leave_old_or_new_and_the_patch_can_be_completed", || {
        for seconds in [1, 5, 15, 40] {
            let it = boot();
            let running = status(&it).version;
            if running == "1.0.0" {
                it.call(apply_call("1.0.1", true));
                wait_for_silence(&it);
                std::thread::sleep(Duration::from_secs(seconds));
            }
            it.kill_power();
        }
        let it = boot();
        expect_note(&it);
        if status(&it).version == "1.0.0" {
            let end = apply(&it, "1.0.1", true);
            assert!(end.reached, "{end:?}");
            it.wait_healthy();
        }
        expect_running(&it, &new);
        expect_note(&it);
        it.kill_power();
    });
}

/// Each of them is tried from the same old release, and each ends there again.
fn hopeless(suite: &mut Suite) {
    const CASES: [(&str, &str); 4] = [
        ("1.0.3", "law_5_a_release_whose_kernel_panics_falls_back"),
        ("1.0.4", "law_5_a_release_whose_start_hangs_falls_back"),
        ("1.0.5", "law_5_a_release_whose_service_crashes_over_and_over_falls_back"),
        ("1.0.6", "law_5_a_release_whose_check_never_answers_falls_back"),
    ];
    let old = first();
    let releases = [
        variant::release("1.0.3", |folder| {
            // The kernel is told to panic as soon as services start.
            unit(folder, "panic", "Type=oneshot\nExecStart=/bin/sh -c 'echo c > /proc/sysrq-trigger'");
        }),
        variant::release("1.0.4", |folder| {
            let early = "DefaultDependencies=no\nBefore=sysinit.target";
            unit_with(
                folder,
                "hang",
                early,
                "Type=oneshot\nTimeoutStartSec=infinity\nExecStart=/bin/sleep infinity",
            );
        }),
        variant::release("1.0.5", |folder| {
            unit(folder, "crash", "Restart=always\nRestartSec=1\nExecStart=/bin/false");
            let check =
                "\n[[health]]\nname = \"crash\"\nkind = \"unit\"\nunit = \"crash.service\"\ngrace = 30\n";
            append(&folder.join("appliance.toml"), check);
        }),
        variant::release("1.0.6", |folder| {
            edit(&folder.join("appliance.toml"), SHORT_GRACE.0, SHORT_GRACE.1);
            fs::write(folder.join("app/public/health.php"), "<?php sleep(100000);\n").expect("writes");
        }),
    ];
    let [panics, hangs, crashes, silent] = &releases;
    let depot = variant::depot("hopeless-depot", &[&old, panics, hangs, crashes, silent]);
    let bench = Bench::new();
    let server = DepotServer::start(&depot);
    let booted = suite.check("the old release is healthy", || {
        let it = BootedAppliance::boot(&old, &bench.join("vm"), following(&old, &server));
        write_note(&it, NOTE);
        it
    });
    let Some(it) = booted else { return };
    for (version, law) in CASES {
        suite.check(law, || {
            let end = apply(&it, version, false);
            assert!(!end.reached, "{end:?}");
            let patch = end.status.patch.expect("a patch");
            assert_eq!(patch.stage, LifeStage::FallenBack);
            assert!(patch.reason.is_some_and(|reason| !reason.is_empty()), "a reason is kept");
            it.wait_healthy();
            expect_running(&it, &old);
            expect_note(&it);
        });
    }
    it.kill_power();
}

fn scarcity(suite: &mut Suite) {
    let (old, new) = (first(), good());
    let depot = variant::depot("patched-depot", &[&old, &new, &unhealthy()]);
    let server = DepotServer::start(&depot);
    let bench = Bench::new();
    let options = RunOptions { data: ByteSize(320 << 20), ..following(&old, &server) };
    let booted = suite.check("it is healthy", || BootedAppliance::boot(&old, &bench.join("vm"), options));
    let Some(it) = booted else { return };
    suite.check("law_4_a_full_data_disk_never_costs_what_runs", || {
        write_note(&it, NOTE);
        let large = bench.join("large");
        fs::File::create(&large).and_then(|file| file.set_len(0)).expect("creates");
        // What btrfs can not make small.
        tools::run(
            "dd",
            ["if=/dev/urandom", &format!("of={}", large.display()), "bs=1M", "count=64", "status=none"],
        );
        it.call(Call::Set { changes: [("max-upload".into(), "512".into())].into() });
        for _ in 0..8 {
            let form = format!("attachment=@{}", large.display());
            let url = it.url("https", 443, "/");
            // The last ones are refused, or the connection breaks: that is what is wanted.
            let _ = http::request(&["--max-time", "180", "--form", "text=fills", "--form", &form, &url]);
        }
        let before = updates(&it);
        let mut client = it.running().control().expect("the agent answers");
        if client.call(apply_call("1.0.1", false)).is_ok() {
            let end = wait(&it, &before, "1.0.1", &Goal::Confirmed);
            assert!(end.reached || end.status.patch.is_some_and(|patch| patch.reason.is_some()));
        }
        let version = status(&it).version;
        assert!(["1.0.0", "1.0.1"].contains(&&*version), "{version}");
        expect_note(&it);
    });
    it.kill_power();
}

fn rehearsals(suite: &mut Suite) {
    let (old, new, bad) = (first(), good(), unhealthy());
    let bench = Bench::new();
    let report = bench.join("report.json");
    let program = ampoule().display().to_string();
    let folder = |release: &ReleaseFolder| release.path().display().to_string();
    suite.check("a good release passes, with the power cut in every step", || {
        let arguments = ["test", &folder(&old), &folder(&new), "--report"].map(str::to_owned);
        tools::run(&program, arguments.into_iter().chain([report.display().to_string()]));
        let text = fs::read_to_string(&report).expect("a report");
        let read: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(read["passed"], true, "{text}");
        assert!(read["chapters"].as_array().is_some_and(|chapters| chapters.len() > 3), "{text}");
    });
    suite.check("a bad release does not, and the reason is in the report", || {
        let arguments =
            ["test", &folder(&old), &folder(&bad), "--no-power-cuts", "--report"].map(str::to_owned);
        let output = tools::attempt(&program, arguments.into_iter().chain([report.display().to_string()]));
        assert_eq!(output.status.code(), Some(6), "{}", tools::said(&output));
        let text = fs::read_to_string(&report).expect("a report");
        assert!(text.contains("web"), "the check is named: {text}");
    });
}

/// Boots as on any hypervisor and follows the depot.
fn following(release: &ReleaseFolder, server: &DepotServer) -> RunOptions {
    let settings = format!("update-depot = \"{}\"\n", server.url());
    RunOptions { settings: Some(settings), ..BootedAppliance::patchable(release) }
}

fn apply_call(version: &str, again: bool) -> Call {
    Call::Apply { version: Some(version.to_owned()), again, restart: Restart::Shortest }
}

#[track_caller]
fn apply(it: &BootedAppliance, version: &str, again: bool) -> End {
    let before = check_updates(it);
    it.call(apply_call(version, again));
    wait(it, &before, version, &Goal::Confirmed)
}

#[track_caller]
fn stage(it: &BootedAppliance, version: &str) -> End {
    let before = check_updates(it);
    it.call(Call::Stage { version: Some(version.to_owned()), again: false });
    wait(it, &before, version, &Goal::Staged)
}

#[track_caller]
fn wait(it: &BootedAppliance, before: &UpdateStatus, version: &str, goal: &Goal) -> End {
    let timeout = if *goal == Goal::Staged { STAGE_TIMEOUT } else { PATCH_TIMEOUT };
    let followed = follow(&it.running().control_socket(), before, version, goal, timeout, |_| ());
    followed.unwrap_or_else(|error| it.fail(&error.to_string()))
}

/// Until the agent is gone: from then on it restarts.
fn wait_for_silence(it: &BootedAppliance) {
    let deadline = Instant::now() + PATCH_TIMEOUT;
    let mut silent = 0;
    while silent < 3 && Instant::now() < deadline {
        let asked = it
            .running()
            .control()
            .and_then(|client| client.with_timeout(Duration::from_secs(1)).call(Call::Updates).map(drop));
        silent = if asked.is_ok() { 0 } else { silent + 1 };
        std::thread::sleep(Duration::from_millis(300));
    }
    assert!(silent >= 3, "it never restarted");
}

#[track_caller]
fn expect_untouched(it: &BootedAppliance, end: &End, version: &str) {
    assert!(!end.reached, "it was taken: {end:?}");
    let patch = end.status.patch.as_ref().expect("a patch");
    assert_eq!(patch.stage, LifeStage::Failed);
    assert!(patch.reason.is_some(), "a reason is kept");
    assert_eq!(slot(&end.status, SlotRole::Running).as_deref(), Some(version));
    assert_eq!(slot(&end.status, SlotRole::Staged), None);
    assert_eq!(it.get("https", 443, "/").status, 200);
}

#[track_caller]
fn expect_running(it: &BootedAppliance, release: &ReleaseFolder) {
    let status = status(it);
    let manifest = release.manifest();
    assert_eq!(status.version, manifest.identity.version);
    assert_eq!(status.root_hash, manifest.image.root_hash.to_string());
}

/// The partition begins with the release's root, as the builder wrote it.
#[track_caller]
fn expect_slot(disk: &Path, laid_out: &ReleaseFolder, partition: &str, release: &ReleaseFolder) {
    let partitions = &laid_out.manifest().partitions;
    let start = partitions.iter().find(|it| it.name == partition).expect("a partition").start;
    let wanted = fs::read(artifact(release, names::ROOT)).expect("an image");
    let mut found = vec![0; wanted.len()];
    let file = fs::File::open(disk).expect("a disk");
    file.read_exact_at(&mut found, start).expect("the slot can be read");
    let version = &release.manifest().identity.version;
    assert!(found == wanted, "{partition} is not {version} bit for bit");
}

fn slot(status: &UpdateStatus, role: SlotRole) -> Option<String> {
    status.slots.iter().find(|slot| slot.role == role).and_then(|slot| slot.version.clone())
}

#[track_caller]
fn updates(it: &BootedAppliance) -> UpdateStatus {
    expect_updates(it.call(Call::Updates))
}

#[track_caller]
fn check_updates(it: &BootedAppliance) -> UpdateStatus {
    expect_updates(it.call(Call::CheckUpdates))
}

#[track_caller]
fn expect_updates(answer: Answer) -> UpdateStatus {
    match answer {
        Answer::Updates(status) => status,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn status(it: &BootedAppliance) -> Status {
    match it.call(Call::Status) {
        Answer::Status(status) => status,
        other => panic!("{other:?}"),
    }
}

/// The words with which a call is refused.
#[track_caller]
fn refused(it: &BootedAppliance, call: Call) -> String {
    let mut client = it.running().control().expect("the agent answers");
    match client.call(call) {
        Err(ControlError::Refused { refusal, .. }) => refusal.message,
        other => panic!("it was not refused: {other:?}"),
    }
}

fn keep_note(suite: &mut Suite, it: &BootedAppliance) {
    suite.check("a note is kept", || write_note(it, NOTE));
}

#[track_caller]
fn write_note(it: &BootedAppliance, text: &str) {
    let form = format!("text={text}");
    let answer = http::request(&["--form", &form, &it.url("https", 443, "/")]).expect("answers");
    assert_eq!(answer.status, 303, "{answer:?}");
}

#[track_caller]
fn expect_note(it: &BootedAppliance) {
    let page = it.get("https", 443, "/").body;
    assert!(page.contains(NOTE), "the note is gone: {page}");
}

/// Adds a unit that is started at boot.
fn unit(folder: &Path, name: &str, service: &str) {
    unit_with(folder, name, "", service);
}

fn unit_with(folder: &Path, name: &str, head: &str, service: &str) {
    let target = if head.is_empty() { "multi-user.target" } else { "sysinit.target" };
    fs::create_dir_all(folder.join("units")).expect("creates");
    let text = format!(
        "[Unit]\nDescription=A fault\n{head}\n\n[Service]\n{service}\n\n[Install]\nWantedBy={target}\n"
    );
    fs::write(folder.join(format!("units/{name}.service")), text).expect("writes");
    let listed = format!(
        "add = [\"units/{name}.service\"]\nenable = [\"apache2.service\", \"{name}.service\"]\nunhardened = [\"{name}.service\"]"
    );
    edit(&folder.join("appliance.toml"), "enable = [\"apache2.service\"]", &listed);
}

fn append(file: &Path, text: &str) {
    let mut content = fs::read_to_string(file).expect("reads");
    content.push_str(text);
    fs::write(file, content).expect("writes");
}
