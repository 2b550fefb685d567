//! `ampoule run`: boots a release in QEMU, waits until it is healthy, and stops it cleanly.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use machine::{
    Boot, ControlClient, Forward, HostPort, Keep, Note, Progress, Reinstall, RunOptions, Running,
    StopTimeouts, Stopped, folder::names, seed,
};
use model::control::{Answer, Call, Health, Status, UndeclaredWrite};
use model::definition::Protocol;
use release::ReleaseFolder;
use serde_json::json;

use super::followed::Followed;
use super::running::VM_FOLDER;
use super::{machine_failure, stop_on_signals};
use crate::args::RunArgs;
use crate::error::{Failure, Fault};
use crate::printer::Printer;
use crate::render;

const PAUSE: Duration = Duration::from_millis(200);

/// Runs until it is stopped, or until it is healthy with `--detach`.
pub fn run(args: &RunArgs, printer: &Arc<Printer>) -> Result<(), Failure> {
    let release = ReleaseFolder::open(&args.release).map_err(|error| {
        Failure::from_error(Fault::User, &error).hint("`ampoule build` writes a release folder")
    })?;
    let folder = match &args.vm.vm {
        Some(folder) => folder.clone(),
        None => PathBuf::from(VM_FOLDER).join(&release.manifest().identity.name),
    };
    if args.detach {
        return detach(args, &folder, printer);
    }
    let mut options = options(args, &release, &folder)?;
    let depot = args.depot.as_deref().map(|depot| Followed::start(depot, &folder, printer)).transpose()?;
    if let Some(depot) = &depot {
        depot.hand_over(&mut options);
    }
    if args.direct && !args.ephemeral {
        printer.note("booted directly it can not be patched; without `--direct` it can");
    }
    let notes = Arc::clone(printer);
    let mut running =
        machine::run(&release, &folder, options, move |note: Note| notes.note(&note.to_string()))
            .map_err(machine_failure)?;
    let stop = stop_on_signals()?;
    if args.serial {
        follow_serial(running.serial_log());
    }
    // An appliance that is not healthy in time goes on running: its logs and status tell more than its end would.
    let outcome = match wait_healthy(&mut running, args, printer, &stop) {
        Ok(status) => {
            if let Some(status) = &status {
                if let Some(depot) = &depot {
                    depot.ensure_followed(&running, status, printer);
                }
                show_running(status, &running, printer);
            }
            Ok(())
        }
        Err(failure) if running.wait_exit(Duration::ZERO).is_none() => {
            printer.failure(&failure);
            printer.note("it goes on running; Ctrl-C stops it");
            Err(Failure::new(Fault::Appliance, "the appliance did not become healthy in time"))
        }
        Err(failure) => return Err(failure),
    };
    wait_for_the_end(&running, &stop);
    let stopped = running.shutdown(StopTimeouts::default()).map_err(machine_failure)?;
    show_stopped(&stopped, printer);
    outcome
}

fn options(args: &RunArgs, release: &ReleaseFolder, folder: &Path) -> Result<RunOptions, Failure> {
    let mut options = RunOptions::of(release.manifest());
    options.boot = if args.direct { Boot::Direct } else { Boot::Uefi };
    options.keep = if args.ephemeral { Keep::Nothing } else { Keep::Data };
    options.reinstall = if args.reinstall { Reinstall::Always } else { Reinstall::UnlessPatched };
    options.memory = args.memory.unwrap_or(options.memory);
    options.cpus = args.cpus.unwrap_or(options.cpus);
    if !args.forward.is_empty() {
        options.forwards = args
            .forward
            .iter()
            .map(|forward| Forward {
                host: if forward.host == 0 { HostPort::Any } else { HostPort::Wished(forward.host) },
                guest: forward.guest,
                protocol: Protocol::Tcp,
            })
            .collect();
    }
    if let Some(path) = &args.settings {
        options.settings = Some(read_settings(path)?);
    }
    if let Some(path) = &args.seed {
        let text = read_settings(path)?;
        fs::create_dir_all(folder).map_err(|error| unwritable(folder, error))?;
        let disk = folder.join("seed.img");
        seed::write(&disk, &text).map_err(machine_failure)?;
        options.seed = Some(disk);
    }
    Ok(options)
}

