//! Extended attributes beside an inode.

use std::collections::BTreeMap;

use crate::bytes::le16;

/// Header before the inline attributes.
pub(super) const HEADER_SIZE: usize = 12;
const ENTRY_SIZE: usize = 4;

/// Name prefixes with their numbers. The two access control lists are whole names.
const PREFIXES: [(u8, &str); 5] = [
    (2, "system.posix_acl_access"),
    (3, "system.posix_acl_default"),
    (1, "user."),
    (4, "trusted."),
    (6, "security."),
];

/// Why a set of attributes has no place in an image.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum XattrProblem {
    /// The name's first part is none that EROFS can store.
    #[error("attribute `{name}` is of a kind that EROFS can not store")]
    UnknownPrefix {
        /// Full name.
        name: String,
    },
    /// Name or value is too long.
    #[error("attribute `{name}` is too long")]
    TooLong {
        /// Full name.
        name: String,
    },
    /// All together they exceed what an inode can count.
    #[error("attributes of one file exceed 256 KiB")]
    TooMany,
}

/// Encodes all attributes with their header; empty when there are none. The length is a multiple of four.
pub(super) fn encode(xattrs: &BTreeMap<String, Vec<u8>>) -> Result<Vec<u8>, XattrProblem> {
    if xattrs.is_empty() {
        return Ok(Vec::new());
    }
    let mut out = vec![0; HEADER_SIZE];
    for (name, value) in xattrs {
        let (index, suffix) =
            split(name).ok_or_else(|| XattrProblem::UnknownPrefix { name: name.clone() })?;
        let too_long = || XattrProblem::TooLong { name: name.clone() };
        out.push(u8::try_from(suffix.len()).map_err(|_| too_long())?);
        out.push(index);
        out.extend(u16::try_from(value.len()).map_err(|_| too_long())?.to_le_bytes());
        out.extend(suffix.as_bytes());
        out.extend(value);
        out.resize(out.len().next_multiple_of(ENTRY_SIZE), 0);
    }
    if count(out.len()).is_none() { Err(XattrProblem::TooMany) } else { Ok(out) }
}

/// The inode's `i_xattr_icount` for an encoded length.
pub(super) fn count(length: usize) -> Option<u16> {
    match length {
        0 => Some(0),
        length => u16::try_from((length - HEADER_SIZE) / ENTRY_SIZE + 1).ok(),
    }
}

/// Inverse of [`count`].
pub(super) fn encoded_size(count: u16) -> usize {
    if count == 0 { 0 } else { HEADER_SIZE + ENTRY_SIZE * (usize::from(count) - 1) }
}

/// Ids of shared attributes, and the bytes of the inline ones behind them.
pub(super) fn split_header(body: &[u8]) -> Option<(Vec<u32>, &[u8])> {
    let shared = usize::from(*body.get(4)?);
    let ids = body.get(HEADER_SIZE..HEADER_SIZE + shared * ENTRY_SIZE)?;
    let ids = ids.chunks_exact(ENTRY_SIZE).map(|id| crate::bytes::le32(id, 0)).collect();
    Some((ids, &body[HEADER_SIZE + shared * ENTRY_SIZE..]))
}

/// Decodes the entry at the start of `bytes`: full name, value and length used. `None` when it is not one.
pub(super) fn decode_entry(bytes: &[u8]) -> Option<(String, Vec<u8>, usize)> {
    let header = bytes.get(..ENTRY_SIZE)?;
    let (name_length, index, value_length) =
        (usize::from(header[0]), header[1], usize::from(le16(header, 2)));
    let (_, prefix) = PREFIXES.iter().find(|(number, _)| *number == index)?;
    let suffix = std::str::from_utf8(bytes.get(ENTRY_SIZE..ENTRY_SIZE + name_length)?).ok()?;
    let value_start = ENTRY_SIZE + name_length;
    let value = bytes.get(value_start..value_start + value_length)?.to_vec();
    Some((format!("{prefix}{suffix}"), value, (value_start + value_length).next_multiple_of(ENTRY_SIZE)))
}

/// Length of the entry whose four-byte header is given.
pub(super) fn entry_size(header: [u8; 4]) -> usize {
    (ENTRY_SIZE + usize::from(header[0]) + usize::from(le16(&header, 2))).next_multiple_of(ENTRY_SIZE)
}

fn split(name: &str) -> Option<(u8, &str)> {
    PREFIXES.iter().find_map(|(index, prefix)| {
        let suffix = name.strip_prefix(prefix)?;
        // An empty rest is right exactly for whole names.
        (suffix.is_empty() != prefix.ends_with('.')).then_some((*index, suffix))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_at_the_prefixes_that_erofs_numbers() {
        assert_eq!(split("security.capability"), Some((6, "capability")));
        assert_eq!(split("user.x"), Some((1, "x")));
        assert_eq!(split("system.posix_acl_default"), Some((3, "")));
        assert_eq!(split("system.posix_acl_accessory"), None);
        assert_eq!(split("user."), None);
        assert_eq!(split("btrfs.compression"), None);
    }

    #[test]
    fn attributes_decode_to_what_was_encoded() {
        let xattrs = BTreeMap::from([
            ("security.capability".to_owned(), vec![1, 0, 0, 2, 0, 4, 0, 0]),
            ("user.note".to_owned(), b"odd".to_vec()),
        ]);
        let encoded = encode(&xattrs).unwrap();
        assert_eq!(encoded_size(count(encoded.len()).unwrap()), encoded.len());
        let (shared, mut rest) = split_header(&encoded).unwrap();
        assert!(shared.is_empty());
        let mut decoded = BTreeMap::new();
        while !rest.is_empty() {
            let (name, value, used) = decode_entry(rest).unwrap();
            decoded.insert(name, value);
            rest = &rest[used..];
        }
        assert_eq!(decoded, xattrs);
    }
}
