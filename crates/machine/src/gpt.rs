//! The partition table of a new data disk: one partition, named for `init` to find and format.
//!
//! A stop-gap until `image::gpt` is here. UEFI specification 2.10, section 5.3.

use sha2::{Digest, Sha256};

const SECTOR: u64 = 512;
const ENTRY_SECTORS: u64 = 32;
/// Partitions begin and end at MiB.
const ALIGNMENT: u64 = (1 << 20) / SECTOR;
/// `Linux filesystem data`, 0FC63DAF-8483-4772-8E79-3D69D8477DE4, as it lies on disk.
const LINUX_GENERIC: [u8; 16] =
    [0xaf, 0x3d, 0xc6, 0x0f, 0x83, 0x84, 0x72, 0x47, 0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4];

/// What has to be written where on a disk of `size` bytes; the rest is zero. Ids are derived from `seed`, so that the
/// same disk is made twice. `size` MUST be at least 4 MiB and a multiple of 512.
pub(crate) fn data_disk(size: u64, name: &str, seed: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let sectors = size / SECTOR;
    let first = ALIGNMENT;
    let last = (sectors - 1 - ENTRY_SECTORS) / ALIGNMENT * ALIGNMENT - 1;

    let mut entries = vec![0u8; (ENTRY_SECTORS * SECTOR) as usize];
    entries[..16].copy_from_slice(&LINUX_GENERIC);
    entries[16..32].copy_from_slice(&id(b"partition", seed));
    entries[32..40].copy_from_slice(&first.to_le_bytes());
    entries[40..48].copy_from_slice(&last.to_le_bytes());
    for (place, unit) in entries[56..128].chunks_exact_mut(2).zip(name.encode_utf16()) {
        place.copy_from_slice(&unit.to_le_bytes());
    }

    let disk_id = id(b"disk", seed);
    let header = |own: u64, other: u64, entries_at: u64| {
        let mut header = vec![0u8; SECTOR as usize];
        header[..8].copy_from_slice(b"EFI PART");
        header[8..12].copy_from_slice(&0x0001_0000u32.to_le_bytes());
        header[12..16].copy_from_slice(&92u32.to_le_bytes());
        header[24..32].copy_from_slice(&own.to_le_bytes());
        header[32..40].copy_from_slice(&other.to_le_bytes());
        header[40..48].copy_from_slice(&(2 + ENTRY_SECTORS).to_le_bytes());
        header[48..56].copy_from_slice(&(sectors - 2 - ENTRY_SECTORS).to_le_bytes());
        header[56..72].copy_from_slice(&disk_id);
        header[72..80].copy_from_slice(&entries_at.to_le_bytes());
        header[80..84].copy_from_slice(&128u32.to_le_bytes());
        header[84..88].copy_from_slice(&128u32.to_le_bytes());
        header[88..92].copy_from_slice(&crc32(&entries).to_le_bytes());
        let sum = crc32(&header[..92]);
        header[16..20].copy_from_slice(&sum.to_le_bytes());
        header
    };

    let mut start = vec![0u8; SECTOR as usize];
    start[446 + 1..446 + 4].copy_from_slice(&[0x00, 0x02, 0x00]);
    start[446 + 4] = 0xee;
    start[446 + 5..446 + 8].copy_from_slice(&[0xff; 3]);
    start[446 + 8..446 + 12].copy_from_slice(&1u32.to_le_bytes());
    let covered = u32::try_from(sectors - 1).unwrap_or(u32::MAX);
    start[446 + 12..446 + 16].copy_from_slice(&covered.to_le_bytes());
    start[510..512].copy_from_slice(&[0x55, 0xaa]);
    start.extend(header(1, sectors - 1, 2));
    start.extend_from_slice(&entries);

    let backup_entries = sectors - 1 - ENTRY_SECTORS;
    let mut end = entries.clone();
    end.extend(header(sectors - 1, 1, backup_entries));
    vec![(0, start), (backup_entries * SECTOR, end)]
}

fn id(what: &[u8], seed: &[u8]) -> [u8; 16] {
    let hash = Sha256::new().chain_update(what).chain_update([0]).chain_update(seed).finalize();
    let mut id = [0; 16];
    id.copy_from_slice(&hash[..16]);
    // RFC 9562, version 8, custom; the version is in the high half of the third group, little-endian here.
    id[7] = id[7] & 0x0f | 0x80;
    id[8] = id[8] & 0x3f | 0x80;
    id
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |sum, &byte| {
        (0..8).fold(sum ^ u32::from(byte), |sum, _| (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg()))
    })
}
