//! A log: appending to a tree on plain files so that nothing that was promised is lost or changed.
//!
//! # Life of an entry, and what a crash leaves
//! 1. Bundles, then tiles are written, and synced. Crash: files that no checkpoint speaks of. The next append overwrites them.
//! 2. The new checkpoint is signed and kept as `.ledger/signed`, and synced. **This is the moment from which the entry is in the
//!    log.** Crash before: the entry was never in it, and nobody outside has seen the signature. Crash after: it is.
//! 3. Witnesses co-sign the kept checkpoint (the caller asks them). Crash: asked again; the same checkpoint, the same tree.
//! 4. The co-signed checkpoint is published as `checkpoint`, and synced. Crash: published again.
//! 5. Partial tiles that a full one took the place of are removed. Crash: they stay, and are right.
//!
//! The signature is kept (2) before a witness sees it (3): a log that forgot what it had signed could sign another tree of the same
//! size, and no witness would ever follow it again.
//!
//! Bundles and tiles are not changed once a kept checkpoint covers them.

mod plan;

use crate::checkpoint::{Checkpoint, CheckpointError, Origin};
use crate::merkle::TreeHash;
use crate::note::{NOTE_LIMIT, Note, NoteError, NoteSigner, SigningError, VerifierKey};
use crate::proof::Proof;
use crate::read::{AccessError, CHECKPOINT_PATH, ReadLog, Tree};
use crate::store::Store;
use crate::tile::{BUNDLE_LIMIT, ENTRY_LIMIT, Edge, Level, Tile, bundle_entries};

/// The newest checkpoint that was signed. Only the log itself reads it.
const SIGNED_PATH: &str = ".ledger/signed";
/// Most bytes of one batch. Stops a caller from filling memory: bundles are made before they are written.
pub const BATCH_LIMIT: usize = 64 << 20;

/// A log that can be appended to. There MUST be no other writer of its store.
#[derive(Debug)]
pub struct Log<S> {
    store: S,
    key: VerifierKey,
    edge: Edge,
    /// Bytes of the partial bundle.
    tail: Vec<u8>,
    signed: Note,
    /// A write failed: what is on disk is not certain.
    is_uncertain: bool,
}

/// Entries that are in the log from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a checkpoint that is not published proves nothing to anybody"]
pub struct Appended {
    /// Place of the first one, from 0; the others follow.
    pub first: u64,
    /// The checkpoint with the log's signature, for witnesses and for [`Log::publish`].
    pub signed: Note,
}

/// A log can not be opened, appended to or published.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// There is something already.
    #[error("there is a log already, or files of one: no new log is made over it")]
    Occupied,
    /// No log was made here.
    #[error("there is no log here: `{SIGNED_PATH}` is missing")]
    NoLog,
    /// A file can not be read or written, or is missing.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// A checkpoint of the log is not signed by its key.
    #[error("`{path}` is no note that the log's key signed")]
    Note {
        /// Which file.
        path: &'static str,
        /// Why.
        #[source]
        source: NoteError,
    },
    /// A checkpoint of the log can not be read.
    #[error("`{path}` is no checkpoint")]
    Checkpoint {
        /// Which file.
        path: &'static str,
        /// Why.
        #[source]
        source: CheckpointError,
    },
    /// A checkpoint of another log.
    #[error("`{path}` is of the log `{found}`, and the key is of `{expected}`")]
    OtherLog {
        /// Which file.
        path: &'static str,
        /// Its origin.
        found: Origin,
        /// Name of the key.
        expected: String,
    },
    /// The name of the key can not be the origin.
    #[error("the name of the key can not name a log")]
    Origin(#[source] CheckpointError),
    /// Tiles or entries are not those that were signed.
    #[error("the log's files have another root at {size} entries than its checkpoint")]
    Damaged {
        /// Number of entries.
        size: u64,
    },
    /// What was published is not what was signed last, or a part of it: an old copy of the folder, or somebody changed it.
    #[error(
        "the log was set back: {published} entries are published, and the last signed checkpoint has {signed}"
    )]
    WentBack {
        /// Entries of the public checkpoint.
        published: u64,
        /// Entries of the last signed one.
        signed: u64,
    },
    /// What was published is another tree than what was signed last.
    #[error("the published checkpoint of {published} entries is not a part of the last signed one")]
    Forked {
        /// Entries of the public checkpoint.
        published: u64,
    },
    /// Nothing to append.
    #[error("a batch needs at least one entry")]
    NothingToAppend,
    /// Longer than [`ENTRY_LIMIT`].
    #[error("entry {0} of the batch has more than {ENTRY_LIMIT} bytes")]
    EntryTooLong(usize),
    /// More than [`BATCH_LIMIT`].
    #[error("the batch has more than {BATCH_LIMIT} bytes")]
    BatchTooLong,
    /// The signer has another key.
    #[error("the log is signed by `{expected}`, not by `{found}`")]
    OtherKey {
        /// The log's key.
        expected: Box<VerifierKey>,
        /// The signer's.
        found: Box<VerifierKey>,
    },
    /// The key, or the device that has it, did not sign.
    #[error("the checkpoint could not be signed")]
    Signing(#[source] SigningError),
    /// An earlier write failed.
    #[error("an earlier write failed: the log has to be opened again")]
    Uncertain,
    /// Published is what the log signed last, with co-signatures, and nothing else.
    #[error("only the checkpoint that was signed last can be published")]
    NotTheLast,
    /// There is no such entry.
    #[error("the published checkpoint has {size} entries: there is no entry {index}")]
    NoEntry {
        /// The entry that was asked for.
        index: u64,
        /// Entries of the public checkpoint.
        size: u64,
    },
}

