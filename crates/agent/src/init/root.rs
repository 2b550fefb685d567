//! Finding, verifying and mounting the root.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use model::{Definition, Sha256Digest};
use rustix::mount::{MountFlags, mount};

use super::Steps;
use super::block::{BlockDevice, DeviceFile, SECTOR};
use super::cmdline::{CommandLine, partition_uuids};
use super::disks::{self, Disk};
use super::failures;
use super::gpt::Primary;
use super::modules::{Found, Loaded, ModuleIndex};
use super::report::Failure;
use super::state::make_directories;
use super::verity::{SUPERBLOCK_LENGTH, Superblock};
use super::watchdog::Watchdog;
use super::world::{self, ModuleFolder};
use crate::sys;

/// How long disks may take to appear: slow controllers scan for several seconds.
const PATIENCE: Duration = Duration::from_secs(20);
/// First pause between two looks; it doubles up to the last one.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LAST_PAUSE: Duration = Duration::from_millis(160);
/// Longest sealed definition: a definition is some tens of kilobytes.
const DEFINITION_LIMIT: u64 = 8 << 20;
/// Where the initrd has its modules.
pub const MODULES: &str = "/modules";
const CONTROL: &str = "/dev/mapper/control";

/// The partitions of the root.
#[derive(Clone, Debug)]
pub struct RootPartitions {
    /// Kernel name of the disk they are on.
    pub disk: String,
    data: PathBuf,
    hashes: PathBuf,
}

