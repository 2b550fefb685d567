//! Block-device and btrfs ioctls (`linux/fs.h`, `linux/blkpg.h`, `linux/btrfs.h`).

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// `_IOR(0x12, 114, size_t)`
const BLKGETSIZE64: libc::Ioctl = 0x8008_1272_u32 as libc::Ioctl;
/// `_IO(0x12, 95)`
const BLKRRPART: libc::Ioctl = 0x125F;
/// `_IO(0x12, 105)`
const BLKPG: libc::Ioctl = 0x1269;
/// `_IOW(0x94, 3, struct btrfs_ioctl_vol_args)`
const BTRFS_IOC_RESIZE: libc::Ioctl = 0x5000_9403;
/// `_IOW(0x94, 14, struct btrfs_ioctl_vol_args)`
const BTRFS_IOC_SUBVOL_CREATE: libc::Ioctl = 0x5000_940E;
/// `_IOW(0x94, 15, struct btrfs_ioctl_vol_args)`
const BTRFS_IOC_SNAP_DESTROY: libc::Ioctl = 0x5000_940F;
/// `_IOW(0x94, 23, struct btrfs_ioctl_vol_args_v2)`
const BTRFS_IOC_SNAP_CREATE_V2: libc::Ioctl = 0x5000_9417;
/// `_IOWR('W', 6, int)`
const WDIOC_SETTIMEOUT: libc::Ioctl = 0xC004_5706_u32 as libc::Ioctl;
const BLKPG_RESIZE_PARTITION: libc::c_int = 3;

/// `struct blkpg_partition`
#[repr(C)]
struct BlockPartition {
    start: libc::c_longlong,
    length: libc::c_longlong,
    number: libc::c_int,
    device_name: [u8; 64],
    volume_name: [u8; 64],
}

/// `struct blkpg_ioctl_arg`
#[repr(C)]
struct BlockPartitionCall {
    operation: libc::c_int,
    flags: libc::c_int,
    length: libc::c_int,
    data: *mut BlockPartition,
}

/// Size of a block device in bytes.
pub fn device_bytes(device: &File) -> io::Result<u64> {
    let mut bytes = 0u64;
    // JUSTIFICATION: no safe wrapper exists, and sysfs is not there for files given by path.
    // SAFETY: the descriptor is open for the whole call, and BLKGETSIZE64 writes one u64 into `bytes`.
    check(unsafe { libc::ioctl(device.as_raw_fd(), BLKGETSIZE64, &raw mut bytes) })?;
    Ok(bytes)
}

/// Makes the kernel read the partition table again. Fails with EBUSY while a partition is in use.
pub fn read_partitions_again(disk: &File) -> io::Result<()> {
    // JUSTIFICATION: after a table was repaired the kernel has no partitions of the disk at all.
    // SAFETY: the descriptor is open for the whole call, and BLKRRPART takes no argument.
    check(unsafe { libc::ioctl(disk.as_raw_fd(), BLKRRPART, 0) })
}

/// Tells the kernel a partition's new size, also while others of the disk are in use. `start` and `length` are in bytes.
pub fn resize_partition(disk: &File, number: u32, start: u64, length: u64) -> io::Result<()> {
    let range = |value: u64| libc::c_longlong::try_from(value).map_err(io::Error::other);
    let mut partition = BlockPartition {
        start: range(start)?,
        length: range(length)?,
        number: number as libc::c_int,
        device_name: [0; 64],
        volume_name: [0; 64],
    };
    let mut call = BlockPartitionCall {
        operation: BLKPG_RESIZE_PARTITION,
        flags: 0,
        length: size_of::<BlockPartition>() as libc::c_int,
        data: &raw mut partition,
    };
    // JUSTIFICATION: reading the whole table again is impossible while the root partition of the disk is open.
    // SAFETY: both structures have the kernel's layout, live until the call returns, and `data` points to the first one.
    check(unsafe { libc::ioctl(disk.as_raw_fd(), BLKPG, &raw mut call) })
}

/// `struct btrfs_ioctl_vol_args`
#[repr(C)]
struct VolumeArguments {
    descriptor: i64,
    name: [u8; 4088],
}

impl VolumeArguments {
    fn named(name: &str) -> io::Result<VolumeArguments> {
        let mut arguments = VolumeArguments { descriptor: 0, name: [0; 4088] };
        put_name(&mut arguments.name, name)?;
        Ok(arguments)
    }
}

/// `struct btrfs_ioctl_vol_args_v2`
#[repr(C)]
struct SnapshotArguments {
    descriptor: i64,
    transaction: u64,
    flags: u64,
    unused: [u64; 4],
    name: [u8; 4040],
}

