//! Programs run inside another root, or as another user.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// Makes a command run with `root` as its root directory.
pub fn in_root(command: &mut Command, root: &Path) -> io::Result<()> {
    let root = CString::new(root.as_os_str().as_bytes()).map_err(io::Error::other)?;
    let enter = move || {
        // JUSTIFICATION: the standard library has no stable way to change the root of a child.
        // SAFETY: both calls take NUL-terminated texts that live in the closure and in the program.
        if unsafe { libc::chroot(root.as_ptr()) } < 0 || unsafe { libc::chdir(c"/".as_ptr()) } < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    };
    // JUSTIFICATION: see above.
    // SAFETY: between fork and exec the closure only makes two async-signal-safe system calls and allocates nothing.
    unsafe { command.pre_exec(enter) };
    Ok(())
}
