//! The bytes of a patch: a header and a list of operations over the new image, in order. `docs/PATCH.md` is the reference.

use std::io::{self, ErrorKind, Read};

use model::Sha256Digest;
use sha2::{Digest, Sha256};

use crate::bits;
use crate::delta::numbers_limit;
use crate::error::{ApplyError, Side};
use crate::kernel::Recipe;
use crate::pack::{LZMA_DICTIONARY, Packing, ZSTD_WINDOW_LOG};

/// The format this version writes and reads.
pub const FORMAT: u32 = 1;
/// First bytes of a patch.
pub const MAGIC: &[u8; 8] = b"AMPPATCH";
/// Bytes of a header.
pub const HEADER_LENGTH: usize = 200;
/// Largest image. Stops a patch that wants to write for years.
pub const IMAGE_LIMIT: u64 = 1 << 40;
/// Largest UKI: it is written to an EFI system partition.
pub const UKI_LIMIT: u64 = 512 << 20;
/// Most operations. Stops a patch of nothing but operations.
pub const OPERATION_LIMIT: u64 = 4 << 20;
/// Longest output of an operation that is made in memory.
pub const OUTPUT_LIMIT: u64 = 8 << 20;
/// Most bytes of old image that one operation compares with.
pub const REFERENCE_LIMIT: u64 = 16 << 20;
/// The same for the kernel, whose operation is only done where there is memory for it.
pub const KERNEL_LIMIT: u64 = 256 << 20;
/// Most pieces that a reference is put together from.
pub const PIECE_LIMIT: u64 = 1 << 16;
/// Most packed bytes of an operation: packing never makes an operation's streams much longer.
const PACKED_LIMIT: u64 = OUTPUT_LIMIT + (1 << 20);
/// Bytes of an operation's digest: the first ones of the SHA-256 of its output. They find accidents where they happen; what
/// is trusted is the root hash of the whole.
pub const CHECK_LENGTH: usize = 8;

/// What a patch says of itself. All of it is a claim until the root hash was compared with a signed one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The image it is made against; a full image needs none.
    pub old: Option<Described>,
    /// The image it leads to.
    pub new: Described,
    /// Bytes of memory that applying it needs.
    pub memory: u64,
    /// How many operations follow.
    pub operations: u64,
}

/// An image as a header describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Described {
    /// Verity root hash.
    pub root_hash: Sha256Digest,
    /// Bytes of the root file system.
    pub root_size: u64,
    /// SHA-256 of the UKI.
    pub uki_sha256: Sha256Digest,
    /// Bytes of the UKI.
    pub uki_size: u64,
}

impl Described {
    const NOTHING: Self = Self {
        root_hash: Sha256Digest([0; 32]),
        root_size: 0,
        uki_sha256: Sha256Digest([0; 32]),
        uki_size: 0,
    };

    /// Bytes of a side.
    pub fn size(&self, side: Side) -> u64 {
        match side {
            Side::Root => self.root_size,
            Side::Uki => self.uki_size,
        }
    }
}

