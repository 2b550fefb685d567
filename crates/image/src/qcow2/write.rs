//! Packing a disk.
//!
//! File layout: header · clusters in the disk's order, compressed ones back to back, others at cluster borders · second-level
//! tables · first-level table · reference counts. The header is written last: a file cut short is not a qcow2 file.

use std::collections::BTreeMap;
use std::io::{self, Seek, SeekFrom, Write};
use std::num::NonZeroUsize;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use model::Sha256Digest;
use sha2::{Digest, Sha256};

use super::{
    CLUSTER_BITS, CLUSTER_SIZE, COMPRESSION_ZSTD, ClusterCache, FEATURE_COMPRESSION_TYPE, FLAG_COMPRESSED,
    FLAG_COPIED, HEADER_SIZE, MAGIC, SECTOR,
};
use crate::ReadAt;
use crate::bytes::{is_zero, put, round_up};

const CLUSTER: u64 = CLUSTER_SIZE as u64;
const TABLE_ENTRIES: usize = CLUSTER_SIZE / 8;
/// Reference counts of 16 bits in one cluster.
const COUNTS_PER_CLUSTER: u64 = CLUSTER / 2;
/// Clusters that a thread takes at a time: a mebibyte, so that handing over costs nothing.
const BATCH: usize = 16;

/// How to pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Of zstd, 1 to 19.
    pub level: i32,
    /// Threads that compress. Changes no byte.
    pub threads: NonZeroUsize,
}

/// Why a disk can not be packed.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The disk can not be read.
    #[error("can not read the disk at byte {offset}")]
    Disk {
        /// From its start.
        offset: u64,
        /// What it said.
        source: io::Error,
    },
    /// The compressor failed.
    #[error("can not compress the cluster at byte {offset}")]
    Compress {
        /// From the disk's start.
        offset: u64,
        /// What the compressor said.
        source: io::Error,
    },
    /// The file can not be written.
    #[error("can not write the qcow2 file")]
    Output {
        /// What the writer said.
        source: io::Error,
    },
}