/// Reads a settings document; its syntax is checked here, its values by the appliance.
pub fn read_settings(path: &Path) -> Result<String, Failure> {
    let text = fs::read_to_string(path).map_err(|error| Failure {
        causes: vec![error.to_string()],
        ..Failure::new(Fault::User, format!("can not read `{}`", path.display()))
    })?;
    match model::seed::parse_settings_document(&text) {
        Ok(_) => Ok(text),
        Err(error) => {
            let failure = Failure::from_error(Fault::User, &error);
            Err(Failure {
                message: format!("`{}` is not a settings document", path.display()),
                causes: vec![failure.message],
                ..failure
            })
        }
    }
}

/// `None` when the wait was interrupted.
fn wait_healthy(
    running: &mut Running,
    args: &RunArgs,
    printer: &Printer,
    stop: &AtomicBool,
) -> Result<Option<Status>, Failure> {
    let started = Instant::now();
    let deadline = started + Duration::from_secs(args.timeout);
    loop {
        let show = |progress: Progress| {
            let seconds = started.elapsed().as_secs();
            printer.passing(&match progress {
                Progress::Booting { last_line, .. } => format!("{seconds} s, booting: {last_line}"),
                Progress::Agent(status) => {
                    let waiting = status.checks.iter().find(|check| check.health != Health::Healthy);
                    let waiting = waiting
                        .map(|check| format!(": {} {}", check.name, render::status::check_state(check)));
                    let health = render::status::health(status.health);
                    format!("{seconds} s, {health}{}", waiting.unwrap_or_default())
                }
            });
        };
        match running.wait_healthy(Duration::from_secs(1), show) {
            Ok(status) => {
                printer.clear();
                printer.note(&format!("healthy after {:.1} s", started.elapsed().as_secs_f32()));
                return Ok(Some(status));
            }
            Err(machine::MachineError::NotHealthy { .. })
                if Instant::now() < deadline && !stop.load(Ordering::Relaxed) => {}
            Err(machine::MachineError::NotHealthy { .. }) if stop.load(Ordering::Relaxed) => {
                printer.clear();
                return Ok(None);
            }
            Err(machine::MachineError::NotHealthy { last, serial, .. }) => {
                let timeout = Duration::from_secs(args.timeout);
                return Err(machine_failure(machine::MachineError::NotHealthy { timeout, last, serial }));
            }
            Err(error) => return Err(machine_failure(error)),
        }
    }
}

fn show_running(status: &Status, running: &Running, printer: &Printer) {
    let forwards = || -> Vec<String> {
        let line = |forward: &machine::ports::OpenForward| match forward.guest {
            443 => format!("https://127.0.0.1:{}", forward.host),
            80 => format!("http://127.0.0.1:{}", forward.host),
            guest => format!("127.0.0.1:{} leads to port {guest}", forward.host),
        };
        running.forwards().iter().map(line).collect()
    };
    printer.data(
        || {
            let lines: String = forwards().iter().map(|line| format!("reach it     {line}\n")).collect();
            format!("{}{lines}", render::status::status(status))
        },
        || json!({"status": status, "forwards": forwards()}),
    );
    printer.note("Ctrl-C stops it; `ampoule status` and `ampoule settings` work from another terminal");
}

/// Until somebody asks for a stop, or it stops by itself: `ampoule stop` from elsewhere, or a power-off inside.
fn wait_for_the_end(running: &Running, stop: &AtomicBool) {
    while running.wait_exit(PAUSE).is_none() && !stop.load(Ordering::Relaxed) {}
}

