//! Writing the archive around the members; [`release::bundle::archive`] reads it.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use model::Sha256Digest;
use release::bundle::archive::{END, header, padding};
use sha2::{Digest, Sha256};

use super::{BundleError, BundleErrorKind};
use crate::error::{DepotError, io};

const PIECE: usize = 256 << 10;

/// Writes a bundle.
pub(super) struct Writer {
    file: File,
    path: PathBuf,
}

impl Writer {
    /// Begins a file.
    pub(super) fn create(path: &Path) -> Result<Self, DepotError> {
        Ok(Self { file: File::create(path).map_err(io("create", path))?, path: path.to_owned() })
    }

    /// Writes a member of `size` bytes and returns its digest.
    pub(super) fn member(
        &mut self,
        path: &str,
        size: u64,
        from: &mut dyn Read,
    ) -> Result<Sha256Digest, DepotError> {
        let refused = |kind| DepotError::from(Box::new(BundleError { bundle: self.path.clone(), kind }));
        let header =
            header(path, size).ok_or_else(|| refused(BundleErrorKind::Path { path: path.to_owned() }))?;
        let mut write = |bytes: &[u8]| self.file.write_all(bytes).map_err(io("write", &self.path));
        write(&header)?;
        let (mut hasher, mut piece) = (Sha256::new(), vec![0; PIECE]);
        // One byte more than is listed changes the digest.
        let mut from = from.take(size + 1);
        loop {
            let count = from.read(&mut piece).map_err(io("read", Path::new(path)))?;
            if count == 0 {
                break;
            }
            hasher.update(&piece[..count]);
            write(&piece[..count])?;
        }
        write(&[0; END][..padding(size)])?;
        Ok(Sha256Digest(hasher.finalize().into()))
    }

    /// Ends the file; it is on the disk after that.
    pub(super) fn finish(mut self) -> Result<(), DepotError> {
        let done = self.file.write_all(&[0; END]).and_then(|()| self.file.sync_all());
        done.map_err(io("write", &self.path))
    }
}
