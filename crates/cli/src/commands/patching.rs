//! Patching a running appliance: `updates`, `precheck`, `stage`, `apply`, `rollback`, `hold`, `unhold`.

use std::io::{BufRead, IsTerminal};
use std::path::Path;
use std::time::Duration;

use machine::follow::{self, End, Goal};
use machine::{ControlClient, ControlError, folder::names};
use model::control::{Answer, Call, LifeStage, Precheck, Restart, SlotRole, UpdateStatus};
use serde_json::json;

use super::running::{call, control_failure, unexpected, vm_folder};
use crate::args::{
    ApplyArgs, HoldArgs, PrecheckArgs, RestartChoice, RollbackArgs, StageArgs, UnholdArgs, UpdatesAction,
    UpdatesArgs, VmArgs,
};
use crate::error::{Failure, Fault};
use crate::printer::Printer;
use crate::render::patching as render;

/// How long what runs again after a patch that did not stay, or after a rollback, is waited for until it is healthy.
const HEALTHY_WAIT: Duration = Duration::from_secs(180);

/// `ampoule updates`
pub fn updates(args: &UpdatesArgs, printer: &Printer) -> Result<(), Failure> {
    if let Some(UpdatesAction::History(vm)) = &args.action {
        return match call(vm, Call::UpdateHistory)? {
            Answer::UpdateHistory(entries) => {
                printer.data(|| render::history(&entries), || json!(entries));
                Ok(())
            }
            _ => Err(unexpected()),
        };
    }
    show(&ask_updates(&args.vm, if args.check { Call::CheckUpdates } else { Call::Updates })?, printer);
    Ok(())
}

/// `ampoule precheck`
pub fn precheck(args: &PrecheckArgs, printer: &Printer) -> Result<(), Failure> {
    let check = ask_precheck(&args.vm, args.version.clone())?;
    printer.data(|| render::precheck(&check), || json!(check));
    refuse_problems(&check)
}

/// `ampoule stage`
pub fn stage(args: &StageArgs, printer: &Printer) -> Result<(), Failure> {
    let version = match &args.version {
        Some(version) => version.clone(),
        None => ask_precheck(&args.vm, None)?.offer.version,
    };
    let request = Call::Stage { version: args.version.clone(), again: args.again };
    go_on(&args.vm, request, &version, Goal::Staged, args.timeout, printer)
}

/// `ampoule apply`
pub fn apply(args: &ApplyArgs, printer: &Printer) -> Result<(), Failure> {
    let stage = &args.stage;
    let check = ask_precheck(&stage.vm, stage.version.clone())?;
    printer.note(render::precheck(&check).trim_end());
    refuse_problems(&check)?;
    let version = check.offer.version;
    confirm(args.yes, &format!("patch it to {version}?"), "ampoule apply --yes")?;
    let restart = match args.restart {
        RestartChoice::Shortest => Restart::Shortest,
        RestartChoice::Machine => Restart::Machine,
    };
    // By name: what was shown is what is installed, whatever the depot offers a moment later.
    let request = Call::Apply { version: Some(version.clone()), again: stage.again, restart };
    go_on(&stage.vm, request, &version, Goal::Confirmed, stage.timeout, printer)
}

/// `ampoule rollback`
pub fn rollback(args: &RollbackArgs, printer: &Printer) -> Result<(), Failure> {
    let status = ask_updates(&args.vm, Call::Updates)?;
    let version = |role| {
        let slot = status.slots.iter().find(|slot| slot.role == role);
        slot.and_then(|slot| slot.version.clone())
    };
    let running = version(SlotRole::Running).unwrap_or_else(|| "the running release".to_owned());
    let previous = version(SlotRole::Previous);
    let Some(previous) = previous else {
        return Err(Failure::new(Fault::Appliance, "there is no release to return to")
            .unchanged(format!("{running} runs as before"))
            .hint("`ampoule updates` shows the slots"));
    };
    let effect = status.rollback.as_deref().unwrap_or("nobody knows what happens to it");
    printer.note(&format!("{running} to {previous}, which restarts the appliance\nstate: {effect}"));
    confirm(args.yes, &format!("return to {previous}?"), "ampoule rollback --yes")?;
    go_on(
        &args.vm,
        Call::Rollback,
        &previous,
        Goal::RolledBack { to: previous.clone() },
        args.timeout,
        printer,
    )
}

/// `ampoule hold`
pub fn hold(args: &HoldArgs, printer: &Printer) -> Result<(), Failure> {
    let request = Call::Hold { version: args.version.clone(), reason: args.reason.clone() };
    show(&ask_updates(&args.vm, request)?, printer);
    Ok(())
}

/// `ampoule unhold`
pub fn unhold(args: &UnholdArgs, printer: &Printer) -> Result<(), Failure> {
    show(&ask_updates(&args.vm, Call::Unhold { version: args.version.clone() })?, printer);
    Ok(())
}

fn show(status: &UpdateStatus, printer: &Printer) {
    printer.data(|| render::updates(status), || json!(status));
}

fn ask_updates(vm: &VmArgs, request: Call) -> Result<UpdateStatus, Failure> {
    match call(vm, request)? {
        Answer::Updates(status) => Ok(status),
        _ => Err(unexpected()),
    }
}

