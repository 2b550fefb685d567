//! Applying: the operations of a patch, one after the other, into a place where the new image is made.
//!
//! Life of an operation: its bytes are read, its output is made in memory, compared with its check, and only then written.
//! Copies are written in pieces and compared beside ([`crate::copies`]): a wrong one ends the whole. A crash leaves a beginning of the new image; with [`Resume::Check`] the next attempt writes only
//! what is not there yet.

use std::io::{self, Read};

use image::ReadAt;
use model::Sha256Digest;
use sha2::{Digest, Sha256};

use crate::copies::{Copies, Copy};
use crate::error::{ApplyError, Side};
use crate::format::{CHECK_LENGTH, Header, KERNEL_LIMIT, Operation, Reference, Space, Work, check};
use crate::kernel::{self, Recipe};
use crate::{delta, pack};

/// Bytes that are copied at once.
const PIECE: usize = 1 << 20;
/// What applying takes besides an operation's own buffers.
pub const BASE_MEMORY: u64 = 8 << 20;

/// The image that runs.
pub struct Old<'a> {
    /// Its root file system.
    pub root: &'a dyn ReadAt,
    /// Its UKI.
    pub uki: &'a dyn ReadAt,
    /// Its root hash, as the machine knows it.
    pub root_hash: Sha256Digest,
}

