//! The data partition: which one it is, and making it ready.
//!
//! **Formatting survives a power cut** because the partition's name is the commit mark. Steps, and what a cut after each
//! leaves:
//! 1. the partition is made longer in the table: still named [`NAME_NEW`], the next boot begins again;
//! 2. `mkfs`: the same;
//! 3. mounted, `ampoule/appliance` written, synced: the same (it is formatted a second time, empty as it is);
//! 4. renamed to [`NAME`]: from here on it is never formatted again, whatever happens.

use std::io;

use super::block::{BlockDevice, SECTOR};
use super::gpt::{Partition, Table, TableError};

/// Name of a formatted data partition.
pub const NAME: &str = "ampoule-data";
/// Name of one that waits for its first boot.
pub const NAME_NEW: &str = "ampoule-data-new";
/// Below this, btrfs has no room to work in.
pub const LEAST_BYTES: u64 = 256 << 20;

/// A partition that can be the data partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Disk name, such as `vdb`.
    pub disk: String,
    /// Where on the machine's disks.
    pub place: Place,
    /// The partition.
    pub partition: Partition,
}

/// Where a candidate lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On the disk the system was started from.
    SystemDisk,
    /// Alone on another disk.
    OwnDisk,
}

/// The choice among the candidates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The partition to use.
    pub candidate: Candidate,
    /// Something a person should know of the choice.
    pub notice: Option<String>,
}

/// Data can not be made ready. Nothing that held data was changed.
#[derive(Debug, thiserror::Error)]
pub enum DataProblem {
    /// No candidate at all.
    #[error("there is no data partition")]
    Missing,
    /// Two formatted data disks.
    #[error("there are {} data disks: {}", disks.len(), disks.join(", "))]
    Ambiguous {
        /// Their names.
        disks: Vec<String>,
    },
    /// Not enough room.
    #[error("the data partition has {} MiB, at least {} MiB are needed", bytes >> 20, LEAST_BYTES >> 20)]
    TooSmall {
        /// Its greatest possible size.
        bytes: u64,
    },
    /// The table can not be changed.
    #[error("the partition table can not be changed")]
    Table(#[from] TableError),
    /// `mkfs` failed.
    #[error("the data partition can not be formatted: {output}")]
    Format {
        /// What `mkfs` said.
        output: String,
    },
    /// A formatted one does not mount.
    #[error("the data partition does not mount")]
    Mount(#[source] io::Error),
    /// It mounts, and files can not be read or written.
    #[error("the data partition can not be read or written")]
    Files(#[source] io::Error),
    /// It belongs to another appliance.
    #[error("it holds the data of `{found}`, and this appliance is `{expected}`")]
    Foreign {
        /// `vendor/name` on the partition.
        found: String,
        /// `vendor/name` of the image.
        expected: String,
    },
    /// It mounts and nothing says whose it is.
    #[error("the data partition does not say which appliance it belongs to")]
    Unknown,
}

/// What preparing data touches.
///
/// Implementers MUST NOT return `Ok` from `write_identity` before everything written so far is durable.
pub trait DataWorld {
    /// The disk that the partition is on.
    fn disk(&mut self) -> &mut dyn BlockDevice;
    /// Tells the kernel the partition's new size.
    fn partition_grew(&mut self, partition: &Partition) -> io::Result<()>;
    /// Makes a new file system; what `mkfs` printed on failure.
    fn format(&mut self) -> Result<(), String>;
    /// Mounts it, grown to its partition.
    fn mount(&mut self) -> io::Result<()>;
    /// Reads `ampoule/appliance`; `None` when it is absent.
    fn read_identity(&mut self) -> io::Result<Option<String>>;
    /// Writes `ampoule/appliance` and syncs the file system.
    fn write_identity(&mut self, identity: &str) -> io::Result<()>;
}

/// Whether the partition was formatted just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prepared {
    /// It had been used before.
    Known,
    /// First boot.
    Formatted,
}

/// Chooses the data partition. A disk of its own comes before the system disk's, a formatted one before a new one.
pub fn choose(mut candidates: Vec<Candidate>) -> Result<Choice, DataProblem> {
    candidates.retain(|candidate| [NAME, NAME_NEW].contains(&candidate.partition.name.as_str()));
    candidates.sort_by(|one, other| one.disk.cmp(&other.disk));
    let of = |place, name| {
        let fits = move |it: &&Candidate| it.place == place && it.partition.name == name;
        candidates.iter().filter(fits).cloned().collect::<Vec<_>>()
    };
    let used = of(Place::OwnDisk, NAME);
    if used.len() > 1 {
        // Taking one of them would hide the other's data behind a healthy appliance.
        return Err(DataProblem::Ambiguous { disks: used.into_iter().map(|it| it.disk).collect() });
    }
    let first = |list: Vec<Candidate>| list.into_iter().next();
    if let Some(candidate) = first(used) {
        return Ok(Choice { candidate, notice: None });
    }
    let on_system_disk = first(of(Place::SystemDisk, NAME));
    if let Some(candidate) = first(of(Place::OwnDisk, NAME_NEW)) {
        let disk = &candidate.disk;
        let notice = on_system_disk.map(|_| {
            format!(
                "the new data disk {disk} is in use; data of earlier boots stays, unused, on the system disk"
            )
        });
        return Ok(Choice { candidate, notice });
    }
    let candidate =
        on_system_disk.or_else(|| first(of(Place::SystemDisk, NAME_NEW))).ok_or(DataProblem::Missing)?;
    Ok(Choice { candidate, notice: None })
}

/// Makes the chosen partition ready and mounts it. `identity` is the image's `vendor/name`.
pub fn prepare(
    world: &mut dyn DataWorld,
    partition: &Partition,
    identity: &str,
) -> Result<(Prepared, Partition), DataProblem> {
    let is_new = partition.name == NAME_NEW;
    let (mut table, partition) = grow(world, partition, is_new)?;
    if !is_new {
        world.mount().map_err(DataProblem::Mount)?;
        return match world.read_identity().map_err(DataProblem::Files)? {
            Some(found) if found.trim() == identity => Ok((Prepared::Known, partition)),
            Some(found) => Err(DataProblem::Foreign {
                found: found.trim().chars().take(200).collect(),
                expected: identity.to_owned(),
            }),
            None => Err(DataProblem::Unknown),
        };
    }
    world.format().map_err(|output| DataProblem::Format { output })?;
    world.mount().map_err(DataProblem::Mount)?;
    world.write_identity(identity).map_err(DataProblem::Files)?;
    table.with_name(partition.number, NAME)?.commit(&mut table, world.disk())?;
    Ok((Prepared::Formatted, Partition { name: NAME.to_owned(), ..partition }))
}

/// Step 1. Also done when the disk has become larger since. Refuses a disk that is too small before anything is written.
fn grow(
    world: &mut dyn DataWorld,
    partition: &Partition,
    is_new: bool,
) -> Result<(Table, Partition), DataProblem> {
    let sectors = world.disk().sectors();
    let mut table = Table::read(world.disk())?;
    let last = table.greatest_end(partition, sectors);
    let grown = Partition { last, ..partition.clone() };
    let bytes = grown.sectors() * SECTOR as u64;
    if is_new && bytes < LEAST_BYTES {
        return Err(DataProblem::TooSmall { bytes });
    }
    table.repair(world.disk())?;
    if last > partition.last {
        table = table.with_end(partition.number, last, sectors).commit(&mut table, world.disk())?;
        world.partition_grew(&grown).map_err(TableError::Device)?;
    }
    Ok((table, grown))
}

#[cfg(test)]
mod tests;
