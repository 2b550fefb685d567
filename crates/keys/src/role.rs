//! Keys that sign the documents of roles: Ed25519, and ECDSA on P-256, which more devices have.
//!
//! Signed notes take Ed25519 only (C2SP). So there are two traits: whoever can [`Sign`] can sign notes and documents of roles, and
//! whoever is a [`RoleSign`] only can sign no note.

use std::fmt;

use crate::ecdsa::EcdsaKey;
use crate::{PublicKey, SIGNATURE_LENGTH, Sign, SignError, Signature};

/// A public key that signs for a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RoleKey {
    /// Ours.
    Ed25519(PublicKey),
    /// Of a device or a service.
    EcdsaP256(EcdsaKey),
}

/// Which kind a key is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "signers", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "signers", serde(rename_all = "kebab-case"))]
pub enum KeyKind {
    /// EdDSA (RFC 8032); a public key is written as 64 hexadecimal digits.
    Ed25519,
    /// ECDSA with SHA-256; a public key is written as PEM.
    EcdsaP256,
}

/// Whoever can sign documents of roles. Everybody who can [`Sign`] can.
pub trait RoleSign {
    /// The key that its signatures are judged with.
    fn role_key(&self) -> RoleKey;

    /// Signs the whole message: 64 bytes with an Ed25519 key, DER with an ECDSA key. Two signatures over one message MAY differ.
    fn sign_document(&self, message: &[u8]) -> Result<Vec<u8>, SignError>;
}

impl<S: Sign + ?Sized> RoleSign for S {
    fn role_key(&self) -> RoleKey {
        RoleKey::Ed25519(self.public())
    }

    fn sign_document(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        Ok(self.sign(message)?.0.to_vec())
    }
}

impl RoleKey {
    /// Which kind it is of.
    pub fn kind(&self) -> KeyKind {
        match self {
            Self::Ed25519(_) => KeyKind::Ed25519,
            Self::EcdsaP256(_) => KeyKind::EcdsaP256,
        }
    }

    /// Whether the signature is this key's over the message.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Ed25519(key) => <[u8; SIGNATURE_LENGTH]>::try_from(signature)
                .is_ok_and(|bytes| key.verifies(message, &Signature(bytes))),
            Self::EcdsaP256(key) => key.verifies(message, signature),
        }
    }
}

impl From<PublicKey> for RoleKey {
    fn from(key: PublicKey) -> Self {
        Self::Ed25519(key)
    }
}

impl From<EcdsaKey> for RoleKey {
    fn from(key: EcdsaKey) -> Self {
        Self::EcdsaP256(key)
    }
}

/// 64 hexadecimal digits, or PEM.
impl fmt::Display for RoleKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ed25519(key) => key.fmt(f),
            Self::EcdsaP256(key) => key.fmt(f),
        }
    }
}

/// As people say it.
impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ed25519 => "Ed25519",
            Self::EcdsaP256 => "ECDSA P-256",
        })
    }
}
