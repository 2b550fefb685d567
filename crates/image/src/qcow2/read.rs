//! Reading a qcow2 file that anybody may have made.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};

use super::{
    COMPRESSION_ZSTD, FEATURE_COMPRESSION_TYPE, FLAG_COMPRESSED, FLAG_ZERO, HEADER_SIZE, MAGIC, OFFSET_MASK,
    SECTOR,
};
use crate::ReadAt;
use crate::bytes::{be32, be64};

/// Largest disk read, in bytes: stops a header that asks for first-level tables of gigabytes.
pub const MAXIMUM_DISK: u64 = 16 << 40;

/// Most first-level entries, which is 32 MiB of them as in QEMU: stops small clusters from doing the same.
const MAXIMUM_FIRST_LEVEL: usize = (32 << 20) / 8;

/// Second-level tables and clusters kept in memory each, so that reading in small pieces does not unpack a cluster many
/// times. Bounds memory at twice 16 clusters, whatever the file says.
const KEPT: usize = 16;

/// Bits of the zero-cost features: "dirty" (reference counts may be wrong) does not matter to a reader.
const FEATURE_DIRTY: u64 = 1;

/// Why a qcow2 file can not be read.
#[derive(Debug, thiserror::Error)]
pub enum Qcow2Error {
    /// No qcow2 here.
    #[error("this is not a qcow2 file")]
    NotQcow2,
    /// Something that this reader does not have.
    #[error("the qcow2 file uses {feature}, which can not be read here")]
    Unsupported {
        /// In words.
        feature: String,
    },
    /// The file contradicts its format.
    #[error("the qcow2 file is damaged: {problem}")]
    Damaged {
        /// What is wrong.
        problem: &'static str,
    },
    /// The source failed.
    #[error("can not read the qcow2 file at byte {offset}")]
    Source {
        /// From the file's start.
        offset: u64,
        /// What the source said.
        source: io::Error,
    },
}

/// An opened file; reads as the disk in it.
pub struct Qcow2<R> {
    source: R,
    size: u64,
    cluster_bits: u32,
    compression: Compression,
    first_level: Vec<u64>,
    /// Guards tables seen last; held only to look one up or to put one in.
    tables: Mutex<Recent<Vec<u64>>>,
    /// Guards unpacked clusters seen last; held likewise.
    clusters: Mutex<Recent<Vec<u8>>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Compression {
    Deflate,
    Zstd,
}

type Recent<T> = VecDeque<(u64, Arc<T>)>;

impl<R: ReadAt> Qcow2<R> {
    /// Whether the source begins like a qcow2 file.
    pub fn is_qcow2(source: &R) -> bool {
        let mut magic = [0; 4];
        source.size() >= 4 && source.read_exact_at(&mut magic, 0).is_ok() && magic == MAGIC
    }

    /// Reads header and first-level table.
    pub fn open(source: R) -> Result<Self, Qcow2Error> {
        let unsupported = |feature: &str| Err(Qcow2Error::Unsupported { feature: feature.to_owned() });
        let damaged = |problem| Err(Qcow2Error::Damaged { problem });
        if !Self::is_qcow2(&source) || source.size() < HEADER_SIZE as u64 {
            return Err(Qcow2Error::NotQcow2);
        }
        let mut header = [0; HEADER_SIZE];
        read(&source, &mut header, 0)?;
        let version = be32(&header, 4);
        let features = if version == 3 { be64(&header, 72) } else { 0 };
        let cluster_bits = be32(&header, 20);
        let (size, entries, first_level_offset) =
            (be64(&header, 24), be32(&header, 36) as usize, be64(&header, 40));
        if !matches!(version, 2 | 3) {
            return Err(Qcow2Error::Unsupported { feature: format!("version {version}") });
        }
        if be64(&header, 8) != 0 {
            return unsupported("a backing file");
        }
        if be32(&header, 32) != 0 {
            return unsupported("encryption");
        }
        if features & !(FEATURE_DIRTY | FEATURE_COMPRESSION_TYPE) != 0 {
            return Err(Qcow2Error::Unsupported { feature: format!("features {features:#x}") });
        }
        let compression = match (features & FEATURE_COMPRESSION_TYPE != 0, header[104]) {
            (false, _) | (true, 0) => Compression::Deflate,
            (true, COMPRESSION_ZSTD) => Compression::Zstd,
            (true, other) => return Err(Qcow2Error::Unsupported { feature: format!("compression {other}") }),
        };
        if !(9..=21).contains(&cluster_bits) {
            return damaged("impossible cluster size");
        }
        if size > MAXIMUM_DISK {
            return unsupported("a disk of more than 16 TiB");
        }
        let table_reach = 1u64 << (cluster_bits + cluster_bits - 3);
        if entries > MAXIMUM_FIRST_LEVEL || (entries as u64) < size.div_ceil(table_reach) {
            return damaged("first-level table too long or too short");
        }
        let mut bytes = vec![0; entries * 8];
        read(&source, &mut bytes, first_level_offset)?;
        let first_level = bytes.chunks_exact(8).map(|entry| be64(entry, 0)).collect();
        let (tables, clusters) = (Mutex::default(), Mutex::default());
        Ok(Self { source, size, cluster_bits, compression, first_level, tables, clusters })
    }

