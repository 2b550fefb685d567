//! Finding the stretches. After C. Percival, "Naive differences of executable code" (2003): exact matches from a suffix
//! array, made longer in both directions as long as more bytes fit than do not.

use std::io;

use super::{Stretch, numbers_limit};
use crate::bits::{put, put_signed};
use crate::pack::smallest;

/// An exact match has to be this much longer than what the current stretch already gives, or changing over costs more than
/// it saves.
const GAIN: usize = 8;

/// Packs `new` as what differs from `reference`.
pub fn encode(reference: &[u8], new: &[u8]) -> io::Result<Vec<u8>> {
    let (stretches, mut differences, mut own) = compare(reference, new);
    let mut numbers = columns(&stretches);
    if numbers.len() as u64 > numbers_limit(new.len() as u64) {
        // Stretches of a few bytes each: there is nothing to be gained from this reference.
        numbers = columns(&[Stretch { taken: 0, own: new.len() as u64, step: 0 }]);
        (differences, own) = (Vec::new(), new.to_vec());
    }
    let mut packed = Vec::new();
    for stream in [numbers, differences, own] {
        let (packing, bytes) = smallest(&stream)?;
        packed.push(packing.code());
        put(&mut packed, bytes.len() as u64);
        put(&mut packed, stream.len() as u64);
        packed.extend(bytes);
    }
    Ok(packed)
}

fn columns(stretches: &[Stretch]) -> Vec<u8> {
    let mut numbers = Vec::new();
    put(&mut numbers, stretches.len() as u64);
    stretches.iter().for_each(|stretch| put(&mut numbers, stretch.taken));
    stretches.iter().for_each(|stretch| put(&mut numbers, stretch.own));
    stretches.iter().for_each(|stretch| put_signed(&mut numbers, stretch.step));
    numbers
}

/// Stretches, differences and own bytes.
fn compare(reference: &[u8], new: &[u8]) -> (Vec<Stretch>, Vec<u8>, Vec<u8>) {
    let index = Index::new(reference);
    let mut result = Written::default();
    // What is not yet written begins here in `new`, and continues there in the reference.
    let (mut done, mut old_done) = (0usize, 0usize);
    let (mut scan, mut found) = (0usize, Match::default());
    while scan < new.len() {
        scan += found.length;
        // How many bytes of the current stretch's continuation fit between `scan` and `counted`.
        let (mut fitting, mut counted) = (0usize, scan);
        let fits = |at: usize| reference.get((at + old_done).wrapping_sub(done)) == Some(&new[at]);
        while scan < new.len() {
            found = index.longest(&new[scan..]);
            while counted < scan + found.length {
                fitting += usize::from(fits(counted));
                counted += 1;
            }
            if found.length > 0 && found.length == fitting || found.length > fitting + GAIN {
                break;
            }
            fitting -= usize::from(counted > scan && fits(scan));
            counted = counted.max(scan + 1);
            scan += 1;
        }
        if found.length == fitting && scan < new.len() {
            // The same place: the stretch goes on.
            continue;
        }
        let gap = scan - done;
        let forward =
            best_extension(gap.min(reference.len() - old_done), |i| new[done + i] == reference[old_done + i]);
        let backward = if scan < new.len() {
            let room = (scan - done).min(found.at);
            best_extension(room, |i| new[scan - 1 - i] == reference[found.at - 1 - i])
        } else {
            0
        };
        let (forward, backward) =
            settle(new, reference, (done, old_done, forward), (scan, found.at, backward));
        let next = (scan - backward, found.at.wrapping_sub(backward));
        result.add(new, reference, (done, old_done), forward, next.0);
        if scan < new.len() {
            result.step(next.1 as i64 - (old_done + forward) as i64);
        }
        (done, old_done) = next;
    }
    if done < new.len() {
        let forward = best_extension((new.len() - done).min(reference.len().saturating_sub(old_done)), |i| {
            new[done + i] == reference[old_done + i]
        });
        result.add(new, reference, (done, old_done), forward, new.len());
    }
    (result.stretches, result.differences, result.own)
}

#[derive(Default)]
struct Written {
    stretches: Vec<Stretch>,
    differences: Vec<u8>,
    own: Vec<u8>,
}

impl Written {
    /// A stretch that takes `taken` bytes at `start` (in new and reference) and brings its own up to `end`.
    fn add(&mut self, new: &[u8], reference: &[u8], start: (usize, usize), taken: usize, end: usize) {
        let (at, old) = start;
        let pairs = new[at..at + taken].iter().zip(&reference[old..old + taken]);
        self.differences.extend(pairs.map(|(new, old)| new.wrapping_sub(*old)));
        self.own.extend(&new[at + taken..end]);
        self.stretches.push(Stretch { taken: taken as u64, own: (end - at - taken) as u64, step: 0 });
    }

    fn step(&mut self, step: i64) {
        if let Some(last) = self.stretches.last_mut() {
            last.step = step;
        }
    }
}

/// The length up to `room` for which most more bytes fit than do not.
fn best_extension(room: usize, fits: impl Fn(usize) -> bool) -> usize {
    let (mut score, mut best, mut length) = (0isize, 0isize, 0);
    for index in 0..room {
        score += if fits(index) { 1 } else { -1 };
        if score > best {
            (best, length) = (score, index + 1);
        }
        // Far behind: what follows is another place.
        if score < best - 4096 {
            break;
        }
    }
    length
}