/// Where the new image is made.
///
/// Callers write each side from its beginning to its end without holes. Implementers need not sync.
pub trait Target {
    /// Writes bytes of the root file system.
    fn write_root(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Reads what was written to the root file system, by this attempt or an earlier one.
    fn read_root(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;
    /// Writes bytes of the UKI.
    fn write_uki(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;
}

/// Whether the target may hold a part of the new image already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resume {
    /// Everything is written.
    #[default]
    Never,
    /// What the target holds is compared with each operation's check first.
    Check,
}

/// How a patch is applied.
#[derive(Clone, Copy, Debug)]
pub struct ApplyOptions {
    /// Most bytes of memory.
    pub memory: u64,
    /// Whether an earlier attempt is continued.
    pub resume: Resume,
}

/// What was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// What the patch said of itself. The caller MUST compare the root hash of what was written with a signed one.
    pub header: Header,
    /// Bytes that were there already.
    pub resumed: u64,
}

/// Applies a patch. `progress` gets the bytes of the new image that are done, and all of them.
///
/// # Errors
/// Whatever is wrong with the patch, the old image or the target. What was written so far is no image.
pub fn apply(
    patch: &mut impl Read,
    old: Option<&Old<'_>>,
    target: &mut dyn Target,
    options: &ApplyOptions,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Applied, ApplyError> {
    let header = Header::read(patch)?;
    if header.memory > options.memory {
        return Err(ApplyError::Memory { needed: header.memory, allowed: options.memory });
    }
    if let Some(from) = &header.old {
        let old = old.ok_or(ApplyError::WrongFrom { side: Side::Root })?;
        if old.root_hash != from.root_hash || old.root.size() < from.root_size {
            return Err(ApplyError::WrongFrom { side: Side::Root });
        }
        if old.uki.size() != from.uki_size || digest_of(old.uki)? != from.uki_sha256 {
            return Err(ApplyError::WrongFrom { side: Side::Uki });
        }
    }
    let copies = Copies::start();
    let mut run = Run {
        header: &header,
        old,
        target,
        options,
        copies: &copies,
        kernel: None,
        number: 0,
        done: 0,
        uki: Sha256::new(),
    };
    let carried_out = run.carry_out_all(patch, progress).map(|resumed| (resumed, run.uki));
    // A copy that is wrong comes before whatever failed after it.
    copies.finish()?;
    let (resumed, uki) = carried_out?;
    if Sha256Digest(uki.finalize().into()) != header.new.uki_sha256 {
        return Err(ApplyError::NotAPatch { why: "it does not make the kernel image it names" });
    }
    let mut behind = [0];
    match patch.read(&mut behind) {
        Ok(0) => Ok(Applied { header, resumed }),
        Ok(_) => Err(ApplyError::NotAPatch { why: "there are bytes behind its last operation" }),
        Err(source) => Err(ApplyError::Read { operation: header.operations, source }),
    }
}

fn digest_of(uki: &dyn ReadAt) -> Result<Sha256Digest, ApplyError> {
    let (mut hasher, mut offset, mut buffer) = (Sha256::new(), 0, vec![0; PIECE]);
    while offset < uki.size() {
        let length = (uki.size() - offset).min(PIECE as u64) as usize;
        uki.read_exact_at(&mut buffer[..length], offset).map_err(|source| ApplyError::Old {
            side: Side::Uki,
            offset,
            source,
        })?;
        hasher.update(&buffer[..length]);
        offset += length as u64;
    }
    Ok(Sha256Digest(hasher.finalize().into()))
}

struct Run<'a> {
    header: &'a Header,
    old: Option<&'a Old<'a>>,
    target: &'a mut dyn Target,
    options: &'a ApplyOptions,
    copies: &'a Copies,
    /// The old kernel, unpacked when it is first asked for.
    kernel: Option<Vec<u8>>,
    number: u64,
    /// Bytes of root and UKI that are done.
    done: u64,
    uki: Sha256,
}

impl Run<'_> {
    /// Does all operations; the bytes that were there already.
    fn carry_out_all(
        &mut self,
        patch: &mut impl Read,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<u64, ApplyError> {
        let total = self.header.new.root_size + self.header.new.uki_size;
        let mut resumed = 0;
        for number in 0..self.header.operations {
            let room = self.options.memory.saturating_sub(BASE_MEMORY);
            let operation = Operation::read(patch, number, room)?;
            // The header's word is only good for refusing early.
            if operation.memory() > room {
                let needed = BASE_MEMORY.saturating_add(operation.memory());
                return Err(ApplyError::Memory { needed, allowed: self.options.memory });
            }
            self.number = number;
            resumed += self.carry_out(operation)?;
            progress(self.done, total);
        }
        match self.done == total {
            true => Ok(resumed),
            false => Err(ApplyError::NotAPatch { why: "its operations make less than the image it names" }),
        }
    }

    /// Does one operation; the bytes that were there already.
    fn carry_out(&mut self, operation: Operation) -> Result<u64, ApplyError> {
        let (side, offset) = self.place();
        let room = self.header.new.size(side) - offset;
        if operation.length > room {
            return Err(self.impossible("it reaches beyond the end of what it writes"));
        }
        if self.options.resume == Resume::Check && side == Side::Root && self.is_there(&operation, offset) {
            self.done += operation.length;
            return Ok(operation.length);
        }
        let length = operation.length;
        match operation.work {
            Work::Zero => self.stream(side, offset, length, operation.check, |_, _, buffer| {
                buffer.fill(0);
                Ok(())
            })?,
            Work::Copy { space: Space::OldKernel, .. } => {
                return Err(self.impossible("it copies from the unpacked kernel"));
            }
            Work::Copy { space, offset: from } => {
                self.ensure_inside(&Reference { space, offset: from, length })?;
                self.stream(side, offset, length, operation.check, |run, at, buffer| {
                    run.read(space, from + at, buffer)
                })?;
            }
            work => {
                let output = self.make(work, length as usize)?;
                if check(&output) != operation.check {
                    return Err(ApplyError::Different { operation: self.number, side, offset });
                }
                self.write(side, offset, &output)?;
            }
        }
        self.done += length;
        Ok(0)
    }

    /// Side and offset of the next byte.
    fn place(&self) -> (Side, u64) {
        match self.done.checked_sub(self.header.new.root_size) {
            None => (Side::Root, self.done),
            Some(offset) => (Side::Uki, offset),
        }
    }

    fn impossible(&self, why: &'static str) -> ApplyError {
        ApplyError::Impossible { operation: self.number, why }
    }

    /// Writes in pieces what `fill` gives: copies of whole systems do not fit into memory. They are judged meanwhile.
    fn stream(
        &mut self,
        side: Side,
        offset: u64,
        length: u64,
        check: [u8; CHECK_LENGTH],
        mut fill: impl FnMut(&mut Self, u64, &mut [u8]) -> Result<(), ApplyError>,
    ) -> Result<(), ApplyError> {
        let mut at = 0;
        while at < length {
            let piece = (length - at).min(PIECE as u64) as usize;
            let mut buffer = self.copies.buffer(piece);
            fill(self, at, &mut buffer[..piece])?;
            self.write(side, offset + at, &buffer[..piece])?;
            self.copies.bytes(buffer, piece);
            at += piece as u64;
        }
        self.copies.end(Copy { operation: self.number, side, offset, check });
        Ok(())
    }

    fn write(&mut self, side: Side, offset: u64, bytes: &[u8]) -> Result<(), ApplyError> {
        let written = match side {
            Side::Root => self.target.write_root(offset, bytes),
            Side::Uki => {
                self.uki.update(bytes);
                self.target.write_uki(offset, bytes)
            }
        };
        written.map_err(|source| ApplyError::Target { side, offset, source })
    }

    /// Whether the root holds the operation's output already.
    fn is_there(&mut self, operation: &Operation, offset: u64) -> bool {
        let (mut hasher, mut at) = (Sha256::new(), 0);
        let mut buffer = vec![0; PIECE.min(operation.length as usize)];
        while at < operation.length {
            let piece = (operation.length - at).min(PIECE as u64) as usize;
            if self.target.read_root(offset + at, &mut buffer[..piece]).is_err() {
                return false;
            }
            hasher.update(&buffer[..piece]);
            at += piece as u64;
        }
        hasher.finalize()[..CHECK_LENGTH] == operation.check
    }

    /// Output that is made in memory.
    fn make(&mut self, work: Work, length: usize) -> Result<Vec<u8>, ApplyError> {
        match work {
            Work::Literal { packing, packed } => self
                .unpack(packing, &packed, length)
                .ok_or_else(|| self.impossible("its bytes can not be unpacked")),
            Work::Delta { references, packed } => {
                let reference = self.assemble(&references)?;
                delta::decode(&packed, &reference, length).map_err(|why| self.impossible(why))
            }
            Work::Recompress { plain, recipe, references, packed } => {
                let recipe = Recipe::of(recipe).ok_or_else(|| self.impossible("its recipe is unknown"))?;
                let reference = self.assemble(&references)?;
                let plain =
                    delta::decode(&packed, &reference, plain as usize).map_err(|why| self.impossible(why))?;
                // The compressor needs the memory.
                drop((reference, packed));
                self.kernel = None;
                let output = recipe
                    .compress(&plain)
                    .map_err(|_| self.impossible("the kernel can not be compressed"))?;
                match output.len() == length {
                    true => Ok(output),
                    false => Err(self.impossible("the kernel does not compress to its maker's length")),
                }
            }
            Work::Zero | Work::Copy { .. } => unreachable!("BUG: they are written in pieces"),
        }
    }

    fn unpack(&self, packing: pack::Packing, packed: &[u8], length: usize) -> Option<Vec<u8>> {
        let mut output = vec![0; length];
        packing.reader(packed).ok()?.read_exact(&mut output).ok()?;
        Some(output)
    }

    fn assemble(&mut self, references: &[Reference]) -> Result<Vec<u8>, ApplyError> {
        // First all of them: nothing is allocated for what can not be read.
        let of_kernel = references.iter().filter(|reference| reference.space == Space::OldKernel);
        if let Some(end) = of_kernel.map(|it| it.offset.saturating_add(it.length)).max() {
            self.ensure_kernel(end)?;
        }
        references.iter().try_for_each(|reference| self.ensure_inside(reference))?;
        let total: u64 = references.iter().map(|reference| reference.length).sum();
        let (mut bytes, mut at) = (vec![0; total as usize], 0);
        for Reference { space, offset, length } in references {
            self.read(*space, *offset, &mut bytes[at..at + *length as usize])?;
            at += *length as usize;
        }
        Ok(bytes)
    }

    fn ensure_inside(&self, reference: &Reference) -> Result<(), ApplyError> {
        let from = self.header.old.as_ref();
        let size = match reference.space {
            Space::OldRoot => from.map_or(0, |old| old.root_size),
            Space::OldUki => from.map_or(0, |old| old.uki_size),
            Space::NewRoot => self.done.min(self.header.new.root_size),
            Space::OldKernel => self.kernel.as_ref().map_or(0, |kernel| kernel.len() as u64),
        };
        match reference.offset.checked_add(reference.length).is_some_and(|end| end <= size) {
            true => Ok(()),
            false => Err(self.impossible("it takes from beyond the end of an image")),
        }
    }

    /// Unpacks the old kernel as far as it is asked for: memory was counted for no more.
    fn ensure_kernel(&mut self, end: u64) -> Result<(), ApplyError> {
        if self.kernel.is_some() {
            return Ok(());
        }
        let old = self.old.filter(|_| self.header.old.is_some());
        let old = old.ok_or_else(|| self.impossible("it compares with a kernel that is not there"))?;
        let mut uki = vec![0; old.uki.size() as usize];
        old.uki.read_exact_at(&mut uki, 0).map_err(|source| ApplyError::Old {
            side: Side::Uki,
            offset: 0,
            source,
        })?;
        self.kernel = kernel_of(&uki, end);
        match self.kernel {
            Some(_) => Ok(()),
            None => Err(self.impossible("the old kernel can not be unpacked")),
        }
    }

    fn read(&mut self, space: Space, offset: u64, buffer: &mut [u8]) -> Result<(), ApplyError> {
        let no_old = || ApplyError::Impossible { operation: self.number, why: "there is no old image" };
        match space {
            Space::OldRoot => self
                .old
                .ok_or_else(no_old)?
                .root
                .read_exact_at(buffer, offset)
                .map_err(|source| ApplyError::Old { side: Side::Root, offset, source }),
            Space::OldUki => self
                .old
                .ok_or_else(no_old)?
                .uki
                .read_exact_at(buffer, offset)
                .map_err(|source| ApplyError::Old { side: Side::Uki, offset, source }),
            Space::NewRoot => self.target.read_root(offset, buffer).map_err(|source| ApplyError::Target {
                side: Side::Root,
                offset,
                source,
            }),
            Space::OldKernel => {
                let kernel = self.kernel.as_deref().unwrap_or_default();
                buffer.copy_from_slice(&kernel[offset as usize..][..buffer.len()]);
                Ok(())
            }
        }
    }
}

/// The first `end` bytes of a UKI's kernel, unpacked; fewer when it has fewer.
pub fn kernel_of(uki: &[u8], end: u64) -> Option<Vec<u8>> {
    let sections = image::uki::sections(uki).ok()?;
    let linux = sections.iter().find(|section| section.name == ".linux")?;
    kernel::unpack(&linux.data[kernel::payload(linux.data)?], end.min(KERNEL_LIMIT))
}
