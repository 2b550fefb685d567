//! Why sealing fails.

use std::io;
use std::path::PathBuf;

use image::{cpio, erofs, esp, gpt, qcow2, uki, verity};
use release::{ReleaseError, names};

use super::modules::MissingModule;
use crate::papers::PapersError;

/// Why sealing failed. The release that was there before is untouched.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// A content can not be read back.
    #[error("can not read `{path}` of the image")]
    Content {
        /// Path in the image.
        path: String,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The kernel package brought no kernel.
    #[error("the base has no kernel: no package brings /boot/vmlinuz-*")]
    NoKernel,
    /// More than one kernel.
    #[error("the base has more than one kernel; name one kernel package in the definition")]
    TwoKernels,
    /// The stub or the boot loader is nowhere.
    #[error("no package brings `/{path}`, which boots the image")]
    NoBootFile {
        /// Path.
        path: String,
    },
    /// depmod's files are not there.
    #[error("the image has no kernel modules in `/{folder}`")]
    NoModules {
        /// Folder.
        folder: String,
    },
    /// The kernel lacks something.
    #[error(transparent)]
    MissingModule(MissingModule),
    /// The initrd.
    #[error("can not make the initrd")]
    Initrd(#[source] cpio::CpioError),
    /// The root file system can not be laid out.
    #[error("can not lay out the root file system")]
    Plan(#[source] erofs::PlanError),
    /// The root file system can not be written.
    #[error("can not write the root file system")]
    Root(#[source] erofs::WriteError),
    /// The hash tree.
    #[error("can not make the hash tree")]
    Verity(#[source] verity::VerityError),
    /// The UKI.
    #[error("can not make the unified kernel image")]
    Uki(#[source] uki::UkiError),
    /// The ESP.
    #[error("can not make the EFI system partition")]
    Esp(#[source] esp::EspError),
    /// The partition table.
    #[error("can not lay out the disk")]
    Disk(#[source] gpt::GptError),
    /// A file of the release can not be written.
    #[error("can not write `{path}`")]
    Write {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The qcow2 disk.
    #[error("can not write the qcow2 disk")]
    Qcow2(#[source] qcow2::WriteError),
    /// The release folder.
    #[error(transparent)]
    Release(#[from] ReleaseError),
    /// The list of components.
    #[error(transparent)]
    Papers(#[from] PapersError),
    /// The UKI's name.
    #[error("can not name the unified kernel image")]
    Name(#[source] names::NameSyntax),
}
