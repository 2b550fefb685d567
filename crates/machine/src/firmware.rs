//! UEFI firmware for virtual machines: where distributions put OVMF.

use std::path::{Path, PathBuf};

use crate::error::MachineError;

/// Code and the template of the variables; the two belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Firmware {
    /// Mapped read-only.
    pub code: PathBuf,
    /// Copied for each VM.
    pub variables: PathBuf,
}

/// Code and variables, the best first. Without Secure Boot: releases are not signed yet. The small builds are older.
const KNOWN: [(&str, &str); 6] = [
    ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
    ("/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"),
    ("/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),
    ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
    ("/usr/share/qemu/edk2-x86_64-code.fd", "/usr/share/qemu/edk2-i386-vars.fd"),
    ("/opt/homebrew/share/qemu/edk2-x86_64-code.fd", "/opt/homebrew/share/qemu/edk2-i386-vars.fd"),
];

/// Finds the firmware of this host.
pub fn find() -> Result<Firmware, MachineError> {
    find_among(&KNOWN, Path::new("/"))
}

fn find_among(known: &[(&str, &str)], root: &Path) -> Result<Firmware, MachineError> {
    let below_root = |path: &str| root.join(path.trim_start_matches('/'));
    known
        .iter()
        .map(|(code, variables)| Firmware { code: below_root(code), variables: below_root(variables) })
        .find(|firmware| firmware.code.is_file() && firmware.variables.is_file())
        .ok_or_else(|| MachineError::NoFirmware {
            searched: known
                .iter()
                .filter_map(|(code, _)| below_root(code).parent().map(Path::to_owned))
                .collect::<std::collections::BTreeSet<_>>()
                .into_iter()
                .collect(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_without_its_variables_is_not_taken() {
        let root = tempfile::tempdir().expect("folder");
        let known = [("/a/code", "/a/variables"), ("/b/code", "/b/variables")];
        assert!(
            matches!(find_among(&known, root.path()), Err(MachineError::NoFirmware { searched }) if searched.len() == 2)
        );
        for file in ["a/code", "b/code", "b/variables"] {
            let path = root.path().join(file);
            std::fs::create_dir_all(path.parent().expect("parent")).expect("creates");
            std::fs::write(path, "").expect("writes");
        }
        assert_eq!(find_among(&known, root.path()).expect("finds").code, root.path().join("b/code"));
    }
}
