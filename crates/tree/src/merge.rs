//! Laying one tree over another, and following a tree's own symbolic links.

use crate::{Entry, Node, Origin, Tree, TreePath};

/// Most symbolic links followed for one path. Stops links that point at each other.
pub const MAX_LINKS: usize = 40;

/// What happens when both trees have a file, link or device at one path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlap {
    /// It is an error, unless both are equal.
    Refuse,
    /// The overlay's entry takes the place.
    Replace,
}

/// The trees can not be laid over each other.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum MergeError {
    /// Both have something else at the path.
    #[error("{path} comes from both {below} and {above}")]
    Conflict {
        /// Where.
        path: TreePath,
        /// Origin in the lower tree.
        below: Origin,
        /// Origin in the overlay.
        above: Origin,
    },
    /// One has a directory where the other has not.
    #[error("{path} is a directory in one of {below} and {above}, and something else in the other")]
    Kind {
        /// Where.
        path: TreePath,
        /// Origin in the lower tree.
        below: Origin,
        /// Origin in the overlay.
        above: Origin,
    },
    /// A parent of the path is not a directory.
    #[error(
        "{path} of {above} would lie below {parent}, which {below} has as something other than a directory"
    )]
    Parent {
        /// What was to be placed.
        path: TreePath,
        /// Its ancestor in the lower tree.
        parent: TreePath,
        /// Origin of the ancestor.
        below: Origin,
        /// Origin in the overlay.
        above: Origin,
    },
    /// Links lead in a circle or out of the tree.
    #[error("the symbolic links on the way to {path} lead in a circle or nowhere")]
    Links {
        /// The path asked for.
        path: TreePath,
    },
}

impl Tree {
    /// Whether an entry lies below the directory `path`.
    pub fn has_below(&self, path: &TreePath) -> bool {
        let after = self.entries.range((std::ops::Bound::Excluded(path), std::ops::Bound::Unbounded));
        if path.as_str().is_empty() {
            return after.into_iter().next().is_some();
        }
        // Between `a` and `a/b` only names such as `a-x` sort: bytes below `/`.
        after
            .take_while(|(other, _)| other.as_str().starts_with(path.as_str()))
            .any(|(other, _)| other.is_within(path))
    }

    /// The real path behind `path`: its parents' symbolic links are followed inside the tree, its last component is
    /// not. Parents that the tree does not have are taken as they are.
    pub fn resolve_parents(&self, path: &TreePath) -> Result<TreePath, MergeError> {
        let circle = || MergeError::Links { path: path.clone() };
        let mut links = 0;
        let mut pending: Vec<String> = path.as_str().split('/').rev().map(str::to_owned).collect();
        let mut at = TreePath::root();
        while let Some(part) = pending.pop() {
            match part.as_str() {
                "" | "." => continue,
                ".." => {
                    at = at.parent().unwrap_or_default();
                    continue;
                }
                _ => {}
            }
            let next = at.join(&part).map_err(|_| circle())?;
            match self.entries.get(&next).map(|entry| &entry.node) {
                Some(Node::Symlink { target }) if !pending.is_empty() => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(circle());
                    }
                    if target.starts_with('/') {
                        at = TreePath::root();
                    }
                    pending.extend(target.split('/').rev().map(str::to_owned));
                }
                _ => at = next,
            }
        }
        Ok(at)
    }
}

/// Lays `above` over `below`. Paths of `above` are followed through the links of `below`, so that a file for
/// `/lib/x` lands in `/usr/lib/x`. A directory that both have keeps the metadata of `below` under
/// [`Overlap::Refuse`] and takes those of `above` under [`Overlap::Replace`].
pub fn merge(below: &mut Tree, above: &Tree, overlap: Overlap) -> Result<(), MergeError> {
    for (wanted, entry) in &above.entries {
        let path = below.resolve_parents(wanted)?;
        check_parents(below, &path, entry)?;
        let mut entry = entry.clone();
        if let Node::HardLink { target } = &entry.node {
            entry.node = Node::HardLink { target: below.resolve_parents(target)? };
        }
        match below.entries.get(&path) {
            None => {}
            Some(existing) if existing.node == entry.node && existing.metadata == entry.metadata => continue,
            Some(existing) => {
                let origins = || (existing.origin.clone(), entry.origin.clone());
                let (was_directory, is_directory) =
                    (existing.node == Node::Directory, entry.node == Node::Directory);
                if was_directory != is_directory {
                    let points_at_directory = is_directory && matches!(existing.node, Node::Symlink { .. });
                    if points_at_directory {
                        continue;
                    }
                    let (below, above) = origins();
                    return Err(MergeError::Kind { path, below, above });
                }
                if overlap == Overlap::Refuse {
                    if is_directory {
                        continue;
                    }
                    let (below, above) = origins();
                    return Err(MergeError::Conflict { path, below, above });
                }
                give_links_their_content(below, &path);
            }
        }
        below.entries.insert(path, entry);
    }
    Ok(())
}

