//! Making a FAT32 file system.

use std::collections::BTreeMap;

use tree::TreePath;

use super::name;
use super::{
    ATTRIBUTE_DIRECTORY, ATTRIBUTE_VOLUME, CHAIN_END, ENTRY_SIZE, EspError, MAXIMUM_SIZE, MINIMUM_SIZE,
    Options, RESERVED, ROOT_CLUSTER, SECTOR, TABLES,
};
use crate::bytes::put;

const LABEL: &[u8; 11] = b"ESP        ";
/// 1 January 1980, the first day that FAT can say.
const DATE: u16 = 0x0021;

/// Makes the file system: `options.size` bytes.
pub fn write(files: &[(TreePath, &[u8])], options: &Options) -> Result<Vec<u8>, EspError> {
    let size = options.size;
    if !(MINIMUM_SIZE..=MAXIMUM_SIZE).contains(&size) || !size.is_multiple_of(4096) {
        return Err(EspError::Size { size });
    }
    let geometry = Geometry::new(size);
    let root = build_directories(files)?;
    let mut volume =
        Volume { bytes: vec![0; size as usize], geometry, table: vec![0x0FFF_FFF8, 0x0FFF_FFFF] };
    let root_entry = Entry { attributes: ATTRIBUTE_VOLUME, first_cluster: 0, size: 0 }.encode(LABEL);
    volume.add_directory(&root, 0, vec![root_entry])?;
    volume.finish(options.volume_id);
    Ok(volume.bytes)
}

/// A directory by folded names: FAT does not tell cases apart.
#[derive(Default)]
struct Directory<'a> {
    children: BTreeMap<String, (&'a str, Child<'a>)>,
}

