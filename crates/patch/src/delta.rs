//! A delta: bytes told by what differs from a reference.
//!
//! The output is a list of stretches. Each takes some bytes of the reference and adds a difference to every one of them
//! (modulo 256), then brings some bytes of its own, then moves in the reference. Code that was compiled again is mostly the
//! same instructions with other addresses in them: nearly all differences are zero, and those that are not repeat.
//!
//! Packed: three streams, each as `packing, packed length, plain length, bytes`:
//! 1. numbers: the count of stretches, then the lengths taken from the reference, then the lengths of own bytes, then the
//!    moves (signed), each as a column;
//! 2. differences; 3. own bytes.

use std::io::Read;

use crate::bits::{Numbers, unfold};
use crate::pack::Packing;

/// One stretch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Bytes taken from the reference.
    pub taken: u64,
    /// Bytes of its own behind them.
    pub own: u64,
    /// Where the next stretch takes from, seen from the end of this one.
    pub step: i64,
}

/// Most bytes of numbers for an output of `length` bytes. Stops numbers that unpack to gigabytes; makers whose stretches need
/// more bring everything as own bytes.
pub fn numbers_limit(length: u64) -> u64 {
    length / 2 + 64
}

/// Makes `length` bytes from `reference`. The error says why the bytes of the patch are not a delta.
pub fn decode(packed: &[u8], reference: &[u8], length: usize) -> Result<Vec<u8>, &'static str> {
    let mut rest = packed;
    let numbers = Stream::split(&mut rest)?;
    let differences = Stream::split(&mut rest)?;
    let own = Stream::split(&mut rest)?;
    if !rest.is_empty() {
        return Err("there are bytes behind its streams");
    }
    let numbers = numbers.unpack(numbers_limit(length as u64))?;
    let mut columns = Columns::of(&numbers)?;
    let (mut differences, mut own) = (differences.reader()?, own.reader()?);
    let mut output = vec![0; length];
    let (mut at, mut from) = (0usize, 0i64);
    while let Some(stretch) = columns.next()? {
        let (taken, brought) = (usize::try_from(stretch.taken), usize::try_from(stretch.own));
        let (Ok(taken), Ok(brought)) = (taken, brought) else { return Err("a stretch is too long") };
        let end = at.checked_add(taken).and_then(|end| end.checked_add(brought)).filter(|end| *end <= length);
        let Some(end) = end else { return Err("its stretches are longer than its output") };
        let (target, own_target) = output[at..end].split_at_mut(taken);
        let start = usize::try_from(from).ok();
        let source = start.and_then(|start| reference.get(start..start.checked_add(taken)?));
        let Some(source) = source else { return Err("a stretch takes from outside of the reference") };
        differences.read_exact(target).map_err(|_| "its differences can not be unpacked")?;
        target.iter_mut().zip(source).for_each(|(byte, old)| *byte = byte.wrapping_add(*old));
        own.read_exact(own_target).map_err(|_| "its own bytes can not be unpacked")?;
        from = (from + taken as i64).checked_add(stretch.step).ok_or("a stretch moves too far")?;
        at = end;
    }
    if at != length {
        return Err("its stretches are shorter than its output");
    }
    Ok(output)
}

/// The three columns of the numbers, read side by side: as values they would take many times their bytes.
struct Columns<'a> {
    left: u64,
    taken: Numbers<'a>,
    own: Numbers<'a>,
    steps: Numbers<'a>,
}

const SHORT: &str = "its numbers end too early";

impl<'a> Columns<'a> {
    fn of(numbers: &'a [u8]) -> Result<Self, &'static str> {
        let mut numbers = Numbers(numbers);
        let left = numbers.next().ok_or(SHORT)?;
        // Every stretch has three numbers of at least one byte.
        if left > numbers.0.len() as u64 / 3 {
            return Err(SHORT);
        }
        let mut column = || {
            let start = Numbers(numbers.0);
            (0..left).try_for_each(|_| numbers.next().map(drop)).ok_or(SHORT)?;
            Ok::<_, &'static str>(start)
        };
        Ok(Self { left, taken: column()?, own: column()?, steps: column()? })
    }

    fn next(&mut self) -> Result<Option<Stretch>, &'static str> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let mut next = |column: fn(&mut Self) -> &mut Numbers<'a>| column(self).next().ok_or(SHORT);
        let (taken, own) = (next(|it| &mut it.taken)?, next(|it| &mut it.own)?);
        Ok(Some(Stretch { taken, own, step: unfold(next(|it| &mut it.steps)?) }))
    }
}

struct Stream<'a> {
    packing: Packing,
    packed: &'a [u8],
    length: u64,
}

impl<'a> Stream<'a> {
    fn split(rest: &mut &'a [u8]) -> Result<Self, &'static str> {
        let short = "its streams end too early";
        let (code, tail) = rest.split_first().ok_or(short)?;
        let packing = Packing::of(*code).ok_or("the packing of a stream is unknown")?;
        let mut numbers = Numbers(tail);
        let packed_length = numbers.next().ok_or(short)?;
        let length = numbers.next().ok_or(short)?;
        let packed_length = usize::try_from(packed_length).map_err(|_| short)?;
        if packed_length > numbers.0.len() {
            return Err(short);
        }
        let (packed, tail) = numbers.0.split_at(packed_length);
        *rest = tail;
        Ok(Self { packing, packed, length })
    }

    fn reader(self) -> Result<std::io::Take<Box<dyn Read + 'a>>, &'static str> {
        let reader = self.packing.reader(self.packed).map_err(|_| "a stream can not be unpacked")?;
        Ok(reader.take(self.length))
    }

    fn unpack(self, limit: u64) -> Result<Vec<u8>, &'static str> {
        if self.length > limit {
            return Err("it has more numbers than its output could need");
        }
        let (length, mut bytes) = (self.length, Vec::new());
        self.reader()?.read_to_end(&mut bytes).map_err(|_| "a stream can not be unpacked")?;
        if bytes.len() as u64 == length { Ok(bytes) } else { Err("a stream is shorter than it says") }
    }
}

#[cfg(feature = "make")]
pub use encode::encode;

#[cfg(feature = "make")]
#[path = "delta/encode.rs"]
mod encode;
