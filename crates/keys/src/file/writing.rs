//! Key files on disk: written completely or not at all.
//!
//! | step | what a crash leaves |
//! |---|---|
//! | 1. the name is taken with an empty file | an empty file, told as such |
//! | 2. the text is written beside it, synced | the same, and a partial file of mode 0600 |
//! | 3. renamed over the empty file, folder synced | the key |

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use super::KeyFileErrorKind;

pub(crate) fn write_new(path: &Path, text: &str) -> Result<(), KeyFileErrorKind> {
    match create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(KeyFileErrorKind::Exists),
        other => drop(other.map_err(failed)?),
    }
    let written = replace(path, text);
    if written.is_err() {
        drop(fs::remove_file(path));
    }
    written
}

pub(super) fn replace(path: &Path, text: &str) -> Result<(), KeyFileErrorKind> {
    let partial = partial(path);
    let write = || {
        match fs::remove_file(&partial) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => (),
        }
        let mut file = create(&partial)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&partial, path)?;
        sync_folder(path)
    };
    let written = write();
    if written.is_err() {
        drop(fs::remove_file(&partial));
    }
    written.map_err(failed)
}

fn failed(source: io::Error) -> KeyFileErrorKind {
    KeyFileErrorKind::Io { verb: "written", source }
}

fn partial(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".partial");
    path.with_file_name(name)
}

/// A new file that only its owner can read, from its first moment on.
fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}
