//! What a rehearsal does to an appliance.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use model::control::{Answer, Call, LifeStage, Restart, Status, UpdateStatus};

use super::Rehearsal;
use super::probe::{self, FileProbes};
use super::report::Steps;
use crate::control::ControlError;
use crate::folder::names;
use crate::follow::{End, Goal, follow};
use crate::plan::{Flush, HostPort, RunOptions};
use crate::run::{Running, run};
use crate::stop::StopTimeouts;

/// The name of the setting that names the depot.
const DEPOT_SETTING: &str = "update-depot";

/// A machine of the old release with probes in its state, switched off: every chapter begins with a copy.
pub(super) struct Prepared {
    folder: PathBuf,
    pub(super) probes: FileProbes,
}

/// A step of a patch that was seen: the stage, and the work under way.
pub(super) type Seen = (LifeStage, Option<String>);

pub(super) fn prepare(what: &Rehearsal<'_>, steps: &mut Steps<'_>) -> Option<Prepared> {
    let folder = what.folder.join("prepared");
    let old = &what.old.manifest().identity.version;
    steps.step(&format!("{old} boots and is healthy"), || {
        let running = boot(what, &folder, true)?;
        expect_version(&running, what, old)?;
        if let Some(program) = &what.probe {
            probe::call(program, "write", &running, old)?;
        }
        running.shutdown(StopTimeouts::default()).map_err(chain).map(drop)
    })?;
    const NAME: &str = "probe files are written to its state";
    let probes = match (what.state.is_empty(), probe::may_mount()) {
        (true, _) => {
            steps.skip(NAME, "it declares no state");
            FileProbes::default()
        }
        (_, Err(why)) => {
            steps.skip(NAME, &why);
            FileProbes::default()
        }
        (false, Ok(())) => steps.step(NAME, || FileProbes::write(&folder, &what.state))?,
    };
    Some(Prepared { folder, probes })
}

/// The plain story. Returns the steps of the patch that were seen, in order.
pub(super) fn patch_and_roll_back(
    what: &Rehearsal<'_>,
    prepared: &Prepared,
    steps: &mut Steps<'_>,
) -> Option<Vec<Seen>> {
    let (old, new) = (&what.old.manifest().identity.version, &what.new.manifest().identity.version);
    let folder = prepared.copy(what, "plain", steps)?;
    let running = steps.step(&format!("{old} boots again, with the probes in its state"), || {
        let running = boot(what, &folder, false)?;
        check(what, &running, old).map(|()| running)
    })?;
    let mut seen = Vec::new();
    steps.step(&format!("{new} is installed and proves itself"), || {
        let end = patch(what, &running, false, |step| {
            if !seen.contains(step) {
                seen.push(step.clone());
            }
        })?;
        expect_reached(&end)
    })?;
    steps.step(&format!("{new} is healthy, with the state of {old}"), || {
        wait_healthy(what, &running)?;
        check(what, &running, new)
    })?;
    steps.step(&format!("it returns to {old}"), || {
        let before = ask(&running)?;
        let mut client = running.control().map_err(chain)?;
        client.call(Call::Rollback).map_err(chain)?;
        let goal = Goal::RolledBack { to: old.clone() };
        let end =
            follow(&running.control_socket(), &before, old, &goal, what.timeout, |_| ()).map_err(chain)?;
        expect_reached(&end)
    })?;
    steps.step(&format!("{old} is healthy, with its state"), || {
        wait_healthy(what, &running)?;
        check(what, &running, old)
    })?;
    end(prepared, &folder, running, steps)?;
    Some(seen)
}

/// Stops the machine, looks at the probe files, and throws the machine away.
pub(super) fn end(prepared: &Prepared, folder: &Path, running: Running, steps: &mut Steps<'_>) -> Option<()> {
    steps.step("it stops cleanly, and the probe files are as they were written", || {
        running.shutdown(StopTimeouts::default()).map_err(chain)?;
        prepared.probes.check(folder)
    })?;
    // Best effort: the whole folder goes at the end.
    let _ = fs::remove_dir_all(folder);
    Some(())
}

/// Begins the patch and follows it to its end. `again` tries a release that fell back.
pub(super) fn patch(
    what: &Rehearsal<'_>,
    running: &Running,
    again: bool,
    mut seen: impl FnMut(&Seen),
) -> Result<End, String> {
    let version = what.new.manifest().identity.version.clone();
    let before = begin(running, &version, again)?;
    let goal = Goal::Confirmed;
    follow(&running.control_socket(), &before, &version, &goal, what.timeout, |patch| {
        if let Some(patch) = patch {
            seen(&(patch.stage, patch.activity.map(|now| now.step)));
        }
    })
    .map_err(chain)
}

/// Asks for the patch. Returns what the agent said before.
pub(super) fn begin(running: &Running, version: &str, again: bool) -> Result<UpdateStatus, String> {
    let mut client = running.control().map_err(chain)?;
    // Known to the depot, and perhaps not yet to the appliance.
    let before = match client.call(Call::CheckUpdates).map_err(chain)? {
        Answer::Updates(status) => status,
        _ => return Err("the agent answered another question".to_owned()),
    };
    let version = Some(version.to_owned());
    client.call(Call::Apply { version, again, restart: Restart::default() }).map_err(chain)?;
    Ok(before)
}

pub(super) fn ask(running: &Running) -> Result<UpdateStatus, String> {
    match running.control().and_then(|mut client| client.call(Call::Updates)).map_err(chain)? {
        Answer::Updates(status) => Ok(status),
        _ => Err("the agent answered another question".to_owned()),
    }
}

