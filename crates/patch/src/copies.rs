//! Judging copies on a thread of its own: copies are most of a patch, and hashing them would take as long as reading and
//! writing them.
//!
//! Law: what was copied counts only after [`Copies::finish`] said so. Memory is bounded by the queue.

use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread::JoinHandle;

use sha2::{Digest, Sha256};

use crate::error::{ApplyError, Side};
use crate::format::CHECK_LENGTH;

/// Pieces that wait. With the one that is hashed and the one that is filled, four are in memory.
const WAITING: usize = 2;

/// Where a copy is, and what it has to be.
#[derive(Clone, Copy, Debug)]
pub struct Copy {
    /// Number of its operation.
    pub operation: u64,
    /// What it writes.
    pub side: Side,
    /// From the side's start.
    pub offset: u64,
    /// What its bytes have to give.
    pub check: [u8; CHECK_LENGTH],
}

enum Step {
    Bytes(Vec<u8>, usize),
    End(Copy),
}

/// The thread, and the way to it.
pub struct Copies {
    steps: SyncSender<Step>,
    free: Receiver<Vec<u8>>,
    judge: JoinHandle<Option<Copy>>,
}

impl Copies {
    /// Starts the thread.
    pub fn start() -> Copies {
        let (steps, to_judge) = mpsc::sync_channel(WAITING);
        let (give_back, free) = mpsc::channel();
        let judge = std::thread::spawn(move || judge(&to_judge, &give_back));
        Copies { steps, free, judge }
    }

    /// A buffer of at least `length` bytes; their content is what it was used for before.
    pub fn buffer(&self, length: usize) -> Vec<u8> {
        let mut buffer = self.free.try_recv().unwrap_or_default();
        if buffer.len() < length {
            buffer.resize(length, 0);
        }
        buffer
    }

    /// The next `length` bytes of a copy. After a difference nobody listens any more; [`Copies::finish`] tells of it.
    pub fn bytes(&self, buffer: Vec<u8>, length: usize) {
        let _told_at_the_end = self.steps.send(Step::Bytes(buffer, length));
    }

    /// The end of a copy.
    pub fn end(&self, copy: Copy) {
        let _told_at_the_end = self.steps.send(Step::End(copy));
    }

    /// Whether all copies were what they have to be.
    pub fn finish(self) -> Result<(), ApplyError> {
        drop(self.steps);
        match self.judge.join().expect("hashing a buffer does not panic") {
            None => Ok(()),
            Some(Copy { operation, side, offset, .. }) => {
                Err(ApplyError::Different { operation, side, offset })
            }
        }
    }
}

/// The first copy that is not what it has to be.
fn judge(steps: &Receiver<Step>, give_back: &mpsc::Sender<Vec<u8>>) -> Option<Copy> {
    let mut hasher = Sha256::new();
    for step in steps {
        match step {
            Step::Bytes(buffer, length) => {
                hasher.update(&buffer[..length]);
                // Who fills buffers may have ended with an error of its own.
                let _nobody_needs_it = give_back.send(buffer);
            }
            Step::End(copy) => {
                if hasher.finalize_reset()[..CHECK_LENGTH] != copy.check {
                    return Some(copy);
                }
            }
        }
    }
    None
}
