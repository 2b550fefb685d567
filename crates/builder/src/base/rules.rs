//! The early trim rules every appliance starts from: nothing that a maintainer script of Debian needs.

use tree::Pattern;
use tree::trim::{Emptied, Rule, Stage};

/// Files that become documents of a release: who may do what with the code, and what changed.
pub fn document_patterns() -> Vec<Pattern> {
    patterns(&[
        "/usr/share/doc/*/copyright",
        "/usr/share/doc/*/changelog.Debian.gz",
        "/usr/share/doc/*/changelog.Debian.*.gz",
        "/usr/share/doc/*/changelog.gz",
        "/boot/config-*",
    ])
}

/// Rules that are applied while packages are unpacked.
pub fn early_rules() -> Vec<Rule> {
    [
        (
            "documentation",
            "nobody reads documentation inside of an appliance; licences and changelogs are among the release's documents",
            &["/usr/share/doc/**", "/usr/share/doc-base/**", "/usr/share/gtk-doc/**", "/usr/share/help/**"][..],
            &[][..],
        ),
        (
            "manuals",
            "there is no shell to read manual pages from",
            &["/usr/share/man/**", "/usr/share/info/**", "/usr/share/groff/**"],
            &[],
        ),
        (
            "translations",
            "services log in English; the C.UTF-8 locale stays",
            &["/usr/share/locale/**", "/usr/share/i18n/**", "/usr/lib/locale/*/**"],
            &["/usr/lib/locale/C.utf8/**", "/usr/share/locale/locale.alias"],
        ),
        (
            "package-checks",
            "overrides for Debian's package checkers have no use outside of package builds",
            &["/usr/share/lintian/**", "/usr/share/linda/**", "/usr/share/bug/**"],
            &[],
        ),
        (
            "shell-completion",
            "nobody types commands in an appliance",
            &["/usr/share/bash-completion/**", "/usr/share/zsh/**", "/usr/share/fish/**", "/etc/bash_completion.d/**"],
            &[],
        ),
        (
            "hardware-database",
            "the hardware database names devices that hypervisors do not emulate",
            &["/usr/lib/udev/hwdb.d/**"],
            &[],
        ),
        (
            "kernel-debugging",
            "the kernel's symbol map and configuration are used by debuggers only",
            &["/boot/System.map-*", "/boot/config-*"],
            &[],
        ),
        (
            "kernel-modules",
            "no hypervisor offers this hardware to its guests",
            KERNEL_MODULES,
            KERNEL_MODULES_KEPT,
        ),
    ]
    .into_iter()
    .map(|(name, why, paths, except)| Rule {
        name: name.into(),
        why: why.into(),
        paths: patterns(paths),
        except: patterns(except),
        packages: Vec::new(),
        stage: Stage::Early,
        emptied: Emptied::Remove,
    })
    .collect()
}

/// Subsystems of the kernel whose drivers are for hardware that guests never see.
const KERNEL_MODULES: &[&str] = &[
    "/usr/lib/modules/*/kernel/sound/**",
    "/usr/lib/modules/*/kernel/net/bluetooth/**",
    "/usr/lib/modules/*/kernel/net/mac80211/**",
    "/usr/lib/modules/*/kernel/net/wireless/**",
    "/usr/lib/modules/*/kernel/net/nfc/**",
    "/usr/lib/modules/*/kernel/net/can/**",
    "/usr/lib/modules/*/kernel/net/ieee802154/**",
    "/usr/lib/modules/*/kernel/net/mac802154/**",
    "/usr/lib/modules/*/kernel/net/6lowpan/**",
    "/usr/lib/modules/*/kernel/net/ax25/**",
    "/usr/lib/modules/*/kernel/net/netrom/**",
    "/usr/lib/modules/*/kernel/net/rose/**",
    "/usr/lib/modules/*/kernel/net/appletalk/**",
    "/usr/lib/modules/*/kernel/net/atm/**",
    "/usr/lib/modules/*/kernel/net/batman-adv/**",
    "/usr/lib/modules/*/kernel/drivers/accel/**",
    "/usr/lib/modules/*/kernel/drivers/android/**",
    "/usr/lib/modules/*/kernel/drivers/atm/**",
    "/usr/lib/modules/*/kernel/drivers/auxdisplay/**",
    "/usr/lib/modules/*/kernel/drivers/bluetooth/**",
    "/usr/lib/modules/*/kernel/drivers/comedi/**",
    "/usr/lib/modules/*/kernel/drivers/crypto/**",
    "/usr/lib/modules/*/kernel/drivers/edac/**",
    "/usr/lib/modules/*/kernel/drivers/firewire/**",
    "/usr/lib/modules/*/kernel/drivers/gpu/**",
    "/usr/lib/modules/*/kernel/drivers/hwmon/**",
    "/usr/lib/modules/*/kernel/drivers/iio/**",
    "/usr/lib/modules/*/kernel/drivers/infiniband/**",
    "/usr/lib/modules/*/kernel/drivers/input/joystick/**",
    "/usr/lib/modules/*/kernel/drivers/input/tablet/**",
    "/usr/lib/modules/*/kernel/drivers/input/touchscreen/**",
    "/usr/lib/modules/*/kernel/drivers/isdn/**",
    "/usr/lib/modules/*/kernel/drivers/leds/**",
    "/usr/lib/modules/*/kernel/drivers/media/**",
    "/usr/lib/modules/*/kernel/drivers/mfd/**",
    "/usr/lib/modules/*/kernel/drivers/misc/**",
    "/usr/lib/modules/*/kernel/drivers/mmc/**",
    "/usr/lib/modules/*/kernel/drivers/mtd/**",
    "/usr/lib/modules/*/kernel/drivers/net/can/**",
    "/usr/lib/modules/*/kernel/drivers/net/ethernet/**",
    "/usr/lib/modules/*/kernel/drivers/net/fddi/**",
    "/usr/lib/modules/*/kernel/drivers/net/hamradio/**",
    "/usr/lib/modules/*/kernel/drivers/net/ieee802154/**",
    "/usr/lib/modules/*/kernel/drivers/net/usb/**",
    "/usr/lib/modules/*/kernel/drivers/net/wireless/**",
    "/usr/lib/modules/*/kernel/drivers/net/wwan/**",
    "/usr/lib/modules/*/kernel/drivers/nfc/**",
    "/usr/lib/modules/*/kernel/drivers/parport/**",
    "/usr/lib/modules/*/kernel/drivers/pcmcia/**",
    "/usr/lib/modules/*/kernel/drivers/platform/**",
    "/usr/lib/modules/*/kernel/drivers/power/**",
    "/usr/lib/modules/*/kernel/drivers/soundwire/**",
    "/usr/lib/modules/*/kernel/drivers/spi/**",
    "/usr/lib/modules/*/kernel/drivers/staging/**",
    "/usr/lib/modules/*/kernel/drivers/thunderbolt/**",
    "/usr/lib/modules/*/kernel/drivers/usb/atm/**",
    "/usr/lib/modules/*/kernel/drivers/usb/gadget/**",
    "/usr/lib/modules/*/kernel/drivers/usb/misc/**",
    "/usr/lib/modules/*/kernel/drivers/usb/serial/**",
    "/usr/lib/modules/*/kernel/drivers/w1/**",
];

