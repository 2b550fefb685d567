//! The bulletin as a value: what every renderer draws and `--json` prints. Plain data, read back as it was written.

use model::Sha256Digest;
use serde::{Deserialize, Serialize};

mod files;
mod issues;
mod sources;
mod topics;

pub use files::{
    Detail, ElfChange, FileChange, FileState, FileSummary, Files, ListChange, Nature, Owner, OwnerKind,
};
pub use issues::{Class, FeedFacts, Finding, Issue, IssueCounts, Issues, Severity, Status};
pub use sources::{Entry, Layer, PackageChange, SourceChange, Step, Upload};
pub use topics::{Change, Item, Topic, TopicId};

/// The format this version writes.
pub const FORMAT: u32 = 1;

/// What changes from one release to another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Bulletin {
    /// [`FORMAT`].
    pub format: u32,
    /// What was there before.
    pub old: Subject,
    /// What comes.
    pub new: Subject,
    /// Who should act and how soon, and what that follows from.
    pub verdict: Verdict,
    /// Known issues: fixed, open, new.
    pub issues: Issues,
    /// Changed source packages, those with issues first.
    pub sources: Vec<SourceChange>,
    /// Privileges, network, services, kernel, settings and the like: one topic each, also those without a change.
    pub topics: Vec<Topic>,
    /// Every changed path.
    pub files: Files,
    /// What people wrote.
    pub claims: Vec<Claim>,
    /// How to check it.
    pub proof: Vec<Proof>,
    /// What could not be known, and why.
    pub unknown: Vec<String>,
}

/// One of the two.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Subject {
    /// What people call it: the appliance's title, or the file's name.
    pub title: String,
    /// `vendor/name`, when it is an appliance.
    pub appliance: Option<String>,
    /// Its version, when it is an appliance.
    pub version: Option<String>,
    /// Identity of the release: the digest of its statement.
    pub release: Option<Sha256Digest>,
    /// dm-verity root hash.
    pub root_hash: Option<Sha256Digest>,
    /// Whether every block was compared with the root hash: `yes`, or why not.
    pub verified: String,
    /// Bytes of the root file system.
    pub root_size: u64,
    /// Paths in it.
    pub paths: u64,
    /// Packages of which files are in it.
    pub packages: u64,
    /// `ID VERSION_CODENAME` of its operating system: `debian trixie`.
    pub system: Option<String>,
    /// Day of the newest package index it was made from.
    pub date: Option<String>,
    /// Last day of support, a claim of the maker.
    pub end_of_support: Option<String>,
}

impl Subject {
    /// Title and version as they stand in a sentence.
    pub fn name(&self) -> String {
        match &self.version {
            Some(version) => format!("{} {version}", self.title),
            None => self.title.clone(),
        }
    }
}

/// Who should act and how soon.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Verdict {
    /// One sentence.
    pub sentence: String,
    /// How soon.
    pub urgency: Urgency,
    /// What the urgency follows from, the strongest first.
    pub because: Vec<String>,
    /// What sort of patch it is.
    pub kind: Kind,
    /// What the kind follows from.
    pub kind_because: Vec<String>,
    /// Whether it is security fixes and nothing else.
    pub security_only: SecurityOnly,
    /// What has to restart.
    pub restart: String,
    /// Bytes of files that are new or changed.
    pub changed_bytes: u64,
    /// Bytes of the patch, where a depot offers one.
    pub download: Option<u64>,
    /// Whether there is a way back.
    pub rollback: Rollback,
}

/// How soon to act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Urgency {
    /// Nothing to do.
    None,
    /// When it is convenient.
    Routine,
    /// In the next maintenance window.
    Soon,
    /// Within days.
    High,
}

/// What sort of patch it is. Derived, never declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Nothing changes.
    Nothing,
    /// Fixes known security issues, and nothing points to more.
    Security,
    /// Fixes without a known security issue.
    Bugfix,
    /// Brings something new and fixes no known security issue.
    Feature,
    /// Security fixes together with other changes.
    Mixed,
}

/// Whether a patch is security fixes and nothing else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SecurityOnly {
    /// Whether it could be proven.
    pub proven: bool,
    /// What stands against it, or what proves it.
    pub reasons: Vec<String>,
}

/// Whether there is a way back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Rollback {
    /// Whether one is offered.
    pub possible: bool,
    /// What it does to the state.
    pub text: String,
}

/// Something a person wrote: shown as such, decided upon nowhere.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Claim {
    /// Who says it.
    pub by: String,
    /// About what.
    pub about: String,
    /// What they say.
    pub text: String,
}

/// One thing to check, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Proof {
    /// What.
    pub what: String,
    /// Digest or result.
    pub value: String,
    /// A command that shows it.
    pub command: Option<String>,
}
