//! The body of `add-checkpoint`.

use crate::encoding::decimal;
use crate::merkle::{PROOF_LIMIT, TreeHash};
use crate::note::{NOTE_LIMIT, Note, NoteError};

/// Longest body in bytes: a note, and a proof of 63 hashes. Stops a stranger from filling a witness's memory.
pub const REQUEST_LIMIT: usize = NOTE_LIMIT + (PROOF_LIMIT + 1) * 64;

/// A log asks for a co-signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// Size of the last checkpoint that the witness co-signed, as the log believes.
    pub old: u64,
    /// Consistency proof from there.
    pub proof: Vec<TreeHash>,
    /// The new checkpoint, with the log's signature.
    pub checkpoint: Note,
}

/// The body is no request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Longer than [`REQUEST_LIMIT`].
    #[error("the request has more than {REQUEST_LIMIT} bytes")]
    TooLong,
    /// No line `old SIZE`, or no blank line.
    #[error("the request does not begin with the old size, a proof and a blank line")]
    Form,
    /// A line that is no hash.
    #[error("line {0} of the request is no hash")]
    Hash(usize),
    /// More than 63 hashes.
    #[error("the proof has more than {PROOF_LIMIT} hashes")]
    TooManyHashes,
    /// No note.
    #[error("the checkpoint can not be read: {0}")]
    Note(NoteError),
}

impl AddCheckpoint {
    /// Reads a body.
    pub fn parse(body: &[u8]) -> Result<Self, RequestError> {
        if body.len() > REQUEST_LIMIT {
            return Err(RequestError::TooLong);
        }
        let text = std::str::from_utf8(body).map_err(|_| RequestError::Form)?;
        let (head, checkpoint) = text.split_once("\n\n").ok_or(RequestError::Form)?;
        let mut lines = head.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix("old ")).and_then(decimal);
        let old = old.ok_or(RequestError::Form)?;
        let mut proof = Vec::new();
        for (number, line) in lines.enumerate() {
            if proof.len() == PROOF_LIMIT {
                return Err(RequestError::TooManyHashes);
            }
            proof.push(line.parse().map_err(|_| RequestError::Hash(number + 2))?);
        }
        let checkpoint = Note::parse(checkpoint.as_bytes()).map_err(RequestError::Note)?;
        Ok(Self { old, proof, checkpoint })
    }

    /// The body.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut head = format!("old {}\n", self.old);
        for hash in &self.proof {
            head.push_str(&format!("{hash}\n"));
        }
        head.push('\n');
        [head.into_bytes(), self.checkpoint.to_bytes()].concat()
    }
}
