//! Law 4 for the data partition: the power is cut at every write, and the next boot has data or makes it again.

use super::*;
use crate::init::gpt::tests::{MemoryDisk, disk_made_by_sgdisk, sgdisk_says};

/// A file system is a magic text at the start of its partition, an identity sector and a user's sector behind it.
struct FakeWorld {
    disk: MemoryDisk,
    first: u64,
    formats: usize,
}

const MAGIC: &[u8; 8] = b"fake fs ";

impl FakeWorld {
    fn sector(&self, index: u64) -> Vec<u8> {
        let mut sector = vec![0; SECTOR];
        self.disk.read(self.first + index, &mut sector).expect("inside of the disk");
        sector
    }

    fn write_text(&mut self, index: u64, text: &[u8]) -> io::Result<()> {
        let mut sector = vec![0; SECTOR];
        sector[..text.len()].copy_from_slice(text);
        let first = self.first;
        self.disk.write(first + index, &sector)
    }
}

impl DataWorld for FakeWorld {
    fn disk(&mut self) -> &mut dyn BlockDevice {
        &mut self.disk
    }

    fn partition_grew(&mut self, _partition: &Partition) -> io::Result<()> {
        self.disk.use_power()
    }

    fn format(&mut self) -> Result<(), String> {
        self.formats += 1;
        for index in 0..3 {
            self.write_text(index, b"").map_err(|error| error.to_string())?;
        }
        self.write_text(0, MAGIC).map_err(|error| error.to_string())
    }

    fn mount(&mut self) -> io::Result<()> {
        self.disk.use_power()?;
        if self.sector(0).starts_with(MAGIC) { Ok(()) } else { Err(io::Error::other("wrong fs type")) }
    }

    fn read_identity(&mut self) -> io::Result<Option<String>> {
        let sector = self.sector(1);
        let text: Vec<u8> = sector.into_iter().take_while(|&byte| byte != 0).collect();
        Ok((!text.is_empty()).then(|| String::from_utf8_lossy(&text).into_owned()))
    }

    fn write_identity(&mut self, identity: &str) -> io::Result<()> {
        self.write_text(1, identity.as_bytes())?;
        self.disk.use_power()
    }
}

const DISK: usize = 300 << 20;

fn new_disk() -> MemoryDisk {
    let mut disk = disk_made_by_sgdisk(8 << 20);
    disk.grow(DISK);
    disk
}

/// One boot, until its end or the cut.
fn boot(disk: &mut MemoryDisk, formats: &mut usize) -> Result<Prepared, DataProblem> {
    let partition = Table::read(disk)?.partitions().into_iter().find(|it| it.name.starts_with(NAME));
    let partition = partition.expect("the table has a data partition after every cut");
    let taken = std::mem::replace(disk, MemoryDisk { bytes: Vec::new(), writes_left: None });
    let mut world = FakeWorld { disk: taken, first: partition.first, formats: 0 };
    let outcome = prepare(&mut world, &partition, "example/shop");
    *formats += world.formats;
    *disk = world.disk;
    outcome.map(|(prepared, _)| prepared)
}

#[test]
fn first_boot_formats_grows_and_renames_and_the_second_boot_does_not() {
    let mut disk = new_disk();
    let mut formats = 0;
    assert_eq!(boot(&mut disk, &mut formats).expect("the disk works"), Prepared::Formatted);
    assert_eq!(boot(&mut disk, &mut formats).expect("the disk works"), Prepared::Known);
    assert_eq!(formats, 1);
    assert!(sgdisk_says(&disk, &["-v"]).contains("No problems found"));
    assert!(sgdisk_says(&disk, &["-i", "2"]).contains("'ampoule-data'"));
}

#[test]
fn a_power_cut_after_any_write_of_the_first_boot_is_recovered_by_the_next() {
    let original = new_disk();
    // One disk of 300 MiB is reused: only its table and three sectors are ever written.
    let mut disk = original.clone();
    for cut in 0.. {
        disk.bytes[..8 << 20].copy_from_slice(&original.bytes[..8 << 20]);
        let end = disk.bytes.len() - (1 << 20);
        disk.bytes[end..].fill(0);
        disk.writes_left = Some(cut);
        let mut formats = 0;
        let finished = boot(&mut disk, &mut formats).is_ok();
        disk.writes_left = None;
        boot(&mut disk, &mut formats).unwrap_or_else(|error| panic!("cut after {cut} writes: {error}"));
        let partition = Table::read(&disk).expect("whole").partitions().remove(1);
        assert_eq!(partition.name, NAME, "cut after {cut} writes");
        if finished {
            assert_eq!(formats, 1);
            return;
        }
        assert!(cut < 400, "BUG: the first boot never ends");
    }
}

