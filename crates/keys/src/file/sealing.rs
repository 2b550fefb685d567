//! How a key file's secret is encrypted, with limits on what a file may ask for.

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{KeyFileErrorKind, hex};
use crate::unhex;

pub(super) const SALT_LENGTH: usize = 16;
pub(super) const NONCE_LENGTH: usize = 24;

/// The second recommendation of RFC 9106, with one lane: 64 MiB, three passes.
const MEMORY_KIB: u32 = 64 << 10;
const PASSES: u32 = 3;
/// Most memory that a file may ask for: 1 GiB. Stops a file that makes the machine run out of it.
const MEMORY_LIMIT_KIB: u32 = 1 << 20;
/// Most passes that a file may ask for. Stops a file that keeps the machine busy for ever.
const PASSES_LIMIT: u32 = 16;

const DERIVATION: &str = "argon2id";
const CIPHER: &str = "xchacha20-poly1305";

/// What was used to encrypt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Encryption {
    derivation: String,
    memory_kib: u32,
    passes: u32,
    salt: String,
    cipher: String,
    nonce: String,
}

impl Encryption {
    pub(super) fn new(random: &[u8; SALT_LENGTH + NONCE_LENGTH]) -> Self {
        let (salt, nonce) = random.split_at(SALT_LENGTH);
        Self {
            derivation: DERIVATION.to_owned(),
            memory_kib: MEMORY_KIB,
            passes: PASSES,
            salt: hex(salt),
            cipher: CIPHER.to_owned(),
            nonce: hex(nonce),
        }
    }

    pub(super) fn seal(
        &self,
        passphrase: &str,
        secret: &[u8],
        with: &[u8],
    ) -> Result<Vec<u8>, KeyFileErrorKind> {
        let (cipher, nonce) = self.cipher(passphrase)?;
        let sealed = cipher.encrypt(&nonce, Payload { msg: secret, aad: with });
        sealed.map_err(|_| KeyFileErrorKind::Parameters("the secret is too long"))
    }

    pub(super) fn open(
        &self,
        passphrase: &str,
        sealed: &[u8],
        with: &[u8],
    ) -> Result<Vec<u8>, KeyFileErrorKind> {
        let (cipher, nonce) = self.cipher(passphrase)?;
        cipher.decrypt(&nonce, Payload { msg: sealed, aad: with }).map_err(|_| KeyFileErrorKind::Wrong)
    }

    fn cipher(&self, passphrase: &str) -> Result<(XChaCha20Poly1305, XNonce), KeyFileErrorKind> {
        let wrong = KeyFileErrorKind::Parameters;
        if self.derivation != DERIVATION || self.cipher != CIPHER {
            return Err(wrong("its names are not known"));
        }
        if self.memory_kib > MEMORY_LIMIT_KIB || self.passes > PASSES_LIMIT {
            return Err(wrong("more memory or passes than 1 GiB and 16"));
        }
        let salt = unhex(&self.salt).filter(|salt| salt.len() == SALT_LENGTH).ok_or(wrong("its salt"))?;
        let nonce: [u8; NONCE_LENGTH] =
            unhex(&self.nonce).and_then(|nonce| nonce.try_into().ok()).ok_or(wrong("its nonce"))?;
        let parameters = Params::new(self.memory_kib, self.passes, 1, Some(32))
            .map_err(|_| wrong("its memory or its passes"))?;
        let mut key = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters)
            .hash_password_into(passphrase.as_bytes(), &salt, &mut *key)
            .map_err(|_| wrong("its memory or its passes"))?;
        Ok((XChaCha20Poly1305::new(&(*key).into()), nonce.into()))
    }
}
