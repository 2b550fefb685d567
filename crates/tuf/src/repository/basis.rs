//! Over what a targets document was prepared: the root that names its signers, and the list before it.
//!
//! A document of TUF names neither. One that is carried from signer to signer says both, in the member `basis` of what is signed: whoever
//! signs on a machine without a network compares it with the root and the list that he has, and whoever publishes with those that are there.
//! Clients keep members that they do not know, and pay no attention to this one.

use serde::{Deserialize, Serialize};

use super::signing::{Complete, Partial, SigningError, Stage, Unsigned};
use crate::document::Document;
use crate::error::Error;
use crate::metadata::{BASIS, Body, Root, Targets, TopRole};
use crate::threshold::Authority;

/// Which document, by what is signed of it: one more signature changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Its version.
    pub version: u64,
    /// SHA-256 of the message that is signed, as hexadecimal digits.
    pub sha256: String,
}

/// Over what a document was prepared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Basis {
    /// The root that names who signs it.
    pub root: Origin,
    /// The list before it; a first one has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Origin>,
}

impl Basis {
    /// What a document says of it; `None` when it says nothing.
    pub fn of(targets: &Targets) -> Option<Self> {
        serde_json::from_value(targets.extra.get(BASIS)?.clone()).ok()
    }

    /// The basis of a document that follows `before`.
    pub fn over(root: &Complete<Root>, before: Option<&Complete<Targets>>) -> Self {
        Self { root: root.origin(), before: before.map(Complete::origin) }
    }

    /// Whether this is the list that it was prepared over.
    pub fn check_before(&self, before: Option<&Complete<Targets>>) -> Result<(), SigningError> {
        let given = before.map(Complete::origin);
        match given == self.before {
            true => Ok(()),
            false => Err(SigningError::OtherBefore { found: self.before.clone(), given }),
        }
    }

    fn check_root(&self, root: &Complete<Root>) -> Result<(), SigningError> {
        let given = root.origin();
        match given == self.root {
            true => Ok(()),
            false => Err(SigningError::OtherRoot { found: self.root.clone(), given }),
        }
    }

    /// A document that says it.
    pub fn put_into(&self, mut targets: Targets) -> Targets {
        let said = serde_json::to_value(self).expect("a basis is always JSON");
        targets.extra.insert(BASIS.to_owned(), said);
        targets
    }
}

impl Unsigned<Targets> {
    /// A list that is carried to its signers. It says over what it was prepared.
    pub fn carried(root: &Complete<Root>, before: Option<&Complete<Targets>>, targets: Targets) -> Self {
        let targets = Basis::over(root, before).put_into(targets);
        Self::top_level(root.body(), targets)
    }
}

impl Partial<Targets> {
    /// Reads a list that is on its way to its signers, and that MUST be prepared for this root. As in [`Partial::read`], every signature in it
    /// MUST be good.
    pub fn read_carried(
        bytes: &[u8],
        root: &Complete<Root>,
    ) -> Result<(Stage<Targets>, Basis), SigningError> {
        let read = || Document::parse(bytes)?.body::<Targets>();
        let targets = read().map_err(|kind| Error::new(Targets::TYPE, kind))?;
        let basis = Basis::of(&targets).ok_or(SigningError::NoBasis)?;
        // Before its signatures: those of another root's keys would look like a document that was changed.
        basis.check_root(root)?;
        let (found, before) = (targets.version, basis.before.as_ref().map_or(0, |before| before.version));
        if found <= before {
            return Err(SigningError::NotAfter { before, found });
        }
        let stage = Self::read(bytes, Authority::top_level(root.body(), TopRole::Targets))?;
        Ok((stage, basis))
    }
}
