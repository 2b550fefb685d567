//! What systemd has to know of the work that was done before it: written to `/run`, which it reads first.

use std::fs;
use std::io;
use std::path::Path;

use super::state::make_directories;

/// Without default dependencies systemd does not unmount on the way down: services, the journal among them, use these
/// mounts to the very end, and systemd-shutdown unmounts everything after them.
const KEPT_MOUNT: &str = "[Unit]\nDescription=Mounted by init\nDefaultDependencies=no\n";
/// systemd-journald takes `/var/log/journal` at once when this file exists, and needs no second program to tell it.
const JOURNAL_READY: &str = "run/systemd/journal/flushed";

/// Writes it below `sysroot`. `mounts` are absolute paths.
pub fn tell_systemd(sysroot: &Path, mounts: &[String]) -> io::Result<()> {
    for mount in mounts {
        let folder = sysroot.join("run/systemd/system").join(format!("{}.mount.d", escape_path(mount)));
        make_directories(&folder)?;
        fs::write(folder.join("10-ampoule.conf"), KEPT_MOUNT)?;
    }
    let flag = sysroot.join(JOURNAL_READY);
    make_directories(flag.parent().unwrap_or(sysroot))?;
    fs::write(flag, "")
}

/// A path as systemd names its unit (systemd.unit(5), "String escaping for inclusion in unit names").
fn escape_path(path: &str) -> String {
    let mut text = String::new();
    for byte in path.trim_matches('/').bytes() {
        match byte {
            b'/' => text.push('-'),
            b'.' if text.is_empty() => text.push_str("\\x2e"),
            b':' | b'_' | b'.' => text.push(byte.into()),
            byte if byte.is_ascii_alphanumeric() => text.push(byte.into()),
            byte => text.push_str(&format!("\\x{byte:02x}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_escaped_as_systemd_does() {
        assert_eq!(escape_path("/var/log/journal"), "var-log-journal");
        assert_eq!(escape_path("/srv/my-shop/ä"), "srv-my\\x2dshop-\\xc3\\xa4");
        assert_eq!(escape_path("/.hidden.d"), "\\x2ehidden.d");
    }

    #[test]
    fn mounts_and_the_journal_are_told() {
        let root = tempfile::tempdir().expect("a temporary folder can be made");
        tell_systemd(root.path(), &["/var/lib/shop".to_owned()]).expect("the file system works");
        let told =
            fs::read_to_string(root.path().join("run/systemd/system/var-lib-shop.mount.d/10-ampoule.conf"));
        assert!(told.expect("written").contains("DefaultDependencies=no"));
        assert!(root.path().join("run/systemd/journal/flushed").exists());
    }
}
