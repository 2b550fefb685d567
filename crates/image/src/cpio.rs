//! The initrd: a newc cpio archive, uncompressed, with nothing in it that varies.
//!
//! Inode numbers count up, times and owners are zero. Directories that paths need are added. Format:
//! `Documentation/driver-api/early-userspace/buffer-format.rst` of Linux.

use std::collections::BTreeMap;
use std::io::{self, Write};

use tree::TreePath;

/// One path of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// In the initial root.
    pub path: TreePath,
    /// Permission bits, 0o7777 at most.
    pub mode: u32,
    /// What it is.
    pub kind: Kind<'a>,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind<'a> {
    /// Directory.
    Directory,
    /// Regular file with its bytes.
    File(&'a [u8]),
    /// Symbolic link with its text.
    Symlink(&'a str),
    /// Character device.
    CharacterDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
}

/// Why an archive can not be written.
#[derive(Debug, thiserror::Error)]
pub enum CpioError {
    /// Two entries have one path.
    #[error("`{path}` is in the archive twice")]
    Duplicate {
        /// The path.
        path: TreePath,
    },
    /// Something is below a path that is not a directory.
    #[error("`{path}` is below something that is not a directory")]
    NotADirectory {
        /// The path below.
        path: TreePath,
    },
    /// More than the format's eight hexadecimal digits can say.
    #[error("`{path}` is larger than 4 GiB")]
    TooLarge {
        /// The path.
        path: TreePath,
    },
    /// The archive can not be written.
    #[error("can not write the archive")]
    Output {
        /// What the writer said.
        source: io::Error,
    },
}

/// Mode of directories that were not listed.
const DIRECTORY_MODE: u32 = 0o755;

/// Writes an archive, entries in path order whatever the order given.
pub fn write(entries: &[Entry<'_>], out: &mut impl Write) -> Result<(), CpioError> {
    let mut sorted: BTreeMap<TreePath, (u32, Kind<'_>)> = BTreeMap::new();
    for entry in entries {
        if sorted.insert(entry.path.clone(), (entry.mode, entry.kind)).is_some() {
            return Err(CpioError::Duplicate { path: entry.path.clone() });
        }
    }
    for entry in entries {
        let mut ancestor = entry.path.parent();
        while let Some(path) = ancestor.filter(|path| *path != TreePath::root()) {
            let (_, kind) = sorted.entry(path.clone()).or_insert((DIRECTORY_MODE, Kind::Directory));
            if *kind != Kind::Directory {
                return Err(CpioError::NotADirectory { path: entry.path.clone() });
            }
            ancestor = path.parent();
        }
    }
    for (number, (path, (mode, kind))) in sorted.iter().enumerate() {
        let name = if path.as_str().is_empty() { "." } else { path.as_str() };
        let (bits, links, data, device) = match kind {
            Kind::Directory => (0o040_000, 2, &[][..], (0, 0)),
            Kind::File(bytes) => (0o100_000, 1, *bytes, (0, 0)),
            Kind::Symlink(text) => (0o120_000, 1, text.as_bytes(), (0, 0)),
            Kind::CharacterDevice { major, minor } => (0o020_000, 1, &[][..], (*major, *minor)),
        };
        let size = u32::try_from(data.len()).map_err(|_| CpioError::TooLarge { path: path.clone() })?;
        let fields = Fields { number: number as u32 + 1, mode: bits | mode, links, size, device };
        write_member(name, &fields, data, out).map_err(|source| CpioError::Output { source })?;
    }
    let trailer = Fields { number: 0, mode: 0, links: 1, size: 0, device: (0, 0) };
    write_member("TRAILER!!!", &trailer, &[], out).map_err(|source| CpioError::Output { source })
}

struct Fields {
    number: u32,
    mode: u32,
    links: u32,
    size: u32,
    device: (u32, u32),
}

fn write_member(name: &str, fields: &Fields, data: &[u8], out: &mut impl Write) -> io::Result<()> {
    let name_size = name.len() as u32 + 1;
    let numbers = [
        fields.number,
        fields.mode,
        0, // uid
        0, // gid
        fields.links,
        0, // mtime
        fields.size,
        0, // major and minor of the device the file was on
        0,
        fields.device.0,
        fields.device.1,
        name_size,
        0, // check sum: unused in this variant
    ];
    let mut head = b"070701".to_vec();
    numbers.iter().for_each(|number| head.extend(format!("{number:08X}").into_bytes()));
    head.extend(name.as_bytes());
    head.push(0);
    head.resize(head.len().next_multiple_of(4), 0);
    out.write_all(&head)?;
    out.write_all(data)?;
    out.write_all(&[0; 3][..data.len().next_multiple_of(4) - data.len()])
}
