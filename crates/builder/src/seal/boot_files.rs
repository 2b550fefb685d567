//! The files that boot an image: kernel, EFI stub, boot loader.

use tree::{Node, Tree, TreePath};

use super::SealError;
use crate::compose::contents::Contents;

/// systemd's EFI stub, relative to the root.
pub const STUB: &str = "usr/lib/systemd/boot/efi/linuxx64.efi.stub";
/// systemd-boot.
pub const LOADER: &str = "usr/lib/systemd/boot/efi/systemd-bootx64.efi";

/// Files from outside the root file system that boot it.
#[derive(Clone)]
pub struct BootFiles {
    /// The kernel as Debian ships it, a bzImage.
    pub kernel: Vec<u8>,
    /// `uname -r`.
    pub kernel_version: String,
    /// [`STUB`].
    pub stub: Vec<u8>,
    /// [`LOADER`].
    pub loader: Vec<u8>,
}

/// Takes the boot files from a configured base, before its boot files are trimmed. `extra` reads what packages bring
/// that are not installed.
pub fn boot_files(
    tree: &Tree,
    contents: &Contents<'_>,
    mut extra: impl FnMut(&str) -> Option<Vec<u8>>,
) -> Result<BootFiles, SealError> {
    let read = |path: &TreePath| -> Result<Option<Vec<u8>>, SealError> {
        match tree.entries.get(path).map(|entry| &entry.node) {
            Some(Node::File(content)) => contents
                .read(content)
                .map(Some)
                .map_err(|source| SealError::Content { path: path.to_string(), source }),
            _ => Ok(None),
        }
    };
    let mut kernels: Vec<&TreePath> =
        tree.entries.keys().filter(|path| path.as_str().starts_with("boot/vmlinuz-")).collect();
    let kernel_path = match (kernels.pop(), kernels.is_empty()) {
        (Some(path), true) => path.clone(),
        (None, _) => return Err(SealError::NoKernel),
        (Some(_), false) => return Err(SealError::TwoKernels),
    };
    let kernel_version = kernel_path.name().trim_start_matches("vmlinuz-").to_owned();
    let mut find = |path: &str| -> Result<Vec<u8>, SealError> {
        let in_tree = read(&path.parse().expect("the path is constant and plain"))?;
        in_tree.or_else(|| extra(path)).ok_or_else(|| SealError::NoBootFile { path: path.to_owned() })
    };
    let (stub, loader) = (find(STUB)?, find(LOADER)?);
    let kernel = read(&kernel_path)?.ok_or(SealError::NoKernel)?;
    Ok(BootFiles { kernel, kernel_version, stub, loader })
}