fn check_parents(below: &Tree, path: &TreePath, entry: &Entry) -> Result<(), MergeError> {
    let mut parent = path.parent();
    while let Some(ancestor) = parent.filter(|ancestor| !ancestor.as_str().is_empty()) {
        if let Some(existing) = below.entries.get(&ancestor)
            && existing.node != Node::Directory
        {
            return Err(MergeError::Parent {
                path: path.clone(),
                parent: ancestor,
                below: existing.origin.clone(),
                above: entry.origin.clone(),
            });
        }
        parent = ancestor.parent();
    }
    Ok(())
}

/// Replacing the first name of a hard-linked file must not change its other names.
fn give_links_their_content(tree: &mut Tree, path: &TreePath) {
    let Some(Node::File(content)) = tree.entries.get(path).map(|entry| entry.node.clone()) else { return };
    let is_link = |entry: &Entry| matches!(&entry.node, Node::HardLink { target } if target == path);
    let names: Vec<TreePath> =
        tree.entries.iter().filter(|(_, entry)| is_link(entry)).map(|(name, _)| name.clone()).collect();
    let Some(first) = names.first().cloned() else { return };
    for name in names {
        let node = if name == first { Node::File(content) } else { Node::HardLink { target: first.clone() } };
        tree.entries.entry(name).and_modify(|entry| entry.node = node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{directory, file, hard_link, path, symlink, tree};

    #[test]
    fn a_conflict_names_both_origins() {
        let mut below = tree([("etc", directory()), ("etc/x", file(1, 1))]);
        let mut above = tree([("etc/x", file(2, 2))]);
        above.entries.get_mut(&path("etc/x")).unwrap().origin = Origin::Maker("files/x".into());
        let error = merge(&mut below, &above, Overlap::Refuse).unwrap_err();
        assert_eq!(error.to_string(), "/etc/x comes from both package test and the maker's file files/x");
        merge(&mut below, &above, Overlap::Replace).unwrap();
        assert_eq!(below.entries[&path("etc/x")].node, file(2, 2).node);
    }

    #[test]
    fn a_file_lands_behind_the_links_of_the_lower_tree() {
        let mut below = tree([("lib", symlink("usr/lib")), ("usr", directory()), ("usr/lib", directory())]);
        merge(&mut below, &tree([("lib/x", file(1, 1))]), Overlap::Refuse).unwrap();
        assert!(below.entries.contains_key(&path("usr/lib/x")));
        assert!(!below.entries.contains_key(&path("lib/x")));
    }

    #[test]
    fn links_that_lead_in_a_circle_are_refused() {
        let mut below = tree([("a", symlink("b")), ("b", symlink("/a"))]);
        assert!(matches!(
            merge(&mut below, &tree([("a/x", file(1, 1))]), Overlap::Refuse),
            Err(MergeError::Links { .. })
        ));
    }

    #[test]
    fn nothing_is_placed_below_a_file_and_no_directory_replaces_one() {
        let below = tree([("a", file(1, 1))]);
        let place = |above| merge(&mut below.clone(), &above, Overlap::Replace);
        assert!(matches!(place(tree([("a/b", file(1, 1))])), Err(MergeError::Parent { .. })));
        assert!(matches!(place(tree([("a", directory())])), Err(MergeError::Kind { .. })));
    }

    #[test]
    fn replacing_the_first_name_leaves_the_content_to_the_others() {
        let mut below = tree([("a", file(1, 1)), ("b", hard_link("a")), ("c", hard_link("a"))]);
        merge(&mut below, &tree([("a", file(2, 2))]), Overlap::Replace).unwrap();
        assert_eq!(below.entries[&path("b")].node, file(1, 1).node);
        assert_eq!(below.entries[&path("c")].node, hard_link("b").node);
    }

    #[test]
    fn names_that_only_begin_alike_are_not_below() {
        let tree = tree([("a", directory()), ("a-b", file(1, 1)), ("a0", file(1, 1))]);
        assert!(!tree.has_below(&path("a")));
        assert!(tree.has_below(&TreePath::root()));
    }
}
