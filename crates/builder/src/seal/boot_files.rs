//! The files that boot an image: kernel, EFI stub, boot loader.

use tree::{Entry, Node, Origin, Tree, TreePath};

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
    /// Which package each of them is of.
    pub packages: BootFilePackages,
}

/// Names of the packages that boot an image; empty where something else than a package made the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BootFilePackages {
    /// The kernel's.
    pub kernel: String,
    /// The stub's.
    pub stub: String,
    /// The boot loader's.
    pub loader: String,
}

/// Takes the boot files from a configured base, before its boot files are trimmed. `extra` is what packages bring that are
/// not installed: package, path, bytes.
pub fn boot_files(
    tree: &Tree,
    contents: &Contents<'_>,
    extra: &[(String, String, Vec<u8>)],
) -> Result<BootFiles, SealError> {
    let read = |path: &TreePath| -> Result<Option<(String, Vec<u8>)>, SealError> {
        let Some(Entry { node: Node::File(content), origin, .. }) = tree.entries.get(path) else {
            return Ok(None);
        };
        let package = match origin {
            Origin::Package(name) => name.clone(),
            Origin::Maker(_) | Origin::Generator(_) => String::new(),
        };
        let bytes =
            contents.read(content).map_err(|source| SealError::Content { path: path.to_string(), source })?;
        Ok(Some((package, bytes)))
    };
    let mut kernels: Vec<&TreePath> =
        tree.entries.keys().filter(|path| path.as_str().starts_with("boot/vmlinuz-")).collect();
    let kernel_path = match (kernels.pop(), kernels.is_empty()) {
        (Some(path), true) => path.clone(),
        (None, _) => return Err(SealError::NoKernel),
        (Some(_), false) => return Err(SealError::TwoKernels),
    };
    let kernel_version = kernel_path.name().trim_start_matches("vmlinuz-").to_owned();
    let find = |path: &str| -> Result<(String, Vec<u8>), SealError> {
        let in_tree = read(&path.parse().expect("the path is constant and plain"))?;
        let of_others = || {
            let found = extra.iter().find(|(_, name, _)| name == path);
            found.map(|(package, _, bytes)| (package.clone(), bytes.clone()))
        };
        in_tree.or_else(of_others).ok_or_else(|| SealError::NoBootFile { path: path.to_owned() })
    };
    let ((stub_package, stub), (loader_package, loader)) = (find(STUB)?, find(LOADER)?);
    let (kernel_package, kernel) = read(&kernel_path)?.ok_or(SealError::NoKernel)?;
    let packages = BootFilePackages { kernel: kernel_package, stub: stub_package, loader: loader_package };
    Ok(BootFiles { kernel, kernel_version, stub, loader, packages })
}
