//! What is kept on data between boots, below `/data/ampoule/update`. Only the journal decides what boots; the rest informs.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use model::Sha256Digest;
use model::control::Hold;
use release::ReleaseId;
use release::index::INDEX_LIMIT;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use update::journal::{self, JOURNAL_LIMIT};
use update::life::Record;
use update::precheck::Rates;

use super::words::{WORD_LIMIT, WORDS_LIMIT};
use crate::init::snapshots::UPDATE_FOLDER;
use crate::init::state::make_directories;
use crate::init::trial::{JOURNAL, read_journal};

/// Most holds: a program that holds in a loop must not fill the disk.
const HOLD_LIMIT: usize = 100;
/// Longest file of words: all that are kept, each escaped.
const WORDS_FILE_LIMIT: u64 = 2 * (WORDS_LIMIT * WORD_LIMIT) as u64;
/// Downloads begin with it.
const OBJECT: &str = "object-";

/// The folder.
#[derive(Clone, Debug)]
pub struct Files {
    data: PathBuf,
}

/// The depot's last whole answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct Checked {
    /// Seconds since 1970.
    pub time: u64,
    /// Whose answer.
    pub depot: String,
    /// Of which channel.
    pub channel: String,
    /// The index's serial.
    pub serial: u64,
}

/// Releases whose root hashes are remembered: one for each slot.
const KNOWN_LIMIT: usize = 2;

/// Which release a root hash belongs to: patches are made against releases, and a depot that is gone can not be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Known {
    root_hash: Sha256Digest,
    release: ReleaseId,
}

impl Files {
    /// The folder below `data`, made when it is not there.
    pub fn open(data: &Path) -> io::Result<Files> {
        make_directories(&data.join(UPDATE_FOLDER))?;
        Ok(Files { data: data.to_owned() })
    }

    /// Where data is mounted.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// A file of the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.data.join(UPDATE_FOLDER).join(name)
    }

    /// The downloaded patch, by its digest: what was begun of another one is of no use.
    pub fn object(&self, digest: &Sha256Digest) -> PathBuf {
        self.path(&format!("{OBJECT}{}", &digest.to_string()[..16]))
    }

    /// The staged UKI.
    pub fn uki(&self) -> PathBuf {
        self.path("uki.efi")
    }

    /// All records.
    pub fn records(&self) -> Vec<Record> {
        read_journal(&self.data)
    }

    /// Appends a record, durable.
    pub fn record(&self, record: &Record) -> io::Result<()> {
        let path = self.data.join(JOURNAL);
        let text = read_text(&path, JOURNAL_LIMIT)?;
        if let Some(short) = journal::compacted(&text) {
            self.replace("journal.jsonl", short.as_bytes())?;
        }
        let is_behind_a_cut = !text.is_empty() && !text.ends_with('\n');
        let mut file = File::options().append(true).create(true).open(&path)?;
        file.write_all(&journal::line(record, is_behind_a_cut))?;
        file.sync_all()?;
        File::open(self.data.join(UPDATE_FOLDER))?.sync_all()
    }

    /// What is held.
    pub fn holds(&self) -> Vec<Hold> {
        self.load("holds.json").unwrap_or_default()
    }

    /// Keeps what is held.
    pub fn keep_holds(&self, holds: &[Hold]) -> io::Result<()> {
        if holds.len() > HOLD_LIMIT {
            return Err(io::Error::other(format!("at most {HOLD_LIMIT} releases can be held")));
        }
        self.save("holds.json", &holds)
    }

    /// Notes of officers. That there are none is not the same as that they can not be read: a no may be among them.
    pub fn words(&self) -> Result<Vec<String>, String> {
        match read_text(&self.path("words.json"), WORDS_FILE_LIMIT).map_err(|error| error.to_string())? {
            text if text.is_empty() => Ok(Vec::new()),
            text => serde_json::from_str(&text).map_err(|error| error.to_string()),
        }
    }

    /// Keeps them.
    pub fn keep_words(&self, words: &[String]) -> io::Result<()> {
        self.save("words.json", &words)
    }

    /// Rates of this machine.
    pub fn rates(&self) -> Rates {
        self.load("rates.json").unwrap_or_default()
    }

    /// Keeps them. They only inform.
    pub fn keep_rates(&self, rates: &Rates) {
        let _informs_only = self.save("rates.json", rates);
    }

    /// The depot's last whole answer, with the index's bytes.
    pub fn checked(&self) -> Option<(Checked, Vec<u8>)> {
        let checked: Checked = self.load("checked.json")?;
        let text = read_text(&self.path("index.json"), INDEX_LIMIT).ok()?;
        (!text.is_empty()).then(|| (checked, text.into_bytes()))
    }

    /// Keeps it.
    pub fn keep_checked(&self, checked: &Checked, index: &[u8]) -> io::Result<()> {
        self.replace("index.json", index)?;
        self.save("checked.json", checked)
    }

    /// The release with this root hash, when the depot told it before.
    pub fn release_of(&self, root_hash: &Sha256Digest) -> Option<ReleaseId> {
        self.known().into_iter().find(|known| known.root_hash == *root_hash).map(|known| known.release)
    }

    /// Keeps which release has this root hash.
    pub fn keep_release(&self, root_hash: Sha256Digest, release: ReleaseId) {
        let mut known = self.known();
        known.retain(|known| known.root_hash != root_hash);
        known.insert(0, Known { root_hash, release });
        known.truncate(KNOWN_LIMIT);
        let _asked_again = self.save("releases.json", &known);
    }

    fn known(&self) -> Vec<Known> {
        self.load("releases.json").unwrap_or_default()
    }

    /// Removes downloads, but for the one that is kept.
    pub fn remove_objects(&self, kept: Option<&Path>) {
        for entry in fs::read_dir(self.data.join(UPDATE_FOLDER)).into_iter().flatten().flatten() {
            let path = entry.path();
            let is_object = entry.file_name().to_string_lossy().starts_with(OBJECT);
            if is_object && kept.is_none_or(|kept| path.with_extension("") != kept) {
                let _absent = fs::remove_file(path);
            }
        }
    }

    fn load<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        let text = read_text(&self.path(name), JOURNAL_LIMIT).ok()?;
        serde_json::from_str(&text).ok()
    }

    fn save(&self, name: &str, value: &impl Serialize) -> io::Result<()> {
        self.replace(name, &serde_json::to_vec(value).map_err(io::Error::other)?)
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let working = self.path(&format!("{name}.new"));
        let written = fs::write(&working, bytes).and_then(|()| File::open(&working)?.sync_all());
        if let Err(error) = written {
            // What is torn only takes room on a disk that is full.
            let _absent = fs::remove_file(&working);
            return Err(error);
        }
        fs::rename(&working, self.path(name))?;
        File::open(self.data.join(UPDATE_FOLDER))?.sync_all()
    }
}

