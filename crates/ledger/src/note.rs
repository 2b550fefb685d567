//! Signed notes (c2sp.org/signed-note): text that keys sign, for checkpoints, co-signatures and approvals alike.
//!
//! Two kinds of signatures are known: Ed25519 over the text (type 0x01), and the timestamped co-signature of a witness over a
//! checkpoint (c2sp.org/tlog-cosignature, type 0x04). Others are carried along and never counted.

mod key;
mod signer;

use crate::encoding::{from_base64, to_base64};

pub use key::{Algorithm, KEY_NAME_LIMIT, KeyError, KeyId, KeyName, VerifierKey};
pub use signer::{Cosigner, NoteSigner, SigningError};

/// Longest note in bytes. Stops a stranger from filling memory; 64 post-quantum signatures fit.
pub const NOTE_LIMIT: usize = 256 << 10;
/// Most signatures of a note; the specification asks for at least 16. Stops one from costing a verification for each of
/// thousands of lines.
pub const SIGNATURES_LIMIT: usize = 64;
/// Latest time of a co-signature, in seconds since 1970 (c2sp.org/tlog-cosignature).
const TIME_LIMIT: u64 = i64::MAX as u64;
/// Begins a signature line: an em dash and a space.
const SIGNATURE_PREFIX: &str = "\u{2014} ";

/// A note can not be read, or is not to be believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Longer than [`NOTE_LIMIT`].
    #[error("the note has more than {NOTE_LIMIT} bytes")]
    TooLong,
    /// More than [`SIGNATURES_LIMIT`] lines.
    #[error("the note has more than {SIGNATURES_LIMIT} signatures")]
    TooManySignatures,
    /// Not UTF-8, or with control characters.
    #[error("the note is no plain text: UTF-8 without control characters is expected")]
    NotText,
    /// The text has no newline at its end.
    #[error("the note's text does not end with a newline")]
    NoNewline,
    /// No blank line, or nothing behind it.
    #[error("the note has no signatures behind a blank line")]
    Unsigned,
    /// A line behind the blank one is no signature.
    #[error("line {0} of the note's signatures is no signature")]
    SignatureSyntax(usize),
    /// No key that is trusted has signed.
    #[error("the note is signed by none of the keys that are trusted for it")]
    NoTrustedSignature,
    /// A trusted key is named, and it did not sign this.
    #[error("the note's signature by `{0}` does not fit its text")]
    WrongSignature(KeyName),
}

/// One signature of a note, of a known or an unknown key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignatureLine {
    /// Name of the key, as the line has it.
    name: String,
    id: KeyId,
    /// What the algorithm says: 64 bytes for Ed25519, 8 more for the time of a co-signature.
    signature: Vec<u8>,
}

/// A text with signatures. Reading one proves nothing: only [`Note::verify`] does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<SignatureLine>,
}

/// A key whose signature of a note was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified<'a> {
    /// The key.
    pub key: &'a VerifierKey,
    /// When a witness co-signed, in seconds since 1970; the latest time when it did more than once. None for plain signatures.
    pub time: Option<u64>,
}

impl SignatureLine {
    /// Reads a line without its newline.
    pub fn parse(line: &str) -> Option<Self> {
        let (name, encoded) = line.strip_prefix(SIGNATURE_PREFIX)?.split_once(' ')?;
        let bytes = from_base64(encoded)?;
        let (id, signature) = bytes.split_first_chunk()?;
        let is_signature = key::is_name(name) && !signature.is_empty();
        is_signature.then(|| Self { name: name.into(), id: KeyId(*id), signature: signature.to_vec() })
    }

    /// Whether the key is the one that the line names. It may still not be its signature.
    pub fn is_of(&self, key: &VerifierKey) -> bool {
        self.name == key.name().as_str() && self.id == key.id()
    }

    /// The line, with its newline.
    pub fn to_line(&self) -> String {
        let bytes = [&self.id.0[..], &self.signature].concat();
        format!("{SIGNATURE_PREFIX}{} {}\n", self.name, to_base64(&bytes))
    }

