//! The machine as `init` acts on it: modules, data, programs of the root.

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::mount::{MountFlags, mount};

use super::block::{BlockDevice, DeviceFile, SECTOR};
use super::data::DataWorld;
use super::gpt::Partition;
use super::modules::ModuleLoader;
use super::state::{make_directories, sync_file_system};
use crate::sys;

/// Longest identity file that is read: names are far shorter, and data may be hostile.
const IDENTITY_LIMIT: u64 = 4096;
/// `MODULE_INIT_COMPRESSED_FILE` of finit_module(2).
const COMPRESSED: i32 = 4;

/// Loads modules from a folder.
#[derive(Debug)]
pub struct ModuleFolder(pub PathBuf);

impl ModuleLoader for ModuleFolder {
    fn load(&mut self, path: &str) -> io::Result<()> {
        let file = File::open(self.0.join(path))?;
        let flags = if path.ends_with(".ko") { 0 } else { COMPRESSED };
        match rustix::system::finit_module(&file, c"", flags) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// The chosen data partition, its disk, and the root whose `mkfs.btrfs` is used.
#[derive(Debug)]
pub struct RealData {
    /// The disk, open for writing.
    pub disk: DeviceFile,
    /// Device node of the partition.
    pub node: PathBuf,
    /// The mounted root.
    pub root: PathBuf,
}

impl RealData {
    fn mount_point(&self) -> PathBuf {
        self.root.join("data")
    }

    fn identity_path(&self) -> PathBuf {
        self.mount_point().join("ampoule/appliance")
    }
}

impl DataWorld for RealData {
    fn disk(&mut self) -> &mut dyn BlockDevice {
        &mut self.disk
    }

    fn partition_grew(&mut self, partition: &Partition) -> io::Result<()> {
        let bytes = |sectors: u64| sectors * SECTOR as u64;
        sys::ioctl::resize_partition(
            self.disk.file(),
            partition.number,
            bytes(partition.first),
            bytes(partition.sectors()),
        )
    }

    fn format(&mut self) -> Result<(), String> {
        let program = ["/usr/bin/mkfs.btrfs", "/usr/sbin/mkfs.btrfs", "/sbin/mkfs.btrfs"]
            .into_iter()
            .find(|path| self.root.join(path.trim_start_matches('/')).exists())
            .ok_or_else(|| "the image has no mkfs.btrfs".to_owned())?;
        let mut command = Command::new(program);
        // A virtual disk is empty or thin: discarding it first only costs time.
        command.args(["--force", "--quiet", "--nodiscard", "--label", "ampoule-data"]).arg(&self.node);
        run_in_root(&mut command, &self.root).map(drop)
    }

    fn mount(&mut self) -> io::Result<()> {
        let flags = MountFlags::NOATIME | MountFlags::NODEV | MountFlags::NOSUID;
        mount(&self.node, self.mount_point(), "btrfs", flags, None)?;
        sys::ioctl::grow_btrfs(&File::open(self.mount_point())?)
    }

    fn read_identity(&mut self) -> io::Result<Option<String>> {
        match fs::metadata(self.identity_path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
            Ok(metadata) if metadata.len() > IDENTITY_LIMIT => Ok(None),
            Ok(_) => Ok(Some(String::from_utf8_lossy(&fs::read(self.identity_path())?).into_owned())),
        }
    }

    fn write_identity(&mut self, identity: &str) -> io::Result<()> {
        make_directories(&self.mount_point().join("ampoule"))?;
        fs::write(self.identity_path(), format!("{identity}\n"))?;
        sync_file_system(&self.mount_point())
    }
}

/// Runs a program of the root to its end; on failure, what it printed.
pub fn run_in_root(command: &mut Command, root: &Path) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let mut run = || -> io::Result<std::process::Output> {
        sys::spawn::in_root(command, root)?;
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").output()
    };
    let output = run().map_err(|error| format!("{program}: {error}"))?;
    let printed = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        Ok(printed.into_owned())
    } else {
        let end: String = printed.trim().chars().take(1500).collect();
        Err(format!("{program} ended with {}\n{end}", output.status))
    }
}

/// Mounts a file system that has no device.
pub fn mount_virtual(kind: &str, target: &Path, flags: MountFlags, options: &str) -> io::Result<()> {
    make_directories(target)?;
    let options = CString::new(options).map_err(io::Error::other)?;
    Ok(mount(kind, target, kind, flags, options.as_c_str())?)
}

/// The most memory this program has had resident, as the kernel writes it.
pub fn peak_memory() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.unwrap_or("unknown").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Kernel messages that are in the buffer now, those about verity corruption only.
pub fn corrupted_blocks() -> Vec<String> {
    use std::io::Read;
    use std::os::unix::fs::OpenOptionsExt;
    /// Blocks that are told: a destroyed image has thousands of them.
    const BLOCK_LIMIT: usize = 8;
    let open = File::options().read(true).custom_flags(libc::O_NONBLOCK).open("/dev/kmsg");
    let Ok(mut messages) = open else { return Vec::new() };
    let mut blocks: Vec<String> = Vec::new();
    let mut record = [0u8; 8192];
    while blocks.len() < BLOCK_LIMIT {
        match messages.read(&mut record) {
            Ok(length) => {
                let text = String::from_utf8_lossy(&record[..length]);
                if let Some(block) = super::verity::corrupted_block(&text)
                    && !blocks.iter().any(|known| known == block)
                {
                    blocks.push(block.to_owned());
                }
            }
            // EPIPE: the oldest records were overwritten while reading; the next read goes on behind them.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Err(_) => break,
        }
    }
    blocks
}
