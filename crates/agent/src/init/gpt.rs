//! The partition table of a disk: reading it, making the last partition longer, giving one another name.
//!
//! Owns the order of writes that survives a power cut. Refuses to make tables. Format: UEFI specification 2.10,
//! chapter 5.3 ("GUID Partition Table Disk Layout").
//!
//! **Life of a change.** At every moment one of the two tables is whole, and it is the old or the new one:
//! 0. a broken primary table is written again from the backup, synced (the change below must not touch the last copy);
//! 1. the new backup table is written at the end of the disk, synced: the primary still says the old;
//! 2. the new primary table is written, synced: torn, its checksum fails and the backup says the new.

use std::io;

use super::block::{BlockDevice, SECTOR};

const SIGNATURE: &[u8; 8] = b"EFI PART";
/// Header size of revision 1.0.
const HEADER_LENGTH: usize = 92;
/// Bytes of one entry. The specification allows more; no tool writes more.
const ENTRY_LENGTH: usize = 128;
/// Entries that are read: the specification's least number, which all tools write. A table that claims more could make
/// `init` read gigabytes.
const ENTRY_LIMIT: usize = 128;
/// Partitions end on this boundary, in sectors: 1 MiB.
const ALIGNMENT: u64 = 2048;

/// A partition table, with everything this program does not understand kept as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    header: [u8; HEADER_LENGTH],
    entries: Vec<u8>,
    primary: Primary,
}

/// Whether the table at the start of the disk was whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Primary {
    /// It was read from there.
    Whole,
    /// The backup at the end of the disk was read instead.
    Broken,
}

/// Whether tools that look for partitions by type take this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auto {
    /// They may.
    Found,
    /// Attribute "no-auto".
    PassedOver,
}

/// One partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Counted from 1, as the kernel does.
    pub number: u32,
    /// `PARTUUID` in lower case.
    pub uuid: String,
    /// Partition name.
    pub name: String,
    /// First sector.
    pub first: u64,
    /// Last sector, inclusive.
    pub last: u64,
}

impl Partition {
    /// Size in sectors.
    pub fn sectors(&self) -> u64 {
        self.last - self.first + 1
    }
}

/// The table can not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// Neither copy is whole.
    #[error("there is no whole partition table")]
    Absent,
    /// The disk does not answer.
    #[error("the partition table can not be read or written")]
    Device(#[from] io::Error),
    /// Not a UUID.
    #[error("`{text}` is not the UUID of a partition")]
    Uuid {
        /// The text.
        text: String,
    },
    /// A name of more than 36 UTF-16 units.
    #[error("the partition name `{name}` is too long")]
    Name {
        /// The name.
        name: String,
    },
}

impl Table {
    /// Reads the primary table, or the backup when the primary is broken.
    pub fn read(disk: &dyn BlockDevice) -> Result<Table, TableError> {
        match Table::read_copy(disk, 1, Primary::Whole)? {
            Some(table) => Ok(table),
            None => Table::read_copy(disk, disk.sectors().saturating_sub(1), Primary::Broken)?
                .ok_or(TableError::Absent),
        }
    }

    fn read_copy(disk: &dyn BlockDevice, at: u64, primary: Primary) -> io::Result<Option<Table>> {
        if disk.sectors() < 68 {
            return Ok(None);
        }
        let mut sector = [0u8; SECTOR];
        disk.read(at, &mut sector)?;
        let header: [u8; HEADER_LENGTH] =
            sector[..HEADER_LENGTH].try_into().expect("a sector is longer than a header");
        let mut table = Table { header, entries: Vec::new(), primary };
        let count = table.number(80, 4) as usize;
        let whole = header.starts_with(SIGNATURE)
            && table.number(12, 4) == HEADER_LENGTH as u64
            && table.number(16, 4) == u64::from(table.header_checksum())
            && table.number(24, 8) == at
            && table.number(84, 4) == ENTRY_LENGTH as u64
            && (1..=ENTRY_LIMIT).contains(&count)
            && table.number(48, 8) < disk.sectors();
        let entries_at = table.number(72, 8);
        let sectors = (count * ENTRY_LENGTH).div_ceil(SECTOR);
        if !whole || entries_at.checked_add(sectors as u64).is_none_or(|end| end > disk.sectors()) {
            return Ok(None);
        }
        table.entries = vec![0; sectors * SECTOR];
        disk.read(entries_at, &mut table.entries)?;
        table.entries.truncate(count * ENTRY_LENGTH);
        Ok((table.number(88, 4) == u64::from(checksum(&table.entries))).then_some(table))
    }

