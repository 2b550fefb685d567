//! What an image's packages say about themselves: where each came from, its changelog, its licence text.
//!
//! Owns reading the archive [`crate::names::PACKAGE_DOCUMENTS`] that the builder writes. Pure: bytes come in through
//! [`Read`]. The archive may be a stranger's: everything read from it has a limit.
//!
//! The archive is a tar file, zstd: first [`RECORDS`], one [`PackageRecord`] a line, then `PACKAGE/NAME`, the texts as
//! the packages have them but not compressed one by one. Equal texts are there once; the others are hard links to it.

use std::collections::BTreeMap;
use std::io::{self, Read};

use model::Sha256Digest;
use serde::{Deserialize, Serialize};

/// Name of the archive's first file.
pub const RECORDS: &str = "packages.jsonl";

/// Most bytes the archive unpacks to. Stops a small archive from filling memory.
pub const ARCHIVE_LIMIT: u64 = 1 << 30;
/// Most bytes of one text. Stops one endless text; the longest changelogs are a few MiB.
pub const TEXT_LIMIT: u64 = 64 << 20;
/// Most files. Stops millions of empty ones, which cost no bytes.
pub const FILE_LIMIT: usize = 500_000;
/// Most packages. Stops a record list that makes every later loop slow.
pub const PACKAGE_LIMIT: usize = 50_000;

/// What is known of one package that went into a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PackageRecord {
    /// Binary package name.
    pub name: String,
    /// Binary version.
    pub version: String,
    /// Debian architecture.
    pub architecture: String,
    /// Source package name.
    pub source: String,
    /// Source version: what advisories speak of.
    pub source_version: String,
    /// Suite it came from.
    pub suite: String,
    /// Part of the archive: `main`, `contrib`, ...
    pub component: String,
    /// Section: `httpd`, `libs`, ...
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub section: String,
    /// Path below the suite's mirror.
    pub path: String,
    /// Bytes of the `.deb`.
    pub size: u64,
    /// SHA-256 of the `.deb`.
    pub sha256: Sha256Digest,
    /// What it is used for.
    #[serde(default)]
    pub role: PackageRole,
    /// Whether the definition names it; the others came with these.
    #[serde(default)]
    pub requested: bool,
    /// Who maintains it in Debian.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub maintainer: String,
    /// Where people read more.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub homepage: String,
    /// First line of its description.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub summary: String,
    /// Installed packages that it needs (Pre-Depends and Depends, alternatives and virtual packages resolved), sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends: Vec<String>,
}

/// What a package is used for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PackageRole {
    /// It is unpacked and configured in the image.
    #[default]
    Installed,
    /// Only files of it are used to boot the image.
    Boot,
}

/// Why the archive can not be read.
#[derive(Debug, thiserror::Error)]
pub enum PackageDocumentsError {
    /// Not a tar archive in zstd, or a damaged one.
    #[error("the archive of package documents can not be read")]
    Read(#[source] io::Error),
    /// A limit of this module is broken.
    #[error("the archive of package documents has more than {limit} {what}")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How much is read.
        limit: u64,
    },
    /// A line of [`RECORDS`] is no record.
    #[error("line {line} of `{RECORDS}` is not a package")]
    Record {
        /// Counted from 1.
        line: usize,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
}

/// The documents of all packages of a release.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PackageDocuments {
    records: BTreeMap<String, PackageRecord>,
    /// Index of the text by package and file name.
    files: BTreeMap<String, BTreeMap<String, usize>>,
    texts: Vec<String>,
}

