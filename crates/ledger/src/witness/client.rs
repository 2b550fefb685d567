//! Asking witnesses, for a log. Requests and answers are values; a [`Transport`] carries them.

use std::error::Error;

use super::{ADD_CHECKPOINT, AddCheckpoint, Answer};
use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::encoding::{decimal, shown};
use crate::note::{Note, NoteError, SIGNATURES_LIMIT, SignatureLine, VerifierKey};
use crate::policy::Party;
use crate::read::{AccessError, Tree};

/// Longest answer in bytes that a transport has to accept. Stops a witness from filling a log's memory.
pub const ANSWER_LIMIT: usize = 64 << 10;
/// Requests to one witness: a guess, what it said, and once more in case somebody else asked in between.
const ATTEMPTS: usize = 3;

/// Who carries a request to a witness.
pub trait Transport {
    /// Posts a body to a URL. The implementer MUST give up after some time, MUST refuse answers of more than `limit` bytes, and MUST
    /// return answers of every status.
    fn post(&self, url: &str, body: &[u8], limit: usize) -> Result<Answer, Box<dyn Error + Send + Sync>>;
}

/// What a witness said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It co-signed at a time, in seconds since 1970.
    Cosigned(SignatureLine, u64),
    /// It has co-signed another size last.
    Conflict(u64),
}

/// A witness did not co-sign.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The policy says not where it is.
    #[error("the policy has no URL for the witness")]
    NoUrl,
    /// It was not reached.
    #[error("the witness at {url} was not reached")]
    Unreachable {
        /// Where.
        url: String,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// It refused.
    #[error("the witness refused with status {status}: {reason}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// The beginning of what it said.
        reason: String,
    },
    /// The tree that it saw is larger than ours: the log was set back, or another one signs with its key.
    #[error(
        "the witness has co-signed {witnessed} entries, and this log has {ours}: it was set back, or forked"
    )]
    Ahead {
        /// What the witness has seen.
        witnessed: u64,
        /// Entries of the log.
        ours: u64,
    },
    /// It answered with something that is no answer.
    #[error("the witness's answer can not be understood")]
    Answer,
    /// It signed something else.
    #[error("the witness's co-signature is not good")]
    Signature(#[source] NoteError),
    /// It changed its mind each time it was asked.
    #[error("the witness named another size each time it was asked")]
    Unsteady,
    /// Tiles for the proof are missing or damaged.
    #[error("the proof for the witness can not be made")]
    Proof(#[source] AccessError),
    /// What should be co-signed is no checkpoint of this tree.
    #[error("what should be co-signed is no checkpoint")]
    Checkpoint(#[source] CheckpointError),
}

/// Reads the answer to a request for a checkpoint.
pub fn read_answer(answer: &Answer, checkpoint: &Note, witness: &VerifierKey) -> Result<Reply, ClientError> {
    let text = std::str::from_utf8(&answer.body).map_err(|_| ClientError::Answer)?;
    match answer.status {
        200 => {
            // Lines of other keys are ignored, as for any note.
            let mut lines =
                text.split_terminator('\n').take(SIGNATURES_LIMIT).filter_map(SignatureLine::parse);
            let line = lines.find(|line| line.is_of(witness)).ok_or(ClientError::Answer)?;
            let mut note = Note::new(checkpoint.text().into()).map_err(ClientError::Signature)?;
            note.add(line.clone());
            let time = note.verify([witness]).map_err(ClientError::Signature)?[0].time;
            Ok(Reply::Cosigned(line, time.ok_or(ClientError::Answer)?))
        }
        409 if answer.content_type == "text/x.tlog.size" => {
            let size = text.strip_suffix('\n').and_then(decimal);
            size.map(Reply::Conflict).ok_or(ClientError::Answer)
        }
        status => Err(ClientError::Refused { status, reason: shown(text.trim()) }),
    }
}

/// Has a checkpoint co-signed by a witness. `tree` MUST be the tree of the checkpoint; `guess` is the size that the witness co-signed
/// last, as far as anybody knows: a wrong guess costs one more request.
pub fn cosign(
    tree: &Tree<'_>,
    checkpoint: &Note,
    witness: &Party,
    guess: u64,
    transport: &dyn Transport,
) -> Result<SignatureLine, ClientError> {
    let url = witness.url.as_ref().ok_or(ClientError::NoUrl)?;
    let url = format!("{}/{ADD_CHECKPOINT}", url.trim_end_matches('/'));
    let new = Checkpoint::parse(checkpoint.text()).map_err(ClientError::Checkpoint)?.size;
    assert_eq!(new, tree.size(), "BUG: the tree of another checkpoint");
    let mut old = guess.min(new);
    for _ in 0..ATTEMPTS {
        let proof = tree.consistency(old).map_err(ClientError::Proof)?;
        let request = AddCheckpoint { old, proof, checkpoint: checkpoint.clone() };
        let answer = transport
            .post(&url, &request.to_bytes(), ANSWER_LIMIT)
            .map_err(|source| ClientError::Unreachable { url: url.clone(), source })?;
        match read_answer(&answer, checkpoint, &witness.key)? {
            Reply::Cosigned(line, _) => return Ok(line),
            Reply::Conflict(witnessed) if witnessed > new => {
                return Err(ClientError::Ahead { witnessed, ours: new });
            }
            Reply::Conflict(witnessed) => old = witnessed,
        }
    }
    Err(ClientError::Unsteady)
}

/// What came back from all witnesses of a policy.
#[derive(Debug)]
pub struct Collected {
    /// The checkpoint with all co-signatures. Whether they are enough is for the policy to say.
    pub checkpoint: Note,
    /// Names of witnesses that did not co-sign, and why.
    pub missing: Vec<(String, ClientError)>,
}

/// Asks all witnesses, one after the other. More than the quorum are asked: monitors have to see what readers may accept.
pub fn collect(
    tree: &Tree<'_>,
    checkpoint: &Note,
    witnesses: &[Party],
    guess: u64,
    transport: &dyn Transport,
) -> Collected {
    let mut collected = Collected { checkpoint: checkpoint.clone(), missing: Vec::new() };
    for witness in witnesses {
        match cosign(tree, checkpoint, witness, guess, transport) {
            Ok(line) => collected.checkpoint.add(line),
            Err(error) => collected.missing.push((witness.name.clone(), error)),
        }
    }
    collected
}
