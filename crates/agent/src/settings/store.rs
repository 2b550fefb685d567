//! Numbered versions of the settings on data.
//!
//! Owns `ampoule/settings/NNNNNN.json`, `generated.json` and `current`. Refuses to judge values.
//!
//! **A commit**, and what a power cut after each step leaves:
//! 1. `NNNNNN.json` is written beside its name, synced, renamed, the folder synced: `current` still names the old
//!    version, and the next commit takes the same number;
//! 2. `current` is replaced the same way: the new version is the one in use.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use model::definition::SettingValues;
use serde::{Deserialize, Serialize};

/// Versions that are kept. A program that changes settings in a loop must not fill the data disk.
const VERSION_LIMIT: u64 = 100;
const CURRENT: &str = "current";
const GENERATED: &str = "generated.json";
const TEMPORARY: &str = ".new";

/// The folder of the settings.
///
/// Implementers MUST make `rename` atomic, and MUST have content and names durable when `sync_folder` returned `Ok`.
pub trait Disk: Send {
    /// Reads a whole file; `None` when it is absent.
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>>;
    /// Writes a file that nobody but root may read, and syncs its content.
    fn write(&mut self, name: &str, bytes: &[u8]) -> io::Result<()>;
    /// Gives a file another name, over one that has it.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file; not finding it is success.
    fn remove(&mut self, name: &str) -> io::Result<()>;
    /// Makes names durable.
    fn sync_folder(&mut self) -> io::Result<()>;
}

/// One version.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Version {
    /// Counted from 1.
    pub version: u64,
    /// Seconds since 1970.
    pub time: u64,
    /// Who made it.
    pub by: String,
    /// Names of settings that differ from the version before.
    pub changed: Vec<String>,
    /// The version an undo returned to.
    pub restores: Option<u64>,
    /// Values by source.
    #[serde(flatten)]
    pub layers: Layers,
}

/// Values from outside, by source.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Layers {
    /// fw_cfg and SMBIOS.
    pub hypervisor: SettingValues,
    /// Seed disk.
    pub seed: SettingValues,
    /// Console and API.
    pub customer: SettingValues,
}

/// The versions.
pub struct Store {
    disk: Box<dyn Disk>,
}

impl Store {
    /// A store in a folder.
    pub fn new(disk: Box<dyn Disk>) -> Store {
        Store { disk }
    }

    /// The version in use; `None` before the first commit.
    pub fn current(&self) -> io::Result<Option<Version>> {
        let Some(bytes) = self.disk.read(CURRENT)? else { return Ok(None) };
        let number = String::from_utf8_lossy(&bytes).trim().parse().map_err(io::Error::other)?;
        match self.version(number)? {
            Some(version) => Ok(Some(version)),
            None => Err(io::Error::other(format!("settings version {number} is missing"))),
        }
    }

    /// One version.
    pub fn version(&self, number: u64) -> io::Result<Option<Version>> {
        let bytes = self.disk.read(&file_name(number))?;
        bytes.map(|bytes| serde_json::from_slice(&bytes).map_err(io::Error::other)).transpose()
    }

    /// All kept versions, newest first.
    pub fn versions(&self) -> io::Result<Vec<Version>> {
        let newest = self.current()?.map_or(0, |version| version.version);
        let oldest = newest.saturating_sub(VERSION_LIMIT - 1).max(1);
        (oldest..=newest).rev().filter_map(|number| self.version(number).transpose()).collect()
    }

    /// Makes a version the one in use. Its number has to be the next one.
    pub fn commit(&mut self, version: &Version) -> io::Result<()> {
        let bytes = serde_json::to_vec_pretty(version).map_err(io::Error::other)?;
        self.replace(&file_name(version.version), &bytes)?;
        self.point_at(version.version)?;
        match version.version.checked_sub(VERSION_LIMIT) {
            Some(old) if old > 0 => self.disk.remove(&file_name(old)),
            _ => Ok(()),
        }
    }

    /// Returns to the version `before` after a commit whose units did not start. A cut in between leaves the committed one,
    /// which passed every check.
    pub fn take_back(&mut self, committed: u64, before: u64) -> io::Result<()> {
        self.point_at(before)?;
        self.disk.remove(&file_name(committed))?;
        self.disk.sync_folder()
    }

    /// Values the appliance made.
    pub fn generated(&self) -> io::Result<SettingValues> {
        match self.disk.read(GENERATED)? {
            Some(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::other),
            None => Ok(SettingValues::new()),
        }
    }

    /// Keeps values the appliance made.
    pub fn keep_generated(&mut self, values: &SettingValues) -> io::Result<()> {
        self.replace(GENERATED, &serde_json::to_vec_pretty(values).map_err(io::Error::other)?)
    }

    fn point_at(&mut self, number: u64) -> io::Result<()> {
        self.replace(CURRENT, format!("{number}\n").as_bytes())
    }

    fn replace(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.disk.write(TEMPORARY, bytes)?;
        self.disk.rename(TEMPORARY, name)?;
        self.disk.sync_folder()
    }
}

fn file_name(number: u64) -> String {
    format!("{number:06}.json")
}

