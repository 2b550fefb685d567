//! The named trim rules that every image starts from. A definition switches them off by name and adds its own.

use model::definition::Trim;
use tree::trim::{Emptied, Rule, Stage};
use tree::{Origin, Pattern, Tree};

use super::ComposeError;
use super::kept_modules::KEPT_MODULES;
use super::start_rules::START_RULES;

/// When a rule is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// While packages are unpacked: maintainer scripts do not need these files, and what is never written is fastest.
    Unpack,
    /// After the maker's files are in.
    Compose,
}

/// A rule that comes with Ampoule.
#[derive(Clone, Copy, Debug)]
pub struct BuiltinRule {
    /// Lower-case letters and hyphens.
    pub name: &'static str,
    /// Why an appliance does not need it.
    pub why: &'static str,
    /// When.
    pub phase: Phase,
    /// Patterns of paths.
    pub paths: &'static [&'static str],
    /// Patterns kept although `paths` names them.
    pub except: &'static [&'static str],
    /// Packages whose files go, all of them.
    pub packages: &'static [&'static str],
    /// The rule is skipped when one of these packages is installed: it would need what the rule removes.
    pub unless: &'static [&'static str],
}

/// The empty rule, for tables.
pub(super) const NO_RULE: BuiltinRule = BuiltinRule {
    name: "",
    why: "",
    phase: Phase::Compose,
    paths: &[],
    except: &[],
    packages: &[],
    unless: &[],
};

/// All of them, in the order in which they are applied. A file counts for the first rule that names it.
pub fn builtin_rules() -> impl Iterator<Item = &'static BuiltinRule> {
    FILE_RULES.iter().chain(START_RULES)
}

