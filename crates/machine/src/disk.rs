//! The two disks of a run: an overlay over the release's disk, and a data disk of its own.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use image::Uuid;
use image::disk::NEW_DATA_NAME;
use image::gpt::{ALIGNMENT, Encoded, GptError, Partition, TYPE_LINUX, Table};
use model::{ByteSize, Sha256Digest};
use release::{ReleaseFolder, names as release_names};

use crate::error::{MachineError, io};
use crate::folder::{VmFolder, names};
use crate::note::Note;
use crate::plan::{Keep, Reinstall};
use crate::system::{self, Verdict};

/// Smallest data disk: below it no file system we use can be made.
const DATA_LEAST: ByteSize = ByteSize(16 << 20);
/// Greatest data disk: what a file can be on common host file systems.
const DATA_MOST: ByteSize = ByteSize(8 << 40);
/// Most of a helper's complaints that is told.
const COMPLAINT_LIMIT: usize = 2000;

/// Makes the system disk when there is none for this release. Returns its file name.
///
/// The release's own disk is never written: it is the overlay's base. The base is a hard link (or a copy) in the VM folder, so
/// that a machine lives on when its release folder is rebuilt or removed.
pub(crate) fn ensure_system(
    folder: &VmFolder,
    release: &ReleaseFolder,
    keep: Keep,
    reinstall: Reinstall,
    notes: &dyn Fn(Note),
) -> Result<&'static str, MachineError> {
    if keep == Keep::Nothing {
        let (base, format) = release_disk(release)?;
        let base = fs::canonicalize(&base).map_err(io("look at", &base))?;
        folder.remove(names::SYSTEM_EPHEMERAL)?;
        create_overlay(folder, names::SYSTEM_EPHEMERAL, &base, format)?;
        return Ok(names::SYSTEM_EPHEMERAL);
    }
    let record = folder.file(names::SYSTEM_RELEASE);
    let manifest = release.manifest();
    let wanted = Installed {
        digest: release.digest().to_string(),
        root_hash: manifest.image.root_hash,
        version: manifest.identity.version.clone(),
    };
    let has_disk = folder.file(names::SYSTEM).is_file() && folder.file(names::SYSTEM_BASE).is_file();
    let found =
        fs::read_to_string(&record).ok().and_then(|text| Installed::parse(&text)).filter(|_| has_disk);
    if let Some(found) = found.filter(|_| reinstall == Reinstall::UnlessPatched) {
        if found.digest == wanted.digest {
            return Ok(names::SYSTEM);
        }
        match system::slots(folder)?.judge(&found.root_hash, &wanted.root_hash) {
            Verdict::HasIt => {
                notes(Note::PatchedSystem { installed: found.version, release: wanted.version });
                return Ok(names::SYSTEM);
            }
            Verdict::Patched => {
                return Err(MachineError::Patched {
                    path: folder.path().to_owned(),
                    installed: found.version,
                    release: wanted.version,
                });
            }
            Verdict::AsInstalled => notes(Note::OtherRelease),
        }
    } else if fs::read_to_string(&record).is_ok_and(|text| !text.starts_with(&wanted.digest)) {
        notes(Note::OtherRelease);
    }
    // In this order a crash leaves no record, and the disk is made anew.
    for name in [names::SYSTEM_RELEASE, names::SYSTEM, names::SYSTEM_BASE] {
        folder.remove(name)?;
    }
    let format = place_base(folder, release)?;
    create_overlay(folder, names::SYSTEM, Path::new(names::SYSTEM_BASE), format)?;
    fs::write(&record, wanted.to_text()).map_err(io("write", &record))?;
    Ok(names::SYSTEM)
}

/// What a system disk was installed from.
struct Installed {
    digest: String,
    root_hash: Sha256Digest,
    version: String,
}

impl Installed {
    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let digest = lines.next()?.to_owned();
        let root_hash = lines.next()?.parse().ok()?;
        Some(Self { digest, root_hash, version: lines.next()?.chars().take(64).collect() })
    }

    fn to_text(&self) -> String {
        format!("{}\n{}\n{}\n", self.digest, self.root_hash, self.version)
    }
}

fn release_disk(release: &ReleaseFolder) -> Result<(PathBuf, &'static str), MachineError> {
    match release.artifact(release_names::DISK_RAW) {
        Ok(path) => Ok((path, "raw")),
        Err(_) => Ok((release.artifact(release_names::DISK_QCOW2)?, "qcow2")),
    }
}

/// Puts the release's disk into the VM folder. Returns its format.
fn place_base(folder: &VmFolder, release: &ReleaseFolder) -> Result<&'static str, MachineError> {
    let base = folder.file(names::SYSTEM_BASE);
    let (disk, format) = release_disk(release)?;
    if fs::hard_link(&disk, &base).is_ok() {
        return Ok(format);
    }
    // Another file system, or somebody else's file. The compressed disk is the smaller copy.
    let (disk, format) = match release.artifact(release_names::DISK_QCOW2) {
        Ok(path) => (path, "qcow2"),
        Err(_) => (disk, format),
    };
    fs::copy(&disk, &base).map_err(io("copy a disk to", &base))?;
    Ok(format)
}