impl<S: Store> Log<S> {
    /// Makes an empty log. Its origin is the name of the signer's key.
    pub fn create(mut store: S, signer: &NoteSigner<'_>) -> Result<Self, LogError> {
        for path in [SIGNED_PATH, CHECKPOINT_PATH] {
            if store.read(path, NOTE_LIMIT)?.is_some() {
                return Err(LogError::Occupied);
            }
        }
        let checkpoint = Checkpoint::empty(origin(signer.key())?);
        let signed = sign(&checkpoint, signer)?;
        store.put(SIGNED_PATH, &signed.to_bytes())?;
        store.sync()?;
        let key = signer.key().clone();
        Ok(Self { store, key, edge: Edge::new(), tail: Vec::new(), signed, is_uncertain: false })
    }

    /// Opens a log after anything that may have happened to it. What a crash left is found and told from damage; damage is
    /// refused, never repaired.
    pub fn open(mut store: S, key: VerifierKey) -> Result<Self, LogError> {
        // A process that was killed may have left a checkpoint that a power cut would still take away.
        store.sync()?;
        let (signed, checkpoint) = read_checkpoint(&store, SIGNED_PATH, &key)?.ok_or(LogError::NoLog)?;
        let size = checkpoint.size;
        let tree = Tree::new(&store, size);
        let edge = tree.edge()?;
        if edge.root() != checkpoint.root {
            return Err(LogError::Damaged { size });
        }
        let tail = read_tail(&store, &edge)?;
        if let Some((_, published)) = read_checkpoint(&store, CHECKPOINT_PATH, &key)? {
            if published.size > size {
                return Err(LogError::WentBack { published: published.size, signed: size });
            }
            if tree.roots(published.size)? != (published.root, checkpoint.root) {
                return Err(LogError::Forked { published: published.size });
            }
        }
        Ok(Self { store, key, edge, tail, signed, is_uncertain: false })
    }

    /// Number of entries.
    pub fn size(&self) -> u64 {
        self.edge.size()
    }

    /// The log's key; its name is the origin.
    pub fn key(&self) -> &VerifierKey {
        &self.key
    }

    /// The checkpoint that was signed last, with the log's signature alone. Until it is published, witnesses are to be asked
    /// for it again.
    pub fn signed(&self) -> &Note {
        &self.signed
    }

    /// Its files.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// The tree with everything appended, published or not.
    pub fn tree(&self) -> Tree<'_> {
        Tree::new(&self.store, self.size())
    }

    /// The public checkpoint; none before the first.
    pub fn published(&self) -> Result<Option<(Note, Checkpoint)>, LogError> {
        read_checkpoint(&self.store, CHECKPOINT_PATH, &self.key)
    }

    /// Appends entries as one batch: steps 1 and 2. Returned Ok means that they are in the log for ever, and an error that none of
    /// them is, or, when the disk failed, that only opening the log again tells. One batch costs about ten writes to disk, however
    /// many entries it has.
    pub fn append<E: AsRef<[u8]>>(
        &mut self,
        entries: &[E],
        signer: &NoteSigner<'_>,
    ) -> Result<Appended, LogError> {
        if self.is_uncertain {
            return Err(LogError::Uncertain);
        }
        if *signer.key() != self.key {
            let found = Box::new(signer.key().clone());
            return Err(LogError::OtherKey { expected: Box::new(self.key.clone()), found });
        }
        check_batch(entries)?;
        let first = self.size();
        let plan = plan::plan(&self.edge, &self.tail, entries);
        let checkpoint = Checkpoint::new(origin(&self.key)?, plan.edge.size(), plan.edge.root());
        self.is_uncertain = true;
        for (tile, bytes) in &plan.files {
            self.store.put(&tile.to_string(), bytes)?;
        }
        self.store.sync()?;
        // Not before: a signature over a tree that is not on disk could not be kept.
        let signed = match sign(&checkpoint, signer) {
            Ok(signed) => signed,
            Err(error) => {
                // Nothing was promised: only files nobody speaks of are there.
                self.is_uncertain = false;
                return Err(error);
            }
        };
        self.store.put(SIGNED_PATH, &signed.to_bytes())?;
        self.store.sync()?;
        self.is_uncertain = false;
        self.edge = plan.edge;
        self.tail = plan.tail;
        self.signed = signed.clone();
        Ok(Appended { first, signed })
    }

    /// Publishes the checkpoint that was signed last, with the co-signatures it has by now: steps 4 and 5. The caller decides
    /// which co-signatures are enough. The same one may be published again with more of them.
    pub fn publish(&mut self, note: &Note) -> Result<(), LogError> {
        if self.is_uncertain {
            return Err(LogError::Uncertain);
        }
        if note.text() != self.signed.text() {
            return Err(LogError::NotTheLast);
        }
        let before = self.published()?.map_or(0, |(_, checkpoint)| checkpoint.size);
        note.verify([&self.key]).map_err(|source| LogError::Note { path: CHECKPOINT_PATH, source })?;
        self.store.put(CHECKPOINT_PATH, &note.to_bytes())?;
        self.store.sync()?;
        for tile in plan::filled(before, self.size()) {
            self.store.remove_folder(&tile.partials())?;
        }
        self.store.sync()?;
        Ok(())
    }

    /// The proof of an entry against the public checkpoint.
    pub fn prove(&self, index: u64) -> Result<Proof, LogError> {
        prove(&self.store, &self.key, index)
    }
}

