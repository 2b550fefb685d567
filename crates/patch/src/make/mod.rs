//! Making patches: tasks are compared side by side, and written in order.

mod companion;
mod plan;

use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use image::ReadAt;
use model::Sha256Digest;
use sha2::{Digest, Sha256};

use self::plan::{From, Layout, Task};
use crate::apply::{BASE_MEMORY, kernel_of};
use crate::error::Side;
use crate::format::{Described, Header, KERNEL_LIMIT, Operation, Reference, Space, UKI_LIMIT, Work, check};
use crate::{delta, kernel, pack};
pub use companion::{CompanionError, without_recipes};

/// Level of zstd for what has nothing to be compared with: a full image of 200 MB takes half a minute on two cores.
const IMAGE_LEVEL: i32 = 17;
/// An image.
#[derive(Clone, Copy)]
pub struct Sides<'a> {
    /// Its root file system.
    pub root: &'a dyn ReadAt,
    /// Its UKI.
    pub uki: &'a [u8],
    /// Its root hash.
    pub root_hash: Sha256Digest,
}

/// Whether the kernel may be compared unpacked, which needs memory when the patch is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipe {
    /// Where it gives the same bytes.
    Allowed,
    /// The kernel is brought as it is.
    Forbidden,
}

/// How a patch is made.
#[derive(Clone, Copy, Debug)]
pub struct MakeOptions {
    /// Threads. Changes no byte.
    pub threads: NonZeroUsize,
    /// See [`Recipe`].
    pub recipe: Recipe,
}

/// What a made patch holds.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Its header.
    pub header: Header,
    /// Bytes of the patch.
    pub size: u64,
    /// One an operation.
    pub costs: Vec<Cost>,
}

/// What one operation costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cost {
    /// What it writes.
    pub side: Side,
    /// From the side's start.
    pub offset: u64,
    /// Bytes it makes.
    pub length: u64,
    /// Bytes of the patch.
    pub cost: u64,
}