fn read_text(path: &Path, limit: u64) -> io::Result<String> {
    let mut bytes = Vec::new();
    match File::open(path) {
        Ok(file) => file.take(limit).read_to_end(&mut bytes)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(error),
    };
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_again_and_rubbish_is_nothing() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let files = Files::open(folder.path()).expect("made");
        assert!(files.holds().is_empty() && files.checked().is_none() && files.records().is_empty());
        let hold = Hold { version: None, reason: "audit".into(), since: 7 };
        files.keep_holds(std::slice::from_ref(&hold)).expect("kept");
        assert_eq!(files.holds(), std::slice::from_ref(&hold));
        assert!(files.keep_holds(&vec![hold; HOLD_LIMIT + 1]).is_err());
        let checked = Checked { time: 1, depot: "https://d/".into(), channel: "stable".into(), serial: 3 };
        files.keep_checked(&checked, b"{}").expect("kept");
        assert_eq!(files.checked(), Some((checked, b"{}".to_vec())));
        fs::write(files.path("holds.json"), "[{").expect("written");
        assert!(files.holds().is_empty());
    }

    #[test]
    fn which_release_runs_is_known_by_its_root_hash_for_both_slots() {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let files = Files::open(folder.path()).expect("made");
        let root_hash = |byte| Sha256Digest([byte; 32]);
        let release = |byte| ReleaseId(Sha256Digest([byte; 32]));
        assert_eq!(files.release_of(&root_hash(1)), None);
        for byte in [1, 2, 2] {
            files.keep_release(root_hash(byte), release(byte + 10));
        }
        assert_eq!(files.release_of(&root_hash(1)), Some(release(11)));
        assert_eq!(files.release_of(&root_hash(2)), Some(release(12)));
        files.keep_release(root_hash(3), release(13));
        assert_eq!(files.release_of(&root_hash(1)), None, "it is in no slot any more");
    }
}
