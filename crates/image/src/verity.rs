//! dm-verity hash trees, format 1 with superblock, as `veritysetup` writes them.
//!
//! SHA-256, data and hash blocks of 4096 bytes. On disk: superblock padded to a block · the top level · … · the level
//! that hashes data blocks. A digest is SHA-256 of the salt followed by the block; a hash block holds 128 digests.
//! Format: <https://gitlab.com/cryptsetup/cryptsetup/-/wikis/DMVerity>.

use std::io;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;

use model::Sha256Digest;
use sha2::{Digest, Sha256};

use crate::bytes::{le16, le32, le64, put, take};
use crate::{ReadAt, Uuid};

/// Size of data blocks and hash blocks.
pub const BLOCK_SIZE: usize = 4096;

/// Longest salt accepted here. The format has room for 256 bytes; a short one keeps each block's hashing short.
pub const MAXIMUM_SALT: usize = 32;

const DIGEST_SIZE: usize = 32;
const DIGESTS_PER_BLOCK: u64 = (BLOCK_SIZE / DIGEST_SIZE) as u64;
const SIGNATURE: &[u8; 8] = b"verity\0\0";

/// Data handed to one thread at a time: long enough to make handing over free, short enough to feed two threads early.
const BATCH: usize = 1 << 20;

/// What a tree has besides its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// In front of every block; at most [`MAXIMUM_SALT`] bytes.
    pub salt: Vec<u8>,
    /// In the superblock.
    pub uuid: Uuid,
    /// Threads that hash. Changes no byte.
    pub threads: NonZeroUsize,
}

/// A finished hash tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HashTree {
    /// Superblock and all levels: the content of a verity partition.
    pub bytes: Vec<u8>,
    /// What a UKI's command line names as `roothash=`.
    pub root_hash: Sha256Digest,
}

/// Why a tree can not be built or does not verify.
#[derive(Debug, thiserror::Error)]
pub enum VerityError {
    /// Longer than [`MAXIMUM_SALT`].
    #[error("a salt of {length} bytes is longer than 32")]
    SaltTooLong {
        /// Bytes given.
        length: usize,
    },
    /// Data is empty or ends inside a block.
    #[error("verity needs whole blocks of 4096 bytes, not {length} bytes")]
    PartialBlock {
        /// Length of the data in bytes.
        length: u64,
    },
    /// The tree is no tree of this kind.
    #[error("the hash tree can not be read: {problem}")]
    Superblock {
        /// What is wrong or not understood.
        problem: &'static str,
    },
    /// A data block is not what was sealed.
    #[error("data block {block} does not match the hash tree")]
    DataBlock {
        /// Counted from 0.
        block: u64,
    },
    /// A block of the tree is not what was sealed.
    #[error("block {block} of the hash tree does not match the root hash {root_hash}")]
    HashBlock {
        /// Counted from the superblock, which is 0.
        block: u64,
        /// What was expected at the top.
        root_hash: Sha256Digest,
    },
    /// The source failed.
    #[error("can not read {what} at byte {offset}")]
    Source {
        /// Data or hash tree.
        what: &'static str,
        /// From its start.
        offset: u64,
        /// What the source said.
        source: io::Error,
    },
}

/// Hash blocks with their numbers, as one worker makes them.
type NumberedBlocks = Vec<(u64, Vec<u8>)>;

/// Builds a tree while its data streams by.
///
/// Threads take batches from a bounded queue, so that memory stays bounded when data comes faster than it is hashed.
pub struct VerityBuilder {
    options: Options,
    pending: Vec<u8>,
    length: u64,
    batches: u64,
    queue: mpsc::SyncSender<(u64, Vec<u8>)>,
    workers: Vec<JoinHandle<NumberedBlocks>>,
    hashed: mpsc::Receiver<Vec<u8>>,
}

impl VerityBuilder {
    /// Starts the threads.
    pub fn new(options: Options) -> Result<Self, VerityError> {
        let salted = salted_hash(&options.salt)?;
        let threads = options.threads.get();
        let (queue, batches) = mpsc::sync_channel::<(u64, Vec<u8>)>(threads);
        // Guards the queue's reading end: held only while one batch is taken.
        let batches = Arc::new(Mutex::new(batches));
        let (give_back, hashed) = mpsc::channel();
        let workers = (0..threads)
            .map(|_| {
                let (batches, salted, give_back) = (batches.clone(), salted.clone(), give_back.clone());
                std::thread::spawn(move || {
                    let mut digests = Vec::new();
                    loop {
                        let taken = batches.lock().ok().and_then(|batches| batches.recv().ok());
                        let Some((number, batch)) = taken else { return digests };
                        digests.push((number, hash_blocks(&salted, &batch)));
                        // The builder may be gone already; then nobody needs the buffer.
                        let _ = give_back.send(batch);
                    }
                })
            })
            .collect();
        let pending = Vec::with_capacity(BATCH);
        Ok(Self { options, pending, length: 0, batches: 0, queue, workers, hashed })
    }