enum Child<'a> {
    Directory(Directory<'a>),
    File(&'a [u8]),
}

fn build_directories<'a>(files: &'a [(TreePath, &'a [u8])]) -> Result<Directory<'a>, EspError> {
    let mut root = Directory::default();
    for (path, content) in files {
        let mut directory = &mut root;
        let duplicate = || EspError::Duplicate { path: path.clone() };
        let mut parts = path.as_str().split('/').peekable();
        while let Some(part) = parts.next() {
            if !name::is_valid(part) {
                return Err(EspError::Name { path: path.clone() });
            }
            let folded = part.to_lowercase();
            if parts.peek().is_none() {
                if directory.children.insert(folded, (part, Child::File(content))).is_some() {
                    return Err(duplicate());
                }
                break;
            }
            let child = directory.children.entry(folded);
            let (_, child) = child.or_insert_with(|| (part, Child::Directory(Directory::default())));
            directory = match child {
                Child::Directory(directory) => directory,
                Child::File(_) => return Err(duplicate()),
            };
        }
    }
    Ok(root)
}

/// How the bytes of a volume are divided.
struct Geometry {
    sectors: u64,
    cluster_sectors: u64,
    table_sectors: u64,
    clusters: u64,
}

impl Geometry {
    fn new(size: u64) -> Self {
        let sectors = size / SECTOR as u64;
        // The largest clusters that leave enough of them for FAT32 (65525, and some for the tables).
        let cluster_sectors = [8, 4, 2].into_iter().find(|count| sectors / count >= 70_000).unwrap_or(1);
        // A cluster takes its sectors and four bytes in each table; two entries have no cluster.
        let entries_per_sector = SECTOR as u64 / 4;
        let room = sectors - RESERVED;
        let table_sectors = (room / cluster_sectors + 2).div_ceil(entries_per_sector);
        let clusters = (room - TABLES * table_sectors) / cluster_sectors;
        Self { sectors, cluster_sectors, table_sectors, clusters }
    }

    fn cluster_size(&self) -> usize {
        self.cluster_sectors as usize * SECTOR
    }

    fn cluster_offset(&self, cluster: u32) -> usize {
        let data = RESERVED + TABLES * self.table_sectors;
        (data + u64::from(cluster - ROOT_CLUSTER) * self.cluster_sectors) as usize * SECTOR
    }
}

/// A volume while it fills. Clusters are given out in order.
struct Volume {
    bytes: Vec<u8>,
    geometry: Geometry,
    table: Vec<u32>,
}

impl Volume {
    /// Writes a directory and all below it; `entries` stand at its start. `parent` is 0 for the root and for what
    /// lies in it. Returns the directory's first cluster.
    fn add_directory(
        &mut self,
        directory: &Directory<'_>,
        parent: u32,
        mut entries: Vec<[u8; ENTRY_SIZE]>,
    ) -> Result<u32, EspError> {
        let is_root = self.table.len() == ROOT_CLUSTER as usize;
        let own_count = if is_root { entries.len() } else { 2 };
        let long = |(name, _): &(&str, Child<'_>)| match name::short(name, 0) {
            (_, false) => 1,
            (short, true) => 1 + name::long_entries(name, &short).len(),
        };
        let count = own_count + directory.children.values().map(long).sum::<usize>();
        let first = self.reserve(count * ENTRY_SIZE)?;
        if !is_root {
            let own = Entry { attributes: ATTRIBUTE_DIRECTORY, first_cluster: first, size: 0 };
            let above = Entry { first_cluster: parent, ..own };
            entries.push(own.encode(b".          "));
            entries.push(above.encode(b"..         "));
        }
        for (number, (name, child)) in directory.children.values().enumerate() {
            let entry = match child {
                Child::Directory(below) => {
                    let parent = if is_root { 0 } else { first };
                    let first_cluster = self.add_directory(below, parent, Vec::new())?;
                    Entry { attributes: ATTRIBUTE_DIRECTORY, first_cluster, size: 0 }
                }
                Child::File(content) => {
                    let first_cluster = if content.is_empty() { 0 } else { self.reserve(content.len())? };
                    if first_cluster != 0 {
                        put(&mut self.bytes, self.geometry.cluster_offset(first_cluster), content);
                    }
                    // Fits: a volume is no larger than 2 GiB.
                    Entry { attributes: 0x20, first_cluster, size: content.len() as u32 }
                }
            };
            let (short, needs_long) = name::short(name, number);
            if needs_long {
                entries.extend(name::long_entries(name, &short));
            }
            entries.push(entry.encode(&short));
        }
        put(&mut self.bytes, self.geometry.cluster_offset(first), entries.as_flattened());
        Ok(first)
    }

    /// Takes the next clusters for `length` bytes and chains them.
    fn reserve(&mut self, length: usize) -> Result<u32, EspError> {
        let first = self.table.len() as u32;
        let count = length.div_ceil(self.geometry.cluster_size()) as u32;
        if u64::from(first - ROOT_CLUSTER + count) > self.geometry.clusters {
            return Err(EspError::Full { size: self.bytes.len() as u64 });
        }
        self.table.extend((1..count).map(|index| first + index));
        self.table.push(CHAIN_END | 7);
        Ok(first)
    }

    /// Writes boot sector, information and tables.
    fn finish(&mut self, volume_id: u32) {
        let used = self.table.len() as u64 - u64::from(ROOT_CLUSTER);
        let boot = boot_sector(&self.geometry, volume_id);
        let information = information_sector(self.geometry.clusters - used, self.table.len() as u32);
        for first in [0, 6] {
            put(&mut self.bytes, first * SECTOR, &boot);
            put(&mut self.bytes, (first + 1) * SECTOR, &information);
            // The third boot sector has a signature only.
            put(&mut self.bytes, (first + 2) * SECTOR + 510, &[0x55, 0xAA]);
        }
        let table: Vec<u8> = self.table.iter().flat_map(|entry| entry.to_le_bytes()).collect();
        for number in 0..TABLES {
            let sector = RESERVED + number * self.geometry.table_sectors;
            put(&mut self.bytes, sector as usize * SECTOR, &table);
        }
    }
}

#[derive(Clone, Copy)]
struct Entry {
    attributes: u8,
    first_cluster: u32,
    size: u32,
}

impl Entry {
    fn encode(self, short: &[u8; 11]) -> [u8; ENTRY_SIZE] {
        let mut entry = [0; ENTRY_SIZE];
        put(&mut entry, 0, short);
        entry[11] = self.attributes;
        for date in [16, 18, 24] {
            put(&mut entry, date, &DATE.to_le_bytes());
        }
        put(&mut entry, 20, &((self.first_cluster >> 16) as u16).to_le_bytes());
        put(&mut entry, 26, &(self.first_cluster as u16).to_le_bytes());
        put(&mut entry, 28, &self.size.to_le_bytes());
        entry
    }
}

fn boot_sector(geometry: &Geometry, volume_id: u32) -> [u8; SECTOR] {
    let mut sector = [0; SECTOR];
    // A jump over the parameters, as the specification wants it, to an endless loop.
    put(&mut sector, 0, &[0xEB, 0x58, 0x90]);
    put(&mut sector, 3, b"MSWIN4.1");
    put(&mut sector, 11, &(SECTOR as u16).to_le_bytes());
    sector[13] = geometry.cluster_sectors as u8;
    put(&mut sector, 14, &(RESERVED as u16).to_le_bytes());
    sector[16] = TABLES as u8;
    sector[21] = 0xF8;
    put(&mut sector, 24, &63u16.to_le_bytes());
    put(&mut sector, 26, &255u16.to_le_bytes());
    put(&mut sector, 32, &(geometry.sectors as u32).to_le_bytes());
    put(&mut sector, 36, &(geometry.table_sectors as u32).to_le_bytes());
    put(&mut sector, 44, &ROOT_CLUSTER.to_le_bytes());
    put(&mut sector, 48, &1u16.to_le_bytes());
    put(&mut sector, 50, &6u16.to_le_bytes());
    sector[64] = 0x80;
    sector[66] = 0x29;
    put(&mut sector, 67, &volume_id.to_le_bytes());
    put(&mut sector, 71, LABEL);
    put(&mut sector, 82, b"FAT32   ");
    put(&mut sector, 90, &[0xEB, 0xFE]);
    put(&mut sector, 510, &[0x55, 0xAA]);
    sector
}

fn information_sector(free: u64, next_free: u32) -> [u8; SECTOR] {
    let mut sector = [0; SECTOR];
    put(&mut sector, 0, b"RRaA");
    put(&mut sector, 484, b"rrAa");
    put(&mut sector, 488, &(free as u32).to_le_bytes());
    put(&mut sector, 492, &next_free.to_le_bytes());
    put(&mut sector, 510, &[0x55, 0xAA]);
    sector
}
