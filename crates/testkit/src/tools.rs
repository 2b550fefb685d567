//! Programs that judge from outside. Each is started with its arguments and must say yes.

use std::ffi::OsStr;
use std::process::{Command, Output};

/// Runs a program that must succeed; its standard output.
#[track_caller]
pub fn run<S: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = S>) -> String {
    let output = attempt(program, arguments);
    assert!(output.status.success(), "{program} says no ({})\n{}", output.status, said(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The same in a folder.
#[track_caller]
pub fn run_in(folder: &std::path::Path, program: &str, arguments: &[&str]) -> String {
    let output = output_of(Command::new(program).args(arguments).current_dir(folder));
    assert!(output.status.success(), "{program} says no ({})\n{}", output.status, said(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs a program that may fail.
#[track_caller]
pub fn attempt<S: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = S>) -> Output {
    output_of(Command::new(program).args(arguments))
}

/// Runs a prepared command with nothing on its standard input.
#[track_caller]
pub fn output_of(command: &mut Command) -> Output {
    // Debian keeps the programs of administrators where ordinary users do not look.
    let path = std::env::var("PATH").unwrap_or_default();
    let result =
        command.env("PATH", format!("{path}:/usr/sbin:/sbin")).stdin(std::process::Stdio::null()).output();
    result.unwrap_or_else(|error| {
        panic!("{command:?} does not start, `scripts/install test` brings it: {error}")
    })
}

/// Everything a program wrote.
pub fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Whether this process is root: what needs it is left out, with a word, elsewhere.
pub fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|found| found.uid() == 0)
}
