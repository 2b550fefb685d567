//! Packing of streams: LZMA for what is small and structured, zstd for whole images.

use std::io::{self, Read};

use liblzma::read::XzDecoder;
use liblzma::stream::Stream;

/// How bytes are packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// Not at all.
    Plain,
    /// One `.lzma` stream (LZMA SDK, "LZMA alone"), its dictionary at most [`LZMA_DICTIONARY`].
    Lzma,
    /// One zstd frame, its window at most 2^[`ZSTD_WINDOW_LOG`].
    Zstd,
}

/// Largest dictionary in bytes. With it unpacking takes this much memory and little more.
pub const LZMA_DICTIONARY: u32 = 8 << 20;
/// Memory that unpacking LZMA may take. Stops a patch that asks for a dictionary of gigabytes.
const LZMA_MEMORY: u64 = LZMA_DICTIONARY as u64 + (1 << 20);
/// Largest window of zstd frames. Stops a patch that asks for a window of gigabytes.
pub const ZSTD_WINDOW_LOG: u32 = 23;

impl Packing {
    /// The byte of the format.
    pub fn code(self) -> u8 {
        match self {
            Packing::Plain => 0,
            Packing::Lzma => 1,
            Packing::Zstd => 2,
        }
    }

    /// Of a byte of the format.
    pub fn of(code: u8) -> Option<Self> {
        [Packing::Plain, Packing::Lzma, Packing::Zstd].into_iter().find(|packing| packing.code() == code)
    }

    /// Unpacks while it is read. What comes out is as long as the packed bytes say: callers stop at their own length.
    pub fn reader<'a>(self, packed: &'a [u8]) -> io::Result<Box<dyn Read + 'a>> {
        Ok(match self {
            Packing::Plain => Box::new(packed),
            Packing::Lzma => {
                let stream = Stream::new_lzma_decoder(LZMA_MEMORY).map_err(io::Error::other)?;
                Box::new(XzDecoder::new_stream(packed, stream))
            }
            Packing::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(packed)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG)?;
                Box::new(decoder.single_frame())
            }
        })
    }
}

/// Packs with LZMA as tightly as it goes.
#[cfg(feature = "make")]
pub fn lzma(bytes: &[u8], tuning: Tuning) -> io::Result<Vec<u8>> {
    use liblzma::stream::LzmaOptions;
    let mut options = LzmaOptions::new_preset(9 | 1 << 31).map_err(io::Error::other)?;
    let wanted = (bytes.len() as u32).max(4096).checked_next_power_of_two();
    options.dict_size(wanted.unwrap_or(LZMA_DICTIONARY).min(LZMA_DICTIONARY));
    let (context, position, alignment) = match tuning {
        Tuning::Bytes => (3, 0, 0),
        Tuning::Words => (0, 2, 2),
    };
    options.literal_context_bits(context).literal_position_bits(position).position_bits(alignment);
    let stream = Stream::new_lzma_encoder(&options).map_err(io::Error::other)?;
    let mut packed = Vec::new();
    liblzma::read::XzEncoder::new_stream(bytes, stream).read_to_end(&mut packed)?;
    Ok(packed)
}

/// What kind of bytes are packed.
#[cfg(feature = "make")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tuning {
    /// Texts and code.
    Bytes,
    /// Words of four bytes, as in tables and differences of tables.
    Words,
}

/// Packs with LZMA, tuned as is best for these bytes, or not at all when that is shorter.
#[cfg(feature = "make")]
pub fn smallest(bytes: &[u8]) -> io::Result<(Packing, Vec<u8>)> {
    let mut best = (Packing::Plain, bytes.to_vec());
    if bytes.len() < 16 {
        return Ok(best);
    }
    for tuning in [Tuning::Bytes, Tuning::Words] {
        let packed = lzma(bytes, tuning)?;
        if packed.len() < best.1.len() {
            best = (Packing::Lzma, packed);
        }
    }
    Ok(best)
}

/// Packs with zstd for a full image.
#[cfg(feature = "make")]
pub fn zstd_image(bytes: &[u8], level: i32) -> io::Result<(Packing, Vec<u8>)> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), level)?;
    encoder.window_log(ZSTD_WINDOW_LOG)?;
    io::Write::write_all(&mut encoder, bytes)?;
    let packed = encoder.finish()?;
    Ok(if packed.len() < bytes.len() { (Packing::Zstd, packed) } else { (Packing::Plain, bytes.to_vec()) })
}
