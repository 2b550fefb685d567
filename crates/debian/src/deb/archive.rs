//! The inner archives: tar as dpkg writes and reads it (ustar with GNU long names, and PAX records for attributes).
//!
//! The `tar` crate decodes header fields; the walk is here, so that long names and PAX records have limits, and because
//! PAX values are binary (file capabilities hold line feeds).

use std::collections::BTreeMap;
use std::io::{self, Read};

use tar::{EntryType, Header};

use super::MAX_ENTRIES;
use super::error::DebProblem;

/// Longest path or link target. Stops names that no file system takes (PATH_MAX is 4096).
const MAX_PATH: u64 = 4096;
/// Largest PAX header of an entry. Stops a forged header from filling memory; attributes are at most 64 KiB each.
const MAX_PAX: u64 = 1 << 20;
/// Most bytes behind the end of an archive: tar pads to its blocking factor, which is 10 KiB by default.
const MAX_PADDING: u64 = 1 << 20;
const BLOCK: usize = 512;
const XATTR_PREFIX: &str = "SCHILY.xattr.";

/// An entry of the data archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataEntry {
    /// Relative to the root, without `./`; empty for the root itself. No `.`, `..` or empty components.
    pub path: String,
    /// Permission bits with setuid, setgid and sticky: 0o7777 at most.
    pub mode: u32,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Owner's name, possibly empty. dpkg prefers it to the number when the system knows it.
    pub user: String,
    /// Group's name, possibly empty; see `user`.
    pub group: String,
    /// Modification time, seconds since the epoch.
    pub mtime: u64,
    /// Extended attributes by full name, raw values.
    pub xattrs: BTreeMap<String, Vec<u8>>,
    /// What it is.
    pub kind: DataKind,
}

/// What an entry of the data archive is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataKind {
    /// Directory.
    Directory,
    /// Regular file with its length in bytes.
    File {
        /// Length of its content.
        size: u64,
    },
    /// Another name of an earlier regular file.
    HardLink {
        /// Path, in the form of [`DataEntry::path`].
        target: String,
    },
    /// Symbolic link.
    Symlink {
        /// Text as it is stored.
        target: String,
    },
    /// Character device.
    CharacterDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// Block device.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// Named pipe.
    Fifo,
}

/// What GNU and PAX headers say about the entry behind them.
#[derive(Default)]
struct Overrides {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    xattrs: BTreeMap<String, Vec<u8>>,
}

/// Walks an archive.
pub(super) struct TarReader<S> {
    source: S,
    /// Bytes that may still be read from `source`.
    budget: u64,
    limit: u64,
    /// Content of the current entry not yet read, and the padding behind it.
    remaining: u64,
    padding: u64,
    entries: u64,
    last_path: String,
}

impl<S: Read> TarReader<S> {
    pub fn new(source: S, limit: u64) -> Self {
        Self { source, budget: limit, limit, remaining: 0, padding: 0, entries: 0, last_path: String::new() }
    }

    /// Path of the entry that was read last, for errors.
    pub fn last_path(&self) -> &str {
        &self.last_path
    }

    pub fn source_mut(&mut self) -> &mut S {
        &mut self.source
    }

    /// The next entry, `None` at the archive's end mark.
    pub fn next_entry(&mut self) -> Result<Option<DataEntry>, DebProblem> {
        let mut overrides = Overrides::default();
        loop {
            self.skip_content()?;
            let Some(header) = self.next_header()? else { return Ok(None) };
            self.entries += 1;
            if self.entries > MAX_ENTRIES {
                return Err(DebProblem::Limit { what: "the number of entries", limit: MAX_ENTRIES });
            }
            let size = header.entry_size().map_err(|_| DebProblem::Damaged("a size field is malformed"))?;
            match header.entry_type() {
                EntryType::GNULongName => overrides.path = Some(self.long_text(size)?),
                EntryType::GNULongLink => overrides.link = Some(self.long_text(size)?),
                EntryType::XHeader => {
                    let records = self.small_content(size, MAX_PAX, "a PAX header's size")?;
                    read_pax(&records, &mut overrides)?;
                }
                EntryType::XGlobalHeader => {
                    self.small_content(size, MAX_PAX, "a PAX header's size")?;
                }
                _ => return self.entry(&header, overrides, size).map(Some),
            }
        }
    }

