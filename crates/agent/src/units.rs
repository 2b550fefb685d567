//! systemd units by `systemctl`: it is in every image, and its private socket works without D-Bus.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use crate::process;
use crate::settings::change::{UnitFailure, UnitPlan};

/// How long units may take to restart: systemd's own limit is 90 seconds.
const RESTART_TIME: Duration = Duration::from_secs(120);
/// How long systemd may take to answer.
pub const QUESTION_TIME: Duration = Duration::from_secs(15);
/// The agent's own unit.
const AGENT: &str = "ampoule-agent.service";
/// A service of type `simple` counts as started before it has read its configuration; it is looked at again after this.
const SETTLE: Duration = Duration::from_millis(400);

/// Restarts and reloads units.
pub fn apply(plan: &UnitPlan) -> Result<(), UnitFailure> {
    let all = plan.restarts.iter().map(|unit| ("restart", unit));
    let all: Vec<_> = all.chain(plan.reloads.iter().map(|unit| ("reload-or-restart", unit))).collect();
    for (verb, unit) in &all {
        // A unit that failed often is refused by systemd's start limit; a person's change begins anew.
        let _not_failed = systemctl(&["reset-failed", unit], QUESTION_TIME);
        systemctl(&[verb, unit], RESTART_TIME)
            .map_err(|output| UnitFailure { unit: (*unit).clone(), output: with_journal(unit, output) })?;
    }
    if all.is_empty() {
        return Ok(());
    }
    std::thread::sleep(SETTLE);
    let names: Vec<&str> = all.iter().map(|(_, unit)| unit.as_str()).collect();
    match states(&names).into_iter().find(|(_, state)| state == "failed") {
        Some((unit, state)) => Err(UnitFailure { output: with_journal(&unit, state), unit }),
        None => Ok(()),
    }
}

/// Active states by unit, in one question.
pub fn states(units: &[&str]) -> BTreeMap<String, String> {
    if units.is_empty() {
        return BTreeMap::new();
    }
    let mut command = Command::new("systemctl");
    command.arg("is-active").args(units);
    // The exit code is that of the worst unit; the lines are what counts.
    let output =
        process::run(command, None, QUESTION_TIME).map(|finished| finished.output).unwrap_or_default();
    units.iter().map(|unit| (*unit).to_owned()).zip(output.lines().map(str::to_owned)).collect()
}

/// Whether systemd answers at all: it says of this service, which runs, that it does.
pub fn is_answering() -> bool {
    states(&[AGENT]).get(AGENT).is_some_and(|state| state == "active")
}

/// Runs systemctl; what it printed when it failed.
pub fn systemctl(arguments: &[&str], time: Duration) -> Result<(), String> {
    let mut command = Command::new("systemctl");
    // Whoever asks for a restart of the machine gets it, also when a next root is there.
    command.args(arguments).env("SYSTEMCTL_SKIP_AUTO_SOFT_REBOOT", "1");
    match process::run(command, None, time) {
        Ok(finished) if finished.is_success() => Ok(()),
        Ok(finished) => Err(finished.explain()),
        Err(error) => Err(format!("systemctl: {error}")),
    }
}

/// Last lines of the journal, oldest first.
pub fn logs(unit: Option<&str>, lines: u32) -> Result<Vec<String>, String> {
    /// See `control::Call::Logs`.
    const LINE_LIMIT: u32 = 1000;
    let mut command = Command::new("journalctl");
    command.args([
        "--no-pager",
        "--quiet",
        "--output=short-iso",
        "--lines",
        &lines.min(LINE_LIMIT).to_string(),
    ]);
    if let Some(unit) = unit {
        command.arg(format!("--unit={unit}"));
    }
    match process::run(command, None, QUESTION_TIME) {
        Ok(finished) if finished.is_success() => Ok(finished.output.lines().map(str::to_owned).collect()),
        Ok(finished) => Err(finished.explain()),
        Err(error) => Err(format!("journalctl: {error}")),
    }
}

/// systemctl only says where to look; the person at the other end can not.
fn with_journal(unit: &str, output: String) -> String {
    match logs(Some(unit), 8) {
        Ok(lines) if !lines.is_empty() => format!("{}\n{}", output.trim(), lines.join("\n")),
        _ => output,
    }
}
