//! A monitor: reads all of a log, for ever, and notices when it is not one and the same growing tree for everybody.
//!
//! Each step checks, before anything is handed out: the new checkpoint fulfils the policy; its tiles lead to its root; the tree seen last
//! is its beginning; each new entry is the leaf that the tiles say, and leads to the root. What it keeps is the last checkpoint.
//! A split view that the monitor is on the right side of shows only when it also looks elsewhere: [`Monitor::compare`] takes
//! checkpoints from witnesses, from customers, through another network.

use crate::checkpoint::Checkpoint;
use crate::merkle::leaf_hash;
use crate::note::{NOTE_LIMIT, Note, NoteError};
use crate::policy::{Policy, PolicyError, Witnessed};
use crate::read::{AccessError, CHECKPOINT_PATH, ReadLog, Tree};
use crate::tile::{Edge, Level, TILE_WIDTH, Tile};

/// Follows one log.
#[derive(Clone, Debug)]
pub struct Monitor {
    policy: Policy,
    last: Option<Witnessed>,
}

/// One step of a monitor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Entries that were known before.
    pub from: u64,
    /// Entries now. All between were handed out.
    pub to: u64,
    /// The latest time at which a quorum says that there were no more, in seconds since 1970; none without a quorum.
    pub at: Option<u64>,
    /// Witnesses of the policy that did not co-sign this checkpoint. It is good without them, but a witness that is missing for long
    /// may be co-signing another tree somewhere else.
    pub missing: Vec<String>,
}