/// Rules about files as such.
const FILE_RULES: &[BuiltinRule] = &[
    BuiltinRule {
        name: "documentation",
        why: "nobody reads manuals inside an appliance; changelogs and licences stay in the release's documents",
        phase: Phase::Unpack,
        paths: &[
            "/usr/share/doc/**",
            "/usr/share/man/**",
            "/usr/share/info/**",
            "/usr/share/doc-base/**",
            "/usr/share/lintian/**",
            "/usr/share/linda/**",
            "/usr/share/bug/**",
            "/usr/share/reportbug/**",
            "/usr/share/gtk-doc/**",
            "/usr/share/help/**",
            "/usr/share/groff/**",
            "/usr/share/common-licenses/**",
        ],
        ..NO_RULE
    },
    BuiltinRule {
        name: "translations",
        why: "the appliance speaks through its application; the system's own messages stay in English",
        phase: Phase::Unpack,
        paths: &["/usr/share/locale/**", "/usr/share/i18n/**", "/usr/share/perl5/Locale/**"],
        except: &["/usr/share/locale/locale.alias"],
        ..NO_RULE
    },
    BuiltinRule {
        name: "desktop-and-editors",
        why: "completions, menus, icons and editor files are for people at a shell or a desktop",
        phase: Phase::Unpack,
        paths: &[
            "/usr/share/bash-completion/**",
            "/usr/share/zsh/**",
            "/usr/share/fish/**",
            "/usr/share/applications/**",
            "/usr/share/icons/**",
            "/usr/share/pixmaps/**",
            "/usr/share/menu/**",
            "/usr/share/vim/**",
            "/usr/share/emacs/**",
            "/usr/share/apport/**",
            "/usr/share/nano/**",
            "/usr/share/polkit-1/actions/org.dpkg.**",
            "/usr/share/gdb/**",
            "/etc/skel/**",
            "/etc/update-motd.d/**",
        ],
        ..NO_RULE
    },
    BuiltinRule {
        name: "kernel-modules-without-use",
        why: "no hypervisor or cloud shows this hardware or needs this protocol, and each module is attack surface",
        phase: Phase::Unpack,
        paths: &["/usr/lib/modules/*/kernel/**", "/lib/modules/*/kernel/**"],
        except: KEPT_MODULES,
        ..NO_RULE
    },
    BuiltinRule {
        name: "kernel-self-tests",
        why: "modules that test the kernel itself are for its developers",
        phase: Phase::Unpack,
        paths: &[
            "/usr/lib/modules/*/kernel/lib/{test_*,*_test.*,*_kunit.*}",
            "/usr/lib/modules/*/kernel/lib/kunit/**",
        ],
        ..NO_RULE
    },
    BuiltinRule {
        name: "kernel-build-files",
        why: "symbol maps and build options are for kernel developers; the options stay in the release's documents",
        phase: Phase::Unpack,
        paths: &["/boot/System.map-*", "/boot/config-*", "/usr/lib/linux-image-*/**", "/usr/lib/debug/**"],
        ..NO_RULE
    },
    BuiltinRule {
        name: "hardware-database",
        why: "names of USB and PCI devices are not shown anywhere",
        phase: Phase::Unpack,
        paths: &[
            "/usr/lib/udev/hwdb.d/**",
            "/lib/udev/hwdb.d/**",
            "/usr/lib/udev/hwdb.bin",
            "/etc/udev/hwdb.bin",
        ],
        ..NO_RULE
    },
    BuiltinRule {
        name: "boot-files",
        why: "kernel and initrd boot from the UKI on the EFI partition, not from the root file system",
        paths: &["/boot/**", "/vmlinuz*", "/initrd.img*"],
        ..NO_RULE
    },
    BuiltinRule {
        name: "package-managers",
        why: "a sealed image is patched whole; its package list is in the release's documents",
        paths: &[
            "/var/lib/dpkg/**",
            "/var/lib/apt/**",
            "/var/cache/apt/**",
            "/var/cache/debconf/**",
            "/var/log/apt/**",
            "/var/log/dpkg.log",
            "/var/log/alternatives.log",
            "/var/log/bootstrap.log",
            "/var/lib/ucf/**",
            "/var/lib/pam/**",
            "/var/lib/systemd/deb-systemd-*/**",
            "/usr/share/debconf/**",
            "/usr/share/keyrings/**",
            "/etc/apt/**",
            "/etc/dpkg/**",
            "/etc/kernel/**",
            "/etc/cron.daily/apt-compat",
            "/etc/cron.daily/dpkg",
            "/etc/alternatives/README",
            "/usr/bin/ucf*",
            "/usr/bin/deb-systemd-*",
            "/usr/sbin/invoke-rc.d",
            "/usr/sbin/update-rc.d",
            "/usr/sbin/policy-rc.d",
            "/usr/bin/update-alternatives",
            "/usr/bin/debconf*",
            "/usr/share/sensible-utils/**",
        ],
        packages: &[
            "apt",
            "dpkg",
            "debconf",
            "debian-archive-keyring",
            "libapt-pkg6.0",
            "libapt-pkg6.0t64",
            "libapt-pkg7.0",
            "gpgv",
            "sqv",
            "ucf",
            "init-system-helpers",
            "libdebconfclient0",
            "sensible-utils",
            "adduser",
            "apt-listchanges",
            "apt-utils",
            "usr-is-merged",
            "usrmerge",
        ],
        ..NO_RULE
    },
    BuiltinRule {
        name: "initramfs-tools",
        why: "the initrd is one static program, made when the image is built",
        paths: &["/etc/initramfs-tools/**", "/var/lib/initramfs-tools/**", "/usr/share/initramfs-tools/**"],
        packages: &[
            "initramfs-tools",
            "initramfs-tools-core",
            "initramfs-tools-bin",
            "dracut-install",
            "klibc-utils",
            "libklibc",
            "linux-base",
            "cpio",
            "busybox",
        ],
        ..NO_RULE
    },
    BuiltinRule {
        name: "perl-of-the-package-manager",
        why: "the small Perl of Debian's essential set serves maintainer scripts, which never run again",
        packages: &["perl-base", "libtext-charwidth-perl", "libtext-wrapi18n-perl"],
        unless: &["perl"],
        ..NO_RULE
    },
    BuiltinRule {
        name: "console-tools",
        why: "tools for people at a shell, and there is no shell to sit at",
        paths: &[
            "/usr/bin/bashbug",
            "/usr/bin/chage",
            "/usr/bin/chfn",
            "/usr/bin/chsh",
            "/usr/bin/expiry",
            "/usr/bin/faillog",
            "/usr/bin/gpasswd",
            "/usr/bin/last",
            "/usr/bin/lastb",
            "/usr/bin/lastlog*",
            "/usr/bin/login",
            "/usr/bin/mesg",
            "/usr/bin/newgrp",
            "/usr/bin/passwd",
            "/usr/bin/script",
            "/usr/bin/scriptlive",
            "/usr/bin/scriptreplay",
            "/usr/bin/sg",
            "/usr/bin/su",
            "/usr/bin/utmpdump",
            "/usr/bin/wall",
            "/usr/bin/write*",
            "/usr/sbin/agetty",
            "/usr/sbin/getty",
            "/usr/sbin/sulogin",
            "/usr/sbin/chpasswd",
            "/usr/sbin/chgpasswd",
            "/usr/sbin/newusers",
            "/usr/sbin/vipw",
            "/usr/sbin/vigr",
            "/usr/share/tabset/**",
            "/usr/lib/terminfo/**",
            "/usr/share/terminfo/**",
        ],
        except: &[
            "/usr/share/terminfo/l/linux",
            "/usr/share/terminfo/v/vt220",
            "/usr/share/terminfo/d/dumb",
            "/usr/lib/terminfo/l/linux",
            "/usr/lib/terminfo/v/vt220",
            "/usr/lib/terminfo/d/dumb",
        ],
        packages: &["ncurses-bin", "login", "passwd", "libpam-runtime"],
        ..NO_RULE
    },
    BuiltinRule {
        name: "disk-tools",
        why: "the disk is laid out by the builder and by init; nobody partitions an appliance by hand",
        paths: &[
            "/usr/sbin/addpart",
            "/usr/sbin/badblocks",
            "/usr/sbin/blkdiscard",
            "/usr/sbin/blkzone",
            "/usr/sbin/cfdisk",
            "/usr/sbin/chcpu",
            "/usr/sbin/ctrlaltdel",
            "/usr/sbin/debugfs",
            "/usr/sbin/delpart",
            "/usr/sbin/dumpe2fs",
            "/usr/sbin/e2freefrag",
            "/usr/sbin/e2image",
            "/usr/sbin/e2label",
            "/usr/sbin/e2mmpstatus",
            "/usr/sbin/e2scrub*",
            "/usr/sbin/e2undo",
            "/usr/sbin/e4crypt",
            "/usr/sbin/e4defrag",
            "/usr/sbin/fdformat",
            "/usr/sbin/fdisk",
            "/usr/sbin/filefrag",
            "/usr/sbin/fsck.cramfs",
            "/usr/sbin/fsck.minix",
            "/usr/sbin/isosize",
            "/usr/sbin/ldattach",
            "/usr/sbin/logsave",
            "/usr/sbin/mke2fs",
            "/usr/sbin/mkfs.bfs",
            "/usr/sbin/mkfs.cramfs",
            "/usr/sbin/mkfs.ext*",
            "/usr/sbin/mkfs.minix",
            "/usr/sbin/mklost+found",
            "/usr/sbin/mkswap",
            "/usr/sbin/partx",
            "/usr/sbin/raw",
            "/usr/sbin/readprofile",
            "/usr/sbin/resize2fs",
            "/usr/sbin/resizepart",
            "/usr/sbin/rtcwake",
            "/usr/sbin/sfdisk",
            "/usr/sbin/swaplabel",
            "/usr/sbin/switch_root",
            "/usr/sbin/tune2fs",
            "/usr/sbin/wipefs",
            "/usr/sbin/zramctl",
            "/usr/bin/btrfs-convert",
            "/usr/bin/btrfs-find-root",
            "/usr/bin/btrfs-image",
            "/usr/bin/btrfs-map-logical",
            "/usr/bin/btrfs-select-super",
            "/usr/bin/btrfstune",
            "/usr/sbin/btrfs-convert",
            "/usr/sbin/btrfs-image",
        ],
        packages: &["e2fsprogs", "logsave", "libss2"],
        ..NO_RULE
    },
    BuiltinRule {
        name: "installation-generators",
        why: "init has done what these systemd generators do, and done it verified",
        paths: &[
            "/usr/lib/systemd/system-generators/systemd-bless-boot-generator",
            "/usr/lib/systemd/system-generators/systemd-cryptsetup-generator",
            "/usr/lib/systemd/system-generators/systemd-debug-generator",
            "/usr/lib/systemd/system-generators/systemd-fstab-generator",
            "/usr/lib/systemd/system-generators/systemd-getty-generator",
            "/usr/lib/systemd/system-generators/systemd-gpt-auto-generator",
            "/usr/lib/systemd/system-generators/systemd-hibernate-resume-generator",
            "/usr/lib/systemd/system-generators/systemd-integritysetup-generator",
            "/usr/lib/systemd/system-generators/systemd-import-generator",
            "/usr/lib/systemd/system-generators/systemd-factory-reset-generator",
            "/usr/lib/systemd/system-generators/systemd-rc-local-generator",
            "/usr/lib/systemd/system-generators/systemd-run-generator",
            "/usr/lib/systemd/system-generators/systemd-ssh-generator",
            "/usr/lib/systemd/system-generators/systemd-system-update-generator",
            "/usr/lib/systemd/system-generators/systemd-tpm2-generator",
            "/usr/lib/systemd/system-generators/systemd-veritysetup-generator",
        ],
        ..NO_RULE
    },
];

