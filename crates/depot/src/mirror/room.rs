//! Where objects of another depot wait, whole or in part, until all of them are there.
//!
//! An object is filled under its digest in a folder of this depot that is not served, so that another run goes on where this one ended.
//! Nothing is believed of what lies there: it is read again before more is added.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io::{Read, Write};
use std::path::PathBuf;
use std::time::Instant;

use model::Sha256Digest;
use release::index::{ObjectRef, object_path};
use sha2::{Digest, Sha256};

use super::error::MirrorErrorKind;
use super::place::Place;
use crate::error::{DepotError, io};
use crate::folder::{DepotFolder, names_in};

/// The folder. Beginning with a dot, so that it is not served.
pub const ROOM: &str = ".mirror";
/// Held by the one mirror that fills it.
const LOCK: &str = ".lock";
const PIECE: usize = 128 << 10;
/// An attempt that brought this much is not counted: a server that drops long connections still gets there.
const PROGRESS: u64 = 1 << 20;

/// The folder, and the right to fill it. The depot itself is free meanwhile: officers speak while gigabytes come.
#[derive(Debug)]
#[must_use = "it is only locked while it is held"]
pub(crate) struct Room {
    folder: PathBuf,
    _lock: File,
}

/// What a download tells.
pub(super) enum Event<'a> {
    /// So many bytes of the object are here now; fewer than before when it begins again.
    Here(u64),
    /// It is tried again.
    Again(&'a MirrorErrorKind),
}