    /// Checks that it is the key's signature of the text; says when it was made, for a co-signature.
    fn check(&self, key: &VerifierKey, text: &str) -> Result<Option<u64>, NoteError> {
        let wrong = || NoteError::WrongSignature(key.name().clone());
        let (time, signature) = match key.algorithm() {
            Algorithm::Ed25519 => (None, &self.signature[..]),
            Algorithm::Cosignature => {
                let (time, signature) = self.signature.split_first_chunk().ok_or_else(wrong)?;
                (Some(u64::from_be_bytes(*time)), signature)
            }
        };
        let signature = keys::Signature(signature.try_into().map_err(|_| wrong())?);
        let fits = match time {
            None => key.key().verifies(text.as_bytes(), &signature),
            // Time 0 says nothing of when the tree was the largest, and is for subtrees only.
            Some(0) => false,
            Some(time) if time > TIME_LIMIT => false,
            Some(time) => key.key().verifies(cosigned(time, text).as_bytes(), &signature),
        };
        if fits { Ok(time) } else { Err(wrong()) }
    }
}

impl Note {
    /// A note nobody signed yet. The text MUST be within [`NOTE_LIMIT`] with its signatures.
    pub fn new(text: String) -> Result<Self, NoteError> {
        check_text(&text)?;
        if !text.ends_with('\n') {
            return Err(NoteError::NoNewline);
        }
        Ok(Self { text, signatures: Vec::new() })
    }

    /// Reads a signed note.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        if bytes.len() > NOTE_LIMIT {
            return Err(NoteError::TooLong);
        }
        let whole = std::str::from_utf8(bytes).map_err(|_| NoteError::NotText)?;
        check_text(whole)?;
        // The last blank line separates: the text may have blank lines of its own.
        let at = whole.rfind("\n\n").ok_or(NoteError::Unsigned)?;
        let (text, lines) = (&whole[..=at], &whole[at + 2..]);
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Unsigned)?;
        let mut signatures = Vec::new();
        for (number, line) in lines.split('\n').enumerate() {
            if number == SIGNATURES_LIMIT {
                return Err(NoteError::TooManySignatures);
            }
            let signature = SignatureLine::parse(line).ok_or(NoteError::SignatureSyntax(number + 1))?;
            signatures.push(signature);
        }
        Ok(Self { text: text.into(), signatures })
    }

    /// What is signed, with the newline at its end.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// All signatures, of known and unknown keys.
    pub fn signatures(&self) -> &[SignatureLine] {
        &self.signatures
    }

    /// Adds a signature, in place of one by the same key.
    pub fn add(&mut self, signature: SignatureLine) {
        self.signatures.retain(|other| (&other.name, other.id) != (&signature.name, signature.id));
        self.signatures.push(signature);
    }

    /// The bytes of the note.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = format!("{}\n", self.text);
        for signature in &self.signatures {
            out.push_str(&signature.to_line());
        }
        out.into_bytes()
    }

    /// Checks the signatures of all trusted keys that are named, and says which they are, each once. Lines of other keys are
    /// ignored. One wrong signature of a trusted key makes the whole note worthless, and so does having none.
    pub fn verify<'a>(
        &self,
        trusted: impl IntoIterator<Item = &'a VerifierKey>,
    ) -> Result<Vec<Verified<'a>>, NoteError> {
        let mut verified = Vec::new();
        for key in trusted {
            let mut found: Option<Verified<'a>> = None;
            for line in self.signatures.iter().filter(|line| line.is_of(key)) {
                let time = line.check(key, &self.text)?;
                let latest = found.map_or(time, |found| found.time.max(time));
                found = Some(Verified { key, time: latest });
            }
            verified.extend(found);
        }
        if verified.is_empty() { Err(NoteError::NoTrustedSignature) } else { Ok(verified) }
    }
}

/// What a witness signs (c2sp.org/tlog-cosignature, Ed25519 signed message).
fn cosigned(time: u64, text: &str) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

fn check_text(text: &str) -> Result<(), NoteError> {
    let is_plain = text.bytes().all(|byte| byte >= b' ' || byte == b'\n');
    if is_plain { Ok(()) } else { Err(NoteError::NotText) }
}

#[cfg(test)]
mod tests;
