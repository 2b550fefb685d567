//! Documents that a release carries and that are also sealed into its image, so that a bare disk explains itself.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tree::{Node, Origin, Tree, TreePath};

pub mod packages;

pub use packages::{PackageDocuments, PackageDocumentsError, PackageRecord, PackageRole};

/// Folder of the sealed documents in the image.
pub const SEALED_DOCUMENTS: &str = "usr/lib/ampoule/documents";
/// Name of the origins document in [`SEALED_DOCUMENTS`].
pub const ORIGINS: &str = "origins.json";

/// One Debian package of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct PackageFacts {
    /// Binary package name.
    pub name: String,
    /// Binary version.
    pub version: String,
    /// Debian architecture.
    pub architecture: String,
    /// Source package name.
    pub source: String,
    /// Source version: what advisories speak of.
    pub source_version: String,
    /// Suite it came from.
    pub suite: String,
    /// Files of the package that are in the image; 0 when trim rules removed all of them.
    pub files: u64,
}

/// Which paths came from where: paths by origin, in order.
///
/// The origin is written `package:NAME`, `maker:PATH` or `generator:NAME`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Origins(pub BTreeMap<String, Vec<String>>);

impl Origins {
    /// The origins of a tree.
    pub fn of(tree: &Tree) -> Self {
        let mut origins = Self::default();
        for (path, entry) in &tree.entries {
            origins.0.entry(origin_text(&entry.origin)).or_default().push(path.as_str().to_owned());
        }
        origins
    }

    /// The same by path.
    pub fn by_path(&self) -> BTreeMap<&str, &str> {
        let pairs = self
            .0
            .iter()
            .flat_map(|(origin, paths)| paths.iter().map(move |path| (path.as_str(), origin.as_str())));
        pairs.collect()
    }
}

/// Files of each package that are in a tree, directories not counted.
pub fn files_by_package(tree: &Tree) -> BTreeMap<&str, u64> {
    let mut counts = BTreeMap::new();
    for entry in tree.entries.values() {
        if let (Origin::Package(name), false) = (&entry.origin, entry.node == Node::Directory) {
            *counts.entry(name.as_str()).or_default() += 1;
        }
    }
    counts
}

/// `package:NAME`, `maker:PATH` or `generator:NAME`.
pub fn origin_text(origin: &Origin) -> String {
    match origin {
        Origin::Package(name) => format!("package:{name}"),
        Origin::Maker(path) => format!("maker:{path}"),
        Origin::Generator(name) => format!("generator:{name}"),
    }
}

/// Path of a sealed document in the image.
pub fn sealed_path(name: &str) -> TreePath {
    format!("{SEALED_DOCUMENTS}/{name}").parse().expect("document names are plain")
}
