//! Packages of languages among the maker's files, found by what their package managers leave there.
//!
//! Owns the search and the limits. Refuses Debian's packages: those are listed as what they are, and their files are theirs
//! (a second name for the same code would be matched against advisories that Debian has answered). The exceptions are
//! dependency lists embedded in programs, which take no file away.

use std::collections::BTreeMap;
use std::io::Read;

use tree::{Content, ContentSource, Node, Origin, Tree, TreePath};

use crate::bill::Component;

mod composer;
mod node;
pub mod programs;
mod python;

/// Longest metadata file that is read. Stops a file with a familiar name from filling memory.
const TEXT_LIMIT: u64 = 64 << 20;
/// Most components of languages. Stops a forged list from making a bill that nobody can read.
pub const COMPONENT_LIMIT: usize = 100_000;

/// A component and what is its own.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The component, without files.
    pub component: Component,
    /// Folders with everything below them, unless something deeper has a folder of its own.
    pub folders: Vec<TreePath>,
    /// Single paths.
    pub files: Vec<TreePath>,
}

/// Everything that can be found. `outside` are programs that are part of the appliance and not in the tree.
pub fn find(tree: &Tree, contents: &dyn ContentSource, outside: &[&[u8]]) -> Vec<Found> {
    let looker = Looker { tree, contents };
    let mut found = Vec::new();
    found.extend(python::find(&looker));
    found.extend(node::find(&looker));
    found.extend(composer::find(&looker));
    found.extend(programs::find(&looker));
    found.extend(outside.iter().filter_map(|bytes| programs::of_bytes(bytes, None)).flatten());
    let mut merged: BTreeMap<String, Found> = BTreeMap::new();
    for one in found.into_iter().take(COMPONENT_LIMIT) {
        match merged.get_mut(&one.component.id) {
            None => {
                merged.insert(one.component.id.clone(), one);
            }
            // The same package twice, in two folders or two programs.
            Some(first) => {
                first.folders.extend(one.folders);
                first.files.extend(one.files);
                first.component.depends.extend(one.component.depends);
                first.component.licence = first.component.licence.take().or(one.component.licence);
            }
        }
    }
    let mut all: Vec<Found> = merged.into_values().collect();
    for one in &mut all {
        one.component.depends.sort();
        one.component.depends.dedup();
    }
    all
}

/// Looks at files of the tree.
struct Looker<'a> {
    tree: &'a Tree,
    contents: &'a dyn ContentSource,
}

impl<'a> Looker<'a> {
    /// The maker's regular files.
    fn makers_files(&self) -> impl Iterator<Item = (&'a TreePath, &'a Content)> + use<'a> {
        self.tree.entries.iter().filter_map(|(path, entry)| match (&entry.origin, &entry.node) {
            (Origin::Maker(_), Node::File(content)) => Some((path, content)),
            _ => None,
        })
    }

    /// The text of a file; `None` when it is not there, too long or no UTF-8.
    fn text(&self, path: &TreePath) -> Option<String> {
        let Node::File(content) = &self.tree.entries.get(path)?.node else { return None };
        String::from_utf8(self.bytes(content, TEXT_LIMIT)?).ok()
    }

    /// The bytes of a content that has at most `limit` of them.
    fn bytes(&self, content: &Content, limit: u64) -> Option<Vec<u8>> {
        if content.size > limit {
            return None;
        }
        let mut bytes = Vec::new();
        self.contents.open(content).ok()?.take(limit).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }
}

/// Folder of a path, if it has one.
fn folder_of(path: &TreePath) -> Option<TreePath> {
    path.parent()
}

/// `../x` and `a/b` as seen from a folder; `None` when it leads out of the image.
fn beside(folder: &TreePath, relative: &str) -> Option<TreePath> {
    let mut parts: Vec<&str> = folder.as_str().split('/').filter(|part| !part.is_empty()).collect();
    for part in relative.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            _ => parts.push(part),
        }
    }
    parts.join("/").parse().ok()
}

#[cfg(test)]
mod tests;