    fn read_piece(&self, piece: &mut [u8], offset: u64) -> Result<(), Qcow2Error> {
        let cluster = offset >> self.cluster_bits;
        let within = offset & ((1 << self.cluster_bits) - 1);
        let entry = self.entry(cluster)?;
        if entry & FLAG_COMPRESSED != 0 {
            let content = keep(&self.clusters, cluster, || self.unpack(entry))?;
            piece.copy_from_slice(&content[within as usize..within as usize + piece.len()]);
            return Ok(());
        }
        match entry & OFFSET_MASK {
            0 => piece.fill(0),
            _ if entry & FLAG_ZERO != 0 => piece.fill(0),
            host if host & ((1 << self.cluster_bits) - 1) != 0 => {
                return Err(Qcow2Error::Damaged { problem: "unaligned cluster" });
            }
            host => read(&self.source, piece, host + within)?,
        }
        Ok(())
    }

    fn entry(&self, cluster: u64) -> Result<u64, Qcow2Error> {
        let entries_bits = self.cluster_bits - 3;
        // In range: the table was checked to reach as far as the disk.
        let offset = self.first_level[(cluster >> entries_bits) as usize] & OFFSET_MASK;
        if offset == 0 {
            return Ok(0);
        }
        let table = keep(&self.tables, offset, || {
            let mut bytes = vec![0; 1 << self.cluster_bits];
            read(&self.source, &mut bytes, offset)?;
            Ok(bytes.chunks_exact(8).map(|entry| be64(entry, 0)).collect())
        })?;
        Ok(table[(cluster & ((1 << entries_bits) - 1)) as usize])
    }

    fn unpack(&self, entry: u64) -> Result<Vec<u8>, Qcow2Error> {
        let address_bits = 62 - (self.cluster_bits - 8);
        let offset = entry & ((1 << address_bits) - 1);
        let more_sectors = (entry & (FLAG_COMPRESSED - 1)) >> address_bits;
        let length = (more_sectors + 1) * SECTOR - offset % SECTOR;
        // The last sector may reach beyond the file's end. At most two clusters by the width of the field.
        let length = length.min(self.source.size().saturating_sub(offset));
        let mut packed = vec![0; length as usize];
        read(&self.source, &mut packed, offset)?;
        let cluster_size = 1usize << self.cluster_bits;
        let content = match self.compression {
            Compression::Zstd => zstd::zstd_safe::find_frame_compressed_size(&packed)
                .ok()
                .and_then(|length| zstd::bulk::decompress(packed.get(..length)?, cluster_size).ok()),
            Compression::Deflate => inflate(&packed, cluster_size),
        };
        content
            .filter(|content| content.len() == cluster_size)
            .ok_or(Qcow2Error::Damaged { problem: "cluster that does not decompress" })
    }
}

impl<R: ReadAt> ReadAt for Qcow2<R> {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.checked_add(buffer.len() as u64).filter(|end| *end <= self.size);
        end.ok_or(io::ErrorKind::UnexpectedEof)?;
        let cluster_size = 1u64 << self.cluster_bits;
        let (mut rest, mut offset) = (buffer, offset);
        while !rest.is_empty() {
            let length = (cluster_size - offset % cluster_size).min(rest.len() as u64);
            let (piece, later) = rest.split_at_mut(length as usize);
            self.read_piece(piece, offset).map_err(io::Error::other)?;
            rest = later;
            offset += length;
        }
        Ok(())
    }

    fn size(&self) -> u64 {
        self.size
    }
}

/// Raw deflate, as much as one cluster.
fn inflate(packed: &[u8], cluster_size: usize) -> Option<Vec<u8>> {
    let mut content = vec![0; cluster_size];
    let mut inflater = flate2::Decompress::new(false);
    inflater.decompress(packed, &mut content, flate2::FlushDecompress::Finish).ok()?;
    (inflater.total_out() == cluster_size as u64).then_some(content)
}

/// Looks up, or makes and remembers in place of the oldest.
fn keep<T>(
    recent: &Mutex<Recent<T>>,
    key: u64,
    make: impl FnOnce() -> Result<T, Qcow2Error>,
) -> Result<Arc<T>, Qcow2Error> {
    // Nothing panics while a lock is held; were it poisoned, the content would still be whole.
    let lock = || recent.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some((_, known)) = lock().iter().find(|(known, _)| *known == key) {
        return Ok(known.clone());
    }
    let made = Arc::new(make()?);
    let mut recent = lock();
    if recent.len() == KEPT {
        recent.pop_front();
    }
    recent.push_back((key, made.clone()));
    Ok(made)
}

fn read(source: &impl ReadAt, buffer: &mut [u8], offset: u64) -> Result<(), Qcow2Error> {
    source.read_exact_at(buffer, offset).map_err(|source| Qcow2Error::Source { offset, source })
}
