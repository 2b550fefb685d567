//! What differs between a release and its rebuild, and the first file inside the image that does.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;

use image::{ReadAt, erofs, uki};
use release::manifest::Artifact;
use release::{ReleaseFolder, names};
use tree::diff::{Aspect, Difference};
use tree::{Node, Tree, TreePath, listing};

use super::RebuildError;

/// Longest UKI that is read.
const UKI_LIMIT: u64 = 512 << 20;

/// A release beside its rebuild.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// Files that are the same, with their digests.
    pub same: Vec<Artifact>,
    /// Names of files that differ, or that only one has.
    pub different: Vec<String>,
    /// Why, when something differs: the first cause that was found.
    pub explanation: Option<Explanation>,
}

impl Comparison {
    /// Whether everything is the same.
    pub fn is_identical(&self) -> bool {
        self.different.is_empty()
    }
}

/// Why two releases differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Path in the image, or what else differs: `/usr/lib/ampoule/agent`, `.initrd of shop_1.4.0.efi`.
    pub what: String,
    /// Where it came from, as the release says.
    pub origin: Option<String>,
    /// In one sentence.
    pub why: String,
    /// How many paths of the image differ.
    pub paths: usize,
}

/// Compares every file, and looks into the image when something differs.
pub fn compare(release: &ReleaseFolder, rebuilt: &ReleaseFolder) -> Result<Comparison, RebuildError> {
    let by_name = |folder: &ReleaseFolder| -> BTreeMap<String, Artifact> {
        folder.manifest().artifacts.iter().map(|it| (it.name.to_string(), it.clone())).collect()
    };
    let (ours, theirs) = (by_name(rebuilt), by_name(release));
    let (mut same, mut different) = (Vec::new(), Vec::new());
    for (name, artifact) in &theirs {
        match ours.get(name) {
            Some(other) if other.sha256 == artifact.sha256 => same.push(artifact.clone()),
            _ => different.push(name.clone()),
        }
    }
    different.extend(ours.keys().filter(|name| !theirs.contains_key(*name)).cloned());
    if release.manifest().to_bytes() != rebuilt.manifest().to_bytes() {
        // The manifest lists the others, so that it differs whenever one of them does.
        different.push(names::MANIFEST.to_owned());
    }
    let explanation = match different.is_empty() {
        true => None,
        false => Some(explain(release, rebuilt, &different)?),
    };
    Ok(Comparison { same, different, explanation })
}

fn explain(
    release: &ReleaseFolder,
    rebuilt: &ReleaseFolder,
    different: &[String],
) -> Result<Explanation, RebuildError> {
    let (old, new) = (tree_of(release)?, tree_of(rebuilt)?);
    let differences = tree::diff::diff(&old, &new);
    if let Some(first) = differences.first() {
        return in_image(release, rebuilt, first, differences.len());
    }
    let uki = release.uki()?.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if different.contains(&uki)
        && let Some(section) = section_that_differs(release, rebuilt)?
    {
        return Ok(Explanation {
            what: format!("section {section} of {uki}"),
            origin: None,
            why: "the kernel image has other bytes there; the root file system is the same".into(),
            paths: 0,
        });
    }
    let (one, other) = (release.manifest(), rebuilt.manifest());
    let why = match one.tool_version == other.tool_version {
        true => "the image is the same, and this file beside it is not".to_owned(),
        false => {
            format!("ampoule {} built the release, and this is {}", one.tool_version, other.tool_version)
        }
    };
    Ok(Explanation { what: different.first().cloned().unwrap_or_default(), origin: None, why, paths: 0 })
}

fn tree_of(release: &ReleaseFolder) -> Result<Tree, RebuildError> {
    let path = release.artifact(names::CONTENTS)?;
    let unreadable = |source| RebuildError::Image { path: names::CONTENTS.into(), source };
    let file = File::open(path).map_err(unreadable)?;
    listing::parse(BufReader::new(file)).map_err(|error| unreadable(io::Error::other(error)))
}