    /// Whether the table at the start of the disk was whole.
    pub fn primary(&self) -> Primary {
        self.primary
    }

    /// All partitions by number.
    pub fn partitions(&self) -> Vec<Partition> {
        let entry = |(index, entry): (usize, &[u8])| {
            let units = entry[56..128].chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]]));
            let partition = Partition {
                number: index as u32 + 1,
                uuid: uuid_text(&entry[16..32]),
                name: char::decode_utf16(units.take_while(|&unit| unit != 0))
                    .map(|unit| unit.unwrap_or('?'))
                    .collect(),
                first: little_endian(&entry[32..40]),
                last: little_endian(&entry[40..48]),
            };
            let is_used = entry[..16].iter().any(|&byte| byte != 0) && partition.first <= partition.last;
            is_used.then_some(partition)
        };
        self.entries.chunks_exact(ENTRY_LENGTH).enumerate().filter_map(entry).collect()
    }

    /// The last sector the partition could have on this disk: up to the next partition, or to the end for the last one.
    pub fn greatest_end(&self, partition: &Partition, disk_sectors: u64) -> u64 {
        if self.partitions().iter().any(|other| other.first > partition.last) {
            return partition.last;
        }
        let end = last_usable(&self.entries, disk_sectors) + 1;
        partition.last.max((end / ALIGNMENT * ALIGNMENT).saturating_sub(1))
    }

    /// The same table for a disk of `disk_sectors` with another last sector of a partition.
    pub fn with_end(&self, number: u32, last: u64, disk_sectors: u64) -> Table {
        let mut table = self.clone();
        let end = last_usable(&self.entries, disk_sectors);
        table.header[48..56].copy_from_slice(&end.to_le_bytes());
        table.entry_mut(number)[40..48].copy_from_slice(&last.to_le_bytes());
        table
    }

    /// The same table with another name of a partition.
    pub fn with_name(&self, number: u32, name: &str) -> Result<Table, TableError> {
        let units: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
        if units.len() > 72 {
            return Err(TableError::Name { name: name.to_owned() });
        }
        let mut table = self.clone();
        let field = &mut table.entry_mut(number)[56..128];
        field.fill(0);
        field[..units.len()].copy_from_slice(&units);
        Ok(table)
    }

    /// The same table with another UUID of a partition, the text form of `PARTUUID`, and with or without the attribute
    /// "no-auto" (bit 63, Discoverable Partitions Specification).
    pub fn with_identity(&self, number: u32, uuid: &str, auto: Auto) -> Result<Table, TableError> {
        let bytes = uuid_bytes(uuid).ok_or_else(|| TableError::Uuid { text: uuid.to_owned() })?;
        let mut table = self.clone();
        let entry = table.entry_mut(number);
        entry[16..32].copy_from_slice(&bytes);
        match auto {
            Auto::Found => entry[55] &= 0x7F,
            Auto::PassedOver => entry[55] |= 0x80,
        }
        Ok(table)
    }

    /// Step 0 alone: writes the primary table again when it was broken.
    pub fn repair(&mut self, disk: &mut dyn BlockDevice) -> Result<(), TableError> {
        if self.primary == Primary::Broken {
            self.write_primary(disk)?;
            disk.sync()?;
            self.primary = Primary::Whole;
        }
        Ok(())
    }

    /// Makes this table, a changed one, the disk's. See the life of a change above: `before` is the table as it was read.
    pub fn commit(mut self, before: &mut Table, disk: &mut dyn BlockDevice) -> Result<Table, TableError> {
        before.repair(disk)?;
        self.primary = Primary::Whole;
        let last = disk.sectors() - 1;
        let entries_at = last - self.entry_sectors();
        disk.write(entries_at, &self.padded_entries())?;
        disk.write(last, &self.header_sector(last, 1, entries_at))?;
        disk.sync()?;
        self.write_primary(disk)?;
        disk.sync()?;
        Ok(self)
    }

    /// The protective MBR is left alone: its size field may say less than the disk has, which every reader accepts.
    fn write_primary(&self, disk: &mut dyn BlockDevice) -> io::Result<()> {
        disk.write(2, &self.padded_entries())?;
        disk.write(1, &self.header_sector(1, disk.sectors() - 1, 2))
    }

    fn header_sector(&self, my_sector: u64, other_sector: u64, entries_at: u64) -> [u8; SECTOR] {
        let mut copy = Table { header: self.header, entries: Vec::new(), primary: self.primary };
        copy.header[24..32].copy_from_slice(&my_sector.to_le_bytes());
        copy.header[32..40].copy_from_slice(&other_sector.to_le_bytes());
        copy.header[72..80].copy_from_slice(&entries_at.to_le_bytes());
        copy.header[88..92].copy_from_slice(&checksum(&self.entries).to_le_bytes());
        let sum = copy.header_checksum();
        copy.header[16..20].copy_from_slice(&sum.to_le_bytes());
        let mut sector = [0; SECTOR];
        sector[..HEADER_LENGTH].copy_from_slice(&copy.header);
        sector
    }

    /// Checksum of the header with its checksum field as zero.
    fn header_checksum(&self) -> u32 {
        let mut header = self.header;
        header[16..20].fill(0);
        checksum(&header)
    }

    fn number(&self, at: usize, length: usize) -> u64 {
        little_endian(&self.header[at..at + length])
    }

    fn entry_sectors(&self) -> u64 {
        self.entries.len().div_ceil(SECTOR) as u64
    }

    fn padded_entries(&self) -> Vec<u8> {
        let mut entries = self.entries.clone();
        entries.resize(self.entry_sectors() as usize * SECTOR, 0);
        entries
    }

    fn entry_mut(&mut self, number: u32) -> &mut [u8] {
        let at = (number as usize - 1) * ENTRY_LENGTH;
        &mut self.entries[at..at + ENTRY_LENGTH]
    }
}

