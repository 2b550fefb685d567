//! Writes to places that do not survive: what is in the upper layers of the overlays and was not put there by the system.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use model::control::UndeclaredWrite;

use crate::init::prepare::VOLATILE;

/// Paths that are told: an application that writes a million files must not fill the answer.
const PATH_LIMIT: usize = 1000;
/// Directories that are walked below each other.
const DEPTH_LIMIT: usize = 64;

/// Known to be volatile, with everything below: nobody expects them to survive.
const VOLATILE_FOLDERS: [&str; 18] = [
    "/var/cache",
    "/var/tmp",
    "/var/log",
    "/var/lib/systemd",
    "/var/lib/private/systemd",
    "/var/lib/dbus",
    "/var/lib/dhcp",
    "/var/lib/logrotate",
    "/var/lib/NetworkManager",
    "/var/lib/misc",
    "/var/lib/ucf",
    "/var/spool/cron",
    "/var/lock",
    "/var/run",
    "/var/backups",
    "/etc/systemd/system.control",
    crate::init::prepare::GENERATORS,
    "/etc/.updated",
];
/// Files that init, the agent and systemd write.
const SYSTEM_FILES: [&str; 11] = [
    "/etc/machine-id",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/issue",
    "/etc/resolv.conf",
    "/etc/nftables.conf",
    "/etc/mtab",
    "/etc/ld.so.cache",
    "/etc/.pwd.lock",
    "/etc/systemd/network/80-ampoule.network",
    "/var/.updated",
];

/// Everything in the upper layers below `root` that is neither rendered nor known. Directories alone are no writes.
pub fn find(root: &Path, rendered: &BTreeSet<String>) -> Vec<UndeclaredWrite> {
    let mut found = Vec::new();
    for top in ["/etc", "/var"] {
        let upper =
            root.join(VOLATILE.trim_start_matches('/')).join(top.trim_start_matches('/')).join("upper");
        walk(&upper, top, 0, &|path| is_known(path, rendered), &mut found);
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

fn walk(
    folder: &Path,
    shown: &str,
    depth: usize,
    is_known: &dyn Fn(&str) -> bool,
    found: &mut Vec<UndeclaredWrite>,
) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = format!("{shown}/{}", entry.file_name().to_string_lossy());
        let Ok(metadata) = fs::symlink_metadata(entry.path()) else { continue };
        if is_known(&path) || found.len() >= PATH_LIMIT {
            continue;
        }
        if metadata.is_dir() {
            if depth < DEPTH_LIMIT {
                walk(&entry.path(), &path, depth + 1, is_known, found);
            }
        } else if !metadata.file_type().is_socket() {
            // A removed file of the image is a character device here: size 0.
            found.push(UndeclaredWrite { path, size: metadata.len() });
        }
    }
}

fn is_known(path: &str, rendered: &BTreeSet<String>) -> bool {
    rendered.contains(path)
        || SYSTEM_FILES.contains(&path)
        || VOLATILE_FOLDERS.iter().any(|folder| Path::new(path).starts_with(folder))
        || path.ends_with(".ampoule-new")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::init::state::make_directories;

    #[test]
    fn only_unexpected_files_are_told() {
        let root = tempfile::tempdir().expect("a temporary folder can be made");
        let upper = root.path().join("run/ampoule/volatile");
        for path in [
            "etc/upper/shop.conf",
            "etc/upper/machine-id",
            "etc/upper/forgotten.conf",
            "var/upper/lib/shop/orders.db",
            "var/upper/lib/systemd/random-seed",
            "var/upper/cache/x/y",
            "var/upper/log/journal-is-a-mount/x",
        ] {
            let path = upper.join(path);
            make_directories(path.parent().expect("not the root")).expect("made");
            fs::write(path, "12345").expect("written");
        }
        make_directories(&upper.join("var/upper/lib/empty")).expect("made");
        let found = find(root.path(), &BTreeSet::from(["/etc/shop.conf".to_owned()]));
        let paths: Vec<_> = found.iter().map(|write| (write.path.as_str(), write.size)).collect();
        assert_eq!(paths, [("/etc/forgotten.conf", 5), ("/var/lib/shop/orders.db", 5)]);
    }

    #[test]
    fn a_name_that_only_begins_like_a_known_one_is_told() {
        assert!(!is_known("/var/cachelike", &BTreeSet::new()));
        assert!(is_known("/var/cache/a", &BTreeSet::new()));
    }
}