    /// Takes the next bytes, in pieces of any length.
    pub fn update(&mut self, mut bytes: &[u8]) {
        self.length += bytes.len() as u64;
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(BATCH - self.pending.len()));
            self.pending.extend_from_slice(now);
            bytes = later;
            if self.pending.len() == BATCH {
                self.hand_over();
            }
        }
    }

    /// Hashes the levels above and lays out the tree.
    pub fn finish(mut self) -> Result<HashTree, VerityError> {
        if self.length == 0 || !self.length.is_multiple_of(BLOCK_SIZE as u64) {
            return Err(VerityError::PartialBlock { length: self.length });
        }
        if !self.pending.is_empty() {
            self.hand_over();
        }
        drop(self.queue);
        let mut batches: Vec<_> = self
            .workers
            .into_iter()
            .flat_map(|worker| worker.join().expect("hashing a buffer does not panic"))
            .collect();
        batches.sort_by_key(|(number, _)| *number);
        let leaves: Vec<u8> = batches.into_iter().flat_map(|(_, digests)| digests).collect();
        lay_out(leaves, &self.options, self.length / BLOCK_SIZE as u64)
    }

    fn hand_over(&mut self) {
        let mut next = self.hashed.try_recv().unwrap_or_else(|_| Vec::with_capacity(BATCH));
        next.clear();
        let batch = std::mem::replace(&mut self.pending, next);
        self.queue.send((self.batches, batch)).expect("workers wait for batches until the queue is dropped");
        self.batches += 1;
    }
}