/// Makes the data disk when there is none. Returns its file name.
pub(crate) fn ensure_data(
    folder: &VmFolder,
    appliance: &str,
    size: ByteSize,
    keep: Keep,
) -> Result<&'static str, MachineError> {
    let name = match keep {
        Keep::Data => names::DATA,
        Keep::Nothing => names::DATA_EPHEMERAL,
    };
    let path = folder.file(name);
    if keep == Keep::Nothing {
        folder.remove(name)?;
    } else if path.is_file() {
        return Ok(name);
    }
    let new = folder.file(&format!("{name}.new"));
    let _ = fs::remove_file(&new);
    create_data_disk(&new, size, appliance)?;
    // Renamed when whole, so that a crash does not leave a disk without a partition table.
    fs::rename(&new, &path).map_err(io("write", &path))?;
    Ok(name)
}

/// Makes a sparse data disk with one partition that waits to be formatted.
pub fn create_data_disk(path: &Path, size: ByteSize, appliance: &str) -> Result<(), MachineError> {
    if size < DATA_LEAST || size > DATA_MOST {
        let (least, most) = (DATA_LEAST.0, DATA_MOST.0);
        return Err(MachineError::Size { what: "a data disk", found: size.0, least, most });
    }
    // Whole MiB: partitions end at MiB.
    let size = size.0 >> 20 << 20;
    let file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(io("create", path))?;
    file.set_len(size).map_err(io("write", path))?;
    let Encoded { primary, backup, backup_offset } = data_table(size, appliance)
        .map_err(|source| MachineError::Partitions { path: path.to_owned(), source })?;
    file.write_all_at(&primary, 0).map_err(io("write", path))?;
    file.write_all_at(&backup, backup_offset).map_err(io("write", path))?;
    file.sync_all().map_err(io("sync", path))
}

/// One partition that `init` formats at first boot. Ids are derived, so that the same disk is made twice.
fn data_table(disk_size: u64, appliance: &str) -> Result<Encoded, GptError> {
    let partition = Partition {
        number: 1,
        name: NEW_DATA_NAME.to_owned(),
        type_uuid: TYPE_LINUX,
        uuid: Uuid::derived("data partition", appliance.as_bytes()),
        start: ALIGNMENT,
        // One unit before it for the table, and one behind it for its copy.
        length: disk_size - 2 * ALIGNMENT,
        attributes: 0,
    };
    let disk_uuid = Uuid::derived("data disk", appliance.as_bytes());
    Table { disk_uuid, disk_size, partitions: vec![partition] }.encode()
}

/// Removes what a run that keeps nothing left.
pub(crate) fn remove_ephemeral(folder: &VmFolder) -> Result<(), MachineError> {
    folder.remove(names::SYSTEM_EPHEMERAL)?;
    folder.remove(names::DATA_EPHEMERAL)
}

fn create_overlay(folder: &VmFolder, name: &str, base: &Path, format: &str) -> Result<(), MachineError> {
    const PROGRAM: &str = "qemu-img";
    let output = Command::new(PROGRAM)
        .current_dir(folder.path())
        .args(["create", "-q", "-f", "qcow2", "-F", format, "-b"])
        .arg(base)
        .arg(name)
        .stdin(Stdio::null())
        .output();
    ended_well(PROGRAM, output)
}

/// What a helper program came to.
pub(crate) fn ended_well(
    program: &'static str,
    output: std::io::Result<std::process::Output>,
) -> Result<(), MachineError> {
    let output = match output {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(MachineError::NoProgram { program: program.into() });
        }
        other => other.map_err(io("start", Path::new(program)))?,
    };
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().chars().take(COMPLAINT_LIMIT).collect();
    Err(MachineError::Helper { program, said })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_disk_is_a_sound_gpt_with_one_partition_to_format() {
        let bench = tempfile::tempdir().expect("folder");
        let path = bench.path().join("data.raw");
        create_data_disk(&path, ByteSize((64 << 20) + 777), "example/lamp").expect("creates");
        assert_eq!(fs::metadata(&path).expect("metadata").len(), 64 << 20);
        let output = |arguments: &[&str]| {
            let output = Command::new("sgdisk").args(arguments).arg(&path).output();
            String::from_utf8(output.expect("sgdisk, of gdisk, is installed").stdout).expect("text")
        };
        assert!(output(&["-v"]).contains("No problems found"), "{}", output(&["-v"]));
        let partition = output(&["-i", "1"]);
        assert!(partition.contains("Partition name: 'ampoule-data-new'"), "{partition}");
        assert!(partition.contains("0FC63DAF-8483-4772-8E79-3D69D8477DE4"), "{partition}");
    }

    #[test]
    fn a_data_disk_that_can_not_be_is_refused() {
        let bench = tempfile::tempdir().expect("folder");
        for size in [0, 1 << 20, u64::MAX] {
            let error =
                create_data_disk(&bench.path().join("d"), ByteSize(size), "a/b").expect_err("refused");
            assert!(matches!(error, MachineError::Size { .. }), "{error}");
        }
    }
}
