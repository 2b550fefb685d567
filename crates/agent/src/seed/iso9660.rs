//! One file in the root of an ISO 9660 volume (ECMA-119). Names in plain, Rock Ridge or Joliet form are found through the
//! plain tree: `SETTINGS.TOM;1`, `SETTINGS.TOML;1` and Rock Ridge's `NM`.

use super::{FILE_NAME, ReadAt, SeedError, check_length, is_seed_label, number};

const SECTOR: u64 = 2048;
/// The root directory is read up to here: a seed disk has one file, and a hostile one must not fill the memory.
const DIRECTORY_LIMIT: u64 = 64 << 10;

/// The file's bytes; `None` when this is no ISO 9660 volume with the label.
pub fn read(disk: &dyn ReadAt) -> Option<Result<Vec<u8>, SeedError>> {
    let mut descriptor = [0u8; SECTOR as usize];
    disk.read_at(16 * SECTOR, &mut descriptor).ok()?;
    let is_volume = &descriptor[..6] == b"\x01CD001";
    (is_volume && is_seed_label(&descriptor[40..72])).then(|| read_file(disk, &descriptor[156..190]))
}

fn read_file(disk: &dyn ReadAt, root: &[u8]) -> Result<Vec<u8>, SeedError> {
    let length = number(&root[10..14]).min(DIRECTORY_LIMIT);
    let mut directory = vec![0; length as usize];
    disk.read_at(number(&root[2..6]) * SECTOR, &mut directory)?;
    for sector in directory.chunks(SECTOR as usize) {
        let mut rest = sector;
        // Records do not cross sectors; a length of 0 ends one.
        while let Some(record) =
            rest.first().filter(|&&length| length >= 34).and_then(|&length| rest.get(..length.into()))
        {
            let is_directory = record[25] & 2 != 0;
            if !is_directory && is_the_file(record) {
                let mut bytes = vec![0; check_length(number(&record[10..14]))?];
                disk.read_at(number(&record[2..6]) * SECTOR, &mut bytes)?;
                return Ok(bytes);
            }
            rest = &rest[record.len()..];
        }
    }
    Err(SeedError::NoFile)
}

fn is_the_file(record: &[u8]) -> bool {
    let name_length = usize::from(record[32]);
    let Some(name) = record.get(33..33 + name_length) else { return false };
    let name = String::from_utf8_lossy(name);
    let name = name.split(';').next().unwrap_or_default();
    // The system use area follows the name, padded to an even length.
    let system_use = record.get(33 + name_length + (1 - name_length % 2)..).unwrap_or_default();
    name.eq_ignore_ascii_case(FILE_NAME)
        || name.eq_ignore_ascii_case("SETTINGS.TOM")
        || rock_ridge_name(system_use).is_some_and(|name| name.eq_ignore_ascii_case(FILE_NAME))
}

/// The `NM` entry of SUSP: signature, length, version, flags, name.
fn rock_ridge_name(mut area: &[u8]) -> Option<String> {
    while let [first, second, length, ..] = *area {
        let entry = area.get(..usize::from(length)).filter(|entry| entry.len() >= 4)?;
        if [first, second] == *b"NM" {
            return Some(String::from_utf8_lossy(entry.get(5..)?).into_owned());
        }
        area = &area[entry.len()..];
    }
    None
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::process::Command;

    use super::*;

    fn disk(label: &str, name: &str, extensions: &[&str]) -> tempfile::NamedTempFile {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        std::fs::write(folder.path().join("another-file"), "x").expect("written");
        std::fs::write(folder.path().join(name), "a = 1\n").expect("written");
        let image = tempfile::NamedTempFile::new().expect("a temporary file can be made");
        let mut command = Command::new("genisoimage");
        command.args(["-quiet", "-V", label]).args(extensions).arg("-o").arg(image.path()).arg(folder.path());
        let output = command.output().expect("genisoimage is needed for this test: install genisoimage");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        image
    }

    fn read_disk(image: &tempfile::NamedTempFile) -> Option<Result<Vec<u8>, SeedError>> {
        read(&File::open(image.path()).expect("there"))
    }

    #[test]
    fn disks_of_genisoimage_are_read_with_and_without_extensions() {
        for extensions in [&[][..], &["-r"], &["-J", "-r"], &["-iso-level", "3"]] {
            let found =
                read_disk(&disk("ampoule-seed", "settings.toml", extensions)).expect("it has the label");
            assert_eq!(found.expect("readable"), b"a = 1\n", "{extensions:?}");
        }
    }

    #[test]
    fn a_disk_without_the_file_says_so() {
        let found = read_disk(&disk("AMPOULESEED", "other.toml", &["-r"])).expect("it has the label");
        assert_eq!(found.expect_err("no file").to_string(), "it has no file `settings.toml` in its root");
        assert!(read_disk(&disk("OTHER", "settings.toml", &["-r"])).is_none());
    }
}
