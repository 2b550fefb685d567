//! What Ampoule itself puts into every image, and what it closes: the agent, the definition, mount points, no logins,
//! the firewall.

use model::Definition;
use model::definition::SEALED_PATH;
use tree::Node;

use super::draft::{Attributes, Draft, ROOT};
use super::units::{enable, mask};
use super::{ComposeError, generated};

/// The agent's unit, kept with the agent.
const AGENT_UNIT: &str = include_str!("../../../agent/units/ampoule-agent.service");

/// Units that would let somebody in, or that maintain what a sealed image does not have.
/// Those an image does not contain are skipped.
const MASKED: &[(&str, &str)] = &[
    ("getty@.service", "no login on consoles; the agent draws the status card"),
    ("serial-getty@.service", "no login on consoles"),
    ("console-getty.service", "no login on consoles"),
    ("container-getty@.service", "no login on consoles"),
    ("autovt@.service", "no login on consoles"),
    ("debug-shell.service", "no shell"),
    ("emergency.service", "no shell; the agent reports failures"),
    ("rescue.service", "no shell; the agent reports failures"),
    ("apt-daily.timer", "patches come whole, never by package"),
    ("apt-daily-upgrade.timer", "patches come whole, never by package"),
    ("dpkg-db-backup.timer", "there is no package database"),
    ("systemd-firstboot.service", "settings come from the agent"),
    ("systemd-machine-id-commit.service", "init keeps the machine id on data"),
    ("systemd-pcrphase-sysinit.service", "not measured"),
    ("systemd-hwdb-update.service", "the hardware database is built, not updated"),
    ("ldconfig.service", "the cache is built, root is read-only"),
    ("systemd-update-done.service", "root is read-only"),
    ("systemd-sysusers.service", "users are made when the image is built"),
    ("systemd-journal-catalog-update.service", "the catalogue is built, root is read-only"),
    ("systemd-remount-fs.service", "init mounts root, for good"),
];

/// Directories that are mount points or have to exist on a read-only root.
const DIRECTORIES: &[(&str, u32)] = &[
    ("/data", 0o755),
    ("/dev", 0o755),
    ("/etc", 0o755),
    ("/proc", 0o555),
    ("/run", 0o755),
    ("/sys", 0o555),
    ("/tmp", 0o1777),
    ("/var", 0o755),
    ("/var/log", 0o755),
    ("/var/log/journal", 0o2755),
];

/// systemd takes over the watchdog that init has armed: a system that hangs is reset, and a patched one falls back. Longer than
/// a busy host lets a virtual machine stand still.
const WATCHDOG_PATH: &str = "/usr/lib/systemd/system.conf.d/50-ampoule.conf";
const WATCHDOG: &str = "\
[Manager]
RuntimeWatchdogSec=120
";

/// Programs of the guest, as bytes.
pub struct GuestPrograms {
    /// `ampoule-agent`, static.
    pub agent: Vec<u8>,
    /// `ampoule-init`, static.
    pub init: Vec<u8>,
}

/// Adds the agent, the sealed definition and the mount points, and closes the ways in.
pub fn seal_in(
    draft: &mut Draft<'_>,
    definition: &Definition,
    programs: &GuestPrograms,
) -> Result<(), ComposeError> {
    let origin = generated("ampoule");
    let program = Attributes { owner: ROOT, mode: 0o755 };
    let text = Attributes { owner: ROOT, mode: 0o644 };
    draft.put_bytes("/usr/lib/ampoule/agent", programs.agent.clone(), program, &origin)?;
    draft.put_bytes("/usr/lib/systemd/system/ampoule-agent.service", AGENT_UNIT, text, &origin)?;
    enable(draft, "ampoule-agent.service", &origin)?;

    let json = serde_json::to_vec_pretty(definition).expect("a definition is plain data");
    draft.put_bytes(&format!("/{SEALED_PATH}"), json, text, &generated("definition"))?;
    let identity = &definition.appliance;
    draft.put_bytes("/usr/lib/os-release", os_release(definition), text, &generated("os-release"))?;
    draft.put_link("/etc/os-release", "../usr/lib/os-release", &generated("os-release"))?;
    draft.put_bytes("/etc/hostname", format!("{}\n", identity.name), text, &generated("hostname"))?;
    let hosts =
        format!("127.0.0.1 localhost {0}\n::1 localhost ip6-localhost ip6-loopback {0}\n", identity.name);
    draft.put_bytes("/etc/hosts", hosts, text, &generated("hostname"))?;
    draft.put_bytes(
        "/etc/machine-id",
        "",
        Attributes { owner: ROOT, mode: 0o444 },
        &generated("machine-id"),
    )?;
    draft.put_bytes("/etc/fstab", "", text, &generated("fstab"))?;
    for (path, mode) in DIRECTORIES {
        match draft.entry(path).map(|entry| &entry.node) {
            Some(Node::Directory) => {}
            _ => draft.put_directory(
                path,
                Attributes { owner: ROOT, mode: *mode },
                &generated("mount-points"),
            )?,
        }
    }
    draft.put_bytes(WATCHDOG_PATH, WATCHDOG, text, &generated("watchdog"))?;
    state_directories(draft, definition)?;
    close_ways_in(draft)?;
    network(draft)?;
    super::start::arrange(draft)
}

