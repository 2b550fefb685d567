//! The words for everything that can stop a boot.

use std::error::Error;
use std::path::Path;

use super::data::DataProblem;
use super::disks::Disk;
use super::report::{Failure, chain};

const NOTHING: &str = "no disk was changed";
const ASK_MAKER: &str = "download the appliance again, or ask its maker; this is an error in the image";

fn failure(
    what: &str,
    on: impl Into<String>,
    why: impl Into<String>,
    unchanged: &str,
    next: &str,
) -> Failure {
    Failure {
        what: what.to_owned(),
        on: on.into(),
        why: why.into(),
        unchanged: unchanged.to_owned(),
        next: next.to_owned(),
    }
}

pub fn panicked(message: &str) -> Failure {
    failure(
        "the start program has an error",
        "ampoule-init",
        message,
        "data was not formatted",
        "report it to the maker",
    )
}

pub fn command_line(error: &dyn Error) -> Failure {
    failure("the kernel command line is not usable", "/proc/cmdline", chain(error), NOTHING, ASK_MAKER)
}

/// Something of the kernel's own that always works.
pub fn files(on: &str, error: &dyn Error) -> Failure {
    failure("the system can not be put together", on, chain(error), "data was not formatted", ASK_MAKER)
}

pub fn no_root(uuids: &(String, String), disks: &[Disk], seconds: u64) -> Failure {
    let mut seen: Vec<String> = disks.iter().map(describe_disk).collect();
    if seen.is_empty() {
        seen.push("no disk at all".to_owned());
    }
    let why = format!(
        "no disk has the partitions {} and {} after {seconds} seconds. Seen:\n{}",
        uuids.0,
        uuids.1,
        seen.join("\n")
    );
    let next = "attach the appliance's disk to a virtio, SATA, NVMe or SCSI controller; a disk of another version of the \
                appliance does not fit this kernel";
    failure("the system partition was not found", "all disks", why, NOTHING, next)
}

fn describe_disk(disk: &Disk) -> String {
    let mebibytes = disk.sectors >> 11;
    let content = match &disk.table {
        None => "no partition table".to_owned(),
        Some(table) => {
            let names: Vec<String> = table.partitions().into_iter().map(|it| it.name).collect();
            format!("partitions {}", names.join(", "))
        }
    };
    format!("{}: {mebibytes} MiB, {content}", disk.name)
}

pub fn verity_setup(on: &Path, error: &dyn Error) -> Failure {
    failure(
        "the system partition can not be verified",
        on.display().to_string(),
        chain(error),
        NOTHING,
        RESTORE,
    )
}

const RESTORE: &str = "restore the appliance's disk from a good copy, or deploy it again with the same data disk; nothing \
                       of a damaged system is ever started";

pub fn corrupted_root(on: &Path, error: &dyn Error, blocks: &[String]) -> Failure {
    let why = if blocks.is_empty() {
        chain(error)
    } else {
        format!(
            "{} of the system does not have the content its maker sealed ({})",
            blocks.join(", "),
            chain(error)
        )
    };
    failure("the system is damaged or was changed", on.display().to_string(), why, NOTHING, RESTORE)
}

pub fn definition(error: &dyn Error) -> Failure {
    failure(
        "the sealed definition can not be read",
        "/usr/lib/ampoule/definition.json",
        chain(error),
        NOTHING,
        ASK_MAKER,
    )
}

pub fn data(on: &str, problem: &DataProblem) -> Failure {
    let why = chain(problem);
    let (what, unchanged, next) = match problem {
        DataProblem::Missing => (
            "there is no data partition",
            NOTHING,
            "attach the appliance's data disk, or deploy the appliance's disk again",
        ),
        DataProblem::Ambiguous { .. } => (
            "it is not clear which data to use",
            NOTHING,
            "detach all data disks but the one that belongs to this machine",
        ),
        DataProblem::TooSmall { .. } => {
            ("the data disk is too small", NOTHING, "make the disk larger and start the machine again")
        }
        DataProblem::Table(_) => (
            "the data disk's partition table is not usable",
            "no file system was changed",
            "check that the disk is attached for writing and answers",
        ),
        DataProblem::Format { .. } => (
            "the data partition can not be formatted",
            "it held no data yet",
            "check that the disk is attached for writing, then start the machine again: formatting begins anew",
        ),
        DataProblem::Mount(_) | DataProblem::Files(_) => (
            "the data does not mount",
            "it was not repaired and not formatted",
            "restore the data disk from a backup or a snapshot, or examine it with `btrfs check` on another machine",
        ),
        DataProblem::Foreign { .. } => (
            "the data disk belongs to another appliance",
            "nothing on it was changed",
            "attach the data disk of this appliance, or a new one",
        ),
        DataProblem::Unknown => (
            "the data disk is of an unknown format",
            "nothing on it was changed",
            "attach the data disk of this appliance, or a new one",
        ),
    };
    failure(what, on, why, unchanged, next)
}

pub fn state(error: &dyn Error) -> Failure {
    let next = "check that the data disk has free space; if it has, report it to the maker";
    failure(
        "declared state can not be put in place",
        "/data/state",
        chain(error),
        "data was not removed",
        next,
    )
}

pub fn render(output: &str) -> Failure {
    let next = "undo the last change on the hypervisor's side (seed disk, passed settings); if there was none, report it";
    failure(
        "the settings can not be put in place",
        "/usr/lib/ampoule/agent",
        output,
        "stored settings are kept",
        next,
    )
}

pub fn no_system(error: &dyn Error) -> Failure {
    failure("the system does not start", "/sbin/init", chain(error), "data was not formatted", ASK_MAKER)
}
