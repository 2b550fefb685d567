//! One package from one of its mirrors: resuming, retrying, checking, and only then giving it its name.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use debian::lock::LockedPackage;
use model::Sha256Digest;
use sha2::{Digest, Sha256};

use super::transport::{Answer, Transport, TransportError};
use super::{FetchError, Meter, cached_path, check_cached};
use crate::mirror::Mirrors;

/// Times a package is tried when mirrors fail; each time goes on where the last one ended.
const ATTEMPTS: u32 = 5;
/// An attempt that brought this much is not counted: a mirror that drops long connections still gets there, one that
/// sends a byte at a time does not keep a build forever.
const PROGRESS: u64 = 1 << 20;
/// Wait before the second attempt, doubled before each further one. Attempts that brought bytes do not wait.
const FIRST_WAIT: Duration = Duration::from_millis(200);

/// Downloads into one cache.
pub(super) struct Downloader<'a> {
    mirrors: &'a Mirrors,
    cache: &'a Path,
    transport: Transport<'a>,
    received: AtomicU64,
}

/// How one attempt ended.
enum Outcome {
    /// All bytes are in the partial file.
    Complete,
    /// Some may be missing; trying again may help.
    Interrupted(String),
    /// This mirror does not have the file.
    NotFound,
    /// This mirror has a longer file.
    TooLarge,
}

impl<'a> Downloader<'a> {
    pub fn new(mirrors: &'a Mirrors, cache: &'a Path) -> Self {
        Self { mirrors, cache, transport: Transport::new(mirrors), received: AtomicU64::new(0) }
    }

    /// Bytes received so far.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// (1) lock the partial file, (2) fetch what is missing, (3) check size and digest, (4) sync, (5) rename, (6) sync the
    /// folder. A crash before 5 leaves a partial file that the next run resumes; its digest is checked in any case.
    pub fn download(&self, package: &LockedPackage, meter: &Meter<'_>) -> Result<(), FetchError> {
        let path = cached_path(self.cache, &package.sha256);
        let mut partial = Partial::open(package, &path)?;
        // Another process may have fetched it while this one waited for the partial file.
        if check_cached(package, &path)? {
            meter.advance(package.size, &package.name);
            return Ok(());
        }
        meter.advance(partial.length, &package.name);
        let urls = self.urls(package);
        let mut was_corrupted = false;
        loop {
            let url = self.complete(package, &urls, &mut partial, meter)?;
            let actual = partial.digest();
            if actual == package.sha256 {
                return partial.finish(&path);
            }
            meter.take_back(partial.length);
            // What was resumed may be the culprit, so that the mirror gets a second chance, and no third.
            if std::mem::replace(&mut was_corrupted, true) {
                partial.remove()?;
                let (package, expected) = (package.name.clone(), package.sha256);
                return Err(FetchError::Corrupted { package, url, expected, actual });
            }
            partial.clear()?;
        }
    }

    /// Attempts until the partial file has the package's size; returns the URL that brought the end.
    fn complete(
        &self,
        package: &LockedPackage,
        urls: &[String],
        partial: &mut Partial<'_>,
        meter: &Meter<'_>,
    ) -> Result<String, FetchError> {
        let name = || package.name.clone();
        let mut not_found = vec![false; urls.len()];
        let mut wait = FIRST_WAIT;
        let mut last = (urls.first().cloned().unwrap_or_default(), "no mirror is known".to_owned());
        let mut turn = 0;
        let mut failures = 0;
        while failures < ATTEMPTS {
            let mut turns = (0..urls.len()).cycle().skip(turn).take(urls.len());
            let Some(mirror) = turns.find(|mirror| !not_found[*mirror]) else { break };
            let url = &urls[mirror];
            let before = partial.length;
            match self.attempt(package, url, partial, meter)? {
                Outcome::Complete => return Ok(url.clone()),
                Outcome::TooLarge => {
                    partial.remove()?;
                    return Err(FetchError::TooLarge {
                        package: name(),
                        url: url.clone(),
                        expected: package.size,
                    });
                }
                Outcome::NotFound => {
                    not_found[mirror] = true;
                    if not_found.iter().all(|gone| *gone) {
                        return Err(FetchError::Gone { package: name(), url: url.clone() });
                    }
                }
                Outcome::Interrupted(why) => {
                    last = (url.clone(), why);
                    let gained = partial.length.saturating_sub(before);
                    failures += u32::from(gained < PROGRESS);
                    if gained == 0 && failures < ATTEMPTS {
                        std::thread::sleep(wait);
                        wait *= 2;
                    }
                    turn = mirror + 1;
                }
            }
        }
        let (url, why) = last;
        Err(FetchError::Unreachable { package: name(), url, attempts: ATTEMPTS, why })
    }

