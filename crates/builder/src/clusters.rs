//! Compressed disk clusters of earlier builds: most of a rebuilt disk is as it was, and compressing is dear.
//!
//! Two files, `young` and `old`, of records one after the other. Records are appended to `young`; when it has grown to
//! [`GENERATION`] it becomes `old`, and what is still asked for moves over. Nothing is synced: a record is taken only
//! when its digest fits, so that whatever a crash or a bad disk leaves is lost, never wrong.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use image::qcow2::{CLUSTER_SIZE, ClusterCache};
use model::Sha256Digest;
use sha2::{Digest, Sha256};

/// Size at which `young` becomes `old`: several appliances of the size of a LAMP server. Bounds the folder at twice as
/// much, and what one build adds on top.
const GENERATION: u64 = 512 << 20;

/// Largest file. Stops a build of a huge disk from filling the cache's file system.
const LARGEST: u64 = 2 * GENERATION;

/// Key, digest of key and content, length of the content.
const HEADER: usize = 32 + 32 + 4;

/// Compressed clusters by the digest of what decides about them.
pub struct Clusters {
    young: File,
    /// Guards the end of `young` and where its records are; held only while one is looked up or appended.
    state: Mutex<State>,
    old: Option<(File, Places)>,
    /// Whether this process may append. Another one that builds at the same time may.
    may_append: bool,
}

struct State {
    places: Places,
    end: u64,
}

/// Where each key's content is, and how long.
type Places = HashMap<Sha256Digest, (u64, u32)>;

impl Clusters {
    /// Opens the cache in `folder`, which is created.
    pub fn open(folder: &Path) -> io::Result<Self> {
        Self::with_generation(folder, GENERATION)
    }

    fn with_generation(folder: &Path, generation: u64) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let (young_path, old_path) = (folder.join("young"), folder.join("old"));
        let (mut young, mut may_append) = open_young(&young_path)?;
        if may_append && young.metadata()?.len() >= generation {
            fs::rename(&young_path, &old_path)?;
            (young, may_append) = open_young(&young_path)?;
        }
        let (places, end) = scan(&young)?;
        if may_append {
            // What follows the last whole record would hide everything that is appended behind it.
            young.set_len(end)?;
        }
        let old = match File::open(&old_path) {
            Ok(file) => {
                let (places, _) = scan(&file)?;
                Some((file, places))
            }
            Err(_) => None,
        };
        Ok(Self { young, state: Mutex::new(State { places, end }), old, may_append })
    }

    fn in_young(&self, key: &Sha256Digest) -> Option<(u64, u32)> {
        self.state.lock().ok()?.places.get(key).copied()
    }
}

impl ClusterCache for Clusters {
    fn get(&self, key: &Sha256Digest) -> Option<Vec<u8>> {
        if let Some(place) = self.in_young(key) {
            return read(&self.young, key, place);
        }
        let (file, places) = self.old.as_ref()?;
        let content = read(file, key, *places.get(key)?)?;
        self.put(key, &content);
        Some(content)
    }

    fn put(&self, key: &Sha256Digest, compressed: &[u8]) {
        if !self.may_append || compressed.len() > CLUSTER_SIZE {
            return;
        }
        let mut record = Vec::with_capacity(HEADER + compressed.len());
        record.extend(key.0);
        record.extend(digest(key, compressed));
        record.extend((compressed.len() as u32).to_le_bytes());
        record.extend(compressed);
        let Ok(mut state) = self.state.lock() else { return };
        let (start, end) = (state.end, state.end + record.len() as u64);
        if end <= LARGEST && self.young.write_all_at(&record, start).is_ok() {
            state.places.insert(*key, (start + HEADER as u64, compressed.len() as u32));
            state.end = end;
        }
    }
}

/// The file, and whether this process is the one that may append. The lock goes when the file is closed.
fn open_young(path: &PathBuf) -> io::Result<(File, bool)> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok((file, true)),
        Err(TryLockError::WouldBlock) => Ok((file, false)),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Where records are, and where the last whole one ends.
