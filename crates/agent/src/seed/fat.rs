//! One file in the root of a FAT12, FAT16 or FAT32 volume (Microsoft FAT specification 1.03), without or in the first
//! partition of the disk (the kernel shows partitions as devices of their own).

use super::{FILE_NAME, ReadAt, SeedError, check_length, is_seed_label, number};

/// Entries of the root directory that are looked at; see the limit in [`super::iso9660`].
const ENTRY_LIMIT: usize = 2048;
const ENTRY: usize = 32;
const LONG_NAME: u8 = 0x0F;
const VOLUME_LABEL: u8 = 0x08;
const DIRECTORY: u8 = 0x10;

struct Volume<'a> {
    disk: &'a dyn ReadAt,
    sector: u64,
    cluster: u64,
    fat_at: u64,
    data_at: u64,
    clusters: u64,
    root: Root,
}

enum Root {
    Fixed { at: u64, entries: usize },
    Cluster(u64),
}

/// The file's bytes; `None` when this is no FAT volume with the label.
pub fn read(disk: &dyn ReadAt) -> Option<Result<Vec<u8>, SeedError>> {
    let mut boot = [0u8; 512];
    disk.read_at(0, &mut boot).ok()?;
    let volume = Volume::parse(disk, &boot)?;
    let label = if matches!(volume.root, Root::Cluster(_)) { &boot[71..82] } else { &boot[43..54] };
    let directory = match volume.read_root() {
        Ok(directory) => directory,
        Err(error) => return is_seed_label(label).then_some(Err(error)),
    };
    let in_root = directory.chunks_exact(ENTRY).take_while(|entry| entry[0] != 0);
    let root_label = in_root.clone().find(|entry| entry[0] != 0xE5 && entry[11] & 0x3F == VOLUME_LABEL);
    let has_label = is_seed_label(label) || root_label.is_some_and(|entry| is_seed_label(&entry[..11]));
    has_label.then(|| volume.read_file(&directory))
}

impl<'a> Volume<'a> {
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
        Some(Volume { disk, sector, cluster, fat_at: reserved * sector, data_at, clusters, root })
    }

    fn read_root(&self) -> Result<Vec<u8>, SeedError> {
        match self.root {
            Root::Fixed { at, entries } => {
                let mut bytes = vec![0; entries * ENTRY];
                self.disk.read_at(at, &mut bytes)?;
                Ok(bytes)
            }
            Root::Cluster(first) => self.read_chain(first, ENTRY_LIMIT * ENTRY),
        }
    }

    fn read_file(&self, directory: &[u8]) -> Result<Vec<u8>, SeedError> {
        let mut long_name: Vec<u16> = Vec::new();
        for entry in directory.chunks_exact(ENTRY).take_while(|entry| entry[0] != 0) {
            if entry[11] == LONG_NAME && entry[0] != 0xE5 {
                // Pieces come last first.
                let units = [&entry[1..11], &entry[14..26], &entry[28..32]].concat();
                let piece = units.chunks_exact(2).map(|unit| u16::from_le_bytes([unit[0], unit[1]]));
                long_name = piece.chain(std::mem::take(&mut long_name)).take(255).collect();
                continue;
            }
            let name = std::mem::take(&mut long_name);
            let name =
                String::from_utf16_lossy(&name.into_iter().take_while(|&unit| unit != 0).collect::<Vec<_>>());
            let is_file = entry[0] != 0xE5 && entry[11] & (VOLUME_LABEL | DIRECTORY) == 0;
            let is_named = name.eq_ignore_ascii_case(FILE_NAME) || &entry[..11] == b"SETTINGSTOM";
            if is_file && is_named {
                let length = check_length(number(&entry[28..32]))?;
                let first = number(&entry[20..22]) << 16 | number(&entry[26..28]);
                let mut bytes = if length == 0 { Vec::new() } else { self.read_chain(first, length)? };
                if bytes.len() < length {
                    return Err(SeedError::Damaged);
                }
                bytes.truncate(length);
                return Ok(bytes);
            }
        }
        Err(SeedError::NoFile)
    }

    /// Clusters from `first` on, until the chain ends or `limit` bytes are there: a chain in a circle ends there too.
    fn read_chain(&self, first: u64, limit: usize) -> Result<Vec<u8>, SeedError> {
        let mut bytes = Vec::new();
        let mut cluster = first;
        while bytes.len() < limit && (2..self.clusters + 2).contains(&cluster) {
            let start = bytes.len();
            bytes.resize(start + self.cluster as usize, 0);
            self.disk.read_at(self.data_at + (cluster - 2) * self.cluster, &mut bytes[start..])?;
            cluster = self.next(cluster)?;
        }
        Ok(bytes)
    }

    fn next(&self, cluster: u64) -> Result<u64, SeedError> {
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
        debug_assert!(self.sector >= 512);
        Ok(next)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::path::Path;
    use std::process::Command;

    use super::*;

    fn disk(bytes: u64, kind: &str, label: &str, content: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("a temporary file can be made");
        file.as_file().set_len(bytes).expect("sized");
        run(Command::new("mkfs.vfat").args(["-F", kind, "-n", label]).arg(file.path()), "dosfstools");
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let source = folder.path().join("settings.toml");
        std::fs::write(&source, content).expect("written");
        copy(file.path(), &source, "::some-other-long-name.txt");
        copy(file.path(), &source, "::settings.toml");
        file
    }

    fn copy(disk: &Path, source: &Path, target: &str) {
        run(Command::new("mcopy").arg("-i").arg(disk).arg(source).arg(target), "mtools");
    }

    fn run(command: &mut Command, package: &str) {
        let output = command.output().unwrap_or_else(|error| panic!("install {package}: {error}"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    #[test]
    fn disks_of_mkfs_vfat_are_read_in_all_three_kinds() {
        let content = "name = \"value\"\n".repeat(2000);
        for (kind, bytes) in [("12", 2 << 20), ("16", 16 << 20), ("32", 64 << 20)] {
            let disk = disk(bytes, kind, "AMPOULESEED", &content);
            let found = read(&File::open(disk.path()).expect("there")).expect("it has the label");
            assert!(found.expect("readable") == content.as_bytes(), "FAT{kind}");
        }
    }

    #[test]
    fn a_disk_with_another_label_is_left_alone() {
        let disk = disk(2 << 20, "12", "OTHER", "");
        assert!(read(&File::open(disk.path()).expect("there")).is_none());
    }

    #[test]
    fn no_damage_of_the_first_sectors_is_a_panic() {
        struct Bytes(Vec<u8>);
        impl ReadAt for Bytes {
            fn read_at(&self, offset: u64, bytes: &mut [u8]) -> std::io::Result<()> {
                let start = usize::try_from(offset).map_err(std::io::Error::other)?;
                let end = start.checked_add(bytes.len()).ok_or(std::io::ErrorKind::UnexpectedEof)?;
                bytes.copy_from_slice(self.0.get(start..end).ok_or(std::io::ErrorKind::UnexpectedEof)?);
                Ok(())
            }
        }
        let good = std::fs::read(disk(2 << 20, "12", "AMPOULESEED", "a = 1").path()).expect("readable");
        for at in 0..512 {
            for value in [0, 1, 0x7F, 0xFF] {
                let mut bytes = Bytes(good.clone());
                bytes.0[at] = value;
                let _any_answer = super::super::read(&bytes);
            }
        }
    }
}
