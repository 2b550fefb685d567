//! Running a program of the root in the root.

use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};

use crate::base::BaseError;
use crate::base::error::At;
use crate::unpack::control::Control;

/// Most bytes kept of one script's output. Stops a script that prints without end from filling memory.
pub const MAX_OUTPUT: usize = 8 << 20;

/// Reproducible programs take their time from this variable.
pub const EPOCH_VARIABLE: &str = "SOURCE_DATE_EPOCH";

/// A root in which programs are run.
pub struct Chroot {
    /// Directory that becomes `/`.
    pub root: PathBuf,
    /// Seconds since 1970 that programs are told.
    pub source_date_epoch: u64,
}

impl Chroot {
    /// A command in the root with the one environment that all scripts get, so that nothing of the building machine's
    /// shows.
    pub fn command(&self, program: &[&str]) -> Command {
        let mut command = Command::new("chroot");
        command.arg(&self.root).args(program).env_clear().stdin(Stdio::null());
        command.envs([
            ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
            ("HOME", "/root"),
            ("LC_ALL", "C.UTF-8"),
            ("TZ", "UTC0"),
            ("TERM", "dumb"),
            ("SHELL", "/bin/sh"),
            ("DEBIAN_FRONTEND", "noninteractive"),
            ("DEBCONF_NONINTERACTIVE_SEEN", "true"),
            ("DEBCONF_NOWARNINGS", "yes"),
            ("UCF_FORCE_CONFFOLD", "1"),
            // The appliance's initrd is Ampoule's own.
            ("INITRD", "No"),
            // Perl and Python order hashes by chance otherwise, and that order ends in files.
            ("PERL_HASH_SEED", "0"),
            ("PERL_PERTURB_KEYS", "0"),
            ("PYTHONHASHSEED", "0"),
            ("PYTHONDONTWRITEBYTECODE", "1"),
        ]);
        command.env(EPOCH_VARIABLE, self.source_date_epoch.to_string());
        command
    }
}

/// Runs `command` and returns how it ended and what it wrote, both streams in order. `line` is called for each
/// complete line.
pub(super) fn run(mut command: Command, line: &dyn Fn(&str)) -> Result<(ExitStatus, String), BaseError> {
    let (mut reader, writer) = std::io::pipe().at("create", "a pipe")?;
    let error_writer = writer.try_clone().at("create", "a pipe")?;
    command.stdout(writer).stderr(error_writer);
    let mut child = command.spawn().at("run", "chroot")?;
    // The writing ends live in `command`; while it lives, the pipe never ends.
    drop(command);
    let (mut output, mut buffer, mut told) = (Vec::new(), [0; 1 << 14], 0);
    loop {
        let length = reader.read(&mut buffer).at("read", "a script's output")?;
        if length == 0 {
            break;
        }
        output.extend_from_slice(&buffer[..length]);
        while let Some(end) = output[told..].iter().position(|byte| *byte == b'\n') {
            line(&String::from_utf8_lossy(&output[told..told + end]));
            told += end + 1;
        }
        if output.len() > 2 * MAX_OUTPUT {
            let cut = output.len() - MAX_OUTPUT;
            output.drain(..cut);
            told = told.saturating_sub(cut);
        }
    }
    let status = child.wait().at("wait for", "a script")?;
    Ok((status, String::from_utf8_lossy(&output).into_owned()))
}

/// Runs `preinst install` from where [`crate::unpack::database::Database::write_preinst_area`] put it.
pub(super) fn run_preinst(chroot: &Chroot, control: &Control) -> Result<(), BaseError> {
    let mut command = chroot.command(&["/var/lib/dpkg/tmp.ci/preinst", "install"]);
    command.envs([
        ("DPKG_MAINTSCRIPT_NAME", "preinst"),
        ("DPKG_MAINTSCRIPT_PACKAGE", control.name.as_str()),
        ("DPKG_MAINTSCRIPT_ARCH", control.architecture.as_str()),
        ("DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT", "1"),
        ("DPKG_MAINTSCRIPT_DEBUG", "0"),
        ("DPKG_ADMINDIR", "/var/lib/dpkg"),
        ("DPKG_ROOT", ""),
        ("DPKG_FORCE", "security-mac,downgrade"),
    ]);
    let (status, output) = run(command, &|_| {})?;
    match status.success() {
        true => Ok(()),
        false => Err(BaseError::Script {
            package: control.name.clone(),
            script: "preinst".into(),
            status: status.to_string(),
            output,
        }),
    }
}

/// Runs a tool that must succeed.
pub(super) fn run_tool(chroot: &Chroot, name: &str, program: &[&str]) -> Result<(), BaseError> {
    let (status, output) = run(chroot.command(program), &|_| {})?;
    match status.success() {
        true => Ok(()),
        false => Err(BaseError::Script {
            package: name.into(),
            script: program.join(" "),
            status: status.to_string(),
            output,
        }),
    }
}