/// A folder of the data file system.
#[derive(Debug)]
pub struct Folder(pub PathBuf);

impl Disk for Folder {
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.0.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            other => other.map(Some),
        }
    }

    fn write(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let path = self.0.join(name);
        let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.0.join(from), self.0.join(to))
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.0.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    fn sync_folder(&mut self) -> io::Result<()> {
        File::open(&self.0)?.sync_all()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};

    use super::*;

    /// A folder in memory whose power can be cut, with names that are lost unless the folder was synced.
    #[derive(Clone, Default)]
    pub(crate) struct MemoryDisk {
        pub state: Arc<Mutex<State>>,
    }

    #[derive(Clone, Default)]
    pub(crate) struct State {
        /// As programs see it.
        pub files: BTreeMap<String, Vec<u8>>,
        /// As it is after a cut.
        durable: BTreeMap<String, Vec<u8>>,
        operations_left: Option<usize>,
    }

    impl MemoryDisk {
        pub fn cut_after(&self, operations: usize) {
            self.state.lock().expect("no test panics with it").operations_left = Some(operations);
        }

        /// The machine after the cut. `renames_survive`: whether names that were not synced reached the disk by chance.
        pub fn restart(&self, renames_survive: bool) {
            let mut state = self.state.lock().expect("no test panics with it");
            state.operations_left = None;
            if !renames_survive {
                state.files = state.durable.clone();
            }
            state.durable = state.files.clone();
        }

        fn operation(&self, act: impl FnOnce(&mut State)) -> io::Result<()> {
            let mut state = self.state.lock().expect("no test panics with it");
            match &mut state.operations_left {
                Some(0) => return Err(io::Error::other("the power was cut")),
                Some(left) => *left -= 1,
                None => {}
            }
            act(&mut state);
            Ok(())
        }
    }

    impl Disk for MemoryDisk {
        fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
            Ok(self.state.lock().expect("no test panics with it").files.get(name).cloned())
        }

        fn write(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
            let torn = self.operation(|state| {
                state.files.insert(name.to_owned(), bytes.to_vec());
            });
            if torn.is_err() {
                // What was in the temporary file is anything.
                let mut state = self.state.lock().expect("no test panics with it");
                state.files.insert(name.to_owned(), bytes[..bytes.len() / 2].to_vec());
            }
            torn
        }

        fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
            self.operation(|state| {
                let bytes = state.files.remove(from).expect("BUG: the file was written before");
                state.files.insert(to.to_owned(), bytes);
            })
        }

        fn remove(&mut self, name: &str) -> io::Result<()> {
            self.operation(|state| {
                state.files.remove(name);
            })
        }

        fn sync_folder(&mut self) -> io::Result<()> {
            self.operation(|state| state.durable = state.files.clone())
        }
    }

    fn version(number: u64) -> Version {
        Version { version: number, by: "api".to_owned(), ..Version::default() }
    }

    #[test]
    fn a_power_cut_at_any_step_of_a_commit_leaves_the_old_or_the_new_version() {
        for renames_survive in [false, true] {
            for cut in 0..=6 {
                let disk = MemoryDisk::default();
                let mut store = Store::new(Box::new(disk.clone()));
                store.commit(&version(1)).expect("the disk works");
                disk.cut_after(cut);
                let finished = store.commit(&version(2)).is_ok();
                disk.restart(renames_survive);
                let current = store.current().expect("readable").expect("there is one").version;
                assert!(current == 1 || current == 2, "cut {cut}: {current}");
                assert!(!finished || current == 2, "what was reported as done is done");
                assert_eq!(finished, cut >= 6, "BUG: the number of steps changed");
                store.commit(&version(current + 1)).expect("the next commit works");
                assert_eq!(store.current().expect("readable"), Some(version(current + 1)));
            }
        }
    }

    #[test]
    fn a_commit_taken_back_leaves_no_trace() {
        let mut store = Store::new(Box::new(MemoryDisk::default()));
        store.commit(&version(1)).expect("the disk works");
        store.commit(&version(2)).expect("the disk works");
        store.take_back(2, 1).expect("the disk works");
        assert_eq!(store.versions().expect("readable"), [version(1)]);
    }

    #[test]
    fn old_versions_are_removed() {
        let disk = MemoryDisk::default();
        let mut store = Store::new(Box::new(disk.clone()));
        for number in 1..=VERSION_LIMIT + 5 {
            store.commit(&version(number)).expect("the disk works");
        }
        assert_eq!(store.versions().expect("readable").len() as u64, VERSION_LIMIT);
        assert_eq!(disk.state.lock().expect("free").files.len() as u64, VERSION_LIMIT + 1);
    }

    #[test]
    fn files_of_the_real_folder_are_private() {
        use std::os::unix::fs::MetadataExt;
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let mut store = Store::new(Box::new(Folder(folder.path().to_owned())));
        store.commit(&version(1)).expect("the file system works");
        assert_eq!(store.current().expect("readable"), Some(version(1)));
        for entry in fs::read_dir(folder.path()).expect("readable") {
            assert_eq!(entry.expect("readable").metadata().expect("there").mode() & 0o777, 0o600);
        }
    }
}
