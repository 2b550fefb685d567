//! Watching over one's own appliances: what the log says was published in their name, against what really was.

use std::collections::BTreeSet;
use std::fmt;

use crate::record::{RecordError, ReleaseRecord, Word};

/// Whose releases are watched, and which are known. Known ones come from a depot, or from the maker's own books, never from the log.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    /// Vendor and appliance.
    appliances: BTreeSet<(Word, Word)>,
    known: BTreeSet<ReleaseRecord>,
    /// Of the known ones, those that the log has.
    seen: BTreeSet<ReleaseRecord>,
}

/// Something in the log that a person has to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Alert {
    /// A release of a watched appliance that nobody published: somebody has the keys.
    Unknown {
        /// Place of the entry, from 0.
        index: u64,
        /// What it says.
        record: ReleaseRecord,
    },
    /// An entry that is no record of a release. No appliance accepts it, and nobody can say whose it is.
    Unreadable {
        /// Place of the entry, from 0.
        index: u64,
        /// Why.
        reason: RecordError,
    },
}

impl Watch {
    /// Watches over nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Watches over an appliance.
    pub fn add_appliance(&mut self, vendor: Word, appliance: Word) {
        self.appliances.insert((vendor, appliance));
    }

    /// Knows a release, and watches over its appliance.
    pub fn add_known(&mut self, record: ReleaseRecord) {
        self.add_appliance(record.vendor.clone(), record.appliance.clone());
        self.known.insert(record);
    }

    /// Looks at one entry of the log. Entries of other appliances are nobody's business here.
    pub fn judge(&mut self, index: u64, entry: &[u8]) -> Option<Alert> {
        let record = match ReleaseRecord::parse(entry) {
            Ok(record) => record,
            Err(reason) => return Some(Alert::Unreadable { index, reason }),
        };
        if self.known.contains(&record) {
            self.seen.insert(record);
            return None;
        }
        let is_ours = self.appliances.contains(&(record.vendor.clone(), record.appliance.clone()));
        is_ours.then_some(Alert::Unknown { index, record })
    }

    /// Known releases that no entry said anything of, so far: published, and never logged.
    pub fn unlogged(&self) -> impl Iterator<Item = &ReleaseRecord> {
        self.known.difference(&self.seen)
    }
}

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { index, record } => write!(
                f,
                "entry {index} is a release of `{}/{}`, version {}, that is not known: somebody may have its keys",
                record.vendor, record.appliance, record.version
            ),
            Self::Unreadable { index, reason } => {
                write!(f, "entry {index} is no record of a release: {reason}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(appliance: &str, version: &str, statement: u8) -> ReleaseRecord {
        let word = |text: &str| text.parse().expect("a word");
        ReleaseRecord {
            vendor: word("acme"),
            appliance: word(appliance),
            version: word(version),
            architecture: word("amd64"),
            statement: [statement; 32],
            root_hash: [7; 32],
        }
    }

    #[test]
    fn a_release_in_ones_name_that_nobody_published_raises_an_alert() {
        let mut watch = Watch::new();
        watch.add_known(record("lamp", "1.0.0", 1));
        watch.add_known(record("lamp", "1.0.1", 2));
        assert_eq!(watch.judge(0, &record("lamp", "1.0.0", 1).to_bytes()), None);
        assert_eq!(watch.judge(1, &record("other", "1.0.0", 1).to_bytes()), None);
        // The same version with another statement, and a version that does not exist.
        for (index, forged) in
            [record("lamp", "1.0.0", 9), record("lamp", "6.6.6", 3)].into_iter().enumerate()
        {
            let alert = watch.judge(index as u64, &forged.to_bytes());
            assert_eq!(alert, Some(Alert::Unknown { index: index as u64, record: forged }));
        }
        assert_eq!(watch.unlogged().collect::<Vec<_>>(), [&record("lamp", "1.0.1", 2)]);
    }

    #[test]
    fn an_entry_that_nobody_can_read_raises_an_alert() {
        let mut watch = Watch::new();
        for entry in [&b""[..], b"ampoule release 2\n", b"\xff"] {
            assert!(matches!(watch.judge(5, entry), Some(Alert::Unreadable { index: 5, .. })));
        }
        let mut padded = record("lamp", "1.0.0", 1).to_bytes();
        padded.push(b'\n');
        assert!(matches!(watch.judge(5, &padded), Some(Alert::Unreadable { .. })));
    }
}
