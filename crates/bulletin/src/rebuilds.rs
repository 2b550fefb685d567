//! What people say who rebuilt the new release: signed by somebody whom the reader trusts it is proof, else a claim.

use release::attestation::{Attestation, Guest};

use crate::facts::{Claim, Proof};
use crate::side::Side;

/// An attestation, and whose signature of it was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebuild {
    /// The name of the key, when the reader trusts it and its signature is good.
    pub by: Option<String>,
    /// What was rebuilt.
    pub attestation: Attestation,
}

impl Rebuild {
    /// Whether it is about this release. A disk that stands alone is known by its root hash.
    pub fn is_of(&self, side: &Side<'_>) -> bool {
        side.root_hash == Some(self.attestation.root_hash)
            && side.release.is_none_or(|release| release == self.attestation.release.0)
    }

    fn told(&self) -> String {
        let count = self.attestation.artifacts.len();
        let files = if count == 1 { "1 file".to_owned() } else { format!("{count} files") };
        let guest = match self.attestation.guest {
            Guest::Built => "Ampoule's own programs in it built, too",
            Guest::FromRelease => "Ampoule's own programs in it taken from the release, unchecked",
        };
        format!("{files} the same byte for byte, with Ampoule {}; {guest}", self.attestation.tool_version)
    }
}

/// Those of trusted people.
pub fn proofs(rebuilds: &[Rebuild]) -> Vec<Proof> {
    let proof = |rebuild: &Rebuild| {
        Some(Proof {
            what: format!("rebuilt by {}", rebuild.by.as_deref()?),
            value: rebuild.told(),
            command: Some("ampoule rebuild RELEASE".to_owned()),
        })
    };
    rebuilds.iter().filter_map(proof).collect()
}

/// Those of everybody else.
pub fn claims(rebuilds: &[Rebuild]) -> Vec<Claim> {
    let claim = |rebuild: &Rebuild| Claim {
        by: "somebody whose signature was not checked".to_owned(),
        about: "rebuilding this release".to_owned(),
        text: rebuild.told(),
    };
    rebuilds.iter().filter(|rebuild| rebuild.by.is_none()).map(claim).collect()
}

#[cfg(test)]
mod tests {
    use model::Sha256Digest;
    use release::ReleaseId;

    use super::*;

    fn rebuild(by: Option<&str>, guest: Guest) -> Rebuild {
        let attestation = Attestation {
            appliance: "acme/shop".into(),
            version: "1.4.0".into(),
            release: ReleaseId(Sha256Digest([1; 32])),
            root_hash: Sha256Digest([2; 32]),
            tool_version: "0.1.0".into(),
            guest,
            artifacts: vec![("root.erofs".into(), Sha256Digest([3; 32]))],
        };
        Rebuild { by: by.map(str::to_owned), attestation }
    }

    #[test]
    fn only_what_a_trusted_person_signed_is_proof() {
        let rebuilds = [rebuild(Some("carol"), Guest::Built), rebuild(None, Guest::FromRelease)];
        let (proofs, claims) = (proofs(&rebuilds), claims(&rebuilds));
        assert_eq!(proofs.iter().map(|it| it.what.as_str()).collect::<Vec<_>>(), ["rebuilt by carol"]);
        assert_eq!(claims.len(), 1);
        assert!(claims[0].text.contains("unchecked") && !proofs[0].value.contains("unchecked"));
    }
}
