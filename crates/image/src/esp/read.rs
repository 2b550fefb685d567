//! Reading a FAT32 file system that anybody may have made.

use tree::TreePath;

use super::name::LongName;
use super::{
    ATTRIBUTE_DIRECTORY, ATTRIBUTE_LONG_NAME, ATTRIBUTE_VOLUME, CHAIN_END, ENTRY_SIZE, EspError,
    MAXIMUM_FILE, ROOT_CLUSTER, SECTOR,
};
use crate::ReadAt;
use crate::bytes::{le16, le32};

/// Longest directory in bytes, which is some thousand files: stops a chain of clusters that leads back into itself.
const MAXIMUM_DIRECTORY: usize = 1 << 20;

/// Most files listed: stops directories that contain each other from multiplying.
const MAXIMUM_FILES: usize = 10_000;

/// Deepest directory read: stops directories that contain themselves.
const MAXIMUM_DEPTH: usize = 16;

/// Paths and sizes of all files, in path order.
pub fn list(esp: &dyn ReadAt) -> Result<Vec<(TreePath, u64)>, EspError> {
    let files = Volume::open(esp)?.files()?;
    Ok(files.into_iter().map(|(path, entry)| (path, u64::from(entry.size))).collect())
}

/// Reads one file whole. Names are compared without regard to case, as FAT does.
pub fn read(esp: &dyn ReadAt, path: &TreePath) -> Result<Vec<u8>, EspError> {
    let volume = Volume::open(esp)?;
    let wanted = path.as_str().to_lowercase();
    let files = volume.files()?;
    let found = files.iter().find(|(found, _)| found.as_str().to_lowercase() == wanted);
    let (_, entry) = found.ok_or_else(|| EspError::NotFound { path: path.clone() })?;
    if u64::from(entry.size) > MAXIMUM_FILE {
        return Err(EspError::Damaged { path: path.clone(), problem: "file of more than 512 MiB" });
    }
    let mut bytes = volume.read_chain(path, entry.first_cluster, entry.size as usize)?;
    if bytes.len() < entry.size as usize {
        return Err(EspError::Damaged { path: path.clone(), problem: "fewer clusters than its size needs" });
    }
    bytes.truncate(entry.size as usize);
    Ok(bytes)
}

struct Volume<'a> {
    source: &'a dyn ReadAt,
    cluster_size: usize,
    data_start: u64,
    clusters: u64,
    root_cluster: u32,
    /// The first allocation table.
    table: Vec<u8>,
}

#[derive(Clone, Copy)]
struct Entry {
    first_cluster: u32,
    size: u32,
}

impl<'a> Volume<'a> {
    fn open(source: &'a dyn ReadAt) -> Result<Self, EspError> {
        let not = |problem| Err(EspError::NotFat { problem });
        let mut boot = [0; SECTOR];
        if source.size() < SECTOR as u64 {
            return not("it is too short");
        }
        read_at(source, &mut boot, 0)?;
        let cluster_sectors = boot[13];
        let (reserved, tables) = (u64::from(le16(&boot, 14)), u64::from(boot[16]));
        let (sectors, table_sectors) = (u64::from(le32(&boot, 32)), u64::from(le32(&boot, 36)));
        if boot[510..] != [0x55, 0xAA] || usize::from(le16(&boot, 11)) != SECTOR {
            return not("its boot sector has no signature or other sectors than of 512 bytes");
        }
        // FAT12 and FAT16 say the size of their tables elsewhere.
        if !cluster_sectors.is_power_of_two() || tables == 0 || reserved == 0 || le16(&boot, 22) != 0 {
            return not("its boot sector is of another kind");
        }
        let first_data = reserved + tables * table_sectors;
        if first_data >= sectors || sectors > source.size() / SECTOR as u64 {
            return not("it is longer than its partition");
        }
        let clusters = (sectors - first_data) / u64::from(cluster_sectors);
        let table_bytes = (clusters + 2) * 4;
        if table_bytes > table_sectors * SECTOR as u64 {
            return not("its tables are too short");
        }
        // Bounded by the partition: the table lies inside it.
        let mut table = vec![0; table_bytes as usize];
        read_at(source, &mut table, reserved * SECTOR as u64)?;
        Ok(Self {
            source,
            cluster_size: usize::from(cluster_sectors) * SECTOR,
            data_start: first_data * SECTOR as u64,
            clusters,
            root_cluster: le32(&boot, 44),
            table,
        })
    }

    fn files(&self) -> Result<Vec<(TreePath, Entry)>, EspError> {
        let mut files = Vec::new();
        let mut pending = vec![(TreePath::root(), self.root_cluster, 0)];
        while let Some((path, cluster, depth)) = pending.pop() {
            if depth > MAXIMUM_DEPTH {
                return Err(EspError::Damaged { path, problem: "directories too deep" });
            }
            if files.len() + pending.len() > MAXIMUM_FILES {
                return Err(EspError::Damaged { path, problem: "more than 10000 files" });
            }
            let bytes = self.read_chain(&path, cluster, MAXIMUM_DIRECTORY)?;
            let mut long = LongName::default();
            for entry in bytes.chunks_exact(ENTRY_SIZE) {
                match (entry[0], entry[11]) {
                    (0, _) => break,
                    (0xE5, _) => long = LongName::default(),
                    (_, attributes) if attributes & 0x3F == ATTRIBUTE_LONG_NAME => long.push(entry),
                    (_, attributes) if attributes & ATTRIBUTE_VOLUME != 0 => long = LongName::default(),
                    (_, attributes) => {
                        let name = long.finish(entry);
                        if name == "." || name == ".." {
                            continue;
                        }
                        let problem = "impossible name";
                        let child = path
                            .join(&name)
                            .map_err(|_| EspError::Damaged { path: path.clone(), problem })?;
                        let first_cluster = u32::from(le16(entry, 20)) << 16 | u32::from(le16(entry, 26));
                        if attributes & ATTRIBUTE_DIRECTORY != 0 {
                            pending.push((child, first_cluster, depth + 1));
                        } else {
                            files.push((child, Entry { first_cluster, size: le32(entry, 28) }));
                        }
                    }
                }
            }
        }
        files.sort_by(|one, other| one.0.cmp(&other.0));
        Ok(files)
    }

    /// Whole clusters of a chain, until they hold `enough` bytes or the chain ends.
    fn read_chain(&self, path: &TreePath, first: u32, enough: usize) -> Result<Vec<u8>, EspError> {
        let mut bytes = Vec::new();
        let mut cluster = first;
        while bytes.len() < enough && cluster < CHAIN_END {
            let index = u64::from(cluster).checked_sub(u64::from(ROOT_CLUSTER));
            let index = index.filter(|index| *index < self.clusters);
            let problem = "cluster beyond the end";
            let index = index.ok_or_else(|| EspError::Damaged { path: path.clone(), problem })?;
            let start = bytes.len();
            bytes.resize(start + self.cluster_size, 0);
            read_at(self.source, &mut bytes[start..], self.data_start + index * self.cluster_size as u64)?;
            // The upper four bits are not part of the number.
            cluster = le32(&self.table, cluster as usize * 4) & 0x0FFF_FFFF;
        }
        Ok(bytes)
    }
}

fn read_at(source: &dyn ReadAt, buffer: &mut [u8], offset: u64) -> Result<(), EspError> {
    source.read_exact_at(buffer, offset).map_err(|source| EspError::Source { offset, source })
}
