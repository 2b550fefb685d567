//! What differs between two trees, path by path.

use serde::{Deserialize, Serialize};

use crate::{Entry, Node, Tree, TreePath};

/// One difference. Sorted by path in a [`diff`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "change")]
pub enum Difference {
    /// Only the new tree has it.
    Added {
        /// Where.
        path: TreePath,
        /// What.
        new: Entry,
    },
    /// Only the old tree has it.
    Removed {
        /// Where.
        path: TreePath,
        /// What.
        old: Entry,
    },
    /// Both have it, and it is not the same.
    Changed {
        /// Where.
        path: TreePath,
        /// In the old tree.
        old: Entry,
        /// In the new tree.
        new: Entry,
        /// In what they differ; never empty.
        aspects: Vec<Aspect>,
    },
}

/// In what two entries differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Aspect {
    /// File, directory, link ...; then no other aspect of the node is named.
    Kind,
    /// Bytes of a file.
    Content,
    /// Text of a symbolic link, first name of a hard link, numbers of a device.
    Target,
    /// Permission bits without setuid, setgid and sticky.
    Permissions,
    /// Setuid, setgid or sticky bit.
    SpecialBits,
    /// Owner or group.
    Owner,
    /// Extended attributes other than capabilities.
    ExtendedAttributes,
    /// File capabilities.
    Capabilities,
    /// Where it came from.
    Origin,
}

/// The extended attribute that holds a file's capabilities.
pub const CAPABILITY_ATTRIBUTE: &str = "security.capability";

/// All differences from `old` to `new`.
pub fn diff(old: &Tree, new: &Tree) -> Vec<Difference> {
    let mut differences = Vec::new();
    let mut news = new.entries.iter().peekable();
    for (path, entry) in &old.entries {
        while let Some((added, entry)) = news.next_if(|(other, _)| *other < path) {
            differences.push(Difference::Added { path: added.clone(), new: entry.clone() });
        }
        match news.next_if(|(other, _)| *other == path) {
            None => differences.push(Difference::Removed { path: path.clone(), old: entry.clone() }),
            Some((_, changed)) => {
                let aspects = aspects(entry, changed);
                if !aspects.is_empty() {
                    let (old, new) = (entry.clone(), changed.clone());
                    differences.push(Difference::Changed { path: path.clone(), old, new, aspects });
                }
            }
        }
    }
    differences
        .extend(news.map(|(path, entry)| Difference::Added { path: path.clone(), new: entry.clone() }));
    differences
}

/// In what `old` and `new` differ, in the order of [`Aspect`].
pub fn aspects(old: &Entry, new: &Entry) -> Vec<Aspect> {
    let mut aspects = Vec::new();
    if old.node != new.node {
        aspects.push(match (&old.node, &new.node) {
            (Node::File(_), Node::File(_)) => Aspect::Content,
            (Node::Symlink { .. }, Node::Symlink { .. })
            | (Node::HardLink { .. }, Node::HardLink { .. })
            | (Node::CharacterDevice { .. }, Node::CharacterDevice { .. }) => Aspect::Target,
            _ => Aspect::Kind,
        });
    }
    let (before, after) = (&old.metadata, &new.metadata);
    let mut differs = |aspect, is_different| {
        if is_different {
            aspects.push(aspect);
        }
    };
    differs(Aspect::Permissions, before.mode & 0o777 != after.mode & 0o777);
    differs(Aspect::SpecialBits, before.mode & 0o7000 != after.mode & 0o7000);
    differs(Aspect::Owner, (before.uid, before.gid) != (after.uid, after.gid));
    let capability = CAPABILITY_ATTRIBUTE;
    let without = |metadata: &crate::Metadata| {
        let mut xattrs = metadata.xattrs.clone();
        xattrs.remove(capability);
        xattrs
    };
    differs(Aspect::ExtendedAttributes, without(before) != without(after));
    differs(Aspect::Capabilities, before.xattrs.get(capability) != after.xattrs.get(capability));
    differs(Aspect::Origin, old.origin != new.origin);
    aspects
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{directory, file, symlink, tree};

    #[test]
    fn a_difference_is_added_removed_or_changed_and_sorted_by_path() {
        let old = tree([("b", file(1, 1)), ("c", file(1, 1)), ("d", directory())]);
        let new = tree([("a", file(1, 1)), ("c", file(2, 1)), ("d", directory()), ("e", symlink("a"))]);
        let found: Vec<String> = diff(&old, &new)
            .iter()
            .map(|difference| match difference {
                Difference::Added { path, .. } => format!("+{path}"),
                Difference::Removed { path, .. } => format!("-{path}"),
                Difference::Changed { path, aspects, .. } => format!("~{path}{aspects:?}"),
            })
            .collect();
        assert_eq!(found, ["+/a", "-/b", "~/c[Content]", "+/e"]);
        assert_eq!(diff(&old, &old), []);
    }

    #[test]
    fn a_new_setuid_bit_and_a_new_capability_are_aspects_of_their_own() {
        let old = file(1, 1);
        let mut new = file(1, 1);
        new.metadata.mode |= 0o4000;
        new.metadata.xattrs.insert(CAPABILITY_ATTRIBUTE.into(), vec![1]);
        new.metadata.xattrs.insert("user.x".into(), vec![1]);
        assert_eq!(
            aspects(&old, &new),
            [Aspect::SpecialBits, Aspect::ExtendedAttributes, Aspect::Capabilities]
        );
        assert_eq!(aspects(&old, &directory()), [Aspect::Kind, Aspect::Permissions]);
    }
}
