//! The place where maintainer scripts run: own mounts, processes, network (none), host name, and without root own user
//! ids.
//!
//! The sandbox is the current program started once more under util-linux' `unshare`, because making namespaces in a
//! process that has threads is not possible, and forking one without `unsafe` is not either.

mod inside;
mod protocol;

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};

use crate::base::error::{At, InsideCause};
use crate::base::{BaseError, BaseRequest};
use crate::progress::Progress;
use protocol::{Message, Task};

/// First argument with which a program is the sandbox.
pub const SUBCOMMAND: &str = "__sandbox";

/// Fewest subordinate ids: Debian's `nobody` is 65534.
pub const NEEDED_IDS: u64 = 65_536;

/// Longest message from the sandbox. Stops a broken child from filling memory.
const MAX_MESSAGE: u64 = 32 << 20;

/// What the program is when it was started as `PROGRAM __sandbox TASK-FILE`. Call it first thing in `main`, with the
/// arguments after [`SUBCOMMAND`].
pub fn sandbox_main(arguments: impl IntoIterator<Item = String>) -> ExitCode {
    inside::main(arguments.into_iter().next())
}

/// Makes the base of `request` in `out` and reports on the way.
pub(crate) fn run(
    request: &BaseRequest,
    out: &Path,
    work: &Path,
    progress: &dyn Progress,
) -> Result<(), BaseError> {
    std::fs::create_dir_all(work).at("create", work)?;
    let absolute = |path: &Path| std::path::absolute(path).at("resolve", path);
    let mut request = request.clone();
    for package in &mut request.packages {
        package.deb = absolute(&package.deb)?;
    }
    let mount = absolute(out)?.join("sandbox");
    std::fs::create_dir(&mount).at("create", &mount)?;
    let task = Task { request, out: absolute(out)?, mount: mount.clone(), threads: threads() };
    let task_path = absolute(work)?.join(format!("task-{}.json", std::process::id()));
    let text = serde_json::to_vec(&task).expect("a task is plain texts, numbers and lists");
    std::fs::write(&task_path, text).at("write", &task_path)?;
    let result = start(&task_path).and_then(|child| listen(child, progress));
    let _ = std::fs::remove_file(&task_path);
    result?;
    std::fs::remove_dir(&mount).at("remove", &mount)
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn start(task: &Path) -> Result<Child, BaseError> {
    let failed = |reason: String| BaseError::Sandbox { reason };
    let program =
        std::env::current_exe().map_err(|error| failed(format!("its own program is unknown: {error}")))?;
    let mut command = Command::new("unshare");
    command.args([
        "--mount",
        "--propagation",
        "private",
        "--pid",
        "--fork",
        "--kill-child",
        "--net",
        "--uts",
        "--ipc",
    ]);
    if !rustix::process::geteuid().is_root() {
        check_subordinate_ids()?;
        command.args(["--user", "--map-root-user", "--map-auto"]);
    }
    command.arg("--").arg(program).arg(SUBCOMMAND).arg(task);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().map_err(|error| failed(format!("`unshare` of util-linux can not be run: {error}")))
}

/// Reads messages until the sandbox ends. Returns its error, or one of its end.
fn listen(mut child: Child, progress: &dyn Progress) -> Result<(), BaseError> {
    let stdout = child.stdout.take().expect("stdout was set to a pipe");
    let stderr = child.stderr.take().expect("stderr was set to a pipe");
    let errors = std::thread::spawn(move || {
        let mut text = Vec::new();
        let _ = stderr.take(MAX_MESSAGE).read_to_end(&mut text);
        String::from_utf8_lossy(&text).trim().to_owned()
    });
    let mut reader = BufReader::new(stdout);
    let mut outcome = None;
    let mut line = Vec::new();
    loop {
        line.clear();
        let length = (&mut reader)
            .take(MAX_MESSAGE)
            .read_until(b'\n', &mut line)
            .at("read", "the sandbox's messages")?;
        if length == 0 {
            break;
        }
        match serde_json::from_slice(&line) {
            Ok(Message::Done) => outcome = Some(Ok(())),
            Ok(Message::Failed(failure)) => outcome = Some(Err(failure.into_error())),
            Ok(message) => {
                if let Some(event) = message.into_event() {
                    progress.report(event);
                }
            }
            Err(_) => {
                let reason = format!("it said `{}`", String::from_utf8_lossy(&line).trim());
                outcome.get_or_insert(Err(BaseError::Sandbox { reason }));
            }
        }
    }
    let status = child.wait().at("wait for", "the sandbox")?;
    let errors = errors.join().unwrap_or_default();
    match outcome {
        Some(Err(error)) => Err(error),
        Some(Ok(())) if status.success() => Ok(()),
        _ => {
            let reason = if errors.is_empty() { format!("it ended with {status}") } else { errors };
            Err(BaseError::Sandbox { reason })
        }
    }
}

/// Without ranges `unshare --map-auto` fails with words that help nobody.
fn check_subordinate_ids() -> Result<(), BaseError> {
    let uid = rustix::process::geteuid().as_raw().to_string();
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let user = passwd
        .lines()
        .find(|line| line.split(':').nth(2) == Some(&uid))
        .and_then(|line| line.split(':').next())
        .unwrap_or(&uid)
        .to_owned();
    for file in ["/etc/subuid", "/etc/subgid"] {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let has_range = text.lines().any(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            matches!(fields[..], [name, _, count]
                if (name == user || name == uid) && count.parse::<u64>().is_ok_and(|count| count >= NEEDED_IDS))
        });
        if !has_range {
            return Err(BaseError::SubordinateIds { user, file });
        }
    }
    Ok(())
}

pub(crate) use protocol::Failure;

impl Failure {
    fn into_error(self) -> BaseError {
        match self {
            Failure::Script { package, script, status, output } => {
                BaseError::Script { package, script, status, output }
            }
            Failure::Dpkg { status, output } => BaseError::Dpkg { status, output },
            Failure::Other { mut messages } => {
                let message = if messages.is_empty() { String::new() } else { messages.remove(0) };
                BaseError::Inside { message, source: InsideCause::chain(messages) }
            }
        }
    }
}
