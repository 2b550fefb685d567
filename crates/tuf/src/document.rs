//! A document and its signatures, before anybody vouches for it (4.2.1).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::error::ErrorKind;
use crate::json::{canonical, parse};
use crate::metadata::{Body, body_of};

/// One signature of a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// Whose it says it is. Ids of any form are kept: who is not asked does not count.
    pub keyid: String,
    /// Hexadecimal digits, or anything else: what is no signature does not count.
    pub sig: String,
}

/// What was read, as it was written. Nothing in it is trusted: [`crate::Authority::check`] decides that.
#[derive(Clone, Debug)]
pub struct Document {
    bytes: Vec<u8>,
    signed: Value,
    signatures: Vec<Signature>,
}

impl Document {
    /// Reads a document. Two signatures with one key id are refused (4.2.1: "multiple signatures with the same keyid are not allowed").
    pub fn parse(bytes: &[u8]) -> Result<Self, ErrorKind> {
        let malformed = |why: String| ErrorKind::Malformed { why };
        let value = parse(bytes).map_err(|error| malformed(error.to_string()))?;
        let Value::Object(mut members) = value else {
            return Err(malformed("it is no object with `signed` and `signatures`".to_owned()));
        };
        let signed = members.remove("signed").filter(Value::is_object);
        let signed = signed.ok_or_else(|| malformed("it has no object `signed`".to_owned()))?;
        let signatures = members.remove("signatures").unwrap_or_default();
        let signatures: Vec<Signature> = serde_json::from_value(signatures)
            .map_err(|error| malformed(format!("`signatures`: {error}")))?;
        let mut ids = BTreeSet::new();
        match signatures.iter().find(|signature| !ids.insert(&signature.keyid)) {
            Some(twice) => Err(ErrorKind::SignedTwice { keyid: twice.keyid.chars().take(64).collect() }),
            None => Ok(Self { bytes: bytes.to_vec(), signed, signatures }),
        }
    }

    /// A document of our own.
    pub(crate) fn new(signed: Value, signatures: Vec<Signature>) -> Self {
        let mut document = Map::new();
        document.insert("signatures".to_owned(), json!(signatures));
        document.insert("signed".to_owned(), signed.clone());
        let text = serde_json::to_string_pretty(&document).expect("a value is always JSON");
        Self { bytes: (text + "\n").into_bytes(), signed, signatures }
    }

    /// What it says, read as a role's document. Says nothing about who signed it.
    pub fn body<B: Body>(&self) -> Result<B, ErrorKind> {
        body_of(&self.signed)
    }

    /// The bytes as they were read: they are what is stored, and what other documents list digests of.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The signatures.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// The message that is signed.
    pub fn message(&self) -> Vec<u8> {
        canonical(&self.signed)
    }

    pub(crate) fn signed(&self) -> &Value {
        &self.signed
    }
}
