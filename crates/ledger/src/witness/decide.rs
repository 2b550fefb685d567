//! Whether a witness co-signs. Pure: the request, the keys of the log, and the last checkpoint are all there is.

use super::{AddCheckpoint, Answer};
use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::merkle::{MerkleError, check_consistency, empty_root};
use crate::note::{NoteError, VerifierKey};

/// Why a witness does not co-sign.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// 400: the text of the note is no checkpoint.
    #[error("this is no checkpoint: {0}")]
    NoCheckpoint(CheckpointError),
    /// 404: a log that this witness does not follow.
    #[error("this witness does not follow the log")]
    UnknownLog,
    /// 403: the log's signature is missing or wrong.
    #[error("the checkpoint is not signed by its log: {0}")]
    NotSigned(NoteError),
    /// 400: the old size is larger than the new one.
    #[error("the old size {old} is larger than the checkpoint's {new}")]
    Backwards {
        /// As the log believes.
        old: u64,
        /// Size of the new checkpoint.
        new: u64,
    },
    /// 409: the witness co-signed another size last.
    #[error("the last checkpoint that was co-signed has {size} entries")]
    Conflict {
        /// That size.
        size: u64,
    },
    /// 422: a tree without entries has one root only.
    #[error("an empty tree has another root")]
    NotEmpty,
    /// 422: the new tree does not extend the old one, or it is not proved.
    #[error("the checkpoint does not extend the last one that was co-signed: {0}")]
    NotProved(MerkleError),
}

impl Refusal {
    /// The HTTP status.
    pub fn status(&self) -> u16 {
        match self {
            Self::NoCheckpoint(_) | Self::Backwards { .. } => 400,
            Self::NotSigned(_) => 403,
            Self::UnknownLog => 404,
            Self::Conflict { .. } => 409,
            Self::NotEmpty | Self::NotProved(_) => 422,
        }
    }

    /// The HTTP answer.
    pub fn answer(&self) -> Answer {
        match self {
            Self::Conflict { size } => {
                let content_type = "text/x.tlog.size".into();
                Answer { status: 409, content_type, body: format!("{size}\n").into_bytes() }
            }
            _ => Answer::plain(self.status(), format!("{self}\n")),
        }
    }
}

/// Decides on a request. `keys` are those of the log; none when the witness does not follow it. `last` is the last checkpoint of this
/// log that was co-signed.
pub fn decide(
    request: &AddCheckpoint,
    keys: Option<&[VerifierKey]>,
    last: Option<&Checkpoint>,
) -> Result<Checkpoint, Refusal> {
    let checkpoint = Checkpoint::parse(request.checkpoint.text()).map_err(Refusal::NoCheckpoint)?;
    let keys = keys.ok_or(Refusal::UnknownLog)?;
    request.checkpoint.verify(keys).map_err(Refusal::NotSigned)?;
    let (old, new) = (request.old, checkpoint.size);
    if old > new {
        return Err(Refusal::Backwards { old, new });
    }
    let last = last.map_or((0, empty_root()), Checkpoint::tree);
    if old != last.0 {
        return Err(Refusal::Conflict { size: last.0 });
    }
    if new == 0 && checkpoint.root != empty_root() {
        return Err(Refusal::NotEmpty);
    }
    check_consistency(last, checkpoint.tree(), &request.proof).map_err(Refusal::NotProved)?;
    Ok(checkpoint)
}
