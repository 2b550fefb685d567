//! One file with all distinct contents of a base, and reading them back.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use model::Sha256Digest;
use sha2::{Digest, Sha256};
use tree::{Content, ContentSource};

use crate::base::BaseError;
use crate::base::error::At;

/// Name of the file with the contents.
pub const PACK: &str = "pack";

/// Name of the index: one line a content, `SHA256 OFFSET SIZE`, in the order of the pack.
pub const INDEX: &str = "pack.index";

/// Most lines of an index. Stops a damaged index from filling memory.
pub const MAX_CONTENTS: usize = 4_000_000;

/// Bytes copied at once.
const CHUNK: usize = 1 << 18;

/// Hashes files in parallel, in the order given.
pub fn hash_files(files: &[PathBuf], threads: usize) -> Result<Vec<Content>, BaseError> {
    let work = |buffer: &mut Vec<u8>, path: &PathBuf| -> Result<Content, BaseError> {
        let mut file = File::open(path).at("open", path)?;
        let (mut hash, mut size) = (Sha256::new(), 0);
        loop {
            let length = file.read(buffer).at("read", path)?;
            if length == 0 {
                return Ok(Content { sha256: Sha256Digest(hash.finalize().into()), size });
            }
            hash.update(&buffer[..length]);
            size += length as u64;
        }
    };
    in_parallel(files, threads, &work)
}

/// Writes the pack and its index into `directory`: each content once, in the order of its first appearance.
pub fn write(directory: &Path, contents: &[(Content, PathBuf)], threads: usize) -> Result<(), BaseError> {
    let (pack_path, index_path) = (directory.join(PACK), directory.join(INDEX));
    let pack = File::create_new(&pack_path).at("create", &pack_path)?;
    let mut known = HashMap::new();
    let (mut jobs, mut index, mut end) = (Vec::new(), String::new(), 0);
    for (content, path) in contents {
        if known.insert(content.sha256, ()).is_none() {
            index.push_str(&format!("{} {end} {}\n", content.sha256, content.size));
            jobs.push((*content, path, end));
            end += content.size;
        }
    }
    let copy = |buffer: &mut Vec<u8>, (content, path, start): &(Content, &PathBuf, u64)| {
        let mut file = File::open(path).at("open", path)?;
        let mut at = *start;
        loop {
            let length = file.read(buffer).at("read", path)?;
            if length == 0 {
                break;
            }
            pack.write_all_at(&buffer[..length], at).at("write", &pack_path)?;
            at += length as u64;
        }
        match at - start == content.size {
            true => Ok(()),
            false => Err(BaseError::Damaged {
                path: path.to_path_buf(),
                reason: "it changed while it was read".into(),
            }),
        }
    };
    in_parallel(&jobs, threads, &copy)?;
    std::fs::write(&index_path, index).at("write", &index_path)
}

/// What a thread does with one item and its buffer.
type Work<'a, T, R> = dyn Fn(&mut Vec<u8>, &T) -> Result<R, BaseError> + Sync + 'a;

/// Maps `items` with `threads` threads; each has a buffer of [`CHUNK`] bytes.
fn in_parallel<T: Sync, R: Send>(
    items: &[T],
    threads: usize,
    work: &Work<'_, T, R>,
) -> Result<Vec<R>, BaseError> {
    let next = AtomicUsize::new(0);
    let run = || -> Result<Vec<(usize, R)>, BaseError> {
        let (mut done, mut buffer) = (Vec::new(), vec![0; CHUNK]);
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else { return Ok(done) };
            done.push((index, work(&mut buffer, item)?));
        }
    };
    let mut results: Vec<(usize, R)> = Vec::with_capacity(items.len());
    std::thread::scope(|scope| -> Result<(), BaseError> {
        let threads: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(run)).collect();
        for thread in threads {
            results.extend(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        Ok(())
    })?;
    results.sort_by_key(|(index, _)| *index);
    Ok(results.into_iter().map(|(_, result)| result).collect())
}

/// Reads contents out of a pack.
#[derive(Debug)]
pub struct PackSource {
    pack: File,
    places: HashMap<Sha256Digest, (u64, u64)>,
}

impl PackSource {
    /// Opens the pack in `directory`. Its length is compared with the index; contents are not hashed again.
    pub fn open(directory: &Path) -> Result<Self, BaseError> {
        let (pack_path, index_path) = (directory.join(PACK), directory.join(INDEX));
        let pack = File::open(&pack_path).at("open", &pack_path)?;
        let index = std::fs::read_to_string(&index_path).at("read", &index_path)?;
        let damaged = |reason: &str| BaseError::Damaged { path: index_path.clone(), reason: reason.into() };
        let mut places = HashMap::new();
        let mut end = 0u64;
        for line in index.lines() {
            let mut words = line.split(' ');
            let (Some(digest), Some(offset), Some(size), None) =
                (words.next(), words.next(), words.next(), words.next())
            else {
                return Err(damaged("a line does not have three words"));
            };
            let digest = digest.parse().map_err(|_| damaged("a digest is malformed"))?;
            let offset: u64 = offset.parse().map_err(|_| damaged("an offset is malformed"))?;
            let size: u64 = size.parse().map_err(|_| damaged("a size is malformed"))?;
            if offset != end || places.len() >= MAX_CONTENTS {
                return Err(damaged("contents do not follow each other"));
            }
            end = offset.checked_add(size).ok_or_else(|| damaged("a size is too large"))?;
            places.insert(digest, (offset, size));
        }
        if pack.metadata().at("look at", &pack_path)?.len() != end {
            return Err(BaseError::Damaged {
                path: pack_path,
                reason: "its length is not what its index says".into(),
            });
        }
        Ok(Self { pack, places })
    }

    /// Whether it has this content.
    pub fn has(&self, content: &Content) -> bool {
        self.places.get(&content.sha256).is_some_and(|(_, size)| *size == content.size)
    }
}

impl ContentSource for PackSource {
    fn open(&self, content: &Content) -> io::Result<Box<dyn Read + Send + '_>> {
        match self.places.get(&content.sha256) {
            Some((offset, size)) if *size == content.size => {
                Ok(Box::new(Part { pack: &self.pack, at: *offset, end: offset + size }))
            }
            _ => Err(io::Error::new(
                io::ErrorKind::NotFound,
                format!("the pack does not have {}", content.sha256),
            )),
        }
    }
}

struct Part<'a> {
    pack: &'a File,
    at: u64,
    end: u64,
}

impl Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let wanted = left.min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        match self.pack.read_at(&mut buffer[..wanted], self.at)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            length => {
                self.at += length as u64;
                Ok(length)
            }
        }
    }
}
