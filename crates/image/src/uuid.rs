//! UUIDs as values. Making them up is refused: they are given, or derived from a digest.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

/// A UUID; the bytes are in the order of its text.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid(pub [u8; 16]);

/// The text is not a UUID.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{text}` is not a UUID: 8-4-4-4-12 hexadecimal digits are expected")]
pub struct UuidSyntax {
    /// What was given, cut to a printable length.
    text: String,
}

impl Uuid {
    /// All zero: "unused" in a GPT.
    pub const NIL: Uuid = Uuid([0; 16]);

    /// From a number whose hexadecimal digits are the UUID's text.
    pub const fn from_u128(number: u128) -> Self {
        Self(number.to_be_bytes())
    }

    /// A UUID that depends on nothing but `label` and `seed`, marked as version 8 (RFC 9562 section 5.8).
    pub fn derived(label: &str, seed: &[u8]) -> Self {
        let mut hash = Sha256::new();
        // The length keeps (label, seed) pairs apart.
        hash.update((label.len() as u64).to_le_bytes());
        hash.update(label);
        hash.update(seed);
        let digest: [u8; 32] = hash.finalize().into();
        let mut bytes: [u8; 16] = crate::bytes::take(&digest, 0);
        bytes[6] = 0x80 | (bytes[6] & 0x0F);
        bytes[8] = 0x80 | (bytes[8] & 0x3F);
        Self(bytes)
    }

    /// As GPT stores it: the first three groups little-endian (UEFI specification, appendix A).
    pub fn to_gpt_bytes(self) -> [u8; 16] {
        let mut bytes = self.0;
        bytes[0..4].reverse();
        bytes[4..6].reverse();
        bytes[6..8].reverse();
        bytes
    }

    /// Inverse of [`Uuid::to_gpt_bytes`].
    pub fn from_gpt_bytes(bytes: [u8; 16]) -> Self {
        // Swapping twice changes nothing, so that one function serves both ways.
        Self(Self(bytes).to_gpt_bytes())
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Uuid({self})")
    }
}

impl FromStr for Uuid {
    type Err = UuidSyntax;

    fn from_str(text: &str) -> Result<Self, UuidSyntax> {
        let syntax = || UuidSyntax { text: text.chars().take(60).collect() };
        let dashes_are_right = text.len() == 36
            && text.bytes().enumerate().all(|(index, byte)| {
                if matches!(index, 8 | 13 | 18 | 23) { byte == b'-' } else { byte.is_ascii_hexdigit() }
            });
        if !dashes_are_right {
            return Err(syntax());
        }
        let number = u128::from_str_radix(&text.replace('-', ""), 16).map_err(|_| syntax())?;
        Ok(Self::from_u128(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_reads_what_it_writes() {
        let text = "0fc63daf-8483-4772-8e79-3d69d8477de4";
        let uuid: Uuid = text.parse().unwrap();
        assert_eq!(uuid.to_string(), text);
        assert_eq!(uuid, Uuid::from_u128(0x0fc63daf_8483_4772_8e79_3d69d8477de4));
        for bad in
            ["", "0fc63daf84834772-8e79-3d69d8477de4-----", "+fc63daf-8483-4772-8e79-3d69d8477de4", "é"]
        {
            assert!(bad.parse::<Uuid>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_gpt_stores_the_first_three_groups_backwards() {
        let uuid = Uuid::from_u128(0x00112233_4455_6677_8899_aabbccddeeff);
        let stored = uuid.to_gpt_bytes();
        assert_eq!(stored[..8], [0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66]);
        assert_eq!(stored[8..], uuid.0[8..]);
        assert_eq!(Uuid::from_gpt_bytes(stored), uuid);
    }

    #[test]
    fn derived_uuids_differ_by_label_and_by_seed() {
        let one = Uuid::derived("disk", b"x");
        assert_eq!(one, Uuid::derived("disk", b"x"));
        assert_ne!(one, Uuid::derived("esp", b"x"));
        assert_ne!(one, Uuid::derived("disk", b"y"));
        assert_eq!(one.to_string().as_bytes()[14], b'8');
    }
}