#[test]
fn a_partition_that_was_renamed_is_never_formatted_again() {
    let mut disk = new_disk();
    let mut formats = 0;
    boot(&mut disk, &mut formats).expect("the disk works");
    let first = Table::read(&disk).expect("whole").partitions()[1].first as usize;
    disk.bytes[first * SECTOR] ^= 1;
    assert!(matches!(boot(&mut disk, &mut formats), Err(DataProblem::Mount(_))));
    assert_eq!(formats, 1);
}

#[test]
fn data_of_another_appliance_is_refused_and_both_are_named() {
    let mut disk = new_disk();
    boot(&mut disk, &mut 0).expect("the disk works");
    let partition = Table::read(&disk).expect("whole").partitions().remove(1);
    let before = disk.bytes.clone();
    let mut world = FakeWorld { disk, first: partition.first, formats: 0 };
    let error = prepare(&mut world, &partition, "example/wiki").expect_err("it is the shop's");
    assert_eq!(
        error.to_string(),
        "it holds the data of `example/shop`, and this appliance is `example/wiki`"
    );
    assert!(world.disk.bytes == before, "nothing may be written to it");
}

#[test]
fn a_disk_that_is_too_small_is_refused_before_anything_is_written() {
    let mut disk = disk_made_by_sgdisk(8 << 20);
    disk.grow(200 << 20);
    let before = disk.bytes.clone();
    let error = boot(&mut disk, &mut 0).expect_err("200 MiB are too few");
    assert_eq!(error.to_string(), "the data partition has 197 MiB, at least 256 MiB are needed");
    assert!(disk.bytes == before);
}

#[test]
fn a_disk_that_was_made_larger_later_is_used_to_its_end() {
    let mut disk = new_disk();
    boot(&mut disk, &mut 0).expect("the disk works");
    disk.grow(DISK + (64 << 20));
    let mut formats = 0;
    assert_eq!(boot(&mut disk, &mut formats).expect("the disk works"), Prepared::Known);
    let partition = Table::read(&disk).expect("whole").partitions().remove(1);
    assert_eq!((partition.last + 1) * SECTOR as u64, (DISK as u64 + (64 << 20)) - (1 << 20));
    assert_eq!(formats, 0);
}

fn candidate(disk: &str, place: Place, name: &str) -> Candidate {
    let partition =
        Partition { number: 1, uuid: String::new(), name: name.to_owned(), first: 2048, last: 1 << 20 };
    Candidate { disk: disk.to_owned(), place, partition }
}

#[test]
fn a_disk_of_its_own_is_preferred_and_a_formatted_one_most() {
    let system = candidate("vda", Place::SystemDisk, NAME_NEW);
    let new = candidate("vdb", Place::OwnDisk, NAME_NEW);
    let used = candidate("vdc", Place::OwnDisk, NAME);
    let chosen = |list: Vec<Candidate>| choose(list).map(|choice| choice.candidate.disk);
    assert_eq!(chosen(vec![system.clone()]).expect("one"), "vda");
    assert_eq!(chosen(vec![system.clone(), new.clone()]).expect("one"), "vdb");
    assert_eq!(chosen(vec![system, new, used]).expect("one"), "vdc");
    assert!(matches!(chosen(vec![candidate("vda", Place::SystemDisk, "esp")]), Err(DataProblem::Missing)));
}

#[test]
fn two_used_data_disks_are_refused() {
    let error = choose(vec![candidate("vdc", Place::OwnDisk, NAME), candidate("vdb", Place::OwnDisk, NAME)]);
    assert_eq!(error.expect_err("two").to_string(), "there are 2 data disks: vdb, vdc");
}

#[test]
fn leaving_used_data_behind_is_said() {
    let choice =
        choose(vec![candidate("vda", Place::SystemDisk, NAME), candidate("vdb", Place::OwnDisk, NAME_NEW)]);
    assert!(choice.expect("one").notice.expect("it is said").contains("stays, unused, on the system disk"));
}
