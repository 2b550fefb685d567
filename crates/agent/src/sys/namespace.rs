//! A mount namespace for this process alone.

use std::io;

/// Leaves the system's mounts. The caller MUST have a single thread: others would stay in the old namespace.
pub fn own_mounts() -> io::Result<()> {
    // JUSTIFICATION: the only call that gives a process mounts of its own.
    // SAFETY: the wrapper is unsafe for flags that unshare file descriptors between threads; NEWNS does not.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNS) }.map_err(io::Error::from)
}
