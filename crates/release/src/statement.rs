//! The release statement: what a release is, small enough to be signed, logged and carried by an appliance.
//!
//! Pure. Its identity is the SHA-256 of its bytes: the same value gives the same bytes.

use std::fmt;
use std::str::FromStr;

use model::Sha256Digest;
use model::definition::{Definition, Identity, StateFormat};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::manifest::{Artifact, ImageFacts, Manifest, Purpose};
use crate::names::ArtifactName;

/// The format this version writes and reads.
pub const FORMAT: u32 = 1;
/// Longest statement in bytes. Stops a depot from filling an appliance's memory.
pub const STATEMENT_LIMIT: u64 = 256 << 10;

/// Digest of a statement: which release this is, in one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReleaseId(pub Sha256Digest);

impl fmt::Display for ReleaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ReleaseId {
    type Err = model::digest::DigestSyntax;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// One version of an appliance, as its maker states it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Statement {
    /// [`FORMAT`].
    pub format: u32,
    /// Vendor, name, version and what people call it.
    pub identity: Identity,
    /// Debian architecture: `amd64`.
    pub architecture: String,
    /// The sealed root. Its root hash is what a patch has to lead to.
    pub image: ImageFacts,
    /// The UKI that boots it, under its name on the ESP.
    pub uki: Artifact,
    /// `uname -r` of the kernel.
    pub kernel_version: String,
    /// Which form the state has.
    pub state_format: StateFormat,
    /// Lock, contents, settings schema and what else explains the release, sorted by name.
    pub documents: Vec<Artifact>,
}

/// A statement that can not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum StatementError {
    /// Not JSON of this shape.
    #[error("the release statement can not be read")]
    Syntax(#[source] serde_json::Error),
    /// Made by a newer Ampoule.
    #[error("the release statement has format {found}, and this version knows {FORMAT}")]
    Format {
        /// Its format.
        found: u32,
    },
    /// Longer than [`STATEMENT_LIMIT`].
    #[error("the release statement has more than {STATEMENT_LIMIT} bytes")]
    TooLong,
    /// The manifest has no UKI.
    #[error("the release has no `{name}`, which boots it")]
    NoUki {
        /// File name.
        name: String,
    },
    /// The identity can not be part of a file name.
    #[error("the release's name or version can not be part of a file name")]
    Name(#[source] crate::names::NameSyntax),
}

impl Statement {
    /// States what a release folder holds. Disks are not part of it: they follow from image and layout.
    pub fn of(manifest: &Manifest, definition: &Definition) -> Result<Self, StatementError> {
        let name = ArtifactName::uki(&manifest.identity).map_err(StatementError::Name)?;
        let uki = manifest.artifact(name.as_str()).cloned();
        let documents = manifest.artifacts.iter().filter(|it| it.purpose == Purpose::Document);
        Ok(Self {
            format: FORMAT,
            identity: manifest.identity.clone(),
            architecture: manifest.architecture.clone(),
            image: manifest.image.clone(),
            uki: uki.ok_or_else(|| StatementError::NoUki { name: name.to_string() })?,
            kernel_version: manifest.kernel_version.clone(),
            state_format: definition.state_format,
            documents: documents.cloned().collect(),
        })
    }

    /// Reads a statement.
    pub fn parse(bytes: &[u8]) -> Result<Self, StatementError> {
        #[derive(Deserialize)]
        struct FormatOnly {
            format: u32,
        }
        if bytes.len() as u64 > STATEMENT_LIMIT {
            return Err(StatementError::TooLong);
        }
        let FormatOnly { format } = serde_json::from_slice(bytes).map_err(StatementError::Syntax)?;
        if format != FORMAT {
            return Err(StatementError::Format { found: format });
        }
        let statement: Self = serde_json::from_slice(bytes).map_err(StatementError::Syntax)?;
        ArtifactName::uki(&statement.identity).map_err(StatementError::Name)?;
        Ok(statement)
    }

    /// The bytes that are signed and logged.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec(self).expect("a statement has only string keys");
        bytes.push(b'\n');
        bytes
    }

    /// Its identity.
    pub fn id(&self) -> ReleaseId {
        ReleaseId(Sha256Digest(Sha256::digest(self.to_bytes()).into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_reads_what_it_writes_and_keeps_its_identity() {
        let mut manifest = crate::manifest::tests::sample();
        let uki = Artifact {
            name: "lamp_1.4.0.efi".parse().expect("a name"),
            size: 7,
            sha256: Sha256Digest([3; 32]),
            purpose: Purpose::Image,
        };
        manifest.artifacts = vec![uki];
        let text = include_str!("../../../examples/lamp/appliance.toml");
        let definition: Definition = model::parse(text).expect("parses").definition;
        let statement = Statement::of(&manifest, &definition).expect("states");
        let read = Statement::parse(&statement.to_bytes()).expect("reads");
        assert_eq!(read, statement);
        assert_eq!(read.id(), statement.id());
        let mut other = statement.clone();
        other.image.root_size += 1;
        assert_ne!(other.id(), statement.id());
    }

    #[test]
    fn a_statement_of_another_format_or_too_long_is_refused() {
        assert!(matches!(Statement::parse(br#"{"format":2}"#), Err(StatementError::Format { found: 2 })));
        let long = vec![b' '; STATEMENT_LIMIT as usize + 1];
        assert!(matches!(Statement::parse(&long), Err(StatementError::TooLong)));
    }
}