/// State directories are mount points, so they exist in the image even when no package makes them.
fn state_directories(draft: &mut Draft<'_>, definition: &Definition) -> Result<(), ComposeError> {
    for state in &definition.state {
        draft.ensure_directory(&state.path, &generated("state-directories"))?;
    }
    Ok(())
}

fn close_ways_in(draft: &mut Draft<'_>) -> Result<(), ComposeError> {
    let origin = generated("sealing");
    let known = super::units::known_units(draft);
    for (unit, _) in MASKED {
        if known.contains(*unit) {
            mask(draft, unit, &origin)?;
        }
    }
    for target in ["getty.target.wants", "timers.target.wants"] {
        remove_links_to_masked(draft, target);
    }
    lock_passwords(draft)?;
    if known.contains("nftables.service") {
        enable(draft, "nftables.service", &origin)?;
    }
    Ok(())
}

fn remove_links_to_masked(draft: &mut Draft<'_>, folder: &str) {
    let prefix = format!("etc/systemd/system/{folder}/");
    let is_masked = |name: &str| {
        MASKED.iter().any(|(unit, _)| match unit.split_once('@') {
            Some((stem, _)) => name.starts_with(&format!("{stem}@")),
            None => *unit == name,
        })
    };
    draft.tree.entries.retain(|path, _| !(path.as_str().starts_with(&prefix) && is_masked(path.name())));
}

/// No account has a usable password: an empty field or a hash a package may have set is replaced.
fn lock_passwords(draft: &mut Draft<'_>) -> Result<(), ComposeError> {
    if let Some(passwd) = draft.read_text("/etc/passwd")? {
        let locked: String = passwd.lines().map(|line| format!("{}\n", lock_passwd_line(line))).collect();
        if locked != passwd {
            draft.rewrite("/etc/passwd", locked, &generated("accounts"))?;
        }
    }
    let Some(shadow) = draft.read_text("/etc/shadow")? else { return Ok(()) };
    let locked: String = shadow.lines().map(|line| format!("{}\n", lock_line(line))).collect();
    if locked != shadow {
        draft.rewrite("/etc/shadow", locked, &generated("accounts"))?;
    }
    Ok(())
}

/// The password field of passwd: a hash there counts too, and an empty one lets anybody in.
fn lock_passwd_line(line: &str) -> String {
    let mut fields: Vec<&str> = line.split(':').collect();
    if let Some(password) = fields.get_mut(1)
        && !["x", "*"].contains(password)
    {
        *password = "*";
    }
    fields.join(":")
}

fn lock_line(line: &str) -> String {
    let mut fields: Vec<&str> = line.split(':').collect();
    if let Some(password) = fields.get_mut(1)
        && !password.starts_with(['!', '*'])
    {
        *password = "!*";
    }
    // The day of the last change says when the image was built.
    if let Some(day) = fields.get_mut(2) {
        *day = "";
    }
    fields.join(":")
}

/// systemd-networkd, which the agent tells to use DHCP unless the image has a network of its own, and name resolution
/// through systemd-resolved.
fn network(draft: &mut Draft<'_>) -> Result<(), ComposeError> {
    let origin = generated("network");
    let known = super::units::known_units(draft);
    if known.contains("systemd-networkd.service") {
        enable(draft, "systemd-networkd.service", &origin)?;
        // Services wait for the network themselves; holding the whole boot back helps nobody.
        mask(draft, "systemd-networkd-wait-online.service", &origin)?;
    }
    if known.contains("systemd-resolved.service") {
        enable(draft, "systemd-resolved.service", &origin)?;
        draft.put_link("/etc/resolv.conf", "../run/systemd/resolve/stub-resolv.conf", &origin)?;
    }
    Ok(())
}

fn os_release(definition: &Definition) -> String {
    let identity = &definition.appliance;
    let quote = |text: &str| text.replace(['"', '\\', '$', '`'], "");
    let mut text = format!(
        "NAME=\"{title}\"\nID={name}\nID_LIKE=debian\nPRETTY_NAME=\"{title} {version}\"\nVERSION_ID={version}\n\
         IMAGE_ID={name}\nIMAGE_VERSION={sorted}\nVENDOR_NAME=\"{vendor}\"\nDEBIAN_CODENAME={suite}\n",
        title = quote(&identity.title),
        name = identity.name,
        version = identity.version,
        // The boot loader orders by this, and a tilde alone sorts before nothing at all (UAPI.10 version format).
        sorted = identity.version.replacen('-', "~", 1),
        vendor = quote(&identity.vendor),
        suite = definition.base.suite,
    );
    for (key, value) in [("HOME_URL", &identity.url), ("SUPPORT_END", &identity.end_of_support)] {
        if let Some(value) = value {
            text.push_str(&format!("{key}=\"{}\"\n", quote(value)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_account_keeps_a_password_or_a_day() {
        assert_eq!(lock_line("root::20000:0:99999:7:::"), "root:!*::0:99999:7:::");
        assert_eq!(lock_line("x:$y$j9T$abc:20000::::::"), "x:!*:::::::");
        assert_eq!(lock_passwd_line("root::0:0:root:/root:/bin/sh"), "root:*:0:0:root:/root:/bin/sh");
        assert_eq!(lock_passwd_line("www-data:x:33:33::/:/x"), "www-data:x:33:33::/:/x");
        assert_eq!(lock_line("daemon:*:20000:0:99999:7:::"), "daemon:*::0:99999:7:::");
    }
}