impl Header {
    /// Reads a header.
    pub fn read(input: &mut impl Read) -> Result<Self, ApplyError> {
        let mut bytes = [0; HEADER_LENGTH];
        input.read_exact(&mut bytes).map_err(|source| match source.kind() {
            ErrorKind::UnexpectedEof => ApplyError::NotAPatch { why: "it is shorter than a header" },
            _ => ApplyError::Read { operation: 0, source },
        })?;
        if &bytes[..8] != MAGIC {
            return Err(ApplyError::NotAPatch { why: "it does not begin with `AMPPATCH`" });
        }
        let mut at = 8;
        let mut take = |length: usize| {
            at += length;
            &bytes[at - length..at]
        };
        let number = |bytes: &[u8]| bytes.iter().rev().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte));
        let found = number(take(4)) as u32;
        if found != FORMAT {
            return Err(ApplyError::Format { found });
        }
        let flags = number(take(4));
        let mut described = || Described {
            root_hash: Sha256Digest(take(32).try_into().expect("32 bytes")),
            root_size: number(take(8)),
            uki_sha256: Sha256Digest(take(32).try_into().expect("32 bytes")),
            uki_size: number(take(8)),
        };
        let (old, new) = (described(), described());
        let (memory, operations) = (number(take(8)), number(take(8)));
        if check(&bytes[..HEADER_LENGTH - CHECK_LENGTH]) != take(CHECK_LENGTH) {
            return Err(ApplyError::NotAPatch { why: "its header is damaged" });
        }
        let old = match flags {
            0 => None,
            1 => Some(old),
            _ => return Err(ApplyError::NotAPatch { why: "its header has unknown flags" }),
        };
        for image in [Some(new), old].into_iter().flatten() {
            if image.root_size > IMAGE_LIMIT || image.uki_size > UKI_LIMIT {
                return Err(ApplyError::NotAPatch { why: "its images are larger than any image may be" });
            }
        }
        if operations > OPERATION_LIMIT {
            return Err(ApplyError::NotAPatch { why: "it has more operations than any patch may have" });
        }
        Ok(Self { old, new, memory, operations })
    }

    /// The bytes of the header.
    pub fn to_bytes(&self) -> [u8; HEADER_LENGTH] {
        let mut bytes = Vec::with_capacity(HEADER_LENGTH);
        bytes.extend(MAGIC);
        bytes.extend(FORMAT.to_le_bytes());
        bytes.extend(u32::from(self.old.is_some()).to_le_bytes());
        for image in [self.old.unwrap_or(Described::NOTHING), self.new] {
            bytes.extend(image.root_hash.0);
            bytes.extend(image.root_size.to_le_bytes());
            bytes.extend(image.uki_sha256.0);
            bytes.extend(image.uki_size.to_le_bytes());
        }
        bytes.extend(self.memory.to_le_bytes());
        bytes.extend(self.operations.to_le_bytes());
        bytes.extend(check(&bytes));
        bytes.try_into().expect("BUG: the fields of a header have other lengths")
    }
}

/// Where the bytes come from that an operation copies or compares with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Space {
    /// The old root file system.
    OldRoot,
    /// The old UKI.
    OldUki,
    /// The new root file system, as far as it is written.
    NewRoot,
    /// The old UKI's kernel, unpacked.
    OldKernel,
}

impl Space {
    /// The byte of the format.
    pub fn code(self) -> u8 {
        match self {
            Space::OldRoot => 0,
            Space::OldUki => 1,
            Space::NewRoot => 2,
            Space::OldKernel => 3,
        }
    }

    fn of(code: u8) -> Option<Self> {
        [Space::OldRoot, Space::OldUki, Space::NewRoot, Space::OldKernel]
            .into_iter()
            .find(|space| space.code() == code)
    }
}

/// A piece of a space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Where it lies.
    pub space: Space,
    /// From the space's start.
    pub offset: u64,
    /// Bytes.
    pub length: u64,
}

/// One step: the next `length` bytes of the new image. The root file system comes first, the UKI after it; no operation
/// reaches from one into the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// Bytes it makes.
    pub length: u64,
    /// First bytes of the SHA-256 of what it makes.
    pub check: [u8; CHECK_LENGTH],
    /// How.
    pub work: Work,
}

/// How an operation makes its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// Zeros.
    Zero,
    /// The bytes from an offset of a space on.
    Copy {
        /// Where they lie.
        space: Space,
        /// From its start.
        offset: u64,
    },
    /// The bytes themselves, packed.
    Literal {
        /// How.
        packing: Packing,
        /// Packed.
        packed: Vec<u8>,
    },
    /// What differs from a reference.
    Delta {
        /// Pieces that the reference is put together from.
        references: Vec<Reference>,
        /// See [`crate::delta`].
        packed: Vec<u8>,
    },
    /// As [`Work::Delta`], and then compressed as the kernel's maker did.
    Recompress {
        /// Bytes before they are compressed.
        plain: u64,
        /// Number of the recipe, see [`crate::kernel`].
        recipe: u8,
        /// Pieces that the reference is put together from.
        references: Vec<Reference>,
        /// See [`crate::delta`].
        packed: Vec<u8>,
    },
}

/// First bytes of the SHA-256.
pub fn check(bytes: &[u8]) -> [u8; CHECK_LENGTH] {
    Sha256::digest(bytes)[..CHECK_LENGTH].try_into().expect("a digest is longer")
}

