//! `targets.json` and the documents of delegated roles (4.5).

use std::collections::{BTreeMap, BTreeSet};

use keys::role::RoleKey;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::root::{RoleKeys, check_ids};
use super::{Body, SPEC_VERSION};
use crate::hashes::{Digests, Hashes, Mismatch, hex};
use crate::json::positive;
use crate::key::{Key, KeyId};
use crate::names::{RoleName, TargetPath};
use crate::pattern::matches;
use crate::time::Time;

/// The member that says over what a document was prepared ([`crate::repository::Basis`]).
pub(crate) const BASIS: &str = "basis";

/// Which files can be trusted, and who else may say so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Targets {
    /// The specification's version.
    pub spec_version: String,
    /// Counts up with every change.
    #[serde(deserialize_with = "positive")]
    pub version: u64,
    /// When a client stops trusting it.
    pub expires: Time,
    /// Files by their paths.
    pub targets: BTreeMap<String, TargetFile>,
    /// Who else may say so, about which paths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegations: Option<Delegations>,
    /// Members that this version does not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TargetFile {
    /// Its length in bytes.
    pub length: u64,
    /// Its digests.
    pub hashes: Hashes,
    /// What its maker says of it; this crate hands it on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom: Option<Map<String, Value>>,
    /// Members that this version does not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Roles that a document trusts, first in front.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Delegations {
    /// Their keys, by ids.
    pub keys: BTreeMap<KeyId, Key>,
    /// The roles in the order in which they are asked.
    #[serde(default)]
    pub roles: Vec<Delegation>,
    /// Members that this version does not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// One delegated role.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Delegation {
    /// Its name.
    pub name: RoleName,
    /// Who signs for it. (`keyids`, `threshold`, and members that this version does not know.)
    #[serde(flatten)]
    pub keys: RoleKeys,
    /// Whether nobody after it is asked about a path that it covers.
    pub terminating: bool,
    /// Patterns of the paths that it covers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paths: Option<Vec<String>>,
    /// Beginnings of the SHA-256 of the paths that it covers, as hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path_hash_prefixes: Option<Vec<String>>,
}

/// Compares a file with what is trusted of it, while it comes.
#[derive(Clone, Debug)]
#[must_use = "a file is only checked once `finish` says so"]
pub struct TargetCheck {
    listed: TargetFile,
    digests: Digests,
}

impl Targets {
    /// A first document of no target.
    pub fn new(expires: Time) -> Self {
        Self {
            spec_version: SPEC_VERSION.to_owned(),
            version: 1,
            expires,
            targets: BTreeMap::new(),
            delegations: None,
            extra: Map::new(),
        }
    }

    /// The next document, so far with the same content.
    #[must_use]
    pub fn next(&self, expires: Time) -> Self {
        let version = self.version.saturating_add(1);
        let mut extra = self.extra.clone();
        // It is about this document.
        extra.remove(BASIS);
        Self { spec_version: SPEC_VERSION.to_owned(), version, expires, extra, ..self.clone() }
    }

    /// Trusts a file.
    #[must_use]
    pub fn with_target(mut self, path: &TargetPath, file: TargetFile) -> Self {
        self.targets.insert(path.as_str().to_owned(), file);
        self
    }

    /// Trusts a file no longer.
    #[must_use]
    pub fn without_target(mut self, path: &TargetPath) -> Self {
        self.targets.remove(path.as_str());
        self
    }

    /// Trusts a role, after all others; one of the same name is replaced where it is. `keys` are all its keys.
    #[must_use]
    pub fn with_delegation(
        mut self,
        mut delegation: Delegation,
        keys: &[impl Into<RoleKey> + Clone],
    ) -> Self {
        let delegations = self.delegations.get_or_insert_default();
        delegation.keys.keyids.clear();
        for key in keys {
            let key = Key::of(key.clone());
            if !delegation.keys.keyids.contains(&key.id()) {
                delegation.keys.keyids.push(key.id());
            }
            delegations.keys.insert(key.id(), key);
        }
        match delegations.roles.iter_mut().find(|other| other.name == delegation.name) {
            Some(place) => *place = delegation,
            None => delegations.roles.push(delegation),
        }
        delegations.forget_unused_keys();
        self
    }

