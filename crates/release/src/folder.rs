//! Reading a release folder. One of the two files of this crate that touch the file system.

use std::fs::{self, File};
use std::io::{BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use model::Sha256Digest;
use sha2::{Digest, Sha256};

use crate::documents::PackageDocuments;
use crate::error::{ReleaseError, io};
use crate::manifest::{MANIFEST_LIMIT, Manifest};
use crate::names;

/// A release on disk, its files present with the sizes the manifest says.
#[derive(Clone, Debug)]
pub struct ReleaseFolder {
    path: PathBuf,
    manifest: Manifest,
    digest: Sha256Digest,
}

impl ReleaseFolder {
    /// Reads `release.json` and checks that every listed file is a regular file of the listed size.
    ///
    /// Digests are not checked: see [`ReleaseFolder::check_digests`].
    pub fn open(path: &Path) -> Result<Self, ReleaseError> {
        let manifest_path = path.join(names::MANIFEST);
        let text = match read_limited(&manifest_path, MANIFEST_LIMIT) {
            Err(ReleaseError::Io { source, .. })
                if matches!(source.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                return Err(ReleaseError::NotARelease { path: path.to_owned() });
            }
            other => other?,
        };
        let manifest = Manifest::parse(&text, &manifest_path)?;
        for artifact in &manifest.artifacts {
            let file = path.join(artifact.name.as_str());
            // Not following links: a release is moved and copied as a folder and must not lean on what is outside.
            let found = match fs::symlink_metadata(&file) {
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    return Err(ReleaseError::Missing { path: file });
                }
                other => other.map_err(io("look at", &file))?,
            };
            if !found.is_file() {
                return Err(ReleaseError::Missing { path: file });
            }
            if found.len() != artifact.size {
                return Err(ReleaseError::Size { path: file, expected: artifact.size, found: found.len() });
            }
        }
        let digest = Sha256Digest(Sha256::digest(&text).into());
        Ok(Self { path: path.to_owned(), manifest, digest })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What `release.json` says.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// SHA-256 of `release.json` as it lies there: which build this is.
    pub fn digest(&self) -> Sha256Digest {
        self.digest
    }

    /// Path of an artifact that the manifest lists.
    pub fn artifact(&self, name: &str) -> Result<PathBuf, ReleaseError> {
        match self.manifest.artifact(name) {
            Some(artifact) => Ok(self.path.join(artifact.name.as_str())),
            None => Err(ReleaseError::NoArtifact {
                path: self.path.clone(),
                name: name.parse().map_err(|why: names::NameSyntax| ReleaseError::Inconsistent {
                    path: self.path.clone(),
                    why: why.to_string(),
                })?,
            }),
        }
    }

    /// Path of the UKI.
    pub fn uki(&self) -> Result<PathBuf, ReleaseError> {
        let identity = &self.manifest.identity;
        self.artifact(&format!("{}_{}.efi", identity.name, identity.version))
    }

    /// The bytes of a document of at most `limit` bytes.
    pub fn read_document(&self, name: &str, limit: u64) -> Result<Vec<u8>, ReleaseError> {
        read_limited(&self.artifact(name)?, limit)
    }

    /// As [`ReleaseFolder::read_document`], and the bytes are those that the manifest lists.
    pub fn read_checked_document(&self, name: &str, limit: u64) -> Result<Vec<u8>, ReleaseError> {
        let bytes = self.read_document(name, limit)?;
        let found = Sha256Digest(Sha256::digest(&bytes).into());
        match self.manifest.artifact(name) {
            Some(artifact) if artifact.sha256 != found => {
                Err(ReleaseError::Digest { path: self.path.join(name), expected: artifact.sha256, found })
            }
            _ => Ok(bytes),
        }
    }

    /// Changelogs, licences and origins of the packages.
    pub fn package_documents(&self) -> Result<PackageDocuments, ReleaseError> {
        let path = self.artifact(names::PACKAGE_DOCUMENTS)?;
        let file = File::open(&path).map_err(io("open", &path))?;
        PackageDocuments::read(BufReader::new(file))
            .map_err(|source| ReleaseError::PackageDocuments { path, source: Box::new(source) })
    }

    /// Reads every artifact and compares digests. `progress` is told the bytes read after each piece.
    pub fn check_digests(&self, mut progress: impl FnMut(u64)) -> Result<(), ReleaseError> {
        for artifact in &self.manifest.artifacts {
            let path = self.path.join(artifact.name.as_str());
            let found = digest_file(&path, &mut progress)?.0;
            if found != artifact.sha256 {
                return Err(ReleaseError::Digest { path, expected: artifact.sha256, found });
            }
        }
        Ok(())
    }
}

/// Digest and length of a file.
pub(crate) fn digest_file(
    path: &Path,
    mut progress: impl FnMut(u64),
) -> Result<(Sha256Digest, u64), ReleaseError> {
    let mut file = File::open(path).map_err(io("open", path))?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    let mut total = 0;
    loop {
        let count = file.read(&mut buffer).map_err(io("read", path))?;
        if count == 0 {
            return Ok((Sha256Digest(hasher.finalize().into()), total));
        }
        hasher.update(&buffer[..count]);
        total += count as u64;
        progress(total);
    }
}

fn read_limited(path: &Path, limit: u64) -> Result<Vec<u8>, ReleaseError> {
    let file = File::open(path).map_err(io("open", path))?;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(io("read", path))?;
    if bytes.len() as u64 > limit {
        return Err(ReleaseError::TooLong { path: path.to_owned(), limit });
    }
    Ok(bytes)
}
