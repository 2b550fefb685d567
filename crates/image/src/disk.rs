//! A sealed image laid out on a bootable disk: partitions as `docs/ARCHITECTURE.md` lists them.
//!
//! A disk is a value that can be read at any offset; writing it to a sparse file and packing it as qcow2 both read that
//! value, so that no format can disagree with another.

use std::io::{self, Seek, SeekFrom, Write};
use std::ops::Range;

use model::Sha256Digest;

use crate::bytes::{is_zero, round_up, take};
use crate::gpt::{
    ALIGNMENT, ATTRIBUTE_NO_AUTO, ATTRIBUTE_READ_ONLY, GptError, Partition, TYPE_ESP, TYPE_LINUX, TYPE_ROOT,
    TYPE_ROOT_VERITY, Table,
};
use crate::{ReadAt, Uuid, verity};

/// Name of the data partition before it is formatted.
pub const NEW_DATA_NAME: &str = "ampoule-data-new";
/// Name of the data partition once it is formatted: the commit mark of formatting.
pub const DATA_NAME: &str = "ampoule-data";

/// Room for growth that a slot has at least, in bytes.
pub const MINIMUM_SLOT_ROOM: u64 = 64 << 20;

/// What goes on a disk.
#[derive(Clone, Copy)]
pub struct Contents<'a> {
    /// The EFI system partition's file system.
    pub esp: &'a dyn ReadAt,
    /// The root file system.
    pub root: &'a dyn ReadAt,
    /// Its hash tree with superblock.
    pub verity: &'a dyn ReadAt,
    /// Top of the hash tree: the partitions' UUIDs come from it.
    pub root_hash: Sha256Digest,
    /// Room for the data partition in bytes, rounded up to 1 MiB. It grows with the disk at first boot.
    pub data_size: u64,
}

/// A disk that can be read at any offset.
pub struct Disk<'a> {
    table: Table,
    segments: Vec<Segment<'a>>,
}

/// Bytes at a place; between segments a disk is zero.
struct Segment<'a> {
    offset: u64,
    source: Source<'a>,
}

enum Source<'a> {
    Bytes(Vec<u8>),
    Content(&'a dyn ReadAt),
}

/// UUIDs of the root and verity partitions of a root hash: its first and last 128 bits, digit by digit.
pub fn partition_uuids(root_hash: &Sha256Digest) -> (Uuid, Uuid) {
    (Uuid(take(&root_hash.0, 0)), Uuid(take(&root_hash.0, 16)))
}

/// Room of a slot in bytes for an image of `root_size`: half as much again, but at least [`MINIMUM_SLOT_ROOM`] more, so
/// that years of patches fit without moving partitions.
pub fn slot_size(root_size: u64) -> u64 {
    round_up((root_size + root_size / 2).max(root_size + MINIMUM_SLOT_ROOM), ALIGNMENT)
}

