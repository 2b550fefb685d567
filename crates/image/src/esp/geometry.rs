//! Whether the first sector of a FAT file system makes sense, before fatfs computes with it: its sums overflow.

use std::io;

use crate::ReadAt;

/// Bytes of the first sector that are looked at.
const BOOT_SECTOR: usize = 512;

/// Refuses a file system whose tables would not fit into it, or that would not fit into what it is on.
pub fn check(esp: &dyn ReadAt) -> io::Result<()> {
    let mut sector = [0; BOOT_SECTOR];
    esp.read_exact_at(&mut sector, 0)?;
    let short = |at: usize| u64::from(u16::from_le_bytes([sector[at], sector[at + 1]]));
    let long = |at: usize| short(at) | short(at + 2) << 16;
    let either = |small: u64, large: u64| if small == 0 { large } else { small };
    let bytes_per_sector = short(11);
    let total = either(short(19), long(32));
    let root_directory = (short(17) * 32).div_ceil(bytes_per_sector.max(1));
    let tables = u64::from(sector[16]) * either(short(22), long(36));
    // Only FAT32 has its root directory in a cluster; the first two numbers are reserved.
    let has_root = short(22) != 0 || long(44) >= 2;
    let fits = has_root
        && bytes_per_sector != 0
        && sector[13] != 0
        && short(14) + tables + root_directory < total
        && total * bytes_per_sector <= esp.size();
    if fits {
        Ok(())
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidData, "its boot sector contradicts itself"))
    }
}
