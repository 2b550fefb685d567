//! The contents document: every entry of a tree, one JSON object a line, sorted by path. Byte-stable.

use std::io::{self, BufRead, Write};

use model::Sha256Digest;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{Entry, Tree, TreePath};

/// Longest line. Stops a document without line ends from filling memory.
pub const MAX_LINE: u64 = 1 << 20;

/// Most entries. Stops a document of endless short lines from filling memory.
pub const MAX_ENTRIES: usize = 4_000_000;

/// The document can not be read.
#[derive(Debug, thiserror::Error)]
pub enum ListingError {
    /// Reading failed.
    #[error("the contents document can not be read")]
    Read(#[source] io::Error),
    /// A line is not an entry.
    #[error("line {line} of the contents document is not an entry")]
    Syntax {
        /// Counted from 1.
        line: usize,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A line is longer than [`MAX_LINE`] or there are more than [`MAX_ENTRIES`].
    #[error("line {line} of the contents document goes beyond what a document may hold")]
    TooLarge {
        /// Counted from 1.
        line: usize,
    },
    /// Paths are not in strictly rising order.
    #[error("line {line} of the contents document is not sorted after the line before it")]
    Order {
        /// Counted from 1.
        line: usize,
    },
}

#[derive(Serialize)]
struct LineRef<'a> {
    path: &'a TreePath,
    #[serde(flatten)]
    entry: &'a Entry,
}

#[derive(Deserialize)]
struct Line {
    path: TreePath,
    #[serde(flatten)]
    entry: Entry,
}

/// Writes the document of `tree`.
pub fn write(tree: &Tree, out: &mut dyn Write) -> io::Result<()> {
    for (path, entry) in &tree.entries {
        serde_json::to_writer(&mut *out, &LineRef { path, entry })?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

/// The document of `tree`.
pub fn to_bytes(tree: &Tree) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(tree, &mut bytes).expect("writing to memory does not fail, and entries have only string keys");
    bytes
}

/// SHA-256 of the document: one digest for the whole tree.
pub fn digest(tree: &Tree) -> Sha256Digest {
    Sha256Digest(Sha256::digest(to_bytes(tree)).into())
}

/// Reads a document back.
pub fn parse(mut input: impl BufRead) -> Result<Tree, ListingError> {
    let mut tree = Tree::default();
    let mut text = String::new();
    for line in 1.. {
        text.clear();
        let length = io::Read::take(&mut input, MAX_LINE).read_line(&mut text).map_err(ListingError::Read)?;
        if length == 0 {
            break;
        }
        if length as u64 == MAX_LINE || line > MAX_ENTRIES {
            return Err(ListingError::TooLarge { line });
        }
        let Line { path, entry } =
            serde_json::from_str(&text).map_err(|source| ListingError::Syntax { line, source })?;
        if tree.entries.last_key_value().is_some_and(|(last, _)| *last >= path) {
            return Err(ListingError::Order { line });
        }
        tree.entries.insert(path, entry);
    }
    Ok(tree)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{directory, file, hard_link, path, symlink, tree};
    use crate::{Metadata, Node, Origin};

    fn every_kind() -> Tree {
        let mut all = tree([
            ("", directory()),
            ("bin", symlink("usr/bin")),
            ("dev/null", Entry { node: Node::CharacterDevice { major: 1, minor: 3 }, ..directory() }),
            ("run/pipe", Entry { node: Node::Fifo, ..directory() }),
            ("usr/bin/a", file(7, u64::MAX)),
            ("usr/bin/b \"ü\n", hard_link("usr/bin/a")),
        ]);
        let ping = all.entries.get_mut(&path("usr/bin/a")).unwrap();
        let capability = ("security.capability".to_owned(), vec![1, 0, 0, 2, 255]);
        ping.metadata = Metadata { mode: 0o4755, uid: 1, gid: 4_000_000_000, xattrs: [capability].into() };
        ping.origin = Origin::Generator("depmod".into());
        all
    }

    #[test]
    fn a_listing_reads_back_what_it_wrote() {
        let bytes = to_bytes(&every_kind());
        let read = parse(&bytes[..]).unwrap();
        assert_eq!(read, every_kind());
        assert_eq!(to_bytes(&read), bytes);
    }

    #[test]
    fn a_listing_never_changes_its_bytes() {
        let bytes = to_bytes(&tree([("etc/x", file(0xab, 3))]));
        let expected = format!(
            "{{\"path\":\"etc/x\",\"mode\":420,\"uid\":0,\"gid\":0,\"type\":\"file\",\"sha256\":\"{}\",\"size\":3,\"origin\":{{\"package\":\"test\"}}}}\n",
            "ab".repeat(32)
        );
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
    }

    #[test]
    fn unsorted_doubled_and_malformed_lines_are_refused_by_number() {
        let line = |name| String::from_utf8(to_bytes(&tree([(name, file(1, 1))]))).unwrap();
        let of = |text: String| parse(text.as_bytes()).unwrap_err();
        assert!(matches!(of(line("b") + &line("a")), ListingError::Order { line: 2 }));
        assert!(matches!(of(line("a") + &line("a")), ListingError::Order { line: 2 }));
        assert!(matches!(of("{}\n".into()), ListingError::Syntax { line: 1, .. }));
        assert!(matches!(of("x".repeat(MAX_LINE as usize + 9)), ListingError::TooLarge { line: 1 }));
    }
}
