//! The tree while it is being composed: entries are put, replaced and removed, directories follow by themselves.

use std::io;

use tree::{Entry, Metadata, Node, Origin, Tree, TreePath};

use super::accounts::Owner;
use super::contents::Contents;
use super::{ComposeError, Conflict};

/// Links followed when a path is resolved. Stops two links that point at each other.
const LINK_LIMIT: usize = 32;

/// A tree under construction with the contents it names.
pub struct Draft<'a> {
    /// The tree so far.
    pub tree: Tree,
    /// Contents of its files.
    pub contents: Contents<'a>,
}

/// Who owns what is put.
#[derive(Clone, Copy, Debug)]
pub struct Attributes {
    /// Owner.
    pub owner: Owner,
    /// Permission bits.
    pub mode: u32,
}

/// root:root.
pub const ROOT: Owner = Owner { uid: 0, gid: 0 };

impl Draft<'_> {
    /// Resolves an absolute path through the tree's own directory links (`/bin/x` is `/usr/bin/x`).
    pub fn resolve(&self, path: &str) -> Result<TreePath, ComposeError> {
        let bad = |why: &'static str| ComposeError::Path { path: path.to_owned(), why };
        let mut pending: Vec<String> = path.split('/').rev().map(str::to_owned).collect();
        let mut resolved: Vec<String> = Vec::new();
        let mut links = 0;
        while let Some(part) = pending.pop() {
            match part.as_str() {
                "" | "." => continue,
                ".." => {
                    resolved.pop();
                    continue;
                }
                _ => resolved.push(part),
            }
            let here: TreePath =
                resolved.join("/").parse().map_err(|_| bad("is not a path inside an image"))?;
            let is_last = pending.iter().all(|rest| rest.is_empty());
            if let (false, Some(Entry { node: Node::Symlink { target }, .. })) =
                (is_last, self.tree.entries.get(&here))
            {
                links += 1;
                if links > LINK_LIMIT {
                    return Err(bad("passes through too many links"));
                }
                resolved.pop();
                if target.starts_with('/') {
                    resolved.clear();
                }
                pending.extend(target.split('/').rev().map(str::to_owned));
            }
        }
        resolved.join("/").parse().map_err(|_| bad("is not a path inside an image"))
    }

    /// The entry at a path, its last link not followed.
    pub fn entry(&self, path: &str) -> Option<&Entry> {
        self.tree.entries.get(&self.resolve(path).ok()?)
    }

    /// The text of a small file, `None` when there is none.
    pub fn read_text(&self, path: &str) -> Result<Option<String>, ComposeError> {
        let Some(Entry { node: Node::File(content), .. }) = self.entry(path) else { return Ok(None) };
        let error = |source| ComposeError::Read { path: path.to_owned(), source };
        let bytes = self.contents.read(content).map_err(error)?;
        String::from_utf8(bytes).map(Some).map_err(|_| error(io::ErrorKind::InvalidData.into()))
    }

    /// Puts a file with these bytes.
    pub fn put_bytes(
        &mut self,
        path: &str,
        bytes: impl Into<Vec<u8>>,
        attributes: Attributes,
        origin: &Origin,
    ) -> Result<(), ComposeError> {
        let content = self.contents.add_bytes(bytes.into());
        self.put(path, Node::File(content), attributes, origin)
    }

    /// Replaces a file's bytes and keeps its owner and mode; the origin becomes `origin`.
    pub fn rewrite(
        &mut self,
        path: &str,
        bytes: impl Into<Vec<u8>>,
        origin: &Origin,
    ) -> Result<(), ComposeError> {
        let attributes = match self.entry(path) {
            Some(Entry { metadata: Metadata { mode, uid, gid, .. }, .. }) => {
                Attributes { owner: Owner { uid: *uid, gid: *gid }, mode: *mode }
            }
            None => Attributes { owner: ROOT, mode: 0o644 },
        };
        self.put_bytes(path, bytes, attributes, origin)
    }

    /// Puts a link.
    pub fn put_link(&mut self, path: &str, target: &str, origin: &Origin) -> Result<(), ComposeError> {
        self.put(
            path,
            Node::Symlink { target: target.to_owned() },
            Attributes { owner: ROOT, mode: 0o777 },
            origin,
        )
    }

    /// Puts a directory, or changes the attributes of the one that is there.
    pub fn put_directory(
        &mut self,
        path: &str,
        attributes: Attributes,
        origin: &Origin,
    ) -> Result<(), ComposeError> {
        self.put(path, Node::Directory, attributes, origin)
    }

    /// Makes sure a directory is there and leaves an existing one as it is.
    pub fn ensure_directory(&mut self, path: &str, origin: &Origin) -> Result<(), ComposeError> {
        match self.entry(path).map(|entry| &entry.node) {
            Some(Node::Directory) => Ok(()),
            _ => self.put_directory(path, Attributes { owner: ROOT, mode: 0o755 }, origin),
        }
    }

    /// Puts one entry, and the directories above it where they are missing.
    pub fn put(
        &mut self,
        path: &str,
        node: Node,
        attributes: Attributes,
        origin: &Origin,
    ) -> Result<(), ComposeError> {
        let path = self.resolve(path)?;
        self.ensure_parents(&path, origin)?;
        let is_directory = |node: &Node| matches!(node, Node::Directory);
        if let Some(existing) = self.tree.entries.get(&path)
            && is_directory(&existing.node) != is_directory(&node)
        {
            let conflict = Conflict { path, first: existing.origin.clone(), second: origin.clone() };
            return Err(ComposeError::Conflict(Box::new(conflict)));
        }
        let Attributes { owner: Owner { uid, gid }, mode } = attributes;
        let metadata = Metadata { mode, uid, gid, xattrs: Default::default() };
        self.tree.entries.insert(path, Entry { metadata, node, origin: origin.clone() });
        Ok(())
    }

    /// Removes an entry and everything below it; nothing happens when it is not there.
    pub fn remove(&mut self, path: &TreePath) {
        self.tree.entries.retain(|candidate, _| !candidate.is_within(path));
    }

    fn ensure_parents(&mut self, path: &TreePath, origin: &Origin) -> Result<(), ComposeError> {
        let Some(parent) = path.parent() else { return Ok(()) };
        match self.tree.entries.get(&parent) {
            Some(Entry { node: Node::Directory, .. }) => Ok(()),
            Some(other) => {
                let conflict = Conflict { path: parent, first: other.origin.clone(), second: origin.clone() };
                Err(ComposeError::Conflict(Box::new(conflict)))
            }
            None => {
                self.ensure_parents(&parent, origin)?;
                let metadata = Metadata { mode: 0o755, ..Metadata::default() };
                let entry = Entry { metadata, node: Node::Directory, origin: origin.clone() };
                self.tree.entries.insert(parent, entry);
                Ok(())
            }
        }
    }
}
