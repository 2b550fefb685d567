//! What every appliance has besides Debian's essential packages, and why. Dependencies come with them.

/// Packages of the base set, of a suite.
///
/// - `systemd-sysv`: PID 1, and with it systemd, journald, networkd.
/// - `udev`: devices and their names.
/// - `systemd-resolved`: names; a package of its own since bookworm, before it in `systemd`.
/// - `btrfs-progs`: `init` formats the data partition with the image's own `mkfs.btrfs`.
/// - `nftables`: the closed firewall.
///
/// `kmod` comes with the kernel package. Certificates, time zones, D-Bus and the like are the definition's to ask for.
pub fn base_packages(suite: &str) -> &'static [&'static str] {
    if is_before_bookworm(suite) {
        &["systemd-sysv", "udev", "btrfs-progs", "nftables"]
    } else {
        &["systemd-sysv", "udev", "systemd-resolved", "btrfs-progs", "nftables"]
    }
}

/// Packages of which only the EFI stub (`linuxx64.efi.stub`) and the boot loader (`systemd-bootx64.efi`) are used. They
/// are below `usr/lib/systemd/boot/efi/`.
pub fn boot_packages(suite: &str) -> &'static [&'static str] {
    if is_before_bookworm(suite) { &["systemd"] } else { &["systemd-boot-efi"] }
}

fn is_before_bookworm(suite: &str) -> bool {
    matches!(suite, "buster" | "bullseye")
}
