//! Unix sockets in a folder of any depth.
//!
//! A socket's path has room for 107 bytes only (unix(7)), and folders of tests and builds are deeper. So the folder is
//! opened and the socket is named through `/proc/self/fd`; QEMU gets bare names and runs in the folder.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Connects to the socket `path`.
pub(crate) fn connect(path: &Path) -> io::Result<UnixStream> {
    let (folder, name) = split(path)?;
    UnixStream::connect(short(&folder, &name))
}

/// Listens at `path`. What lies there is removed: the caller MUST hold the folder's lock.
pub(crate) fn listen(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let (folder, name) = split(path)?;
    UnixListener::bind(short(&folder, &name))
}

fn split(path: &Path) -> io::Result<(File, PathBuf)> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok((File::open(folder)?, name.into()))
}

fn short(folder: &File, name: &Path) -> PathBuf {
    Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_works_in_a_folder_that_is_deeper_than_a_socket_address() {
        let bench = tempfile::tempdir().expect("folder");
        let deep = bench.path().join("x".repeat(200));
        fs::create_dir(&deep).expect("creates");
        let path = deep.join("control.sock");
        fs::write(&path, "stale").expect("writes");
        let _listener = listen(&path).expect("listens");
        connect(&path).expect("connects");
    }
}
