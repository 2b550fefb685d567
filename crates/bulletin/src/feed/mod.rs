//! Feeds: files with known issues that an operator gives. Read offline, filtered to the packages at hand, with limits.
//!
//! Versions are compared as Debian does, by source name and version. What a feed does not say is not made up: an entry that
//! is undetermined is skipped.

use std::collections::BTreeSet;

use debian::Version;
use model::Sha256Digest;
use sha2::{Digest, Sha256};

use crate::facts::{FeedFacts, Severity};

mod osv;
mod tracker;
mod zip;

/// Largest feed. Debian's tracker has some 80 MB; stops a file that fills memory.
pub const FEED_LIMIT: u64 = 512 << 20;
/// Most records kept. Stops a feed with millions of issues for one package.
pub const RECORD_LIMIT: usize = 500_000;

/// A feed that was read.
#[derive(Clone, Debug)]
pub struct Feed {
    /// What it is.
    pub facts: FeedFacts,
    /// What it says of the packages at hand.
    pub records: Vec<Record>,
}

/// One issue in one source package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// `CVE-...` where there is one.
    pub id: String,
    /// Source package.
    pub source: String,
    /// Which versions have it.
    pub affected: Affected,
    /// How heavy it is.
    pub severity: Option<Severity>,
    /// What it says, in its own words.
    pub text: String,
}

/// Which versions have an issue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Affected {
    /// All, as far as is known.
    All,
    /// None, ever.
    Never,
    /// Those from the first (or the beginning) and before the second (or the end), of any pair.
    Ranges(Vec<(Option<Version>, Option<Version>)>),
}

impl Affected {
    /// Whether `version` has it.
    pub fn has(&self, version: &Version) -> bool {
        match self {
            Affected::All => true,
            Affected::Never => false,
            Affected::Ranges(ranges) => ranges.iter().any(|(from, before)| {
                from.as_ref().is_none_or(|from| from <= version)
                    && before.as_ref().is_none_or(|before| version < before)
            }),
        }
    }
}

/// What is asked of a feed.
#[derive(Clone, Debug, Default)]
pub struct Question {
    /// Source packages of either release.
    pub sources: BTreeSet<String>,
    /// Code name of Debian's suite: `trixie`.
    pub suite: String,
}

/// A feed that can not be read.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// Neither of the known formats.
    #[error("it is neither Debian's security tracker (JSON) nor OSV (JSON or zip)")]
    Unknown,
    /// Broken JSON: cut off, or of another shape.
    #[error("it is damaged or cut off")]
    Json(#[source] serde_json::Error),
    /// A broken zip archive.
    #[error("the zip archive is damaged: {0}")]
    Zip(&'static str),
    /// Beyond a limit.
    #[error("it is larger than a feed may be: {0}")]
    Limit(&'static str),
}

/// Reads a feed. `date` is the file's own, where the format has none.
pub fn read(name: &str, bytes: &[u8], date: Option<String>, question: &Question) -> Result<Feed, FeedError> {
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    let (format, records, newest) = match first {
        _ if bytes.starts_with(b"PK") => {
            let mut reader = osv::Reader::new(question);
            zip::each_file(bytes, |name, file| match name.ends_with(".json") {
                true => reader.record(file),
                false => Ok(()),
            })?;
            let (records, newest) = reader.end();
            ("osv", records, newest)
        }
        Some(b'[') => {
            let mut reader = osv::Reader::new(question);
            reader.list(bytes)?;
            let (records, newest) = reader.end();
            ("osv", records, newest)
        }
        Some(b'{') if osv::is_record(bytes) => {
            let mut reader = osv::Reader::new(question);
            reader.record(bytes)?;
            let (records, newest) = reader.end();
            ("osv", records, newest)
        }
        Some(b'{') => ("debian-tracker", tracker::read(bytes, question)?, None),
        _ => return Err(FeedError::Unknown),
    };
    let facts = FeedFacts {
        name: name.to_owned(),
        format: format.to_owned(),
        sha256: Sha256Digest(Sha256::digest(bytes).into()),
        date: newest.or(date),
        issues: records.len() as u64,
    };
    Ok(Feed { facts, records })
}

#[cfg(test)]
mod tests;
