//! Who has to sign a document, and whether they did.

use std::collections::BTreeMap;

use crate::document::Document;
use crate::error::ErrorKind;
use crate::key::{Key, KeyId};
use crate::metadata::{Delegation, RoleKeys, Root, Targets, TopRole};

/// Who has a say in a document: every party needs a threshold of its keys.
///
/// There is one party for each document but a root, which both its predecessor and itself vouch for (5.3.4).
#[derive(Clone, Debug)]
pub struct Authority {
    parties: Vec<Party>,
}

/// Some keys, and how many of them it takes.
#[derive(Clone, Debug)]
pub(crate) struct Party {
    /// Who names these keys: "root version 3".
    pub by: String,
    pub keys: BTreeMap<KeyId, Key>,
    pub threshold: u64,
}

impl Party {
    fn new(by: String, known: &BTreeMap<KeyId, Key>, role: &RoleKeys) -> Self {
        let keys = role.keyids.iter().filter_map(|id| Some((id.clone(), known.get(id)?.clone()))).collect();
        Self { by, keys, threshold: role.threshold }
    }

    /// The keys whose signatures are good, each counted once whatever ids it has.
    pub fn signers<'a>(&'a self, document: &Document, message: &[u8]) -> Vec<&'a KeyId> {
        let mut counted: Vec<(&KeyId, &Key)> = Vec::new();
        for signature in document.signatures() {
            let Some((id, key)) =
                signature.keyid.parse().ok().and_then(|id: KeyId| self.keys.get_key_value(&id))
            else {
                continue;
            };
            let is_new = !counted.iter().any(|(_, other)| other.is_same(key));
            if is_new && key.verifies(message, &signature.sig) {
                counted.push((id, key));
            }
        }
        counted.into_iter().map(|(id, _)| id).collect()
    }
}

impl Authority {
    /// Who signs a top-level document but a root: the keys that the root names.
    pub fn top_level(root: &Root, role: TopRole) -> Self {
        let by = format!("root version {}", root.version);
        Self { parties: vec![Party::new(by, &root.keys, root.role(role))] }
    }

    /// Who signs a root: its own keys, and those of the root before it. A first root has none before it.
    pub fn root(before: Option<&Root>, root: &Root) -> Self {
        let party = |root: &Root| {
            Party::new(format!("root version {}", root.version), &root.keys, root.role(TopRole::Root))
        };
        Self { parties: before.into_iter().chain([root]).map(party).collect() }
    }

    /// Who signs a delegated document: the keys that the delegating one names. `None` when it delegates nothing of that name.
    pub fn delegated(from: &Targets, by: &str, role: &str) -> Option<Self> {
        let delegations = from.delegations.as_ref()?;
        let delegation = delegations.roles.iter().find(|delegation| delegation.name.as_str() == role)?;
        Some(Self::delegation(delegation, &delegations.keys, format!("`{by}` version {}", from.version)))
    }

    pub(crate) fn delegation(delegation: &Delegation, known: &BTreeMap<KeyId, Key>, by: String) -> Self {
        Self { parties: vec![Party::new(by, known, &delegation.keys)] }
    }

    pub(crate) fn parties(&self) -> &[Party] {
        &self.parties
    }

    /// Whether every party signed. The first whose threshold is not met is told.
    pub fn check(&self, document: &Document) -> Result<(), ErrorKind> {
        let message = document.message();
        for party in &self.parties {
            let signed = party.signers(document, &message).len() as u64;
            if signed < party.threshold {
                return Err(ErrorKind::Unsigned { signed, threshold: party.threshold, by: party.by.clone() });
            }
        }
        Ok(())
    }
}
