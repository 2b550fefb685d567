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

/// Bytes of a stretch in the numbers, at least: stops numbers that unpack to gigabytes. Three numbers of ten bytes.
const STRETCH_LONGEST: u64 = 30;

/// Makes `length` bytes from `reference`. The error says why the bytes of the patch are not a delta.
pub fn decode(packed: &[u8], reference: &[u8], length: usize) -> Result<Vec<u8>, &'static str> {
    let mut rest = packed;
    let numbers = Stream::split(&mut rest)?;
    let differences = Stream::split(&mut rest)?;
    let own = Stream::split(&mut rest)?;
    if !rest.is_empty() {
        return Err("there are bytes behind its streams");
    }
    let stretches = stretches(&numbers.unpack(length as u64 * STRETCH_LONGEST + 64)?)?;
    let (mut differences, mut own) = (differences.reader()?, own.reader()?);
    let mut output = vec![0; length];
    let (mut at, mut from) = (0usize, 0i64);
    for stretch in stretches {
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

fn stretches(numbers: &[u8]) -> Result<Vec<Stretch>, &'static str> {
    let mut numbers = Numbers(numbers);
    let short = "its numbers end too early";
    let count = numbers.next().ok_or(short)?;
    // Every stretch has three numbers of at least one byte.
    if count > numbers.0.len() as u64 / 3 {
        return Err(short);
    }
    let mut column = || (0..count).map(|_| numbers.next()).collect::<Option<Vec<u64>>>().ok_or(short);
    let (taken, own, steps) = (column()?, column()?, column()?);
    let rows = taken.into_iter().zip(own).zip(steps);
    Ok(rows.map(|((taken, own), step)| Stretch { taken, own, step: unfold(step) }).collect())
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
