//! What differs inside of a file, as far as a reader can use it.

use tree::{Entry, Node, TreePath};

use crate::facts::{Detail, OwnerKind};
use crate::side::Side;

mod archive;
mod elf;
mod text;

pub use elf::is_note;

/// Largest file that is looked into.
const FILE_LIMIT: u64 = 128 << 20;
/// Bytes of differences of texts in one bulletin. Stops a page that nobody can load; what is left out is counted.
const TEXT_BUDGET: usize = 900 << 10;

/// How much may still be shown.
pub struct Budget {
    text: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { text: TEXT_BUDGET }
    }
}

/// Files whose content is nobody's business even where it changed.
const SECRETS: [&str; 4] = ["etc/shadow", "etc/gshadow", "etc/shadow-", "etc/gshadow-"];

/// What differs between the contents of two paths; nothing where no content differs.
pub fn detail(
    old: &Side<'_>,
    new: &Side<'_>,
    (old_path, new_path): (&TreePath, &TreePath),
    (old_entry, new_entry): (Option<&Entry>, Option<&Entry>),
    owner: OwnerKind,
    budget: &mut Budget,
) -> Option<Detail> {
    let content = |entry: Option<&Entry>| match entry.map(|entry| &entry.node) {
        Some(Node::File(content)) => Some(*content),
        _ => None,
    };
    let (before, after) = (content(old_entry), content(new_entry));
    if before == after {
        return None;
    }
    if SECRETS.contains(&new_path.as_str()) {
        return Some(Detail::Opaque { why: "not shown: it may hold secrets".into() });
    }
    if before.into_iter().chain(after).any(|content| content.size > FILE_LIMIT) {
        return Some(Detail::Opaque { why: "too large to be looked into".into() });
    }
    let both = before.is_some() && after.is_some();
    // What is new or gone as a whole is shown where people wrote it, and named elsewhere.
    if !both && !matches!(owner, OwnerKind::Maker | OwnerKind::Generator) {
        return None;
    }
    let old_bytes = before.and_then(|_| old.bytes(old_path, FILE_LIMIT)).unwrap_or_default();
    let new_bytes = after.and_then(|_| new.bytes(new_path, FILE_LIMIT)).unwrap_or_default();
    if holds_key(&old_bytes) || holds_key(&new_bytes) {
        return Some(Detail::Opaque { why: "not shown: it holds a private key".into() });
    }
    if let Some(change) = both.then(|| elf::change(&old_bytes, &new_bytes)).flatten() {
        return Some(Detail::Elf(change));
    }
    if let Some(change) = both.then(|| archive::change(&old_bytes, &new_bytes)).flatten() {
        return Some(Detail::Archive(change));
    }
    text::change(&old_bytes, &new_bytes, &mut budget.text)
}

/// Whether a text holds a private key in PEM, as servers and SSH keep them. Programs that know the words are no keys.
fn holds_key(bytes: &[u8]) -> bool {
    let is_text = bytes.starts_with(b"-----BEGIN ") || !bytes.iter().take(8192).any(|byte| *byte == 0);
    is_text && bytes.windows(KEY_MARK.len()).any(|window| window == KEY_MARK)
}

/// End of the first line of a private key: `-----BEGIN RSA PRIVATE KEY-----`.
const KEY_MARK: &[u8] = b" PRIVATE KEY-----\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_keys_are_never_shown() {
        let key = concat!("-----BEGIN OPENSSH", " PRIVATE KEY-----\nAAAA\n");
        assert!(holds_key(key.as_bytes()));
        assert!(!holds_key(b"\x7fELF\0 PRIVATE KEY-----\n") && !holds_key(b"a text"));
    }
}
