//! ECDSA keys on P-256 with SHA-256: what tokens, HSMs and clouds have that have no Ed25519. Verification, and the one form in which a key
//! is written; whoever signs keeps the key elsewhere.
//!
//! Public keys are PEM (`SubjectPublicKeyInfo`, RFC 5480), signatures are DER (`ECDSA-Sig-Value`, RFC 3279).

use std::fmt;

use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};

use crate::spki::{self, SEQUENCE, decode, element, encode};

/// DER before the point of a key: id-ecPublicKey with the named curve prime256v1.
const PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// The algorithm and the curve, as they are in [`PREFIX`].
const ALGORITHM: &[u8] = PREFIX.split_at(4).1.split_at(19).0;
const ID_EC: &[u8] = ALGORITHM.split_at(9).0;
const ID_ED25519: &[u8] = &[0x06, 0x03, 0x2b, 0x65, 0x70];
const ID_RSA: &[u8] = &[0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];

/// An uncompressed point: 0x04, x, y.
const POINT_LENGTH: usize = 65;
const INTEGER: u8 = 0x02;

/// Bytes of a signature in the form of PKCS#11 and of JOSE: r and s, each as long as the curve's order.
pub const RAW_LENGTH: usize = 64;

/// A public key. Whether its point is on the curve is judged when it verifies: one that is not verifies nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct EcdsaKey([u8; POINT_LENGTH]);

/// The text is no public key of this kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoEcdsaKey {
    /// It is something else, or damaged.
    #[error("has no public key in PEM")]
    NotPem,
    /// It is what nobody may have.
    #[error("has a secret key, and the public one is wanted")]
    Secret,
    /// Ours, in a form that is not ours.
    #[error("has an Ed25519 key, which is given as 64 hexadecimal digits")]
    Ed25519,
    /// RSA is verified for others only.
    #[error("has an RSA key, and ECDSA on P-256 is wanted")]
    Rsa,
    /// ECDSA on P-384 and the like.
    #[error("has a key of another curve than P-256")]
    OtherCurve,
    /// A compressed point: one key has one spelling, and counts once towards a threshold.
    #[error("has a P-256 key in another form than uncompressed")]
    OtherForm,
    /// An algorithm that is not known.
    #[error("has a key of another kind than ECDSA on P-256")]
    OtherKind,
}

impl EcdsaKey {
    /// Reads a key.
    pub fn from_pem(pem: &str) -> Result<Self, NoEcdsaKey> {
        let Some(der) = decode(pem) else {
            let is_secret = pem.contains("PRIVATE KEY-----");
            return Err(if is_secret { NoEcdsaKey::Secret } else { NoEcdsaKey::NotPem });
        };
        match der.strip_prefix(&PREFIX).map(<[u8; POINT_LENGTH]>::try_from) {
            Some(Ok(point)) if point[0] == 0x04 => Ok(Self(point)),
            _ => Err(what_else(spki::algorithm(&der))),
        }
    }

    /// The one text of this key.
    pub fn to_pem(&self) -> String {
        encode(&[&PREFIX[..], &self.0].concat())
    }

    /// Whether the signature, in DER, is this key's over the message.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.0).verify(message, signature).is_ok()
    }
}

fn what_else(algorithm: Option<&[u8]>) -> NoEcdsaKey {
    match algorithm {
        None => NoEcdsaKey::NotPem,
        Some(ALGORITHM) => NoEcdsaKey::OtherForm,
        Some(other) if other.starts_with(ID_EC) => NoEcdsaKey::OtherCurve,
        Some(other) if other.starts_with(ID_ED25519) => NoEcdsaKey::Ed25519,
        Some(other) if other.starts_with(ID_RSA) => NoEcdsaKey::Rsa,
        Some(_) => NoEcdsaKey::OtherKind,
    }
}

/// PEM.
impl fmt::Display for EcdsaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_pem())
    }
}