    /// Trusts a role no longer.
    #[must_use]
    pub fn without_delegation(mut self, name: &RoleName) -> Self {
        if let Some(delegations) = &mut self.delegations {
            delegations.roles.retain(|delegation| delegation.name != *name);
            delegations.forget_unused_keys();
        }
        self
    }
}

impl Delegations {
    fn forget_unused_keys(&mut self) {
        let roles = &self.roles;
        self.keys.retain(|id, _| roles.iter().any(|role| role.keys.keyids.contains(id)));
    }
}

impl Delegation {
    /// A role that alone speaks for paths of these patterns (it is terminating), and takes `threshold` of its keys.
    pub fn terminating(
        name: RoleName,
        threshold: u64,
        paths: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        Self {
            name,
            keys: RoleKeys::new(threshold),
            terminating: true,
            paths: Some(paths.into_iter().map(Into::into).collect()),
            path_hash_prefixes: None,
        }
    }

    /// Whether it may speak of a path.
    pub fn covers(&self, path: &str) -> bool {
        let by_pattern = self.paths.iter().flatten().any(|pattern| matches(pattern, path));
        let digest = || hex(&Sha256::digest(path));
        let prefixes = self.path_hash_prefixes.as_deref().unwrap_or_default();
        by_pattern || (!prefixes.is_empty() && prefixes.iter().any(|prefix| digest().starts_with(prefix)))
    }
}

impl TargetFile {
    /// A file of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self::new(bytes.len() as u64, Hashes::of(bytes))
    }

    /// A file whose length and digests are known.
    pub fn new(length: u64, hashes: Hashes) -> Self {
        Self { length, hashes, custom: None, extra: Map::new() }
    }

    /// The same file, with what its maker says of it.
    #[must_use]
    pub fn with_custom(self, custom: Map<String, Value>) -> Self {
        Self { custom: Some(custom), ..self }
    }

    /// Begins to compare bytes with it.
    pub fn check(&self) -> TargetCheck {
        TargetCheck { listed: self.clone(), digests: Digests::default() }
    }

    /// Compares a whole file with it.
    pub fn check_bytes(&self, bytes: &[u8]) -> Result<(), Mismatch> {
        let mut check = self.check();
        check.update(bytes)?;
        check.finish()
    }
}

impl TargetCheck {
    /// Takes the next bytes. Refuses them as soon as there are more than listed: a server that sends without end is stopped.
    pub fn update(&mut self, bytes: &[u8]) -> Result<(), Mismatch> {
        self.digests.update(bytes);
        let (found, listed) = (self.digests.length(), self.listed.length);
        if found > listed { Err(Mismatch::Length { found, listed }) } else { Ok(()) }
    }

    /// Whether these were the bytes, all of them.
    pub fn finish(self) -> Result<(), Mismatch> {
        let (found, listed) = (self.digests.length(), self.listed.length);
        if found != listed {
            return Err(Mismatch::Length { found, listed });
        }
        self.listed.hashes.check_digests(self.digests)
    }
}

impl Body for Targets {
    const TYPE: &'static str = "targets";

    fn version(&self) -> u64 {
        self.version
    }

    fn expires(&self) -> Time {
        self.expires
    }

    fn check(&self) -> Result<(), String> {
        let Some(delegations) = &self.delegations else { return Ok(()) };
        check_ids(&delegations.keys)?;
        let mut names = BTreeSet::new();
        for delegation in &delegations.roles {
            let name = &delegation.name;
            if !names.insert(name) {
                return Err(format!("the role `{name}` is delegated to twice"));
            }
            delegation.keys.check(name.as_str())?;
            if delegation.paths.is_some() == delegation.path_hash_prefixes.is_some() {
                return Err(format!("the role `{name}` needs either \"paths\" or \"path_hash_prefixes\""));
            }
        }
        Ok(())
    }
}