/// The rules that apply while packages are unpacked.
pub fn unpack_rules(trim: &Trim) -> Result<Vec<Rule>, ComposeError> {
    kept_builtin(trim).filter(|rule| rule.phase == Phase::Unpack).map(compile_builtin).collect()
}

/// The rules that apply to the composed tree: the rest of the built in ones, then the maker's own.
pub fn compose_rules(trim: &Trim, tree: &Tree) -> Result<Vec<Rule>, ComposeError> {
    let has_package = |name: &&str| {
        tree.entries
            .values()
            .any(|entry| matches!(&entry.origin, Origin::Package(package) if package == *name))
    };
    let builtin = kept_builtin(trim)
        .filter(|rule| rule.phase == Phase::Compose && !rule.unless.iter().any(&has_package))
        .map(compile_builtin);
    let own = trim.rules.iter().map(|rule| {
        let own = Parts { paths: &rule.paths, except: &rule.except, packages: &rule.packages };
        compile(&rule.name, &rule.why, own, Stage::Late)
    });
    builtin.chain(own).collect()
}

/// Names in `trim.keep` that no built in rule has.
pub fn unknown_kept_rules(trim: &Trim) -> Vec<String> {
    let is_known = |name: &&String| builtin_rules().any(|rule| rule.name == **name);
    trim.keep.iter().filter(|name| !is_known(name)).cloned().collect()
}

