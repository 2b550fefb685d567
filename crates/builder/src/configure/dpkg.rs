//! Running dpkg in the root, and understanding how it failed.

use super::scripts::{self, Chroot};
use crate::base::BaseError;

/// Options of every run. The root is thrown away after a crash, so syncing it is of no use.
const OPTIONS: [&str; 5] =
    ["dpkg", "--force-unsafe-io", "--force-confold", "--log=/dev/null", "--abort-after=1"];

/// Runs dpkg with `arguments`; tells each package that it begins to configure.
pub(super) fn run(chroot: &Chroot, arguments: &[&str], configuring: &dyn Fn(&str)) -> Result<(), BaseError> {
    let program: Vec<&str> = OPTIONS.iter().chain(arguments).copied().collect();
    let line = |line: &str| {
        if let Some(package) = set_up_package(line) {
            configuring(package);
        }
    };
    let (status, output) = scripts::run(chroot.command(&program), &line)?;
    if status.success() {
        return Ok(());
    }
    Err(failure(output, status.to_string()))
}

/// `Setting up bash (5.2-1) ...`
fn set_up_package(line: &str) -> Option<&str> {
    line.strip_prefix("Setting up ")?.split([' ', ':']).next()
}

/// Finds the package and the script that failed, and what belongs to it, in dpkg's output (in the C locale).
fn failure(output: String, status: String) -> BaseError {
    let lines: Vec<&str> = output.lines().collect();
    let error = lines.iter().position(|line| line.starts_with("dpkg: error processing package "));
    let Some(error) = error else { return BaseError::Dpkg { status, output } };
    let words = lines[error]["dpkg: error processing package ".len()..].split([' ', ':']);
    let package = words.into_iter().next().unwrap_or_default().to_owned();
    let detail = lines.get(error + 1).copied().unwrap_or_default().trim();
    // ` installed x package post-installation script subprocess returned error exit status 1`
    let Some((script, status)) = detail.split_once(" script subprocess ") else {
        return BaseError::Dpkg { status: format!("{package}: {detail}"), output };
    };
    let script = match script.rsplit(' ').next() {
        Some("post-installation") => "postinst",
        Some("pre-installation") => "preinst",
        Some(other) => other,
        None => "maintainer",
    }
    .to_owned();
    let is_begin = |line: &&str| {
        set_up_package(line) == Some(package.as_str())
            || line.strip_prefix("Processing triggers for ").is_some_and(|rest| rest.starts_with(&package))
    };
    let begin = lines[..error].iter().rposition(is_begin).unwrap_or(0);
    let own = lines[begin..error + 2].join("\n");
    BaseError::Script {
        package,
        script,
        status: status.trim_start_matches("returned error ").to_owned(),
        output: own,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_script_is_named_with_its_whole_output() {
        let output = "Setting up a (1) ...\nSetting up b:amd64 (2) ...\nbeep\nboom\ndpkg: error processing package b:amd64 (--configure):\n installed b:amd64 package post-installation script subprocess returned error exit status 3\nErrors were encountered while processing:\n b:amd64\n";
        let BaseError::Script { package, script, status, output } = failure(output.into(), String::new())
        else {
            panic!("a failed script is a script error")
        };
        assert_eq!((package.as_str(), script.as_str(), status.as_str()), ("b", "postinst", "exit status 3"));
        assert!(output.starts_with("Setting up b:amd64") && output.contains("beep\nboom\n"));
    }

    #[test]
    fn a_failure_of_dpkg_itself_keeps_its_output() {
        let error = failure("dpkg: error: parsing file\n".into(), "exit status: 2".into());
        assert!(matches!(error, BaseError::Dpkg { output, .. } if output.contains("parsing file")));
    }
}