    fn attempt(
        &self,
        package: &LockedPackage,
        url: &str,
        partial: &mut Partial<'_>,
        meter: &Meter<'_>,
    ) -> Result<Outcome, FetchError> {
        if partial.length == package.size {
            return Ok(Outcome::Complete);
        }
        let mut body = match self.transport.open(url, partial.length) {
            Ok(Answer { body, starts_at }) if starts_at == partial.length => body,
            // The mirror does not resume: from the start, then.
            Ok(Answer { body, starts_at: 0 }) => {
                meter.take_back(partial.length);
                partial.clear()?;
                body
            }
            Ok(_) => {
                return Ok(Outcome::Interrupted(
                    "the mirror sent another part than was asked for".to_owned(),
                ));
            }
            Err(TransportError::NotFound) => return Ok(Outcome::NotFound),
            Err(TransportError::RangeRefused) => {
                meter.take_back(partial.length);
                partial.clear()?;
                return Ok(Outcome::Interrupted("the mirror has a shorter file".to_owned()));
            }
            Err(TransportError::Failed(why)) => return Ok(Outcome::Interrupted(why)),
        };
        let mut buffer = vec![0; 64 << 10];
        loop {
            let count = match body.read(&mut buffer) {
                Ok(0) if partial.length == package.size => return Ok(Outcome::Complete),
                Ok(0) => return Ok(Outcome::Interrupted("the connection ended too early".to_owned())),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Ok(Outcome::Interrupted(error.to_string())),
            };
            // Checked before it is written: a mirror that never ends must not fill the disk.
            if partial.length + count as u64 > package.size {
                return Ok(Outcome::TooLarge);
            }
            partial.append(&buffer[..count])?;
            self.received.fetch_add(count as u64, Ordering::Relaxed);
            meter.advance(count as u64, &package.name);
        }
    }

    fn urls(&self, package: &LockedPackage) -> Vec<String> {
        let path = escape(&package.path);
        self.mirrors.of_suite(&package.suite).iter().map(|mirror| format!("{mirror}/{path}")).collect()
    }
}

/// As apt writes it: some mirrors take a bare `+` for a space.
fn escape(path: &str) -> String {
    path.replace('%', "%25").replace('+', "%2b")
}

/// The file that is being filled, and the digest of what is in it.
struct Partial<'a> {
    package: &'a LockedPackage,
    path: PathBuf,
    file: File,
    length: u64,
    hasher: Sha256,
}

impl<'a> Partial<'a> {
    /// Opens and locks the partial file beside `path`, and hashes what is in it already.
    fn open(package: &'a LockedPackage, path: &Path) -> Result<Self, FetchError> {
        let partial_path = path.with_extension("deb.partial");
        let io_error = |source| FetchError::Io { path: partial_path.clone(), source };
        let folder = path.parent().expect("a cached path has a folder");
        fs::create_dir_all(folder).map_err(io_error)?;
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&partial_path)
            .map_err(io_error)?;
        file.lock().map_err(io_error)?;
        let mut partial = Self { package, path: partial_path, file, length: 0, hasher: Sha256::new() };
        let length = partial.file.metadata().map_err(|source| partial.error(source))?.len();
        if length > package.size {
            partial.clear()?;
        } else {
            partial.hash_existing(length)?;
        }
        Ok(partial)
    }

    fn hash_existing(&mut self, length: u64) -> Result<(), FetchError> {
        let mut buffer = vec![0; 256 << 10];
        while self.length < length {
            let wanted = buffer.len().min(usize::try_from(length - self.length).unwrap_or(usize::MAX));
            match self.file.read(&mut buffer[..wanted]) {
                Ok(0) => break,
                Ok(count) => {
                    self.hasher.update(&buffer[..count]);
                    self.length += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.error(error)),
            }
        }
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), FetchError> {
        self.file.write_all(bytes).map_err(|source| self.error(source))?;
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    fn digest(&self) -> Sha256Digest {
        Sha256Digest(self.hasher.clone().finalize().into())
    }

    fn clear(&mut self) -> Result<(), FetchError> {
        self.file.set_len(0).map_err(|source| self.error(source))?;
        self.file.seek(SeekFrom::Start(0)).map_err(|source| self.error(source))?;
        self.length = 0;
        self.hasher = Sha256::new();
        Ok(())
    }

    fn remove(&self) -> Result<(), FetchError> {
        fs::remove_file(&self.path).map_err(|source| self.error(source))
    }

    fn finish(self, path: &Path) -> Result<(), FetchError> {
        self.file.sync_all().map_err(|source| self.error(source))?;
        fs::rename(&self.path, path).map_err(|source| self.error(source))?;
        let folder = path.parent().expect("a cached path has a folder");
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(|source| self.error(source))
    }

    fn error(&self, source: io::Error) -> FetchError {
        let path = self.path.clone();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                FetchError::DiskFull { package: self.package.name.clone(), path, size: self.package.size }
            }
            _ => FetchError::Io { path, source },
        }
    }
}
