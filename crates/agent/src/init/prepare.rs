//! What goes over the read-only root: data, overlays, state.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use model::Definition;
use rustix::mount::{MountFlags, mount_bind};

use super::block::DeviceFile;
use super::data::{self, Candidate, DataProblem, Place, Prepared};
use super::disks;
use super::failures;
use super::handover;
use super::modules::{Found, Loaded, ModuleIndex};
use super::report::Failure;
use super::root::RootPartitions;
use super::snapshots;
use super::state::{self, make_directories};
use super::world::{ModuleFolder, RealData, mount_virtual, run_in_root};
use crate::accounts::{Accounts, Owner};

/// Where the upper layers of the overlays are, in the running system.
pub const VOLATILE: &str = "/run/ampoule/volatile";
/// Where an administrator's generators are.
pub const GENERATORS: &str = "/etc/systemd/system-generators";
/// SCSI hosts announce their disks late; only machines that have one wait.
const SETTLE: Duration = Duration::from_millis(300);

/// Modules of the root that are going in. btrfs measures the processor's checksum instructions while it is loaded, which
/// takes long; other steps go on meanwhile.
#[derive(Debug)]
pub struct RootModules(JoinHandle<()>);

impl RootModules {
    /// Loads what is quick, and begins with the rest. A kernel without a module folder has everything built in; what it
    /// really lacks shows when it is used.
    pub fn load(sysroot: &Path) -> RootModules {
        let release = rustix::system::uname().release().to_string_lossy().into_owned();
        let folder = sysroot.join("usr/lib/modules").join(release);
        let text = fs::read_to_string(folder.join("modules.dep")).unwrap_or_default();
        let index = ModuleIndex::parse(&text, "");
        let mut names = vec!["overlay"];
        // The channel by which QEMU passes settings; ACPI shows its device.
        if Path::new("/sys/bus/acpi/devices/QEMU0002:00").exists() {
            names.push("qemu_fw_cfg");
        }
        // A seed disk may be a CD, and the initrd has no driver for what it never reads.
        if has_cd_drive() {
            names.push("sr_mod");
        }
        load_each(&index, &folder, &names);
        RootModules(std::thread::spawn(move || {
            load_each(&index, &folder, &["btrfs"]);
            // The boot loader's partition: the agent, which arms patches on it, may not load modules.
            load_each(&index, &folder, &["vfat", "nls_cp437", "nls_ascii"]);
            load_drivers(&folder);
        }))
    }

    /// Waits for the rest.
    pub fn finish(self) -> Result<(), Failure> {
        self.0.join().map_err(|_| failures::files("btrfs", &io::Error::other("its module can not be loaded")))
    }
}

/// Drivers of the root that are loaded before systemd: the network has its interface when it is configured, and the agent
/// its port when it starts. Everything else waits for udev.
const EARLY_DRIVERS: [&str; 4] =
    ["drivers/net/", "drivers/char/virtio_console", "drivers/char/hw_random/", "drivers/hv/"];

/// Loads the early drivers of the devices there are.
fn load_drivers(folder: &Path) {
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap_or_default();
    let index = ModuleIndex::parse(&read("modules.dep"), &read("modules.alias")).only_below(&EARLY_DRIVERS);
    let (mut loader, mut loaded) = (ModuleFolder(folder.to_owned()), Loaded::default());
    while loaded.answer_devices(&index, disks::modaliases(), &mut loader) == Found::Devices {}
}

/// SCSI peripheral device type 5 (SPC-4, table 4).
fn has_cd_drive() -> bool {
    let devices = fs::read_dir("/sys/bus/scsi/devices").into_iter().flatten().flatten();
    let mut types = devices.filter_map(|device| fs::read_to_string(device.path().join("type")).ok());
    types.any(|kind| kind.trim() == "5")
}

/// A module that is not there is built in, or its absence shows when it is used.
fn load_each(index: &ModuleIndex, folder: &Path, names: &[&str]) {
    let mut loader = ModuleFolder(folder.to_owned());
    let mut loaded = Loaded::default();
    for name in names {
        let _refused = loaded.ensure(index, name, &mut loader);
    }
}

/// Mounts proc, sys, dev, run and tmp of the future root.
pub fn mount_virtual_in(sysroot: &Path) -> Result<(), Failure> {
    let usual = MountFlags::NOSUID | MountFlags::NODEV;
    let mounts = [
        ("proc", "proc", usual | MountFlags::NOEXEC, ""),
        ("sysfs", "sys", usual | MountFlags::NOEXEC, ""),
        ("devtmpfs", "dev", MountFlags::NOSUID, "mode=0755"),
        ("tmpfs", "run", usual, "mode=0755,size=20%"),
        ("tmpfs", "tmp", usual, "mode=1777"),
        // What services expect, and systemd would start a program each for.
        ("tmpfs", "run/lock", usual | MountFlags::NOEXEC, "mode=1777,size=5m"),
        ("mqueue", "dev/mqueue", usual | MountFlags::NOEXEC, ""),
    ];
    for (kind, target, flags, options) in mounts {
        mount_virtual(kind, &sysroot.join(target), flags, options)
            .map_err(|error| failures::files(&format!("/{target}"), &error))?;
    }
    Ok(())
}

