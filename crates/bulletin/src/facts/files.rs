//! Changed files: exactly the difference of the two images.

use model::Sha256Digest;
use serde::{Deserialize, Serialize};

use super::Layer;

/// All of them, with sums.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Files {
    /// In numbers.
    pub summary: FileSummary,
    /// Whose files changed, the maker's first.
    pub owners: Vec<Owner>,
    /// Every changed path, sorted by owner and path.
    pub changes: Vec<FileChange>,
}

/// Changed files in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FileSummary {
    /// Paths only the new image has.
    pub added: usize,
    /// Paths only the old image has.
    pub removed: usize,
    /// Paths both have, differently.
    pub changed: usize,
    /// Pairs of a removed and an added path that are one thing under another version in its name: counted here and not above.
    pub moved: usize,
    /// Of the pairs, those with the same content.
    pub moved_same: usize,
    /// Paths that are the same in both.
    pub same: usize,
    /// Paths that only came from somewhere else; their bytes are the same.
    pub origin_only: usize,
}

/// Whose files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Owner {
    /// Maker, source package or generator.
    pub kind: OwnerKind,
    /// Its name.
    pub name: String,
    /// Its layer.
    pub layer: Layer,
    /// How many of the changes are its.
    pub changes: usize,
    /// Of these, how many hold the same under another build, date or version in their name.
    pub same: usize,
    /// Bytes of its new and changed files.
    pub bytes: u64,
}

/// What sort of owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OwnerKind {
    /// The maker's own files.
    Maker,
    /// A Debian source package.
    Source,
    /// Ampoule or a maintainer script.
    Generator,
    /// Nobody says.
    Unknown,
}

/// One changed path.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FileChange {
    /// In the new image; in the old one, when it was removed.
    pub path: String,
    /// The path in the old image, when it moved.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub was: Option<String>,
    /// What happened.
    pub nature: Nature,
    /// Index into [`Files::owners`].
    pub owner: usize,
    /// In what the two differ.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub aspects: Vec<String>,
    /// Before.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub old: Option<FileState>,
    /// After.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub new: Option<FileState>,
    /// What differs inside.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub detail: Option<Detail>,
}

/// What happened to a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Nature {
    /// New.
    Added,
    /// Gone.
    Removed,
    /// Different.
    Changed,
    /// Under another version in its name, and perhaps different.
    Moved,
}

/// A path in one image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct FileState {
    /// `file`, `directory`, `link`, `hard link`, `device`, `pipe`.
    pub kind: String,
    /// Octal.
    pub mode: String,
    /// Numeric owner and group.
    pub owner: String,
    /// Bytes of a file.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub size: Option<u64>,
    /// Digest of a file.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sha256: Option<Sha256Digest>,
    /// Text of a link, numbers of a device.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub target: Option<String>,
}

/// What differs inside of a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", tag = "type")]
pub enum Detail {
    /// A text.
    Text {
        /// Unified difference.
        diff: String,
        /// Lines left out, when it is very long.
        left_out: usize,
    },
    /// A program or library.
    Elf(ElfChange),
    /// An archive: names in it.
    Archive(ListChange),
    /// Something else, or too large to be looked into: why.
    Opaque {
        /// Why.
        why: String,
    },
}

/// What differs in a program.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ElfChange {
    /// Sections of another size: name, old, new.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub sections: Vec<(String, u64, u64)>,
    /// Libraries it is linked with.
    #[serde(skip_serializing_if = "ListChange::is_empty", default)]
    pub libraries: ListChange,
    /// Symbols it offers to others.
    #[serde(skip_serializing_if = "ListChange::is_empty", default)]
    pub exports: ListChange,
    /// Protections, by name.
    #[serde(skip_serializing_if = "ListChange::is_empty", default)]
    pub protections: ListChange,
    /// Whether only its build id and the like differ.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub only_notes: bool,
}

/// What was added to and removed from a list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ListChange {
    /// New.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub added: Vec<String>,
    /// Gone.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub removed: Vec<String>,
    /// How many more there are of both that are not listed.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub more: usize,
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl ListChange {
    /// The difference of two lists; at most `limit` names of each are kept.
    pub fn between<'a>(
        old: impl IntoIterator<Item = &'a String>,
        new: impl IntoIterator<Item = &'a String>,
        limit: usize,
    ) -> Self {
        let old: std::collections::BTreeSet<&String> = old.into_iter().collect();
        let new: std::collections::BTreeSet<&String> = new.into_iter().collect();
        let list = |one: &std::collections::BTreeSet<&String>,
                    other: &std::collections::BTreeSet<&String>| {
            let all: Vec<String> = one.difference(other).map(|name| (*name).clone()).collect();
            let more = all.len().saturating_sub(limit);
            (all.into_iter().take(limit).collect::<Vec<_>>(), more)
        };
        let ((added, more_added), (removed, more_removed)) = (list(&new, &old), list(&old, &new));
        Self { added, removed, more: more_added + more_removed }
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.more == 0
    }
}
