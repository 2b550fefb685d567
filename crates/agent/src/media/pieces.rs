//! A file that lies on a disk in pieces, read as one.

use std::io::{self, Read, Seek, SeekFrom};

use super::ReadAt;

/// Bytes of a disk that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Where on the disk it begins.
    pub at: u64,
    /// Bytes.
    pub length: u64,
}

/// The file.
pub struct Pieces<D> {
    disk: D,
    pieces: Vec<Piece>,
    position: u64,
}

impl<D: ReadAt> Pieces<D> {
    /// A file of these pieces.
    pub fn new(disk: D, pieces: Vec<Piece>) -> Pieces<D> {
        Pieces { disk, pieces, position: 0 }
    }

    /// Where on the disk the bytes at a position are, and how many follow.
    fn place(&self, position: u64) -> Option<Piece> {
        let mut before = 0_u64;
        for piece in &self.pieces {
            let inside = position.checked_sub(before)?;
            if inside < piece.length {
                return Some(Piece { at: piece.at.checked_add(inside)?, length: piece.length - inside });
            }
            before = before.checked_add(piece.length)?;
        }
        None
    }
}

impl<D: ReadAt> Read for Pieces<D> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let Some(piece) = self.place(self.position) else { return Ok(0) };
        let count = usize::try_from(piece.length).unwrap_or(usize::MAX).min(bytes.len());
        self.disk.read_at(piece.at, &mut bytes[..count])?;
        self.position += count as u64;
        Ok(count)
    }
}

impl<D: ReadAt> Seek for Pieces<D> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let length = || self.pieces.iter().map(|piece| piece.length).fold(0, u64::saturating_add);
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
            SeekFrom::End(by) => length().checked_add_signed(by),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl ReadAt for [u8] {
        fn read_at(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
            let start = usize::try_from(offset).map_err(io::Error::other)?;
            let end = start.checked_add(bytes.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
            bytes.copy_from_slice(self.get(start..end).ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        }
    }

    #[test]
    fn pieces_are_read_in_their_order_from_anywhere() {
        let disk: &[u8] = b"..efg....abcd..";
        let pieces = [Piece { at: 9, length: 4 }, Piece { at: 2, length: 3 }];
        let mut file = Pieces::new(disk, pieces.to_vec());
        let mut text = String::new();
        file.read_to_string(&mut text).expect("reads");
        assert_eq!(text, "abcdefg");
        file.seek(SeekFrom::Start(3)).expect("seeks");
        let mut two = [0; 2];
        file.read_exact(&mut two).expect("reads");
        assert_eq!(&two, b"de", "across two pieces");
        assert_eq!(file.seek(SeekFrom::End(-1)).expect("seeks"), 6);
        assert!(file.seek(SeekFrom::Current(-7)).is_err());
        let outside = Pieces::new(disk, vec![Piece { at: 14, length: 2 }]).read(&mut two);
        assert!(outside.is_err(), "the disk ends before the file does");
    }
}
