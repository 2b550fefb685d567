//! Packages by digest: from the cache, else from a mirror.
//!
//! Owns the cache `CACHE/debs/sha256/ab/abcdef….deb` and every byte that gets into it. A file has its final name only
//! after its size and SHA-256 were checked and it was synced; what is under way is called `.partial` beside it and is
//! resumed. Every use of a cached file hashes it again: with the processor's SHA instructions 170 MB take about a tenth
//! of a second, and a cache that lies is found before it is built into an image.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use debian::lock::LockedPackage;
use model::{ByteSize, Sha256Digest};
use sha2::{Digest, Sha256};

use crate::mirror::{MirrorError, Mirrors};
use crate::progress::{Event, Progress, Step};

mod download;
#[cfg(test)]
mod tests;
mod transport;

/// Downloads at a time. More hardly help and are rude to a mirror.
const CONNECTIONS: usize = 4;

/// Files of locked packages in the cache, by package name. Each was checked when this value was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FetchedPackages {
    /// Path of each package's `.deb`.
    pub files: BTreeMap<String, PathBuf>,
    /// Bytes that were downloaded; what was cached does not count.
    pub downloaded: u64,
}

/// A package that could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// There is no mirror to fetch from.
    #[error("{missing} packages are not in the cache, and there is no mirror to fetch them from")]
    NoMirror {
        /// How many.
        missing: usize,
        /// Why.
        #[source]
        source: MirrorError,
    },
    /// No mirror has the file any more.
    #[error(
        "{package}: the mirror no longer has {url}: lock again with `ampoule lock`, or name a mirror that keeps old packages"
    )]
    Gone {
        /// Package name.
        package: String,
        /// The last URL that was tried.
        url: String,
    },
    /// Twice a mirror sent something else than what is locked.
    #[error(
        "{package}: {url} is not what the lock says: SHA-256 {expected} is expected, it is {actual}; nothing of it was kept"
    )]
    Corrupted {
        /// Package name.
        package: String,
        /// The URL.
        url: String,
        /// Digest of the lock.
        expected: Sha256Digest,
        /// Digest of what came.
        actual: Sha256Digest,
    },
    /// A mirror sent more bytes than are locked.
    #[error("{package}: {url} is larger than the {expected} bytes the lock says; nothing of it was kept")]
    TooLarge {
        /// Package name.
        package: String,
        /// The URL.
        url: String,
        /// Size of the lock.
        expected: u64,
    },
    /// Mirrors could not be reached, or answered badly, several times.
    #[error("{package}: fetching {url} failed {attempts} times: {why}")]
    Unreachable {
        /// Package name.
        package: String,
        /// The last URL that was tried.
        url: String,
        /// How many times.
        attempts: u32,
        /// The last failure.
        why: String,
    },
    /// The cache's disk is full.
    #[error("{package}: no space is left for {}: {} are needed", path.display(), ByteSize(*size))]
    DiskFull {
        /// Package name.
        package: String,
        /// The file that was written.
        path: PathBuf,
        /// Size of the package.
        size: u64,
    },
    /// The cache can not be read or written.
    #[error("{}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Where a package's file lies in `cache`, whether it is there or not.
pub fn cached_path(cache: &Path, digest: &Sha256Digest) -> PathBuf {
    let digest = digest.to_string();
    cache.join("debs/sha256").join(&digest[..2]).join(format!("{digest}.deb"))
}

/// Brings all `packages` into `cache`. `find_mirrors` is called only when something is missing: a full cache needs no
/// network and no mirror.
///
/// # Errors
/// The first [`FetchError`]; downloads under way are stopped and can be resumed.
pub fn fetch(
    packages: &[&LockedPackage],
    cache: &Path,
    find_mirrors: &dyn Fn() -> Result<Mirrors, MirrorError>,
    threads: NonZeroUsize,
    progress: &dyn Progress,
) -> Result<FetchedPackages, FetchError> {
    let total = packages.iter().map(|package| package.size).sum();
    progress.report(Event::Started { step: Step::Fetch, total: Some(total), unit: "bytes" });
    let meter = Meter { done: AtomicU64::new(0), progress };
    let missing = Mutex::new(Vec::new());
    in_parallel(packages, threads.get(), |package| {
        let is_here = check_cached(package, &cached_path(cache, &package.sha256))?;
        if is_here {
            meter.advance(package.size, &package.name);
        } else {
            missing.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(*package);
        }
        Ok(())
    })?;
    let mut missing = missing.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    let mut downloaded = 0;
    if !missing.is_empty() {
        let mirrors =
            find_mirrors().map_err(|source| FetchError::NoMirror { missing: missing.len(), source })?;
        // The largest first: the kernel takes as long as all others together.
        missing.sort_by_key(|package| std::cmp::Reverse(package.size));
        let downloader = download::Downloader::new(&mirrors, cache);
        in_parallel(&missing, CONNECTIONS, |package| downloader.download(package, &meter))?;
        downloaded = downloader.received();
    }
    let files = packages.iter().map(|package| (package.name.clone(), cached_path(cache, &package.sha256)));
    let summary = format!(
        "fetched {} packages, {}, {} from the cache",
        packages.len(),
        ByteSize(total),
        packages.len() - missing.len()
    );
    progress.report(Event::Finished { step: Step::Fetch, summary });
    Ok(FetchedPackages { files: files.collect(), downloaded })
}

/// Bytes done, told to the listener.
struct Meter<'a> {
    done: AtomicU64,
    progress: &'a dyn Progress,
}

impl Meter<'_> {
    fn advance(&self, bytes: u64, item: &str) {
        let done = self.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.progress.report(Event::Advanced { step: Step::Fetch, done, item: Some(item.to_owned()) });
    }

    /// Bytes that were counted and have to be fetched again.
    fn take_back(&self, bytes: u64) {
        self.done.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Runs `work` on all items with several threads. After a failure no item is begun, and the first failure is returned.
fn in_parallel<T: Sync>(
    items: &[T],
    threads: usize,
    work: impl Fn(&T) -> Result<(), FetchError> + Sync,
) -> Result<(), FetchError> {
    let next = AtomicUsize::new(0);
    let has_failed = AtomicBool::new(false);
    let failure = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..threads.clamp(1, items.len().max(1)) {
            scope.spawn(|| {
                while !has_failed.load(Ordering::Relaxed) {
                    let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
                    if let Err(error) = work(item) {
                        has_failed.store(true, Ordering::Relaxed);
                        failure.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).get_or_insert(error);
                    }
                }
            });
        }
    });
    let failure = failure.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    failure.map_or(Ok(()), Err)
}

/// Whether the file is there and is what the lock says. A file that is not is removed, to be fetched again.
fn check_cached(package: &LockedPackage, path: &Path) -> Result<bool, FetchError> {
    let io_error = |source| FetchError::Io { path: path.to_owned(), source };
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(io_error(error)),
    };
    let is_good = file.metadata().map_err(io_error)?.len() == package.size
        && digest_of(&mut file).map_err(io_error)?.1 == package.sha256;
    if !is_good {
        std::fs::remove_file(path).map_err(io_error)?;
    }
    Ok(is_good)
}

/// Length and digest of what is left to read.
fn digest_of(input: &mut impl Read) -> io::Result<(u64, Sha256Digest)> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 256 << 10];
    let mut length = 0;
    loop {
        match input.read(&mut buffer) {
            Ok(0) => return Ok((length, Sha256Digest(hasher.finalize().into()))),
            Ok(count) => {
                hasher.update(&buffer[..count]);
                length += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
