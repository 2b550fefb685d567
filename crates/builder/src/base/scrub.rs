//! Removing and normalising what differs between two builds of the same packages.

use tree::TreePath;
use tree::trim::{Emptied, Rule, Stage};

/// What is removed because it varies, or describes the build instead of the appliance. In the same form and the same
/// report as trim rules.
pub fn scrub_rules() -> Vec<Rule> {
    let rules: [(&str, &str, &[&str], &[&str]); 12] = [
        (
            "machine-identity",
            "every machine makes its own identity at first boot",
            &["/etc/machine-id", "/var/lib/dbus/machine-id", "/etc/hostname", "/etc/hostid", "/etc/adjtime"],
            &[],
        ),
        (
            "host-keys",
            "a key that every copy of an image has is no secret",
            &[
                "/etc/ssh/ssh_host_*",
                "/etc/ssl/private/ssl-cert-snakeoil.key",
                "/etc/ssl/certs/ssl-cert-snakeoil.pem",
            ],
            &[],
        ),
        (
            "random-seeds",
            "a seed that every copy of an image has is not random",
            &[
                "/var/lib/systemd/random-seed",
                "/var/lib/urandom/random-seed",
                "/var/lib/systemd/credential.secret",
                "/boot/efi/loader/random-seed",
            ],
            &[],
        ),
        (
            "logs",
            "logs of the build are not logs of the appliance",
            &["/var/log/*", "/var/log/apt/**", "/var/log/journal/**", "/var/log/installer/**"],
            &[],
        ),
        (
            "caches",
            "caches hold times and inode numbers, and are made again when needed",
            &[
                "/var/cache/apt/**",
                "/var/cache/debconf/**",
                "/var/cache/ldconfig/**",
                "/var/cache/man/**",
                "/var/cache/fontconfig/*",
                "/root/.cache/**",
            ],
            &[],
        ),
        (
            "package-database",
            "the image is patched as a whole; packages are listed in the release's documents",
            &[
                "/var/lib/dpkg/**",
                "/var/lib/apt/**",
                "/var/backups/*",
                "/var/lib/ucf/**",
                "/etc/**/*.ucf-dist",
                "/var/lib/pam/seen",
                "/var/lib/systemd/deb-systemd-helper-*/**",
                "/var/lib/systemd/deb-systemd-user-helper-*/**",
            ],
            &[],
        ),
        (
            "account-backups",
            "copies of account files are left by every change",
            &[
                "/etc/passwd-",
                "/etc/group-",
                "/etc/shadow-",
                "/etc/gshadow-",
                "/etc/subuid-",
                "/etc/subgid-",
                "/etc/.pwd.lock",
            ],
            &[],
        ),
        (
            "byte-code",
            "Python's byte code holds times and is made again in memory",
            &["/**/__pycache__/**", "/**/*.pyc"],
            &[],
        ),
        (
            "temporary-files",
            "these directories are empty at every boot",
            &["/tmp/**", "/var/tmp/**", "/run/**"],
            &[],
        ),
        ("host-mounts", "the kernel fills these directories", &["/proc/**", "/sys/**", "/dev/**"], &[]),
        (
            "resolver",
            "name resolution is set up at boot",
            &["/etc/resolv.conf.dpkg-*", "/etc/.resolv.conf.*"],
            &[],
        ),
        (
            "initrd",
            "the appliance boots Ampoule's own initrd",
            &["/boot/initrd.img-*", "/initrd.img", "/initrd.img.old"],
            &[],
        ),
    ];
    rules
        .into_iter()
        .map(|(name, why, paths, except)| Rule {
            name: name.into(),
            why: why.into(),
            paths: paths
                .iter()
                .map(|text| text.parse().expect("a built-in pattern is well formed"))
                .collect(),
            except: except
                .iter()
                .map(|text| text.parse().expect("a built-in pattern is well formed"))
                .collect(),
            packages: Vec::new(),
            stage: Stage::Late,
            // A service whose directory for logs is gone does not start.
            emptied: if name == "logs" { Emptied::KeepNamed } else { Emptied::Keep },
        })
        .collect()
}

/// Rewrites files that scripts fill with today's date. `None` when the file stays as it is.
pub(super) fn normalise(path: &TreePath, text: &[u8], source_date_epoch: u64) -> Option<Vec<u8>> {
    match path.as_str() {
        "etc/shadow" => {
            let text = std::str::from_utf8(text).ok()?;
            let day = (source_date_epoch / 86_400).to_string();
            let lines: Vec<String> = text.lines().map(|line| with_last_change(line, &day)).collect();
            Some((lines.join("\n") + "\n").into_bytes())
        }
        _ => None,
    }
}

/// The third field of shadow(5) is the day of the last change of the password. 0 demands a change and stays.
fn with_last_change(line: &str, day: &str) -> String {
    let mut fields: Vec<&str> = line.split(':').collect();
    if let Some(last_change) = fields.get_mut(2).filter(|field| !matches!(**field, "" | "0")) {
        *last_change = day;
    }
    fields.join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_day_of_a_build_does_not_show_in_shadow() {
        let path = "etc/shadow".parse().unwrap();
        let text = |day: u32| format!("root:*:{day}:0:99999:7:::\nx:!:0::::::\ny:!:::::::\n");
        let first = normalise(&path, text(20_000).as_bytes(), 86_400 * 3).unwrap();
        assert_eq!(Some(first.clone()), normalise(&path, text(20_411).as_bytes(), 86_400 * 3));
        assert_eq!(String::from_utf8(first).unwrap(), "root:*:3:0:99999:7:::\nx:!:0::::::\ny:!:::::::\n");
    }
}