/// Lays out a disk. It ends one mebibyte behind the data partition: room for the backup table.
pub fn compose<'a>(contents: &Contents<'a>) -> Result<Disk<'a>, GptError> {
    let root_size = slot_size(contents.root.size());
    let verity_size = round_up(verity::tree_size(root_size / verity::BLOCK_SIZE as u64), ALIGNMENT);
    let (root_uuid, verity_uuid) = partition_uuids(&contents.root_hash);
    let derived = |label: &str| Uuid::derived(label, &contents.root_hash.0);
    let inactive = ATTRIBUTE_NO_AUTO | ATTRIBUTE_READ_ONLY;
    let plan = [
        ("esp", TYPE_ESP, derived("esp"), contents.esp.size(), 0),
        ("root-a", TYPE_ROOT, root_uuid, root_size, ATTRIBUTE_READ_ONLY),
        ("verity-a", TYPE_ROOT_VERITY, verity_uuid, verity_size, ATTRIBUTE_READ_ONLY),
        ("root-b", TYPE_ROOT, derived("root-b"), root_size, inactive),
        ("verity-b", TYPE_ROOT_VERITY, derived("verity-b"), verity_size, inactive),
        (NEW_DATA_NAME, TYPE_LINUX, derived("data"), contents.data_size.max(ALIGNMENT), 0),
    ];
    let mut end = ALIGNMENT;
    let mut partitions = Vec::with_capacity(plan.len());
    for (index, (name, type_uuid, uuid, size, attributes)) in plan.into_iter().enumerate() {
        let length = round_up(size, ALIGNMENT);
        partitions.push(Partition {
            number: index as u32 + 1,
            name: name.to_owned(),
            type_uuid,
            uuid,
            start: end,
            length,
            attributes,
        });
        end += length;
    }
    let table = Table { disk_uuid: derived("disk"), disk_size: end + ALIGNMENT, partitions };
    let encoded = table.encode()?;
    let start_of = |index: usize| table.partitions[index].start;
    let segments = vec![
        Segment { offset: 0, source: Source::Bytes(encoded.primary) },
        Segment { offset: start_of(0), source: Source::Content(contents.esp) },
        Segment { offset: start_of(1), source: Source::Content(contents.root) },
        Segment { offset: start_of(2), source: Source::Content(contents.verity) },
        Segment { offset: encoded.backup_offset, source: Source::Bytes(encoded.backup) },
    ];
    Ok(Disk { table, segments })
}

impl Disk<'_> {
    /// Which partition lies where.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// Where there may be something else than zeros, in order.
    pub fn data_ranges(&self) -> Vec<Range<u64>> {
        self.segments.iter().map(|segment| segment.offset..segment.end()).collect()
    }

    /// Writes the disk, seeking over blocks of zeros. `out` MUST read as zeros where it was not written, as a new file
    /// does.
    pub fn write(&self, out: &mut (impl Write + Seek)) -> io::Result<()> {
        const HOLE: usize = 4096;
        let mut buffer = vec![0; 1 << 20];
        for range in self.data_ranges() {
            let mut offset = range.start;
            while offset < range.end {
                let length = (buffer.len() as u64).min(range.end - offset) as usize;
                let piece = &mut buffer[..length];
                self.read_exact_at(piece, offset)?;
                let mut position = 0;
                while position < length {
                    let zero =
                        piece[position..].chunks(HOLE).take_while(|block| is_zero(block)).count() * HOLE;
                    let start = (position + zero).min(length);
                    let full = piece[start..].chunks(HOLE).take_while(|block| !is_zero(block)).count() * HOLE;
                    let end = (start + full).min(length);
                    if end > start {
                        out.seek(SeekFrom::Start(offset + start as u64))?;
                        out.write_all(&piece[start..end])?;
                    }
                    position = end;
                }
                offset += length as u64;
            }
        }
        // The backup table ends with the zeros of its header's sector: give the file its full length.
        out.seek(SeekFrom::Start(self.size() - 1))?;
        out.write_all(&[0])
    }
}

impl ReadAt for Disk<'_> {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.checked_add(buffer.len() as u64).filter(|end| *end <= self.size());
        let end = end.ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.fill(0);
        for segment in &self.segments {
            let from = offset.max(segment.offset);
            let to = end.min(segment.end());
            if from < to {
                let place = &mut buffer[(from - offset) as usize..(to - offset) as usize];
                match &segment.source {
                    Source::Bytes(bytes) => bytes.read_exact_at(place, from - segment.offset)?,
                    Source::Content(content) => content.read_exact_at(place, from - segment.offset)?,
                }
            }
        }
        Ok(())
    }

    fn size(&self) -> u64 {
        self.table.disk_size
    }
}

impl Segment<'_> {
    fn end(&self) -> u64 {
        self.offset
            + match &self.source {
                Source::Bytes(bytes) => bytes.len() as u64,
                Source::Content(content) => content.size(),
            }
    }
}