fn kept_builtin(trim: &Trim) -> impl Iterator<Item = &'static BuiltinRule> {
    builtin_rules().filter(|rule| !trim.keep.iter().any(|kept| kept == rule.name))
}

struct Parts<'a> {
    paths: &'a [String],
    except: &'a [String],
    packages: &'a [String],
}

fn compile_builtin(rule: &BuiltinRule) -> Result<Rule, ComposeError> {
    let expanded = |texts: &[&str]| texts.iter().flat_map(|text| expand(text)).collect::<Vec<String>>();
    let packages: Vec<String> = rule.packages.iter().map(|name| name.to_string()).collect();
    let stage = if rule.phase == Phase::Unpack { Stage::Early } else { Stage::Late };
    let parts = Parts { paths: &expanded(rule.paths), except: &expanded(rule.except), packages: &packages };
    compile(rule.name, rule.why, parts, stage)
}

fn compile(name: &str, why: &str, parts: Parts<'_>, stage: Stage) -> Result<Rule, ComposeError> {
    let patterns = |texts: &[String]| -> Result<Vec<Pattern>, ComposeError> {
        let bad = |source| ComposeError::Pattern { rule: name.to_owned(), source };
        texts.iter().map(|text| text.parse().map_err(bad)).collect()
    };
    Ok(Rule {
        name: name.to_owned(),
        why: why.to_owned(),
        paths: patterns(parts.paths)?,
        except: patterns(parts.except)?,
        packages: parts.packages.to_vec(),
        stage,
        emptied: Emptied::Remove,
    })
}