const ZERO: u8 = 0;
const COPY: u8 = 1;
const LITERAL: u8 = 2;
const DELTA: u8 = 3;
const RECOMPRESS: u8 = 4;

impl Operation {
    /// Appends the bytes of the operation.
    #[cfg(feature = "make")]
    pub fn put(&self, out: &mut Vec<u8>) {
        out.push(match &self.work {
            Work::Zero => ZERO,
            Work::Copy { .. } => COPY,
            Work::Literal { .. } => LITERAL,
            Work::Delta { .. } => DELTA,
            Work::Recompress { .. } => RECOMPRESS,
        });
        bits::put(out, self.length);
        out.extend(self.check);
        let put_packed = |out: &mut Vec<u8>, packed: &[u8]| {
            bits::put(out, packed.len() as u64);
            out.extend(packed);
        };
        match &self.work {
            Work::Zero => {}
            Work::Copy { space, offset } => {
                out.push(space.code());
                bits::put(out, *offset);
            }
            Work::Literal { packing, packed } => {
                out.push(packing.code());
                put_packed(out, packed);
            }
            Work::Delta { references, packed } => {
                put_references(out, references);
                put_packed(out, packed);
            }
            Work::Recompress { plain, recipe, references, packed } => {
                bits::put(out, *plain);
                out.push(*recipe);
                put_references(out, references);
                put_packed(out, packed);
            }
        }
    }

    /// Bytes of memory that doing it takes, besides what applying always takes.
    pub fn memory(&self) -> u64 {
        /// Streams that are open at a time: the numbers stay, and of the two others each has its dictionary.
        const STREAMS: u64 = 2 * (LZMA_DICTIONARY as u64 + (1 << 20));
        let total = |references: &[Reference]| references.iter().map(|it| it.length).sum::<u64>();
        match &self.work {
            Work::Zero | Work::Copy { .. } => 0,
            Work::Literal { packed, packing } => {
                let window = match packing {
                    Packing::Plain => 0,
                    Packing::Lzma => u64::from(LZMA_DICTIONARY) + (1 << 20),
                    Packing::Zstd => (1 << ZSTD_WINDOW_LOG) + (1 << 20),
                };
                self.length + packed.len() as u64 + window
            }
            Work::Delta { references, packed } => {
                let numbers = numbers_limit(self.length);
                total(references) + self.length + packed.len() as u64 + numbers + STREAMS
            }
            Work::Recompress { plain, recipe, references, packed } => {
                // Unpacked the old kernel is there once more beside the reference.
                let comparing =
                    2 * total(references) + plain + packed.len() as u64 + numbers_limit(*plain) + STREAMS;
                let compressor = Recipe::of(*recipe).map_or(0, Recipe::memory);
                comparing.max(plain + self.length + compressor)
            }
        }
    }

    /// Reads an operation; `number` counts from 0 and is for errors. `memory` is the most that its packed bytes may take.
    pub fn read(input: &mut impl Read, number: u64, memory: u64) -> Result<Self, ApplyError> {
        let mut input = Source { input, number, memory };
        let kind = input.byte()?;
        let length = input.number("its length is not a number")?;
        if length == 0 || length > IMAGE_LIMIT {
            return Err(input.impossible("it makes nothing, or more than an image may have"));
        }
        let mut operation = Self { length, check: [0; CHECK_LENGTH], work: Work::Zero };
        input.fill(&mut operation.check)?;
        let in_memory = |input: &Source<'_, _>, limit: u64, length: u64| match length <= limit {
            true => Ok(()),
            false => Err(input.impossible("it makes more at once than is allowed")),
        };
        operation.work = match kind {
            ZERO => Work::Zero,
            COPY => Work::Copy { space: input.space()?, offset: input.number("its offset is not a number")? },
            LITERAL => {
                in_memory(&input, OUTPUT_LIMIT, length)?;
                let packing = Packing::of(input.byte()?);
                let packing = packing.ok_or_else(|| input.impossible("its packing is unknown"))?;
                Work::Literal { packing, packed: input.packed(PACKED_LIMIT)? }
            }
            DELTA => {
                in_memory(&input, OUTPUT_LIMIT, length)?;
                Work::Delta {
                    references: input.references(REFERENCE_LIMIT)?,
                    packed: input.packed(PACKED_LIMIT)?,
                }
            }
            RECOMPRESS => {
                in_memory(&input, KERNEL_LIMIT, length)?;
                let plain = input.number("its length is not a number")?;
                in_memory(&input, KERNEL_LIMIT, plain)?;
                let recipe = input.byte()?;
                let references = input.references(KERNEL_LIMIT)?;
                Work::Recompress { plain, recipe, references, packed: input.packed(KERNEL_LIMIT)? }
            }
            _ => return Err(input.impossible("its kind is unknown")),
        };
        Ok(operation)
    }
}

