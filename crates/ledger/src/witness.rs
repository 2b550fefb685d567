//! A witness (c2sp.org/tlog-witness): co-signs a log's checkpoint only when it extends the last one it co-signed, so that a log
//! which shows different trees to different people needs as many lying witnesses as its readers ask for.
//!
//! # One request, and what a crash leaves
//! Under one lock: 1. the last checkpoint is read; 2. [`decide`]; 3. co-signed; 4. kept, and synced; 5. answered. Crash before 4 is
//! done: nobody has the co-signature. After it: the log asks again, hears the size (409), and is co-signed again.
//!
//! A log has to be enrolled: a witness that lost its memory then knows no log, instead of believing anything it is shown first.

pub mod client;
mod decide;
mod request;
#[cfg(feature = "serve")]
pub mod serve;

use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

use crate::checkpoint::{Checkpoint, Origin};
use crate::encoding::to_hex;
use crate::note::{Cosigner, NOTE_LIMIT, Note, SigningError, VerifierKey};
use crate::read::AccessError;
use crate::store::Store;

pub use decide::{Refusal, decide};
pub use request::{AddCheckpoint, REQUEST_LIMIT, RequestError};

/// Path of the call behind a witness's URL.
pub const ADD_CHECKPOINT: &str = "add-checkpoint";
/// What is kept for a log that was never co-signed.
const ENROLLED: &[u8] = b"enrolled\n";

/// A log that a witness follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownLog {
    /// Its origin.
    pub origin: Origin,
    /// Its keys. One signature is enough.
    pub keys: Vec<VerifierKey>,
}

impl KnownLog {
    /// A log whose key is named as its origin, which is the custom.
    pub fn of(key: VerifierKey) -> Result<Self, crate::checkpoint::CheckpointError> {
        Ok(Self { origin: key.name().as_str().parse()?, keys: vec![key] })
    }
}

/// What is answered over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    pub(crate) fn plain(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8".into(), body: body.into() }
    }
}

/// A witness could not do its work. To the log it is status 500.
#[derive(Debug, thiserror::Error)]
pub enum WitnessError {
    /// Its memory can not be read or written.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// Its memory is not what it wrote. Nothing is co-signed until a person has looked.
    #[error("what the witness keeps of `{0}` is damaged")]
    Damaged(Origin),
    /// The clock is before the last co-signature: a second one would say that an older tree was the largest then.
    #[error("it is {now}, and `{origin}` was co-signed at {last}: the clock was set back")]
    Clock {
        /// The log.
        origin: Origin,
        /// Seconds since 1970.
        now: u64,
        /// Seconds since 1970.
        last: u64,
    },
    /// The key, or the device that has it, did not sign.
    #[error("the checkpoint could not be co-signed")]
    Signing(#[source] SigningError),
}

/// A witness. Its store MUST have no other writer.
#[derive(Debug)]
pub struct Witness<S> {
    /// Held from reading the last checkpoint until the next one is kept.
    store: Mutex<S>,
    key: VerifierKey,
    logs: Vec<KnownLog>,
}

impl<S: Store> Witness<S> {
    /// A witness that co-signs with `key` and follows these logs, as far as they are enrolled.
    pub fn new(store: S, key: VerifierKey, logs: Vec<KnownLog>) -> Self {
        Self { store: Mutex::new(store), key, logs }
    }

    /// Begins to follow a log: from then on the first checkpoint that its keys signed is believed. Returns false, and changes
    /// nothing, when the log is enrolled already.
    pub fn enroll(&self, origin: &Origin) -> Result<bool, WitnessError> {
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let path = memory_path(&origin_hash(origin));
        if store.read(&path, NOTE_LIMIT)?.is_some() {
            return Ok(false);
        }
        store.put(&path, ENROLLED)?;
        store.sync()?;
        Ok(true)
    }

    /// Answers one request of either call. `path` is what follows the witness's URL and its slash; `now` is in seconds since 1970.
    pub fn answer(
        &self,
        method: &str,
        path: &str,
        body: &[u8],
        cosigner: &Cosigner<'_>,
        now: u64,
    ) -> Result<Answer, WitnessError> {
        match (method, path.split_once('/')) {
            ("POST", None) if path == ADD_CHECKPOINT => self.add_checkpoint(body, cosigner, now),
            ("GET", Some((hash, "checkpoint"))) => self.checkpoint(hash),
            _ => Ok(Answer::plain(404, "not found\n")),
        }
    }

