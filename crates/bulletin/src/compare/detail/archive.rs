//! Archives: which names came and went. tar, plain or packed with gzip, and zip.

use std::io::Read;

use crate::facts::ListChange;

/// Names of one archive that are listed.
const NAME_LIMIT: usize = 50_000;
/// Bytes that a packed archive may have, unpacked.
const PLAIN_LIMIT: u64 = 256 << 20;
/// Names shown of each kind.
const SHOWN: usize = 40;

/// The difference of the lists of two archives; `None` when one is no archive.
pub fn change(old: &[u8], new: &[u8]) -> Option<ListChange> {
    Some(ListChange::between(&names(old)?, &names(new)?, SHOWN))
}

fn names(bytes: &[u8]) -> Option<Vec<String>> {
    if bytes.starts_with(b"PK\x03\x04") {
        return zip_names(bytes);
    }
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut plain = Vec::new();
        flate2::read::MultiGzDecoder::new(bytes).take(PLAIN_LIMIT).read_to_end(&mut plain).ok()?;
        return tar_names(&plain);
    }
    tar_names(bytes)
}

fn tar_names(bytes: &[u8]) -> Option<Vec<String>> {
    if bytes.get(257..262) != Some(b"ustar".as_slice()) {
        return None;
    }
    let mut archive = tar::Archive::new(bytes);
    let entries = archive.entries().ok()?.take(NAME_LIMIT);
    entries.map(|entry| Some(String::from_utf8_lossy(&entry.ok()?.path_bytes()).into_owned())).collect()
}

/// Names in the central directory (APPNOTE 4.3.12), found from the end record (4.3.16).
fn zip_names(bytes: &[u8]) -> Option<Vec<String>> {
    let le16 = |at: usize| Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
    let le32 = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    // The end record is followed by a comment of at most 65535 bytes.
    let tail = bytes.len().saturating_sub(22 + 65_535);
    let end =
        (tail..bytes.len().saturating_sub(21)).rev().find(|at| bytes[*at..].starts_with(b"PK\x05\x06"))?;
    let mut at = le32(end + 16)? as usize;
    let mut names = Vec::new();
    while names.len() < NAME_LIMIT && bytes.get(at..at.checked_add(4)?) == Some(b"PK\x01\x02".as_slice()) {
        let (name, extra, comment) = (le16(at + 28)?, le16(at + 30)?, le16(at + 32)?);
        let start = at + 46;
        names.push(String::from_utf8_lossy(bytes.get(start..start + usize::from(name))?).into_owned());
        at = start + usize::from(name) + usize::from(extra) + usize::from(comment);
    }
    Some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tar_of(names: &[&str]) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for name in names {
            let mut header = tar::Header::new_ustar();
            header.set_size(0);
            archive.append_data(&mut header, name, std::io::empty()).expect("memory");
        }
        archive.into_inner().expect("memory")
    }

    #[test]
    fn names_that_came_and_went_are_listed() {
        let change = change(&tar_of(&["a", "b"]), &tar_of(&["b", "c"])).expect("archives");
        assert_eq!((change.added, change.removed), (vec!["c".to_owned()], vec!["a".to_owned()]));
    }

    #[test]
    fn damaged_archives_are_no_archives() {
        for bytes in [
            &b"PK\x03\x04"[..],
            b"PK\x03\x04PK\x05\x06\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\x1f\x8b",
            b"",
        ] {
            let _ = change(bytes, bytes);
        }
    }
}
