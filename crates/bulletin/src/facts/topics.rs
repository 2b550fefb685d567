//! What an officer asks about besides packages: one topic for each question, with every change as an item.

use serde::{Deserialize, Serialize};

/// One question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Topic {
    /// Which.
    pub id: TopicId,
    /// As a heading.
    pub title: String,
    /// What was compared, in words: `4 privileged files`.
    pub compared: String,
    /// Changes. Empty: nothing changed.
    pub items: Vec<Item>,
}

/// Which question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TopicId {
    /// Setuid, setgid, file capabilities.
    Privileges,
    /// Users and groups.
    Accounts,
    /// sudo, polkit, PAM, D-Bus policies.
    Rules,
    /// Declared ports, sockets, firewall.
    Network,
    /// Services and what starts them.
    Services,
    /// Timers.
    Timers,
    /// Kernel version, command line, modules.
    Kernel,
    /// Kernel build options.
    KernelOptions,
    /// UKI, boot loader.
    Boot,
    /// Settings of the appliance.
    Settings,
    /// State directories and their form.
    State,
    /// Health checks.
    Health,
    /// Memory, processors, disk.
    Resources,
    /// Programs and libraries that lost or gained protection.
    Hardening,
    /// Certificates and keys that are trusted.
    Trust,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Item {
    /// What: a path, a user, a setting.
    pub what: String,
    /// Added, removed, changed.
    pub change: Change,
    /// Before.
    pub old: Option<String>,
    /// After.
    pub new: Option<String>,
    /// Where it comes from.
    pub origin: Option<String>,
    /// Whether it widens what can be done or reached: a new setuid bit, a new port, a lost protection.
    pub widens: bool,
}

/// What happened to something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Only the new release has it.
    Added,
    /// Only the old release has it.
    Removed,
    /// Both have it, differently.
    Changed,
}

impl Item {
    /// An item from its two sides; `None` when they are the same.
    pub fn between(what: impl Into<String>, old: Option<String>, new: Option<String>) -> Option<Self> {
        let change = match (&old, &new) {
            (None, None) => return None,
            (Some(old), Some(new)) if old == new => return None,
            (None, Some(_)) => Change::Added,
            (Some(_), None) => Change::Removed,
            (Some(_), Some(_)) => Change::Changed,
        };
        Some(Self { what: what.into(), change, old, new, origin: None, widens: false })
    }

    /// With its origin.
    pub fn from(self, origin: Option<String>) -> Self {
        Self { origin, ..self }
    }

    /// Marked as widening when `widens` says so.
    pub fn widening(self, widens: bool) -> Self {
        Self { widens, ..self }
    }
}
