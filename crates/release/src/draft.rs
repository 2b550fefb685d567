//! Writing a release folder so that a folder with the release's name is always whole.
//!
//! A release is assembled in `OUT.partial-N` beside its place. [`ReleaseDraft::publish`] then: (1) writes
//! `release.json`; (2) syncs every file and the folder; (3) renames an older release at OUT to `OUT.replaced-N`;
//! (4) renames the draft to OUT; (5) syncs the parent; (6) removes the replaced one. A crash before 3 leaves the old
//! release, between 3 and 4 leaves no OUT but the whole old and new folders beside it, after 4 the new release.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use model::Sha256Digest;
use sha2::{Digest, Sha256};

use crate::error::{ReleaseError, io as io_error};
use crate::folder::{ReleaseFolder, digest_file};
use crate::manifest::{Artifact, Manifest, Purpose};
use crate::names::{self, ArtifactName};

/// Most leftovers of broken builds beside a release. Stops an endless search for a free name.
const LEFTOVER_LIMIT: u32 = 10_000;

/// A release that is being written. Dropping it removes what was written.
#[must_use = "publish it, or what was written is removed"]
#[derive(Debug)]
pub struct ReleaseDraft {
    place: PathBuf,
    folder: PathBuf,
    artifacts: BTreeMap<ArtifactName, Artifact>,
    published: bool,
}

impl ReleaseDraft {
    /// Begins a release that will lie at `place`. Refuses a place that is taken by something else than a release.
    pub fn begin(place: &Path) -> Result<Self, ReleaseError> {
        ensure_replaceable(place)?;
        if let Some(parent) = parent_of(place) {
            fs::create_dir_all(parent).map_err(io_error("create", parent))?;
        }
        let folder = create_sibling(place, "partial")?;
        Ok(Self { place: place.to_owned(), folder, artifacts: BTreeMap::new(), published: false })
    }

    /// Where a file of the release is written now. Files written there directly are made part of the release with
    /// [`ReleaseDraft::add`] or [`ReleaseDraft::add_with_digest`]; what is not added is refused at the end.
    pub fn path_of(&self, name: &ArtifactName) -> PathBuf {
        self.folder.join(name.as_str())
    }

    /// What is part of the release so far, sorted by name.
    pub fn artifacts(&self) -> impl Iterator<Item = &Artifact> {
        self.artifacts.values()
    }

    /// Writes a whole small file.
    pub fn write(&mut self, name: &ArtifactName, purpose: Purpose, bytes: &[u8]) -> Result<(), ReleaseError> {
        let mut writer = self.create(name)?;
        writer.write_all(bytes).map_err(io_error("write", &self.path_of(name)))?;
        self.add_written(name, purpose, writer)
    }

    /// Opens a file for writing from begin to end; its digest is computed on the way.
    /// Give it back with [`ReleaseDraft::add_written`].
    pub fn create(&self, name: &ArtifactName) -> Result<ArtifactWriter, ReleaseError> {
        let path = self.path_of(name);
        let file = File::create_new(&path).map_err(|source| match source.kind() {
            ErrorKind::AlreadyExists => ReleaseError::Twice { path: path.clone() },
            _ => ReleaseError::Io { action: "create", path: path.clone(), source },
        })?;
        Ok(ArtifactWriter { file, hasher: Sha256::new(), size: 0 })
    }

    /// Makes what `writer` wrote part of the release.
    pub fn add_written(
        &mut self,
        name: &ArtifactName,
        purpose: Purpose,
        writer: ArtifactWriter,
    ) -> Result<(), ReleaseError> {
        let ArtifactWriter { file, hasher, size } = writer;
        drop(file);
        self.add_with_digest(name, purpose, Sha256Digest(hasher.finalize().into()), size)
    }

    /// Makes a file at [`ReleaseDraft::path_of`] part of the release, reading it for its digest.
    pub fn add(&mut self, name: &ArtifactName, purpose: Purpose) -> Result<(), ReleaseError> {
        let (digest, size) = digest_file(&self.path_of(name), |_| ())?;
        self.add_with_digest(name, purpose, digest, size)
    }

    /// Makes a file at [`ReleaseDraft::path_of`] part of the release. The caller vouches for the digest; the size is
    /// compared.
    pub fn add_with_digest(
        &mut self,
        name: &ArtifactName,
        purpose: Purpose,
        sha256: Sha256Digest,
        size: u64,
    ) -> Result<(), ReleaseError> {
        let path = self.path_of(name);
        let found = fs::symlink_metadata(&path).map_err(io_error("look at", &path))?.len();
        if found != size {
            return Err(ReleaseError::Size { path, expected: size, found });
        }
        let artifact = Artifact { name: name.clone(), size, sha256, purpose };
        match self.artifacts.insert(name.clone(), artifact) {
            None => Ok(()),
            Some(_) => Err(ReleaseError::Twice { path }),
        }
    }