fn show_stopped(stopped: &Stopped, printer: &Printer) {
    printer.note(&format!("stopped {}", render::status::stop_method(stopped.method)));
    let Some(writes) = &stopped.undeclared_writes else { return };
    if writes.is_empty() {
        printer.note("nothing was written outside of declared state");
        return;
    }
    let word = if writes.len() == 1 { "path was" } else { "paths were" };
    printer.note(&format!("{} {word} written outside of declared state and did not survive:", writes.len()));
    for UndeclaredWrite { path, size } in writes {
        printer.note(&format!("  {path} ({})", model::ByteSize(*size)));
    }
    printer.note("hint: declare them under [[state]] when they have to survive");
}

fn follow_serial(log: PathBuf) {
    std::thread::spawn(move || {
        let (mut shown, mut stderr) = (0, std::io::stderr());
        loop {
            if let Ok(bytes) = fs::read(&log)
                && bytes.len() > shown
            {
                // The terminal may be gone; the log is kept anyway.
                let _ = std::io::Write::write_all(&mut stderr, &bytes[shown..]);
                shown = bytes.len();
            }
            std::thread::sleep(PAUSE);
        }
    });
}

/// Starts the same command in the background and waits until the appliance is healthy.
fn detach(args: &RunArgs, folder: &Path, printer: &Printer) -> Result<(), Failure> {
    fs::create_dir_all(folder).map_err(|error| unwritable(folder, error))?;
    let log_path = folder.join("run.log");
    let log = fs::File::create(&log_path).map_err(|error| unwritable(&log_path, error))?;
    let program = std::env::current_exe().map_err(|error| Failure::from_error(Fault::Environment, &error))?;
    let arguments = std::env::args_os().skip(1).filter(|argument| argument != "--detach");
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(log.try_clone().map_err(|error| unwritable(&log_path, error))?)
        .stderr(log)
        .process_group(0)
        .spawn()
        .map_err(|error| Failure::from_error(Fault::Environment, &error))?;
    let started = Instant::now();
    let deadline = started + Duration::from_secs(args.timeout);
    loop {
        ensure_runs(&mut child, &log_path)?;
        if let Some(status) = ask_status(folder)
            && status.health == Health::Healthy
        {
            printer.clear();
            printer.note(&format!("healthy after {:.1} s", started.elapsed().as_secs_f32()));
            printer.data(|| render::status::status(&status), || json!({"status": status}));
            printer.note("it runs in the background; `ampoule stop` stops it");
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(Failure::new(
                Fault::Appliance,
                format!("the appliance is not healthy after {} seconds", args.timeout),
            )
            .unchanged("it goes on in the background")
            .hint("`ampoule status` shows its checks, `ampoule logs` its journal, `ampoule stop` stops it"));
        }
        printer.passing(&format!("{} s, waiting until healthy", started.elapsed().as_secs()));
        std::thread::sleep(PAUSE);
    }
}

fn ensure_runs(child: &mut Child, log: &Path) -> Result<(), Failure> {
    match child.try_wait() {
        Ok(None) => Ok(()),
        Ok(Some(_)) | Err(_) => {
            let said = fs::read_to_string(log).unwrap_or_default();
            Err(Failure::new(Fault::Appliance, "the appliance ended before it was healthy").detail(said))
        }
    }
}

fn ask_status(folder: &Path) -> Option<Status> {
    let mut client =
        ControlClient::connect(&folder.join(names::CONTROL)).ok()?.with_timeout(Duration::from_secs(5));
    match client.call(Call::Status) {
        Ok(Answer::Status(status)) => Some(status),
        _ => None,
    }
}

fn unwritable(path: &Path, error: std::io::Error) -> Failure {
    Failure {
        causes: vec![error.to_string()],
        ..Failure::new(Fault::Environment, format!("can not write `{}`", path.display()))
    }
}
