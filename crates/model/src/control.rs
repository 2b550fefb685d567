//! The control protocol: how the host, and later the console, talk to the agent.
//!
//! One JSON object a line in both directions, over the agent's unix socket or the virtio serial port
//! [`PORT_NAME`]. Every [`Request`] gets exactly one [`Reply`] with the same id; [`Event`]s come unasked.
//! A line is at most [`LINE_LIMIT`] bytes: the limit stops a peer that never ends a line from filling memory.

mod patching;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::settings::Value;

pub use patching::{
    Activity, ApprovalState, Finding, Hold, LifeEntry, LifeStage, Offer, OfficerWord, PatchLife, Precheck,
    Restart, Slot, SlotRole, UpdateState, UpdateStatus,
};

/// Name of the virtio serial port.
pub const PORT_NAME: &str = "org.ampoule.control";
/// Path of the unix socket in the appliance.
pub const SOCKET_PATH: &str = "/run/ampoule/agent.sock";
/// Longest line, in bytes.
pub const LINE_LIMIT: usize = 1 << 20;

/// What somebody asks of the agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Chosen by the asker.
    pub id: u64,
    /// What is asked.
    #[serde(flatten)]
    pub call: Call,
}

/// The calls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "call", content = "with")]
pub enum Call {
    /// Answered with [`Answer::Status`].
    Status,
    /// Answered with [`Answer::Settings`].
    Settings,
    /// Change settings, all or none. Texts are read by the setting's type. Answered with [`Answer::Changed`].
    Set {
        /// New texts by setting name.
        changes: BTreeMap<String, String>,
    },
    /// Return to the version before the current one. Answered with [`Answer::Changed`].
    Undo,
    /// Answered with [`Answer::History`].
    History,
    /// Answered with [`Answer::UndeclaredWrites`].
    UndeclaredWrites,
    /// Last lines of the journal. Answered with [`Answer::Logs`].
    Logs {
        /// Only this unit.
        unit: Option<String>,
        /// How many lines; at most 1000.
        lines: u32,
    },
    /// What is known of newer releases, and of the patch under way. Answered with [`Answer::Updates`].
    Updates,
    /// Asks the depot now. Answered with [`Answer::Updates`]; a depot that does not answer is a refusal.
    CheckUpdates,
    /// What a patch would need and do. Answered with [`Answer::Precheck`].
    Precheck {
        /// The newest release when absent.
        version: Option<String>,
    },
    /// Downloads a patch and writes it into the inactive slot. Answered with [`Answer::Done`] before it begins;
    /// [`Event::Update`] and [`Call::Updates`] tell how it goes.
    Stage {
        /// The newest release when absent.
        version: Option<String>,
        /// Whether a release that fell back before is tried again.
        again: bool,
    },
    /// As [`Call::Stage`], and restarts into the patched appliance.
    Apply {
        /// The newest release when absent.
        version: Option<String>,
        /// Whether a release that fell back before is tried again.
        again: bool,
        /// How it restarts.
        restart: Restart,
    },
    /// Returns to the release in the other slot and restarts. Answered with [`Answer::Done`] before it begins.
    Rollback,
    /// Takes a release, or all of them, out of consideration. Answered with [`Answer::Updates`].
    Hold {
        /// Every release when absent.
        version: Option<String>,
        /// Why, for those who come later.
        reason: String,
    },
    /// Ends a hold. Answered with [`Answer::Updates`].
    Unhold {
        /// The hold on every release when absent.
        version: Option<String>,
    },
    /// Gives the appliance an officer's word: a signed note. Answered with [`Answer::Updates`]; one that nobody known has signed is a refusal.
    Word {
        /// The note.
        note: String,
    },
    /// All words of officers. Answered with [`Answer::Words`].
    Words,
    /// What happened to patches, newest first. Answered with [`Answer::UpdateHistory`].
    UpdateHistory,
    /// Clean stop. Answered with [`Answer::Done`] before it begins.
    PowerOff,
    /// Clean restart. Answered with [`Answer::Done`] before it begins.
    Reboot,
}

/// The agent's answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// The request's id.
    pub id: u64,
    /// The outcome.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// Good or refused.
#[expect(clippy::large_enum_variant, reason = "one at a time is made, sent and dropped")]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It was done.
    Ok(Answer),
    /// It was refused; nothing changed.
    Refused(Refusal),
}