/// Data as it was found or made.
#[derive(Debug)]
pub struct Data {
    /// Device node.
    pub device: String,
    /// Whether this is the first boot.
    pub prepared: Prepared,
    /// What a person should know.
    pub notices: Vec<String>,
}

/// Finds, grows, formats and mounts data.
pub fn ensure_data(sysroot: &Path, root: &RootPartitions, definition: &Definition) -> Result<Data, Failure> {
    let choice = choose_settled(&root.disk).map_err(|problem| failures::data("all disks", &problem))?;
    let Candidate { disk, partition, .. } = &choice.candidate;
    let node = disks::partition_node(disk, partition.number);
    let node = node.unwrap_or_else(|| PathBuf::from(format!("/dev/{disk}, partition {}", partition.number)));
    let explain = |problem: &DataProblem| failures::data(&node.display().to_string(), problem);
    let device = DeviceFile::open_for_writing(&Path::new("/dev").join(disk))
        .map_err(|error| explain(&DataProblem::Table(error.into())))?;
    let mut world = RealData { disk: device, node: node.clone(), root: sysroot.to_owned() };
    let (prepared, _) = data::prepare(&mut world, partition, &definition.appliance.id())
        .map_err(|problem| explain(&problem))?;
    Ok(Data { device: node.display().to_string(), prepared, notices: choice.notice.into_iter().collect() })
}

/// Makes the state ready to be kept as it is at one moment.
pub fn ensure_state(sysroot: &Path) -> Result<(), Failure> {
    let copy = |from: &Path, to: &Path| {
        let in_root = |path: &Path| Path::new("/").join(path.strip_prefix(sysroot).unwrap_or(path));
        let mut command = Command::new("/bin/cp");
        command.args(["-a", "--reflink=auto", "--"]).arg(in_root(from).join(".")).arg(in_root(to));
        run_in_root(&mut command, sysroot).map(drop)
    };
    snapshots::ensure_state_subvolume(&sysroot.join("data"), copy).map_err(|error| failures::state(&error))
}

