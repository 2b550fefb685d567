//! Laws of the partition table.

use super::*;

fn table() -> Table {
    let partition = |number: u32, name: &str, start: u64, length: u64| Partition {
        number,
        name: name.to_owned(),
        type_uuid: TYPE_LINUX,
        uuid: Uuid::derived(name, b"test"),
        start,
        length,
        attributes: ATTRIBUTE_NO_AUTO,
    };
    Table {
        disk_uuid: Uuid::derived("disk", b"test"),
        disk_size: 8 << 20,
        partitions: vec![
            partition(1, "esp", 1 << 20, 2 << 20),
            partition(2, "ampoule-data-new", 3 << 20, 4 << 20),
        ],
    }
}

fn disk_with(table: &Table, size: u64) -> Vec<u8> {
    let mut disk = vec![0; size as usize];
    let encoded = table.encode().unwrap();
    crate::bytes::put(&mut disk, 0, &encoded.primary);
    crate::bytes::put(&mut disk, encoded.backup_offset as usize, &encoded.backup);
    disk
}

#[test]
fn a_table_reads_what_it_writes() {
    let disk = disk_with(&table(), 8 << 20);
    assert_eq!(Table::read(&disk).unwrap(), (table(), Copy::Primary));
}

#[test]
fn a_torn_primary_leaves_the_backup_in_force() {
    for torn in [515, 600, 1024, 1100] {
        let mut disk = disk_with(&table(), 8 << 20);
        disk[torn] ^= 1;
        assert_eq!(Table::read(&disk).unwrap(), (table(), Copy::Backup), "{torn}");
    }
}

#[test]
fn with_both_copies_torn_there_is_no_table() {
    let mut disk = disk_with(&table(), 8 << 20);
    let end = disk.len();
    disk[520] ^= 1;
    disk[end - 500] ^= 1;
    assert!(matches!(Table::read(&disk), Err(GptError::NoTable { .. })));
    assert!(matches!(Table::read(&vec![0; 100]), Err(GptError::NoTable { .. })));
}

#[test]
fn growing_extends_the_last_partition_and_survives_a_crash_between_the_copies() {
    let grown = table().grow((20 << 20) + 700).unwrap();
    assert_eq!(grown.partitions[1].length, (19 << 20) - (3 << 20));
    assert_eq!(grown.partitions[0], table().partitions[0]);
    let mut disk = disk_with(&table(), 8 << 20);
    disk.resize((20 << 20) + 700, 0);
    let encoded = grown.encode().unwrap();
    crate::bytes::put(&mut disk, encoded.backup_offset as usize, &encoded.backup);
    assert_eq!(Table::read(&disk).unwrap().0, table(), "the backup alone changes nothing");
    crate::bytes::put(&mut disk, 0, &encoded.primary[..700]);
    assert_eq!(Table::read(&disk).unwrap().0, grown, "a torn primary hands over to the new backup");
    crate::bytes::put(&mut disk, 0, &encoded.primary);
    assert_eq!(Table::read(&disk).unwrap(), (grown.clone(), Copy::Primary));
    assert_eq!(grown.grow((20 << 20) + 700).unwrap(), grown, "growing twice changes nothing");
    assert!(grown.grow(19 << 20).is_err());
}

#[test]
fn renaming_changes_the_name_alone() {
    let renamed = table().rename("ampoule-data-new", "ampoule-data").unwrap();
    assert_eq!(renamed.named("ampoule-data").unwrap().uuid, table().partitions[1].uuid);
    assert!(renamed.named("ampoule-data-new").is_none());
    assert!(matches!(renamed.rename("ampoule-data-new", "x"), Err(GptError::NoPartition { .. })));
}

#[test]
fn partitions_that_overlap_or_leave_the_disk_are_refused() {
    let change = |change: fn(&mut Table)| {
        let mut table = table();
        change(&mut table);
        table.encode()
    };
    assert!(change(|table| table.partitions[1].start -= 512).is_err());
    assert!(change(|table| table.partitions[1].length += 1 << 20).is_err());
    assert!(change(|table| table.partitions[1].length = u64::MAX - 511).is_err());
    assert!(change(|table| table.partitions[0].start = 512).is_err());
    assert!(change(|table| table.partitions[1].number = 1).is_err());
    assert!(change(|table| table.partitions[1].number = 129).is_err());
    assert!(change(|table| table.partitions[1].name = "x".repeat(37)).is_err());
    assert!(change(|table| table.disk_size = 4096).is_err());
}
