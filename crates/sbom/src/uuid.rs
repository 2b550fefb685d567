//! UUIDs of version 5 (RFC 9562, section 5.5).

use std::fmt;

use sha1::{Digest, Sha1};

/// Our namespace: the UUID of version 5 of `ampoule` in the namespace of URLs.
const NAMESPACE: [u8; 16] =
    [0xcf, 0x2b, 0x7d, 0x5f, 0x10, 0xd5, 0x5c, 0xfc, 0x8e, 0x25, 0xba, 0x1e, 0xd2, 0x06, 0x6c, 0x32];

/// An identifier that follows from a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Uuid5([u8; 16]);

impl Uuid5 {
    /// The identifier of a text.
    pub fn of(text: &str) -> Self {
        let digest = Sha1::new().chain_update(NAMESPACE).chain_update(text).finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        bytes[6] = bytes[6] & 0x0f | 0x50;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Self(bytes)
    }
}

impl fmt::Display for Uuid5 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            let hyphen = if [4, 6, 8, 10].contains(&index) { "-" } else { "" };
            write!(f, "{hyphen}{byte:02x}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_has_version_and_variant_and_follows_from_the_text() {
        let text = Uuid5::of("a").to_string();
        assert_eq!((text.len(), &text[14..15]), (36, "5"));
        assert!("89ab".contains(&text[19..20]));
        assert_eq!(Uuid5::of("a"), Uuid5::of("a"));
        assert_ne!(Uuid5::of("a"), Uuid5::of("b"));
    }
}