/// Boots the machine in `folder` and waits until it is healthy.
pub(super) fn boot(what: &Rehearsal<'_>, folder: &Path, is_first: bool) -> Result<Running, String> {
    // The folder goes when the test is over; its power cuts are the end of QEMU, not of this machine.
    let mut options = RunOptions { flush: Flush::Host, ..RunOptions::of(what.old.manifest()) };
    for forward in &mut options.forwards {
        forward.host = HostPort::Any;
    }
    if is_first {
        let rest = what.settings.as_deref().unwrap_or_default();
        options.settings = Some(format!("{DEPOT_SETTING} = \"{}\"\n{rest}", what.depot));
    }
    let running = run(what.old, folder, options, |_| ()).map_err(chain)?;
    wait_healthy(what, &running)?;
    Ok(running)
}

pub(super) fn wait_healthy(what: &Rehearsal<'_>, running: &Running) -> Result<Status, String> {
    running.wait_healthy(what.timeout, |_| ()).map_err(|error| {
        let serial = fs::read(running.serial_log()).unwrap_or_default();
        let serial = String::from_utf8_lossy(&serial);
        let lines: Vec<&str> = serial.lines().collect();
        let last = lines[lines.len().saturating_sub(30)..].join("\n");
        format!("{}\nthe end of its serial console:\n{last}", chain(error))
    })
}

/// The version is the right one, and the maker's program finds what it wrote.
pub(super) fn check(what: &Rehearsal<'_>, running: &Running, version: &str) -> Result<(), String> {
    expect_version(running, what, version)?;
    match &what.probe {
        Some(program) => probe::call(program, "check", running, version),
        None => Ok(()),
    }
}

fn expect_version(running: &Running, what: &Rehearsal<'_>, version: &str) -> Result<(), String> {
    let status = match running.control().and_then(|mut client| client.call(Call::Status)).map_err(chain)? {
        Answer::Status(status) => status,
        _ => return Err("the agent answered another question".to_owned()),
    };
    let release = [what.old, what.new].into_iter().find(|it| it.manifest().identity.version == version);
    let expected = release.map(|it| it.manifest().image.root_hash.to_string()).unwrap_or_default();
    if status.version == version && status.root_hash == expected {
        return Ok(());
    }
    Err(format!("{} with root hash {} runs, not {version} with {expected}", status.version, status.root_hash))
}

pub(super) fn expect_reached(end: &End) -> Result<(), String> {
    if end.reached {
        return Ok(());
    }
    let patch = end.status.patch.as_ref();
    let stage = patch.map(|patch| format!("{:?}", patch.stage)).unwrap_or_default();
    let reason = patch.and_then(|patch| patch.reason.clone()).unwrap_or_default();
    Err(format!("it ended as {stage}: {reason}"))
}

/// Waits until `is_there` says so of a step of the patch. `Ok(false)`: the patch came to its end before.
pub(super) fn wait_for(
    what: &Rehearsal<'_>,
    running: &Running,
    mut is_there: impl FnMut(Option<&Seen>) -> bool,
) -> Result<bool, String> {
    const PAUSE: Duration = Duration::from_millis(100);
    let deadline = Instant::now() + what.timeout;
    let mut client = None;
    while Instant::now() < deadline {
        let asked = match &mut client {
            None => running
                .control()
                .map(|new| client = Some(new.with_timeout(Duration::from_secs(2))))
                .map(|()| None),
            Some(client) => client.call(Call::Updates).map(Some),
        };
        let seen = match asked {
            Ok(Some(Answer::Updates(status))) => {
                let patch = status.patch;
                let is_over = patch.as_ref().is_some_and(|patch| {
                    patch.activity.is_none()
                        && matches!(
                            patch.stage,
                            LifeStage::Confirmed | LifeStage::FallenBack | LifeStage::Failed
                        )
                });
                let seen = patch.map(|patch| (patch.stage, patch.activity.map(|now| now.step)));
                if is_over && !is_there(seen.as_ref()) {
                    return Ok(false);
                }
                seen
            }
            Ok(_) => None,
            Err(ControlError::Absent { .. }) => return Err("the machine ended by itself".to_owned()),
            Err(_) => {
                client = None;
                None
            }
        };
        if is_there(seen.as_ref()) {
            return Ok(true);
        }
        std::thread::sleep(PAUSE);
    }
    Err("the moment never came".to_owned())
}

impl Prepared {
    /// A machine of its own for a chapter.
    pub(super) fn copy(&self, what: &Rehearsal<'_>, name: &str, steps: &mut Steps<'_>) -> Option<PathBuf> {
        let to = what.folder.join(name);
        steps.step("the prepared machine is copied", || {
            fs::create_dir(&to).map_err(|error| format!("can not create `{}`: {error}", to.display()))?;
            let files = [
                names::APPLIANCE,
                names::SYSTEM,
                names::SYSTEM_BASE,
                names::SYSTEM_RELEASE,
                names::DATA,
                names::FIRMWARE_VARIABLES,
            ];
            let output = Command::new("cp")
                .args(["--sparse=always", "--reflink=auto", "--preserve=mode", "--"])
                .args(files.map(|name| self.folder.join(name)))
                .arg(&to)
                .stdin(Stdio::null())
                .output()
                .map_err(|error| format!("`cp` does not start: {error}"))?;
            if output.status.success() {
                return Ok(());
            }
            Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
        })?;
        Some(to)
    }
}

pub(super) fn chain(error: impl std::error::Error + 'static) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source()).map(ToString::to_string);
    let causes: Vec<String> = causes.collect();
    std::iter::once(error.to_string()).chain(causes).collect::<Vec<_>>().join(": ")
}