/// Looks again for a while before data on the system disk is taken, where another disk may still be on its way: formatting
/// the wrong place would hide the right one.
fn choose_settled(system_disk: &str) -> Result<data::Choice, DataProblem> {
    let may_be_late = fs::read_dir("/sys/class/scsi_host").is_ok_and(|mut hosts| hosts.next().is_some());
    let began = Instant::now();
    loop {
        let choice = data::choose(candidates(system_disk));
        let is_own = choice.as_ref().is_ok_and(|choice| choice.candidate.place == Place::OwnDisk);
        if is_own || !may_be_late || began.elapsed() > SETTLE {
            return choice;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Partitions of the system disk, and those that are alone on another disk: the disk of another appliance that somebody
/// attached to look at it has several, and is not ours.
fn candidates(system_disk: &str) -> Vec<Candidate> {
    let mut candidates = Vec::new();
    for disk in disks::scan() {
        let partitions = disk.table.as_ref().map(|table| table.partitions()).unwrap_or_default();
        let place = if disk.name == system_disk { Place::SystemDisk } else { Place::OwnDisk };
        if place == Place::SystemDisk || partitions.len() == 1 {
            let candidate = |partition| Candidate { disk: disk.name.clone(), place, partition };
            candidates.extend(partitions.into_iter().map(candidate));
        }
    }
    candidates
}

/// Puts writable, volatile layers over `/etc` and `/var`.
pub fn mount_overlays(sysroot: &Path) -> Result<(), Failure> {
    let mount_all = || -> io::Result<()> {
        let volatile = sysroot.join(VOLATILE.trim_start_matches('/'));
        mount_virtual("tmpfs", &volatile, MountFlags::NOSUID | MountFlags::NODEV, "mode=0755")?;
        for name in ["etc", "var"] {
            let (upper, work) = (volatile.join(name).join("upper"), volatile.join(name).join("work"));
            make_directories(&upper)?;
            make_directories(&work)?;
            let target = sysroot.join(name);
            let options = format!(
                "lowerdir={},upperdir={},workdir={}",
                target.display(),
                upper.display(),
                work.display()
            );
            mount_virtual("overlay", &target, MountFlags::NOSUID | MountFlags::NODEV, &options)?;
        }
        mask_generators(sysroot)
    };
    mount_all().map_err(|error| failures::files("/etc and /var", &error))
}

/// systemd's generators that act on `roothash=` and on partition types would set up again what is set up already, and wait
/// for devices that do not come (systemd.generator(7): a link to `/dev/null` hides one).
fn mask_generators(sysroot: &Path) -> io::Result<()> {
    let folder = sysroot.join(GENERATORS.trim_start_matches('/'));
    make_directories(&folder)?;
    for name in ["systemd-veritysetup-generator", "systemd-gpt-auto-generator"] {
        match std::os::unix::fs::symlink("/dev/null", folder.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Mounts state directories, the journal and the machine's identity over their places, and tells systemd of it.
pub fn bind_state(sysroot: &Path, definition: &Definition) -> Result<(), Failure> {
    let mut mounts: Vec<String> = ["/data", "/var", "/var/log/journal", VOLATILE].map(str::to_owned).to_vec();
    let accounts = Accounts::load(sysroot).map_err(|error| failures::files("/etc/passwd", &error))?;
    let data = sysroot.join("data");
    let mut directories: Vec<_> = definition.state.iter().collect();
    // An outer directory is mounted before one inside of it.
    directories.sort_by(|one, other| one.path.cmp(&other.path));
    for directory in directories {
        let place = state::ensure_state(&data, sysroot, directory, &accounts)
            .map_err(|error| failures::state(&error))?;
        bind(&place, &sysroot.join(directory.path.trim_start_matches('/'))).map_err(|source| {
            failures::state(&state::StateError::Files { path: directory.path.clone(), source })
        })?;
        mounts.push(directory.path.clone());
    }
    bind_journal(sysroot, &data, &accounts)
        .and_then(|()| ensure_machine_id(sysroot, &data))
        .and_then(|()| handover::tell_systemd(sysroot, &mounts))
        .map_err(|error| failures::state(&error))
}

fn bind(place: &Path, target: &Path) -> io::Result<()> {
    make_directories(target)?;
    Ok(mount_bind(place, target)?)
}

/// The journal's own rules: group systemd-journal, setgid.
fn bind_journal(sysroot: &Path, data: &Path, accounts: &Accounts) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let place = data.join("journal");
    if !place.is_dir() {
        make_directories(&place)?;
        // The journal is written in place: copies of its blocks would scatter it all over the disk. Other file systems
        // have no such flag, and need none.
        let folder = fs::File::open(&place)?;
        let _no_such_flag = rustix::fs::ioctl_getflags(&folder)
            .and_then(|flags| rustix::fs::ioctl_setflags(&folder, flags | rustix::fs::IFlags::NOCOW));
        let Owner { user, group } = accounts.owner("root:systemd-journal").unwrap_or_default();
        std::os::unix::fs::chown(&place, Some(user), Some(group))?;
        fs::set_permissions(&place, fs::Permissions::from_mode(0o2755))?;
    }
    bind(&place, &sysroot.join("var/log/journal"))
}

/// Makes the machine id at the first boot, keeps it on data, and shows it in `/etc`. A file that is not an id (a power cut
/// while it was written) is made again.
fn ensure_machine_id(sysroot: &Path, data: &Path) -> io::Result<()> {
    let path = data.join("ampoule/machine-id");
    let known = fs::read_to_string(&path).unwrap_or_default();
    let is_id = |text: &str| text.len() == 32 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
    let id = if is_id(known.trim()) {
        known.trim().to_owned()
    } else {
        let mut bytes = [0u8; 16];
        rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
        // Version 4, variant 1 of RFC 9562, as machine-id(5) asks for.
        bytes[6] = bytes[6] & 0x0F | 0x40;
        bytes[8] = bytes[8] & 0x3F | 0x80;
        let id: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        fs::write(&path, format!("{id}\n"))?;
        state::sync_file_system(data)?;
        id
    };
    let target = sysroot.join("etc/machine-id");
    // An empty file or `uninitialized` of the image is in the lower layer.
    fs::write(target, format!("{id}\n"))
}

/// Unused mounts of the initrd are left behind with it.
pub fn leave_initrd() {
    for target in ["/proc", "/sys", "/dev"] {
        let _in_use_is_fine = rustix::mount::unmount(target, rustix::mount::UnmountFlags::DETACH);
    }
}

/// Moves the root over `/`.
pub fn move_root(sysroot: &Path) -> io::Result<()> {
    rustix::process::chdir(sysroot)?;
    rustix::mount::mount_move(".", "/")?;
    rustix::process::chroot(".")?;
    Ok(rustix::process::chdir("/")?)
}