fn scan(file: &File) -> io::Result<(Places, u64)> {
    let size = file.metadata()?.len();
    let (mut places, mut at, mut header) = (Places::new(), 0, [0; HEADER]);
    while at + HEADER as u64 <= size {
        file.read_exact_at(&mut header, at)?;
        let (key, rest) = header.split_first_chunk::<32>().expect("a header is longer than a key");
        let length = rest.last_chunk::<4>().map_or(0, |length| u32::from_le_bytes(*length));
        let start = at + HEADER as u64;
        // No content is longer than a cluster, and a hole that a crash left has no key.
        if length as usize > CLUSTER_SIZE || start + u64::from(length) > size || key.iter().all(|b| *b == 0) {
            break;
        }
        places.insert(Sha256Digest(*key), (start, length));
        at = start + u64::from(length);
    }
    Ok((places, at))
}

/// The content at a place, if it is the one that was put.
fn read(file: &File, key: &Sha256Digest, (start, length): (u64, u32)) -> Option<Vec<u8>> {
    let mut content = vec![0; length as usize];
    let mut expected = [0; 32];
    file.read_exact_at(&mut content, start).ok()?;
    file.read_exact_at(&mut expected, start - HEADER as u64 + 32).ok()?;
    (digest(key, &content) == expected).then_some(content)
}

fn digest(key: &Sha256Digest, content: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(key.0).chain_update(content).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u8) -> Sha256Digest {
        Sha256Digest([number + 1; 32])
    }

    fn filled(folder: &Path) {
        let clusters = Clusters::open(folder).unwrap();
        (0..3).for_each(|number| clusters.put(&key(number), &[number; 100]));
    }

    #[test]
    fn what_was_put_is_there_for_the_next_build() {
        let folder = tempfile::tempdir().unwrap();
        filled(folder.path());
        let clusters = Clusters::open(folder.path()).unwrap();
        for number in 0..3 {
            assert_eq!(clusters.get(&key(number)).unwrap(), [number; 100]);
        }
        assert_eq!(clusters.get(&key(3)), None);
    }

    #[test]
    fn a_changed_byte_is_lost_and_never_given_out() {
        let folder = tempfile::tempdir().unwrap();
        filled(folder.path());
        let path = folder.path().join("young");
        let whole = fs::read(&path).unwrap();
        for position in 0..whole.len() {
            let mut changed = whole.clone();
            changed[position] ^= 0x11;
            fs::write(&path, &changed).unwrap();
            let clusters = Clusters::open(folder.path()).unwrap();
            let found = (0..3).filter_map(|number| Some((number, clusters.get(&key(number))?)));
            for (number, content) in found {
                assert_eq!(content, [number; 100], "byte {position}");
            }
        }
    }

    #[test]
    fn after_a_crash_in_the_middle_of_a_record_later_ones_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        filled(folder.path());
        let path = folder.path().join("young");
        let size = fs::metadata(&path).unwrap().len();
        OpenOptions::new().write(true).open(&path).unwrap().set_len(size - 7).unwrap();
        Clusters::open(folder.path()).unwrap().put(&key(7), b"later");
        let clusters = Clusters::open(folder.path()).unwrap();
        assert_eq!(clusters.get(&key(1)).unwrap(), [1; 100]);
        assert_eq!(clusters.get(&key(2)), None);
        assert_eq!(clusters.get(&key(7)).unwrap(), b"later");
    }

    #[test]
    fn a_full_generation_leaves_and_what_is_asked_for_stays() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Clusters::with_generation(folder.path(), 300).unwrap();
        filled(folder.path());
        assert!(open().get(&key(1)).is_some());
        // Fill the second generation, so that the third begins.
        let clusters = open();
        (10..13).for_each(|number| clusters.put(&key(number), &[number; 100]));
        drop(clusters);
        assert!(open().get(&key(1)).is_some());
        assert_eq!(open().get(&key(0)), None);
    }

    #[test]
    fn a_second_build_at_the_same_time_reads_and_does_not_write() {
        let folder = tempfile::tempdir().unwrap();
        filled(folder.path());
        let first = Clusters::open(folder.path()).unwrap();
        let second = Clusters::open(folder.path()).unwrap();
        second.put(&key(5), b"second");
        assert_eq!(second.get(&key(1)).unwrap(), [1; 100]);
        first.put(&key(4), b"first");
        drop((first, second));
        let clusters = Clusters::open(folder.path()).unwrap();
        assert_eq!((clusters.get(&key(4)).as_deref(), clusters.get(&key(5))), (Some(&b"first"[..]), None));
    }
}
