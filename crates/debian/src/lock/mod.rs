//! The lock: the exact packages a definition resolved to.
//!
//! Owns the value, its rules, its text (`appliance.lock`), and the difference of two locks. No host name is in it: a
//! lock rebuilds from any mirror or cache that has the same bytes.

use std::collections::{BTreeMap, BTreeSet};

use model::Sha256Digest;
use model::definition::Base;
use sha2::{Digest, Sha256};

use crate::date::Timestamp;
use crate::version::Version;

mod change;
mod read;
mod rules;
mod write;

pub use change::{LockChange, PackageChange, SuiteChange};
pub use read::LockError;
pub use rules::BrokenRule;

/// The name of the lock's file, beside the definition.
pub const LOCK_FILE: &str = "appliance.lock";
/// The format this crate reads and writes.
pub const LOCK_FORMAT: i64 = 1;

/// Everything that has to be fetched to build an image, and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// Debian architecture, such as `amd64`.
    pub architecture: String,
    /// Digest of what the definition asked for; see [`request_digest`].
    pub request: Sha256Digest,
    /// The suites that were read, sorted by name.
    pub suites: Vec<LockedSuite>,
    /// All packages, sorted by name; a name occurs once.
    pub packages: Vec<LockedPackage>,
    /// Names of the [`Role::Installed`] packages in the order in which apt would unpack them.
    pub order: Vec<String>,
}

/// One suite at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockedSuite {
    /// Such as `trixie-security`.
    pub name: String,
    /// When the suite was made.
    pub date: Timestamp,
    /// SHA-256 of its `InRelease` file.
    pub release_sha256: Sha256Digest,
}

/// One exact package.
#[derive(Clone, Debug)]
pub struct LockedPackage {
    /// Binary package name.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// Source package name.
    pub source: String,
    /// Version of the source package; binary rebuilds have another version than their source.
    pub source_version: Version,
    /// `amd64` or `all`.
    pub architecture: String,
    /// The suite it came from, one of [`Lock::suites`].
    pub suite: String,
    /// `main`, `contrib`, ...
    pub component: String,
    /// Debian section, such as `httpd`.
    pub section: String,
    /// Size of the `.deb` in bytes.
    pub size: u64,
    /// SHA-256 of the `.deb`.
    pub sha256: Sha256Digest,
    /// Path below the suite's mirror, such as `pool/main/a/apache2/apache2_2.4.65-2_amd64.deb`.
    pub path: String,
    /// What it is used for.
    pub role: Role,
    /// Whether Debian marks it `Essential: yes`. dpkg needs those configured before the others' scripts run.
    pub essential: bool,
    /// Whether the definition names it, as one of the packages or as the kernel. The others came with these.
    pub requested: bool,
}

/// What a locked package is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// It is unpacked and configured in the image.
    Installed,
    /// Only files of it are used to boot the image (systemd's stub and boot loader).
    Boot,
}

impl PartialEq for LockedPackage {
    /// As written: versions that are equal but written differently are different packages.
    fn eq(&self, other: &Self) -> bool {
        let key = |package: &Self| {
            (
                [package.name.clone(), package.version.as_str().to_owned(), package.source.clone()],
                [
                    package.source_version.as_str().to_owned(),
                    package.architecture.clone(),
                    package.suite.clone(),
                ],
                [package.component.clone(), package.section.clone(), package.path.clone()],
                (package.size, package.sha256, package.role, package.essential, package.requested),
            )
        };
        key(self) == key(other)
    }
}

impl Eq for LockedPackage {}

impl LockedPackage {
    /// The file name part of [`LockedPackage::path`].
    pub fn file_name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

impl Lock {
    /// The package of that name.
    pub fn package(&self, name: &str) -> Option<&LockedPackage> {
        let index = self.packages.binary_search_by(|package| package.name.as_str().cmp(name)).ok()?;
        Some(&self.packages[index])
    }

    /// The installed packages in apt's order.
    pub fn installed(&self) -> impl Iterator<Item = &LockedPackage> {
        self.order.iter().filter_map(|name| self.package(name))
    }

    /// The packages of which only boot files are used, by name.
    pub fn boot(&self) -> impl Iterator<Item = &LockedPackage> {
        self.packages.iter().filter(|package| package.role == Role::Boot)
    }

    /// The newest of the suites' dates: the time that stands still while an image is built from this lock.
    pub fn date(&self) -> Timestamp {
        self.suites.iter().map(|suite| suite.date).max().unwrap_or_default()
    }

    /// Bytes to fetch when nothing is cached.
    pub fn download_size(&self) -> u64 {
        self.packages.iter().map(|package| package.size).fold(0, u64::saturating_add)
    }

    /// Whether the lock was made for what `base` asks for. Mirrors do not count: they hold the same bytes.
    pub fn is_for(&self, base: &Base) -> bool {
        self.request == request_digest(base)
    }

    /// What changed from `old` to `self`.
    pub fn change_from(&self, old: &Lock) -> LockChange {
        LockChange::between(old, self)
    }

    /// Sorts suites and packages as the text has them, and checks every rule of a lock.
    ///
    /// # Errors
    /// The first [`BrokenRule`].
    pub fn ensure_valid(mut self) -> Result<Self, BrokenRule> {
        self.suites.sort_by(|a, b| a.name.cmp(&b.name));
        self.packages.sort_by(|a, b| a.name.cmp(&b.name));
        rules::check(&self)?;
        Ok(self)
    }

    /// The text of `appliance.lock`. Equal locks have equal texts.
    pub fn to_text(&self) -> String {
        write::text(self)
    }

    /// Reads the text of a lock.
    ///
    /// # Errors
    /// [`LockError`] with the line, for text that is no lock or breaks one of its rules.
    pub fn parse(text: &str) -> Result<Self, LockError> {
        read::parse(text)
    }
}

/// SHA-256 of what decides a resolution in a definition: suites, components, packages, kernel, architecture and whether
/// recommends count. The order in which packages are written does not; neither do mirrors.
pub fn request_digest(base: &Base) -> Sha256Digest {
    fn set(values: &[String]) -> BTreeSet<&str> {
        values.iter().map(String::as_str).collect()
    }
    let request = BTreeMap::from([
        ("suite", BTreeSet::from([base.suite.as_str()])),
        ("extra-suites", set(&base.extra_suites)),
        ("components", set(&base.components)),
        ("packages", set(&base.packages)),
        ("kernel", BTreeSet::from([base.kernel.as_str()])),
        ("architecture", BTreeSet::from([base.architecture.as_str()])),
        ("recommends", BTreeSet::from([if base.recommends { "yes" } else { "no" }])),
    ]);
    let mut hasher = Sha256::new();
    for (key, values) in request {
        // Lengths before texts: no two requests share an encoding.
        for part in std::iter::once(key).chain(values) {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        hasher.update(u64::MAX.to_le_bytes());
    }
    Sha256Digest(hasher.finalize().into())
}

#[cfg(test)]
pub(crate) mod tests;
