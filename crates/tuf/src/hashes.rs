//! Digests that a document lists for another file (METAFILES and TARGETS, 4.4 and 4.5).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256, Sha512};

/// Hexadecimal digests by the name of their algorithm. `sha256` and `sha512` are understood.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hashes(BTreeMap<String, String>);

/// Bytes that are not the listed ones.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// Another length than listed; for a stream that is too long, the length so far.
    #[error("its length in bytes is {found}, and {listed} is listed")]
    Length {
        /// Bytes that came.
        found: u64,
        /// Bytes that are listed.
        listed: u64,
    },
    /// Another digest than listed.
    #[error("its {algorithm} is not the listed one")]
    Digest {
        /// `sha256` or `sha512`.
        algorithm: &'static str,
    },
    /// No listed algorithm is understood, so nothing can be compared.
    #[error("no digest is listed that this version understands: sha256 or sha512")]
    NoneKnown,
}

/// Digests of bytes as they come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Digests {
    length: u64,
    sha256: Sha256,
    sha512: Sha512,
}

impl Hashes {
    /// The digests of these bytes: SHA-256.
    pub fn of(bytes: &[u8]) -> Self {
        Self::sha256(&hex(&Sha256::digest(bytes)))
    }

    /// A SHA-256 that is known already, as 64 lower-case hexadecimal digits.
    pub fn sha256(digest: &str) -> Self {
        Self([("sha256".to_owned(), digest.to_owned())].into())
    }

    /// The listed digest of an algorithm.
    pub fn digest_by(&self, algorithm: &str) -> Option<&str> {
        self.0.get(algorithm).map(String::as_str)
    }

    /// The digest that stands before the name of a target's file (7.2.1): the first of those that are understood.
    pub fn for_name(&self) -> Option<&str> {
        let digest = self.digest_by("sha256").or_else(|| self.digest_by("sha512"))?;
        // It becomes part of a path.
        digest.bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(digest)
    }

    /// Compares bytes with every digest that is understood, of which there MUST be one.
    pub fn check(&self, bytes: &[u8]) -> Result<(), Mismatch> {
        let mut digests = Digests::default();
        digests.update(bytes);
        self.check_digests(digests)
    }

    pub(crate) fn check_digests(&self, digests: Digests) -> Result<(), Mismatch> {
        let found =
            [("sha256", hex(&digests.sha256.finalize())), ("sha512", hex(&digests.sha512.finalize()))];
        let mut compared = false;
        for (algorithm, digest) in found {
            match self.digest_by(algorithm) {
                Some(listed) if listed.eq_ignore_ascii_case(&digest) => compared = true,
                Some(_) => return Err(Mismatch::Digest { algorithm }),
                None => (),
            }
        }
        if compared { Ok(()) } else { Err(Mismatch::NoneKnown) }
    }
}

impl Digests {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        self.sha256.update(bytes);
        self.sha512.update(bytes);
    }

    pub(crate) fn length(&self) -> u64 {
        self.length
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Hexadecimal digits of either case as bytes.
pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|digit| digit.to_digit(16).map(|digit| digit as u8)).collect();
    let digits = digits.filter(|digits| digits.len().is_multiple_of(2))?;
    Some(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}