/// A log, or who hands out its files, did what it must not; or nothing could be found out.
#[derive(Debug, thiserror::Error)]
pub enum Finding {
    /// Nothing could be found out.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// There is no checkpoint.
    #[error("the log has no checkpoint")]
    NoCheckpoint,
    /// The checkpoint is no note.
    #[error("the log's checkpoint can not be read")]
    Note(#[source] NoteError),
    /// The checkpoint is not good: signatures are missing or wrong.
    #[error("the log's checkpoint does not fulfil the policy")]
    Policy(#[source] PolicyError),
    /// Another log than before.
    #[error("this is the log `{found}`, and `{expected}` is followed")]
    OtherLog {
        /// Of the new checkpoint.
        found: String,
        /// Of the one before.
        expected: String,
    },
    /// An older tree than was seen before: a copy that is behind, or a log that took entries back.
    #[error("the log went back from {} to {} entries", size(.last), size(.found))]
    WentBack {
        /// What was seen before, as proof.
        last: Box<Note>,
        /// What is shown now.
        found: Box<Note>,
    },
    /// Two signed trees of which none extends the other. Both notes together prove it to everybody.
    #[error("the log has two histories: one of {} entries, one of {}", size(.first), size(.second))]
    SplitView {
        /// One signed checkpoint.
        first: Box<Note>,
        /// The other one.
        second: Box<Note>,
    },
    /// Tiles are not those of the signed tree.
    #[error("the log's tiles do not lead to the root that it signed at {size} entries")]
    Tiles {
        /// Entries of the checkpoint.
        size: u64,
    },
    /// An entry is not the one that was signed.
    #[error("entry {index} of the log is not the one in its tree")]
    Entry {
        /// Its place, from 0.
        index: u64,
    },
}

impl Finding {
    /// Whether it is a lie of the log or of somebody between, and not only a failure: to be shown to people, with its notes.
    pub fn is_evidence(&self) -> bool {
        !matches!(self, Self::Access(_) | Self::NoCheckpoint | Self::Note(_))
    }
}

fn size(note: &Note) -> u64 {
    Checkpoint::parse(note.text()).map_or(0, |checkpoint| checkpoint.size)
}

impl Monitor {
    /// A monitor that has seen nothing yet.
    pub fn new(policy: Policy) -> Self {
        Self { policy, last: None }
    }

    /// A monitor that goes on where one stopped: from the bytes of [`Monitor::kept`]. The quorum is not asked for again, so that a
    /// policy may have changed its witnesses in between.
    pub fn resume(policy: Policy, kept: &[u8]) -> Result<Self, Finding> {
        let note = Note::parse(kept).map_err(Finding::Note)?;
        let last = policy.without_quorum().check(&note).map_err(Finding::Policy)?;
        Ok(Self { policy, last: Some(last) })
    }

    /// What has to be kept, durably, after each step. Losing it means to begin again, and to miss what the log took back meanwhile.
    pub fn kept(&self) -> Option<Vec<u8>> {
        self.last.as_ref().map(|last| last.note.to_bytes())
    }

    /// The last checkpoint.
    pub fn last(&self) -> Option<&Witnessed> {
        self.last.as_ref()
    }

    /// Looks at the log once. `entry` is called for each new entry, in order, with its place; an entry is handed out only when it
    /// is bound to the signed root. When an error ends the step, the same entries come again next time.
    pub fn follow(
        &mut self,
        log: &dyn ReadLog,
        entry: &mut dyn FnMut(u64, &[u8]),
    ) -> Result<Progress, Finding> {
        let bytes = log.read(CHECKPOINT_PATH, NOTE_LIMIT)?.ok_or(Finding::NoCheckpoint)?;
        let note = Note::parse(&bytes).map_err(Finding::Note)?;
        let new = self.policy.check(&note).map_err(Finding::Policy)?;
        let mut edge = Edge::new();
        if let Some(last) = &self.last {
            check_extends(log, last, &new)?;
            edge = beginning(log, &last.checkpoint, &new.checkpoint)?;
        }
        let from = edge.size();
        hand_out(log, edge, &new.checkpoint, entry)?;
        let has = |name: &str| new.witnesses.iter().any(|(witness, _)| witness == name);
        let missing =
            self.policy.witnesses().iter().map(|it| it.name.clone()).filter(|name| !has(name)).collect();
        let progress = Progress { from, to: new.checkpoint.size, at: new.at, missing };
        self.last = Some(new);
        Ok(progress)
    }

    /// Compares a checkpoint from somewhere else with the last one. `log` has the tiles of the larger of both. Ok means that one
    /// extends the other. Only the log's own signature is asked for: it alone is proof enough of a second history.
    pub fn compare(&self, log: &dyn ReadLog, other: &Note) -> Result<(), Finding> {
        let other = self.policy.without_quorum().check(other).map_err(Finding::Policy)?;
        let Some(last) = &self.last else { return Ok(()) };
        check_same_log(last, &other)?;
        if other.checkpoint.size < last.checkpoint.size {
            check_tree(log, &other, last)
        } else {
            check_tree(log, last, &other)
        }
    }
}

fn check_same_log(last: &Witnessed, new: &Witnessed) -> Result<(), Finding> {
    let (expected, found) = (&last.checkpoint.origin, &new.checkpoint.origin);
    if expected == found {
        return Ok(());
    }
    Err(Finding::OtherLog { found: found.to_string(), expected: expected.to_string() })
}

fn check_extends(log: &dyn ReadLog, last: &Witnessed, new: &Witnessed) -> Result<(), Finding> {
    check_same_log(last, new)?;
    if new.checkpoint.size >= last.checkpoint.size {
        return check_tree(log, last, new);
    }
    // Worse than being behind, if it can be shown.
    match check_tree(log, new, last) {
        Err(split @ Finding::SplitView { .. }) => Err(split),
        _ => Err(Finding::WentBack { last: Box::new(last.note.clone()), found: Box::new(new.note.clone()) }),
    }
}

/// Checks that the tree `old` is the beginning of the tree `new`, which is not smaller.
fn check_tree(log: &dyn ReadLog, old: &Witnessed, new: &Witnessed) -> Result<(), Finding> {
    let ((old_size, old_root), (new_size, new_root)) = (old.checkpoint.tree(), new.checkpoint.tree());
    let split =
        || Finding::SplitView { first: Box::new(old.note.clone()), second: Box::new(new.note.clone()) };
    if old_size == new_size {
        return if old_root == new_root { Ok(()) } else { Err(split()) };
    }
    let (first, second) = Tree::new(log, new_size).roots(old_size)?;
    if second != new_root {
        return Err(Finding::Tiles { size: new_size });
    }
    // The hashes lead to the new signed root, so this is what the log says the tree was.
    if first == old_root { Ok(()) } else { Err(split()) }
}

/// The right edge of the old tree, from the tiles of the new one: those of the old one may be gone.
fn beginning(log: &dyn ReadLog, old: &Checkpoint, new: &Checkpoint) -> Result<Edge, Finding> {
    let tree = Tree::new(log, new.size);
    let mut levels = Vec::new();
    for partial in Edge::tiles(old.size) {
        let mut hashes = Vec::new();
        if let Some(partial) = partial {
            let tile =
                Tile::of(partial.level(), partial.index(), new.size).expect("a larger tree has it too");
            hashes = tree.tile(tile)?;
            hashes.truncate(usize::from(partial.width()));
        }
        levels.push(hashes);
    }
    let edge = Edge::of(old.size, levels).expect("BUG: tiles of other widths than were asked for");
    if edge.root() == old.root { Ok(edge) } else { Err(Finding::Tiles { size: new.size }) }
}

/// Hands out all entries behind the edge, one bundle at a time: each only after it leads to the signed root.
fn hand_out(
    log: &dyn ReadLog,
    mut edge: Edge,
    new: &Checkpoint,
    entry: &mut dyn FnMut(u64, &[u8]),
) -> Result<(), Finding> {
    let tree = Tree::new(log, new.size);
    let wrong = || Finding::Tiles { size: new.size };
    while edge.size() < new.size {
        let first = edge.size();
        let index = first / TILE_WIDTH;
        let entries = tree.entries(index)?;
        let leaves = Tile::of(Level::Hashes(0), index, new.size).expect("within the tree");
        let leaves = tree.tile(leaves)?;
        let skipped = (first % TILE_WIDTH) as usize;
        for (place, bytes) in entries.iter().enumerate().skip(skipped) {
            let leaf = leaf_hash(bytes);
            if leaves[place] != leaf {
                return Err(Finding::Entry { index: index * TILE_WIDTH + place as u64 });
            }
            edge.push(leaf, &mut |tile, hashes| {
                if tree.tile(tile)? == hashes { Ok(()) } else { Err(wrong()) }
            })?;
        }
        // What the signed root says of the tree at this size.
        let (root, whole) = tree.roots(edge.size())?;
        if whole != new.root || root != edge.root() {
            return Err(wrong());
        }
        for (place, bytes) in entries.iter().enumerate().skip(skipped) {
            entry(index * TILE_WIDTH + place as u64, bytes);
        }
    }
    // Also for a tree that did not grow: its edge is served, and has to be right.
    for (tile, hashes) in edge.partials() {
        if tree.tile(tile)? != hashes {
            return Err(wrong());
        }
    }
    if edge.root() == new.root { Ok(()) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests;
