//! The archive around the members: plain ustar in one form only. A header follows from path and size, and is compared whole, so that links,
//! other names, other owners and hidden bytes have no place.

use std::io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use model::Sha256Digest;
use sha2::{Digest, Sha256};

use super::{BundleError, BundleErrorKind, CONTENTS, CONTENTS_LIMIT, Member};

/// Bytes of a header, and what everything is a multiple of.
pub const BLOCK: usize = 512;
/// Two blocks of zeros end it.
pub const END: usize = 2 * BLOCK;
const PIECE: usize = 256 << 10;

/// The only header that a member can have; `None`: its path does not fit.
pub fn header(path: &str, size: u64) -> Option<[u8; BLOCK]> {
    let mut header = tar::Header::new_ustar();
    header.set_path(path).ok()?;
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header.set_cksum();
    Some(*header.as_bytes())
}

/// What a header that is not the expected one says, for people.
fn described(block: &[u8; BLOCK]) -> String {
    if block.iter().all(|byte| *byte == 0) {
        return "the end of the archive".to_owned();
    }
    let header = tar::Header::from_byte_slice(block);
    let path: String = String::from_utf8_lossy(&header.path_bytes())
        .chars()
        .take(100)
        .flat_map(char::escape_default)
        .collect();
    let what = match header.entry_type() {
        tar::EntryType::Regular => "a file",
        tar::EntryType::Symlink | tar::EntryType::Link => "a link",
        tar::EntryType::Directory => "a folder",
        _ => "something else",
    };
    match header.size() {
        Ok(size) => format!("{what} `{path}` with {size} bytes, or with another header than it may have"),
        Err(_) => format!("{what} `{path}` with a header that can not be read"),
    }
}

/// Zeros behind a member.
pub fn padding(size: u64) -> usize {
    (BLOCK - (size % BLOCK as u64) as usize) % BLOCK
}

/// Where the bytes of a member begin whose header is at `at`, and where the next header is.
pub fn place_after(at: u64, size: u64) -> (u64, u64) {
    let begins = at + BLOCK as u64;
    (begins, begins + size + padding(size) as u64)
}

/// Reads a bundle from its beginning to its end, once; or looks at parts of it.
pub struct Reader<R> {
    file: BufReader<R>,
    /// What it is called in messages.
    path: PathBuf,
    /// The member before.
    last: String,
}

impl<R: Read + Seek> Reader<R> {
    /// A bundle that begins where `file` stands; `path` is what it is called in messages.
    pub fn new(file: R, path: &Path) -> Self {
        Self { file: BufReader::new(file), path: path.to_owned(), last: CONTENTS.to_owned() }
    }

    /// The bytes of `bundle.json`.
    pub fn contents(&mut self) -> Result<Vec<u8>, Box<BundleError>> {
        let mut block = [0; BLOCK];
        self.exactly(&mut block, CONTENTS)?;
        let size = tar::Header::from_byte_slice(&block).size().unwrap_or(u64::MAX);
        if header(CONTENTS, size.min(CONTENTS_LIMIT)) != Some(block) {
            let is_contents = block.starts_with(CONTENTS.as_bytes()) && size > CONTENTS_LIMIT;
            return Err(self.refused(match is_contents && size < u64::MAX {
                true => BundleErrorKind::TooLong { path: CONTENTS.to_owned(), size, limit: CONTENTS_LIMIT },
                false => BundleErrorKind::NotABundle,
            }));
        }
        let mut bytes = vec![0; size as usize];
        self.exactly(&mut bytes, CONTENTS)?;
        self.zeros(padding(size), CONTENTS)?;
        Ok(bytes)
    }

