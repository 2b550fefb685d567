//! Random reading without a shared position.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::{Arc, Mutex};

/// Something that can be read at any offset, from many threads at once.
///
/// Implementers MUST fill `buffer` completely or return an error, and MUST return the same bytes for the same offset
/// as long as the value lives. Callers MUST NOT read beyond [`ReadAt::size`].
pub trait ReadAt: Send + Sync {
    /// Fills `buffer` from `offset`; `UnexpectedEof` beyond the end.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;

    /// Length in bytes.
    fn size(&self) -> u64;
}

impl ReadAt for [u8] {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let source = usize::try_from(offset)
            .ok()
            .and_then(|start| self.get(start..start.checked_add(buffer.len())?))
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        buffer.copy_from_slice(source);
        Ok(())
    }

    fn size(&self) -> u64 {
        self.len() as u64
    }
}

impl ReadAt for Vec<u8> {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.as_slice().read_exact_at(buffer, offset)
    }

    fn size(&self) -> u64 {
        self.len() as u64
    }
}

macro_rules! forward {
    ($($pointer:ty),*) => {$(
        impl<T: ReadAt + ?Sized> ReadAt for $pointer {
            fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
                (**self).read_exact_at(buffer, offset)
            }

            fn size(&self) -> u64 {
                (**self).size()
            }
        }
    )*};
}
forward!(&T, Box<T>, Arc<T>);

/// Any seekable reader as a [`ReadAt`]. Readers take turns; where that matters, implement [`ReadAt`] with `pread`.
pub struct SeekReadAt<T> {
    /// Guards the position: held from the seek to the end of the read.
    inner: Mutex<T>,
    size: u64,
}

impl<T: Read + Seek + Send> SeekReadAt<T> {
    /// Takes the length from where the reader ends.
    pub fn new(mut inner: T) -> io::Result<Self> {
        let size = inner.seek(SeekFrom::End(0))?;
        Ok(Self { inner: Mutex::new(inner), size })
    }
}

impl<T: Read + Seek + Send> ReadAt for SeekReadAt<T> {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let mut inner = self.inner.lock().map_err(|_| io::Error::other("another reader panicked"))?;
        inner.seek(SeekFrom::Start(offset))?;
        inner.read_exact(buffer)
    }

    fn size(&self) -> u64 {
        self.size
    }
}

/// A window of something larger, such as one partition of a disk.
#[derive(Clone, Debug)]
pub struct Section<R> {
    source: R,
    start: u64,
    length: u64,
}

impl<R: ReadAt> Section<R> {
    /// `None` when the window reaches beyond the source.
    pub fn new(source: R, start: u64, length: u64) -> Option<Self> {
        let end = start.checked_add(length)?;
        (end <= source.size()).then_some(Self { source, start, length })
    }
}

impl<R: ReadAt> ReadAt for Section<R> {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.checked_add(buffer.len() as u64).ok_or(io::ErrorKind::UnexpectedEof)?;
        if end > self.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.source.read_exact_at(buffer, self.start + offset)
    }

    fn size(&self) -> u64 {
        self.length
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_never_reads_its_neighbours() {
        let disk: Vec<u8> = (0..100).collect();
        let section = Section::new(&disk, 10, 20).unwrap();
        let mut buffer = [0; 5];
        section.read_exact_at(&mut buffer, 15).unwrap();
        assert_eq!(buffer, [25, 26, 27, 28, 29]);
        assert!(section.read_exact_at(&mut buffer, 16).is_err());
        assert!(Section::new(&disk, 90, 11).is_none());
        assert!(Section::new(&disk, u64::MAX, 2).is_none());
    }

    #[test]
    fn a_seekable_reader_reads_at_any_offset() {
        let reader = SeekReadAt::new(io::Cursor::new(vec![1u8, 2, 3, 4])).unwrap();
        let mut buffer = [0; 2];
        reader.read_exact_at(&mut buffer, 2).unwrap();
        assert_eq!((buffer, reader.size()), ([3, 4], 4));
        assert!(reader.read_exact_at(&mut buffer, 3).is_err());
    }
}
