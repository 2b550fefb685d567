//! The state of before a patch: taken when the patched appliance first starts, brought back when the release before can not
//! read what the newer one wrote.
//!
//! **Taking it**, before anything of the newer release runs; after a cut the next start does what is missing:
//! 1. a snapshot under a working name, synced;
//! 2. renamed to its place, synced: it is complete, and never taken again.
//!
//! **Bringing it back**:
//! 1. the state is renamed to [`Place::Dropped`], synced;
//! 2. a snapshot of the earlier state takes its name, through the working name, synced;
//! 3. the snapshot is removed, synced: it is never brought back twice, so that nothing entered since is lost.
//!
//! Between 1 and 2 there is no state; no start goes on from there without step 2.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use model::Sha256Digest;

use super::state::{make_directories, sync_file_system};
use crate::sys::ioctl;

/// Where patches keep their files, relative to data.
pub const UPDATE_FOLDER: &str = "ampoule/update";
/// First names of the kept states.
const BEFORE: &str = "state-before-";
const DROPPED: &str = "state-dropped-";
/// Inode number of every subvolume's top (`BTRFS_FIRST_FREE_OBJECTID`).
const SUBVOLUME_INODE: u64 = 256;

/// The places of one patch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The state itself.
    State,
    /// The working name.
    Working,
    /// As it was before the patch.
    Before,
    /// What the newer release wrote, after the earlier state came back.
    Dropped,
}

/// What snapshots are made with.
///
/// Implementers MUST make `rename` atomic, and MUST have everything before it durable when `sync` returned `Ok`.
pub trait StateWorld {
    /// Whether there is something at a place.
    fn has(&self, place: Place) -> bool;
    /// Makes a writable snapshot.
    fn snapshot(&mut self, from: Place, to: Place) -> io::Result<()>;
    /// Gives it another place, which is free.
    fn rename(&mut self, from: Place, to: Place) -> io::Result<()>;
    /// Removes it.
    fn remove(&mut self, place: Place) -> io::Result<()>;
    /// Makes all of it durable.
    fn sync(&mut self) -> io::Result<()>;
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restored {
    /// There was no snapshot: the newer release never came as far as the state.
    Nothing,
    /// The earlier state is back.
    Before,
}

/// Takes the snapshot, once a patch.
pub fn take(world: &mut dyn StateWorld) -> io::Result<()> {
    if world.has(Place::Before) || !world.has(Place::State) {
        return Ok(());
    }
    make_copy(world, Place::State, Place::Before)
}

/// Brings the snapshot back.
pub fn restore(world: &mut dyn StateWorld) -> io::Result<Restored> {
    if !world.has(Place::Before) {
        return Ok(Restored::Nothing);
    }
    if world.has(Place::State) && !world.has(Place::Dropped) {
        world.rename(Place::State, Place::Dropped)?;
        world.sync()?;
    }
    if !world.has(Place::State) {
        make_copy(world, Place::Before, Place::State)?;
    }
    world.remove(Place::Before)?;
    world.sync()?;
    Ok(Restored::Before)
}

fn make_copy(world: &mut dyn StateWorld, from: Place, to: Place) -> io::Result<()> {
    if world.has(Place::Working) {
        world.remove(Place::Working)?;
    }
    world.snapshot(from, Place::Working)?;
    world.sync()?;
    world.rename(Place::Working, to)?;
    world.sync()
}

/// Data's btrfs. `data` is its mount point.
#[derive(Debug)]
pub struct DataState {
    data: PathBuf,
    patch: String,
}

impl DataState {
    /// The places of the patch that leads to `root_hash`.
    pub fn of(data: &Path, root_hash: &Sha256Digest) -> DataState {
        DataState { data: data.to_owned(), patch: root_hash.to_string()[..16].to_owned() }
    }

    fn path(&self, place: Place) -> PathBuf {
        let folder = self.data.join(UPDATE_FOLDER);
        match place {
            Place::State => self.data.join("state"),
            Place::Working => folder.join("state-working"),
            Place::Before => folder.join(format!("{BEFORE}{}", self.patch)),
            Place::Dropped => folder.join(format!("{DROPPED}{}", self.patch)),
        }
    }
}

impl StateWorld for DataState {
    fn has(&self, place: Place) -> bool {
        self.path(place).is_dir()
    }

    fn snapshot(&mut self, from: Place, to: Place) -> io::Result<()> {
        let to = self.path(to);
        make_directories(parent(&to)?)?;
        ioctl::snapshot_subvolume(&File::open(self.path(from))?, &File::open(parent(&to)?)?, name(&to)?)
    }

    fn rename(&mut self, from: Place, to: Place) -> io::Result<()> {
        let to = self.path(to);
        make_directories(parent(&to)?)?;
        fs::rename(self.path(from), to)
    }

    fn remove(&mut self, place: Place) -> io::Result<()> {
        remove(&self.path(place))
    }

