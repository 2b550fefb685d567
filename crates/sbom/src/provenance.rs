//! Where a release came from: an in-toto statement with SLSA's provenance (both version 1), made from the lock.
//!
//! Owns the form. Says nothing of time or machine: a rebuild elsewhere gives the same bytes. Signing comes later; the statement is
//! the payload that a DSSE envelope will carry. Disks are not among its subjects: they follow from image and layout, and a
//! release is the same whichever of them are written.

use std::collections::BTreeMap;

use debian::Lock;
use debian::lock::LockedPackage;
use model::Sha256Digest;
use model::definition::Identity;
use serde::{Deserialize, Serialize};

use crate::purl;

/// `_type` of an in-toto statement.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// `predicateType` of SLSA's provenance.
pub const PREDICATE_TYPE: &str = "https://slsa.dev/provenance/v1";
/// What the parameters mean: docs/SBOM.md.
pub const BUILD_TYPE: &str = "urn:ampoule:build:1";
/// Most bytes that are read. Stops a stranger's document from filling memory.
pub const DOCUMENT_LIMIT: u64 = 64 << 20;

/// A statement about files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Statement {
    /// [`STATEMENT_TYPE`].
    #[serde(rename = "_type")]
    pub kind: String,
    /// What it is about.
    pub subject: Vec<Resource>,
    /// [`PREDICATE_TYPE`].
    #[serde(rename = "predicateType")]
    pub predicate_type: String,
    /// What it says.
    pub predicate: Provenance,
}

/// SLSA provenance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Provenance {
    /// What went in.
    pub build_definition: BuildDefinition,
    /// Who built it.
    pub run_details: RunDetails,
}

/// What went into a build.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BuildDefinition {
    /// [`BUILD_TYPE`].
    pub build_type: String,
    /// What the maker decided.
    pub external_parameters: ExternalParameters,
    /// Everything that was fetched or read, with digests.
    pub resolved_dependencies: Vec<Resource>,
}

/// What the maker decided.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExternalParameters {
    /// `VENDOR/NAME`.
    pub appliance: String,
    /// Its version.
    pub version: String,
    /// Definition with the files beside it.
    pub sources: Resource,
    /// The lock.
    pub lock: Resource,
}

/// Who built it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunDetails {
    /// The builder.
    pub builder: Builder,
}

/// The builder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Builder {
    /// Which kind of builder.
    pub id: String,
    /// Its versions.
    pub version: BTreeMap<String, String>,
    /// Programs of it that became part of the image.
    pub builder_dependencies: Vec<Resource>,
}

/// A file, by digest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resource {
    /// Its name.
    pub name: String,
    /// What it is, as a package URL.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uri: String,
    /// Digests by algorithm.
    pub digest: BTreeMap<String, String>,
    /// Where it came from.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Resource {
    /// A file of this digest.
    pub fn new(name: impl Into<String>, sha256: Sha256Digest) -> Self {
        let digest = BTreeMap::from([("sha256".to_owned(), sha256.to_string())]);
        Self { name: name.into(), digest, ..Self::default() }
    }

    /// Its SHA-256 as text.
    pub fn sha256(&self) -> &str {
        self.digest.get("sha256").map_or("", String::as_str)
    }
}

/// What a statement is made from.
pub struct Facts<'a> {
    /// The appliance.
    pub identity: &'a Identity,
    /// Files of the release besides disks and this statement.
    pub subjects: Vec<Resource>,
    /// The archive of the definition.
    pub sources: Resource,
    /// The lock's file.
    pub lock_file: Resource,
    /// The lock.
    pub lock: &'a Lock,
    /// Version of the Ampoule that builds.
    pub tool_version: &'a str,
    /// Programs of the guest.
    pub programs: Vec<Resource>,
}

/// The statement about a release.
pub fn statement(facts: Facts<'_>) -> Statement {
    let suites = facts.lock.suites.iter().map(|suite| Resource {
        annotations: BTreeMap::from([("date".to_owned(), suite.date.to_string())]),
        ..Resource::new(format!("dists/{}/InRelease", suite.name), suite.release_sha256)
    });
    let mut dependencies = vec![facts.sources.clone(), facts.lock_file.clone()];
    dependencies.extend(suites);
    dependencies.extend(facts.lock.packages.iter().map(package));
    Statement {
        kind: STATEMENT_TYPE.into(),
        subject: facts.subjects,
        predicate_type: PREDICATE_TYPE.into(),
        predicate: Provenance {
            build_definition: BuildDefinition {
                build_type: BUILD_TYPE.into(),
                external_parameters: ExternalParameters {
                    appliance: facts.identity.id(),
                    version: facts.identity.version.clone(),
                    sources: facts.sources,
                    lock: facts.lock_file,
                },
                resolved_dependencies: dependencies,
            },
            run_details: RunDetails {
                builder: Builder {
                    id: "urn:ampoule:builder".into(),
                    version: BTreeMap::from([("ampoule".to_owned(), facts.tool_version.to_owned())]),
                    builder_dependencies: facts.programs,
                },
            },
        },
    }
}

fn package(package: &LockedPackage) -> Resource {
    let source = (package.source.as_str(), package.source_version.as_str());
    let version = package.version.as_str();
    let annotations = [("suite", &package.suite), ("component", &package.component), ("path", &package.path)];
    Resource {
        uri: purl::debian(&package.name, version, &package.architecture, &package.suite, source),
        annotations: annotations.map(|(key, value)| (key.to_owned(), value.clone())).into(),
        ..Resource::new(package.file_name(), package.sha256)
    }
}

/// The document's bytes: the same facts give the same bytes.
pub fn to_bytes(statement: &Statement) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(statement).expect("a statement is plain data");
    bytes.push(b'\n');
    bytes
}

/// Reads a statement.
pub fn parse(bytes: &[u8]) -> Result<Statement, serde_json::Error> {
    serde_json::from_slice(bytes)
}
