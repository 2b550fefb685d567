//! Streaming a planned image.

use std::io::{self, Read, Write};

use tree::{Content, ContentSource, TreePath};

use super::BLOCK_SIZE;
use super::plan::Layout;

/// Bytes gathered before they are handed on: large enough that neither system calls nor hashing threads starve.
const CHUNK: usize = 1 << 20;

/// Why an image could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The content of a file can not be read.
    #[error("can not read the content of `{path}`")]
    Content {
        /// In the tree.
        path: TreePath,
        /// What the source of contents said.
        source: io::Error,
    },
    /// The source of contents broke its promise.
    #[error("the content of `{path}` is not {expected} bytes long as the tree says")]
    Length {
        /// In the tree.
        path: TreePath,
        /// Bytes promised.
        expected: u64,
    },
    /// The image can not be written.
    #[error("can not write the file system image")]
    Output {
        /// What the writer said.
        source: io::Error,
    },
}

impl Layout {
    /// Writes the image from its first to its last byte: [`Layout::size`] bytes.
    pub fn write(&self, contents: &dyn ContentSource, out: &mut impl Write) -> Result<(), WriteError> {
        let mut metadata = self.metadata.clone();
        for file in self.inline_files() {
            let end = (file.offset + file.content.size) as usize;
            let place = &mut metadata[file.offset as usize..end];
            read_whole(contents, &file.path, &file.content, place)?;
        }
        let output = |source| WriteError::Output { source };
        out.write_all(&metadata).map_err(output)?;
        drop(metadata);

        let mut chunk = vec![0; CHUNK];
        let mut used = 0;
        for file in self.block_files() {
            let mut reader = open(contents, &file.path, &file.content)?;
            let mut left = file.content.size;
            while left > 0 {
                let now = (CHUNK - used).min(usize::try_from(left).unwrap_or(usize::MAX));
                fill(&mut reader, &file.path, &file.content, &mut chunk[used..used + now])?;
                left -= now as u64;
                used += now;
                if used == CHUNK {
                    out.write_all(&chunk).map_err(output)?;
                    used = 0;
                }
            }
            check_end(&mut reader, &file.path, &file.content)?;
            // A chunk is a whole number of blocks, so that padding never reaches beyond it.
            let padded = used.next_multiple_of(BLOCK_SIZE as usize);
            chunk[used..padded].fill(0);
            used = padded;
            if used == CHUNK {
                out.write_all(&chunk).map_err(output)?;
                used = 0;
            }
        }
        out.write_all(&chunk[..used]).map_err(output)
    }
}

type Reader<'a> = Box<dyn Read + Send + 'a>;

fn open<'a>(
    contents: &'a dyn ContentSource,
    path: &TreePath,
    content: &Content,
) -> Result<Reader<'a>, WriteError> {
    contents.open(content).map_err(|source| WriteError::Content { path: path.clone(), source })
}

fn read_whole(
    contents: &dyn ContentSource,
    path: &TreePath,
    content: &Content,
    place: &mut [u8],
) -> Result<(), WriteError> {
    let mut reader = open(contents, path, content)?;
    fill(&mut reader, path, content, place)?;
    check_end(&mut reader, path, content)
}

fn fill(
    reader: &mut Reader<'_>,
    path: &TreePath,
    content: &Content,
    place: &mut [u8],
) -> Result<(), WriteError> {
    reader.read_exact(place).map_err(|source| match source.kind() {
        io::ErrorKind::UnexpectedEof => WriteError::Length { path: path.clone(), expected: content.size },
        _ => WriteError::Content { path: path.clone(), source },
    })
}

fn check_end(reader: &mut Reader<'_>, path: &TreePath, content: &Content) -> Result<(), WriteError> {
    loop {
        return match reader.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => Err(WriteError::Length { path: path.clone(), expected: content.size }),
            Err(source) if source.kind() == io::ErrorKind::Interrupted => continue,
            Err(source) => Err(WriteError::Content { path: path.clone(), source }),
        };
    }
}
