//! How an appliance starts: systemd's units arranged so that services come first and devices nobody waits for last.

use super::draft::{Attributes, Draft, ROOT};
use super::units::{enable, known_units, mask};
use super::{ComposeError, generated};

/// Units that would only take time, with the reason. Those an image does not contain are skipped.
const MASKED: &[(&str, &str)] = &[
    (
        "systemd-networkd-persistent-storage.service",
        "leases live as long as the boot; the service runs a program to say so",
    ),
    (
        "systemd-udev-load-credentials.service",
        "devices wait for it, and no hypervisor gives an appliance rules for them",
    ),
];

/// Network and disks are all that services wait for. init has loaded their drivers, so that asking for these two is enough.
const EARLY_DEVICES: &str = "\
# Added by Ampoule: the other devices follow by ampoule-devices.timer.
[Service]
ExecStart=
ExecStart=-udevadm trigger --type=devices --action=add --subsystem-match=block --subsystem-match=net
";

/// The rest of what systemd-udev-trigger.service does. Drivers of unusual devices are loaded here.
const LATE_DEVICES: &str = "\
[Unit]
Description=Devices that no service waits for
DefaultDependencies=no
Conflicts=shutdown.target
Before=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=-udevadm trigger --type=all --action=add --subsystem-nomatch=block --subsystem-nomatch=net
";

/// When: some seconds after the services have started, so that their first answers do not share the processor with it.
const LATE_DEVICES_TIMER: &str = "\
[Unit]
Description=Devices that no service waits for, once the services run
DefaultDependencies=no
Conflicts=shutdown.target
Before=shutdown.target
After=multi-user.target

[Timer]
OnActiveSec=10s
AccuracySec=1s

[Install]
WantedBy=multi-user.target
";

/// No audit records: nobody set rules for them, and each costs a write.
const JOURNAL: &str = "\
[Journal]
Storage=persistent
Audit=no
";

/// Without the firewall there is no network either.
const FIREWALL_FIRST: &str = "\
[Unit]
Requires=nftables.service
After=nftables.service
";

/// The rules go with the kernel, or are replaced in one step by those that come next: stopping must not leave the network without
/// them, neither on the way down nor while user space restarts alone.
const FIREWALL_STAYS: &str = "\
[Service]
ExecStop=
";

/// Puts the units in order.
pub fn arrange(draft: &mut Draft<'_>) -> Result<(), ComposeError> {
    let origin = generated("start");
    let text = Attributes { owner: ROOT, mode: 0o644 };
    let known = known_units(draft);
    let folder = "/usr/lib/systemd/system";
    // graphical.target adds nothing but a wait.
    draft.put_link(
        "/etc/systemd/system/default.target",
        "/usr/lib/systemd/system/multi-user.target",
        &origin,
    )?;
    draft.put_bytes("/usr/lib/systemd/journald.conf.d/50-ampoule.conf", JOURNAL, text, &origin)?;
    for (unit, _) in MASKED {
        if known.contains(*unit) {
            mask(draft, unit, &origin)?;
        }
    }
    if known.contains("systemd-udev-trigger.service") {
        let early = format!("{folder}/systemd-udev-trigger.service.d/10-ampoule.conf");
        draft.put_bytes(&early, EARLY_DEVICES, text, &origin)?;
        draft.put_bytes(&format!("{folder}/ampoule-devices.service"), LATE_DEVICES, text, &origin)?;
        draft.put_bytes(&format!("{folder}/ampoule-devices.timer"), LATE_DEVICES_TIMER, text, &origin)?;
        enable(draft, "ampoule-devices.timer", &origin)?;
    }
    if known.contains("systemd-networkd.service") && known.contains("nftables.service") {
        let drop_in = format!("{folder}/systemd-networkd.service.d/10-ampoule.conf");
        draft.put_bytes(&drop_in, FIREWALL_FIRST, text, &origin)?;
        let stays = format!("{folder}/nftables.service.d/10-ampoule.conf");
        draft.put_bytes(&stays, FIREWALL_STAYS, text, &origin)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io;

    use tree::{Content, ContentSource, Tree};

    use super::super::contents::Contents;
    use super::*;

    struct Nothing;

    impl ContentSource for Nothing {
        fn open(&self, _: &Content) -> io::Result<Box<dyn io::Read + Send + '_>> {
            Err(io::ErrorKind::NotFound.into())
        }
    }

    fn arranged(units: &[&str]) -> Draft<'static> {
        let mut draft = Draft { tree: Tree::default(), contents: Contents::over(&Nothing) };
        for unit in units {
            let path = format!("/usr/lib/systemd/system/{unit}");
            let attributes = Attributes { owner: ROOT, mode: 0o644 };
            draft.put_bytes(&path, "[Unit]\n", attributes, &generated("test")).unwrap();
        }
        arrange(&mut draft).unwrap();
        draft
    }

    #[test]
    fn without_its_firewall_an_appliance_has_no_network() {
        let draft = arranged(&["systemd-networkd.service", "nftables.service"]);
        let drop_in = "/usr/lib/systemd/system/systemd-networkd.service.d/10-ampoule.conf";
        let text = draft.read_text(drop_in).unwrap().expect("networkd is told");
        assert!(text.contains("Requires=nftables.service") && text.contains("After=nftables.service"));
    }

    #[test]
    fn the_firewall_stays_when_its_service_stops() {
        let draft = arranged(&["systemd-networkd.service", "nftables.service"]);
        let drop_in = "/usr/lib/systemd/system/nftables.service.d/10-ampoule.conf";
        let text = draft.read_text(drop_in).unwrap().expect("nftables is told");
        assert!(text.lines().any(|line| line == "ExecStop="), "{text}");
    }

    #[test]
    fn devices_that_are_not_asked_for_early_are_asked_for_late() {
        let draft = arranged(&["systemd-udev-trigger.service"]);
        let read = |path: &str| draft.read_text(&format!("/usr/lib/systemd/system/{path}")).unwrap();
        let early = read("systemd-udev-trigger.service.d/10-ampoule.conf").expect("overridden");
        let late = read("ampoule-devices.service").expect("there");
        for subsystem in early.split_whitespace().filter_map(|word| word.strip_prefix("--subsystem-match=")) {
            assert!(late.contains(&format!("--subsystem-nomatch={subsystem}")), "{subsystem}");
        }
        assert!(
            draft.entry("/etc/systemd/system/multi-user.target.wants/ampoule-devices.timer").is_some(),
            "the timer starts with the appliance"
        );
    }

    #[test]
    fn an_image_without_these_units_gets_nothing_for_them() {
        assert!(arranged(&[]).entry("/usr/lib/systemd/system/ampoule-devices.timer").is_none());
    }
}
