//! Files that give more rights than their caller has: setuid, setgid, file capabilities.

use std::collections::BTreeMap;

use image::erofs;
use serde::Serialize;
use tree::diff::CAPABILITY_ATTRIBUTE;

/// One privileged file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Privileged {
    /// Absolute path.
    pub path: String,
    /// Octal.
    pub mode: String,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Whether it runs as its owner.
    pub setuid: bool,
    /// Whether it runs as its group.
    pub setgid: bool,
    /// File capabilities.
    pub capabilities: Vec<Capability>,
    /// Where it came from.
    pub origin: Option<String>,
}

/// A capability by its kernel name, or its number when it is newer than this list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Capability(pub String);

/// Names by number, from Linux's `include/uapi/linux/capability.h`.
const NAMES: [&str; 41] = [
    "cap_chown",
    "cap_dac_override",
    "cap_dac_read_search",
    "cap_fowner",
    "cap_fsetid",
    "cap_kill",
    "cap_setgid",
    "cap_setuid",
    "cap_setpcap",
    "cap_linux_immutable",
    "cap_net_bind_service",
    "cap_net_broadcast",
    "cap_net_admin",
    "cap_net_raw",
    "cap_ipc_lock",
    "cap_ipc_owner",
    "cap_sys_module",
    "cap_sys_rawio",
    "cap_sys_chroot",
    "cap_sys_ptrace",
    "cap_sys_pacct",
    "cap_sys_admin",
    "cap_sys_boot",
    "cap_sys_nice",
    "cap_sys_resource",
    "cap_sys_time",
    "cap_sys_tty_config",
    "cap_mknod",
    "cap_lease",
    "cap_audit_write",
    "cap_audit_control",
    "cap_setfcap",
    "cap_mac_override",
    "cap_mac_admin",
    "cap_syslog",
    "cap_wake_alarm",
    "cap_block_suspend",
    "cap_audit_read",
    "cap_perfmon",
    "cap_bpf",
    "cap_checkpoint_restore",
];

pub(super) fn privileged<'a>(
    entries: impl Iterator<Item = &'a erofs::Entry>,
    origins: &BTreeMap<&str, &str>,
) -> Vec<Privileged> {
    let facts = |entry: &erofs::Entry| {
        let is_file = matches!(entry.kind, erofs::NodeKind::File { .. } | erofs::NodeKind::HardLink { .. });
        let capabilities =
            entry.metadata.xattrs.get(CAPABILITY_ATTRIBUTE).map(|value| decode(value)).unwrap_or_default();
        let (setuid, setgid) = (entry.metadata.mode & 0o4000 != 0, entry.metadata.mode & 0o2000 != 0);
        (is_file && (setuid || setgid || !capabilities.is_empty())).then(|| Privileged {
            path: entry.path.to_string(),
            mode: format!("{:04o}", entry.metadata.mode),
            uid: entry.metadata.uid,
            gid: entry.metadata.gid,
            setuid,
            setgid,
            capabilities,
            origin: origins.get(entry.path.as_str()).map(|origin| origin.to_string()),
        })
    };
    entries.filter_map(facts).collect()
}

/// Permitted capabilities of `struct vfs_cap_data`: a magic word, then permitted and inheritable words, little-endian.
pub fn decode(value: &[u8]) -> Vec<Capability> {
    let word = |index: usize| {
        let bytes = value.get(index * 4..index * 4 + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    };
    let low = u64::from(word(1).unwrap_or_default());
    let high = u64::from(word(3).unwrap_or_default());
    let permitted = low | high << 32;
    (0..64)
        .filter(|bit| permitted >> bit & 1 == 1)
        .map(|bit| Capability(NAMES.get(bit).map_or_else(|| format!("cap_{bit}"), |name| name.to_string())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_are_named_as_getcap_names_them() {
        // `setcap cap_net_raw+ep` on Linux 6.1.
        let value = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(decode(&value), [Capability("cap_net_raw".into())]);
        assert!(decode(&[1, 2]).is_empty());
    }
}
