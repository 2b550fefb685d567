//! Which kernel modules the initrd carries: what finds and verifies the root file system, and nothing else.
//!
//! Pure: texts of depmod's files in, a selection out.

use std::collections::{BTreeMap, BTreeSet};

/// Drivers of disks that hypervisors and clouds show, by module name. Those a kernel does not have are skipped.
const STORAGE: &[&str] = &[
    "virtio_blk",
    "virtio_scsi",
    "virtio_pci",
    "virtio_mmio",
    "sd_mod",
    "ahci",
    "ata_piix",
    "ata_generic",
    "nvme",
    "vmw_pvscsi",
    "mptspi",
    "mptsas",
    "hv_storvsc",
    "hv_vmbus",
    "pci_hyperv",
    "xen_blkfront",
];

/// What tells that a boot is counted, and what ends one that hangs. Loaded by `init` itself, or by the device.
const BOOT_COUNTING: &[&str] = &["efivarfs", "i6300esb", "softdog"];

/// Loaded whatever the devices are. These have to exist, as modules or built in.
const ALWAYS: &[&str] = &["dm_mod", "dm_verity", "erofs"];

/// Loaded before the others when the kernel has them as modules: checksums that dm-verity and erofs ask for by the name
/// of the algorithm, which no dependency tells, and disks that no device asks for by alias early enough.
const BEFORE: &[&str] = &[
    "crc32c_generic",
    "crc32c_intel",
    "sha256_generic",
    "sha256_ssse3",
    "virtio_pci",
    "virtio_blk",
    "sd_mod",
];

/// Modules for the initrd.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Paths below `/usr/lib/modules/VERSION/`, such as `kernel/drivers/block/virtio_blk.ko`.
    pub files: BTreeSet<String>,
    /// `modules.dep` with flat names.
    pub dependencies: String,
    /// `modules.alias` restricted to the selection.
    pub aliases: String,
    /// Names always loaded, one a line.
    pub load: String,
}

/// What is missing from the kernel.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "kernel {version} has no `{module}`, neither as a module nor built in; a sealed image can not boot without it"
)]
pub struct MissingModule {
    /// Kernel version.
    pub version: String,
    /// Module.
    pub module: String,
}

/// Selects modules. `dep`, `alias` and `builtin` are the texts of depmod's files for the kernel.
pub fn select_modules(
    version: &str,
    dep: &str,
    alias: &str,
    builtin: &str,
) -> Result<Selection, MissingModule> {
    let by_name: BTreeMap<String, (&str, Vec<&str>)> = dep
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(path, needs)| (module_name(path), (path, needs.split_whitespace().collect())))
        .collect();
    let is_builtin = |name: &str| builtin.lines().any(|path| module_name(path) == name);
    if let Some(missing) = ALWAYS.iter().find(|name| !by_name.contains_key(**name) && !is_builtin(name)) {
        return Err(MissingModule { version: version.to_owned(), module: missing.to_string() });
    }
    let mut names = BTreeSet::new();
    for wanted in STORAGE.iter().chain(BOOT_COUNTING).chain(BEFORE).chain(ALWAYS) {
        if let Some((_, needs)) = by_name.get(*wanted) {
            names.insert(wanted.to_string());
            // modules.dep lists indirect dependencies too, so one level is the closure.
            names.extend(needs.iter().map(|path| module_name(path)));
        }
    }
    let mut selection = Selection::default();
    for name in &names {
        let Some((path, needs)) = by_name.get(name) else { continue };
        let flat: Vec<&str> = needs.iter().map(|need| file_name(need)).collect();
        selection.files.insert((*path).to_owned());
        selection.dependencies.push_str(format!("{}: {}", file_name(path), flat.join(" ")).trim_end());
        selection.dependencies.push('\n');
    }
    for line in alias.lines() {
        if line.starts_with("alias ") && line.rsplit(' ').next().is_some_and(|name| names.contains(name)) {
            selection.aliases.push_str(line);
            selection.aliases.push('\n');
        }
    }
    let load = BEFORE.iter().chain(ALWAYS).filter(|name| names.contains(**name));
    selection.load = load.map(|name| format!("{name}\n")).collect();
    Ok(selection)
}

/// The kernel's name of a module from its file: `dm-verity.ko` is `dm_verity`.
fn module_name(path: &str) -> String {
    let file = file_name(path);
    file.split(".ko").next().unwrap_or(file).replace('-', "_")
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEP: &str = "kernel/drivers/md/dm-verity.ko: kernel/drivers/md/dm-bufio.ko kernel/drivers/md/dm-mod.ko\n\
        kernel/drivers/md/dm-bufio.ko: kernel/drivers/md/dm-mod.ko\nkernel/drivers/md/dm-mod.ko:\n\
        kernel/drivers/block/virtio_blk.ko:\nkernel/sound/snd.ko:\n";

    #[test]
    fn the_selection_is_closed_and_flat() {
        let alias = "# Aliases\nalias virtio:d00000002v* virtio_blk\nalias char-major-116-* snd\n";
        let selection = select_modules("6.1", DEP, alias, "kernel/fs/erofs/erofs.ko\n").unwrap();
        assert_eq!(selection.files.len(), 4);
        assert!(selection.dependencies.contains("dm-verity.ko: dm-bufio.ko dm-mod.ko\n"));
        assert_eq!(selection.aliases, "alias virtio:d00000002v* virtio_blk\n");
        assert_eq!(selection.load, "virtio_blk\ndm_mod\ndm_verity\n");
    }

    #[test]
    fn a_kernel_that_can_not_read_the_root_is_refused() {
        let missing = select_modules("6.1", DEP, "", "").unwrap_err();
        assert_eq!(missing.module, "erofs");
    }
}
