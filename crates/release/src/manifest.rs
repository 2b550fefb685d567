//! `release.json`: what a release says of itself. Pure: text in, value out.

use std::collections::BTreeSet;
use std::path::Path;

use model::Sha256Digest;
use model::definition::{Identity, Port, Resources};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::ReleaseError;
use crate::names::{self, ArtifactName};

/// The format this version writes and reads.
pub const FORMAT: u32 = 1;
/// Longest `release.json`. Stops a folder from elsewhere from filling memory.
pub const MANIFEST_LIMIT: u64 = 4 << 20;
/// Most artifacts. Stops a manifest that makes every later loop slow.
pub const ARTIFACT_LIMIT: usize = 256;
/// Most partitions: the number of entries in a GPT as everybody writes it.
pub const PARTITION_LIMIT: usize = 128;

/// What `release.json` holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// Vendor, name, version and what people call it.
    pub identity: Identity,
    /// Debian architecture: `amd64`.
    pub architecture: String,
    /// The sealed root.
    pub image: ImageFacts,
    /// `uname -r` of the kernel.
    pub kernel_version: String,
    /// Version of the Ampoule that built it.
    pub tool_version: String,
    /// Every other file of the folder, sorted by name.
    pub artifacts: Vec<Artifact>,
    /// The disk's partitions, in order.
    pub partitions: Vec<PartitionFacts>,
    /// What the virtual machine is given unless somebody says otherwise.
    pub resources: Resources,
    /// Ports the appliance answers on.
    pub ports: Vec<Port>,
}

/// The sealed root in numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ImageFacts {
    /// dm-verity root hash.
    pub root_hash: Sha256Digest,
    /// dm-verity salt, lower-case hexadecimal, at most 512 digits (dm-verity's superblock holds 256 bytes).
    pub verity_salt: String,
    /// Bytes of [`names::ROOT`].
    pub root_size: u64,
    /// Bytes of [`names::VERITY`].
    pub verity_size: u64,
}

impl ImageFacts {
    /// The salt's bytes; `None` when the text is not hexadecimal.
    pub fn salt(&self) -> Option<Vec<u8>> {
        let digit = |byte: u8| (byte as char).to_digit(16).map(|digit| digit as u8);
        let pairs = self.verity_salt.as_bytes().chunks(2);
        pairs.map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?)).collect()
    }
}

/// One file of the folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Artifact {
    /// File name.
    pub name: ArtifactName,
    /// Bytes.
    pub size: u64,
    /// Digest of all bytes.
    pub sha256: Sha256Digest,
    /// What it is for.
    pub purpose: Purpose,
}

/// What an artifact is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// A disk that boots.
    Disk,
    /// Part of an image: root, hash tree, UKI.
    Image,
    /// Something to read: lock, contents, schema, report.
    Document,
}

/// One partition of the disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PartitionFacts {
    /// From 1.
    pub number: u32,
    /// GPT partition name.
    pub name: String,
    /// Type id, as text.
    pub type_id: String,
    /// Partition id, as text.
    pub id: String,
    /// First byte on the disk.
    pub start: u64,
    /// Bytes.
    pub size: u64,
}

impl Manifest {
    /// Reads a manifest; `path` is only for errors.
    pub fn parse(text: &[u8], path: &Path) -> Result<Self, ReleaseError> {
        #[derive(Deserialize)]
        struct FormatOnly {
            format: u32,
        }
        let syntax = |source| ReleaseError::Syntax { path: path.to_owned(), source };
        // The format first: a newer manifest deserves a better answer than "unknown field".
        let FormatOnly { format } = serde_json::from_slice(text).map_err(syntax)?;
        if format != FORMAT {
            return Err(ReleaseError::Format { path: path.to_owned(), found: format, known: FORMAT });
        }
        let manifest: Self = serde_json::from_slice(text).map_err(syntax)?;
        manifest.check().map_err(|why| ReleaseError::Inconsistent { path: path.to_owned(), why })?;
        Ok(manifest)
    }