fn in_image(
    release: &ReleaseFolder,
    rebuilt: &ReleaseFolder,
    first: &Difference,
    paths: usize,
) -> Result<Explanation, RebuildError> {
    let (path, entry, why) = match first {
        Difference::Added { path, new } => (path, new, "only the rebuild has it".to_owned()),
        Difference::Removed { path, old } => (path, old, "only the release has it".to_owned()),
        Difference::Changed { path, old, new, aspects } => {
            let why = match (aspects.first(), &old.node, &new.node) {
                (Some(Aspect::Content), Node::File(before), Node::File(after)) => {
                    let at = first_difference(release, rebuilt, path)?;
                    let sizes = match before.size == after.size {
                        true => format!("{} bytes in both", before.size),
                        false => format!("{} bytes, {} in the rebuild", before.size, after.size),
                    };
                    format!("its content differs from byte {at} on ({sizes})")
                }
                _ => {
                    let words: Vec<String> =
                        aspects.iter().map(|it| format!("{it:?}").to_lowercase()).collect();
                    format!("it differs in {}", words.join(", "))
                }
            };
            (path, old, why)
        }
    };
    Ok(Explanation { what: path.to_string(), origin: Some(entry.origin.to_string()), why, paths })
}

/// Offset of the first byte that differs.
fn first_difference(
    release: &ReleaseFolder,
    rebuilt: &ReleaseFolder,
    path: &TreePath,
) -> Result<u64, RebuildError> {
    let (one, other) = (content_of(release, path)?, content_of(rebuilt, path)?);
    let equal = one.iter().zip(&other).take_while(|(one, other)| one == other).count();
    Ok(equal as u64)
}

/// Bytes of a file in the image of a release.
pub(super) fn content_of(release: &ReleaseFolder, path: &TreePath) -> Result<Vec<u8>, RebuildError> {
    let unreadable = |source| RebuildError::Image { path: path.to_string(), source };
    let root = RootFile::open(release)?;
    let image = erofs::Image::open(&root).map_err(|error| unreadable(io::Error::other(error)))?;
    let mut found = None;
    image
        .walk(|entry| {
            if entry.path == *path {
                found = Some(entry);
            }
        })
        .map_err(|error| unreadable(io::Error::other(error)))?;
    let entry = found.ok_or_else(|| unreadable(io::ErrorKind::NotFound.into()))?;
    let mut bytes = Vec::new();
    image.open_file(&entry).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

fn section_that_differs(
    release: &ReleaseFolder,
    rebuilt: &ReleaseFolder,
) -> Result<Option<String>, RebuildError> {
    let (one, other) = (uki_of(release)?, uki_of(rebuilt)?);
    let sections = |bytes: &[u8]| -> Result<Vec<(String, Vec<u8>)>, RebuildError> {
        let sections = uki::sections(bytes).map_err(|error| RebuildError::Image {
            path: "the unified kernel image".into(),
            source: io::Error::other(error),
        })?;
        Ok(sections.iter().map(|it| (it.name.to_string(), it.data.to_vec())).collect())
    };
    let (one, other) = (sections(&one)?, sections(&other)?);
    let differs = |(name, data): &&(String, Vec<u8>)| !other.contains(&(name.clone(), data.clone()));
    Ok(one.iter().find(differs).map(|(name, _)| name.clone()))
}

/// The UKI of a release.
pub(super) fn uki_of(release: &ReleaseFolder) -> Result<Vec<u8>, RebuildError> {
    let name = release.uki()?.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(release.read_document(&name, UKI_LIMIT)?)
}

struct RootFile {
    file: File,
    size: u64,
}

impl RootFile {
    fn open(release: &ReleaseFolder) -> Result<Self, RebuildError> {
        let path = release.artifact(names::ROOT)?;
        let open = || {
            let file = File::open(&path)?;
            let size = file.metadata()?.len();
            Ok(Self { file, size })
        };
        open().map_err(|source| RebuildError::Image { path: names::ROOT.into(), source })
    }
}

impl ReadAt for RootFile {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }

    fn size(&self) -> u64 {
        self.size
    }
}