    /// Reads from the current entry's content; 0 at its end.
    pub fn read_content(&mut self, buffer: &mut [u8]) -> Result<usize, DebProblem> {
        let wanted = buffer.len().min(usize::try_from(self.remaining).unwrap_or(usize::MAX));
        if wanted == 0 {
            return Ok(0);
        }
        let count = self.read_some(&mut buffer[..wanted])?;
        if count == 0 {
            return Err(DebProblem::Truncated);
        }
        self.remaining -= count as u64;
        Ok(count)
    }

    /// Reads all that is left of the current entry's content.
    pub fn read_to_end(&mut self, bytes: &mut Vec<u8>) -> Result<(), DebProblem> {
        let mut buffer = [0; 16 << 10];
        loop {
            match self.read_content(&mut buffer)? {
                0 => return Ok(()),
                count => bytes.extend_from_slice(&buffer[..count]),
            }
        }
    }

    /// Reads what is behind the end mark, so that the decompressor sees the end and checks its sums.
    pub fn finish(&mut self) -> Result<(), DebProblem> {
        let mut buffer = [0; 4096];
        let mut total = 0;
        loop {
            match self.read_some(&mut buffer)? {
                0 => return Ok(()),
                count => total += count as u64,
            }
            if total > MAX_PADDING {
                return Err(DebProblem::Limit { what: "the padding behind an archive", limit: MAX_PADDING });
            }
        }
    }

    fn entry(&mut self, header: &Header, overrides: Overrides, size: u64) -> Result<DataEntry, DebProblem> {
        let damaged = |_| DebProblem::Damaged("a header's number is malformed");
        let path = overrides.path.unwrap_or_else(|| header.path_bytes().into_owned());
        let path = clean_path(text(path)?)?;
        self.last_path.clone_from(&path);
        let link = || {
            let link =
                overrides.link.clone().or_else(|| header.link_name_bytes().map(|link| link.into_owned()));
            text(link.ok_or(DebProblem::Damaged("a link has no target"))?)
        };
        let device = || -> Result<(u32, u32), DebProblem> {
            let major = header.device_major().map_err(damaged)?;
            let minor = header.device_minor().map_err(damaged)?;
            major.zip(minor).ok_or(DebProblem::Damaged("a device has no numbers"))
        };
        let mut content = 0;
        let kind = match header.entry_type() {
            EntryType::Regular | EntryType::Continuous => {
                content = overrides.size.unwrap_or(size);
                DataKind::File { size: content }
            }
            EntryType::Directory => DataKind::Directory,
            EntryType::Link => DataKind::HardLink { target: clean_path(link()?)? },
            EntryType::Symlink => DataKind::Symlink { target: link()? },
            EntryType::Char => {
                let (major, minor) = device()?;
                DataKind::CharacterDevice { major, minor }
            }
            EntryType::Block => {
                let (major, minor) = device()?;
                DataKind::BlockDevice { major, minor }
            }
            EntryType::Fifo => DataKind::Fifo,
            _ => {
                return Err(DebProblem::Unsupported(
                    "an entry that is no file, directory, link, device or pipe",
                ));
            }
        };
        if kind != DataKind::Directory && path.is_empty() {
            return Err(DebProblem::Damaged("the root is not a directory"));
        }
        self.expect_content(content)?;
        let number = |value: io::Result<u64>| {
            u32::try_from(value.map_err(damaged)?)
                .map_err(|_| DebProblem::Damaged("an owner's number is too large"))
        };
        let name = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
        Ok(DataEntry {
            path,
            mode: header.mode().map_err(damaged)? & 0o7777,
            uid: number(header.uid())?,
            gid: number(header.gid())?,
            user: name(header.username_bytes()),
            group: name(header.groupname_bytes()),
            mtime: header.mtime().map_err(damaged)?,
            xattrs: overrides.xattrs,
            kind,
        })
    }

