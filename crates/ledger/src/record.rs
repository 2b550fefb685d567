//! The entry of a release: what a ledger says was published, small and with exactly one form.
//!
//! Every field follows from the release statement alone, so that whoever has the statement makes the entry and its hash himself:
//! no record has to travel with a release. What is not known when a release is logged (repository versions, indices) is
//! therefore not in it.

use std::fmt;

use crate::encoding::{from_hex, shown, to_hex};
use crate::merkle::{TreeHash, leaf_hash};
use crate::tile::ENTRY_LIMIT;

/// First line of a release's record.
const HEADER: &str = "ampoule release 1";
/// Longest name, version or architecture in bytes. Stops a record from hiding text that nobody sees.
const WORD_LIMIT: usize = 128;

/// What a ledger knows of a release.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReleaseRecord {
    /// Who made it.
    pub vendor: Word,
    /// The appliance.
    pub appliance: Word,
    /// Its version.
    pub version: Word,
    /// Debian architecture.
    pub architecture: Word,
    /// SHA-256 of the release statement: the release's identity.
    pub statement: [u8; 32],
    /// Root hash of the sealed image.
    pub root_hash: [u8; 32],
}

/// A part of a record: 1 to 128 visible ASCII characters without `/`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Word(String);

/// The bytes are no record of a release.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Longer than an entry can be.
    #[error("a record has at most {ENTRY_LIMIT} bytes")]
    TooLong,
    /// The first line is another one: a record of another kind, or of a newer version.
    #[error("`{0}` begins no record that is known")]
    Header(String),
    /// A line that is not the expected one.
    #[error("the record has not the line `{0}` where it belongs")]
    Line(&'static str),
    /// A name, version or architecture that can not be.
    #[error("`{0}` can not be part of a record: 1 to {WORD_LIMIT} visible ASCII characters without `/`")]
    Word(String),
}

impl Word {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for Word {
    type Err = RecordError;

    fn from_str(text: &str) -> Result<Self, RecordError> {
        let is_good = (1..=WORD_LIMIT).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'/');
        if is_good { Ok(Self(text.into())) } else { Err(RecordError::Word(shown(text))) }
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl ReleaseRecord {
    /// Reads an entry. Only the bytes that [`ReleaseRecord::to_bytes`] writes are accepted: a second form of the same record
    /// would be an entry that monitors and appliances understand differently.
    pub fn parse(bytes: &[u8]) -> Result<Self, RecordError> {
        if bytes.len() > ENTRY_LIMIT {
            return Err(RecordError::TooLong);
        }
        let header = |text: &str| RecordError::Header(shown(text.split('\n').next().unwrap_or_default()));
        let text = std::str::from_utf8(bytes).map_err(|_| header(""))?;
        let mut lines = text.split('\n');
        if lines.next() != Some(HEADER) {
            return Err(header(text));
        }
        let mut field = |name: &'static str| {
            let value = lines.next().and_then(|line| line.strip_prefix(name)?.strip_prefix(' '));
            value.ok_or(RecordError::Line(name))
        };
        let (vendor, appliance) =
            field("appliance")?.split_once('/').ok_or(RecordError::Line("appliance"))?;
        let record = Self {
            vendor: vendor.parse()?,
            appliance: appliance.parse()?,
            version: field("version")?.parse()?,
            architecture: field("architecture")?.parse()?,
            statement: from_hex(field("statement")?).ok_or(RecordError::Line("statement"))?,
            root_hash: from_hex(field("root-hash")?).ok_or(RecordError::Line("root-hash"))?,
        };
        // One newline at the end and nothing behind it.
        if lines.next() != Some("") || lines.next().is_some() {
            return Err(RecordError::Line("root-hash"));
        }
        Ok(record)
    }

    /// The bytes that are logged.
    pub fn to_bytes(&self) -> Vec<u8> {
        format!(
            "{HEADER}\nappliance {}/{}\nversion {}\narchitecture {}\nstatement {}\nroot-hash {}\n",
            self.vendor,
            self.appliance,
            self.version,
            self.architecture,
            to_hex(&self.statement),
            to_hex(&self.root_hash)
        )
        .into_bytes()
    }

    /// Its hash in the tree: what a proof is about.
    pub fn leaf(&self) -> TreeHash {
        leaf_hash(&self.to_bytes())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample() -> ReleaseRecord {
        let word = |text: &str| text.parse().expect("a word");
        ReleaseRecord {
            vendor: word("acme"),
            appliance: word("lamp"),
            version: word("1.4.0-rc.1"),
            architecture: word("amd64"),
            statement: [0xab; 32],
            root_hash: [0x0c; 32],
        }
    }

    #[test]
    fn a_record_has_these_bytes_and_no_others() {
        let text = format!(
            "ampoule release 1\nappliance acme/lamp\nversion 1.4.0-rc.1\narchitecture amd64\nstatement {}\nroot-hash {}\n",
            "ab".repeat(32),
            "0c".repeat(32)
        );
        assert_eq!(sample().to_bytes(), text.as_bytes());
        assert_eq!(ReleaseRecord::parse(text.as_bytes()), Ok(sample()));
        for (from, to) in [
            ("release 1", "release 2"),
            ("ampoule", "Ampoule"),
            ("acme/lamp", "acme"),
            ("acme/lamp", "acme/lamp/x"),
            ("acme/lamp", "/lamp"),
            ("acme/lamp", " acme/lamp"),
            ("acme/lamp", "acmé/lamp"),
            ("version 1.4.0-rc.1\n", ""),
            ("version", "Version"),
            ("1.4.0-rc.1", "1.4.0-rc.1 "),
            ("1.4.0-rc.1", "1.4.0\r"),
            ("amd64\n", "amd64\n\n"),
            ("abab", "ABAB"),
            ("abab", "ab"),
            ("0c0c\n", "0c0c"),
            ("0c0c\n", "0c0c\n\n"),
            ("0c0c\n", "0c0c\nmore 1\n"),
        ] {
            assert!(text.contains(from), "{from}");
            let at = if from.starts_with("0c0c") { text.rfind(from) } else { text.find(from) };
            let at = at.expect("contained");
            let changed = format!("{}{to}{}", &text[..at], &text[at + from.len()..]);
            assert!(ReleaseRecord::parse(changed.as_bytes()).is_err(), "{from:?} to {to:?}");
        }
        assert_eq!(ReleaseRecord::parse(&vec![b'a'; ENTRY_LIMIT + 1]), Err(RecordError::TooLong));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_record_with_one_form_or_refused(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            vendor in "[!-~]{0,9}", version in "[ -~]{0,9}", hex in "[0-9a-fA-F]{62,66}",
        ) {
            let _ = ReleaseRecord::parse(&bytes);
            let text = format!(
                "{HEADER}\nappliance {vendor}/x\nversion {version}\narchitecture amd64\nstatement {hex}\nroot-hash {hex}\n"
            );
            if let Ok(record) = ReleaseRecord::parse(text.as_bytes()) {
                prop_assert_eq!(record.to_bytes(), text.into_bytes());
            }
        }
    }
}
