//! Commands for a running appliance: `status`, `settings`, `logs`, `stop`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use machine::control::{ControlClient, ControlError};
use model::control::{Answer, Call};
use serde_json::json;

use crate::args::{Change, ChangeValue, LogsArgs, SettingsAction, SettingsArgs, VmArgs};
use crate::error::{Failure, Fault};
use crate::printer::Printer;
use crate::render;

/// Where virtual machines are kept when nobody says otherwise.
pub const VM_FOLDER: &str = ".ampoule/vm";

/// `ampoule status`
pub fn status(args: &VmArgs, printer: &Printer) -> Result<(), Failure> {
    match call(args, Call::Status)? {
        Answer::Status(status) => {
            printer.data(|| render::status::status(&status), || json!(status));
            Ok(())
        }
        _ => Err(unexpected()),
    }
}

/// `ampoule settings`
pub fn settings(args: &SettingsArgs, printer: &Printer) -> Result<(), Failure> {
    match &args.action {
        SettingsAction::Show(vm) => match call(vm, Call::Settings)? {
            Answer::Settings { version, settings } => {
                let text = || render::settings::settings(version, &settings);
                printer.data(text, || json!({"version": version, "settings": settings}));
                Ok(())
            }
            _ => Err(unexpected()),
        },
        SettingsAction::Set { changes, vm } => {
            changed(call(vm, Call::Set { changes: read(changes)? })?, printer)
        }
        SettingsAction::Undo(vm) => changed(call(vm, Call::Undo)?, printer),
        SettingsAction::History(vm) => match call(vm, Call::History)? {
            Answer::History(entries) => {
                printer.data(|| render::settings::history(&entries), || json!(entries));
                Ok(())
            }
            _ => Err(unexpected()),
        },
    }
}

/// `ampoule logs`
pub fn logs(args: &LogsArgs, printer: &Printer) -> Result<(), Failure> {
    match call(&args.vm, Call::Logs { unit: args.unit.clone(), lines: args.lines })? {
        Answer::Logs(lines) => {
            printer.data(|| lines.iter().map(|line| format!("{line}\n")).collect(), || json!(lines));
            Ok(())
        }
        _ => Err(unexpected()),
    }
}

/// `ampoule stop`
pub fn stop(args: &VmArgs, printer: &Printer) -> Result<(), Failure> {
    let folder = vm_folder(args)?;
    let method = machine::stop(&folder, machine::StopTimeouts::default()).map_err(super::machine_failure)?;
    printer.data(
        || format!("stopped {}\n", render::status::stop_method(method)),
        || json!({"stopped": render::status::stop_method(method)}),
    );
    Ok(())
}

/// The folder that is named, or the only one that is there.
pub fn vm_folder(args: &VmArgs) -> Result<PathBuf, Failure> {
    if let Some(folder) = &args.vm {
        return Ok(folder.clone());
    }
    let mut folders: Vec<PathBuf> = fs::read_dir(VM_FOLDER)
        .map(|entries| entries.filter_map(Result::ok).map(|entry| entry.path()).collect())
        .unwrap_or_default();
    // Others may lie there from before; the one that answers is meant.
    let running: Vec<PathBuf> = folders.iter().filter(|folder| is_running(folder)).cloned().collect();
    match (running.len(), folders.len()) {
        (1, _) => Ok(running.into_iter().next().expect("there is one")),
        (_, 1) => Ok(folders.remove(0)),
        (_, 0) => Err(Failure::new(Fault::User, format!("there is no virtual machine below `{VM_FOLDER}`"))
            .hint("`ampoule run RELEASE` starts one; `--vm FOLDER` names one that is elsewhere")),
        _ => Err(Failure::new(Fault::User, "there are several virtual machines")
            .hint(format!("name one with `--vm`: {}", list(&folders)))),
    }
}

fn is_running(folder: &Path) -> bool {
    ControlClient::connect(&control_socket(folder)).is_ok()
}

fn control_socket(folder: &Path) -> PathBuf {
    folder.join(machine::folder::names::CONTROL)
}

pub fn call(args: &VmArgs, call: Call) -> Result<Answer, Failure> {
    let folder = vm_folder(args)?;
    let connect = ControlClient::connect(&control_socket(&folder));
    connect.and_then(|mut client| client.call(call)).map_err(|error| control_failure(&folder, error))
}

pub fn control_failure(folder: &Path, error: ControlError) -> Failure {
    match error {
        ControlError::Refused { refusal } => {
            let mut failure = Failure::new(Fault::Appliance, refusal.message)
                .unchanged("the settings are as before, and so is what runs");
            if let Some(output) = refusal.output {
                failure = failure.detail(output);
            }
            failure
        }
        other => Failure::from_error(Fault::Environment, &other).hint(format!(
            "is it running? its serial console is in `{}`",
            folder.join(machine::folder::names::SERIAL_LOG).display()
        )),
    }
}

fn changed(answer: Answer, printer: &Printer) -> Result<(), Failure> {
    match answer {
        Answer::Changed { version, changed, units } => {
            let text = || render::settings::changed(version, &changed, &units);
            printer.data(text, || json!({"version": version, "changed": changed, "units": units}));
            Ok(())
        }
        _ => Err(unexpected()),
    }
}

fn read(changes: &[Change]) -> Result<BTreeMap<String, String>, Failure> {
    let text = |change: &Change| match &change.value {
        ChangeValue::Text(text) => Ok((change.name.clone(), text.clone())),
        ChangeValue::File(path) => match fs::read_to_string(path) {
            Ok(text) => Ok((change.name.clone(), text)),
            Err(error) => Err(Failure {
                causes: vec![error.to_string()],
                ..Failure::new(Fault::User, format!("can not read `{}`", path.display()))
            }),
        },
    };
    changes.iter().map(text).collect()
}

fn list(folders: &[PathBuf]) -> String {
    folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", ")
}

pub fn unexpected() -> Failure {
    Failure::new(Fault::Appliance, "the appliance answered another question than it was asked")
}
