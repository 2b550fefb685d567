//! Where chosen packages come from: the verified indices below the apt root.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use debian::index::{
    IndexEntry, IndexError, MAX_PACKAGES_BYTES, MAX_RELEASE_BYTES, Release, package_names, wanted_paragraphs,
};
use debian::lock::{LockedPackage, LockedSuite, Role};
use model::Sha256Digest;
use sha2::{Digest, Sha256};

use super::ResolveError;
use super::apt_root::{AptRoot, PrintedUri, io_error};

/// One `Packages` index.
struct Index {
    path: PathBuf,
    /// Such as `http://mirror.example.org/debian/`, with the slash.
    repository: String,
    suite: String,
    component: String,
    /// `InRelease` of the suite, or `Release` where a mirror has only that.
    release: PathBuf,
    text: String,
}

/// All indices of a root, in the order of its sources.
pub(super) struct Indices {
    indices: Vec<Index>,
}

impl Indices {
    pub fn find(root: &AptRoot) -> Result<Self, ResolveError> {
        let mut indices = Vec::new();
        for line in root.index_targets()?.lines() {
            let fields: Vec<&str> = line.split('|').collect();
            let [file, repository, suite, component, key] = fields[..] else { continue };
            let path = PathBuf::from(file);
            indices.push(Index {
                release: release_beside(&path, key),
                text: read_text(&path, MAX_PACKAGES_BYTES)?,
                path,
                repository: repository.to_owned(),
                suite: suite.to_owned(),
                component: component.to_owned(),
            });
        }
        Ok(Self { indices })
    }

    /// Names of all packages of all suites.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.indices.iter().flat_map(|index| package_names(&index.text))
    }

    /// Looks the chosen packages up, keeping their order. All are taken for installed.
    pub fn locate(&self, chosen: &[PrintedUri]) -> Result<Vec<LockedPackage>, ResolveError> {
        let wanted: HashSet<&str> = chosen.iter().map(|uri| file_package(&uri.url)).collect();
        let mut found: HashMap<String, LockedPackage> = HashMap::new();
        for index in &self.indices {
            let bad = |source| ResolveError::Index { path: index.path.clone(), source };
            for paragraph in wanted_paragraphs(&index.text, |name| wanted.contains(name)) {
                let entry = paragraph
                    .map_err(IndexError::from)
                    .and_then(|paragraph| IndexEntry::from_paragraph(&paragraph))
                    .map_err(bad)?;
                // Suites share a pool: the first suite that lists the file is the one that is named.
                found
                    .entry(format!("{}{}", index.repository, entry.path))
                    .or_insert_with(|| locked(index, entry));
            }
        }
        let lookup = |uri: &PrintedUri| {
            found.get(&uri.url).cloned().ok_or_else(|| ResolveError::NotListed { url: uri.url.clone() })
        };
        chosen.iter().map(lookup).collect()
    }

    /// The suites with their dates and digests.
    pub fn suites(&self) -> Result<Vec<LockedSuite>, ResolveError> {
        let mut suites = BTreeMap::new();
        for index in &self.indices {
            if suites.contains_key(&index.suite) {
                continue;
            }
            let text = read_text(&index.release, MAX_RELEASE_BYTES)?;
            let release = Release::parse(&text)
                .map_err(|source| ResolveError::Index { path: index.release.clone(), source })?;
            let suite = LockedSuite {
                name: index.suite.clone(),
                date: release.date,
                release_sha256: Sha256Digest(Sha256::digest(&text).into()),
            };
            suites.insert(index.suite.clone(), suite);
        }
        Ok(suites.into_values().collect())
    }
}

fn locked(index: &Index, entry: IndexEntry) -> LockedPackage {
    LockedPackage {
        name: entry.name,
        version: entry.version,
        source: entry.source,
        source_version: entry.source_version,
        architecture: entry.architecture,
        suite: index.suite.clone(),
        component: index.component.clone(),
        section: entry.section,
        size: entry.size,
        sha256: entry.sha256,
        path: entry.path,
        role: Role::Installed,
        essential: entry.essential,
        requested: false,
    }
}

/// apt names list files after their URL, with underscores: the release file differs from the index in its end only.
fn release_beside(index: &Path, key: &str) -> PathBuf {
    let name = index.to_string_lossy();
    let stem = name.strip_suffix(&key.replace('/', "_")).unwrap_or(&name);
    let signed = PathBuf::from(format!("{stem}InRelease"));
    if signed.exists() { signed } else { PathBuf::from(format!("{stem}Release")) }
}

/// The package's name, of the URL of its file.
fn file_package(url: &str) -> &str {
    let file = url.rsplit('/').next().unwrap_or(url);
    file.split('_').next().unwrap_or(file)
}

fn read_text(path: &Path, limit: u64) -> Result<String, ResolveError> {
    let mut text = String::new();
    let file = File::open(path).map_err(|source| io_error(path, source))?;
    let count = file.take(limit + 1).read_to_string(&mut text).map_err(|source| io_error(path, source))?;
    if count as u64 > limit {
        return Err(io_error(path, std::io::Error::other("the index is larger than an index can be")));
    }
    Ok(text)
}
