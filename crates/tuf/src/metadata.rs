//! What the documents of the roles say (specification, section 4).
//!
//! Types are what this version understands; members it does not know are in `extra`, so that a document of somebody else's can be
//! read, changed and signed again without losing any.

mod root;
mod snapshot;
mod targets;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::ErrorKind;
use crate::time::Time;

pub use root::{ImpossibleRoot, RoleKeys, Root, RootRoles};
pub use snapshot::{MetaFile, Snapshot, Timestamp};
pub(crate) use targets::BASIS;
pub use targets::{Delegation, Delegations, TargetFile, Targets};

/// The version of the specification that documents of ours are written by.
pub const SPEC_VERSION: &str = "1.0.37";

/// The roles that a root names keys for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TopRole {
    /// Names the keys of all top-level roles, its own included.
    Root,
    /// Says which files can be trusted, and who else may say so.
    Targets,
    /// Says which versions of all targets documents belong together.
    Snapshot,
    /// Says which snapshot is the newest, for a short time.
    Timestamp,
}

impl TopRole {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Root, Self::Targets, Self::Snapshot, Self::Timestamp];

    /// Its name in documents.
    pub fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Targets => "targets",
            Self::Snapshot => "snapshot",
            Self::Timestamp => "timestamp",
        }
    }
}

impl std::fmt::Display for TopRole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// What every role's document has.
pub trait Body: Serialize + DeserializeOwned + Clone {
    /// The value of `_type`.
    const TYPE: &'static str;

    /// Its version: counts up with every change.
    fn version(&self) -> u64;

    /// When it stops being trusted.
    fn expires(&self) -> Time;

    /// What the types can not say.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }
}

/// Reads `signed` as a role's document: its type first, so that one role's document is never taken for another's.
pub(crate) fn body_of<B: Body>(signed: &Value) -> Result<B, ErrorKind> {
    let malformed = |why: String| ErrorKind::Malformed { why };
    let text = |name: &str| signed.get(name).and_then(Value::as_str).unwrap_or_default();
    let found = text("_type");
    if found != B::TYPE {
        return Err(ErrorKind::OtherRole { found: found.chars().take(40).collect(), expected: B::TYPE });
    }
    // Within 1.x documents only gain members. Some repositories write "1.0".
    let version = text("spec_version");
    if version.split('.').next() != Some("1") {
        return Err(ErrorKind::SpecVersion { found: version.chars().take(40).collect() });
    }
    let mut members = signed.clone();
    members.as_object_mut().and_then(|members| members.remove("_type"));
    let body: B = serde_json::from_value(members).map_err(|error| malformed(error.to_string()))?;
    body.check().map_err(malformed)?;
    Ok(body)
}

/// A body as what is signed.
pub(crate) fn signed_of<B: Body>(body: &B) -> Value {
    let mut signed = serde_json::to_value(body).expect("metadata is always JSON");
    signed["_type"] = B::TYPE.into();
    signed
}
