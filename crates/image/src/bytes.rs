//! Little- and big-endian fields of fixed-size records.
//!
//! Offsets are constants of a format inside a buffer that the caller sized, never numbers read from outside.

pub(crate) const fn round_up(value: u64, unit: u64) -> u64 {
    value.div_ceil(unit) * unit
}

/// Whether all bytes are zero; compared in blocks, because that is many times as fast as byte by byte.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    const ZEROS: [u8; 4096] = [0; 4096];
    bytes.chunks(ZEROS.len()).all(|block| block == &ZEROS[..block.len()])
}

pub(crate) fn put(record: &mut [u8], offset: usize, value: &[u8]) {
    record[offset..offset + value.len()].copy_from_slice(value);
}

pub(crate) fn take<const N: usize>(record: &[u8], offset: usize) -> [u8; N] {
    record[offset..offset + N].try_into().expect("a slice of N bytes is an array of N bytes")
}

pub(crate) fn le16(record: &[u8], offset: usize) -> u16 {
    u16::from_le_bytes(take(record, offset))
}

pub(crate) fn le32(record: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(take(record, offset))
}

pub(crate) fn le64(record: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(take(record, offset))
}

pub(crate) fn be32(record: &[u8], offset: usize) -> u32 {
    u32::from_be_bytes(take(record, offset))
}

pub(crate) fn be64(record: &[u8], offset: usize) -> u64 {
    u64::from_be_bytes(take(record, offset))
}
