//! What is on a system disk that does not run: which images its slots hold.

use std::io;
use std::process::{Command, Stdio};

use image::disk::partition_uuids;
use image::gpt::{ALIGNMENT, Table};
use image::{ReadAt, Uuid};
use model::Sha256Digest;

use crate::disk::ended_well;
use crate::error::{MachineError, io as io_error};
use crate::folder::{VmFolder, names};

/// The first unit of the disk, which holds the table.
const TABLE: &str = "system.table";

/// Ids of the root partitions; none when the table can not be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Slots(Option<[Uuid; 2]>);

/// How a system disk stands to the release it is to run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nobody has written an image to it since it was installed.
    AsInstalled,
    /// A slot holds the release.
    HasIt,
    /// A slot holds something that neither was installed nor is the release.
    Patched,
}

impl Slots {
    pub(crate) fn judge(&self, installed: &Sha256Digest, wanted: &Sha256Digest) -> Verdict {
        // A table that is torn was torn while a patch changed it.
        let Some([a, b]) = self.0 else { return Verdict::Patched };
        let wanted = partition_uuids(wanted).0;
        if a == wanted || b == wanted {
            return Verdict::HasIt;
        }
        let is_empty = b == Uuid::derived("root-b", &installed.0);
        if a == partition_uuids(installed).0 && is_empty { Verdict::AsInstalled } else { Verdict::Patched }
    }
}

/// Reads the table of the system disk. The VM folder is locked, so nothing runs on it.
pub(crate) fn slots(folder: &VmFolder) -> Result<Slots, MachineError> {
    const PROGRAM: &str = "qemu-img";
    folder.remove(TABLE)?;
    let output = Command::new(PROGRAM)
        .current_dir(folder.path())
        .args(["dd", "-f", "qcow2", "-O", "raw", "bs=1M", "count=1"])
        .args([format!("if={}", names::SYSTEM), format!("of={TABLE}")])
        .stdin(Stdio::null())
        .output();
    ended_well(PROGRAM, output)?;
    let path = folder.file(TABLE);
    let start = std::fs::read(&path).map_err(io_error("read", &path))?;
    folder.remove(TABLE)?;
    Ok(parse(&start))
}

fn parse(start: &[u8]) -> Slots {
    let uuid = |table: &Table, name| table.named(name).map(|partition| partition.uuid);
    let read = Table::read(&Start(start)).ok();
    Slots(read.and_then(|(table, _)| Some([uuid(&table, "root-a")?, uuid(&table, "root-b")?])))
}

/// The beginning of a disk whose size does not matter.
struct Start<'a>(&'a [u8]);

impl ReadAt for Start<'_> {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let start = usize::try_from(offset).ok().filter(|start| *start < ALIGNMENT as usize);
        let part = start.and_then(|start| self.0.get(start..start + buffer.len()));
        buffer.copy_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn size(&self) -> u64 {
        1 << 50
    }
}

#[cfg(test)]
mod tests {
    use image::gpt::{Partition, TYPE_ROOT};

    use super::*;

    fn slots(a: Uuid, b: Uuid) -> Slots {
        let partition = |number: u32, name: &str, uuid| Partition {
            number,
            name: name.to_owned(),
            type_uuid: TYPE_ROOT,
            uuid,
            start: u64::from(number) * ALIGNMENT,
            length: ALIGNMENT,
            attributes: 0,
        };
        let partitions = vec![partition(1, "root-a", a), partition(2, "root-b", b)];
        let table = Table { disk_uuid: Uuid::from_u128(7), disk_size: 8 * ALIGNMENT, partitions };
        parse(&table.encode().expect("encodes").primary)
    }

    #[test]
    fn a_patched_disk_is_told_from_one_that_is_as_installed() {
        let [old, new, other] = [1, 2, 3].map(|byte| Sha256Digest([byte; 32]));
        let [of_old, of_new, of_other] = [old, new, other].map(|hash| partition_uuids(&hash).0);
        let empty = Uuid::derived("root-b", &old.0);
        assert_eq!(slots(of_old, empty).judge(&old, &new), Verdict::AsInstalled);
        assert_eq!(slots(of_old, of_new).judge(&old, &new), Verdict::HasIt);
        assert_eq!(slots(of_new, of_other).judge(&old, &new), Verdict::HasIt);
        assert_eq!(slots(of_old, of_other).judge(&old, &new), Verdict::Patched);
        assert_eq!(slots(of_old, Uuid::from_u128(1)).judge(&old, &new), Verdict::Patched, "being written");
        assert_eq!(parse(&[0; 4096]).judge(&old, &new), Verdict::Patched, "a torn table");
    }
}
