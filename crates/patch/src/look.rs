//! Looking at a patch without applying it: what its operations are, and what each of them costs.

use std::collections::BTreeMap;
use std::io::{self, Read};

use image::ReadAt;
use image::erofs::{Image, ReadError};

use crate::error::{ApplyError, Side};
use crate::format::{HEADER_LENGTH, Header, Operation, Space, Work};

/// What kind an operation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Zeros.
    Zero,
    /// Copied from an image.
    Copy,
    /// Brought as it is.
    Literal,
    /// Compared with something.
    Delta,
    /// The kernel, compared unpacked and compressed again.
    Recompress,
}

impl Kind {
    /// In one word.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Zero => "zero",
            Kind::Copy => "copy",
            Kind::Literal => "literal",
            Kind::Delta => "delta",
            Kind::Recompress => "recompress",
        }
    }

    fn of(work: &Work) -> Self {
        match work {
            Work::Zero => Kind::Zero,
            Work::Copy { .. } => Kind::Copy,
            Work::Literal { .. } => Kind::Literal,
            Work::Delta { .. } => Kind::Delta,
            Work::Recompress { .. } => Kind::Recompress,
        }
    }
}

/// One operation from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What it is.
    pub kind: Kind,
    /// What it writes.
    pub side: Side,
    /// From the side's start.
    pub offset: u64,
    /// Bytes it makes.
    pub length: u64,
    /// Bytes of the patch.
    pub cost: u64,
    /// Bytes of old images it compares with or copies.
    pub reference: u64,
}

/// Reads a patch to its end.
///
/// # Errors
/// As for applying; that the operations give what their maker had is not looked at.
pub fn look(input: &mut impl Read) -> Result<(Header, Vec<Seen>), ApplyError> {
    let mut input = Counted { input, read: 0 };
    let header = Header::read(&mut input)?;
    let (mut seen, mut done) = (Vec::new(), 0u64);
    for number in 0..header.operations {
        let before = input.read;
        let operation = Operation::read(&mut input, number, u64::MAX)?;
        let (side, offset) = match done.checked_sub(header.new.root_size) {
            None => (Side::Root, done),
            Some(offset) => (Side::Uki, offset),
        };
        if operation.length > header.new.size(side) - offset.min(header.new.size(side)) {
            let why = "it reaches beyond the end of what it writes";
            return Err(ApplyError::Impossible { operation: number, why });
        }
        let reference = match &operation.work {
            Work::Copy { space: Space::NewRoot, .. } | Work::Zero | Work::Literal { .. } => 0,
            Work::Copy { .. } => operation.length,
            Work::Delta { references, .. } | Work::Recompress { references, .. } => {
                references.iter().map(|reference| reference.length).sum()
            }
        };
        let (kind, length) = (Kind::of(&operation.work), operation.length);
        seen.push(Seen { kind, side, offset, length, cost: input.read - before, reference });
        done += length;
    }
    let mut behind = [0];
    match input.read(&mut behind) {
        Ok(0) => Ok((header, seen)),
        Ok(_) => Err(ApplyError::NotAPatch { why: "there are bytes behind its last operation" }),
        Err(source) => Err(ApplyError::Read { operation: header.operations, source }),
    }
}

struct Counted<'a, R> {
    input: &'a mut R,
    read: u64,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.read += count as u64;
        Ok(count)
    }
}

/// A part of the new image as a patch's cost is told: files of the root, and what else there is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// A file of the root file system.
    File(String),
    /// Directories, inodes and the small rests of files beside their inodes.
    Metadata,
    /// A section of the UKI.
    UkiSection(String),
    /// Headers and gaps of the UKI.
    UkiRest,
    /// The header of the patch.
    Header,
}

/// Each part's share of the patch, in bytes that sum up to its size.
///
/// An operation that makes several files shares their streams; its cost is divided by the bytes it makes of each.
///
/// # Errors
/// When `root` can not be read.
pub fn shares(seen: &[Seen], root: &dyn ReadAt, uki: &[u8]) -> Result<BTreeMap<Part, u64>, ReadError> {
    let mut root_parts = Vec::new();
    Image::open(root)?.walk(|entry| {
        let blocks = entry.blocks();
        if !blocks.is_empty() {
            root_parts.push((blocks, Part::File(entry.path.as_str().to_owned())));
        }
    })?;
    root_parts.sort_by_key(|(range, _)| range.start);
    let base = uki.as_ptr() as usize;
    let sections = image::uki::sections(uki).unwrap_or_default();
    let mut uki_parts: Vec<_> = sections
        .iter()
        .map(|section| {
            let start = (section.data.as_ptr() as usize).wrapping_sub(base) as u64;
            (start..start + section.data.len() as u64, Part::UkiSection(section.name.to_string()))
        })
        .collect();
    uki_parts.sort_by_key(|(range, _)| range.start);
    let mut shares = BTreeMap::from([(Part::Header, HEADER_LENGTH as u64)]);
    for operation in seen {
        let (parts, rest) = match operation.side {
            Side::Root => (&root_parts, Part::Metadata),
            Side::Uki => (&uki_parts, Part::UkiRest),
        };
        let end = operation.offset + operation.length;
        let first = parts.partition_point(|(range, _)| range.end <= operation.offset);
        let (mut left_cost, mut left) = (operation.cost, operation.length);
        let mut give = |part: &Part, bytes: u64| {
            // What is left is divided among what is left, so that nothing is lost by rounding.
            let share = if left == 0 {
                0
            } else {
                (u128::from(left_cost) * u128::from(bytes) / u128::from(left)) as u64
            };
            (left_cost, left) = (left_cost - share, left - bytes);
            if share > 0 {
                *shares.entry(part.clone()).or_default() += share;
            }
        };
        let mut at = operation.offset;
        for (range, part) in parts[first..].iter().take_while(|(range, _)| range.start < end) {
            // Two entries never share bytes in an image of ours; one that claims so gets none twice.
            let (from, to) = (range.start.max(at), range.end.min(end));
            if from < to {
                give(&rest, from - at);
                give(part, to - from);
                at = to;
            }
        }
        give(&rest, end - at);
    }
    Ok(shares)
}