/// Last sector before the backup table.
fn last_usable(entries: &[u8], disk_sectors: u64) -> u64 {
    disk_sectors - 2 - entries.len().div_ceil(SECTOR) as u64
}

fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

/// GUIDs store their first three fields with the low byte first.
const ORDER: [usize; 16] = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];

fn uuid_bytes(text: &str) -> Option<[u8; 16]> {
    let digits: Vec<u8> = text.bytes().filter(|&byte| byte != b'-').collect();
    if digits.len() != 32 || text.len() != 36 || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0; 16];
    for (pair, at) in digits.chunks_exact(2).zip(ORDER) {
        bytes[at] = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

fn uuid_text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(36);
    for (index, &at) in ORDER.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{:02x}", bytes[at]));
    }
    text
}

/// CRC-32 as in ISO 3309, reflected, polynomial 0xEDB88320.
fn checksum(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = {
        let mut table = [0u32; 256];
        let mut index = 0;
        while index < 256 {
            let mut value = index as u32;
            let mut bit = 0;
            while bit < 8 {
                value = if value & 1 == 1 { value >> 1 ^ 0xEDB8_8320 } else { value >> 1 };
                bit += 1;
            }
            table[index] = value;
            index += 1;
        }
        table
    };
    !bytes.iter().fold(!0, |sum, &byte| TABLE[((sum ^ u32::from(byte)) & 0xFF) as usize] ^ sum >> 8)
}

#[cfg(test)]
pub(crate) mod tests;
