//! A table as the bytes of its two copies.

use super::{
    ENTRIES_SECTORS, GptError, MAXIMUM_NAME, MAXIMUM_PARTITIONS, SECTOR, Table, USABLE_START, usable_end,
};
use crate::Uuid;
use crate::bytes::put;
use crate::checksum::crc32;

/// The bytes of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// Protective MBR, header and entries: at byte 0.
    pub primary: Vec<u8>,
    /// Entries and header: at `backup_offset`, up to the disk's end.
    pub backup: Vec<u8>,
    /// In bytes.
    pub backup_offset: u64,
}

pub(super) fn encode(table: &Table) -> Result<Encoded, GptError> {
    check(table)?;
    let mut entries = vec![0; MAXIMUM_PARTITIONS * 128];
    for partition in &table.partitions {
        let entry = &mut entries[(partition.number as usize - 1) * 128..][..128];
        put(entry, 0, &partition.type_uuid.to_gpt_bytes());
        put(entry, 16, &partition.uuid.to_gpt_bytes());
        put(entry, 32, &(partition.start / SECTOR).to_le_bytes());
        put(entry, 40, &((partition.start + partition.length) / SECTOR - 1).to_le_bytes());
        put(entry, 48, &partition.attributes.to_le_bytes());
        for (index, unit) in partition.name.encode_utf16().enumerate() {
            put(entry, 56 + 2 * index, &unit.to_le_bytes());
        }
    }
    let sectors = table.disk_size / SECTOR;
    let last = sectors - 1;
    let entries_sum = crc32(&entries);
    let header = |own: u64, other: u64, entries_start: u64| {
        let mut header = vec![0; SECTOR as usize];
        put(&mut header, 0, b"EFI PART");
        put(&mut header, 8, &0x0001_0000u32.to_le_bytes());
        put(&mut header, 12, &92u32.to_le_bytes());
        put(&mut header, 24, &own.to_le_bytes());
        put(&mut header, 32, &other.to_le_bytes());
        put(&mut header, 40, &(USABLE_START / SECTOR).to_le_bytes());
        put(&mut header, 48, &(last - ENTRIES_SECTORS - 1).to_le_bytes());
        put(&mut header, 56, &table.disk_uuid.to_gpt_bytes());
        put(&mut header, 72, &entries_start.to_le_bytes());
        put(&mut header, 80, &(MAXIMUM_PARTITIONS as u32).to_le_bytes());
        put(&mut header, 84, &128u32.to_le_bytes());
        put(&mut header, 88, &entries_sum.to_le_bytes());
        let sum = crc32(&header[..92]);
        put(&mut header, 16, &sum.to_le_bytes());
        header
    };
    let backup_start = last - ENTRIES_SECTORS;
    let primary = [protective_mbr(sectors), header(1, last, 2), entries.clone()].concat();
    let backup = [entries, header(last, 1, backup_start)].concat();
    Ok(Encoded { primary, backup, backup_offset: backup_start * SECTOR })
}

/// A table of the old kind that claims the whole disk, so that old tools keep their hands off.
fn protective_mbr(sectors: u64) -> Vec<u8> {
    let mut mbr = vec![0; SECTOR as usize];
    let entry = &mut mbr[446..462];
    // From cylinder 0, head 0, sector 2 to beyond what such addresses can say.
    entry[1..4].copy_from_slice(&[0x00, 0x02, 0x00]);
    entry[4] = 0xEE;
    entry[5..8].copy_from_slice(&[0xFF, 0xFF, 0xFF]);
    put(entry, 8, &1u32.to_le_bytes());
    put(entry, 12, &u32::try_from(sectors - 1).unwrap_or(u32::MAX).to_le_bytes());
    mbr[510..].copy_from_slice(&[0x55, 0xAA]);
    mbr
}

fn check(table: &Table) -> Result<(), GptError> {
    let too_small = GptError::DiskTooSmall { disk_size: table.disk_size };
    let usable_end = usable_end(table.disk_size).ok_or(too_small)?;
    let mut by_start: Vec<_> = table.partitions.iter().collect();
    by_start.sort_by_key(|partition| partition.start);
    let mut free_from = USABLE_START;
    let mut numbers_seen = [false; MAXIMUM_PARTITIONS];
    for partition in by_start {
        let problem = |problem| {
            Err(GptError::Partition { number: partition.number, name: partition.name.clone(), problem })
        };
        let slot = (partition.number as usize).checked_sub(1).and_then(|index| numbers_seen.get_mut(index));
        match slot {
            None => return problem("has a number that no table has"),
            Some(true) => return problem("has the number of another one"),
            Some(slot) => *slot = true,
        }
        if partition.name.encode_utf16().count() > MAXIMUM_NAME {
            return Err(GptError::NameTooLong { name: partition.name.clone() });
        }
        if partition.type_uuid == Uuid::NIL {
            return problem("has no type");
        }
        if !partition.start.is_multiple_of(SECTOR) || !partition.length.is_multiple_of(SECTOR) {
            return problem("does not consist of whole sectors");
        }
        let Some(end) = partition.start.checked_add(partition.length) else {
            return problem("ends beyond the disk");
        };
        if partition.start < free_from {
            return problem("begins inside another one or inside the table");
        }
        if partition.length == 0 || end > usable_end {
            return problem("is empty or ends beyond the disk");
        }
        free_from = end;
    }
    Ok(())
}