    /// The call `add-checkpoint`.
    pub fn add_checkpoint(
        &self,
        body: &[u8],
        cosigner: &Cosigner<'_>,
        now: u64,
    ) -> Result<Answer, WitnessError> {
        assert_eq!(*cosigner.key(), self.key, "BUG: a witness has one key");
        let request = match AddCheckpoint::parse(body) {
            Ok(request) => request,
            Err(error) => return Ok(Answer::plain(400, format!("{error}\n"))),
        };
        // Held until the new checkpoint is kept: two requests must not both extend the same one.
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut known, mut last) = (None, None);
        if let Ok(checkpoint) = Checkpoint::parse(request.checkpoint.text())
            && let Some(log) = self.logs.iter().find(|log| log.origin == checkpoint.origin)
            && let Some(memory) = self.remembered(&*store, log)?
        {
            known = Some(log);
            last = memory;
        }
        let keys = known.map(|log| log.keys.as_slice());
        let checkpoint = match decide(&request, keys, last.as_ref().map(|(checkpoint, _)| checkpoint)) {
            Ok(checkpoint) => checkpoint,
            Err(refusal) => return Ok(refusal.answer()),
        };
        let keys = keys.expect("BUG: an unknown log was not refused");
        if let Some((_, time)) = last.filter(|(_, time)| *time > now) {
            return Err(WitnessError::Clock { origin: checkpoint.origin, now, last: time });
        }
        let text = request.checkpoint.text();
        let cosignature = cosigner.cosign(text, now).map_err(WitnessError::Signing)?;
        // Signatures of strangers are not kept: they were not checked.
        let mut kept = Note::new(text.into()).expect("BUG: a note's text is no text");
        for line in
            request.checkpoint.signatures().iter().filter(|line| keys.iter().any(|key| line.is_of(key)))
        {
            kept.add(line.clone());
        }
        kept.add(cosignature.clone());
        store.put(&memory_path(&origin_hash(&checkpoint.origin)), &kept.to_bytes())?;
        // Before the answer: what was co-signed must never be forgotten.
        store.sync()?;
        Ok(Answer::plain(200, cosignature.to_line()))
    }

    /// The call that monitors use: the last checkpoint of a log that was co-signed. `hash` is the SHA-256 of the origin.
    pub fn checkpoint(&self, hash: &str) -> Result<Answer, WitnessError> {
        let Some(log) = self.logs.iter().find(|log| origin_hash(&log.origin) == hash) else {
            return Ok(Answer::plain(404, "not found\n"));
        };
        let store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        match store.read(&memory_path(hash), NOTE_LIMIT)? {
            // Checked as for a request: damage is not handed on.
            Some(bytes) if matches!(self.remembered(&*store, log)?, Some(Some(_))) => {
                Ok(Answer::plain(200, bytes))
            }
            _ => Ok(Answer::plain(404, "not found\n")),
        }
    }

    /// What is kept of a log: none when it is not enrolled; then none, or the last checkpoint and when it was co-signed.
    #[expect(clippy::type_complexity, reason = "two questions with an answer each, read in two places")]
    fn remembered(
        &self,
        store: &S,
        log: &KnownLog,
    ) -> Result<Option<Option<(Checkpoint, u64)>>, WitnessError> {
        let Some(bytes) = store.read(&memory_path(&origin_hash(&log.origin)), NOTE_LIMIT)? else {
            return Ok(None);
        };
        if bytes == ENROLLED {
            return Ok(Some(None));
        }
        let read = || {
            let note = Note::parse(&bytes).ok()?;
            let time = note.verify([&self.key]).ok()?[0].time?;
            let checkpoint = Checkpoint::parse(note.text()).ok()?;
            (checkpoint.origin == log.origin).then_some((checkpoint, time))
        };
        read().map(|last| Some(Some(last))).ok_or_else(|| WitnessError::Damaged(log.origin.clone()))
    }
}

/// How a log is named in paths: lower-case hexadecimal SHA-256 of its origin.
pub fn origin_hash(origin: &Origin) -> String {
    to_hex(&Sha256::digest(origin.as_str()))
}

fn memory_path(hash: &str) -> String {
    format!("logs/{hash}")
}

#[cfg(test)]
mod tests;
