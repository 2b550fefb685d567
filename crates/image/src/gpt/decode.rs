//! A table from a disk that anybody may have written.

use super::{Copy, GptError, MAXIMUM_PARTITIONS, Partition, SECTOR, Table};
use crate::bytes::{le16, le32, le64, take};
use crate::checksum::crc32;
use crate::{ReadAt, Uuid};

const ENTRY_SIZE: usize = 128;
const HEADER_SIZE: usize = 92;

pub(super) fn read(disk: &dyn ReadAt) -> Result<(Table, Copy), GptError> {
    let sectors = disk.size() / SECTOR;
    if sectors < 3 {
        return Err(GptError::NoTable { problem: "it is too short" });
    }
    let problem = match read_copy(disk, 1)? {
        Ok(table) => return Ok((table, Copy::Primary)),
        Err(problem) => problem,
    };
    match read_copy(disk, sectors - 1)? {
        Ok(table) => Ok((table, Copy::Backup)),
        Err(_) => Err(GptError::NoTable { problem }),
    }
}

/// The outer error is the disk's, the inner one the table's.
fn read_copy(disk: &dyn ReadAt, sector: u64) -> Result<Result<Table, &'static str>, GptError> {
    let read = |buffer: &mut [u8], sector: u64| {
        let offset = sector * SECTOR;
        disk.read_exact_at(buffer, offset).map_err(|source| GptError::Source { offset, source })
    };
    let mut header = [0; SECTOR as usize];
    read(&mut header, sector)?;
    if &header[..8] != b"EFI PART" {
        return Ok(Err("the signature is missing"));
    }
    let mut summed: [u8; HEADER_SIZE] = take(&header, 0);
    summed[16..20].fill(0);
    if le32(&header, 12) as usize != HEADER_SIZE || crc32(&summed) != le32(&header, 16) {
        return Ok(Err("the header's checksum is wrong"));
    }
    if le64(&header, 24) != sector {
        return Ok(Err("the header belongs elsewhere"));
    }
    let (entries_start, count, size) =
        (le64(&header, 72), le32(&header, 80) as usize, le32(&header, 84) as usize);
    if count > MAXIMUM_PARTITIONS || size != ENTRY_SIZE {
        return Ok(Err("its entries are not at most 128 of 128 bytes"));
    }
    let sectors = disk.size() / SECTOR;
    let entries_sectors = (count * size).div_ceil(SECTOR as usize) as u64;
    if entries_start.checked_add(entries_sectors).is_none_or(|end| end > sectors) {
        return Ok(Err("its entries are beyond the disk's end"));
    }
    let mut entries = vec![0; count * size];
    read(&mut entries, entries_start)?;
    if crc32(&entries) != le32(&header, 88) {
        return Ok(Err("the entries' checksum is wrong"));
    }
    // Of the two copies, the one that is farther out ends the disk.
    let last = le64(&header, 24).max(le64(&header, 32));
    if last >= sectors {
        return Ok(Err("the disk is shorter than the table says"));
    }
    let mut partitions = Vec::new();
    for (index, entry) in entries.chunks(size).enumerate() {
        let type_uuid = Uuid::from_gpt_bytes(take(entry, 0));
        if type_uuid == Uuid::NIL {
            continue;
        }
        let (first, end) = (le64(entry, 32), le64(entry, 40).saturating_add(1));
        if first >= end || end > sectors {
            return Ok(Err("a partition is beyond the disk's end"));
        }
        let units: Vec<u16> = (56..ENTRY_SIZE).step_by(2).map(|offset| le16(entry, offset)).collect();
        let length = units.iter().position(|unit| *unit == 0).unwrap_or(units.len());
        partitions.push(Partition {
            number: index as u32 + 1,
            name: String::from_utf16_lossy(&units[..length]),
            type_uuid,
            uuid: Uuid::from_gpt_bytes(take(entry, 16)),
            start: first * SECTOR,
            length: (end - first) * SECTOR,
            attributes: le64(entry, 48),
        });
    }
    Ok(Ok(Table {
        disk_uuid: Uuid::from_gpt_bytes(take(&header, 56)),
        disk_size: (last + 1) * SECTOR,
        partitions,
    }))
}
