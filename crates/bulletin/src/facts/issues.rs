//! Known issues with their evidence.

use model::Sha256Digest;
use serde::{Deserialize, Serialize};

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Issues {
    /// In numbers: different ids.
    pub counts: IssueCounts,
    /// Each id once for each source package it is in, the weightiest first.
    pub list: Vec<Issue>,
    /// The files that were asked, and how old they are.
    pub feeds: Vec<FeedFacts>,
}

/// Different ids by what becomes of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct IssueCounts {
    /// Fixed, in code that is in the image, the kernel apart.
    pub fixed: usize,
    /// Fixed in the kernel.
    pub fixed_kernel: usize,
    /// Mentioned, and not plainly as fixed.
    pub unclear: usize,
    /// Fixed in parts of a source that are not in the image.
    pub fixed_elsewhere: usize,
    /// Still open; `None` when no feed was asked.
    pub open: Option<usize>,
    /// Not in the old release and open in the new one; `None` when no feed was asked.
    pub new: Option<usize>,
}

/// One id in one source package.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Issue {
    /// Such as `CVE-2026-1234`.
    pub id: String,
    /// What becomes of it.
    pub status: Status,
    /// Source package, as advisories name it.
    pub source: String,
    /// Old source version.
    pub old: Option<String>,
    /// New source version.
    pub new: Option<String>,
    /// How well it is known.
    pub class: Class,
    /// Where it is said.
    pub findings: Vec<Finding>,
    /// What a feed says of its weight.
    pub severity: Option<Severity>,
    /// Whether it can matter to this image: what is fixed, when code of the source in the image really changed; what is open,
    /// when any file of the source is in the image.
    pub in_image: bool,
    /// Something that a service of the appliance loads it through.
    pub reached: Option<String>,
    /// A statement that it does not apply, with reason and author.
    pub vex: Option<String>,
}

/// What becomes of an issue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// The new release has it no more.
    Fixed,
    /// Both releases have it.
    Open,
    /// Only the new release has it.
    New,
}

/// How well a statement about an issue is founded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// A changelog entry between the two versions names it, and a feed agrees.
    Both,
    /// Only a changelog entry names it.
    Changelog,
    /// Only a feed says so.
    Feed,
    /// An entry mentions it, and not plainly as fixed: reverted, followed up, not affected.
    Unclear,
}

/// Where something is said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Finding {
    /// `changelog of php8.4 8.4.28-1~deb13u1`, or a feed's name.
    pub at: String,
    /// The sentence, in its own words.
    pub text: String,
}

/// Weight, as a feed says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Debian: not a security problem in practice.
    Unimportant,
    /// Low.
    Low,
    /// Medium.
    Medium,
    /// High.
    High,
    /// Critical.
    Critical,
}

impl Severity {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Unimportant => "unimportant",
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
            Severity::Critical => "critical",
        }
    }
}

/// One feed that was asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FeedFacts {
    /// File name.
    pub name: String,
    /// `debian-tracker`, `osv`.
    pub format: String,
    /// SHA-256 of the file.
    pub sha256: Sha256Digest,
    /// The newest date in it, or the file's; what is newer than that it can not know.
    pub date: Option<String>,
    /// Issues in it that were compared.
    pub issues: u64,
}