/// Loads drivers, arms a watchdog, and waits until both partitions are there.
pub fn find(line: &CommandLine, steps: &Steps) -> Result<(RootPartitions, Watchdog), Failure> {
    let read = |name: &str| fs::read_to_string(Path::new(MODULES).join(name)).unwrap_or_default();
    let index = ModuleIndex::parse(&read("modules.dep"), &read("modules.alias"));
    let (mut loaded, mut folder) = (Loaded::default(), ModuleFolder(MODULES.into()));
    for name in read("load").lines().map(str::trim).filter(|name| !name.is_empty()) {
        // Built into this kernel, or not for this machine: what is really missing shows in the next step.
        let _refused = loaded.ensure(&index, name, &mut folder);
    }
    while loaded.answer_devices(&index, disks::modaliases(), &mut folder) == Found::Devices {}
    let watchdog = Watchdog::arm(&index, &mut loaded, &mut folder);
    steps.say("modules of the initrd are loaded");
    let uuids = partition_uuids(&line.root_hash);
    let (began, mut pause) = (Instant::now(), FIRST_PAUSE);
    loop {
        while loaded.answer_devices(&index, disks::modaliases(), &mut folder) == Found::Devices {}
        let disks = disks::scan();
        if let Some(found) = look(&disks, &uuids) {
            steps.say("root partitions are found");
            return Ok((found, watchdog));
        }
        if began.elapsed() > PATIENCE {
            return Err(failures::no_root(&uuids, &disks, PATIENCE.as_secs()));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(LAST_PAUSE);
    }
}

fn look(disks: &[Disk], uuids: &(String, String)) -> Option<RootPartitions> {
    disks.iter().find_map(|disk| {
        let data = disk.partition_with_uuid(&uuids.0)?;
        let hashes = disk.partition_with_uuid(&uuids.1)?;
        if disk.table.as_ref()?.primary() == Primary::Broken {
            repair(disk);
        }
        Some(RootPartitions {
            disk: disk.name.clone(),
            data: disks::partition_node(&disk.name, data.number)?,
            hashes: disks::partition_node(&disk.name, hashes.number)?,
        })
    })
}

/// A power cut while the table was written leaves a disk on which the kernel sees no partitions: it does not look at the
/// backup by itself.
fn repair(disk: &Disk) {
    let write = || -> Option<()> {
        let mut device = DeviceFile::open_for_writing(&disk.node()).ok()?;
        disk.table.clone()?.repair(&mut device).ok()?;
        sys::ioctl::read_partitions_again(device.file()).ok()
    };
    // The disk is looked at again; if this did not help, the person reads that the partitions were not found.
    let _tried = write();
}

/// The partitions of a root, without drivers to load and without patience: for a system that runs.
pub fn find_now(root_hash: &Sha256Digest) -> Result<RootPartitions, Failure> {
    let (uuids, disks) = (partition_uuids(root_hash), disks::scan());
    look(&disks, &uuids).ok_or_else(|| failures::no_root(&uuids, &disks, 0))
}

/// Sets up verity and mounts the root read-only.
pub fn mount_verified(
    root: &RootPartitions,
    root_hash: &Sha256Digest,
    sysroot: &Path,
) -> Result<(), Failure> {
    let device = set_up_verity(root, root_hash)?;
    make_directories(sysroot).map_err(|error| failures::files(super::SYSROOT, &error))?;
    mount(&device, sysroot, "erofs", MountFlags::RDONLY, None).map_err(|error| match error {
        // mount(2): the kernel does not know the file system. That is no damage, and no other copy would help.
        rustix::io::Errno::NODEV => failures::files("the kernel's erofs module", &error),
        error => failures::corrupted_root(&root.data, &error, &world::corrupted_blocks()),
    })
}

/// Whether a root is mounted at a place.
pub fn is_mounted(root_hash: &Sha256Digest, place: &Path) -> bool {
    let name = rustix::fs::stat(place).map(|found| {
        let (major, minor) = (rustix::fs::major(found.st_dev), rustix::fs::minor(found.st_dev));
        fs::read_to_string(format!("/sys/dev/block/{major}:{minor}/dm/name")).unwrap_or_default()
    });
    name.is_ok_and(|name| name.trim_end() == mapping_name(root_hash))
}

/// Takes the mapping of a root away that is not mounted any more.
pub fn forget(root_hash: &Sha256Digest) -> std::io::Result<()> {
    sys::devmapper::remove(Path::new(CONTROL), &mapping_name(root_hash))
}

/// By the root, so that two releases have their mappings at the same time.
fn mapping_name(root_hash: &Sha256Digest) -> String {
    format!("ampoule-root-{}", &root_hash.to_string()[..16])
}

fn set_up_verity(root: &RootPartitions, root_hash: &Sha256Digest) -> Result<PathBuf, Failure> {
    let on_data = |error: &dyn std::error::Error| failures::verity_setup(&root.data, error);
    let on_hashes = |error: &dyn std::error::Error| failures::verity_setup(&root.hashes, error);
    let blocks =
        DeviceFile::open(&root.data).map_err(|error| on_data(&error))?.sectors() * SECTOR as u64 / 4096;
    let mut bytes = [0; SUPERBLOCK_LENGTH];
    DeviceFile::open(&root.hashes)
        .and_then(|device| device.read(0, &mut bytes))
        .map_err(|error| on_hashes(&error))?;
    let superblock = Superblock::parse(&bytes, blocks).map_err(|error| on_hashes(&error))?;
    let number =
        |node: &Path| disks::device_number(node).map_err(|error| failures::verity_setup(node, &error));
    let name = mapping_name(root_hash);
    let mapping = sys::devmapper::Mapping {
        name: &name,
        uuid: &superblock.mapping_uuid(&name),
        sectors: superblock.sectors(),
        target: "verity",
        parameters: &superblock.table(&number(&root.data)?, &number(&root.hashes)?, root_hash),
    };
    let minor =
        sys::devmapper::create_read_only(Path::new(CONTROL), &mapping).map_err(|error| on_hashes(&error))?;
    Ok(PathBuf::from(format!("/dev/dm-{minor}")))
}

/// Reads the sealed definition. An input error here means a corrupted block.
pub fn read_definition(sysroot: &Path) -> Result<Definition, Failure> {
    let path = sysroot.join(model::definition::SEALED_PATH);
    let read = || -> std::io::Result<Vec<u8>> {
        if fs::metadata(&path)?.len() > DEFINITION_LIMIT {
            return Err(std::io::Error::other("the definition is larger than 8 MiB"));
        }
        fs::read(&path)
    };
    let bytes = read().map_err(|error| match world::corrupted_blocks() {
        blocks if blocks.is_empty() => failures::definition(&error),
        blocks => failures::corrupted_root(path.strip_prefix(sysroot).unwrap_or(&path), &error, &blocks),
    })?;
    serde_json::from_slice(&bytes).map_err(|error| failures::definition(&error))
}
