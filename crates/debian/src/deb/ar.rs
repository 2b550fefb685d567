//! The outer container: an `ar` archive as deb(5) has it.

use std::io::{self, Read};

use super::error::DebProblem;

/// Most members. Stops skipping through a file of nothing but headers.
const MAX_MEMBERS: usize = 16;
const MAGIC: &[u8; 8] = b"!<arch>\n";

/// Name and size of a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub name: String,
    pub size: u64,
}

/// Reads members one after the other; as [`Read`], it reads the current member's bytes.
#[derive(Debug)]
pub(super) struct ArReader<R> {
    input: R,
    remaining: u64,
    /// Members begin at even offsets.
    has_padding: bool,
    members: usize,
}

impl<R: Read> ArReader<R> {
    pub fn open(mut input: R) -> Result<Self, DebProblem> {
        let mut magic = [0; MAGIC.len()];
        input.read_exact(&mut magic)?;
        if &magic != MAGIC {
            return Err(DebProblem::Damaged("it is not a Debian package"));
        }
        Ok(Self { input, remaining: 0, has_padding: false, members: 0 })
    }

    /// Skips what is left of the current member. `None` at the end of the file.
    pub fn next_member(&mut self) -> Result<Option<Member>, DebProblem> {
        self.finish_member()?;
        let mut header = [0u8; 60];
        let mut filled = 0;
        while filled < header.len() {
            match self.input.read(&mut header[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => return Err(DebProblem::Truncated),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.members += 1;
        if self.members > MAX_MEMBERS {
            return Err(DebProblem::Limit { what: "the number of members", limit: MAX_MEMBERS as u64 });
        }
        let damaged = || DebProblem::Damaged("a member's header is malformed");
        let text = std::str::from_utf8(&header).map_err(|_| damaged())?;
        let field =
            |range: std::ops::Range<usize>| text.get(range).map(str::trim_ascii_end).ok_or_else(damaged);
        if field(58..60)? != "`" || !text.ends_with('\n') {
            return Err(damaged());
        }
        let name = field(0..16)?;
        // GNU ar ends names with a slash, dpkg-deb does not.
        let name = name.strip_suffix('/').unwrap_or(name).to_owned();
        let digits = field(48..58)?;
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(damaged());
        }
        let size: u64 = digits.parse().map_err(|_| damaged())?;
        self.remaining = size;
        self.has_padding = !size.is_multiple_of(2);
        Ok(Some(Member { name, size }))
    }

    /// Bytes of the current member that were not read yet.
    pub fn remaining(&self) -> u64 {
        self.remaining
    }

    fn finish_member(&mut self) -> Result<(), DebProblem> {
        if self.remaining > 0 {
            io::copy(self, &mut io::sink())?;
        }
        if std::mem::take(&mut self.has_padding) {
            // The last member's padding may be missing; then the next header is too.
            let _ = self.input.read(&mut [0])?;
        }
        Ok(())
    }
}

impl<R: Read> Read for ArReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = buffer.len().min(usize::try_from(self.remaining).unwrap_or(usize::MAX));
        if wanted == 0 {
            return Ok(0);
        }
        let count = self.input.read(&mut buffer[..wanted])?;
        if count == 0 {
            return Err(DebProblem::Truncated.into());
        }
        self.remaining -= count as u64;
        Ok(count)
    }
}