/// Answers by call.
#[expect(clippy::large_enum_variant, reason = "one at a time is made, sent and dropped")]
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "answer", content = "with")]
pub enum Answer {
    /// State of the appliance.
    Status(Status),
    /// Settings as they are.
    Settings {
        /// Number of the settings version.
        version: u64,
        /// In the declared order.
        settings: Vec<SettingState>,
    },
    /// Settings were changed.
    Changed {
        /// Number of the new settings version.
        version: u64,
        /// Names of the settings that changed.
        changed: Vec<String>,
        /// Units that were restarted or reloaded.
        units: Vec<String>,
    },
    /// Versions of the settings, newest first.
    History(Vec<HistoryEntry>),
    /// Paths written outside of declared state since boot.
    UndeclaredWrites(Vec<UndeclaredWrite>),
    /// Journal lines, oldest first.
    Logs(Vec<String>),
    /// Newer releases, slots and the patch under way.
    Updates(UpdateStatus),
    /// What a patch would need and do.
    Precheck(Precheck),
    /// Steps in the lives of patches, newest first.
    UpdateHistory(Vec<LifeEntry>),
    /// Oldest first.
    Words(Vec<OfficerWord>),
    /// Done, nothing to tell.
    Done,
}

/// Why a call was refused. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Refusal {
    /// One line: what and why.
    pub message: String,
    /// The setting concerned.
    pub setting: Option<String>,
    /// The rule it breaks.
    pub rule: Option<String>,
    /// Output of the maker's check command.
    pub output: Option<String>,
}

/// What the appliance says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Status {
    /// `vendor/name`
    pub appliance: String,
    /// What people call it.
    pub title: String,
    /// Running version.
    pub version: String,
    /// Verity root hash of the running image.
    pub root_hash: String,
    /// Health.
    pub health: Health,
    /// One entry a check.
    pub checks: Vec<CheckState>,
    /// Host name.
    pub hostname: String,
    /// Addresses with prefix, without loopback.
    pub addresses: Vec<String>,
    /// Pages to open.
    pub urls: Vec<String>,
    /// Seconds since the kernel started.
    pub uptime: u64,
    /// Settings version in use.
    pub settings_version: u64,
    /// Things a person should know: settings that were ignored at boot, corrupted blocks.
    pub notices: Vec<String>,
    /// Newer releases, slots and the patch under way.
    pub update: UpdateStatus,
}

/// Health of the appliance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// Checks have not all passed yet and their grace has not ended.
    Starting,
    /// Every check passes.
    Healthy,
    /// At least one check fails.
    Unhealthy,
}

/// One check's last result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct CheckState {
    /// Name of the check.
    pub name: String,
    /// Result.
    pub health: Health,
    /// Why, when not healthy.
    pub why: Option<String>,
}

/// One setting as it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct SettingState {
    /// Name.
    pub name: String,
    /// Title.
    pub title: String,
    /// Value; absent for secrets and for settings without value.
    pub value: Option<Value>,
    /// Whether a value is present.
    pub is_set: bool,
    /// Where it comes from.
    pub source: Source,
}

/// Sources of values, in rising order of precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The definition.
    Default,
    /// Made at first boot.
    Generated,
    /// fw_cfg, SMBIOS or OVF.
    Hypervisor,
    /// A seed disk.
    Seed,
    /// Console or API.
    Customer,
}

/// One version of the settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct HistoryEntry {
    /// Number, counted from 1.
    pub version: u64,
    /// Seconds since 1970.
    pub time: u64,
    /// Names of settings that differ from the version before.
    pub changed: Vec<String>,
    /// Who: `first boot`, `api`, `undo of 3`.
    pub by: String,
    /// Whether it is the one in use.
    pub current: bool,
}

/// A path written outside of declared state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct UndeclaredWrite {
    /// Absolute path.
    pub path: String,
    /// Size in bytes.
    pub size: u64,
}

/// What the agent tells unasked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event", content = "with")]
pub enum Event {
    /// The agent is up.
    Hello(Status),
    /// Health changed.
    Health(Status),
    /// A patch went a step further, or its work has come some way.
    Update(UpdateStatus),
    /// The appliance is about to stop; undeclared writes come with it.
    Stopping {
        /// See [`Call::UndeclaredWrites`].
        undeclared_writes: Vec<UndeclaredWrite>,
    },
}
