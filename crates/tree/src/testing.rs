//! Short ways to write trees in tests.

use model::Sha256Digest;

use crate::{Content, Entry, Metadata, Node, Origin, Tree, TreePath};

pub fn path(text: &str) -> TreePath {
    text.parse().unwrap()
}

fn entry(mode: u32, node: Node) -> Entry {
    Entry { metadata: Metadata { mode, ..Metadata::default() }, node, origin: Origin::Package("test".into()) }
}

pub fn directory() -> Entry {
    entry(0o755, Node::Directory)
}

/// A file whose digest is `seed` 32 times.
pub fn file(seed: u8, size: u64) -> Entry {
    entry(0o644, Node::File(Content { sha256: Sha256Digest([seed; 32]), size }))
}

pub fn symlink(target: &str) -> Entry {
    entry(0o777, Node::Symlink { target: target.into() })
}

pub fn hard_link(target: &str) -> Entry {
    entry(0o644, Node::HardLink { target: path(target) })
}

pub fn tree<const N: usize>(entries: [(&str, Entry); N]) -> Tree {
    Tree { entries: entries.into_iter().map(|(text, entry)| (path(text), entry)).collect() }
}