/// Packs a disk. Only `data` ranges are read; the rest MUST be zeros (pass the whole disk when nothing is known).
pub fn write(
    disk: &dyn ReadAt,
    data: &[Range<u64>],
    options: &Options,
    cache: Option<&dyn ClusterCache>,
    out: &mut (impl Write + Seek),
) -> Result<(), WriteError> {
    let clusters = clusters_of(data, disk.size());
    let batches: Vec<&[u64]> = clusters.chunks(BATCH).collect();
    let next_batch = AtomicUsize::new(0);
    let (results, ready) = mpsc::sync_channel(options.threads.get() * 4);
    std::thread::scope(|scope| {
        for _ in 0..options.threads.get() {
            let (results, batches, next_batch) = (results.clone(), &batches, &next_batch);
            scope.spawn(move || {
                let mut packer = Packer::new(disk, options.level, cache);
                loop {
                    let number = next_batch.fetch_add(1, Ordering::Relaxed);
                    let Some(batch) = batches.get(number) else { return };
                    let packed: Result<Vec<_>, _> =
                        batch.iter().map(|cluster| packer.pack(*cluster)).collect();
                    // A closed channel means that writing failed: nobody waits for more.
                    if results.send((number, packed)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(results);
        let mut file = File::new(out, disk.size())?;
        let mut waiting = BTreeMap::new();
        let mut expected = 0;
        // The receiver moves in here, so that it closes when writing fails and the threads end.
        for (number, packed) in ready {
            waiting.insert(number, packed?);
            while let Some(packed) = waiting.remove(&expected) {
                for (cluster, content) in batches[expected].iter().zip(packed) {
                    file.append(*cluster, &content)?;
                }
                expected += 1;
            }
        }
        file.finish()
    })
}

/// Numbers of all clusters that ranges touch, ascending, none twice.
fn clusters_of(data: &[Range<u64>], size: u64) -> Vec<u64> {
    let mut clusters: Vec<u64> = data
        .iter()
        .filter(|range| range.start < range.end.min(size))
        .flat_map(|range| range.start / CLUSTER..range.end.min(size).div_ceil(CLUSTER))
        .collect();
    clusters.sort_unstable();
    clusters.dedup();
    clusters
}

enum Packed {
    Zeros,
    Compressed(Vec<u8>),
    Plain(Vec<u8>),
}

/// One thread's tools.
struct Packer<'a> {
    disk: &'a dyn ReadAt,
    level: i32,
    cache: Option<&'a dyn ClusterCache>,
    compressor: Option<zstd::bulk::Compressor<'static>>,
    cluster: Vec<u8>,
}

impl<'a> Packer<'a> {
    fn new(disk: &'a dyn ReadAt, level: i32, cache: Option<&'a dyn ClusterCache>) -> Self {
        Self { disk, level, cache, compressor: None, cluster: vec![0; CLUSTER_SIZE] }
    }

    fn pack(&mut self, number: u64) -> Result<Packed, WriteError> {
        let offset = number * CLUSTER;
        let length = CLUSTER.min(self.disk.size() - offset) as usize;
        self.disk
            .read_exact_at(&mut self.cluster[..length], offset)
            .map_err(|source| WriteError::Disk { offset, source })?;
        self.cluster[length..].fill(0);
        if is_zero(&self.cluster) {
            return Ok(Packed::Zeros);
        }
        let compressed = self.compressed().map_err(|source| WriteError::Compress { offset, source })?;
        Ok(match compressed.is_empty() {
            true => Packed::Plain(self.cluster.clone()),
            false => Packed::Compressed(compressed),
        })
    }

    /// Empty when compression does not make it shorter; so it is cached, too.
    fn compressed(&mut self) -> io::Result<Vec<u8>> {
        let key = self.cache.map(|cache| (cache, self.key()));
        if let Some(known) = key.and_then(|(cache, key)| cache.get(&key)) {
            return Ok(known);
        }
        if self.compressor.is_none() {
            self.compressor = Some(zstd::bulk::Compressor::new(self.level)?);
        }
        let compressor = self.compressor.as_mut().expect("made above");
        let mut compressed = compressor.compress(&self.cluster)?;
        // A sector saved is the least that makes a difference.
        if compressed.len() > CLUSTER_SIZE - SECTOR as usize {
            compressed.clear();
        }
        compressed.shrink_to_fit();
        if let Some((cache, key)) = key {
            cache.put(&key, &compressed);
        }
        Ok(compressed)
    }

    /// Content, level and the compressor's version decide the compressed bytes.
    fn key(&self) -> Sha256Digest {
        let mut hash = Sha256::new_with_prefix(b"ampoule qcow2 cluster zstd");
        hash.update(zstd::zstd_safe::version_number().to_le_bytes());
        hash.update(self.level.to_le_bytes());
        hash.update(&self.cluster);
        Sha256Digest(hash.finalize().into())
    }
}

/// The file while it grows.
struct File<'a, W: Write + Seek> {
    out: io::BufWriter<&'a mut W>,
    disk_size: u64,
    position: u64,
    tables: BTreeMap<usize, Vec<u64>>,
    /// By host cluster.
    references: Vec<u16>,
}

impl<'a, W: Write + Seek> File<'a, W> {
    fn new(out: &'a mut W, disk_size: u64) -> Result<Self, WriteError> {
        let mut file = Self {
            out: io::BufWriter::with_capacity(1 << 20, out),
            disk_size,
            position: 0,
            tables: BTreeMap::new(),
            references: Vec::new(),
        };
        file.out.seek(SeekFrom::Start(0)).map_err(|source| WriteError::Output { source })?;
        // Zeros for now: no reader takes a half-written file for a disk.
        file.extend(&[0; CLUSTER_SIZE])?;
        Ok(file)
    }

    fn append(&mut self, cluster: u64, content: &Packed) -> Result<(), WriteError> {
        let entry = match content {
            Packed::Zeros => return Ok(()),
            Packed::Plain(bytes) => {
                self.align()?;
                let offset = self.position;
                self.extend(bytes)?;
                offset | FLAG_COPIED
            }
            Packed::Compressed(bytes) => {
                let offset = self.position;
                self.extend(bytes)?;
                let more_sectors = (self.position - 1) / SECTOR - offset / SECTOR;
                // The address has 62 - (cluster bits - 8) bits, the count of further sectors the rest.
                FLAG_COMPRESSED | (more_sectors << (62 - (CLUSTER_BITS - 8))) | offset
            }
        };
        let (table, slot) = (cluster as usize / TABLE_ENTRIES, cluster as usize % TABLE_ENTRIES);
        self.tables.entry(table).or_insert_with(|| vec![0; TABLE_ENTRIES])[slot] = entry;
        Ok(())
    }

    fn finish(mut self) -> Result<(), WriteError> {
        let first_level_entries = self.disk_size.div_ceil(CLUSTER * TABLE_ENTRIES as u64).max(1);
        let mut first_level = vec![0u64; first_level_entries as usize];
        self.align()?;
        for (number, table) in std::mem::take(&mut self.tables) {
            first_level[number] = self.position | FLAG_COPIED;
            self.extend(&big_endian(&table))?;
        }
        let first_level_offset = self.position;
        for part in first_level.chunks(TABLE_ENTRIES) {
            self.extend(&big_endian(part))?;
            self.align()?;
        }
        let (blocks_offset, blocks, table_clusters) = self.plan_references();
        let block_offsets: Vec<u64> = (0..blocks).map(|block| blocks_offset + block * CLUSTER).collect();
        let mut counts = std::mem::take(&mut self.references);
        counts.resize((blocks * COUNTS_PER_CLUSTER) as usize, 0);
        counts[(blocks_offset / CLUSTER) as usize..][..(blocks + table_clusters) as usize].fill(1);
        let counts: Vec<u8> = counts.iter().flat_map(|count| count.to_be_bytes()).collect();
        let table_offset = blocks_offset + blocks * CLUSTER;
        let mut table = big_endian(&block_offsets);
        table.resize((table_clusters * CLUSTER) as usize, 0);
        let header =
            self.header(first_level.len() as u32, first_level_offset, table_offset, table_clusters as u32);
        let end = |out: &mut io::BufWriter<&mut W>| {
            out.write_all(&counts)?;
            out.write_all(&table)?;
            out.seek(SeekFrom::Start(0))?;
            out.write_all(&header)?;
            out.flush()
        };
        end(&mut self.out).map_err(|source| WriteError::Output { source })
    }

    /// Where counts begin, and how many clusters they and their table take: they count themselves.
    fn plan_references(&self) -> (u64, u64, u64) {
        let others = self.position / CLUSTER;
        let (mut blocks, mut table) = (1, 1);
        while others + blocks + table > blocks * COUNTS_PER_CLUSTER {
            blocks += 1;
            table = (blocks * 8).div_ceil(CLUSTER);
        }
        (self.position, blocks, table)
    }

    fn header(
        &self,
        entries: u32,
        first_level: u64,
        references: u64,
        reference_clusters: u32,
    ) -> [u8; HEADER_SIZE] {
        let mut header = [0; HEADER_SIZE];
        put(&mut header, 0, &MAGIC);
        put(&mut header, 4, &3u32.to_be_bytes());
        put(&mut header, 20, &CLUSTER_BITS.to_be_bytes());
        put(&mut header, 24, &self.disk_size.to_be_bytes());
        put(&mut header, 36, &entries.to_be_bytes());
        put(&mut header, 40, &first_level.to_be_bytes());
        put(&mut header, 48, &references.to_be_bytes());
        put(&mut header, 56, &reference_clusters.to_be_bytes());
        put(&mut header, 72, &FEATURE_COMPRESSION_TYPE.to_be_bytes());
        // Counts of 2^4 bits.
        put(&mut header, 96, &4u32.to_be_bytes());
        put(&mut header, 100, &(HEADER_SIZE as u32).to_be_bytes());
        header[104] = COMPRESSION_ZSTD;
        header
    }

    fn align(&mut self) -> Result<(), WriteError> {
        let padding = round_up(self.position, CLUSTER) - self.position;
        self.out
            .write_all(&[0; CLUSTER_SIZE][..padding as usize])
            .map_err(|source| WriteError::Output { source })?;
        self.position += padding;
        Ok(())
    }

    /// Writes at the end, and counts one reference from here to every cluster touched.
    fn extend(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        self.out.write_all(bytes).map_err(|source| WriteError::Output { source })?;
        let end = self.position + bytes.len() as u64;
        let (first, last) = (self.position / CLUSTER, (end - 1) / CLUSTER);
        self.references.resize(last as usize + 1, 0);
        // No overflow: a frame is longer than one byte, so that a cluster holds fewer than 65536.
        (first..=last).for_each(|cluster| self.references[cluster as usize] += 1);
        self.position = end;
        Ok(())
    }
}

fn big_endian(entries: &[u64]) -> Vec<u8> {
    entries.iter().flat_map(|entry| entry.to_be_bytes()).collect()
}