/// Drivers inside those subsystems for what hypervisors emulate or pass through as a matter of course.
const KERNEL_MODULES_KEPT: &[&str] = &[
    // Framebuffers of QEMU, VMware, Hyper-V, VirtualBox.
    "/usr/lib/modules/*/kernel/drivers/gpu/drm/*.ko",
    "/usr/lib/modules/*/kernel/drivers/gpu/drm/tiny/**",
    "/usr/lib/modules/*/kernel/drivers/gpu/drm/virtio/**",
    "/usr/lib/modules/*/kernel/drivers/gpu/drm/vmwgfx/**",
    "/usr/lib/modules/*/kernel/drivers/gpu/drm/hyperv/**",
    "/usr/lib/modules/*/kernel/drivers/gpu/drm/vboxvideo/**",
    "/usr/lib/modules/*/kernel/drivers/gpu/drm/ttm/**",
    "/usr/lib/modules/*/kernel/drivers/gpu/drm/display/**",
    "/usr/lib/modules/*/kernel/drivers/crypto/virtio/**",
    "/usr/lib/modules/*/kernel/drivers/misc/vmw_*",
    "/usr/lib/modules/*/kernel/drivers/misc/vmw_vmci/**",
    "/usr/lib/modules/*/kernel/drivers/misc/eeprom/eeprom_93cx6.ko",
    // Emulated cards, clouds' cards, and virtual functions that clouds pass through.
    "/usr/lib/modules/*/kernel/drivers/net/ethernet/amazon/**",
    "/usr/lib/modules/*/kernel/drivers/net/ethernet/amd/pcnet32.ko",
    "/usr/lib/modules/*/kernel/drivers/net/ethernet/google/**",
    "/usr/lib/modules/*/kernel/drivers/net/ethernet/intel/e1000/**",
    "/usr/lib/modules/*/kernel/drivers/net/ethernet/intel/e1000e/**",
    "/usr/lib/modules/*/kernel/drivers/net/ethernet/intel/igbvf/**",
    "/usr/lib/modules/*/kernel/drivers/net/ethernet/intel/ixgbevf/**",
    "/usr/lib/modules/*/kernel/drivers/net/ethernet/intel/iavf/**",
    "/usr/lib/modules/*/kernel/drivers/net/ethernet/intel/libeth/**",
    "/usr/lib/modules/*/kernel/drivers/net/ethernet/intel/libie/**",
    "/usr/lib/modules/*/kernel/drivers/net/ethernet/mellanox/mlx4/**",
    "/usr/lib/modules/*/kernel/drivers/net/ethernet/mellanox/mlx5/**",
    "/usr/lib/modules/*/kernel/drivers/net/ethernet/mellanox/mlxfw/**",
    "/usr/lib/modules/*/kernel/drivers/net/ethernet/microsoft/**",
    "/usr/lib/modules/*/kernel/drivers/net/ethernet/realtek/8139*",
];

fn patterns(texts: &[&str]) -> Vec<Pattern> {
    texts.iter().map(|text| text.parse().expect("a built-in pattern is well formed")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drivers_that_hypervisors_need_are_never_trimmed() {
        let kernel = "usr/lib/modules/6.12/kernel/drivers";
        for kept in [
            "virtio/virtio_pci.ko",
            "net/virtio_net.ko",
            "net/vmxnet3/vmxnet3.ko",
            "net/hyperv/hv_netvsc.ko",
            "net/xen-netfront.ko",
            "net/ethernet/intel/e1000/e1000.ko",
            "scsi/vmw_pvscsi.ko",
            "nvme/host/nvme.ko",
            "md/dm-verity.ko",
            "firmware/qemu_fw_cfg.ko",
        ] {
            let path = format!("{kernel}/{kept}").parse().unwrap();
            assert!(tree::trim::rule_for(&early_rules(), &path).is_none(), "{path}");
        }
        let sound = "usr/lib/modules/6.12/kernel/sound/soundcore.ko".parse().unwrap();
        assert_eq!(tree::trim::rule_for(&early_rules(), &sound).unwrap().name, "kernel-modules");
    }
}
