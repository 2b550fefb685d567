//! Laws of the partition table, judged by `sgdisk`.

use std::process::Command;

use super::*;
use crate::init::block::DeviceFile;

/// A disk in memory whose power can be cut: after `writes_left` sector writes nothing reaches it any more.
#[derive(Clone, Debug)]
pub(crate) struct MemoryDisk {
    pub bytes: Vec<u8>,
    pub writes_left: Option<usize>,
}

impl MemoryDisk {
    pub fn grow(&mut self, bytes: usize) {
        self.bytes.resize(bytes, 0);
    }

    pub fn power_cut() -> io::Error {
        io::Error::other("the power was cut")
    }

    /// Counts one thing that reaches the disk.
    pub fn use_power(&mut self) -> io::Result<()> {
        match &mut self.writes_left {
            Some(0) => Err(MemoryDisk::power_cut()),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl BlockDevice for MemoryDisk {
    fn sectors(&self) -> u64 {
        (self.bytes.len() / SECTOR) as u64
    }

    fn read(&self, sector: u64, bytes: &mut [u8]) -> io::Result<()> {
        let at = sector as usize * SECTOR;
        let source = self.bytes.get(at..at + bytes.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        bytes.copy_from_slice(source);
        Ok(())
    }

    fn write(&mut self, sector: u64, bytes: &[u8]) -> io::Result<()> {
        for (index, piece) in bytes.chunks(SECTOR).enumerate() {
            self.use_power()?;
            let at = (sector as usize + index) * SECTOR;
            self.bytes[at..at + SECTOR].copy_from_slice(piece);
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.use_power()
    }
}

/// A disk made by sgdisk: `esp` of 1 MiB and `ampoule-data-new` to the end.
pub(crate) fn disk_made_by_sgdisk(bytes: u64) -> MemoryDisk {
    let file = tempfile::NamedTempFile::new().expect("a temporary file can be made");
    file.as_file().set_len(bytes).expect("the file can be sized");
    let made = Command::new("sgdisk")
        .args(["-n", "1:2048:4095", "-c", "1:esp", "-n", "2:4096:0", "-c", "2:ampoule-data-new"])
        .arg(file.path())
        .output()
        .expect("sgdisk is needed for this test: install gdisk");
    assert!(made.status.success(), "sgdisk: {}", String::from_utf8_lossy(&made.stderr));
    MemoryDisk { bytes: std::fs::read(file.path()).expect("the disk can be read"), writes_left: None }
}

pub(crate) fn sgdisk_says(disk: &MemoryDisk, arguments: &[&str]) -> String {
    let file = tempfile::NamedTempFile::new().expect("a temporary file can be made");
    std::fs::write(file.path(), &disk.bytes).expect("the disk can be written");
    let said = Command::new("sgdisk")
        .args(arguments)
        .arg(file.path())
        .output()
        .expect("sgdisk is needed: install gdisk");
    format!("{}{}", String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr))
}

const MIB: usize = 1 << 20;

#[test]
fn a_table_of_another_tool_is_read() {
    let disk = disk_made_by_sgdisk(8 << 20);
    let table = Table::read(&disk).expect("sgdisk made a table");
    let partitions = table.partitions();
    assert_eq!(partitions.len(), 2);
    assert_eq!((partitions[1].number, partitions[1].name.as_str()), (2, "ampoule-data-new"));
    assert!(sgdisk_says(&disk, &["-i", "2"]).to_lowercase().contains(&partitions[1].uuid));
}

#[test]
fn a_grown_and_renamed_table_pleases_sgdisk() {
    let mut disk = disk_made_by_sgdisk(8 << 20);
    disk.grow(16 * MIB);
    let mut before = Table::read(&disk).expect("the primary table is whole");
    let data = before.partitions().remove(1);
    let end = before.greatest_end(&data, disk.sectors());
    let mut grown =
        before.with_end(2, end, disk.sectors()).commit(&mut before, &mut disk).expect("the disk works");
    grown.with_name(2, "ampoule-data").expect("short").commit(&mut grown, &mut disk).expect("the disk works");
    assert!(sgdisk_says(&disk, &["-v"]).contains("No problems found"), "{}", sgdisk_says(&disk, &["-v"]));
    let information = sgdisk_says(&disk, &["-i", "2"]);
    assert!(information.contains("'ampoule-data'"), "{information}");
    assert!(information.contains(&format!("Last sector: {end} ")), "{information}");
    assert_eq!((end + 1) % ALIGNMENT, 0);
}

#[test]
fn after_a_power_cut_at_any_write_the_table_is_the_old_or_the_new_one() {
    let mut original = disk_made_by_sgdisk(8 << 20);
    original.grow(16 * MIB);
    let old = Table::read(&original).expect("whole").partitions();
    let mut seen_new = false;
    for cut in 0.. {
        let mut disk = original.clone();
        disk.writes_left = Some(cut);
        let mut before = Table::read(&disk).expect("whole");
        let end = before.greatest_end(&old[1], disk.sectors());
        let new = before.with_end(2, end, disk.sectors());
        let expected = new.partitions();
        let finished = new.commit(&mut before, &mut disk).is_ok();
        let found = Table::read(&disk).expect("one copy is whole").partitions();
        assert!(found == old || found == expected, "cut after {cut} writes: {found:?}");
        seen_new |= found == expected;
        if finished {
            break;
        }
        assert!(cut < 200, "BUG: the change never ends");
    }
    assert!(seen_new);
}

#[test]
fn two_power_cuts_in_a_row_leave_a_whole_table() {
    let original = disk_made_by_sgdisk(8 << 20);
    for first in 0..80 {
        for second in 0..80 {
            let mut disk = original.clone();
            for (cut, name) in [(first, "one"), (second, "two")] {
                disk.writes_left = Some(cut);
                let mut before = Table::read(&disk).expect("one copy is whole");
                let _cut = before.with_name(2, name).expect("short").commit(&mut before, &mut disk);
            }
            let name = Table::read(&disk).expect("one copy is whole").partitions().remove(1).name;
            assert!(["ampoule-data-new", "one", "two"].contains(&name.as_str()), "{first} {second}: {name}");
        }
    }
}

#[test]
fn a_device_without_table_is_no_error_of_the_program() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file can be made");
    assert!(DeviceFile::open(file.path()).is_err(), "a plain file is no block device");
    let disk = MemoryDisk { bytes: vec![0; MIB], writes_left: None };
    assert!(matches!(Table::read(&disk), Err(TableError::Absent)));
    let tiny = MemoryDisk { bytes: vec![0; SECTOR], writes_left: None };
    assert!(matches!(Table::read(&tiny), Err(TableError::Absent)));
}

#[test]
fn a_lying_table_is_refused() {
    let good = disk_made_by_sgdisk(8 << 20);
    for at in SECTOR..SECTOR + HEADER_LENGTH {
        let mut disk = good.clone();
        disk.bytes[at] ^= 0x41;
        let table = Table::read(&disk).expect("the backup is whole");
        assert_eq!(table.primary(), Primary::Broken, "byte {at} is covered by the checksum");
    }
}
