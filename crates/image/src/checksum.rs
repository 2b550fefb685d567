//! The two CRC-32 variants that disk formats ask for. Inputs are a few KiB, so that a bit-wise loop is enough.

/// CRC-32 as GPT uses it (ISO 3309, reflected polynomial 0xEDB88320, inverted at both ends).
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    !update(0xEDB8_8320, !0, bytes)
}

/// CRC-32C (Castagnoli) as EROFS uses it: starts with all ones and is *not* inverted at the end.
pub(crate) fn crc32c_raw(bytes: &[u8]) -> u32 {
    update(0x82F6_3B78, !0, bytes)
}

fn update(polynomial: u32, start: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(start, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (polynomial & (crc & 1).wrapping_neg()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_variants_give_the_check_values_of_the_catalogue() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(!crc32c_raw(b"123456789"), 0xE306_9283);
    }
}
