//! Files in the root of a FAT12, FAT16 or FAT32 volume (Microsoft FAT specification 1.03). The kernel shows partitions as devices of
//! their own.

use super::{Entry, MediaError, PIECES_LIMIT, Piece, ReadAt, Start, number};

/// Entries of the root directory that are looked at; see the limit in [`super::iso9660`].
const ENTRY_LIMIT: usize = 2048;
const ENTRY: usize = 32;
const LONG_NAME: u8 = 0x0F;
const VOLUME_LABEL: u8 = 0x08;
const DIRECTORY: u8 = 0x10;

/// A volume.
pub struct Volume<'a> {
    disk: &'a dyn ReadAt,
    /// Bytes of a cluster.
    cluster: u64,
    fat_at: u64,
    data_at: u64,
    clusters: u64,
    root: Root,
    /// As the first sector has it.
    label: [u8; 11],
    directory: Vec<u8>,
    /// Why the directory is not there.
    failed: Option<String>,
}

enum Root {
    Fixed { at: u64, entries: usize },
    Cluster(u64),
}

impl<'a> Volume<'a> {
    /// Reads the first sector and the root directory; `None` when it is no FAT volume.
    pub fn open(disk: &'a dyn ReadAt) -> Option<Volume<'a>> {
        let mut boot = [0u8; 512];
        disk.read_at(0, &mut boot).ok()?;
        let mut volume = Volume::parse(disk, &boot)?;
        match volume.read_root() {
            Ok(directory) => volume.directory = directory,
            Err(error) => volume.failed = Some(error.to_string()),
        }
        Some(volume)
    }

    /// Its labels: the first sector's, and the root directory's.
    pub(super) fn labels(&self) -> Vec<&[u8]> {
        let is_label = |entry: &&[u8]| entry[0] != 0xE5 && entry[11] & 0x3F == VOLUME_LABEL;
        let in_root = self.entries().filter(is_label).map(|entry| &entry[..11]);
        [self.label.as_slice()].into_iter().chain(in_root).collect()
    }

    fn entries(&self) -> impl Iterator<Item = &[u8]> {
        self.directory.chunks_exact(ENTRY).take_while(|entry| entry[0] != 0)
    }

    fn parse(disk: &'a dyn ReadAt, boot: &[u8; 512]) -> Option<Volume<'a>> {
        let sector = number(&boot[11..13]);
        let cluster = u64::from(boot[13]) * sector;
        let fats = u64::from(boot[16]);
        let reserved = number(&boot[14..16]);
        let is_volume =
            boot[510..] == [0x55, 0xAA] && [512, 1024, 2048, 4096].contains(&sector) && cluster > 0;
        if !is_volume || !(1..=2).contains(&fats) || reserved == 0 || !boot[13].is_power_of_two() {
            return None;
        }
        let entries = number(&boot[17..19]) as usize;
        let short_or = |short: u64, long: u64| if short == 0 { long } else { short };
        let fat_sectors = short_or(number(&boot[22..24]), number(&boot[36..40]));
        let sectors = short_or(number(&boot[19..21]), number(&boot[32..36]));
        let root_at = (reserved + fats * fat_sectors) * sector;
        let data_at = root_at + ((entries * ENTRY) as u64).next_multiple_of(sector);
        let clusters = (sectors * sector).checked_sub(data_at)? / cluster;
        let root = if number(&boot[22..24]) == 0 {
            Root::Cluster(number(&boot[44..48]))
        } else {
            Root::Fixed { at: root_at, entries: entries.min(ENTRY_LIMIT) }
        };
        let label_at = if matches!(root, Root::Cluster(_)) { 71 } else { 43 };
        let mut label = [0; 11];
        label.copy_from_slice(&boot[label_at..label_at + 11]);
        let (fat_at, directory, failed) = (reserved * sector, Vec::new(), None);
        Some(Volume { disk, cluster, fat_at, data_at, clusters, root, label, directory, failed })
    }

    fn read_root(&self) -> Result<Vec<u8>, MediaError> {
        let pieces = match self.root {
            Root::Fixed { at, entries } => vec![Piece { at, length: (entries * ENTRY) as u64 }],
            // The chain's end is the directory's.
            Root::Cluster(first) => self.follow(first, (ENTRY_LIMIT * ENTRY) as u64)?,
        };
        let mut bytes = Vec::new();
        for piece in pieces {
            let start = bytes.len();
            bytes.resize(start + piece.length as usize, 0);
            self.disk.read_at(piece.at, &mut bytes[start..])?;
        }
        Ok(bytes)
    }

    /// The files in its root.
    pub fn files(&self) -> Result<Vec<Entry>, MediaError> {
        if let Some(why) = &self.failed {
            return Err(std::io::Error::other(why.clone()).into());
        }
        let (mut files, mut long_name): (_, Vec<u16>) = (Vec::new(), Vec::new());
        for entry in self.entries() {
            if entry[11] == LONG_NAME && entry[0] != 0xE5 {
                // Pieces come last first.
                let units = [&entry[1..11], &entry[14..26], &entry[28..32]].concat();
                let piece = units.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]]));
                long_name = piece.chain(std::mem::take(&mut long_name)).take(255).collect();
                continue;
            }
            let long: Vec<u16> =
                std::mem::take(&mut long_name).into_iter().take_while(|&unit| unit != 0).collect();
            if entry[0] == 0xE5 || entry[11] & (VOLUME_LABEL | DIRECTORY) != 0 {
                continue;
            }
            let part = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
            let short = format!("{}.{}", part(&entry[..8]), part(&entry[8..11]));
            files.push(Entry {
                names: vec![short, String::from_utf16_lossy(&long)],
                length: number(&entry[28..32]),
                start: Start::Cluster(number(&entry[20..22]) << 16 | number(&entry[26..28])),
            });
        }
        Ok(files)
    }

    /// The pieces of a file of `length` bytes.
    pub(super) fn chain(&self, first: u64, length: u64) -> Result<Vec<Piece>, MediaError> {
        let mut pieces = self.follow(first, length)?;
        let mut beyond = pieces.iter().map(|piece| piece.length).sum::<u64>();
        beyond = beyond.checked_sub(length).ok_or(MediaError::Damaged)?;
        if let Some(last) = pieces.last_mut() {
            // It ends within its last cluster.
            last.length = last.length.checked_sub(beyond).ok_or(MediaError::Damaged)?;
        }
        Ok(pieces)
    }

    /// Clusters from `first` on, until the chain ends or `limit` bytes are there: a chain in a circle ends there too. Neighbours are
    /// one piece.
    fn follow(&self, first: u64, limit: u64) -> Result<Vec<Piece>, MediaError> {
        let (mut pieces, mut found): (Vec<Piece>, u64) = (Vec::new(), 0);
        let mut cluster = first;
        while found < limit && (2..self.clusters + 2).contains(&cluster) {
            let at = self.data_at + (cluster - 2) * self.cluster;
            match pieces.last_mut() {
                Some(last) if last.at + last.length == at => last.length += self.cluster,
                _ => pieces.push(Piece { at, length: self.cluster }),
            }
            if pieces.len() > PIECES_LIMIT {
                return Err(MediaError::Scattered);
            }
            found += self.cluster;
            cluster = self.next(cluster)?;
        }
        Ok(pieces)
    }

    fn next(&self, cluster: u64) -> Result<u64, MediaError> {
        let mut entry = [0u8; 4];
        // The number of clusters alone decides the kind (FAT specification, "FAT Type Determination").
        let next = if self.clusters < 4085 {
            self.disk.read_at(self.fat_at + cluster + cluster / 2, &mut entry[..2])?;
            if cluster.is_multiple_of(2) { number(&entry[..2]) & 0xFFF } else { number(&entry[..2]) >> 4 }
        } else if self.clusters < 65525 {
            self.disk.read_at(self.fat_at + cluster * 2, &mut entry[..2])?;
            number(&entry[..2])
        } else {
            self.disk.read_at(self.fat_at + cluster * 4, &mut entry)?;
            number(&entry) & 0x0FFF_FFFF
        };
        Ok(next)
    }
}
