//! What patches leave on data: the journal, holds, rates, the last answer of the depot.
//!
//! A record is durable when [`Kept::append`] returns. The small files are replaced by rename; one that can not be read is as
//! if it were not there, because nothing of it decides what boots.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use model::control::Hold;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use update::journal;
use update::life::Record;
use update::precheck::Rates;

use crate::init::snapshots::UPDATE_FOLDER;
use crate::init::state::make_directories;
use crate::init::trial::JOURNAL;

/// Longest small file that is read.
const FILE_LIMIT: u64 = 8 << 20;

/// The depot's last whole answer.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Looked {
    /// When, seconds since 1970.
    pub checked: Option<u64>,
    /// What it said.
    pub index: Option<release::Index>,
    /// Which release runs, as its statement says.
    pub running: Option<(String, release::ReleaseId)>,
}

/// The files.
#[derive(Clone, Debug)]
pub struct Kept {
    data: PathBuf,
}

impl Kept {
    /// Below the mount point of data.
    pub fn on(data: &Path) -> io::Result<Kept> {
        make_directories(&data.join(UPDATE_FOLDER))?;
        Ok(Kept { data: data.to_owned() })
    }

    /// The folder.
    pub fn folder(&self) -> PathBuf {
        self.data.join(UPDATE_FOLDER)
    }

    /// All records.
    pub fn records(&self) -> Vec<Record> {
        crate::init::trial::read_journal(&self.data)
    }

    /// Appends a record; durable on return.
    pub fn append(&self, record: &Record) -> io::Result<()> {
        let path = self.data.join(JOURNAL);
        let text = fs::read(&path).unwrap_or_default();
        if let Some(shorter) = journal::compacted(&String::from_utf8_lossy(&text)) {
            self.replace("journal.jsonl", shorter.as_bytes())?;
        }
        let is_behind_a_cut = !text.is_empty() && !text.ends_with(b"\n");
        let mut file = File::options().append(true).create(true).open(&path)?;
        file.write_all(&journal::line(record, is_behind_a_cut))?;
        file.sync_all()?;
        File::open(self.folder())?.sync_all()
    }

    /// What is held.
    pub fn holds(&self) -> Vec<Hold> {
        self.read("holds.json").unwrap_or_default()
    }

    /// Keeps what is held.
    pub fn keep_holds(&self, holds: &[Hold]) -> io::Result<()> {
        self.write("holds.json", &holds)
    }

    /// Rates of this machine.
    pub fn rates(&self) -> Rates {
        self.read("rates.json").unwrap_or_default()
    }

    /// Keeps rates.
    pub fn keep_rates(&self, rates: &Rates) -> io::Result<()> {
        self.write("rates.json", rates)
    }

    /// The depot's last answer.
    pub fn looked(&self) -> Looked {
        self.read("looked.json").unwrap_or_default()
    }

    /// Keeps the depot's answer.
    pub fn keep_looked(&self, looked: &Looked) -> io::Result<()> {
        self.write("looked.json", looked)
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let mut bytes = Vec::new();
        File::open(self.folder().join(name)).ok()?.take(FILE_LIMIT).read_to_end(&mut bytes).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    fn write(&self, name: &str, value: &impl Serialize) -> io::Result<()> {
        self.replace(name, &serde_json::to_vec(value).map_err(io::Error::other)?)
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let working = self.folder().join(format!("{name}.new"));
        let mut file = File::create(&working)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(working, self.folder().join(name))?;
        File::open(self.folder())?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_files_are_kept_and_broken_ones_are_as_if_absent() {
        let data = tempfile::tempdir().expect("a temporary folder can be made");
        let kept = Kept::on(data.path()).expect("made");
        assert!(kept.holds().is_empty() && kept.looked().index.is_none());
        let hold = Hold { version: None, reason: "audit".into(), since: 3 };
        kept.keep_holds(std::slice::from_ref(&hold)).expect("kept");
        assert_eq!(kept.holds(), [hold]);
        fs::write(kept.folder().join("holds.json"), "[{").expect("written");
        assert!(kept.holds().is_empty());
    }
}
