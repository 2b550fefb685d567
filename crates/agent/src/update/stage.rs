//! Writing a release into the inactive slot, and proving that it is there.
//!
//! What decides is the statement: the root hash is computed from what the disk gives back past the cache, and compared with the
//! statement's, never with what a patch claims of itself.

use std::fs::File;
use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use image::Uuid;
use image::verity::{self, VerityBuilder};
use model::Sha256Digest;
use release::Statement;
use sha2::{Digest, Sha256};

/// Bytes that are read at a time.
const PIECE: usize = 1 << 20;
/// What O_DIRECT asks for.
const ALIGNMENT: usize = 4096;

/// The slot does not hold the release. Nothing boots from it.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// A device failed.
    #[error("the inactive slot can not be written or read")]
    Device(#[from] io::Error),
    /// Another root.
    #[error("the slot has the root hash {found} after writing, and the release has {expected}")]
    RootHash {
        /// Of what was read back.
        found: Sha256Digest,
        /// Of the statement.
        expected: Sha256Digest,
    },
    /// Another UKI.
    #[error("the patch made another kernel than the release has: its SHA-256 is {found}")]
    Uki {
        /// Of what was made.
        found: Sha256Digest,
    },
    /// The statement's salt is none.
    #[error("the statement's salt is not usable")]
    Salt,
    /// The hash tree.
    #[error("the hash tree can not be made")]
    Verity(#[from] verity::VerityError),
    /// The patch.
    #[error("the patch can not be applied")]
    Patch(#[source] patch::ApplyError),
}

/// Reads the root back past the cache, computes its hash tree, compares, writes the tree and reads that back too.
pub fn prove(
    statement: &Statement,
    root: &Path,
    hashes: &Path,
    progress: &mut dyn FnMut(u64),
) -> Result<(), StageError> {
    let salt = statement.image.salt().ok_or(StageError::Salt)?;
    let options = verity::Options {
        salt,
        // A name only: the root hash does not depend on it.
        uuid: Uuid::derived("verity", &statement.image.root_hash.0),
        threads: NonZeroUsize::MIN,
    };
    let mut tree = VerityBuilder::new(options)?;
    read_past_cache(root, statement.image.root_size, &mut |piece, done| {
        tree.update(piece);
        progress(done);
    })?;
    let tree = tree.finish()?;
    let (found, expected) = (tree.root_hash, statement.image.root_hash);
    if found != expected {
        return Err(StageError::RootHash { found, expected });
    }
    let device = File::options().write(true).open(hashes)?;
    device.write_all_at(&tree.bytes, 0)?;
    device.sync_all()?;
    let mut written = Sha256::new();
    let length = tree.bytes.len() as u64;
    read_past_cache(hashes, length, &mut |piece, _| written.update(piece))?;
    if written.finalize() != Sha256::digest(&tree.bytes) {
        return Err(io::Error::other("the disk gives back another hash tree than was written").into());
    }
    Ok(())
}

/// Compares a UKI with the statement.
pub fn prove_uki(statement: &Statement, uki: &Path) -> Result<(), StageError> {
    let (mut file, mut hasher) = (File::open(uki)?, Sha256::new());
    let mut buffer = vec![0; 64 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            count => hasher.update(&buffer[..count]),
        }
    }
    let found = Sha256Digest(hasher.finalize().into());
    if found != statement.uki.sha256 { Err(StageError::Uki { found }) } else { Ok(()) }
}

/// Reads the first `length` bytes of a device, as it has them and not as the kernel remembers them.
fn read_past_cache(path: &Path, length: u64, take: &mut dyn FnMut(&[u8], u64)) -> io::Result<()> {
    let file = File::options().read(true).custom_flags(libc::O_DIRECT).open(path)?;
    let mut buffer = vec![0u8; PIECE + ALIGNMENT];
    let at = buffer.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
    let mut done = 0;
    while done < length {
        let wanted = (length - done).min(PIECE as u64) as usize;
        // Partitions end at whole mebibytes, so that a whole block is always there.
        file.read_exact_at(&mut buffer[at..at + wanted.next_multiple_of(ALIGNMENT)], done)?;
        done += wanted as u64;
        take(&buffer[at..at + wanted], done);
    }
    Ok(())
}
