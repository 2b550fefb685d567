//! Lines from a stream with a limit. A line that is too long is skipped whole, so that the next one is read right.

use std::io::{self, Read};

/// One result of [`LineReader::next`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// A line without its end.
    Text(Vec<u8>),
    /// A line longer than the limit was skipped.
    TooLong,
    /// The stream ended. An unfinished last line is dropped: it was never sent whole.
    End,
}

/// Reads lines. Survives time-outs of the stream: what was read stays for the next call.
#[derive(Debug)]
pub(crate) struct LineReader<R> {
    stream: R,
    limit: usize,
    buffer: Vec<u8>,
    /// Bytes of `buffer` that are known to hold no line end.
    scanned: usize,
    skipping: bool,
}

impl<R: Read> LineReader<R> {
    pub(crate) fn new(stream: R, limit: usize) -> Self {
        Self { stream, limit, buffer: Vec::new(), scanned: 0, skipping: false }
    }

    pub(crate) fn stream(&self) -> &R {
        &self.stream
    }

    pub(crate) fn next(&mut self) -> io::Result<Line> {
        loop {
            if let Some(end) = self.buffer[self.scanned..].iter().position(|&byte| byte == b'\n') {
                let end = self.scanned + end;
                let rest = self.buffer.split_off(end + 1);
                let mut line = std::mem::replace(&mut self.buffer, rest);
                self.scanned = 0;
                line.pop();
                if std::mem::take(&mut self.skipping) || line.len() > self.limit {
                    return Ok(Line::TooLong);
                }
                return Ok(Line::Text(line));
            }
            self.scanned = self.buffer.len();
            if self.buffer.len() > self.limit {
                self.skipping = true;
                self.buffer.clear();
                self.scanned = 0;
            }
            let mut piece = [0; 16 << 10];
            match self.stream.read(&mut piece) {
                Ok(0) => return Ok(Line::End),
                Ok(count) => self.buffer.extend_from_slice(&piece[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: &[u8], limit: usize) -> Vec<Line> {
        let mut reader = LineReader::new(bytes, limit);
        let mut found = Vec::new();
        loop {
            let line = reader.next().expect("memory does not fail");
            let is_end = line == Line::End;
            found.push(line);
            if is_end {
                return found;
            }
        }
    }

    #[test]
    fn a_line_that_is_too_long_does_not_spoil_the_next_one() {
        let text = |text: &str| Line::Text(text.into());
        let long = [b"a\n".as_slice(), &[b'x'; 100_000], b"\nb\nunfinished"].concat();
        assert_eq!(lines(&long, 10), [text("a"), Line::TooLong, text("b"), Line::End]);
        assert_eq!(
            lines(b"0123456789\n01234567890\n\n", 10),
            [text("0123456789"), Line::TooLong, text(""), Line::End]
        );
    }
}
