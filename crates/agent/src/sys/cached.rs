//! How much of a file is in memory (cachestat(2), Linux 6.5 and later).

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// Its number, the same on every architecture.
const CACHESTAT: libc::c_long = 451;

/// `struct cachestat_range`
#[repr(C)]
struct Range {
    offset: u64,
    length: u64,
}

/// `struct cachestat`
#[repr(C)]
#[derive(Default)]
struct Counts {
    cached: u64,
    dirty: u64,
    writeback: u64,
    evicted: u64,
    recently_evicted: u64,
}

/// Pages of a part of a file that are in memory. `Unsupported` on kernels that do not tell.
pub fn cached_pages(file: &File, offset: u64, length: u64) -> io::Result<u64> {
    let range = Range { offset, length };
    let mut counts = Counts::default();
    // JUSTIFICATION: neither the standard library nor rustix has this call; mincore(2) would need a mapping of each file.
    // SAFETY: both structures are those of the kernel's interface and live through the call.
    let outcome =
        unsafe { libc::syscall(CACHESTAT, file.as_raw_fd(), &raw const range, &raw mut counts, 0u32) };
    match outcome {
        0 => Ok(counts.cached),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_just_written_is_in_memory() {
        let mut file = tempfile::tempfile().expect("a temporary file can be made");
        io::Write::write_all(&mut file, &[1; 8192]).expect("written");
        match cached_pages(&file, 0, 8192) {
            Ok(pages) => assert!(pages <= 2),
            // An older kernel, or a file system that keeps to itself.
            Err(error) => {
                assert!(matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EOPNOTSUPP)), "{error}")
            }
        }
    }
}