impl fmt::Debug for EcdsaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EcdsaKey(")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}

/// What these bytes may be as a signature, in DER: they are DER, or [`RAW_LENGTH`] bytes of r and s. Some are both; which one is meant shows
/// when it verifies.
pub fn readings(bytes: &[u8]) -> Vec<Vec<u8>> {
    let is_der = element(bytes, SEQUENCE).is_some_and(|(_, rest)| rest.is_empty());
    let der = is_der.then(|| bytes.to_vec());
    let raw = <&[u8; RAW_LENGTH]>::try_from(bytes).ok().map(der_of);
    der.into_iter().chain(raw).collect()
}

fn der_of(raw: &[u8; RAW_LENGTH]) -> Vec<u8> {
    let (r, s) = raw.split_at(RAW_LENGTH / 2);
    let numbers = [integer(r), integer(s)].concat();
    // Two numbers of at most 33 bytes: the length takes one byte.
    [&[SEQUENCE, numbers.len() as u8], &numbers[..]].concat()
}

/// A number that is not negative, in as few bytes as it takes (X.690, 8.3).
fn integer(big_endian: &[u8]) -> Vec<u8> {
    let zeros = big_endian.iter().take_while(|byte| **byte == 0).count();
    let digits = &big_endian[zeros..];
    // The highest bit is the sign.
    let pad: &[u8] = if digits.first().is_none_or(|byte| byte & 0x80 != 0) { &[0] } else { &[] };
    [&[INTEGER, (pad.len() + digits.len()) as u8], pad, digits].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spki::BEGIN;

    /// RFC 6979, A.2.5: the public key of P-256.
    const POINT: &str = "0460fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6\
                         7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299";
    /// The same: r and s over "sample" with SHA-256.
    const RAW: &str = "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716\
                       f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8";
    const SIGNATURE: &str = "3046022100efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716\
                             022100f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8";

    fn bytes(hex: &str) -> Vec<u8> {
        crate::unhex(hex).expect("hexadecimal")
    }

    fn pem() -> String {
        encode(&[&PREFIX[..], &bytes(POINT)].concat())
    }

    #[test]
    fn the_key_of_rfc_6979_verifies_its_signature_and_no_other() {
        let signature = bytes(SIGNATURE);
        let key = EcdsaKey::from_pem(&pem()).expect("a key");
        assert!(key.verifies(b"sample", &signature));
        assert!(!key.verifies(b"simple", &signature));
        assert!(!key.verifies(b"sample", &signature[..signature.len() - 1]));
        assert!(!key.verifies(b"sample", &[]));
    }

    #[test]
    fn r_and_s_are_read_as_the_der_that_they_are() {
        assert_eq!(readings(&bytes(RAW)), [bytes(SIGNATURE)]);
        assert_eq!(readings(&bytes(SIGNATURE)), [bytes(SIGNATURE)]);
        assert!(readings(b"").is_empty() && readings(&[7; 63]).is_empty() && readings(&[7; 65]).is_empty());
        let mut small = [0; RAW_LENGTH];
        small[31] = 0x7f;
        assert_eq!(readings(&small), [[0x30, 0x06, 0x02, 0x01, 0x7f, 0x02, 0x01, 0x00]]);
        // 64 bytes that are DER, too: both are tried.
        let mut both = [7; RAW_LENGTH];
        both[..2].copy_from_slice(&[0x30, 62]);
        assert_eq!(readings(&both).len(), 2);
    }

    #[test]
    fn a_key_has_one_text_however_it_was_spelled() {
        let odd = pem().replace('\n', "\r\n") + "\n\n";
        let key = EcdsaKey::from_pem(&odd).expect("a key");
        assert_eq!((key.to_pem(), key.to_string()), (pem(), pem()));
        let body = pem().lines().filter(|line| !line.starts_with('-')).collect::<String>();
        let long = format!("{BEGIN}\n{body}\n-----END PUBLIC KEY-----");
        assert_eq!(EcdsaKey::from_pem(&long), Ok(key));
    }

    #[test]
    fn what_it_is_instead_is_told() {
        let of = |algorithm: &[u8]| {
            let bits = [3, 2, 0, 9];
            let inner = [&[0x30, algorithm.len() as u8], algorithm, &bits].concat();
            encode(&[&[0x30, inner.len() as u8], &inner[..]].concat())
        };
        let p384 = [ID_EC, &[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22]].concat();
        let compressed = [ALGORITHM, &[]].concat();
        for (text, expected) in [
            (String::new(), NoEcdsaKey::NotPem),
            (BEGIN.to_owned(), NoEcdsaKey::NotPem),
            ("-----BEGIN PUBLIC KEY----------END PUBLIC KEY-----".to_owned(), NoEcdsaKey::NotPem),
            (pem().repeat(100), NoEcdsaKey::NotPem),
            (encode(b"garbage"), NoEcdsaKey::NotPem),
            (
                "-----BEGIN EC PRIVATE KEY-----\nMHc=\n-----END EC PRIVATE KEY-----".to_owned(),
                NoEcdsaKey::Secret,
            ),
            (of(ID_ED25519), NoEcdsaKey::Ed25519),
            (of(ID_RSA), NoEcdsaKey::Rsa),
            (of(&p384), NoEcdsaKey::OtherCurve),
            (of(&compressed), NoEcdsaKey::OtherForm),
            (of(&[0x06, 0x01, 0x01]), NoEcdsaKey::OtherKind),
            (encode(&[&PREFIX[..], &[0x05; POINT_LENGTH]].concat()), NoEcdsaKey::OtherForm),
        ] {
            assert_eq!(EcdsaKey::from_pem(&text), Err(expected), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_the_readers_panic(body in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
            assert!(EcdsaKey::from_pem(&encode(&body)).is_err());
            // A point that is none verifies nothing.
            let mut point = [7; POINT_LENGTH];
            point.iter_mut().zip(&body).for_each(|(to, from)| *to = *from);
            point[0] = 0x04;
            let key = EcdsaKey(point);
            assert_eq!(EcdsaKey::from_pem(&key.to_pem()), Ok(key.clone()));
            assert!(!key.verifies(b"message", &body));
            assert!(!readings(&body).iter().any(|signature| key.verifies(b"message", signature)));
        }
    }
}
