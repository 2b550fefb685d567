//! The machine's disks as sysfs shows them, with their partition tables.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::block::{BlockDevice, DeviceFile};
use super::gpt::Table;

/// Block devices that never carry an appliance: each open of a CD drive without medium would cost a second.
const PASSED_OVER: [&str; 8] = ["loop", "ram", "dm-", "zram", "sr", "fd", "md", "nbd"];

/// A disk that is there.
#[derive(Clone, Debug)]
pub struct Disk {
    /// Kernel name, such as `vda`.
    pub name: String,
    /// Size in sectors.
    pub sectors: u64,
    /// Its partition table, when it has a whole one.
    pub table: Option<Table>,
}

impl Disk {
    /// Device node of the disk.
    pub fn node(&self) -> PathBuf {
        Path::new("/dev").join(&self.name)
    }

    /// Number of a partition with this UUID.
    pub fn partition_with_uuid(&self, uuid: &str) -> Option<super::gpt::Partition> {
        self.table.as_ref()?.partitions().into_iter().find(|partition| partition.uuid == uuid)
    }
}

/// All disks by name.
pub fn scan() -> Vec<Disk> {
    let Ok(entries) = fs::read_dir("/sys/class/block") else { return Vec::new() };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut disks: Vec<Disk> = names
        .filter(|name| !PASSED_OVER.iter().any(|prefix| name.starts_with(prefix)))
        .filter(|name| !Path::new("/sys/class/block").join(name).join("partition").exists())
        .filter_map(|name| {
            let device = DeviceFile::open(&Path::new("/dev").join(&name)).ok()?;
            (device.sectors() > 0).then(|| Disk {
                name,
                sectors: device.sectors(),
                table: Table::read(&device).ok(),
            })
        })
        .collect();
    disks.sort_by(|one, other| one.name.cmp(&other.name));
    disks
}

/// Device node of a partition, once the kernel knows it.
pub fn partition_node(disk: &str, number: u32) -> Option<PathBuf> {
    let entries = fs::read_dir(Path::new("/sys/class/block").join(disk)).ok()?;
    entries.flatten().find_map(|entry| {
        let text = fs::read_to_string(entry.path().join("partition")).ok()?;
        (text.trim().parse() == Ok(number)).then(|| Path::new("/dev").join(entry.file_name()))
    })
}

/// `major:minor` of a device node, as device-mapper takes it.
pub fn device_number(node: &Path) -> io::Result<String> {
    use std::os::unix::fs::MetadataExt;
    let device = fs::metadata(node)?.rdev();
    Ok(format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device)))
}

/// Device aliases of everything on the machine's buses. Buses know their devices, so that this needs no walk over
/// all of sysfs.
pub fn modaliases() -> Vec<String> {
    let read = |path: PathBuf| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
    let mut aliases = Vec::new();
    for bus in fs::read_dir("/sys/bus").into_iter().flatten().flatten() {
        for device in fs::read_dir(bus.path().join("devices")).into_iter().flatten().flatten() {
            aliases.extend(read(device.path().join("modalias")).filter(|alias| !alias.is_empty()));
        }
    }
    aliases
}
