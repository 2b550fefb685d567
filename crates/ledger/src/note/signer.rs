//! Who signs notes.

use keys::{Sign, SignError};

use super::{Algorithm, KeyName, SignatureLine, TIME_LIMIT, VerifierKey, cosigned};

/// A signature of a note could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// The key, or the device that keeps it, refused.
    #[error("`{name}` could not sign")]
    Sign {
        /// Name of the key.
        name: KeyName,
        /// Why.
        #[source]
        source: SignError,
    },
    /// A device answered with a signature that is not its key's.
    #[error("what `{0}` signed does not fit its own key")]
    DoesNotFit(KeyName),
    /// A clock that was never set, or far beyond any use.
    #[error("{0} is no time at which a co-signature can be made")]
    Time(u64),
}

/// A key that signs the text of notes (type 0x01).
#[derive(Clone)]
pub struct NoteSigner<'a> {
    key: VerifierKey,
    secret: &'a dyn Sign,
}

/// A key that co-signs checkpoints (type 0x04). It MUST NOT co-sign under two names: the name is not part of what is signed.
#[derive(Clone)]
pub struct Cosigner<'a> {
    key: VerifierKey,
    secret: &'a dyn Sign,
}

impl<'a> NoteSigner<'a> {
    /// Signs as `name`.
    pub fn new(name: KeyName, secret: &'a dyn Sign) -> Self {
        Self { key: VerifierKey::new(name, Algorithm::Ed25519, secret.public()), secret }
    }

    /// The key its signatures are judged with.
    pub fn key(&self) -> &VerifierKey {
        &self.key
    }

    /// Signs a text, which MUST be that of a [`super::Note`].
    pub fn sign(&self, text: &str) -> Result<SignatureLine, SigningError> {
        let signature = signature(&self.key, self.secret, text.as_bytes())?;
        Ok(line(&self.key, signature.to_vec()))
    }
}

impl<'a> Cosigner<'a> {
    /// Co-signs as `name`.
    pub fn new(name: KeyName, secret: &'a dyn Sign) -> Self {
        Self { key: VerifierKey::new(name, Algorithm::Cosignature, secret.public()), secret }
    }

    /// The key its co-signatures are judged with.
    pub fn key(&self) -> &VerifierKey {
        &self.key
    }

    /// Co-signs a checkpoint's text at `time`, in seconds since 1970. The caller MUST have checked that the tree extends the last
    /// one it co-signed, and MUST have kept it: [`crate::witness::Witness`] does both.
    pub fn cosign(&self, text: &str, time: u64) -> Result<SignatureLine, SigningError> {
        if time == 0 || time > TIME_LIMIT {
            return Err(SigningError::Time(time));
        }
        let signature = signature(&self.key, self.secret, cosigned(time, text).as_bytes())?;
        Ok(line(&self.key, [&time.to_be_bytes()[..], &signature].concat()))
    }
}

fn line(key: &VerifierKey, signature: Vec<u8>) -> SignatureLine {
    SignatureLine { name: key.name().to_string(), id: key.id(), signature }
}

fn signature(key: &VerifierKey, secret: &dyn Sign, message: &[u8]) -> Result<[u8; 64], SigningError> {
    let name = || key.name().clone();
    let signature = secret.sign(message).map_err(|source| SigningError::Sign { name: name(), source })?;
    // A device with a fault would otherwise publish what nobody accepts, or leak its key.
    if !key.key().verifies(message, &signature) {
        return Err(SigningError::DoesNotFit(name()));
    }
    Ok(signature.0)
}
