//! The papers of a release: its components (SBOM) in two forms, and where it came from (provenance).
//!
//! What can be wrong with the maker's part is found before the build does any work ([`Papers::prepare`]); the documents are made
//! once the image has its root hash ([`Papers::documents`]).

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use debian::lock::Lock;
use model::{Definition, Sha256Digest};
use release::documents::{PackageDocuments, PackageDocumentsError};
use release::{Manifest, Purpose, names};
use sbom::claims::{Claims, ClaimsError, DOCUMENT_LIMIT};
use sbom::gather::{Boot, GatherError, Sources};
use sbom::provenance::{self, Facts, Resource};
use sha2::{Digest, Sha256};
use tree::{ContentSource, Tree};

use crate::compose::GuestPrograms;
use crate::seal::Document;
use crate::seal::boot_files::BootFiles;

pub mod sources;

/// Why there are no papers.
#[derive(Debug, thiserror::Error)]
pub enum PapersError {
    /// A named component.
    #[error(transparent)]
    Gather(#[from] GatherError),
    /// A document of the maker's.
    #[error(transparent)]
    Claims(#[from] ClaimsError),
    /// A file beside the definition.
    #[error("can not read `{path}`")]
    Read {
        /// The file.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The archive that was just made.
    #[error(transparent)]
    Packages(#[from] PackageDocumentsError),
}

/// What is ready before the build begins.
pub struct Papers {
    claims: Vec<Claims>,
}

/// What the documents are made from, once the image is sealed.
pub struct Sealed<'a> {
    /// The definition as it is sealed.
    pub definition: &'a Definition,
    /// The lock.
    pub lock: &'a Lock,
    /// Every path.
    pub tree: &'a Tree,
    /// Its contents.
    pub contents: &'a dyn ContentSource,
    /// The archive of package documents.
    pub package_documents: &'a [u8],
    /// What boots it.
    pub boot: &'a BootFiles,
    /// Ampoule's own programs.
    pub programs: &'a GuestPrograms,
}

impl Papers {
    /// Reads what the maker brings along and checks what the definition says about components.
    pub fn prepare(definition: &Definition, folder: &Path) -> Result<Self, PapersError> {
        sbom::gather::patterns(definition)?;
        let read = |document: &String| {
            let path = folder.join(document);
            let mut bytes = Vec::new();
            File::open(&path)
                .and_then(|file| file.take(DOCUMENT_LIMIT as u64 + 1).read_to_end(&mut bytes))
                .map_err(|source| PapersError::Read { path, source })?;
            Ok(Claims::read(document, &bytes)?)
        };
        Ok(Self { claims: definition.sbom.merge.iter().map(read).collect::<Result<_, PapersError>>()? })
    }

    /// Named components of which no file of the maker's is in the tree, though their patterns say which would be.
    pub fn without_files(definition: &Definition, tree: &Tree) -> Result<Vec<String>, PapersError> {
        let patterns = sbom::gather::patterns(definition)?;
        let has_file = |patterns: &Vec<tree::Pattern>| {
            tree.entries.iter().any(|(path, entry)| {
                matches!(entry.origin, tree::Origin::Maker(_)) && patterns.iter().any(|it| it.matches(path))
            })
        };
        let named = definition.components.iter().zip(&patterns);
        let empty = named.filter(|(_, patterns)| !patterns.is_empty() && !has_file(patterns));
        Ok(empty.map(|(component, _)| component.name.clone()).collect())
    }

    /// The documents of a release whose other files are listed in `manifest`.
    pub fn documents(&self, sealed: &Sealed<'_>, manifest: &Manifest) -> Result<Vec<Document>, PapersError> {
        let packages = PackageDocuments::read(sealed.package_documents)?;
        let identity = &manifest.identity;
        let boot = &sealed.boot.packages;
        let bill = sbom::gather(&Sources {
            definition: sealed.definition,
            root_hash: manifest.image.root_hash,
            time: sealed.lock.date(),
            tool_version: &manifest.tool_version,
            tree: sealed.tree,
            contents: sealed.contents,
            packages: &packages,
            boot: Boot {
                kernel_version: manifest.kernel_version.clone(),
                uki: format!("{}_{}.efi", identity.name, identity.version),
                kernel: boot.kernel.clone(),
                stub: boot.stub.clone(),
                loader: boot.loader.clone(),
            },
            init: &sealed.programs.init,
            claims: &self.claims,
        })?;
        let mut documents = vec![
            Document { name: names::SBOM_CYCLONEDX, bytes: sbom::cyclonedx::to_bytes(&bill) },
            Document { name: names::SBOM_SPDX, bytes: sbom::spdx::to_bytes(&bill) },
        ];
        let statement = provenance::statement(facts(sealed, manifest, &documents));
        documents.push(Document { name: names::PROVENANCE, bytes: provenance::to_bytes(&statement) });
        Ok(documents)
    }
}

fn facts<'a>(sealed: &Sealed<'a>, manifest: &'a Manifest, documents: &[Document]) -> Facts<'a> {
    let listed = manifest.artifacts.iter().filter(|artifact| artifact.purpose != Purpose::Disk);
    let mut subjects: Vec<Resource> =
        listed.map(|artifact| Resource::new(artifact.name.as_str(), artifact.sha256)).collect();
    subjects.extend(documents.iter().map(|it| Resource::new(it.name, digest(&it.bytes))));
    subjects.sort_by(|one, other| one.name.cmp(&other.name));
    let named = |name: &str| subjects.iter().find(|it| it.name == name).cloned().unwrap_or_default();
    Facts {
        identity: &manifest.identity,
        sources: named(names::SOURCES),
        lock_file: named(names::LOCK),
        subjects,
        lock: sealed.lock,
        tool_version: &manifest.tool_version,
        programs: vec![
            Resource::new("ampoule-agent", digest(&sealed.programs.agent)),
            Resource::new("ampoule-init", digest(&sealed.programs.init)),
        ],
    }
}

fn digest(bytes: &[u8]) -> Sha256Digest {
    Sha256Digest(Sha256::digest(bytes).into())
}
