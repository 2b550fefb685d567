//! Operations of a patch. An input is what follows a header: one that fits the images is put before it, because no input would ever have its
//! digests right.

use std::io;
use std::sync::OnceLock;

use model::Sha256Digest;
use patch::{ApplyOptions, Described, Header, Old, Resume, Target};
use sha2::{Digest, Sha256};

const ROOT: usize = 256 << 10;
const UKI: usize = 64 << 10;
/// What applying may take, and a harness with it is far below the limit of all.
const MEMORY: u64 = 64 << 20;
const ROOT_HASH: Sha256Digest = Sha256Digest([1; 32]);

/// The first byte: how many operations are announced. The next two: blocks of the new root file system.
pub fn patch(bytes: &[u8]) {
    let [operations, low, high, operations_bytes @ ..] = bytes else { return };
    let old = old();
    let digest = |bytes: &[u8]| Sha256Digest(Sha256::digest(bytes).into());
    let from = Described {
        root_hash: ROOT_HASH,
        root_size: ROOT as u64,
        uki_sha256: *old.2.get_or_init(|| digest(&old.1)),
        uki_size: UKI as u64,
    };
    let blocks = u64::from(u16::from_le_bytes([*low, *high]));
    let new = Described { root_size: blocks % 512 * 4096, uki_size: blocks, ..from };
    let header = Header { old: Some(from), new, memory: 0, operations: u64::from(*operations) };
    let bytes = [&header.to_bytes(), operations_bytes].concat();
    let running = Old { root: &old.0, uki: &old.1, root_hash: ROOT_HASH };
    let options = ApplyOptions { memory: MEMORY, resume: Resume::Never };
    drop(patch::apply(&mut bytes.as_slice(), Some(&running), &mut Nowhere, &options, &mut |_, _| ()));
}

/// Root file system and UKI of the image that runs, the same in every run.
fn old() -> &'static (Vec<u8>, Vec<u8>, OnceLock<Sha256Digest>) {
    static OLD: OnceLock<(Vec<u8>, Vec<u8>, OnceLock<Sha256Digest>)> = OnceLock::new();
    OLD.get_or_init(|| {
        let noise = |length: usize| {
            (0..length as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 21) as u8).collect()
        };
        (noise(ROOT), noise(UKI), OnceLock::new())
    })
}

/// What is made is not kept.
struct Nowhere;

impl Target for Nowhere {
    fn write_root(&mut self, _: u64, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn read_root(&mut self, _: u64, buffer: &mut [u8]) -> io::Result<()> {
        buffer.fill(0);
        Ok(())
    }

    fn write_uki(&mut self, _: u64, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
}