/// One path component with its closing NUL.
fn put_name(field: &mut [u8], name: &str) -> io::Result<()> {
    if name.is_empty() || name.len() >= field.len().min(256) || name.contains(['/', '\0']) {
        return Err(io::Error::other("this can not be the name of a subvolume"));
    }
    field[..name.len()].copy_from_slice(name.as_bytes());
    Ok(())
}

/// Makes an empty btrfs subvolume `name` in an open folder.
pub fn create_subvolume(folder: &File, name: &str) -> io::Result<()> {
    let mut arguments = VolumeArguments::named(name)?;
    // JUSTIFICATION: btrfs has no other interface for it.
    // SAFETY: the structure has the kernel's layout and size (4096 bytes) and lives until the call returns.
    check(unsafe { libc::ioctl(folder.as_raw_fd(), BTRFS_IOC_SUBVOL_CREATE, &raw mut arguments) })
}

/// Removes the btrfs subvolume `name` of an open folder with everything in it.
pub fn remove_subvolume(folder: &File, name: &str) -> io::Result<()> {
    let mut arguments = VolumeArguments::named(name)?;
    // JUSTIFICATION: removing a tree file by file could leave half of it behind.
    // SAFETY: the structure has the kernel's layout and size (4096 bytes) and lives until the call returns.
    check(unsafe { libc::ioctl(folder.as_raw_fd(), BTRFS_IOC_SNAP_DESTROY, &raw mut arguments) })
}

/// Makes a writable snapshot of the open subvolume `source` as `name` in an open folder.
pub fn snapshot_subvolume(source: &File, folder: &File, name: &str) -> io::Result<()> {
    let mut arguments = SnapshotArguments {
        descriptor: source.as_raw_fd().into(),
        transaction: 0,
        flags: 0,
        unused: [0; 4],
        name: [0; 4040],
    };
    put_name(&mut arguments.name, name)?;
    // JUSTIFICATION: btrfs has no other interface for it.
    // SAFETY: the structure has the kernel's layout and size (4096 bytes) and lives until the call returns, as does the
    // descriptor in it.
    check(unsafe { libc::ioctl(folder.as_raw_fd(), BTRFS_IOC_SNAP_CREATE_V2, &raw mut arguments) })
}

/// Sets after how many seconds without a sign of life a watchdog resets the machine.
pub fn set_watchdog_timeout(watchdog: &File, seconds: libc::c_int) -> io::Result<()> {
    let mut seconds = seconds;
    // JUSTIFICATION: watchdogs have no other interface for it.
    // SAFETY: the descriptor is open for the whole call, which reads and writes one int.
    check(unsafe { libc::ioctl(watchdog.as_raw_fd(), WDIOC_SETTIMEOUT, &raw mut seconds) })
}

/// Makes a mounted btrfs use all of its device. Does nothing when it does already.
pub fn grow_btrfs(mount_point: &File) -> io::Result<()> {
    let mut arguments = VolumeArguments::named("max")?;
    // JUSTIFICATION: there is no other way to resize a mounted btrfs, and running `btrfs` costs a process at every boot.
    // SAFETY: the structure has the kernel's layout and size (4096 bytes) and lives until the call returns.
    check(unsafe { libc::ioctl(mount_point.as_raw_fd(), BTRFS_IOC_RESIZE, &raw mut arguments) })
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_have_the_kernels_size() {
        assert_eq!(size_of::<BlockPartition>(), 152);
        assert_eq!(size_of::<BlockPartitionCall>(), 24);
        assert_eq!((size_of::<VolumeArguments>(), size_of::<SnapshotArguments>()), (4096, 4096));
    }

    #[test]
    fn a_plain_file_is_refused_by_the_kernel() {
        let file = tempfile::tempfile().expect("a temporary file can be made");
        assert!(device_bytes(&file).is_err());
        assert!(read_partitions_again(&file).is_err());
        assert!(resize_partition(&file, 1, 0, 512).is_err());
        assert!(grow_btrfs(&file).is_err());
        assert!(create_subvolume(&file, "x").is_err());
        assert!(remove_subvolume(&file, "x").is_err());
        assert!(snapshot_subvolume(&file, &file, "x").is_err());
        assert!(set_watchdog_timeout(&file, 1).is_err());
    }

    #[test]
    fn a_subvolume_is_named_by_one_component() {
        for name in ["", "a/b", "a\0b", &"n".repeat(256)] {
            assert!(VolumeArguments::named(name).is_err(), "{name:?}");
        }
        assert!(VolumeArguments::named("state-before-1").is_ok());
    }
}
