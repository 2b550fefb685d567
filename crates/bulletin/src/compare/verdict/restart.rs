//! What has to restart, by the agent's own rule.

use super::Basis;
use crate::facts::Kind;
use crate::side::Side;

/// What a running kernel was given and would not be given again without a start of the machine.
const GIVEN: [&str; 9] = [
    "/usr/lib/modules/",
    "/usr/lib/modprobe.d/",
    "/usr/lib/modules-load.d/",
    "/usr/lib/sysctl.d/",
    "/usr/lib/firmware/",
    "/etc/modprobe.d/",
    "/etc/modules-load.d/",
    "/etc/sysctl.d/",
    "/etc/sysctl.conf",
];

/// Present where systemd can restart user space alone: 254 and later.
const SOFT_REBOOT: &str = "usr/lib/systemd/system/systemd-soft-reboot.service";

/// What has to restart: user space alone where kernel, initrd, command line and what the kernel was given are the same, by the
/// agent's own rule.
pub fn restart(basis: &Basis<'_>, kind: Kind) -> &'static str {
    let (old, new) = (basis.old, basis.new);
    if kind == Kind::Nothing {
        return "nothing";
    }
    let is_same = [".linux", ".initrd", ".ucode"].iter().all(|name| old.uki.get(*name) == new.uki.get(*name));
    let given = |path: &str| GIVEN.iter().any(|prefix| path.starts_with(prefix));
    let has_given = basis
        .files
        .changes
        .iter()
        .any(|change| given(&change.path) || change.was.as_deref().is_some_and(given));
    let can_do_it = |side: &Side<'_>| side.text(SOFT_REBOOT).is_some();
    let is_able = can_do_it(old) && can_do_it(new);
    match is_able && is_same && !new.uki.is_empty() && words(old) == words(new) && !has_given {
        true => "user space alone",
        false => "the machine, once",
    }
}

/// Words of the command line but for the root.
fn words<'a>(side: &'a Side<'_>) -> Vec<&'a str> {
    let line = side.command_line.as_deref().unwrap_or_default();
    line.split_whitespace().filter(|word| !word.starts_with("roothash=")).collect()
}
