//! Keys of other makers' tools: ECDSA on P-256 and RSA-PSS, for verification only.
//!
//! A maker whose cloud has no Ed25519, and outside test suites, sign with these. Public keys are read from PEM
//! (`SubjectPublicKeyInfo`, RFC 5280 and RFC 5480).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ECDSA_P256_SHA256_ASN1, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};

/// Longest PEM text, in bytes: an RSA key of 8192 bits has 1.5 KiB. Stops a key from filling memory.
pub const PEM_LIMIT: usize = 4 << 10;

const BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const END: &str = "-----END PUBLIC KEY-----";
/// DER before the point of a P-256 key: id-ecPublicKey with the named curve prime256v1.
const P256_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// An uncompressed point: 0x04, x, y.
const P256_POINT: usize = 65;
/// DER of rsaEncryption with its NULL, the algorithm of an RSA key.
const RSA_ALGORITHM: [u8; 15] =
    [0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
const SEQUENCE: u8 = 0x30;
const BIT_STRING: u8 = 0x03;

/// A public key that is not Ed25519.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForeignKey {
    /// ECDSA on P-256 with SHA-256: the uncompressed point. Signatures are DER.
    EcdsaP256(Vec<u8>),
    /// RSA-PSS with SHA-256, a salt of 32 bytes, 2048 to 8192 bits: `RSAPublicKey` of RFC 8017.
    RsaPss(Vec<u8>),
}

/// The text is no public key of this kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no PEM public key of the kind {0}")]
pub struct NoForeignKey(pub &'static str);

impl ForeignKey {
    /// Reads an ECDSA key on P-256.
    pub fn ecdsa_p256(pem: &str) -> Result<Self, NoForeignKey> {
        let wrong = NoForeignKey("ECDSA P-256");
        let der = decode(pem).ok_or(wrong)?;
        let point = der.strip_prefix(&P256_PREFIX).ok_or(wrong)?;
        // Only the uncompressed form: one key has one spelling, and counts once towards a threshold.
        if point.len() != P256_POINT || point[0] != 0x04 {
            return Err(wrong);
        }
        Ok(Self::EcdsaP256(point.to_vec()))
    }

    /// Reads an RSA key. How long it is is judged when it verifies.
    pub fn rsa_pss(pem: &str) -> Result<Self, NoForeignKey> {
        let read = || {
            let der = decode(pem)?;
            let (info, end) = element(&der, SEQUENCE)?;
            let bits = info.strip_prefix(&RSA_ALGORITHM)?;
            let (bits, rest) = element(bits, BIT_STRING)?;
            let key = bits.strip_prefix(&[0])?;
            (end.is_empty() && rest.is_empty()).then(|| Self::RsaPss(key.to_vec()))
        };
        read().ok_or(NoForeignKey("RSA"))
    }

    /// Whether the signature is this key's over the message.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::EcdsaP256(point) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point).verify(message, signature).is_ok()
            }
            Self::RsaPss(key) => {
                UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, key).verify(message, signature).is_ok()
            }
        }
    }
}

fn decode(pem: &str) -> Option<Vec<u8>> {
    if pem.len() > PEM_LIMIT {
        return None;
    }
    let body = pem.trim().strip_prefix(BEGIN)?.strip_suffix(END)?;
    STANDARD.decode(body.split_ascii_whitespace().collect::<String>()).ok()
}

/// The content of one DER element with this tag, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81 => (usize::from(*rest.first()?), &rest[1..]),
        0x82 => (usize::from(u16::from_be_bytes(rest.get(..2)?.try_into().ok()?)), &rest[2..]),
        _ => return None,
    };
    if found == tag { rest.split_at_checked(length) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6979, A.2.5: the public key of P-256.
    const POINT: &str = "0460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6\
                         7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299";

    fn p256() -> String {
        let point = crate::unhex(POINT).expect("hexadecimal");
        format!("{BEGIN}\n{}\n{END}\n", STANDARD.encode([&P256_PREFIX[..], &point].concat()))
    }

    #[test]
    fn the_key_of_rfc_6979_verifies_its_signature_and_no_other() {
        let signature = crate::unhex(
            "3046022100efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716\
             022100f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8",
        )
        .expect("hexadecimal");
        let key = ForeignKey::ecdsa_p256(&p256()).expect("a key");
        assert!(key.verifies(b"sample", &signature));
        assert!(!key.verifies(b"simple", &signature));
        assert!(!key.verifies(b"sample", &signature[..signature.len() - 1]));
        assert!(!key.verifies(b"sample", &[]));
    }

    #[test]
    fn a_key_of_another_kind_is_refused() {
        assert_eq!(ForeignKey::rsa_pss(&p256()), Err(NoForeignKey("RSA")));
        for text in
            ["", BEGIN, END, "-----BEGIN PUBLIC KEY----------END PUBLIC KEY-----", &p256().repeat(100)]
        {
            assert!(ForeignKey::ecdsa_p256(text).is_err() && ForeignKey::rsa_pss(text).is_err());
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_readers_panic(body in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            let pem = format!("{BEGIN}\n{}\n{END}\n", STANDARD.encode(&body));
            for key in [ForeignKey::ecdsa_p256(&pem), ForeignKey::rsa_pss(&pem)].into_iter().flatten() {
                assert!(!key.verifies(b"message", &body));
            }
            let _ = element(&body, SEQUENCE);
        }
    }
}
