//! Changed source packages: what advisories speak of, with the binary packages made from them.

use serde::{Deserialize, Serialize};

/// One source package before and after.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SourceChange {
    /// Name.
    pub name: String,
    /// Old version.
    pub old: Option<String>,
    /// New version.
    pub new: Option<String>,
    /// Newer, older, added, ...
    pub step: Step,
    /// Whose it is.
    pub layer: Layer,
    /// What the entries in between say of themselves.
    pub upload: Upload,
    /// Whether the upstream part of the version changed, and not only Debian's revision.
    pub new_upstream: bool,
    /// Suite it comes from.
    pub suite: Option<String>,
    /// Binary packages.
    pub packages: Vec<PackageChange>,
    /// Changelog entries newer than the old version, up to the new one.
    pub entries: Vec<Entry>,
    /// Why there are no entries, when there ought to be.
    pub without_entries: Option<String>,
    /// Files of it in the new image (in the old one, when it was removed).
    pub files: u64,
    /// Paths of it whose content is really different, not only built again.
    pub touched: Vec<String>,
    /// A service of the appliance that loads something of it that changed (or anything, where nothing did), and through what.
    pub reached: Option<String>,
    /// Issues fixed.
    pub fixed: usize,
}

/// What happened to a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Only the new release has it.
    Added,
    /// Only the old release has it.
    Removed,
    /// The new version is higher.
    Newer,
    /// The new version is lower.
    Older,
    /// The same source: built again, or other packages of it.
    Rebuilt,
}

/// Whose something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// The maker's own.
    Application,
    /// A package the maker asked for by name.
    Chosen,
    /// The kernel and what starts it.
    Kernel,
    /// The rest of the operating system.
    System,
}

impl Layer {
    /// As people read it.
    pub fn as_str(self) -> &'static str {
        match self {
            Layer::Application => "application",
            Layer::Chosen => "chosen by the maker",
            Layer::Kernel => "kernel",
            Layer::System => "system",
        }
    }
}

/// What the uploads between two versions were for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Upload {
    /// Every one was uploaded to a security suite, or names an issue.
    Security,
    /// Some were.
    Partly,
    /// None was.
    Other,
    /// There is no changelog to tell.
    Unknown,
}

/// One binary package before and after.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PackageChange {
    /// Name.
    pub name: String,
    /// Old version.
    pub old: Option<String>,
    /// New version.
    pub new: Option<String>,
    /// Files in the new image (in the old one, when it was removed); 0: all trimmed.
    pub files: u64,
}

/// One entry of a changelog.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Entry {
    /// Version it made.
    pub version: String,
    /// Suites it was uploaded to.
    pub distribution: String,
    /// `low`, `medium`, `high`, ...
    pub urgency: String,
    /// Who and when, as it is written there.
    pub trailer: String,
    /// The text, shortened when it is very long.
    pub text: String,
    /// Ids of issues in it.
    pub issues: usize,
}
