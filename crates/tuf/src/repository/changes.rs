//! What a new root changes, for whoever is asked to sign it.

use std::fmt;

use crate::key::KeyId;
use crate::metadata::{Root, TopRole};
use crate::time::Time;

/// One change from one root to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RootChange {
    /// A role gets a key.
    KeyAdded {
        /// The role.
        role: TopRole,
        /// The key.
        key: KeyId,
    },
    /// A role loses a key.
    KeyRemoved {
        /// The role.
        role: TopRole,
        /// The key.
        key: KeyId,
    },
    /// A role takes another number of keys.
    Threshold {
        /// The role.
        role: TopRole,
        /// Before.
        from: u64,
        /// From now on.
        to: u64,
    },
    /// It expires at another time.
    Expires {
        /// Before.
        from: Time,
        /// From now on.
        to: Time,
    },
}

/// What changes, in the order of roles. A first root is compared with one that has no keys.
pub fn root_changes(before: Option<&Root>, after: &Root) -> Vec<RootChange> {
    let nothing = Root::new(after.expires);
    let before = before.unwrap_or(&nothing);
    let mut changes = Vec::new();
    for role in TopRole::ALL {
        let (old, new) = (before.role(role), after.role(role));
        let gone = old.keyids.iter().filter(|key| !new.keyids.contains(key));
        changes.extend(gone.map(|key| RootChange::KeyRemoved { role, key: key.clone() }));
        let added = new.keyids.iter().filter(|key| !old.keyids.contains(key));
        changes.extend(added.map(|key| RootChange::KeyAdded { role, key: key.clone() }));
        if old.threshold != new.threshold {
            changes.push(RootChange::Threshold { role, from: old.threshold, to: new.threshold });
        }
    }
    if before.expires != after.expires {
        changes.push(RootChange::Expires { from: before.expires, to: after.expires });
    }
    changes
}

impl fmt::Display for RootChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeyAdded { role, key } => write!(f, "{role}: the key {key} is added"),
            Self::KeyRemoved { role, key } => write!(f, "{role}: the key {key} is taken away"),
            Self::Threshold { role, from, to } => write!(f, "{role}: takes {to} keys instead of {from}"),
            Self::Expires { from, to } => write!(f, "expires at {to} instead of {from}"),
        }
    }
}
