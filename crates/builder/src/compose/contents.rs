//! Contents that compose adds to the base: files beside the definition and generated texts.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};

use model::Sha256Digest;
use sha2::{Digest, Sha256};
use tree::{Content, ContentSource};

/// The base's contents and those added on top, found by digest.
pub struct Contents<'a> {
    base: &'a dyn ContentSource,
    added: HashMap<Sha256Digest, Added>,
}

enum Added {
    Bytes(Vec<u8>),
    /// Large maker's files are not held in memory.
    File(PathBuf),
}

/// Files up to this size are read once and kept, so that what was hashed is what is sealed even when the file
/// changes during the build. Larger ones are opened again; a change in between is caught by the digest check of
/// [`Contents::open`].
const KEPT_IN_MEMORY: u64 = 1 << 20;

impl<'a> Contents<'a> {
    /// Starts with the base's contents.
    pub fn over(base: &'a dyn ContentSource) -> Self {
        Self { base, added: HashMap::new() }
    }

    /// Adds bytes and returns their name.
    pub fn add_bytes(&mut self, bytes: Vec<u8>) -> Content {
        let content =
            Content { sha256: Sha256Digest(Sha256::digest(&bytes).into()), size: bytes.len() as u64 };
        self.added.insert(content.sha256, Added::Bytes(bytes));
        content
    }

    /// Adds a file from the building machine and returns its content's name.
    pub fn add_file(&mut self, path: &Path) -> io::Result<Content> {
        let mut file = File::open(path)?;
        if file.metadata()?.len() <= KEPT_IN_MEMORY {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            return Ok(self.add_bytes(bytes));
        }
        let mut hasher = Sha256::new();
        let size = io::copy(&mut file, &mut HashWriter(&mut hasher))?;
        let content = Content { sha256: Sha256Digest(hasher.finalize().into()), size };
        self.added.insert(content.sha256, Added::File(path.to_owned()));
        Ok(content)
    }

    /// Reads a whole content that is known to be small, such as `/etc/passwd`.
    pub fn read(&self, content: &Content) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(content.size as usize);
        self.open(content)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

impl ContentSource for Contents<'_> {
    fn open(&self, content: &Content) -> io::Result<Box<dyn Read + Send + '_>> {
        match self.added.get(&content.sha256) {
            Some(Added::Bytes(bytes)) => Ok(Box::new(Cursor::new(bytes.as_slice()))),
            Some(Added::File(path)) => Ok(Box::new(CheckedFile {
                file: File::open(path)?,
                path,
                hasher: Some(Sha256::new()),
                expected: content.sha256,
            })),
            None => self.base.open(content),
        }
    }
}

struct HashWriter<'a>(&'a mut Sha256);

impl io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads a file and refuses its end when the bytes are not those that were hashed before.
struct CheckedFile<'a> {
    file: File,
    path: &'a Path,
    hasher: Option<Sha256>,
    expected: Sha256Digest,
}

impl Read for CheckedFile<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        if count > 0 {
            if let Some(hasher) = &mut self.hasher {
                hasher.update(&buffer[..count]);
            }
        } else if !buffer.is_empty()
            && let Some(hasher) = self.hasher.take()
            && Sha256Digest(hasher.finalize().into()) != self.expected
        {
            return Err(io::Error::other(format!(
                "`{}` changed while it was being read",
                self.path.display()
            )));
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nothing;

    impl ContentSource for Nothing {
        fn open(&self, _: &Content) -> io::Result<Box<dyn Read + Send + '_>> {
            Err(io::ErrorKind::NotFound.into())
        }
    }

    #[test]
    fn a_large_file_that_changes_during_the_build_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large");
        std::fs::write(&path, vec![1u8; 2 << 20]).unwrap();
        let mut contents = Contents::over(&Nothing);
        let content = contents.add_file(&path).unwrap();
        assert_eq!(contents.read(&content).unwrap().len(), 2 << 20);
        std::fs::write(&path, vec![2u8; 2 << 20]).unwrap();
        assert!(contents.read(&content).unwrap_err().to_string().contains("changed while"));
    }
}
