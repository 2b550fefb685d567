//! Keys: who signs, and whether a signature is theirs. Ours are Ed25519; those of roles may be ECDSA, too (`role`).
//!
//! What is signed and in which form it is written down (TUF metadata, signed notes) is the business of the crates that
//! use this one. Without features this crate is what signed notes take; `ecdsa` adds what an appliance needs to follow roles, `foreign`
//! keys of other makers' tools, and `signers` what a person's machine needs to sign: key files, signing commands, and `stored`, which is
//! either of them.

#[cfg(feature = "signers")]
pub mod command;
#[cfg(feature = "ecdsa")]
pub mod ecdsa;
#[cfg(feature = "signers")]
pub mod file;
#[cfg(feature = "ecdsa")]
pub mod role;
#[cfg(feature = "foreign")]
pub mod rsa;
#[cfg(feature = "ecdsa")]
pub mod spki;
#[cfg(feature = "signers")]
pub mod stored;

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};

/// Bytes of a public key.
pub const PUBLIC_KEY_LENGTH: usize = 32;
/// Bytes of a signature.
pub const SIGNATURE_LENGTH: usize = 64;

/// An Ed25519 public key that is a point of its curve, and not one of small order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

/// An Ed25519 signature (RFC 8032).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature(pub [u8; SIGNATURE_LENGTH]);

/// The bytes are no public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("these {PUBLIC_KEY_LENGTH} bytes are no Ed25519 public key")]
pub struct NoPublicKey;

/// A signature could not be made.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SignError(pub String);

/// Whoever can sign with an Ed25519 key: a key in memory, or a device that keeps it to itself. Signed notes take no other.
pub trait Sign {
    /// The key that its signatures are judged with.
    fn public(&self) -> PublicKey;

    /// Signs the whole message.
    fn sign(&self, message: &[u8]) -> Result<Signature, SignError>;
}

impl PublicKey {
    /// Reads a public key.
    pub fn from_bytes(bytes: &[u8; PUBLIC_KEY_LENGTH]) -> Result<Self, NoPublicKey> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| NoPublicKey)?;
        // A key of small order has signatures that fit every message.
        if key.is_weak() { Err(NoPublicKey) } else { Ok(Self(key)) }
    }

    /// The key as it is written.
    pub fn to_bytes(self) -> [u8; PUBLIC_KEY_LENGTH] {
        self.0.to_bytes()
    }

    /// Whether the signature is this key's over the message.
    pub fn verifies(&self, message: &[u8], signature: &Signature) -> bool {
        self.0.verify_strict(message, &ed25519_dalek::Signature::from_bytes(&signature.0)).is_ok()
    }
}

/// 64 lower-case hexadecimal digits.
impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl FromStr for PublicKey {
    type Err = NoPublicKey;

    fn from_str(text: &str) -> Result<Self, NoPublicKey> {
        let bytes: [u8; PUBLIC_KEY_LENGTH] =
            unhex(text).ok_or(NoPublicKey)?.try_into().map_err(|_| NoPublicKey)?;
        Self::from_bytes(&bytes)
    }
}

/// Lower-case hexadecimal digits as bytes; nothing else is accepted, so that a key has one spelling.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| Some(digit(pair[0])? << 4 | digit(*pair.get(1)?)?)).collect()
}

/// A key in memory. It is wiped when it is dropped, and never shown.
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// The key of 32 random bytes, which the caller MUST have from the system's random numbers.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// A new key, from the system's random numbers.
    #[cfg(feature = "signers")]
    pub fn generate() -> std::io::Result<Self> {
        Ok(Self::from_seed(&zeroize::Zeroizing::new(random()?)))
    }

    #[cfg(feature = "signers")]
    fn seed(&self) -> zeroize::Zeroizing<[u8; 32]> {
        zeroize::Zeroizing::new(self.0.to_bytes())
    }
}

/// The system's random numbers.
#[cfg(feature = "signers")]
pub fn random<const LENGTH: usize>() -> std::io::Result<[u8; LENGTH]> {
    let mut bytes = [0; LENGTH];
    getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
    Ok(bytes)
}

impl Sign for SecretKey {
    fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    fn sign(&self, message: &[u8]) -> Result<Signature, SignError> {
        Ok(Signature(self.0.sign(message).to_bytes()))
    }
}

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SecretKey of {:?}", self.public())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_of_one_key_and_one_message() {
        let (ours, other) = (SecretKey::from_seed(&[1; 32]), SecretKey::from_seed(&[2; 32]));
        let signature = ours.sign(b"message").expect("signs");
        assert!(ours.public().verifies(b"message", &signature));
        assert!(!ours.public().verifies(b"massage", &signature));
        assert!(!other.public().verifies(b"message", &signature));
    }

    #[test]
    fn the_key_that_fits_everything_is_refused() {
        let mut identity = [0; 32];
        identity[0] = 1;
        assert_eq!(PublicKey::from_bytes(&identity), Err(NoPublicKey));
    }

    #[test]
    fn a_public_key_has_one_spelling() {
        let key = SecretKey::from_seed(&[3; 32]).public();
        assert_eq!(key.to_string().parse(), Ok(key));
        for text in ["", "00", &key.to_string().to_uppercase(), &format!("{key}0"), &format!(" {key}")] {
            assert_eq!(text.parse::<PublicKey>(), Err(NoPublicKey), "{text}");
        }
    }

    #[test]
    fn a_secret_key_is_not_shown() {
        let shown = format!("{:?}", SecretKey::from_seed(&[7; 32]));
        assert!(!shown.contains("7, 7, 7") && !shown.contains("0707"), "{shown}");
    }
}
