//! How old the parts of a release are: the day of the changelog entry that made each version.
//!
//! Owns reading that day. An age says when a version was made, not that it is bad: a part that is finished gets old in peace.

use std::collections::BTreeMap;

use debian::Version;
use debian::date::Timestamp;
use release::documents::{PackageDocuments, PackageRecord};

/// Seconds of a day.
pub const DAY: u64 = 86_400;

/// One source package of a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Age {
    /// Source package.
    pub source: String,
    /// Its version.
    pub version: String,
    /// Binary packages that came from it.
    pub packages: Vec<String>,
    /// When the version was made; `None` when its changelog does not say.
    pub made: Option<Timestamp>,
    /// A newer version that the index of a suite has.
    pub newest: Option<String>,
}

impl Age {
    /// Whole days from the day it was made to `at`; 0 for what was made later.
    pub fn days(&self, at: Timestamp) -> Option<u64> {
        self.made.map(|made| at.0.saturating_sub(made.0) / DAY)
    }
}

/// All sources, the oldest first. `newest` has the newest version of each source in a suite, where somebody knows it.
pub fn ages<'a>(
    documents: &PackageDocuments,
    records: impl Iterator<Item = &'a PackageRecord>,
    newest: &BTreeMap<String, Version>,
) -> Vec<Age> {
    let mut by_source: BTreeMap<(&str, &str), Age> = BTreeMap::new();
    for record in records {
        let key = (record.source.as_str(), record.source_version.as_str());
        let age = by_source.entry(key).or_insert_with(|| Age {
            source: record.source.clone(),
            version: record.source_version.clone(),
            packages: Vec::new(),
            made: None,
            newest: newer(record, newest),
        });
        age.packages.push(record.name.clone());
        age.made = age.made.or_else(|| {
            documents.changelog(&record.name).and_then(|text| made(text, &record.source_version))
        });
    }
    let mut ages: Vec<Age> = by_source.into_values().collect();
    // What does not say when it was made comes last: nothing is known of it.
    ages.sort_by(|one, other| {
        let key = |age: &Age| (age.made.is_none(), age.made);
        key(one).cmp(&key(other)).then_with(|| one.source.cmp(&other.source))
    });
    ages
}

fn newer(record: &PackageRecord, newest: &BTreeMap<String, Version>) -> Option<String> {
    let version: Version = record.source_version.parse().ok()?;
    newest.get(&record.source).filter(|found| **found > version).map(|found| found.as_str().to_owned())
}

/// When `version` was made, by the trailer of its entry (deb-changelog(5)). A changelog without that entry, as of a rebuild
/// under another version, gives the day of its newest.
fn made(changelog: &str, version: &str) -> Option<Timestamp> {
    let (mut wanted, mut first) = (false, None);
    for line in changelog.lines() {
        if !line.starts_with([' ', '\t']) {
            wanted |= line
                .split_once('(')
                .and_then(|(_, rest)| rest.split_once(')'))
                .is_some_and(|(it, _)| it == version);
        } else if let Some(date) =
            line.strip_prefix(" -- ").and_then(|it| it.rsplit_once("  ")).map(|(_, date)| date)
        {
            let date = timestamp(date);
            if wanted {
                return date;
            }
            first = first.or(date);
        }
    }
    first
}

/// RFC 2822 with the offset of a time zone: `Sat, 15 Nov 2025 10:48:00 +0100`.
fn timestamp(text: &str) -> Option<Timestamp> {
    let (local, zone) = text.trim().rsplit_once(' ')?;
    let utc = Timestamp::parse_release_date(&format!("{local} UTC")).ok()?;
    let (sign, digits) = (zone.get(..1)?, zone.get(1..).filter(|it| it.len() == 4)?);
    let (hours, minutes): (u64, u64) = (digits[..2].parse().ok()?, digits[2..].parse().ok()?);
    let offset = (hours * 60 + minutes) * 60;
    match sign {
        "+" => utc.0.checked_sub(offset).map(Timestamp),
        "-" => utc.0.checked_add(offset).map(Timestamp),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANGELOG: &str = "x (2.0-1) trixie; urgency=medium\n\n  * New.\n\n -- A B <a@b>  Sat, 15 Nov 2025 10:48:00 +0100\n\n\
                             x (1.0-1) trixie; urgency=low\n\n  * Old (really).\n\n -- A B <a@b>  Thu, 29 Feb 2024 00:00:01 -0330\n";

    #[test]
    fn a_version_was_made_when_its_own_entry_says() {
        assert_eq!(made(CHANGELOG, "2.0-1"), Some(Timestamp(1_763_200_080)));
        assert_eq!(made(CHANGELOG, "1.0-1"), Some(Timestamp(1_709_164_801 + 12_600)));
        assert_eq!(made(CHANGELOG, "3.0-1"), Some(Timestamp(1_763_200_080)), "the newest there is");
        assert_eq!(made("x (1) y; z\n\n -- A  yesterday\n", "1"), None);
        assert_eq!(made("", "1"), None);
    }

    #[test]
    fn the_oldest_source_comes_first_and_what_is_newer_is_named() {
        let documents = crate::testing::packages();
        let newest = BTreeMap::from([
            ("glibc".to_owned(), "9:1".parse().unwrap()),
            ("perl".to_owned(), "0.1".parse().unwrap()),
        ]);
        let ages = ages(&documents, documents.packages(), &newest);
        let of = |name: &str| ages.iter().find(|it| it.source == name).unwrap();
        assert_eq!(of("glibc").newest.as_deref(), Some("9:1"));
        assert_eq!(of("perl").newest, None);
        assert_eq!((of("apache2").made, of("apache2").days(Timestamp(DAY))), (None, None));
    }
}
