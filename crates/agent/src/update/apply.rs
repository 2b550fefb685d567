//! From the downloaded object to the inactive slot: the one place that knows what a patch looks like.
//!
//! So far only the plain full image: [`MAGIC`], bytes of the root and of the UKI as little-endian 64-bit numbers, then both.
//! Nothing in it is believed: [`super::stage`] compares with the statement.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use release::Statement;

use super::stage::StageError;

/// Begins a plain full image.
pub const MAGIC: &[u8; 8] = b"AMPLAIN1";
const PIECE: usize = 1 << 20;

/// Writes root and UKI, durable.
pub fn apply(
    object: &Path,
    statement: &Statement,
    root: &Path,
    uki: &Path,
    progress: &mut dyn FnMut(u64),
) -> Result<(), StageError> {
    let refused = |why: &str| Err(StageError::Patch { why: why.to_owned() });
    let mut object = File::open(object)?;
    let mut head = [0; 24];
    object.read_exact(&mut head)?;
    let number = |at: usize| u64::from_le_bytes(head[at..at + 8].try_into().expect("eight bytes"));
    if &head[..8] != MAGIC {
        return refused("it is of an unknown form");
    }
    if (number(8), number(16)) != (statement.image.root_size, statement.uki.size) {
        return refused("it leads to an image of another size than the release has");
    }
    let mut done = 0;
    for (path, length) in [(root, number(8)), (uki, number(16))] {
        // A device is never shortened, and a file that was there is written over.
        let mut out =
            File::options().write(true).create(!path.starts_with("/dev")).truncate(true).open(path)?;
        let mut left = length;
        let mut buffer = vec![0; PIECE];
        while left > 0 {
            let count = left.min(PIECE as u64) as usize;
            object.read_exact(&mut buffer[..count])?;
            out.write_all(&buffer[..count])?;
            (left, done) = (left - count as u64, done + count as u64);
            progress(done);
        }
        out.sync_all()?;
    }
    Ok(())
}

/// Whether an error means that the data disk is full.
pub fn is_full(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::StorageFull || error.raw_os_error() == Some(libc::EDQUOT)
}
