//! How an appliance starts: systemd's units arranged so that services come first and devices nobody waits for last.

use super::draft::{Attributes, Draft, ROOT};
use super::units::{enable, known_units, mask};
use super::{ComposeError, generated};

/// Units that would only take time, with the reason. Those an image does not contain are skipped.
const MASKED: &[(&str, &str)] = &[(
    "systemd-networkd-persistent-storage.service",
    "leases live as long as the boot; the service runs a program to say so",
)];

/// Network and disks are all that services wait for. init has loaded their drivers, so that asking for these two is enough.
const EARLY_DEVICES: &str = "\
# Added by Ampoule: the other devices follow in ampoule-devices.service.
[Service]
ExecStart=
ExecStart=-udevadm trigger --type=devices --action=add --subsystem-match=block --subsystem-match=net
";

/// The rest of what systemd-udev-trigger.service does, once the services run. Drivers of unusual devices are loaded here.
const LATE_DEVICES: &str = "\
[Unit]
Description=Devices that no service waits for
DefaultDependencies=no
Conflicts=shutdown.target
Before=shutdown.target
After=multi-user.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=-udevadm trigger --type=all --action=add --subsystem-nomatch=block --subsystem-nomatch=net

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
        enable(draft, "ampoule-devices.service", &origin)?;
    }
    if known.contains("systemd-networkd.service") && known.contains("nftables.service") {
        let drop_in = format!("{folder}/systemd-networkd.service.d/10-ampoule.conf");
        draft.put_bytes(&drop_in, FIREWALL_FIRST, text, &origin)?;
    }
    Ok(())
}
