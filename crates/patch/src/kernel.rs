//! The kernel inside of a bzImage: where its compressed payload lies, and the recipes that compress it again to the same
//! bytes. Two kernels that differ in a few functions are alike only when they are unpacked.
//!
//! Format: the kernel's `Documentation/arch/x86/boot.rst` (`payload_offset`, `payload_length`; the payload ends with its
//! unpacked length, four bytes, little-endian).

use std::io::{self, Read, Write};
use std::ops::Range;

use liblzma::stream::{Check, Filters, LzmaOptions, Stream};

use crate::format::KERNEL_LIMIT;

/// How Debian's kernels were compressed. The number is that of the format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipe {
    /// `zstd -22 --ultra`, from a pipe: with a checksum, without the content's size. Linux 5.9 and later.
    Zstd22,
    /// `xz --check=crc32 --x86 --lzma2=dict=32MiB`, as `scripts/xz_wrap.sh` calls it. Debian 11 and 12.
    Xz32,
    /// The same with a dictionary of 128 MiB: newer kernels.
    Xz128,
}

impl Recipe {
    /// All of them.
    pub const ALL: [Recipe; 3] = [Recipe::Zstd22, Recipe::Xz32, Recipe::Xz128];

    /// Number in the format.
    pub fn code(self) -> u8 {
        match self {
            Recipe::Zstd22 => 1,
            Recipe::Xz32 => 2,
            Recipe::Xz128 => 3,
        }
    }

    /// By its number.
    pub fn of(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|recipe| recipe.code() == code)
    }

    /// Bytes of memory that the compressor itself takes, measured and rounded up.
    pub fn memory(self) -> u64 {
        match self {
            Recipe::Zstd22 => 800 << 20,
            Recipe::Xz32 => 400 << 20,
            Recipe::Xz128 => 1400 << 20,
        }
    }

    /// Compresses a kernel as its maker did, but for the unpacked length at the end.
    pub fn compress(self, plain: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Recipe::Zstd22 => {
                // `write::Encoder` is told no size, as a pipe tells none.
                let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 22)?;
                encoder.include_checksum(true)?;
                encoder.include_contentsize(false)?;
                // The command works with threads even when it has only one, which cuts the input in other places.
                encoder.multithread(1)?;
                encoder.write_all(plain)?;
                encoder.finish()
            }
            Recipe::Xz32 => compress_xz(plain, 32 << 20),
            Recipe::Xz128 => compress_xz(plain, 128 << 20),
        }
    }
}

fn compress_xz(plain: &[u8], dictionary: u32) -> io::Result<Vec<u8>> {
    let mut options = LzmaOptions::new_preset(6).map_err(io::Error::other)?;
    options.dict_size(dictionary);
    let mut filters = Filters::new();
    filters.x86().lzma2(&options);
    let stream = Stream::new_stream_encoder(&filters, Check::Crc32).map_err(io::Error::other)?;
    let mut packed = Vec::new();
    liblzma::read::XzEncoder::new_stream(plain, stream).read_to_end(&mut packed)?;
    Ok(packed)
}

/// Where the compressed payload lies in a bzImage, without the four bytes of its unpacked length. `None` when this is none.
pub fn payload(image: &[u8]) -> Option<Range<usize>> {
    let number = |at: usize, length: usize| {
        let bytes = image.get(at..at + length)?;
        Some(bytes.iter().rev().fold(0usize, |sum, byte| sum << 8 | usize::from(*byte)))
    };
    // Protocol 2.08 is the first with a payload field.
    if image.get(0x202..0x206)? != b"HdrS" || number(0x206, 2)? < 0x208 {
        return None;
    }
    let sectors = match number(0x1F1, 1)? {
        0 => 4,
        sectors => sectors,
    };
    let start = (sectors + 1) * 512 + number(0x248, 4)?;
    let end = start.checked_add(number(0x24C, 4)?)?.checked_sub(4)?;
    (start < end && end + 4 <= image.len()).then_some(start..end)
}

/// Memory that unpacking a kernel may take besides its output: windows of its compressors.
const UNPACK_MEMORY: u64 = 192 << 20;
/// Greatest window of a kernel's zstd frame: level 22 asks for 2^27.
const KERNEL_WINDOW_LOG: u32 = 27;

/// Unpacks the first `most` bytes of a payload; `None` when it is packed in another way, or is longer than any kernel.
pub fn unpack(packed: &[u8], most: u64) -> Option<Vec<u8>> {
    let mut plain = Vec::with_capacity(most.min(64 << 20) as usize);
    let reader: Box<dyn Read + '_> = match packed {
        [0x28, 0xB5, 0x2F, 0xFD, ..] => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(packed).ok()?;
            decoder.window_log_max(KERNEL_WINDOW_LOG).ok()?;
            Box::new(decoder.single_frame())
        }
        [0xFD, b'7', b'z', b'X', b'Z', 0, ..] => {
            let stream = Stream::new_stream_decoder(UNPACK_MEMORY, 0).ok()?;
            Box::new(liblzma::read::XzDecoder::new_stream(packed, stream))
        }
        _ => return None,
    };
    let read = reader.take(most).read_to_end(&mut plain).ok()?;
    (read as u64 <= KERNEL_LIMIT && read > 0).then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel(payload: &[u8]) -> Vec<u8> {
        let mut image = vec![0; 0x400];
        image[0x1F1] = 1;
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x206..0x208].copy_from_slice(&0x20Fu16.to_le_bytes());
        image[0x24C..0x250].copy_from_slice(&(payload.len() as u32 + 4).to_le_bytes());
        image.extend(payload);
        image.extend(7u32.to_le_bytes());
        image
    }

    #[test]
    fn every_recipe_unpacks_to_what_it_packed_and_is_found_in_a_kernel() {
        let plain: Vec<u8> = (0u32..100_000).flat_map(|number| (number / 3).to_le_bytes()).collect();
        for recipe in [Recipe::Zstd22, Recipe::Xz32] {
            let packed = recipe.compress(&plain).expect("packs");
            let image = kernel(&packed);
            let range = payload(&image).expect("found");
            assert_eq!(&image[range.clone()], packed.as_slice());
            assert_eq!(unpack(&image[range], KERNEL_LIMIT).expect("unpacks"), plain);
        }
    }

    #[test]
    fn what_is_no_kernel_has_no_payload() {
        let mut image = kernel(b"payload");
        image[0x24C..0x250].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(payload(&image), None);
        assert_eq!(payload(b"MZ"), None);
        assert_eq!(unpack(b"no compressor begins like this", 10), None);
    }
}
