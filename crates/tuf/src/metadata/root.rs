//! `root.json` (4.3).

use std::collections::{BTreeMap, BTreeSet};

use keys::role::RoleKey;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Body, SPEC_VERSION, TopRole};
use crate::json::positive;
use crate::key::{Key, KeyId};
use crate::time::Time;

/// Which keys every top-level role has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Root {
    /// The specification's version.
    pub spec_version: String,
    /// Counts up by one with every root.
    #[serde(deserialize_with = "positive")]
    pub version: u64,
    /// When a client stops trusting it, if there is no newer one.
    pub expires: Time,
    /// Whether documents carry their version, and targets their digest, in the name of their file (7.2).
    #[serde(default)]
    pub consistent_snapshot: bool,
    /// All keys, by their ids.
    pub keys: BTreeMap<KeyId, Key>,
    /// Who may sign what.
    pub roles: RootRoles,
    /// Members that this version does not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The roles of a root. `mirrors` and others are kept, and not used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RootRoles {
    /// Who signs roots.
    pub root: RoleKeys,
    /// Who signs snapshots.
    pub snapshot: RoleKeys,
    /// Who signs the top-level targets document.
    pub targets: RoleKeys,
    /// Who signs timestamps.
    pub timestamp: RoleKeys,
    /// Roles that this version does not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Keys of a role, and how many of them have to sign.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoleKeys {
    /// Ids of the keys. None is there twice.
    pub keyids: Vec<KeyId>,
    /// How many of them it takes: at least one.
    #[serde(deserialize_with = "positive")]
    pub threshold: u64,
    /// Members that this version does not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A root that could never be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the role `{role}` has fewer keys than it takes: {keys} of {threshold}")]
pub struct ImpossibleRoot {
    /// The role.
    pub role: TopRole,
    /// How many keys it has.
    pub keys: usize,
    /// How many it takes.
    pub threshold: u64,
}

impl RoleKeys {
    /// A role without keys, which takes this many of them.
    pub fn new(threshold: u64) -> Self {
        Self { keyids: Vec::new(), threshold, extra: Map::new() }
    }

    pub(super) fn check(&self, role: &str) -> Result<(), String> {
        let mut seen = BTreeSet::new();
        match self.keyids.iter().find(|id| !seen.insert(*id)) {
            Some(twice) => Err(format!("the role `{role}` lists the key {twice} twice")),
            None => Ok(()),
        }
    }
}

/// Every id MUST be its key's (4.3: "Clients MUST calculate each KEYID"), so that one key has one id and no other takes it.
pub(super) fn check_ids(keys: &BTreeMap<KeyId, Key>) -> Result<(), String> {
    match keys.iter().find(|(id, key)| key.id() != **id) {
        Some((id, _)) => Err(format!("the key id {id} is not its key's")),
        None => Ok(()),
    }
}

impl Root {
    /// A first root without keys. Roles get theirs with [`Root::with_key`]; thresholds are 1.
    pub fn new(expires: Time) -> Self {
        let role = || RoleKeys::new(1);
        let roles = RootRoles {
            root: role(),
            snapshot: role(),
            targets: role(),
            timestamp: role(),
            extra: Map::new(),
        };
        Self {
            spec_version: SPEC_VERSION.to_owned(),
            version: 1,
            expires,
            consistent_snapshot: true,
            keys: BTreeMap::new(),
            roles,
            extra: Map::new(),
        }
    }

    /// The next root, so far with the same keys.
    #[must_use]
    pub fn next(&self, expires: Time) -> Self {
        let version = self.version.saturating_add(1);
        Self { spec_version: SPEC_VERSION.to_owned(), version, expires, ..self.clone() }
    }

    /// Gives a role one more key.
    #[must_use]
    pub fn with_key(self, role: TopRole, key: impl Into<RoleKey>) -> Self {
        self.with_any_key(role, Key::of(key))
    }

    /// Gives a role one more key, of any kind and with any members.
    #[must_use]
    pub fn with_any_key(mut self, role: TopRole, key: Key) -> Self {
        let id = key.id();
        let keys = self.role_mut(role);
        if !keys.keyids.contains(&id) {
            keys.keyids.push(id.clone());
        }
        self.keys.insert(id, key);
        self
    }

    /// Takes a key away from a role. A key without a role is forgotten.
    #[must_use]
    pub fn without_key(mut self, role: TopRole, id: &KeyId) -> Self {
        self.role_mut(role).keyids.retain(|other| other != id);
        if !TopRole::ALL.iter().any(|role| self.role(*role).keyids.contains(id)) {
            self.keys.remove(id);
        }
        self
    }

    /// Sets how many keys a role takes.
    #[must_use]
    pub fn with_threshold(mut self, role: TopRole, threshold: u64) -> Self {
        self.role_mut(role).threshold = threshold;
        self
    }

    /// Who may sign a role's documents.
    pub fn role(&self, role: TopRole) -> &RoleKeys {
        match role {
            TopRole::Root => &self.roles.root,
            TopRole::Targets => &self.roles.targets,
            TopRole::Snapshot => &self.roles.snapshot,
            TopRole::Timestamp => &self.roles.timestamp,
        }
    }

    fn role_mut(&mut self, role: TopRole) -> &mut RoleKeys {
        match role {
            TopRole::Root => &mut self.roles.root,
            TopRole::Targets => &mut self.roles.targets,
            TopRole::Snapshot => &mut self.roles.snapshot,
            TopRole::Timestamp => &mut self.roles.timestamp,
        }
    }

    /// Whether a role names this key, however it is written.
    pub fn has_key(&self, role: TopRole, key: &RoleKey) -> bool {
        let mut named = self.role(role).keyids.iter().filter_map(|id| self.keys.get(id));
        named.any(|named| named.is_key(key))
    }

    /// Whether every role can be filled: a root that says otherwise locks its maker out.
    pub fn check_possible(&self) -> Result<(), ImpossibleRoot> {
        for role in TopRole::ALL {
            let RoleKeys { keyids, threshold, .. } = self.role(role);
            if *threshold == 0 || (keyids.len() as u64) < *threshold {
                return Err(ImpossibleRoot { role, keys: keyids.len(), threshold: *threshold });
            }
        }
        Ok(())
    }

    /// Whether a key that a role had before is not this root's any more: it was lost or stolen (5.3.11).
    pub(crate) fn takes_keys_from(&self, before: &Self, role: TopRole) -> bool {
        before.role(role).keyids.iter().any(|id| !self.role(role).keyids.contains(id))
    }
}

impl Body for Root {
    const TYPE: &'static str = "root";

    fn version(&self) -> u64 {
        self.version
    }

    fn expires(&self) -> Time {
        self.expires
    }

    fn check(&self) -> Result<(), String> {
        TopRole::ALL.iter().try_for_each(|role| self.role(*role).check(role.name()))?;
        check_ids(&self.keys)
    }
}