/// Where two extensions overlap, the border that leaves the most fitting bytes.
fn settle(
    new: &[u8],
    reference: &[u8],
    (done, old_done, forward): (usize, usize, usize),
    (scan, found_at, backward): (usize, usize, usize),
) -> (usize, usize) {
    let (end, start) = (done + forward, scan - backward);
    let Some(overlap) = end.checked_sub(start).filter(|overlap| *overlap > 0) else {
        return (forward, backward);
    };
    let (mut score, mut best, mut border) = (0isize, 0isize, 0);
    for index in 0..overlap {
        let at = start + index;
        score += isize::from(new[at] == reference[old_done + (at - done)]);
        score -= isize::from(new[at] == reference[found_at - (scan - at)]);
        if score > best {
            (best, border) = (score, index + 1);
        }
    }
    (forward - overlap + border, backward - border)
}

#[derive(Clone, Copy, Default)]
struct Match {
    at: usize,
    length: usize,
}

/// Suffix array with the places of the first two bytes.
struct Index<'a> {
    text: &'a [u8],
    suffixes: Vec<i32>,
    buckets: Vec<u32>,
}

impl<'a> Index<'a> {
    fn new(text: &'a [u8]) -> Self {
        let suffixes = if text.is_empty() { Vec::new() } else { divsufsort::sort(text).into_parts().1 };
        let mut counts = vec![0u32; (1 << 16) + 1];
        for pair in text.windows(2) {
            counts[usize::from(pair[0]) << 8 | usize::from(pair[1])] += 1;
        }
        // The one-byte suffix at the end sorts before every longer one that begins with the same byte.
        let last = text.last().map(|byte| usize::from(*byte) << 8);
        let (mut sum, mut buckets) = (0, vec![0u32; (1 << 16) + 1]);
        for pair in 0..1 << 16 {
            sum += u32::from(last == Some(pair));
            buckets[pair] = sum;
            sum += counts[pair];
        }
        buckets[1 << 16] = sum;
        Self { text, suffixes, buckets }
    }

    /// The longest prefix of `wanted` in the text; shorter than two bytes is none.
    fn longest(&self, wanted: &[u8]) -> Match {
        if wanted.len() < 2 || self.suffixes.is_empty() {
            return Match::default();
        }
        let bucket = usize::from(wanted[0]) << 8 | usize::from(wanted[1]);
        let last = self.text.last().map(|byte| usize::from(*byte) << 8);
        let (mut low, mut high) = (self.buckets[bucket] as usize, self.buckets[bucket + 1] as usize);
        // The next bucket's start counts a one-byte suffix before it.
        high -= usize::from(last == Some(bucket + 1));
        if low >= high {
            return Match::default();
        }
        // Lengths known to be common with the suffixes at `low - 1` and `high`.
        let (mut low_common, mut high_common) = (2, 2);
        let mut best = Match::default();
        while low < high {
            let middle = low + (high - low) / 2;
            let at = self.suffixes[middle] as usize;
            let suffix = &self.text[at..];
            let known = low_common.min(high_common);
            let common = known + common_length(&suffix[known.min(suffix.len())..], &wanted[known..]);
            if common > best.length {
                best = Match { at, length: common };
            }
            if common == wanted.len() {
                return best;
            }
            if common == suffix.len() || suffix[common] < wanted[common] {
                (low, low_common) = (middle + 1, common);
            } else {
                (high, high_common) = (middle, common);
            }
        }
        best
    }
}

fn common_length(one: &[u8], other: &[u8]) -> usize {
    let words = one.chunks_exact(8).zip(other.chunks_exact(8));
    let mut length = 0;
    for (one, other) in words {
        let (one, other) = (
            u64::from_le_bytes(one.try_into().expect("8")),
            u64::from_le_bytes(other.try_into().expect("8")),
        );
        if one != other {
            return length + (one ^ other).trailing_zeros() as usize / 8;
        }
        length += 8;
    }
    length + one[length..].iter().zip(&other[length..]).take_while(|(one, other)| one == other).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::delta::decode;

    fn round_trip(reference: &[u8], new: &[u8]) -> usize {
        let packed = encode(reference, new).expect("packs");
        assert_eq!(decode(&packed, reference, new.len()).expect("unpacks"), new);
        packed.len()
    }

    #[test]
    fn code_with_shifted_addresses_costs_little() {
        let mut reference = Vec::new();
        let mut new = vec![1, 2, 3];
        for index in 0u32..20_000 {
            reference.extend(index.wrapping_mul(2_654_435_761).to_le_bytes());
            new.extend(index.wrapping_mul(2_654_435_761).to_le_bytes());
            if index % 5 == 0 {
                reference.extend((index * 40).to_le_bytes());
                new.extend((index * 40 + 3).to_le_bytes());
            }
        }
        let length = round_trip(&reference, &new);
        assert!(length < new.len() / 50, "{length} of {}", new.len());
    }

    #[test]
    fn nothing_and_everything_round_trip() {
        round_trip(b"", b"");
        round_trip(b"", b"some bytes without any reference at all");
        round_trip(b"a reference that nobody needs", b"");
        round_trip(b"aaaaaaaaaaaaaaaaaaaaaaa", b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab");
        round_trip(b"\0", b"\0\0");
    }

    proptest! {
        #[test]
        fn any_bytes_round_trip(reference in proptest::collection::vec(0u8..4, 0..400), new in proptest::collection::vec(0u8..4, 0..400)) {
            round_trip(&reference, &new);
        }

        #[test]
        fn edited_bytes_round_trip(text in proptest::collection::vec(any::<u8>(), 1..2000), cut in any::<prop::sample::Index>(), insert in proptest::collection::vec(any::<u8>(), 0..50)) {
            let at = cut.index(text.len());
            let mut new = text.clone();
            new.splice(at..(at + 7).min(text.len()), insert);
            round_trip(&text, &new);
        }

        #[test]
        fn any_bytes_are_refused_or_decoded_and_never_panic(packed in proptest::collection::vec(any::<u8>(), 0..300), length in 0usize..500) {
            let _either = decode(&packed, b"a reference", length);
        }
    }
}
