//! Entry bundles: up to 256 entries, each behind its length.

/// Longest entry in bytes: its length is a 16-bit number.
pub const ENTRY_LIMIT: usize = u16::MAX as usize;
/// Longest bundle in bytes. Nothing longer is read: stops a server from filling memory.
pub const BUNDLE_LIMIT: usize = 256 * (2 + ENTRY_LIMIT);

/// The bytes are no entry bundle of this width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// It ends inside of an entry.
    #[error("the bundle ends inside of its entry {0}")]
    Truncated(usize),
    /// It has another number of entries.
    #[error("the bundle has not the {0} entries it should have")]
    Count(u16),
}

/// The bytes of a bundle. Every entry MUST be within [`ENTRY_LIMIT`].
pub fn bundle_bytes<'a>(entries: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in entries {
        let length = u16::try_from(entry.len()).expect("BUG: an entry longer than its limit");
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(entry);
    }
    bytes
}

/// The entries of a bundle, which MUST be exactly `width`.
pub fn bundle_entries(bytes: &[u8], width: u16) -> Result<Vec<&[u8]>, BundleError> {
    let (mut entries, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        if entries.len() == usize::from(width) {
            return Err(BundleError::Count(width));
        }
        let truncated = BundleError::Truncated(entries.len());
        let (length, behind) = rest.split_first_chunk().ok_or(truncated)?;
        let (entry, behind) =
            behind.split_at_checked(usize::from(u16::from_be_bytes(*length))).ok_or(truncated)?;
        entries.push(entry);
        rest = behind;
    }
    if entries.len() == usize::from(width) { Ok(entries) } else { Err(BundleError::Count(width)) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_bundle_of_another_width_or_cut_is_refused() {
        let bytes = bundle_bytes([b"one".as_slice(), b"", b"three"]);
        assert_eq!(bundle_entries(&bytes, 3), Ok(vec![b"one".as_slice(), b"", b"three"]));
        assert_eq!(bundle_entries(&bytes, 2), Err(BundleError::Count(2)));
        assert_eq!(bundle_entries(&bytes, 4), Err(BundleError::Count(4)));
        assert_eq!(bundle_entries(&bytes[..bytes.len() - 1], 3), Err(BundleError::Truncated(2)));
        assert_eq!(bundle_entries(&bytes[..6], 3), Err(BundleError::Truncated(1)));
        assert_eq!(bundle_entries(&[&bytes[..], b"\0"].concat(), 4), Err(BundleError::Truncated(3)));
    }

    proptest! {
        #[test]
        fn a_bundle_reads_what_it_writes(entries in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..256)) {
            let bytes = bundle_bytes(entries.iter().map(Vec::as_slice));
            prop_assert_eq!(bundle_entries(&bytes, entries.len() as u16).expect("reads"), entries);
        }

        #[test]
        fn any_bytes_are_a_bundle_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..2_000), width in 0u16..=256) {
            if let Ok(entries) = bundle_entries(&bytes, width) {
                prop_assert_eq!(bundle_bytes(entries), bytes);
            }
        }
    }
}