    /// The bytes of `release.json`: the same value gives the same bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("a manifest has only string keys");
        bytes.push(b'\n');
        bytes
    }

    /// SHA-256 of [`Manifest::to_bytes`]: which build this is, in one value.
    pub fn digest(&self) -> Sha256Digest {
        Sha256Digest(Sha256::digest(self.to_bytes()).into())
    }

    /// The artifact of that name.
    pub fn artifact(&self, name: &str) -> Option<&Artifact> {
        self.artifacts.iter().find(|artifact| artifact.name.as_str() == name)
    }

    /// What can be wrong without looking at any file, in one sentence.
    pub fn check(&self) -> Result<(), String> {
        if self.artifacts.len() > ARTIFACT_LIMIT {
            return Err(format!("it lists more than {ARTIFACT_LIMIT} artifacts"));
        }
        if self.partitions.len() > PARTITION_LIMIT {
            return Err(format!("it lists more than {PARTITION_LIMIT} partitions"));
        }
        let mut seen = BTreeSet::new();
        for artifact in &self.artifacts {
            if artifact.name.as_str() == names::MANIFEST {
                return Err("it lists itself".to_owned());
            }
            if !seen.insert(&artifact.name) {
                return Err(format!("it lists `{}` twice", artifact.name));
            }
        }
        let salt = &self.image.verity_salt;
        if salt.len() > 512
            || !salt.len().is_multiple_of(2)
            || !salt.bytes().all(|digit| digit.is_ascii_hexdigit())
        {
            return Err("its verity salt is not hexadecimal".to_owned());
        }
        for (name, size) in [(names::ROOT, self.image.root_size), (names::VERITY, self.image.verity_size)] {
            if self.artifact(name).is_some_and(|artifact| artifact.size != size) {
                return Err(format!("it gives two sizes for `{name}`"));
            }
        }
        ArtifactName::uki(&self.identity)
            .map_err(|_| "its name or version can not be part of a file name")?;
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn sample() -> Manifest {
        Manifest {
            format: FORMAT,
            identity: Identity {
                vendor: "example".into(),
                name: "lamp".into(),
                title: "LAMP".into(),
                version: "1.4.0".into(),
                summary: "A web server.".into(),
                contact: None,
                url: None,
                end_of_support: None,
            },
            architecture: "amd64".into(),
            image: ImageFacts {
                root_hash: Sha256Digest([7; 32]),
                verity_salt: "00ff".into(),
                root_size: 4096,
                verity_size: 8192,
            },
            kernel_version: "6.12.1-amd64".into(),
            tool_version: "0.1.0".into(),
            artifacts: vec![],
            partitions: vec![],
            resources: Resources::default(),
            ports: vec![],
        }
    }

    #[test]
    fn a_manifest_reads_what_it_writes() {
        let manifest = sample();
        let read = Manifest::parse(&manifest.to_bytes(), Path::new("release.json")).expect("reads");
        assert_eq!(read, manifest);
        assert_eq!(read.digest(), manifest.digest());
    }

    #[test]
    fn a_newer_format_is_named_before_anything_else() {
        let error = Manifest::parse(br#"{"format": 9, "new": true}"#, Path::new("r")).expect_err("refused");
        assert!(matches!(error, ReleaseError::Format { found: 9, .. }), "{error}");
    }

    #[test]
    fn a_manifest_that_contradicts_itself_is_refused() {
        let artifact = |name: &str| Artifact {
            name: name.parse().expect("a name"),
            size: 1,
            sha256: Sha256Digest([0; 32]),
            purpose: Purpose::Document,
        };
        type Spoil = fn(&mut Manifest, &dyn Fn(&str) -> Artifact);
        let spoil: [Spoil; 5] = [
            |manifest, artifact| manifest.artifacts = vec![artifact("a"), artifact("a")],
            |manifest, artifact| manifest.artifacts = vec![artifact(names::MANIFEST)],
            |manifest, artifact| manifest.artifacts = vec![artifact(names::ROOT)],
            |manifest, _| manifest.image.verity_salt = "xyz".into(),
            |manifest, _| manifest.identity.version = "../1".into(),
        ];
        for change in spoil {
            let mut manifest = sample();
            change(&mut manifest, &artifact);
            let error = Manifest::parse(&manifest.to_bytes(), Path::new("r")).expect_err("refused");
            assert!(matches!(error, ReleaseError::Inconsistent { .. }), "{error}");
        }
    }
}
