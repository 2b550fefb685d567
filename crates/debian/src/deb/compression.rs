//! The inner archives' compression.

use std::io::{self, BufReader, Read};
use std::num::NonZeroUsize;

use flate2::bufread::MultiGzDecoder;
use liblzma::bufread::XzDecoder;
use liblzma::stream::{MtStreamBuilder, Stream};

use super::ar::{ArReader, Member};
use super::error::DebProblem;

/// Most memory one xz decoder may take. Stops a forged header from asking for a 4 GiB dictionary; `xz -9` needs 65 MiB.
const MAX_XZ_MEMORY: u64 = 128 << 20;
/// Memory above which the threaded xz decoder uses fewer threads.
const XZ_THREADING_MEMORY: u64 = 256 << 20;
/// zstd's window, as a power of two: 128 MiB. Stops a forged header as above; `zstd -22 --ultra` has this.
const MAX_ZSTD_WINDOW_LOG: u32 = 27;
/// A data archive above this is decompressed with several threads. Below it, packages in parallel keep the processors
/// busy, and threads only cost memory.
const THREADED_FROM: u64 = 8 << 20;
const INPUT_BUFFER: usize = 256 << 10;

/// Decompresses one member.
pub(super) enum Decoder<R: Read> {
    Plain(BufReader<R>),
    Gzip(MultiGzDecoder<BufReader<R>>),
    Xz(XzDecoder<BufReader<R>>),
    Zstd(zstd::stream::read::Decoder<'static, BufReader<R>>),
}

impl<R: Read> Decoder<R> {
    /// Chooses by the member's name: `stem`, `stem.gz`, `stem.xz`, `stem.zst`.
    pub fn of_member(
        member: &Member,
        stem: &str,
        input: R,
        threads: NonZeroUsize,
    ) -> Result<Self, DebProblem> {
        let suffix = member.name.strip_prefix(stem).ok_or(DebProblem::Damaged(
            "members are not in the order debian-binary, control.tar, data.tar",
        ))?;
        // Small members need no large buffer; there are many of them.
        let capacity = usize::try_from(member.size).unwrap_or(usize::MAX).clamp(512, INPUT_BUFFER);
        let input = BufReader::with_capacity(capacity, input);
        Ok(match suffix {
            "" => Self::Plain(input),
            ".gz" => Self::Gzip(MultiGzDecoder::new(input)),
            ".xz" => Self::Xz(XzDecoder::new_stream(input, xz_stream(member.size, threads)?)),
            ".zst" => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
                decoder.window_log_max(MAX_ZSTD_WINDOW_LOG)?;
                Self::Zstd(decoder)
            }
            _ => return Err(DebProblem::Unsupported("compression other than gzip, xz or zstd")),
        })
    }

    fn format(&self) -> &'static str {
        match self {
            Self::Plain(_) => "tar",
            Self::Gzip(_) => "gzip",
            Self::Xz(_) => "xz",
            Self::Zstd(_) => "zstd",
        }
    }

    fn input(&self) -> &BufReader<R> {
        match self {
            Self::Plain(input) => input,
            Self::Gzip(decoder) => decoder.get_ref(),
            Self::Xz(decoder) => decoder.get_ref(),
            Self::Zstd(decoder) => decoder.get_ref(),
        }
    }
}

fn xz_stream(size: u64, threads: NonZeroUsize) -> Result<Stream, DebProblem> {
    let stream = if threads.get() > 1 && size >= THREADED_FROM {
        MtStreamBuilder::new()
            .threads(u32::try_from(threads.get()).unwrap_or(u32::MAX).min(16))
            .memlimit_threading(XZ_THREADING_MEMORY)
            .memlimit_stop(MAX_XZ_MEMORY)
            .decoder()
    } else {
        Stream::new_stream_decoder(MAX_XZ_MEMORY, 0)
    };
    stream.map_err(|error| DebProblem::Compression { format: "xz", source: error.into() })
}

impl<R: Read> Read for Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let result = match self {
            Self::Plain(input) => input.read(buffer),
            Self::Gzip(decoder) => decoder.read(buffer),
            Self::Xz(decoder) => decoder.read(buffer),
            Self::Zstd(decoder) => decoder.read(buffer),
        };
        result.map_err(|error| {
            if error.get_ref().is_some_and(|inner| inner.is::<DebProblem>()) {
                return error;
            }
            match error.kind() {
                // The member is there in full, or `ArReader` had said so: the stream in it is not.
                io::ErrorKind::UnexpectedEof => DebProblem::Truncated.into(),
                // Decompressors use these; the system's errors come with a code.
                _ if error.raw_os_error().is_none() && error.kind() != io::ErrorKind::Interrupted => {
                    DebProblem::Compression { format: self.format(), source: error }.into()
                }
                _ => error,
            }
        })
    }
}

/// Tells whether a member was decompressed to its very end.
pub(super) trait Finish {
    /// Fails when bytes are left behind the compressed stream.
    fn finish(&mut self) -> Result<(), DebProblem>;
}

fn check_end<R: Read>(buffered: &BufReader<R>, remaining: u64) -> Result<(), DebProblem> {
    if remaining > 0 || !buffered.buffer().is_empty() {
        return Err(DebProblem::Damaged("bytes follow the end of the compressed archive"));
    }
    Ok(())
}

impl<R: Read> Finish for Decoder<ArReader<R>> {
    fn finish(&mut self) -> Result<(), DebProblem> {
        check_end(self.input(), self.input().get_ref().remaining())
    }
}

impl<R: Read> Finish for Decoder<&mut ArReader<R>> {
    fn finish(&mut self) -> Result<(), DebProblem> {
        check_end(self.input(), self.input().get_ref().remaining())
    }
}
