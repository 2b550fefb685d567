//! The bill: all components of a release, whatever they are written as.

use std::collections::{BTreeMap, BTreeSet};

use debian::date::Timestamp;
use model::Sha256Digest;
use model::definition::Identity;
use tree::{Tree, TreePath};

use crate::licence::Licence;
use crate::uuid::Uuid5;

/// All components of one release.
#[derive(Clone, Debug, PartialEq)]
pub struct Bill {
    /// The appliance.
    pub identity: Identity,
    /// Digest of the image that the bill is of.
    pub root_hash: Sha256Digest,
    /// The day the packages are from: the same lock, the same time.
    pub time: Timestamp,
    /// Version of the Ampoule that built the release.
    pub tool_version: String,
    /// Sorted by id; an id occurs once.
    pub components: Vec<Component>,
}

/// One component.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Component {
    /// Unique within the bill: `deb:apache2`, `maker:shop`, `generator:ldconfig`, `npm:chart.js@4.4.1`.
    pub id: String,
    /// What it is.
    pub kind: Kind,
    /// What it is called.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Who delivers it.
    pub supplier: String,
    /// Who maintains it, as its metadata says.
    pub maintainer: String,
    /// What it is, in a line.
    pub summary: String,
    /// Where people read more.
    pub homepage: String,
    /// Package URL.
    pub purl: String,
    /// Common platform enumeration.
    pub cpe: String,
    /// Under which licence; `None` where nobody says so in a form that programs read.
    pub licence: Option<Licence>,
    /// Digest of the package as it was delivered.
    pub sha256: Option<Sha256Digest>,
    /// For Debian packages.
    pub source: Option<SourcePackage>,
    /// Its paths in the image, sorted.
    pub files: Vec<FileRef>,
    /// What it brings besides paths of the image: `esp:/EFI/BOOT/BOOTX64.EFI`, `uki:.linux`.
    pub places: Vec<String>,
    /// Ids of the components it needs, sorted.
    pub depends: Vec<String>,
    /// The maker's document that tells of it, when only that does.
    pub claimed_by: Option<String>,
}

/// What a component is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The distribution.
    OperatingSystem,
    /// A package of it.
    #[default]
    Debian,
    /// The maker's.
    Application,
    /// Of a language's package manager.
    Language,
    /// Ampoule's own.
    Ampoule,
    /// Files that a program made while the image was built.
    Generator,
    /// Known from the maker's document only.
    Claimed,
}

impl Kind {
    /// In documents and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::OperatingSystem => "operating-system",
            Kind::Debian => "debian",
            Kind::Application => "application",
            Kind::Language => "language",
            Kind::Ampoule => "ampoule",
            Kind::Generator => "generator",
            Kind::Claimed => "claimed",
        }
    }

    /// The kind of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        use Kind::*;
        let all = [OperatingSystem, Debian, Application, Language, Ampoule, Generator, Claimed];
        all.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// Where a Debian package came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourcePackage {
    /// Source package.
    pub name: String,
    /// Its version: what advisories speak of.
    pub version: String,
    /// Suite.
    pub suite: String,
    /// Part of the archive.
    pub component: String,
    /// Path of the binary package below the mirror.
    pub path: String,
    /// Whether the definition names the package.
    pub requested: bool,
}

/// One path of the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRef {
    /// Where.
    pub path: TreePath,
    /// Digest of a regular file.
    pub sha256: Option<Sha256Digest>,
    /// Whether it is a directory, which is no reason to call a component present.
    pub is_directory: bool,
}

impl Component {
    /// Whether anything of it but directories is in the image or boots it. Trim rules may have removed all of a package that
    /// helped to build the image.
    pub fn is_present(&self) -> bool {
        match self.kind {
            Kind::Debian => !self.places.is_empty() || self.files.iter().any(|file| !file.is_directory),
            _ => true,
        }
    }
}

impl Bill {
    /// `VENDOR/NAME` and version as the id of the appliance itself.
    pub fn appliance_id(&self) -> String {
        format!("appliance:{}@{}", self.identity.id(), self.identity.version)
    }

    /// Derived from the image's digest.
    pub fn serial(&self) -> Uuid5 {
        Uuid5::of(&format!("ampoule image {}", self.root_hash))
    }

    /// The component of this id.
    pub fn component(&self, id: &str) -> Option<&Component> {
        let index = self.components.binary_search_by(|it| it.id.as_str().cmp(id)).ok()?;
        Some(&self.components[index])
    }

    /// What the appliance is made of in the first place: everything that nothing else needs.
    pub fn roots(&self) -> Vec<&str> {
        let needed: BTreeSet<&str> =
            self.components.iter().flat_map(|it| it.depends.iter().map(String::as_str)).collect();
        let is_root = |component: &&Component| {
            let requested = component.source.as_ref().is_some_and(|source| source.requested);
            requested || !needed.contains(component.id.as_str())
        };
        self.components.iter().filter(is_root).map(|it| it.id.as_str()).collect()
    }

    /// Whose each path is.
    pub fn owners(&self) -> BTreeMap<&TreePath, &Component> {
        let pairs = self.components.iter().flat_map(|it| it.files.iter().map(move |file| (&file.path, it)));
        pairs.collect()
    }

    /// Paths of `tree` that no component has, that several have, and paths of components that are not in `tree`. All three
    /// are empty for a bill of that tree.
    pub fn uncovered(&self, tree: &Tree) -> Vec<String> {
        let mut counts: BTreeMap<&TreePath, usize> = BTreeMap::new();
        for file in self.components.iter().flat_map(|it| &it.files) {
            *counts.entry(&file.path).or_default() += 1;
        }
        let missing = tree.entries.keys().filter(|path| !counts.contains_key(path));
        let wrong = counts.iter().filter(|(path, count)| **count != 1 || !tree.entries.contains_key(**path));
        missing.chain(wrong.map(|(path, _)| *path)).map(ToString::to_string).collect()
    }
}
