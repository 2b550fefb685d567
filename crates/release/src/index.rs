//! The index of a channel: which releases a depot has, and which objects lead to them. Pure.
//!
//! A depot is plain files, so that any static file server or object store can serve it:
//!
//! ```text
//! depot.json                              marks the folder as a depot
//! appliances/VENDOR/NAME/CHANNEL.json     the index: the only files that are ever replaced
//! objects/AB/ABCDEF...                    everything else under its SHA-256, never changed
//! ```

use model::Sha256Digest;
use serde::{Deserialize, Serialize};

use crate::statement::ReleaseId;

/// The format this version writes and reads.
pub const FORMAT: u32 = 1;
/// Longest index in bytes. Stops a depot from filling an appliance's memory.
pub const INDEX_LIMIT: u64 = 4 << 20;
/// Most releases in an index. Stops an index that makes every later loop slow.
pub const RELEASE_LIMIT: usize = 1000;
/// Most patches that lead to one release.
pub const PATCH_LIMIT: usize = 64;

/// What a depot has for one channel of one appliance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Index {
    /// [`FORMAT`].
    pub format: u32,
    /// `vendor/name`.
    pub appliance: String,
    /// The series of releases.
    pub channel: String,
    /// Counts up with every change: an older index than the last one seen is not taken.
    pub serial: u64,
    /// When it was written, seconds since 1970.
    pub updated: u64,
    /// Oldest first.
    pub releases: Vec<IndexedRelease>,
}

/// One release in an index.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct IndexedRelease {
    /// Its version, as its statement says.
    pub version: String,
    /// Its statement: an object whose digest is the release's identity.
    pub statement: ObjectRef,
    /// When it was published, seconds since 1970.
    pub published: u64,
    /// What its maker says of it.
    pub notes: Option<String>,
    /// The proof that the ledger has it (c2sp.org/tlog-proof), where its maker has a ledger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<ObjectRef>,
    /// Releases from which it is proven to bring security fixes and nothing else; see `docs/BULLETIN.md`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub security_only_from: Vec<ReleaseId>,
    /// Ways to its image: patches, and the full image, which leads there from anything.
    pub patches: Vec<PatchRef>,
}

impl IndexedRelease {
    /// Which release it is.
    pub fn id(&self) -> ReleaseId {
        ReleaseId(self.statement.sha256)
    }
}

/// A file of the depot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ObjectRef {
    /// Digest of its bytes.
    pub sha256: Sha256Digest,
    /// Bytes.
    pub size: u64,
}

/// A patch, or a full image, in the patch format.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PatchRef {
    /// The release it is made against; a full image needs none.
    pub from: Option<ReleaseId>,
    /// The patch.
    pub object: ObjectRef,
    /// Bytes of memory that applying it needs.
    pub memory: u64,
}

/// An index that can not be used.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// Not JSON of this shape.
    #[error("the index can not be read")]
    Syntax(#[source] serde_json::Error),
    /// Made by a newer Ampoule.
    #[error("the index has format {found}, and this version knows {FORMAT}")]
    Format {
        /// Its format.
        found: u32,
    },
    /// Beyond a limit.
    #[error("the index has more than {limit} {what}")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// For something else.
    #[error("the index is of `{found}`, not of `{expected}`")]
    Foreign {
        /// Whose it is: appliance and channel.
        found: String,
        /// Whose was asked for.
        expected: String,
    },
}

impl Index {
    /// An index without releases.
    pub fn new(appliance: String, channel: String) -> Self {
        Self { format: FORMAT, appliance, channel, serial: 0, updated: 0, releases: Vec::new() }
    }

    /// Reads the index of `appliance` (`vendor/name`) and `channel`.
    pub fn parse(bytes: &[u8], appliance: &str, channel: &str) -> Result<Self, IndexError> {
        #[derive(Deserialize)]
        struct FormatOnly {
            format: u32,
        }
        let too_large = |what, limit| Err(IndexError::TooLarge { what, limit });
        if bytes.len() as u64 > INDEX_LIMIT {
            return too_large("bytes", INDEX_LIMIT);
        }
        let FormatOnly { format } = serde_json::from_slice(bytes).map_err(IndexError::Syntax)?;
        if format != FORMAT {
            return Err(IndexError::Format { found: format });
        }
        let index: Self = serde_json::from_slice(bytes).map_err(IndexError::Syntax)?;
        if index.appliance != appliance || index.channel != channel {
            let found = format!("{} {}", index.appliance, index.channel).chars().take(200).collect();
            return Err(IndexError::Foreign { found, expected: format!("{appliance} {channel}") });
        }
        if index.releases.len() > RELEASE_LIMIT {
            return too_large("releases", RELEASE_LIMIT as u64);
        }
        if index.releases.iter().any(|release| release.patches.len() > PATCH_LIMIT) {
            return too_large("patches to one release", PATCH_LIMIT as u64);
        }
        Ok(index)
    }

    /// The bytes of the file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("an index has only string keys");
        bytes.push(b'\n');
        bytes
    }
}

/// Where an object lies, relative to the depot's root.
pub fn object_path(digest: &Sha256Digest) -> String {
    let text = digest.to_string();
    format!("objects/{}/{text}", &text[..2])
}

/// Where the index of an appliance's channel lies, relative to the depot's root. `appliance` is `vendor/name`.
pub fn index_path(appliance: &str, channel: &str) -> String {
    format!("appliances/{appliance}/{channel}.json")
}

/// Longest name of a vendor, an appliance or a channel.
pub const NAME_LIMIT: usize = 64;

/// Whether a name is safe as one component of a path, on every file system and object store.
pub fn is_path_name(name: &str) -> bool {
    let is_good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte);
    let begins_well = name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    begins_well && name.len() <= NAME_LIMIT && name.bytes().all(is_good) && !name.contains("..")
}

/// Longest list of officers' notes on one release in bytes. Stops a depot from filling an appliance's memory.
pub const WORDS_LIMIT: u64 = 1 << 20;

/// Where a depot has what officers say of a release: a list of signed notes as JSON, relative to the depot's root.
pub fn words_path(appliance: &str, release: ReleaseId) -> String {
    format!("appliances/{appliance}/approvals/{release}.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_reads_what_it_writes_and_is_of_one_appliance_and_channel() {
        let index = Index::new("example/lamp".into(), "stable".into());
        assert_eq!(Index::parse(&index.to_bytes(), "example/lamp", "stable").expect("reads"), index);
        let foreign = Index::parse(&index.to_bytes(), "example/other", "stable");
        assert!(matches!(foreign, Err(IndexError::Foreign { .. })));
        let foreign = Index::parse(&index.to_bytes(), "example/lamp", "testing");
        assert!(matches!(foreign, Err(IndexError::Foreign { .. })));
    }

    #[test]
    fn an_index_beyond_its_limits_is_refused() {
        let long = vec![b' '; INDEX_LIMIT as usize + 1];
        assert!(matches!(Index::parse(&long, "a/b", "c"), Err(IndexError::TooLarge { .. })));
    }
}
