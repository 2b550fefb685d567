//! Mends what fatfs 0.3 writes at the beginning of a directory, so that `fsck.vfat` finds nothing.
//!
//! fatfs gives `.` and `..` long names, though they must be the first two entries (Microsoft FAT specification, section
//! 6.5), and lets `..` name the root's cluster where 0 has to stand. Firmware does not mind; checkers do.

/// Bytes of a directory entry.
const ENTRY: usize = 32;
/// Attribute of directories.
const DIRECTORY: u8 = 0x10;
/// Attributes of an entry that is a part of a long name.
const LONG_NAME: u8 = 0x0F;
/// First byte of an entry that is free.
const FREE: u8 = 0xE5;
/// From here on a FAT32 entry is the end of a chain.
const END_OF_CHAIN: u32 = 0x0FFF_FFF8;

/// Where things are in a FAT32 file system that this crate has just made.
struct Layout {
    table: usize,
    data: usize,
    cluster: usize,
    root: u32,
}

impl Layout {
    fn read(bytes: &[u8]) -> Self {
        let short = |at: usize| usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
        let sector = short(11);
        let table = short(14) * sector;
        let tables = usize::from(bytes[16]) * word(bytes, 36) as usize * sector;
        let cluster = usize::from(bytes[13]) * sector;
        Self { table, data: table + tables, cluster, root: word(bytes, 44) }
    }

    fn offset(&self, cluster: u32) -> usize {
        self.data + (cluster as usize - 2) * self.cluster
    }

    fn next(&self, bytes: &[u8], cluster: u32) -> Option<u32> {
        let next = word(bytes, self.table + cluster as usize * 4) & 0x0FFF_FFFF;
        (next < END_OF_CHAIN).then_some(next)
    }
}

/// Mends every directory. `bytes` are a whole file system of fatfs's own making: nothing from outside comes here.
pub fn mend(bytes: &mut [u8]) {
    let layout = Layout::read(bytes);
    let mut pending = vec![layout.root];
    while let Some(directory) = pending.pop() {
        for child in children(bytes, &layout, directory) {
            mend_directory(bytes, layout.offset(child), directory == layout.root);
            pending.push(child);
        }
    }
}

/// First clusters of the directories in a directory.
fn children(bytes: &[u8], layout: &Layout, directory: u32) -> Vec<u32> {
    let chain = std::iter::successors(Some(directory), |cluster| layout.next(bytes, *cluster));
    let entries = chain.flat_map(|cluster| {
        let start = layout.offset(cluster);
        bytes[start..start + layout.cluster].chunks_exact(ENTRY)
    });
    entries
        .take_while(|entry| entry[0] != 0)
        .filter(|entry| ![FREE, b'.'].contains(&entry[0]))
        .filter(|entry| entry[11] != LONG_NAME && entry[11] & DIRECTORY != 0)
        .map(|entry| u32::from_le_bytes([entry[26], entry[27], entry[20], entry[21]]))
        .collect()
}

/// Long name, `.`, long name, `..` become `.`, `..` and two free entries.
fn mend_directory(bytes: &mut [u8], start: usize, is_below_root: bool) {
    let entries = &mut bytes[start..start + 4 * ENTRY];
    let is_spoilt = entries[11] == LONG_NAME && entries[ENTRY] == b'.' && entries[3 * ENTRY] == b'.';
    if is_spoilt {
        entries.copy_within(ENTRY..2 * ENTRY, 0);
        entries.copy_within(3 * ENTRY..4 * ENTRY, ENTRY);
        entries[2 * ENTRY..].fill(0);
        (entries[2 * ENTRY], entries[3 * ENTRY]) = (FREE, FREE);
    }
    if is_below_root {
        let parent = &mut entries[ENTRY..2 * ENTRY];
        parent[20..22].fill(0);
        parent[26..28].fill(0);
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
