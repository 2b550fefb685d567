//! What makes an offer believable: the maker's roles list a release's statement (TUF), and the ledger has it (DESIGN section 8).
//!
//! The index of a depot is nobody's word: it says where objects are. Which releases there are is what the roles say, one target each,
//! at [`target_path`]. Whatever leads from there to a running image is proved by digests: the statement by the target, the root hash
//! by the statement. Pure.

use ledger::merkle::TreeHash;
use ledger::policy::{Policy, Witnessed};
use ledger::proof::Proof;
use ledger::record::{RecordError, ReleaseRecord};
use model::Sha256Digest;
use tuf::client::Updated;
use tuf::metadata::TargetFile;
use tuf::{ErrorKind, TargetPath};

use crate::index::{Index, IndexedRelease, ObjectRef, PATCH_LIMIT};
use crate::statement::{ReleaseId, Statement};

/// Folder of the roles' documents in a depot.
pub const FOLDER: &str = "tuf";
/// Member of a target's `custom`: digests of the releases from which it is proven to bring security fixes and nothing else.
pub const SECURITY_ONLY_FROM: &str = "security-only-from";
/// Member of a target's `custom`: root hash of the release's image.
pub const ROOT_HASH: &str = "root-hash";
/// Longest proof in bytes: 64 hashes and a checkpoint with the signatures of all witnesses. Stops a depot from filling memory.
pub const PROOF_LIMIT: u64 = 64 << 10;

/// A release is not to be believed.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The roles' documents.
    #[error(transparent)]
    Roles(#[from] Box<tuf::Error>),
    /// A name that can not be listed.
    #[error("`{0}` can not be a target of the roles")]
    Name(String),
    /// The roles list another statement under this version.
    #[error("the roles sign another statement of {version} than the depot offers")]
    OtherStatement {
        /// Version of the release.
        version: String,
    },
    /// A statement that can not be an entry of a ledger.
    #[error("the release can not be an entry of a ledger")]
    Record(#[from] RecordError),
    /// The depot has no proof.
    #[error("the depot has no proof that {version} is in the ledger")]
    NoProof {
        /// Version of the release.
        version: String,
    },
    /// The proof does not prove it.
    #[error("the proof that {version} is in the ledger does not hold")]
    Proof {
        /// Version of the release.
        version: String,
        /// Why.
        #[source]
        source: ledger::proof::ProofError,
    },
}

/// Where the roles list the statement of a release. `appliance` is `vendor/name`.
pub fn target_path(appliance: &str, channel: &str, version: &str) -> Result<TargetPath, TrustError> {
    let path = format!("{appliance}/{channel}/{version}.json");
    TargetPath::new(&path).map_err(|_| TrustError::Name(path.chars().take(200).collect()))
}

/// What the roles say of one release, whose statement is the one in the index. `None` when they do not list it.
pub fn listed(
    updated: &mut Updated<'_>,
    index: &Index,
    release: &IndexedRelease,
) -> Result<Option<TargetFile>, TrustError> {
    let path = target_path(&index.appliance, &index.channel, &release.version)?;
    let found = match updated.find(&path) {
        Ok(found) => found,
        Err(error) if matches!(error.kind, ErrorKind::NoSuchTarget { .. }) => return Ok(None),
        Err(error) => return Err(Box::new(error).into()),
    };
    let ObjectRef { sha256, size } = release.statement;
    let is_same = found.file.length == size
        && found.file.hashes.digest_by("sha256").is_some_and(|digest| digest == sha256.to_string());
    match is_same {
        true => Ok(Some(found.file)),
        false => Err(TrustError::OtherStatement { version: release.version.clone() }),
    }
}

/// From where the roles say that it brings security fixes only. What can not be read is no promise.
fn security_only_from(file: &TargetFile) -> Vec<ReleaseId> {
    let said = file.custom.as_ref().and_then(|custom| custom.get(SECURITY_ONLY_FROM)?.as_array());
    said.into_iter().flatten().filter_map(|id| id.as_str()?.parse().ok()).take(PATCH_LIMIT).collect()
}

/// The index with the releases that the roles list, and with what they say of each.
pub fn signed(updated: &mut Updated<'_>, index: &Index) -> Result<Index, TrustError> {
    let mut signed = Index { releases: Vec::new(), ..index.clone() };
    for release in &index.releases {
        if let Some(file) = listed(updated, index, release)? {
            let security_only_from = security_only_from(&file);
            signed.releases.push(IndexedRelease { security_only_from, ..release.clone() });
        }
    }
    Ok(signed)
}

/// The release of this version and root hash, when the roles list it: so an appliance learns which release it runs, also where none is
/// offered but the newer ones. `appliance` is `vendor/name`.
pub fn release_of(
    updated: &mut Updated<'_>,
    appliance: &str,
    channel: &str,
    version: &str,
    root_hash: &Sha256Digest,
) -> Option<ReleaseId> {
    let file = updated.find(&target_path(appliance, channel, version).ok()?).ok()?.file;
    let said = file.custom.as_ref()?.get(ROOT_HASH)?.as_str()?;
    let is_it = said == root_hash.to_string();
    file.hashes.digest_by("sha256").filter(|_| is_it)?.parse().ok()
}

/// The entry of a release in a ledger. It follows from the statement alone.
pub fn record(statement: &Statement) -> Result<ReleaseRecord, RecordError> {
    let identity = &statement.identity;
    Ok(ReleaseRecord {
        vendor: identity.vendor.parse()?,
        appliance: identity.name.parse()?,
        version: identity.version.parse()?,
        architecture: statement.architecture.parse()?,
        statement: statement.id().0.0,
        root_hash: statement.image.root_hash.0,
    })
}

/// Its hash in the ledger's tree.
pub fn leaf(statement: &Statement) -> Result<TreeHash, RecordError> {
    Ok(record(statement)?.leaf())
}

/// Checks the proof that travels with a release against the policy that the appliance is sealed with.
pub fn proved(statement: &Statement, proof: Option<&[u8]>, policy: &Policy) -> Result<Witnessed, TrustError> {
    let version = || statement.identity.version.clone();
    let proof = proof.ok_or_else(|| TrustError::NoProof { version: version() })?;
    let wrong = |source| TrustError::Proof { version: version(), source };
    Proof::parse(proof).map_err(wrong)?.verify(leaf(statement)?, policy).map_err(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_roles_refuse_is_told_once() {
        let refused = tuf::Error { document: "1.targets.json".into(), kind: ErrorKind::Missing };
        let text = refused.to_string();
        let error = TrustError::from(Box::new(refused));
        assert_eq!(error.to_string(), text);
        assert!(std::error::Error::source(&error).is_none_or(|cause| cause.to_string() != text));
    }
}
