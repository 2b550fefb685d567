//! Trim rules for what systemd starts at every boot and a sealed virtual machine has no use for. Only the links that start
//! it go: a maker gets a unit back with `units.enable`, or the whole group with `trim.keep`.

use super::rules::{BuiltinRule, NO_RULE};

/// Applied after all other rules.
pub const START_RULES: &[BuiltinRule] = &[
    BuiltinRule {
        name: "logins-at-boot",
        why: "nobody logs in: no session, seat or password prompt is ever served",
        paths: &[
            "/usr/lib/systemd/system/multi-user.target.wants/getty.target",
            "/usr/lib/systemd/system/multi-user.target.wants/systemd-ask-password-wall.path",
            "/usr/lib/systemd/system/multi-user.target.wants/systemd-logind.service",
            "/usr/lib/systemd/system/multi-user.target.wants/systemd-user-sessions.service",
            "/usr/lib/systemd/system/sysinit.target.wants/systemd-ask-password-console.path",
        ],
        ..NO_RULE
    },
    BuiltinRule {
        name: "message-bus-at-boot",
        why: "nothing of the system needs D-Bus; units of type `dbus` start it themselves",
        paths: &[
            "/usr/lib/systemd/system/multi-user.target.wants/dbus.service",
            "/usr/lib/systemd/system/sockets.target.wants/dbus.socket",
            "/usr/lib/systemd/system/sockets.target.wants/systemd-hostnamed.socket",
        ],
        ..NO_RULE
    },
    BuiltinRule {
        name: "sockets-without-use",
        why: "system extensions, measured boot and old init requests do not exist in a sealed image",
        paths: &[
            "/usr/lib/systemd/system/sockets.target.wants/systemd-creds.socket",
            "/usr/lib/systemd/system/sockets.target.wants/systemd-initctl.socket",
            "/usr/lib/systemd/system/sockets.target.wants/systemd-pcrextend.socket",
            "/usr/lib/systemd/system/sockets.target.wants/systemd-pcrlock.socket",
            "/usr/lib/systemd/system/sockets.target.wants/systemd-sysext.socket",
        ],
        ..NO_RULE
    },
    BuiltinRule {
        name: "kernel-file-systems-at-boot",
        why: "kernel debugging, tracing and configuration are attack surface; init mounts what programs use",
        paths: &[
            "/usr/lib/systemd/system/sysinit.target.wants/dev-hugepages.mount",
            "/usr/lib/systemd/system/sysinit.target.wants/dev-mqueue.mount",
            "/usr/lib/systemd/system/sysinit.target.wants/proc-sys-fs-binfmt_misc.automount",
            "/usr/lib/systemd/system/sysinit.target.wants/sys-fs-fuse-connections.mount",
            "/usr/lib/systemd/system/sysinit.target.wants/sys-kernel-config.mount",
            "/usr/lib/systemd/system/sysinit.target.wants/sys-kernel-debug.mount",
            "/usr/lib/systemd/system/sysinit.target.wants/sys-kernel-tracing.mount",
            "/usr/lib/systemd/system/sysinit.target.wants/systemd-binfmt.service",
        ],
        ..NO_RULE
    },
    BuiltinRule {
        name: "measured-boot-at-boot",
        why: "the root hash in the signed kernel image says what runs; nothing is sealed to a TPM",
        paths: &[
            "/usr/lib/systemd/system/sysinit.target.wants/systemd-pcr*",
            "/usr/lib/systemd/system/sysinit.target.wants/systemd-tpm2-setup*",
        ],
        ..NO_RULE
    },
    BuiltinRule {
        name: "services-of-a-writable-system",
        why: "what these keep between boots is volatile here, or kept by init",
        paths: &[
            "/etc/systemd/system/sysinit.target.wants/systemd-network-generator.service",
            "/etc/systemd/system/sysinit.target.wants/systemd-pstore.service",
            "/etc/systemd/system/multi-user.target.wants/remote-fs.target",
            "/etc/systemd/system/timers.target.wants/fstrim.timer",
            "/usr/lib/systemd/system/sysinit.target.wants/systemd-hibernate-clear.service",
            "/usr/lib/systemd/system/sysinit.target.wants/systemd-journal-flush.service",
            "/usr/lib/systemd/system/sysinit.target.wants/systemd-random-seed.service",
        ],
        ..NO_RULE
    },
    BuiltinRule {
        name: "device-nodes-at-boot",
        why: "no nodes for drivers that are not loaded",
        paths: &[
            "/usr/lib/systemd/system/sysinit.target.wants/kmod-static-nodes.service",
            "/usr/lib/systemd/system/sysinit.target.wants/systemd-tmpfiles-setup-dev*",
        ],
        ..NO_RULE
    },
];