/// The proof of an entry against the public checkpoint of a log, from its files alone. It is checked against the root before it is
/// handed out: damaged tiles make no proof.
pub fn prove(log: &dyn ReadLog, key: &VerifierKey, index: u64) -> Result<Proof, LogError> {
    let (note, checkpoint) =
        read_checkpoint(log, CHECKPOINT_PATH, key)?.ok_or(LogError::NoEntry { index, size: 0 })?;
    let (size, root) = checkpoint.tree();
    if index >= size {
        return Err(LogError::NoEntry { index, size });
    }
    let tree = Tree::new(log, size);
    let hashes = tree.inclusion(index)?;
    let leaf = tree.node(crate::merkle::Node { level: 0, index })?;
    crate::merkle::check_inclusion(leaf, index, size, &hashes, root)
        .map_err(|_| LogError::Damaged { size })?;
    Ok(Proof { extra: None, index, hashes, checkpoint: note })
}

fn origin(key: &VerifierKey) -> Result<Origin, LogError> {
    key.name().as_str().parse().map_err(LogError::Origin)
}

fn sign(checkpoint: &Checkpoint, signer: &NoteSigner<'_>) -> Result<Note, LogError> {
    let text = checkpoint.to_text();
    let mut note = Note::new(text.clone()).expect("BUG: a checkpoint is no text");
    note.add(signer.sign(&text).map_err(LogError::Signing)?);
    Ok(note)
}

fn read_checkpoint(
    log: &dyn ReadLog,
    path: &'static str,
    key: &VerifierKey,
) -> Result<Option<(Note, Checkpoint)>, LogError> {
    let Some(bytes) = log.read(path, NOTE_LIMIT)? else { return Ok(None) };
    let is_signed = Note::parse(&bytes).and_then(|note| note.verify([key]).map(|_| ()).map(|()| note));
    let note = is_signed.map_err(|source| LogError::Note { path, source })?;
    let checkpoint =
        Checkpoint::parse(note.text()).map_err(|source| LogError::Checkpoint { path, source })?;
    if checkpoint.origin.as_str() != key.name().as_str() {
        let expected = key.name().to_string();
        return Err(LogError::OtherLog { path, found: checkpoint.origin, expected });
    }
    Ok(Some((note, checkpoint)))
}

/// The partial bundle, checked against the partial tile.
fn read_tail(store: &impl Store, edge: &Edge) -> Result<Vec<u8>, LogError> {
    let size = edge.size();
    let Some(tile) = Tile::of(Level::Entries, size / 256, size) else { return Ok(Vec::new()) };
    let path = tile.to_string();
    let bytes =
        store.read(&path, BUNDLE_LIMIT)?.ok_or_else(|| AccessError::Missing { path: path.clone() })?;
    let entries =
        bundle_entries(&bytes, tile.width()).map_err(|source| AccessError::Bundle { path, source })?;
    let leaves: Vec<TreeHash> = entries.into_iter().map(crate::merkle::leaf_hash).collect();
    let expected = edge.partials().find(|(tile, _)| tile.level() == Level::Hashes(0));
    if expected.map(|(_, hashes)| hashes) == Some(&leaves[..]) {
        Ok(bytes)
    } else {
        Err(LogError::Damaged { size })
    }
}

fn check_batch<E: AsRef<[u8]>>(entries: &[E]) -> Result<(), LogError> {
    if entries.is_empty() {
        return Err(LogError::NothingToAppend);
    }
    if let Some(at) = entries.iter().position(|entry| entry.as_ref().len() > ENTRY_LIMIT) {
        return Err(LogError::EntryTooLong(at));
    }
    let bytes: usize = entries.iter().map(|entry| entry.as_ref().len() + 2).sum();
    if bytes > BATCH_LIMIT { Err(LogError::BatchTooLong) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
