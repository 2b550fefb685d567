//! The root file tree as a value: every path, its metadata, and where it came from.
//!
//! Owns merging, trimming, scrubbing, the canonical listing and the structural difference. Refuses the file
//! system: contents are named by digest and read through [`ContentSource`]. Times are not part of a tree: an image
//! gives every file the same one.

use std::collections::BTreeMap;
use std::io;

use model::Sha256Digest;
use serde::{Deserialize, Serialize};

pub mod diff;
mod glob;
pub mod listing;
pub mod merge;
mod path;
#[cfg(test)]
mod testing;
pub mod trim;

pub use glob::{Pattern, PatternSyntax};
pub use path::{PathSyntax, TreePath};

/// All entries by path. The root directory itself is the entry with the empty path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    /// Sorted by path, bytewise.
    pub entries: BTreeMap<TreePath, Entry>,
}

/// One path of the tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Mode, owner, attributes.
    #[serde(flatten)]
    pub metadata: Metadata,
    /// What it is.
    #[serde(flatten)]
    pub node: Node,
    /// Where it came from.
    pub origin: Origin,
}

/// Metadata of an entry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// Permission bits with setuid, setgid and sticky: 0o7777 at most.
    pub mode: u32,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Extended attributes by full name (`security.capability`), raw values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub xattrs: BTreeMap<String, Vec<u8>>,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "type")]
pub enum Node {
    /// Directory.
    Directory,
    /// Regular file.
    File(Content),
    /// Another name of a regular file; `target` is an entry of type `File`. Metadata equals the target's.
    HardLink {
        /// The first name.
        target: TreePath,
    },
    /// Symbolic link with its text.
    Symlink {
        /// As it is stored, relative or absolute.
        target: String,
    },
    /// Character device.
    CharacterDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// Named pipe.
    Fifo,
}

/// Content of a file, by what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Content {
    /// SHA-256 of the bytes.
    pub sha256: Sha256Digest,
    /// Length in bytes.
    pub size: u64,
}

/// Where an entry came from (law 6).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// A Debian package, by binary package name.
    Package(String),
    /// A file beside the definition, by its path there.
    Maker(String),
    /// Something Ampoule or a maintainer script made, by the generator's name.
    Generator(String),
}

impl std::fmt::Display for Origin {
    /// As it stands in a sentence: `package bash`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Origin::Package(name) => write!(f, "package {name}"),
            Origin::Maker(path) => write!(f, "the maker's file {path}"),
            Origin::Generator(name) => write!(f, "generator {name}"),
        }
    }
}

/// Where contents are read from.
///
/// Implementers MUST return exactly `content.size` bytes that hash to `content.sha256`, or an error. Callers MUST NOT
/// assume that two calls return the same kind of reader.
pub trait ContentSource: Sync {
    /// Opens a content for reading from its start.
    fn open(&self, content: &Content) -> io::Result<Box<dyn io::Read + Send + '_>>;
}
