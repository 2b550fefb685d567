//! Device-mapper by its control device (`linux/dm-ioctl.h`): read-only mappings with one target.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

/// `struct dm_ioctl`
const HEADER_LENGTH: usize = 312;
/// `struct dm_target_spec`
const TARGET_LENGTH: usize = 40;
/// Longest buffer of one call; a verity table is below 700 bytes.
const BUFFER_LENGTH: usize = 4096;
const READ_ONLY: u32 = 1 << 0;
const COMMANDS_VERSION: [u32; 3] = [4, 0, 0];

/// `_IOWR(0xFD, number, struct dm_ioctl)`
const fn command(number: u32) -> libc::Ioctl {
    (0xC000_0000_u32 | (HEADER_LENGTH as u32) << 16 | 0xFD << 8 | number) as libc::Ioctl
}

const DEVICE_CREATE: libc::Ioctl = command(3);
const DEVICE_REMOVE: libc::Ioctl = command(4);
/// Resumes when the suspend flag is absent.
const DEVICE_SUSPEND: libc::Ioctl = command(6);
const TABLE_LOAD: libc::Ioctl = command(9);

/// A mapping to make.
#[derive(Clone, Debug)]
pub struct Mapping<'a> {
    /// Name of the mapping.
    pub name: &'a str,
    /// UUID of the mapping.
    pub uuid: &'a str,
    /// Length in sectors.
    pub sectors: u64,
    /// Target type.
    pub target: &'a str,
    /// Parameters of the target.
    pub parameters: &'a str,
}

/// Makes a read-only mapping and returns the minor number of its device, `/dev/dm-N`.
pub fn create_read_only(control: &Path, mapping: &Mapping<'_>) -> io::Result<u32> {
    let control = File::options().read(true).write(true).open(control)?;
    let mut call = Call::new(mapping.name)?;
    call.put_text(176, 129, mapping.uuid)?;
    call.run(&control, DEVICE_CREATE)?;
    load_and_resume(&control, mapping).inspect_err(|_| {
        // A mapping without table would only be in the way of a second try.
        if let Ok(mut call) = Call::new(mapping.name) {
            let _best_effort = call.run(&control, DEVICE_REMOVE);
        }
    })
}

/// Removes a mapping that nothing uses.
pub fn remove(control: &Path, name: &str) -> io::Result<()> {
    let control = File::options().read(true).write(true).open(control)?;
    Call::new(name)?.run(&control, DEVICE_REMOVE)
}

fn load_and_resume(control: &File, mapping: &Mapping<'_>) -> io::Result<u32> {
    let mut call = Call::new(mapping.name)?;
    call.put_number(28, READ_ONLY);
    // target_count
    call.put_number(20, 1);
    call.bytes[HEADER_LENGTH + 8..HEADER_LENGTH + 16].copy_from_slice(&mapping.sectors.to_ne_bytes());
    call.put_text(HEADER_LENGTH + 24, 16, mapping.target)?;
    call.put_text(
        HEADER_LENGTH + TARGET_LENGTH,
        BUFFER_LENGTH - HEADER_LENGTH - TARGET_LENGTH,
        mapping.parameters,
    )?;
    call.run(control, TABLE_LOAD)?;
    let mut call = Call::new(mapping.name)?;
    call.put_number(28, READ_ONLY);
    call.run(control, DEVICE_SUSPEND)?;
    // `dev` in the kernel's "huge" encoding: minor bits 0-7 and 20-31, major bits 8-19.
    let device = u64::from_ne_bytes(call.bytes[40..48].try_into().expect("eight bytes")) as u32;
    Ok(device & 0xFF | (device >> 12) & 0xFFF00)
}

/// The buffer of one call: `struct dm_ioctl`, then its data.
struct Call {
    bytes: Box<[u8; BUFFER_LENGTH]>,
}

impl Call {
    fn new(name: &str) -> io::Result<Call> {
        let mut call = Call { bytes: Box::new([0; BUFFER_LENGTH]) };
        for (index, part) in COMMANDS_VERSION.into_iter().enumerate() {
            call.put_number(index * 4, part);
        }
        // data_size, data_start
        call.put_number(12, BUFFER_LENGTH as u32);
        call.put_number(16, HEADER_LENGTH as u32);
        call.put_text(48, 128, name)?;
        Ok(call)
    }

    fn put_number(&mut self, at: usize, number: u32) {
        self.bytes[at..at + 4].copy_from_slice(&number.to_ne_bytes());
    }

    /// Puts a text with its closing NUL.
    fn put_text(&mut self, at: usize, room: usize, text: &str) -> io::Result<()> {
        if text.len() >= room {
            return Err(io::Error::other("a text is too long for a device-mapper call"));
        }
        self.bytes[at..at + text.len()].copy_from_slice(text.as_bytes());
        Ok(())
    }

    fn run(&mut self, control: &File, command: libc::Ioctl) -> io::Result<()> {
        // JUSTIFICATION: device-mapper has no other interface.
        // SAFETY: the buffer is as long as its `data_size` says, is exclusively borrowed until the call returns, and the
        // kernel reads and writes nothing beyond `data_size`.
        let result = unsafe { libc::ioctl(control.as_raw_fd(), command, self.bytes.as_mut_ptr()) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_numbers_are_those_of_the_kernel() {
        assert_eq!(DEVICE_CREATE as u32, 0xC138_FD03);
        assert_eq!(TABLE_LOAD as u32, 0xC138_FD09);
    }

    #[test]
    fn a_text_that_does_not_fit_is_refused() {
        assert!(Call::new(&"n".repeat(128)).is_err());
        assert!(Call::new(&"n".repeat(127)).is_ok());
    }
}