/// Writes out alternatives: `a/{b,c}` is `a/b` and `a/c`. Only the tables above use them.
fn expand(pattern: &str) -> Vec<String> {
    let Some((before, rest)) = pattern.split_once('{') else { return vec![pattern.to_owned()] };
    let Some((choices, after)) = rest.split_once('}') else { return vec![pattern.to_owned()] };
    let tails = expand(after);
    choices
        .split(',')
        .flat_map(|choice| tails.iter().map(move |tail| format!("{before}{choice}{tail}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_builtin_rule_compiles_and_has_its_own_name() {
        let mut names: Vec<&str> = builtin_rules().map(|rule| rule.name).collect();
        for rule in builtin_rules() {
            compile_builtin(rule).unwrap();
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), builtin_rules().count());
    }

    #[test]
    fn alternatives_are_written_out() {
        assert_eq!(expand("/a/{b,c}/{d,e}*"), ["/a/b/d*", "/a/b/e*", "/a/c/d*", "/a/c/e*"]);
    }

    #[test]
    fn what_hypervisors_and_clouds_need_is_never_trimmed() {
        let rules = unpack_rules(&Trim::default()).unwrap();
        let rule_for = |path: &str| {
            let path = format!("usr/lib/modules/6.12/kernel/{path}").parse().unwrap();
            tree::trim::rule_for(&rules, &path).map(|rule| rule.name.clone())
        };
        for kept in [
            "drivers/char/virtio_console.ko",
            "drivers/virtio/virtio_pci.ko",
            "drivers/net/virtio_net.ko",
            "drivers/net/vmxnet3/vmxnet3.ko",
            "drivers/net/hyperv/hv_netvsc.ko",
            "drivers/net/xen-netfront.ko",
            "drivers/block/xen-blkfront.ko",
            "drivers/net/ethernet/intel/e1000/e1000.ko",
            "drivers/net/ethernet/amazon/ena/ena.ko",
            "drivers/net/ethernet/google/gve/gve.ko",
            "drivers/hv/hv_vmbus.ko",
            "drivers/scsi/hv_storvsc.ko",
            "drivers/scsi/vmw_pvscsi.ko",
            "drivers/nvme/host/nvme.ko",
            "drivers/md/dm-verity.ko",
            "drivers/firmware/qemu_fw_cfg.ko",
            "fs/overlayfs/overlay.ko",
            "fs/btrfs/btrfs.ko",
            "fs/isofs/isofs.ko",
            "fs/fat/vfat.ko",
            "net/netfilter/nf_tables.ko",
        ] {
            assert_eq!(rule_for(kept), None, "{kept}");
        }
        assert_eq!(rule_for("sound/soundcore.ko").as_deref(), Some("kernel-modules-without-use"));
    }

    #[test]
    fn a_kept_rule_is_not_applied_and_an_unknown_one_is_noticed() {
        let trim = Trim { keep: vec!["documentation".into(), "documents".into()], rules: Vec::new() };
        assert!(!unpack_rules(&trim).unwrap().iter().any(|rule| rule.name == "documentation"));
        assert_eq!(unknown_kept_rules(&trim), ["documents"]);
    }
}