impl PackageDocuments {
    /// Reads the archive.
    pub fn read(archive: impl Read) -> Result<Self, PackageDocumentsError> {
        let decoder = zstd::Decoder::new(archive).map_err(PackageDocumentsError::Read)?;
        // One byte more than allowed shows that there is more.
        let mut archive = tar::Archive::new(decoder.take(ARCHIVE_LIMIT + 1));
        let (mut documents, mut total) = (Self::default(), 0u64);
        for (count, entry) in archive.entries().map_err(PackageDocumentsError::Read)?.enumerate() {
            let mut entry = entry.map_err(PackageDocumentsError::Read)?;
            total = total.saturating_add(entry.size());
            check("files", count as u64 + 1, FILE_LIMIT as u64)?;
            check("bytes", total, ARCHIVE_LIMIT)?;
            let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            if entry.header().entry_type().is_hard_link() {
                let target = entry.link_name_bytes().unwrap_or_default();
                documents.link(&path, &String::from_utf8_lossy(&target));
            } else if entry.header().entry_type().is_file() {
                check("bytes in one text", entry.size(), TEXT_LIMIT)?;
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes).map_err(PackageDocumentsError::Read)?;
                total = total.saturating_add(documents.add(&path, bytes)?);
            }
        }
        Ok(documents)
    }

    /// Texts found elsewhere, in an image whose maker kept no archive: `(package, file name)` to bytes as they were shipped.
    pub fn of(
        texts: impl IntoIterator<Item = ((String, String), Vec<u8>)>,
    ) -> Result<Self, PackageDocumentsError> {
        let mut documents = Self::default();
        for ((package, name), bytes) in texts {
            documents.add(&format!("{package}/{name}"), bytes)?;
        }
        Ok(documents)
    }

    /// Whether there is nothing to read.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// All packages, sorted by name. Empty for releases of an Ampoule that kept no records.
    pub fn packages(&self) -> impl Iterator<Item = &PackageRecord> {
        self.records.values()
    }

    /// The record of a binary package.
    pub fn package(&self, name: &str) -> Option<&PackageRecord> {
        self.records.get(name)
    }

    /// The Debian changelog of a binary package: its own, or that of a package from the same source, which Debian's
    /// packages link to.
    pub fn changelog(&self, package: &str) -> Option<&str> {
        self.own_changelog(package)
            .or_else(|| self.siblings(package).find_map(|name| self.own_changelog(name)))
    }

    /// The Debian changelog of a source package.
    pub fn changelog_of_source(&self, source: &str) -> Option<&str> {
        let of_source = self.records.values().filter(|record| record.source == source);
        of_source.into_iter().find_map(|record| self.own_changelog(&record.name))
    }

    /// The changelog of a rebuild without a change of the source (binNMU): only that entry, `None` for other packages.
    pub fn rebuild_changelog(&self, package: &str) -> Option<&str> {
        let names = self.files.get(package)?.keys();
        let name = names.into_iter().find(|name| {
            name.strip_prefix("changelog.Debian.").is_some_and(|rest| !rest.is_empty() && rest != "gz")
        })?;
        self.text(package, name)
    }

    /// The copyright file of a binary package, or of one from the same source.
    pub fn copyright(&self, package: &str) -> Option<&str> {
        let own = |name: &str| self.text(name, "copyright");
        own(package).or_else(|| self.siblings(package).find_map(own))
    }

    /// The kernel's options, `CONFIG_X=y` a line, with the kernel's version.
    pub fn kernel_options(&self) -> Option<(&str, &str)> {
        self.files.iter().find_map(|(package, names)| {
            let name = names.keys().find(|name| name.starts_with("config-"))?;
            Some((name.strip_prefix("config-")?, self.text(package, name)?))
        })
    }

    /// Names of the texts of a package.
    pub fn names(&self, package: &str) -> impl Iterator<Item = &str> {
        self.files.get(package).into_iter().flat_map(|names| names.keys().map(String::as_str))
    }

    /// One text of a package by name.
    pub fn text(&self, package: &str, name: &str) -> Option<&str> {
        let index = *self.files.get(package)?.get(name)?;
        Some(&self.texts[index])
    }

    fn own_changelog(&self, package: &str) -> Option<&str> {
        // Native packages have `changelog`; in others it is upstream's, in whatever form.
        self.text(package, "changelog.Debian")
            .or_else(|| self.text(package, "changelog").filter(|text| is_debian_changelog(text)))
    }

    fn siblings(&self, package: &str) -> impl Iterator<Item = &str> {
        let of = self.records.get(package).map(|record| (&record.source, &record.source_version));
        let same = move |record: &&PackageRecord| {
            of.is_some_and(|of| of == (&record.source, &record.source_version))
        };
        self.records.values().filter(same).map(|record| record.name.as_str())
    }

    /// Adds a file; the bytes it has beyond those of the archive.
    fn add(&mut self, path: &str, bytes: Vec<u8>) -> Result<u64, PackageDocumentsError> {
        if path == RECORDS {
            self.records = records(&bytes)?;
            return Ok(0);
        }
        let Some((package, name)) = path.split_once('/') else { return Ok(0) };
        let (name, bytes, more) = match name.strip_suffix(".gz") {
            Some(plain) => match unpacked(&bytes)? {
                Some(text) => (plain, text.clone(), text.len() as u64),
                None => return Ok(0),
            },
            None => (name, bytes, 0),
        };
        // Changelogs of old are in whatever encoding; what is no UTF-8 shows as such.
        let text = String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
        self.files.entry(package.to_owned()).or_default().insert(name.to_owned(), self.texts.len());
        self.texts.push(text);
        Ok(more)
    }

    /// A link to a text that is not there before it says nothing.
    fn link(&mut self, path: &str, target: &str) {
        let (Some((package, name)), Some((from, text))) = (path.split_once('/'), target.split_once('/'))
        else {
            return;
        };
        if let Some(index) = self.files.get(from).and_then(|names| names.get(text)).copied() {
            self.files.entry(package.to_owned()).or_default().insert(name.to_owned(), index);
        }
    }
}

/// Whether a text begins as deb-changelog(5) has it: `SOURCE (VERSION) DISTRIBUTION; urgency=...`.
fn is_debian_changelog(text: &str) -> bool {
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let Some((head, rest)) = first.split_once(" (") else { return false };
    !head.is_empty() && !head.contains(' ') && rest.contains(") ") && rest.contains(';')
}

fn records(bytes: &[u8]) -> Result<BTreeMap<String, PackageRecord>, PackageDocumentsError> {
    let mut records = BTreeMap::new();
    for (index, line) in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).enumerate() {
        check("packages", index as u64 + 1, PACKAGE_LIMIT as u64)?;
        let record: PackageRecord = serde_json::from_slice(line)
            .map_err(|source| PackageDocumentsError::Record { line: index + 1, source })?;
        records.insert(record.name.clone(), record);
    }
    Ok(records)
}

/// The text of a gzip file, as archives had them before; `None` when it is damaged, as some package's may be.
fn unpacked(bytes: &[u8]) -> Result<Option<Vec<u8>>, PackageDocumentsError> {
    let mut text = Vec::new();
    let decoder = flate2::read::MultiGzDecoder::new(bytes);
    if decoder.take(TEXT_LIMIT + 1).read_to_end(&mut text).is_err() {
        return Ok(None);
    }
    check("bytes in one text", text.len() as u64, TEXT_LIMIT)?;
    Ok(Some(text))
}

fn check(what: &'static str, found: u64, limit: u64) -> Result<(), PackageDocumentsError> {
    if found > limit { Err(PackageDocumentsError::TooLarge { what, limit }) } else { Ok(()) }
}

#[cfg(test)]
#[path = "packages_tests.rs"]
mod tests;