impl Room {
    /// Fails with [`DepotError::Busy`] at once when another run fills it.
    pub(crate) fn open(depot: &DepotFolder) -> Result<Self, DepotError> {
        let folder = depot.path().join(ROOM);
        fs::create_dir_all(&folder).map_err(io("create", &folder))?;
        let path = folder.join(LOCK);
        let lock = File::options().read(true).append(true).create(true).open(&path);
        let lock = lock.map_err(io("open", &path))?;
        match ledger::locks::take(&lock) {
            Ok(()) => Ok(Self { folder, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(DepotError::Busy { path: depot.path().to_owned() }),
            Err(TryLockError::Error(source)) => Err(io("lock", &path)(source)),
        }
    }

    /// Removes what waits for nobody: a release that was withdrawn before it was here, or a file of somebody else.
    pub(crate) fn keep(&self, wanted: &BTreeSet<Sha256Digest>) -> Result<(), DepotError> {
        for name in names_in(&self.folder)? {
            let is_wanted = name.parse().is_ok_and(|digest| wanted.contains(&digest));
            if name != LOCK && !is_wanted {
                let path = self.folder.join(name);
                fs::remove_file(&path).map_err(io("remove", &path))?;
            }
        }
        Ok(())
    }

    /// Where an object is, once it is whole.
    pub(super) fn path(&self, object: &ObjectRef) -> PathBuf {
        self.folder.join(object.sha256.to_string())
    }

    /// Downloads what is missing of an object. Its digest is checked when this returns.
    pub(super) fn bring(
        &self,
        place: &Place,
        object: &ObjectRef,
        tell: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), DepotError> {
        let path = object_path(&object.sha256);
        let wrong = |kind| Box::new(place.wrong(&path, kind));
        let mut partial = Partial::open(self.path(object), object.size)?;
        let mut was_wrong = false;
        loop {
            self.complete(place, object, &mut partial, tell)?;
            let found = partial.digest();
            if found == object.sha256 {
                return Ok(());
            }
            // What was resumed may be the culprit: once from the start, and no third time.
            let (resumed, expected) = (partial.was_resumed, object.sha256);
            partial.clear()?;
            if std::mem::replace(&mut was_wrong, true) || !resumed {
                partial.remove()?;
                return Err(wrong(MirrorErrorKind::Digest { expected, found }).into());
            }
        }
    }

    /// Attempts until it has its size.
    fn complete(
        &self,
        place: &Place,
        object: &ObjectRef,
        partial: &mut Partial,
        tell: &mut dyn FnMut(Event<'_>),
    ) -> Result<(), DepotError> {
        let path = object_path(&object.sha256);
        let mut failures = 0;
        tell(Event::Here(partial.length));
        while partial.length < object.size || object.size == 0 {
            let before = partial.length;
            let Err(failure) = attempt(place, &path, object, partial, tell) else { return Ok(()) };
            let kind = match failure {
                Failure::Here(error) => return Err(error),
                Failure::There(kind) => kind,
            };
            if !kind.is_passing() {
                return Err(Box::new(place.wrong(&path, kind)).into());
            }
            // At least one: a server that takes back what it gave never gets anywhere.
            let gained = partial.length.saturating_sub(before);
            failures = if gained >= PROGRESS { 1 } else { failures + 1 };
            if failures >= place.patience.attempts {
                return Err(Box::new(place.wrong(&path, kind)).into());
            }
            tell(Event::Again(&kind));
            std::thread::sleep(place.patience.wait(failures + 1));
        }
        Ok(())
    }
}

/// Why an attempt ended.
enum Failure {
    /// This machine's disk.
    Here(DepotError),
    /// The other depot.
    There(MirrorErrorKind),
}

impl From<DepotError> for Failure {
    fn from(error: DepotError) -> Self {
        Self::Here(error)
    }
}

fn attempt(
    place: &Place,
    path: &str,
    object: &ObjectRef,
    partial: &mut Partial,
    tell: &mut dyn FnMut(Event<'_>),
) -> Result<(), Failure> {
    let silent = |why: &str| Failure::There(MirrorErrorKind::Silent { why: why.to_owned() });
    let mut opened = match place.open(path, partial.length) {
        Ok(opened) => opened,
        // The rest can not be had: it has a shorter one, or no ranges and a strange way to say so.
        Err(MirrorErrorKind::Status { status: 416 }) => {
            partial.clear()?;
            return Err(silent("it has a shorter object"));
        }
        Err(kind) => return Err(Failure::There(kind)),
    };
    if opened.starts_at != partial.length {
        partial.clear()?;
        if opened.starts_at != 0 {
            return Err(silent("it sent another part than was asked for"));
        }
    }
    let mut buffer = vec![0; PIECE];
    let (mut period, mut in_period) = (Instant::now(), 0);
    let silence = place.patience.silence;
    let slow =
        |bytes: u64| MirrorErrorKind::Slow { what: format!("{bytes} bytes in {} s", silence.as_secs_f32()) };
    loop {
        let count = match opened.body.read(&mut buffer) {
            Ok(0) if partial.length == object.size => return Ok(()),
            Ok(0) => return Err(silent("the connection ended too early")),
            Ok(count) => count as u64,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Failure::There(place.broken(error, || slow(in_period)))),
        };
        // Before it is written: a server that never ends must not fill the disk.
        if partial.length + count > object.size {
            partial.clear()?;
            return Err(Failure::There(MirrorErrorKind::TooLong { limit: object.size }));
        }
        partial.append(&buffer[..count as usize])?;
        tell(Event::Here(partial.length));
        in_period += count;
        if period.elapsed() > silence {
            if in_period < place.patience.least_bytes {
                return Err(Failure::There(slow(in_period)));
            }
            (period, in_period) = (Instant::now(), 0);
        }
    }
}

/// The file that is being filled, and the digest of what is in it.
struct Partial {
    path: PathBuf,
    file: File,
    length: u64,
    hasher: Sha256,
    was_resumed: bool,
}

impl Partial {
    fn open(path: PathBuf, size: u64) -> Result<Self, DepotError> {
        let file = File::options().read(true).append(true).create(true).open(&path);
        let file = file.map_err(io("open", &path))?;
        let mut partial = Self { path, file, length: 0, hasher: Sha256::new(), was_resumed: false };
        let mut piece = vec![0; PIECE];
        loop {
            let count = partial.file.read(&mut piece).map_err(io("read", &partial.path))?;
            if count == 0 {
                break;
            }
            partial.hasher.update(&piece[..count]);
            partial.length += count as u64;
            if partial.length > size {
                partial.clear()?;
                break;
            }
        }
        partial.was_resumed = partial.length > 0;
        Ok(partial)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), DepotError> {
        self.file.write_all(bytes).map_err(io("write", &self.path))?;
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    fn clear(&mut self) -> Result<(), DepotError> {
        self.file.set_len(0).map_err(io("write", &self.path))?;
        (self.length, self.hasher, self.was_resumed) = (0, Sha256::new(), false);
        Ok(())
    }

    fn remove(&self) -> Result<(), DepotError> {
        fs::remove_file(&self.path).map_err(io("remove", &self.path))
    }

    fn digest(&self) -> Sha256Digest {
        Sha256Digest(self.hasher.clone().finalize().into())
    }
}
