//! RSA-PSS keys, for verification only: outside test suites, other makers' tools sign with these.

use ring::signature::{RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};

use crate::spki::{BIT_STRING, SEQUENCE, decode, element};

/// DER of rsaEncryption with its NULL, the algorithm of an RSA key.
const ALGORITHM: [u8; 15] =
    [0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];

/// RSA-PSS with SHA-256, a salt of 32 bytes, 2048 to 8192 bits: `RSAPublicKey` of RFC 8017.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RsaKey(Vec<u8>);

/// The text is no public key of this kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no PEM public key of the kind RSA")]
pub struct NoRsaKey;

impl RsaKey {
    /// Reads a key. How long it is is judged when it verifies.
    pub fn from_pem(pem: &str) -> Result<Self, NoRsaKey> {
        let read = || {
            let der = decode(pem)?;
            let (info, end) = element(&der, SEQUENCE)?;
            let bits = info.strip_prefix(&ALGORITHM)?;
            let (bits, rest) = element(bits, BIT_STRING)?;
            let key = bits.strip_prefix(&[0])?;
            (end.is_empty() && rest.is_empty()).then(|| Self(key.to_vec()))
        };
        read().ok_or(NoRsaKey)
    }

    /// Whether the signature is this key's over the message.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, &self.0).verify(message, signature).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spki::{BEGIN, encode};

    #[test]
    fn what_is_no_key_is_refused() {
        for text in ["", BEGIN, "-----BEGIN PUBLIC KEY----------END PUBLIC KEY-----", &encode(&ALGORITHM)] {
            assert_eq!(RsaKey::from_pem(text), Err(NoRsaKey));
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(body in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            for der in [body.clone(), [&[SEQUENCE, 0x40][..], &ALGORITHM, &body].concat()] {
                assert!(!RsaKey::from_pem(&encode(&der)).is_ok_and(|key| key.verifies(b"message", &body)));
            }
        }
    }
}