    /// Writes the manifest, syncs everything and moves the release to its place. `manifest.artifacts` is filled in.
    pub fn publish(mut self, mut manifest: Manifest) -> Result<ReleaseFolder, ReleaseError> {
        let manifest_path = self.folder.join(names::MANIFEST);
        manifest.artifacts = self.artifacts.values().cloned().collect();
        manifest.check().map_err(|why| ReleaseError::Inconsistent { path: manifest_path.clone(), why })?;
        self.ensure_nothing_else()?;
        fs::write(&manifest_path, manifest.to_bytes()).map_err(io_error("write", &manifest_path))?;
        for name in self.artifacts.keys().map(ArtifactName::as_str).chain([names::MANIFEST]) {
            sync(&self.folder.join(name))?;
        }
        sync(&self.folder)?;

        // Again: it may have become something else while the release was built.
        ensure_replaceable(&self.place)?;
        let replaced = match fs::symlink_metadata(&self.place) {
            Ok(_) => {
                let aside = create_sibling(&self.place, "replaced")?;
                fs::rename(&self.place, &aside).map_err(io_error("move away", &self.place))?;
                Some(aside)
            }
            Err(_) => None,
        };
        if let Err(source) = fs::rename(&self.folder, &self.place) {
            if let Some(aside) = &replaced {
                // Best effort: the first error is the one to tell.
                let _ = fs::rename(aside, &self.place);
            }
            return Err(ReleaseError::Io { action: "move the release to", path: self.place.clone(), source });
        }
        self.published = true;
        sync(parent_of(&self.place).unwrap_or(Path::new(".")))?;
        if let Some(aside) = replaced {
            fs::remove_dir_all(&aside).map_err(io_error("remove", &aside))?;
        }
        ReleaseFolder::open(&self.place)
    }

    /// Every file of the folder has to be listed: an unlisted one would travel with the release unseen.
    fn ensure_nothing_else(&self) -> Result<(), ReleaseError> {
        for entry in fs::read_dir(&self.folder).map_err(io_error("list", &self.folder))? {
            let entry = entry.map_err(io_error("list", &self.folder))?;
            let name = entry.file_name();
            let listed = name.to_str().and_then(|name| name.parse::<ArtifactName>().ok());
            if !listed.is_some_and(|name| self.artifacts.contains_key(&name)) {
                return Err(ReleaseError::Inconsistent {
                    path: entry.path(),
                    why: "it is in the release's folder and was never added".to_owned(),
                });
            }
        }
        Ok(())
    }
}

impl Drop for ReleaseDraft {
    fn drop(&mut self) {
        if !self.published {
            // Best effort: what stays is called `partial` and is not taken for a release.
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// Writes one file and computes its digest.
#[derive(Debug)]
pub struct ArtifactWriter {
    file: File,
    hasher: Sha256,
    size: u64,
}

impl Write for ArtifactWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A release may replace a release or an empty folder, never somebody's home folder.
fn ensure_replaceable(place: &Path) -> Result<(), ReleaseError> {
    let metadata = match fs::symlink_metadata(place) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        other => other.map_err(io_error("look at", place))?,
    };
    let occupied = || ReleaseError::Occupied { path: place.to_owned() };
    if !metadata.is_dir() {
        return Err(occupied());
    }
    let is_release = place.join(names::MANIFEST).is_file();
    let is_empty = fs::read_dir(place).map_err(io_error("list", place))?.next().is_none();
    if is_release || is_empty { Ok(()) } else { Err(occupied()) }
}

/// A new folder `PLACE.WORD-N`. Creating it is what makes it ours, so two builds never share one.
fn create_sibling(place: &Path, word: &str) -> Result<PathBuf, ReleaseError> {
    let name = place.file_name().ok_or_else(|| ReleaseError::Occupied { path: place.to_owned() })?;
    for number in 0..LEFTOVER_LIMIT {
        let mut sibling = name.to_owned();
        sibling.push(format!(".{word}-{number:04}"));
        let sibling = place.with_file_name(sibling);
        match fs::create_dir(&sibling) {
            Ok(()) => return Ok(sibling),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(source) => return Err(ReleaseError::Io { action: "create", path: sibling, source }),
        }
    }
    Err(ReleaseError::Occupied { path: place.to_owned() })
}

fn parent_of(place: &Path) -> Option<&Path> {
    place.parent().filter(|parent| !parent.as_os_str().is_empty())
}

fn sync(path: &Path) -> Result<(), ReleaseError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(io_error("sync", path))
}