    fn sync(&mut self) -> io::Result<()> {
        sync_file_system(&self.data)
    }
}

/// Removes every kept state of earlier patches.
pub fn remove_kept(data: &Path) -> io::Result<()> {
    let folder = data.join(UPDATE_FOLDER);
    for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(BEFORE) || name.starts_with(DROPPED) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

/// Makes `data/state` a subvolume, which alone can be kept as it is at one moment. A folder of an earlier version is
/// copied without its blocks: (1) into a subvolume of its own, synced; (2) the folder is set aside; (3) the subvolume takes
/// its name, synced; (4) the folder is removed. `copy` copies what is in one folder into another.
pub fn ensure_state_subvolume(
    data: &Path,
    copy: impl FnOnce(&Path, &Path) -> Result<(), String>,
) -> io::Result<()> {
    let state = data.join("state");
    let (converted, plain) = (data.join("ampoule/state-converted"), data.join("ampoule/state-plain"));
    if !state.is_dir() && plain.is_dir() && converted.is_dir() {
        fs::rename(&converted, &state)?;
        sync_file_system(data)?;
    }
    if !state.is_dir() {
        ioctl::create_subvolume(&File::open(data)?, "state")?;
        sync_file_system(data)?;
    }
    if fs::metadata(&state)?.ino() != SUBVOLUME_INODE {
        if converted.is_dir() {
            remove(&converted)?;
        }
        make_directories(parent(&converted)?)?;
        ioctl::create_subvolume(&File::open(parent(&converted)?)?, name(&converted)?)?;
        copy(&state, &converted).map_err(io::Error::other)?;
        sync_file_system(data)?;
        fs::rename(&state, &plain)?;
        fs::rename(&converted, &state)?;
        sync_file_system(data)?;
    }
    if plain.is_dir() { fs::remove_dir_all(&plain) } else { Ok(()) }
}

fn remove(path: &Path) -> io::Result<()> {
    if fs::metadata(path)?.ino() == SUBVOLUME_INODE {
        return ioctl::remove_subvolume(&File::open(parent(path)?)?, name(path)?);
    }
    fs::remove_dir_all(path)
}

fn parent(path: &Path) -> io::Result<&Path> {
    path.parent().ok_or_else(|| io::Error::other("it is no path of a subvolume"))
}

fn name(path: &Path) -> io::Result<&str> {
    let name = path.file_name().and_then(|name| name.to_str());
    name.ok_or_else(|| io::Error::other("it is no path of a subvolume"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Places with what their state says, and a power that fails after some steps.
    #[derive(Clone, Debug, Default)]
    struct Fake {
        places: BTreeMap<Place, &'static str>,
        steps: usize,
    }

    impl Fake {
        fn step(&mut self) -> io::Result<()> {
            self.steps = self.steps.checked_sub(1).ok_or(io::ErrorKind::BrokenPipe)?;
            Ok(())
        }
    }

    impl StateWorld for Fake {
        fn has(&self, place: Place) -> bool {
            self.places.contains_key(&place)
        }

        fn snapshot(&mut self, from: Place, to: Place) -> io::Result<()> {
            self.step()?;
            assert!(!self.has(to), "BUG: {to:?} is taken");
            let content = self.places[&from];
            self.places.insert(to, content);
            Ok(())
        }

        fn rename(&mut self, from: Place, to: Place) -> io::Result<()> {
            self.step()?;
            assert!(!self.has(to), "BUG: {to:?} is taken");
            let content = self.places.remove(&from).expect("it is there");
            self.places.insert(to, content);
            Ok(())
        }

        fn remove(&mut self, place: Place) -> io::Result<()> {
            self.step()?;
            self.places.remove(&place).expect("it is there");
            Ok(())
        }

        fn sync(&mut self) -> io::Result<()> {
            self.step()
        }
    }

    #[test]
    fn a_snapshot_is_taken_once_whatever_is_cut() {
        for cut in 0..5 {
            let mut world = Fake { places: BTreeMap::from([(Place::State, "old")]), steps: cut };
            let was_cut = take(&mut world).is_err();
            assert_eq!(was_cut, cut < 4, "cut after {cut}");
            world.steps = 99;
            take(&mut world).expect("the next start ends it");
            world.places.insert(Place::State, "newer");
            take(&mut world).expect("nothing to do");
            assert_eq!(world.places[&Place::Before], "old", "cut after {cut}");
        }
    }

    #[test]
    fn declared_state_is_never_lost_by_a_cut_while_it_comes_back() {
        let places = BTreeMap::from([(Place::State, "newer"), (Place::Before, "old")]);
        let mut steps = 0;
        loop {
            let mut world = Fake { places: places.clone(), steps };
            let was_cut = restore(&mut world).is_err();
            assert!(world.places.values().any(|content| *content == "old"), "cut after {steps}");
            assert!(world.places.values().any(|content| *content == "newer"), "cut after {steps}");
            world.steps = 99;
            // When the cut came after the last step, what was entered since stays.
            let again = restore(&mut world).expect("the next start ends it");
            assert_eq!(world.places[&Place::State], "old", "cut after {steps}");
            assert_eq!(world.places[&Place::Dropped], "newer", "cut after {steps}");
            assert!(!world.has(Place::Before));
            if !was_cut {
                assert_eq!(again, Restored::Nothing);
                break;
            }
            steps += 1;
        }
        assert!(steps >= 7, "every step was cut, {steps}");
    }

    #[test]
    fn without_a_snapshot_the_state_stays() {
        let mut world = Fake { places: BTreeMap::from([(Place::State, "kept")]), steps: 9 };
        assert_eq!(restore(&mut world).expect("works"), Restored::Nothing);
        assert_eq!(world.places[&Place::State], "kept");
    }
}