/// Why a patch can not be made.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    /// An image can not be read.
    #[error("the {which} {side} can not be read")]
    Read {
        /// `old` or `new`.
        which: &'static str,
        /// Root or UKI.
        side: Side,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// The compressors failed.
    #[error("the differences can not be packed")]
    Pack(#[source] io::Error),
    /// The patch can not be written.
    #[error("the patch can not be written")]
    Write(#[source] io::Error),
    /// No kernel is that large.
    #[error("the kernel image has {size} bytes, more than any may have")]
    Uki {
        /// Bytes.
        size: usize,
    },
}

/// Makes a patch from `old` to `new`, or, without an old image, a full image in the same form. `progress` gets the bytes of
/// the new image that are done, and all of them; it is called from several threads.
pub fn make(
    old: Option<Sides<'_>>,
    new: Sides<'_>,
    options: &MakeOptions,
    out: &mut impl Write,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<Summary, MakeError> {
    for image in [Some(new), old].into_iter().flatten() {
        if image.uki.len() as u64 > UKI_LIMIT {
            return Err(MakeError::Uki { size: image.uki.len() });
        }
    }
    let (root_tasks, uki_tasks) = plan_tasks(old, new)?;
    let work = Making { old, new, kernel: Kernel::find(old, new, options.recipe) };
    let mut placed = Vec::new();
    for (side, tasks) in [(Side::Root, root_tasks), (Side::Uki, uki_tasks)] {
        let mut offset = 0;
        for task in tasks {
            let length = task.length;
            placed.push((side, offset, task));
            offset += length;
        }
    }
    let made = side_by_side(&work, &placed, options.threads, progress)?;
    let operations: Vec<_> = made.into_iter().flatten().collect();
    let header = Header {
        old: old.map(|old| describe(&old)),
        new: describe(&new),
        memory: BASE_MEMORY + operations.iter().map(|made| made.memory).max().unwrap_or(0),
        operations: operations.len() as u64,
    };
    out.write_all(&header.to_bytes()).map_err(MakeError::Write)?;
    let mut summary = Summary { size: header.to_bytes().len() as u64, header, costs: Vec::new() };
    for Made { side, offset, length, bytes, .. } in operations {
        out.write_all(&bytes).map_err(MakeError::Write)?;
        summary.size += bytes.len() as u64;
        summary.costs.push(Cost { side, offset, length, cost: bytes.len() as u64 });
    }
    Ok(summary)
}

fn describe(image: &Sides<'_>) -> Described {
    Described {
        root_hash: image.root_hash,
        root_size: image.root.size(),
        uki_sha256: Sha256Digest(Sha256::digest(image.uki).into()),
        uki_size: image.uki.len() as u64,
    }
}

fn plan_tasks(old: Option<Sides<'_>>, new: Sides<'_>) -> Result<(Vec<Task>, Vec<Task>), MakeError> {
    let Some(old) = old else {
        return Ok((plan::from_nothing(new.root.size()), plan::from_nothing(new.uki.len() as u64)));
    };
    let layout =
        |which, root| Layout::of(root).map_err(|source| MakeError::Read { which, side: Side::Root, source });
    let new_layout = layout("new", new.root)?;
    let root = plan::root(&layout("old", old.root)?, &new_layout);
    Ok((root, plan::uki(old.uki, new.uki, &new_layout, new.root)))
}

/// The two kernels unpacked, when the new one can be packed again to the same bytes.
struct Kernel {
    old: Vec<u8>,
    new: Vec<u8>,
    recipe: kernel::Recipe,
}

impl Kernel {
    fn find(old: Option<Sides<'_>>, new: Sides<'_>, recipe: Recipe) -> Option<Self> {
        let old = old.filter(|_| recipe == Recipe::Allowed)?;
        let payload = |uki: &[u8]| {
            let sections = image::uki::sections(uki).ok()?;
            let linux = sections.into_iter().find(|section| section.name == ".linux")?;
            Some(linux.data[kernel::payload(linux.data)?].to_vec())
        };
        let (old_payload, wanted) = (payload(old.uki)?, payload(new.uki)?);
        if old_payload == wanted {
            return None;
        }
        let plain = kernel::unpack(&wanted, KERNEL_LIMIT + 1)?;
        let is_zstd = wanted.starts_with(&[0x28, 0xB5]);
        let candidates =
            kernel::Recipe::ALL.into_iter().filter(|it| (*it == kernel::Recipe::Zstd22) == is_zstd);
        let fits = |it: &kernel::Recipe| it.compress(&plain).is_ok_and(|packed| packed == wanted);
        let recipe = candidates.into_iter().find(fits)?;
        Some(Self { old: kernel_of(old.uki, KERNEL_LIMIT)?, new: plain, recipe })
    }
}

struct Making<'a> {
    old: Option<Sides<'a>>,
    new: Sides<'a>,
    kernel: Option<Kernel>,
}

/// A finished operation.
struct Made {
    side: Side,
    offset: u64,
    length: u64,
    bytes: Vec<u8>,
    memory: u64,
}

type Placed = (Side, u64, Task);

/// Where a task's thread leaves what it made.
type Outcome = Mutex<Option<Result<Vec<Made>, MakeError>>>;

/// Each task's operations, by as many threads as are allowed; the slowest tasks come first.
fn side_by_side(
    work: &Making<'_>,
    placed: &[Placed],
    threads: NonZeroUsize,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<Vec<Vec<Made>>, MakeError> {
    let mut order: Vec<usize> = (0..placed.len()).collect();
    order.sort_by_key(|index| std::cmp::Reverse(weight(&placed[*index].2)));
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let total: u64 = placed.iter().map(|(_, _, task)| task.length).sum();
    let results: Vec<Outcome> = placed.iter().map(|_| Mutex::default()).collect();
    std::thread::scope(|scope| {
        for _ in 0..threads.get().min(placed.len()) {
            scope.spawn(|| {
                while let Some(index) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let made = work.carry_out(&placed[*index]);
                    let has_failed = made.is_err();
                    *results[*index].lock().unwrap_or_else(PoisonError::into_inner) = Some(made);
                    let length = placed[*index].2.length as usize;
                    progress((done.fetch_add(length, Ordering::Relaxed) + length) as u64, total);
                    if has_failed {
                        next.store(order.len(), Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let mut made = Vec::new();
    let mut stopped = false;
    for result in results {
        match result.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(result) => made.push(result?),
            // Behind a failure, which is further on in the list.
            None => stopped = true,
        }
    }
    assert!(!stopped, "BUG: a task was not done and none failed");
    Ok(made)
}

fn weight(task: &Task) -> u64 {
    match &task.from {
        From::Kernel => u64::MAX,
        From::Like(_) => task.length * 8,
        From::Nothing => task.length * 4,
        From::Same(..) => task.length,
    }
}

impl Making<'_> {
    fn carry_out(&self, (side, offset, task): &Placed) -> Result<Vec<Made>, MakeError> {
        let (side, offset, length) = (*side, *offset, task.length);
        let made = |bytes: &[u8], offset, work: Work| {
            let operation = Operation { length: bytes.len() as u64, check: check(bytes), work };
            let mut out = Vec::new();
            operation.put(&mut out);
            Made { side, offset, length: operation.length, memory: operation.memory(), bytes: out }
        };
        match &task.from {
            From::Same(space, from) => {
                let operation = Operation {
                    length,
                    check: self.check_new(side, offset, length)?,
                    work: Work::Copy { space: *space, offset: *from },
                };
                let mut bytes = Vec::new();
                operation.put(&mut bytes);
                Ok(vec![Made { side, offset, length, bytes, memory: 0 }])
            }
            From::Like(references) => {
                let new = self.read_new(side, offset, length)?;
                let reference = self.assemble(references)?;
                let packed = delta::encode(&reference, &new).map_err(MakeError::Pack)?;
                let references = references.clone();
                Ok(vec![made(&new, offset, Work::Delta { references, packed })])
            }
            From::Nothing => {
                let new = self.read_new(side, offset, length)?;
                if new.iter().all(|byte| *byte == 0) {
                    return Ok(vec![made(&new, offset, Work::Zero)]);
                }
                let (packing, packed) = pack::zstd_image(&new, IMAGE_LEVEL).map_err(MakeError::Pack)?;
                Ok(vec![made(&new, offset, Work::Literal { packing, packed })])
            }
            From::Kernel => match &self.kernel {
                Some(kernel) => {
                    let new = self.read_new(side, offset, length)?;
                    let packed = delta::encode(&kernel.old, &kernel.new).map_err(MakeError::Pack)?;
                    let (old, plain) = (kernel.old.len() as u64, kernel.new.len() as u64);
                    let references = vec![Reference { space: Space::OldKernel, offset: 0, length: old }];
                    let work = Work::Recompress { plain, recipe: kernel.recipe.code(), references, packed };
                    Ok(vec![made(&new, offset, work)])
                }
                None => {
                    let mut pieces = Vec::new();
                    for task in plan::from_nothing(length) {
                        let at = offset + pieces.iter().map(|made: &Made| made.length).sum::<u64>();
                        let bytes = self.read_new(side, at, task.length)?;
                        let work = Work::Literal { packing: pack::Packing::Plain, packed: bytes.clone() };
                        pieces.push(made(&bytes, at, work));
                    }
                    Ok(pieces)
                }
            },
        }
    }

    fn read_new(&self, side: Side, offset: u64, length: u64) -> Result<Vec<u8>, MakeError> {
        let mut bytes = vec![0; length as usize];
        let read = match side {
            Side::Root => self.new.root.read_exact_at(&mut bytes, offset),
            Side::Uki => self.new.uki.read_exact_at(&mut bytes, offset),
        };
        read.map_err(|source| MakeError::Read { which: "new", side, source })?;
        Ok(bytes)
    }

    fn check_new(&self, side: Side, offset: u64, length: u64) -> Result<[u8; 8], MakeError> {
        let (mut hasher, mut at) = (Sha256::new(), 0);
        while at < length {
            let piece = (length - at).min(1 << 20);
            hasher.update(self.read_new(side, offset + at, piece)?);
            at += piece;
        }
        Ok(hasher.finalize()[..8].try_into().expect("a digest is longer"))
    }

    fn assemble(&self, references: &[Reference]) -> Result<Vec<u8>, MakeError> {
        let mut bytes = Vec::new();
        for Reference { space, offset, length } in references {
            let mut piece = vec![0; *length as usize];
            let old = self.old.as_ref();
            let (which, side, read) = match space {
                Space::NewRoot => ("new", Side::Root, self.new.root.read_exact_at(&mut piece, *offset)),
                Space::OldRoot => {
                    ("old", Side::Root, old.map_or(Ok(()), |old| old.root.read_exact_at(&mut piece, *offset)))
                }
                Space::OldUki => {
                    ("old", Side::Uki, old.map_or(Ok(()), |old| old.uki.read_exact_at(&mut piece, *offset)))
                }
                Space::OldKernel => {
                    unreachable!("BUG: only the kernel's own task compares with the unpacked kernel")
                }
            };
            read.map_err(|source| MakeError::Read { which, side, source })?;
            bytes.extend(piece);
        }
        Ok(bytes)
    }
}