impl io::Write for VerityBuilder {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Length of a whole tree, superblock included, over `data_blocks` blocks.
pub fn tree_size(data_blocks: u64) -> u64 {
    (1 + level_sizes(data_blocks).iter().sum::<u64>()) * BLOCK_SIZE as u64
}

/// Checks data and tree against a root hash and names the first bad block.
///
/// `data` and `tree` may be longer than what was sealed, as partitions are.
pub fn verify(data: &dyn ReadAt, tree: &dyn ReadAt, root_hash: &Sha256Digest) -> Result<(), VerityError> {
    let superblock = parse_superblock(tree)?;
    let salted = salted_hash(&superblock.salt)?;
    let levels = level_sizes(superblock.data_blocks);
    if superblock.data_blocks == 0
        || superblock.data_blocks > data.size() / BLOCK_SIZE as u64
        || tree_size(superblock.data_blocks) > tree.size()
    {
        return Err(VerityError::Superblock { problem: "it covers more data than there is" });
    }
    let mut expected = root_hash.0.to_vec();
    let mut position = 1;
    // From the top: a level is believed only once the one above vouches for it. All levels but the last are small.
    for blocks in levels.iter().rev() {
        let mut level = vec![0; *blocks as usize * BLOCK_SIZE];
        read(tree, "the hash tree", &mut level, position * BLOCK_SIZE as u64)?;
        if let Some(block) = first_difference(&hash_blocks(&salted, &level), &expected) {
            return Err(VerityError::HashBlock { block: position + block, root_hash: *root_hash });
        }
        position += blocks;
        expected = level;
    }
    let mut batch = vec![0; BATCH];
    let (mut block, digests_per_batch) = (0, BATCH / BLOCK_SIZE * DIGEST_SIZE);
    for digests in expected[..superblock.data_blocks as usize * DIGEST_SIZE].chunks(digests_per_batch) {
        let batch = &mut batch[..digests.len() / DIGEST_SIZE * BLOCK_SIZE];
        read(data, "the data", batch, block * BLOCK_SIZE as u64)?;
        if let Some(bad) = first_difference(&hash_blocks(&salted, batch), digests) {
            return Err(VerityError::DataBlock { block: block + bad });
        }
        block += (digests.len() / DIGEST_SIZE) as u64;
    }
    Ok(())
}

/// Length in bytes of the data that a tree covers, from its superblock.
pub fn covered_size(tree: &dyn ReadAt) -> Result<u64, VerityError> {
    let blocks = parse_superblock(tree)?.data_blocks;
    blocks.checked_mul(BLOCK_SIZE as u64).ok_or(VerityError::Superblock { problem: "impossible length" })
}

struct Superblock {
    salt: Vec<u8>,
    data_blocks: u64,
}

fn parse_superblock(tree: &dyn ReadAt) -> Result<Superblock, VerityError> {
    let mut bytes = [0; 512];
    if tree.size() < BLOCK_SIZE as u64 {
        return Err(VerityError::Superblock { problem: "it is too short" });
    }
    read(tree, "the hash tree", &mut bytes, 0)?;
    let problem = |problem| Err(VerityError::Superblock { problem });
    if &bytes[..8] != SIGNATURE {
        return problem("its signature is missing");
    }
    if (le32(&bytes, 8), le32(&bytes, 12)) != (1, 1) {
        return problem("its version is not 1");
    }
    if take::<7>(&bytes, 32) != *b"sha256\0" {
        return problem("its hash is not sha256");
    }
    if (le32(&bytes, 64), le32(&bytes, 68)) != (BLOCK_SIZE as u32, BLOCK_SIZE as u32) {
        return problem("its blocks are not of 4096 bytes");
    }
    let salt_length = usize::from(le16(&bytes, 80));
    if salt_length > MAXIMUM_SALT {
        return Err(VerityError::SaltTooLong { length: salt_length });
    }
    Ok(Superblock { salt: bytes[88..88 + salt_length].to_vec(), data_blocks: le64(&bytes, 72) })
}

fn lay_out(leaves: Vec<u8>, options: &Options, data_blocks: u64) -> Result<HashTree, VerityError> {
    let salted = salted_hash(&options.salt)?;
    let mut levels = Vec::new();
    let mut digests = leaves;
    while digests.len() > DIGEST_SIZE {
        digests.resize(digests.len().next_multiple_of(BLOCK_SIZE), 0);
        let above = hash_blocks(&salted, &digests);
        levels.push(digests);
        digests = above;
    }
    let mut bytes = superblock(options, data_blocks);
    levels.iter().rev().for_each(|level| bytes.extend_from_slice(level));
    Ok(HashTree { bytes, root_hash: Sha256Digest(take(&digests, 0)) })
}

fn superblock(options: &Options, data_blocks: u64) -> Vec<u8> {
    let mut block = vec![0; BLOCK_SIZE];
    put(&mut block, 0, SIGNATURE);
    put(&mut block, 8, &1u32.to_le_bytes());
    put(&mut block, 12, &1u32.to_le_bytes());
    put(&mut block, 16, &options.uuid.0);
    put(&mut block, 32, b"sha256");
    put(&mut block, 64, &(BLOCK_SIZE as u32).to_le_bytes());
    put(&mut block, 68, &(BLOCK_SIZE as u32).to_le_bytes());
    put(&mut block, 72, &data_blocks.to_le_bytes());
    put(&mut block, 80, &(options.salt.len() as u16).to_le_bytes());
    put(&mut block, 88, &options.salt);
    block
}

/// Blocks of each level, the one over the data first. One data block needs no level: its digest is the root hash.
fn level_sizes(data_blocks: u64) -> Vec<u64> {
    let mut sizes = Vec::new();
    let mut blocks = data_blocks;
    while blocks > 1 {
        blocks = blocks.div_ceil(DIGESTS_PER_BLOCK);
        sizes.push(blocks);
    }
    sizes
}

fn salted_hash(salt: &[u8]) -> Result<Sha256, VerityError> {
    if salt.len() > MAXIMUM_SALT {
        return Err(VerityError::SaltTooLong { length: salt.len() });
    }
    Ok(Sha256::new().chain_update(salt))
}

fn hash_blocks(salted: &Sha256, bytes: &[u8]) -> Vec<u8> {
    bytes
        .chunks(BLOCK_SIZE)
        .flat_map(|block| -> [u8; 32] { salted.clone().chain_update(block).finalize().into() })
        .collect()
}

fn first_difference(found: &[u8], expected: &[u8]) -> Option<u64> {
    found
        .chunks(DIGEST_SIZE)
        .zip(expected.chunks(DIGEST_SIZE))
        .position(|(found, expected)| found != expected)
        .map(|position| position as u64)
}

fn read(source: &dyn ReadAt, what: &'static str, buffer: &mut [u8], offset: u64) -> Result<(), VerityError> {
    source.read_exact_at(buffer, offset).map_err(|source| VerityError::Source { what, offset, source })
}
