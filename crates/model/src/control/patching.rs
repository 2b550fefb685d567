//! What the agent says of patches: where the appliance stands, what a depot offers, what a patch would need.

use serde::{Deserialize, Serialize};

/// Newer releases, slots and the patch under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct UpdateStatus {
    /// In one word.
    pub state: UpdateState,
    /// When the depot last gave a whole answer, seconds since 1970.
    pub checked: Option<u64>,
    /// Why it did not the last time, when it did not.
    pub check_failed: Option<String>,
    /// URL of the depot that is followed.
    pub depot: Option<String>,
    /// The series of releases that is followed.
    pub channel: String,
    /// The newest release that fits and is not held.
    pub available: Option<Offer>,
    /// Slot A, then slot B.
    pub slots: Vec<Slot>,
    /// The patch under way, or the last one.
    pub patch: Option<PatchLife>,
    /// What a return to the release before does to the state; absent when there is none.
    #[serde(default)]
    pub rollback: Option<String>,
    /// What is held.
    pub holds: Vec<Hold>,
    /// `manual` or `automatic`.
    pub policy: String,
    /// When automatic patches may restart the appliance; any time when absent.
    pub window: Option<String>,
}

impl UpdateStatus {
    /// Before anybody looked.
    pub fn unknown() -> Self {
        Self {
            state: UpdateState::Unknown(0),
            checked: None,
            check_failed: None,
            depot: None,
            channel: "stable".into(),
            available: None,
            slots: Vec::new(),
            patch: None,
            rollback: None,
            holds: Vec::new(),
            policy: "manual".into(),
            window: None,
        }
    }
}

/// The four answers to "is it up to date". Never `current` without a fresh look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is", content = "since")]
pub enum UpdateState {
    /// The depot was asked lately and has nothing newer.
    Current,
    /// There is a newer release.
    Available,
    /// Nobody knows since then (seconds since 1970; 0: never).
    Unknown(u64),
    /// There is a newer release, and it is held.
    Held,
}

/// A release that could be installed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Offer {
    /// Its version.
    pub version: String,
    /// Digest of its statement, 64 hexadecimal digits.
    pub release: String,
    /// When it was published, seconds since 1970.
    pub published: u64,
    /// What its maker says of it.
    pub notes: Option<String>,
    /// Bytes to download from the running release.
    pub download: u64,
    /// Whether that is the full image and no patch from the running release.
    pub full: bool,
    /// What the officers say of it; absent where nobody has to approve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalState>,
}

/// What the officers say of a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum ApprovalState {
    /// Enough of them approve.
    Approved {
        /// Who.
        by: Vec<String>,
    },
    /// Not enough of them do.
    Waiting {
        /// Who does.
        by: Vec<String>,
        /// How many have to.
        needed: u32,
    },
    /// One of them says no.
    Held {
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
}

/// An officer's signed word, as the appliance keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct OfficerWord {
    /// Who signed it, and is known here.
    pub officers: Vec<String>,
    /// The note, whole.
    pub note: String,
}

/// One of the two places for an image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Slot {
    /// `a` or `b`.
    pub name: String,
    /// What is in it.
    pub role: SlotRole,
    /// Version of its release, when known.
    pub version: Option<String>,
    /// Its root hash, when it holds one.
    pub root_hash: Option<String>,
}

/// What a slot is to the appliance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SlotRole {
    /// Runs now.
    Running,
    /// Can be returned to.
    Previous,
    /// Written, and not yet started.
    Staged,
    /// Fell back, or was left by a rollback.
    SetAside,
    /// Nothing that boots.
    Empty,
}

/// How an appliance restarts into a patch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// User space alone when the kernel stays the same and the system can do it, otherwise the machine.
    #[default]
    Shortest,
    /// The machine.
    Machine,
}

/// Steps in the life of a patch, in order; see `docs/LIFE-OF-A-PATCH.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LifeStage {
    /// The depot has it.
    Offered,
    /// Statement, from-version, space and state format fit.
    Verified,
    /// The policy, or a person, said yes.
    Approved,
    /// The inactive slot holds it, read back and compared.
    Staged,
    /// The boot loader tries it next.
    Armed,
    /// It runs and has to prove itself.
    Trial,
    /// It proved itself.
    Confirmed,
    /// The release before runs again.
    FallenBack,
    /// It ended before it was armed; what runs was not touched.
    Failed,
    /// A person returned to the release before.
    RolledBack,
}

/// A patch on its way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PatchLife {
    /// Version it leads to.
    pub version: String,
    /// Version it leads from.
    pub from_version: String,
    /// Digest of the new release's statement.
    pub release: String,
    /// Root hash it leads to.
    pub root_hash: String,
    /// The last step that is done.
    pub stage: LifeStage,
    /// When that was, seconds since 1970.
    pub since: u64,
    /// Why it failed or fell back.
    pub reason: Option<String>,
    /// What is being done now.
    pub activity: Option<Activity>,
}

/// Work under way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Activity {
    /// In a few words: `download`, `write`, `read back`, `restart`.
    pub step: String,
    /// Bytes done.
    pub done: u64,
    /// Bytes in all; 0 when nobody knows.
    pub total: u64,
}

/// One step in the life of a patch, as the journal keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LifeEntry {
    /// Seconds since 1970.
    pub time: u64,
    /// The step.
    pub stage: LifeStage,
    /// Version the patch leads to.
    pub version: String,
    /// Digest of the new release's statement.
    pub release: String,
    /// Why, for failures and fall-backs; who, for approvals.
    pub reason: Option<String>,
}

/// A release, or all of them, taken out of consideration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Hold {
    /// Every release when absent.
    pub version: Option<String>,
    /// Why.
    pub reason: String,
    /// Since when, seconds since 1970.
    pub since: u64,
}

/// What a patch would need and do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Precheck {
    /// The release.
    pub offer: Offer,
    /// What keeps it from being installed; it can be when this is empty.
    pub problems: Vec<Finding>,
    /// What changes in a way a person should know: settings that change meaning, state that is taken over.
    pub findings: Vec<Finding>,
    /// Whether the machine restarts, or user space alone.
    pub restart: Restart,
    /// Whether a return to the running release stays possible, and what it would do to the state.
    pub rollback: String,
    /// Seconds to install, estimated.
    pub install_seconds: u64,
    /// Seconds to roll back, estimated.
    pub rollback_seconds: u64,
}

/// One result of a precheck.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Finding {
    /// What it is about: `space`, `memory`, `state format`, `setting max-upload`, `boot`.
    pub subject: String,
    /// One sentence.
    pub text: String,
    /// What to do, when there is something.
    pub resolution: Option<String>,
}