    fn next_header(&mut self) -> Result<Option<Header>, DebProblem> {
        let mut header = Header::new_old();
        let mut filled = 0;
        while filled < BLOCK {
            match self.read_some(&mut header.as_mut_bytes()[filled..])? {
                // The compressed stream's own end is checked by `finish`.
                0 if filled == 0 => return Ok(None),
                0 => return Err(DebProblem::Truncated),
                count => filled += count,
            }
        }
        if header.as_bytes().iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        // POSIX ustar: the sum of all bytes, the sum's own field taken as spaces.
        let sum: u32 = header
            .as_bytes()
            .iter()
            .enumerate()
            .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) })
            .sum();
        if header.cksum().ok() != Some(sum) {
            return Err(DebProblem::Damaged("a header's checksum is wrong"));
        }
        Ok(Some(header))
    }

    fn expect_content(&mut self, size: u64) -> Result<(), DebProblem> {
        if size > self.budget {
            return Err(self.over_limit());
        }
        self.remaining = size;
        self.padding = size.next_multiple_of(BLOCK as u64) - size;
        Ok(())
    }

    fn small_content(&mut self, size: u64, limit: u64, what: &'static str) -> Result<Vec<u8>, DebProblem> {
        if size > limit {
            return Err(DebProblem::Limit { what, limit });
        }
        self.expect_content(size)?;
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn long_text(&mut self, size: u64) -> Result<Vec<u8>, DebProblem> {
        let mut bytes = self.small_content(size, MAX_PATH, "a path's length")?;
        // GNU tar ends it with a NUL.
        if bytes.last() == Some(&0) {
            bytes.pop();
        }
        Ok(bytes)
    }

    fn skip_content(&mut self) -> Result<(), DebProblem> {
        self.remaining += std::mem::take(&mut self.padding);
        let mut buffer = [0; 16 << 10];
        while self.read_content(&mut buffer)? > 0 {}
        Ok(())
    }

    fn read_some(&mut self, buffer: &mut [u8]) -> Result<usize, DebProblem> {
        loop {
            match self.source.read(buffer) {
                Ok(count) if count as u64 > self.budget => return Err(self.over_limit()),
                Ok(count) => {
                    self.budget -= count as u64;
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn over_limit(&self) -> DebProblem {
        DebProblem::Limit { what: "the unpacked size in bytes", limit: self.limit }
    }
}

fn text(bytes: Vec<u8>) -> Result<String, DebProblem> {
    let text = String::from_utf8(bytes).map_err(|_| DebProblem::Unsupported("a path that is not UTF-8"))?;
    if text.contains('\0') || text.len() as u64 > MAX_PATH {
        return Err(DebProblem::Damaged("a path holds a NUL or is too long"));
    }
    Ok(text)
}

/// The form of [`DataEntry::path`]. `..` is refused: it would let a package write outside of the root.
fn clean_path(path: String) -> Result<String, DebProblem> {
    let mut clean = String::with_capacity(path.len());
    for component in path.split('/') {
        match component {
            "" | "." => continue,
            ".." => return Err(DebProblem::Damaged("a path has a `..`")),
            _ if clean.is_empty() => {}
            _ => clean.push('/'),
        }
        clean.push_str(component);
    }
    Ok(clean)
}

/// POSIX pax: records `LENGTH KEY=VALUE\n`, LENGTH in decimal and of the whole record.
fn read_pax(mut records: &[u8], overrides: &mut Overrides) -> Result<(), DebProblem> {
    let damaged = || DebProblem::Damaged("a PAX record is malformed");
    while !records.is_empty() {
        let space = records.iter().take(8).position(|byte| *byte == b' ').ok_or_else(damaged)?;
        let length =
            std::str::from_utf8(&records[..space]).ok().and_then(|digits| digits.parse::<usize>().ok());
        let length =
            length.filter(|length| *length > space + 1 && *length <= records.len()).ok_or_else(damaged)?;
        let (record, rest) = records.split_at(length);
        records = rest;
        let record = record[space + 1..].strip_suffix(b"\n").ok_or_else(damaged)?;
        let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(damaged)?;
        let key = std::str::from_utf8(&record[..equals]).map_err(|_| damaged())?;
        let value = &record[equals + 1..];
        match key {
            "path" => overrides.path = Some(value.to_vec()),
            "linkpath" => overrides.link = Some(value.to_vec()),
            "size" => {
                let size = std::str::from_utf8(value).ok().and_then(|digits| digits.parse().ok());
                overrides.size = Some(size.ok_or_else(damaged)?);
            }
            _ => {
                if let Some(name) = key.strip_prefix(XATTR_PREFIX) {
                    overrides.xattrs.insert(name.to_owned(), value.to_vec());
                } else if key.starts_with("GNU.sparse.") {
                    return Err(DebProblem::Unsupported("sparse files"));
                }
            }
        }
    }
    Ok(())
}
