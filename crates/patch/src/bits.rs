//! Numbers of variable length: seven bits a byte, the low ones first, the top bit set on all bytes but the last (LEB128).
//! Signed ones are folded first: 0, -1, 1, -2, ... become 0, 1, 2, 3, ...

/// Most bytes of a number. Stops a patch whose numbers never end.
const LONGEST: u32 = 10;

/// Appends a number.
#[cfg(feature = "make")]
pub fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Appends a signed number.
#[cfg(feature = "make")]
pub fn put_signed(out: &mut Vec<u8>, number: i64) {
    put(out, (number << 1 ^ number >> 63) as u64);
}

/// Unfolds a signed number.
pub fn unfold(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

/// Reads a number byte by byte; `None` when it does not fit 64 bits. `next` may fail with its own error.
pub fn read<E>(mut next: impl FnMut() -> Result<u8, E>) -> Result<Option<u64>, E> {
    let mut number = 0u64;
    for index in 0..LONGEST {
        let byte = next()?;
        let part = u64::from(byte & 0x7F);
        if index == LONGEST - 1 && part > 1 {
            return Ok(None);
        }
        number |= part << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(Some(number));
        }
    }
    Ok(None)
}

/// A cursor over numbers in memory.
pub struct Numbers<'a>(pub &'a [u8]);

impl Numbers<'_> {
    /// The next number; `None` at the end, and for one that does not fit.
    pub fn next(&mut self) -> Option<u64> {
        read(|| {
            let (first, rest) = self.0.split_first().ok_or(())?;
            self.0 = rest;
            Ok::<u8, ()>(*first)
        })
        .ok()
        .flatten()
    }
}

#[cfg(all(test, feature = "make"))]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_they_were_written() {
        let numbers = [0, 1, 127, 128, 300, u64::MAX >> 1, u64::MAX];
        let mut bytes = Vec::new();
        numbers.iter().for_each(|number| put(&mut bytes, *number));
        let signed = [0, -1, 1, i64::MIN, i64::MAX, -300];
        signed.iter().for_each(|number| put_signed(&mut bytes, *number));
        let mut cursor = Numbers(&bytes);
        numbers.iter().for_each(|number| assert_eq!(cursor.next(), Some(*number)));
        signed.iter().for_each(|number| assert_eq!(cursor.next().map(unfold), Some(*number)));
        assert_eq!(cursor.next(), None);
    }

    #[test]
    fn a_number_that_never_ends_or_does_not_fit_is_none() {
        assert_eq!(Numbers(&[0x80; 20]).next(), None);
        assert_eq!(Numbers(&[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x02]).next(), None);
    }
}