#[cfg(feature = "make")]
fn put_references(out: &mut Vec<u8>, references: &[Reference]) {
    bits::put(out, references.len() as u64);
    let mut end = 0i64;
    for reference in references {
        out.push(reference.space.code());
        // Relative to the end of the one before: pieces often follow each other.
        bits::put_signed(out, reference.offset as i64 - end);
        bits::put(out, reference.length);
        end = (reference.offset + reference.length) as i64;
    }
}

/// Reads the header and all operations, for those who make another patch of them.
#[cfg(feature = "make")]
pub fn operations(input: &mut impl Read) -> Result<(Header, Vec<Operation>), ApplyError> {
    let header = Header::read(input)?;
    let operations = (0..header.operations)
        .map(|number| Operation::read(input, number, u64::MAX))
        .collect::<Result<_, _>>()?;
    Ok((header, operations))
}

struct Source<'a, R> {
    input: &'a mut R,
    number: u64,
    memory: u64,
}

impl<R: Read> Source<'_, R> {
    fn impossible(&self, why: &'static str) -> ApplyError {
        ApplyError::Impossible { operation: self.number, why }
    }

    fn failed(&self, source: io::Error) -> ApplyError {
        match source.kind() {
            ErrorKind::UnexpectedEof => ApplyError::Truncated { operation: self.number },
            _ => ApplyError::Read { operation: self.number, source },
        }
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), ApplyError> {
        self.input.read_exact(buffer).map_err(|source| self.failed(source))
    }

    fn byte(&mut self) -> Result<u8, ApplyError> {
        let mut byte = [0];
        self.fill(&mut byte)?;
        Ok(byte[0])
    }

    fn number(&mut self, why: &'static str) -> Result<u64, ApplyError> {
        bits::read(|| self.byte())?.ok_or_else(|| self.impossible(why))
    }

    fn space(&mut self) -> Result<Space, ApplyError> {
        Space::of(self.byte()?).ok_or_else(|| self.impossible("its space is unknown"))
    }

    fn packed(&mut self, limit: u64) -> Result<Vec<u8>, ApplyError> {
        let length = self.number("its length is not a number")?;
        if length > limit {
            return Err(self.impossible("it brings more bytes than are allowed"));
        }
        if length > self.memory {
            return Err(ApplyError::Memory { needed: length, allowed: self.memory });
        }
        // All at once: a buffer that grows takes twice as much. Both limits were asked before.
        let mut packed = Vec::with_capacity(length as usize);
        let read =
            (&mut *self.input).take(length).read_to_end(&mut packed).map_err(|source| self.failed(source))?;
        match read as u64 == length {
            true => Ok(packed),
            false => Err(ApplyError::Truncated { operation: self.number }),
        }
    }

    fn references(&mut self, limit: u64) -> Result<Vec<Reference>, ApplyError> {
        let count = self.number("its number of pieces is not a number")?;
        if count > PIECE_LIMIT {
            return Err(self.impossible("its reference has more pieces than are allowed"));
        }
        let (mut references, mut end, mut total) = (Vec::new(), 0i64, 0u64);
        for _ in 0..count {
            let space = self.space()?;
            let step = bits::unfold(self.number("a piece's offset is not a number")?);
            let length = self.number("a piece's length is not a number")?;
            let offset = end.checked_add(step).filter(|offset| (0..=IMAGE_LIMIT as i64).contains(offset));
            let offset = offset.ok_or_else(|| self.impossible("a piece lies outside of every image"))?;
            total = total.saturating_add(length);
            if total > limit {
                return Err(self.impossible("its reference is longer than is allowed"));
            }
            end = offset + length as i64;
            references.push(Reference { space, offset: offset as u64, length });
        }
        Ok(references)
    }
}