    /// The next member, which has to be this one; `take` gets its bytes before its digest is compared, and never more than are listed.
    pub fn member<E: From<Box<BundleError>>>(
        &mut self,
        member: &Member,
        take: &mut dyn FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.header(member)?;
        let (mut hasher, mut left) = (Sha256::new(), member.size);
        let mut piece = vec![0; PIECE.min(member.size as usize)];
        while left > 0 {
            let part = PIECE.min(left as usize);
            self.exactly(&mut piece[..part], &member.path)?;
            hasher.update(&piece[..part]);
            take(&piece[..part])?;
            left -= part as u64;
        }
        let found = Sha256Digest(hasher.finalize().into());
        if found != member.sha256 {
            let (path, expected) = (member.path.clone(), member.sha256);
            return Err(self.refused(BundleErrorKind::Digest { path, expected, found }).into());
        }
        self.zeros(padding(member.size), &member.path)?;
        self.last.clone_from(&member.path);
        Ok(())
    }

    /// The bytes of a member whose header is at `at`, from `offset` on. Nobody compares their digest but whoever reads them.
    pub fn into_member(
        mut self,
        at: u64,
        member: &Member,
        offset: u64,
    ) -> Result<impl Read + use<R>, Box<BundleError>> {
        self.go_to(at, &member.path)?;
        self.header(member)?;
        self.go_to(place_after(at, 0).0 + offset, &member.path)?;
        Ok(self.file.take(member.size.saturating_sub(offset)))
    }

    /// A small member whole.
    pub fn whole(&mut self, member: &Member) -> Result<Vec<u8>, Box<BundleError>> {
        let mut bytes = Vec::new();
        self.member(member, &mut |piece| -> Result<(), Box<BundleError>> {
            bytes.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(bytes)
    }

    /// The next thing that is read is at `at`; `last` is the member before it.
    pub fn go_to(&mut self, at: u64, last: &str) -> Result<(), Box<BundleError>> {
        self.file.seek(SeekFrom::Start(at)).map_err(|error| self.unreadable(error))?;
        self.last = last.to_owned();
        Ok(())
    }

    /// `count` bytes of a member.
    pub fn some(&mut self, count: u64, member: &str) -> Result<Vec<u8>, Box<BundleError>> {
        let mut bytes = vec![0; count as usize];
        self.exactly(&mut bytes, member)?;
        Ok(bytes)
    }

    /// The end, and nothing after it.
    pub fn finish(mut self) -> Result<(), Box<BundleError>> {
        let last = self.last.clone();
        self.zeros(END, &last)?;
        match self.file.read(&mut [0]).map_err(|error| self.unreadable(error))? {
            0 => Ok(()),
            _ => Err(self.refused(BundleErrorKind::Trailing { path: last })),
        }
    }

    /// An error of this bundle.
    pub fn refused(&self, kind: BundleErrorKind) -> Box<BundleError> {
        Box::new(BundleError { bundle: self.path.clone(), kind })
    }

    fn unreadable(&self, error: io::Error) -> Box<BundleError> {
        self.refused(BundleErrorKind::Io(error))
    }

    fn header(&mut self, member: &Member) -> Result<(), Box<BundleError>> {
        let mut block = [0; BLOCK];
        self.exactly(&mut block, &member.path)?;
        if header(&member.path, member.size) != Some(block) {
            let (expected, found) = (member.path.clone(), described(&block));
            return Err(self.refused(BundleErrorKind::Header { expected, found }));
        }
        Ok(())
    }

    fn exactly(&mut self, bytes: &mut [u8], member: &str) -> Result<(), Box<BundleError>> {
        self.file.read_exact(bytes).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => self.refused(BundleErrorKind::Truncated { path: member.to_owned() }),
            _ => self.unreadable(error),
        })
    }

    fn zeros(&mut self, count: usize, member: &str) -> Result<(), Box<BundleError>> {
        let mut bytes = [1; END];
        self.exactly(&mut bytes[..count], member)?;
        match bytes[..count].iter().all(|byte| *byte == 0) {
            true => Ok(()),
            false => Err(self.refused(BundleErrorKind::Trailing { path: member.to_owned() })),
        }
    }
}