fn ask_precheck(vm: &VmArgs, version: Option<String>) -> Result<Precheck, Failure> {
    match call(vm, Call::Precheck { version })? {
        Answer::Precheck(check) => Ok(check),
        _ => Err(unexpected()),
    }
}

fn refuse_problems(check: &Precheck) -> Result<(), Failure> {
    let Some(first) = check.problems.first() else { return Ok(()) };
    let message = format!("{} can not be installed: {}: {}", check.offer.version, first.subject, first.text);
    let mut failure = Failure::new(Fault::Appliance, message).unchanged("what runs, and its state");
    failure.hints.extend(check.problems.iter().filter_map(|problem| problem.resolution.clone()));
    Err(failure)
}

/// Asks on a terminal; without one nobody is there to ask.
fn confirm(is_said: bool, question: &str, command: &str) -> Result<(), Failure> {
    if is_said {
        return Ok(());
    }
    let refused = |message: &str| Failure::new(Fault::User, message).unchanged("what runs, and its state");
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Err(refused("nobody is there to say yes").hint(format!("say it beforehand: `{command}`")));
    }
    let mut answer = String::new();
    crate::printer::ask(&format!("{question} [y/N] "));
    let read = std::io::stdin().lock().read_line(&mut answer);
    match (read, answer.trim().to_lowercase().as_str()) {
        (Ok(_), "y" | "yes") => Ok(()),
        _ => Err(refused("it was not wanted")),
    }
}

/// Asks the agent to begin, and follows until the goal is reached or missed.
fn go_on(
    vm: &VmArgs,
    request: Call,
    version: &str,
    goal: Goal,
    timeout: u64,
    printer: &Printer,
) -> Result<(), Failure> {
    let folder = vm_folder(vm)?;
    let before = match begin(&folder, request) {
        Ok(before) => before,
        Err(ControlError::Refused { refusal }) => {
            return Err(
                Failure::new(Fault::Appliance, refusal.message.clone()).unchanged("what runs, and its state")
            );
        }
        Err(error) => return Err(control_failure(&folder, error)),
    };
    let socket = folder.join(names::CONTROL);
    let mut told = None;
    let end = follow::follow(&socket, &before, version, &goal, Duration::from_secs(timeout), |news| {
        let Some(patch) = &news else { return printer.passing("it restarts") };
        let step = (patch.stage, patch.since);
        if told != Some(step) {
            told = Some(step);
            printer.note(&format!("{:<13}{} {}", "patch", patch.version, render::stage(patch.stage)));
        }
        if let Some(now) = &patch.activity {
            printer.passing(&render::activity(now));
        }
    });
    // What runs again has only just begun to start its services.
    if let Ok(End { restart_seconds: Some(_), .. }) = &end {
        printer.passing("it starts its services");
        if !follow::wait_healthy(&socket, HEALTHY_WAIT) {
            printer.note("it is not healthy yet; `ampoule status` says why");
        }
    }
    printer.clear();
    match end {
        Ok(End { status, reached: true, restart_seconds }) => {
            let text = || {
                let seconds = restart_seconds.map(|seconds| format!(", {seconds:.0} s without an answer"));
                let what = match &goal {
                    Goal::Staged => format!("{version} is written; `ampoule apply` starts it"),
                    Goal::Confirmed => format!("{version} runs and proved itself"),
                    Goal::RolledBack { to } => format!("{to} runs again"),
                };
                format!("{what}{}\n{}", seconds.unwrap_or_default(), render::summary(&status))
            };
            printer.data(text, || json!({"updates": status, "restart-seconds": restart_seconds}));
            Ok(())
        }
        Ok(End { status, .. }) => Err(missed(version, &status)),
        Err(error) => Err(Failure::from_error(Fault::Appliance, &error)
            .hint("`ampoule updates` shows how far it came, `ampoule logs` its journal")),
    }
}

/// Remembers the life before, so that its end is not taken for the end of the one that begins.
fn begin(folder: &Path, request: Call) -> Result<UpdateStatus, ControlError> {
    let mut client = ControlClient::connect(&folder.join(names::CONTROL))?;
    let before = match client.call(Call::Updates)? {
        Answer::Updates(status) => status,
        _ => UpdateStatus::unknown(),
    };
    client.call(request)?;
    Ok(before)
}

fn missed(version: &str, status: &UpdateStatus) -> Failure {
    let patch = status.patch.as_ref();
    let reason =
        patch.and_then(|patch| patch.reason.clone()).unwrap_or_else(|| "no reason was kept".to_owned());
    let running = status.slots.iter().find(|slot| slot.role == SlotRole::Running);
    let running = running.and_then(|slot| slot.version.clone());
    let running = running.or_else(|| patch.map(|patch| patch.from_version.clone())).unwrap_or_default();
    let (message, unchanged) = match patch.map(|patch| patch.stage) {
        Some(LifeStage::FallenBack) => {
            (format!("{version} fell back: {reason}"), format!("{running} runs again, with the state it had"))
        }
        Some(LifeStage::Failed) => {
            (format!("{version} was not installed: {reason}"), format!("{running} runs as before"))
        }
        _ => (format!("{version} did not come to its end: {reason}"), format!("{running} runs")),
    };
    Failure::new(Fault::Appliance, message)
        .detail(render::summary(status))
        .unchanged(unchanged)
        .hint("`ampoule updates history` shows each step, `ampoule logs` the journal")
        .hint(format!("`--again` tries {version} once more"))
}
